/** A configuration in memory: files by path, and a small catalogue that stands in for the real providers. */
import { loadConfig, type LoadOptions, type Loaded } from '../../src/config/load-config.ts'
import type { ConfigIssue } from '../../src/config/config.ts'
import type { FileRead, ReadFile } from '../../src/config/read-file.ts'
import type { Json } from '../../src/base/json.ts'
import type { DefinitionIssue, ParseSource } from '../../src/model/definition.ts'

export type FakeFile = string | Uint8Array | { readonly text: string; readonly mode: number }

export const directory = '/etc/zhongkong'
export const configPath = `${directory}/zhongkong.yaml`

/** A file system with these files and nothing else; relative names count from the configuration's directory. */
export function filesOf(files: Readonly<Record<string, FakeFile>>): ReadFile {
  const byPath = new Map(
    Object.entries(files).map(([name, file]) => [name.startsWith('/') ? name : `${directory}/${name}`, file]),
  )
  return async (path, bytesMax): Promise<FileRead> => {
    const file = byPath.get(path)
    if (file === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
    const plain = typeof file === 'string' || file instanceof Uint8Array
    const content = plain ? file : file.text
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    return { bytes: bytes.subarray(0, bytesMax + 1), mode: plain ? 0o100600 : file.mode }
  }
}

type Options = {
  readonly files?: Readonly<Record<string, FakeFile>>
  readonly environment?: Readonly<Record<string, string>>
  readonly overrides?: LoadOptions['overrides']
  readonly parseSource?: ParseSource
}

/** Loads a configuration's text with the fake catalogue. */
export async function load(text: string | Uint8Array, options: Options = {}): Promise<Loaded> {
  return await loadConfig({
    path: configPath,
    environment: options.environment ?? {},
    parseSource: options.parseSource ?? fakeParseSource,
    readFile: filesOf({ ...options.files, [configPath]: text }),
    overrides: options.overrides ?? {},
  })
}

/** `12:7 key_unknown sources.weixin.secert`, the way the tables of the tests name an issue. */
export function brief(issue: ConfigIssue): string {
  const file = issue.file === configPath ? '' : `${issue.file.replace(`${directory}/`, '')}:`
  return `${file}${issue.line}:${issue.column} ${issue.severity === 'warning' ? 'warning ' : ''}${issue.code} ${issue.path}`.trim()
}

const knownKeys: Readonly<Record<string, readonly string[]>> = {
  wechat: ['appid', 'secret', 'mode', 'base_url', 'timeout'],
  'wechat-ticket': ['of', 'type', 'base_url'],
  wecom: ['corpid', 'secret', 'base_url'],
  dingtalk: ['appkey', 'secret', 'stack', 'base_url'],
  http: ['url', 'method', 'query', 'headers', 'body', 'form', 'token', 'expires_in', 'error'],
}

/** Judges a definition as the real catalogue does, for a few kinds and a few keys. */
export const fakeParseSource: ParseSource = (name, definition, origin) => {
  const issues: DefinitionIssue[] = []
  const fault = (path: string[], en: string): number => issues.push({ path, message: { en, zh: en }, fix: null })
  const kind = typeof definition.provider === 'string' ? definition.provider : ''
  const keys = knownKeys[kind]
  if (keys === undefined) fault(['provider'], 'unknown provider')
  for (const key of Object.keys(definition)) {
    if (keys !== undefined && key !== 'provider' && !keys.includes(key)) fault([key], 'unknown key')
  }
  for (const key of ['appid', 'corpid', 'secret', 'of', 'url']) {
    const value = definition[key]
    if (value !== undefined && typeof value !== 'string') fault([key], 'not a text')
  }
  if (definition.timeout !== undefined && typeof definition.timeout !== 'number') fault(['timeout'], 'not a number')
  if (kind === 'wechat' && definition.secret === undefined) fault([], 'no secret')
  if (issues.length > 0) return { ok: false, issues }
  return {
    ok: true,
    source: {
      name,
      kind,
      definition,
      settings: definition,
      policy: { minIntervalMs: 30_000, timeoutMs: 8_000 },
      needs: needsOf(definition),
      semantics: {
        reissue: 'independent',
        graceMs: 0,
        windowMs: 0,
        limits: {},
        fallbackTtlMs: 7_200_000,
        inject: { query: 'access_token' },
        invalidTokenCodes: [],
      },
      identity: name,
      generation: name,
      origin,
      credential: null,
      seed: null,
      callback: null,
    },
  }
}

function needsOf(definition: Json): string[] {
  const text = JSON.stringify(definition)
  const named = [...text.matchAll(/\{\{(?:results\.)?([\w-]+)(?:\.\w+)?\}\}/g)].map(([, need]) => need ?? '')
  const of = /"of":"([^"]+)"/.exec(text)?.[1]
  return [...new Set(of === undefined ? named : [of, ...named])]
}
