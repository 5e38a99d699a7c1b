/**
 * Reads a configuration file whole: text → values with places → references and secret files resolved → shape →
 * meaning. Every stage goes on after a fault where it can, so that everything wrong is told at once.
 */
import { dirname, join, resolve } from 'node:path'
import { isJsonObject } from '../base/json.ts'
import type { Text } from '../base/text.ts'
import type { ParseSource } from '../model/definition.ts'
import { checkClients, checkCompat } from './client-checks.ts'
import type { Config, ConfigIssue } from './config.ts'
import { readDocument, type ConfigDocument } from './document.ts'
import { isGuessable, parseEncryptionKey } from './encryption-key.ts'
import { readEnvironment, type Environment } from './environment.ts'
import { issueOfProblem, type Overrides } from './issues.ts'
import { isLocal } from './listen.ts'
import { dotted, problem, warning, type Path, type Problem } from './problem.ts'
import { readRealFile, readText, type ReadFile } from './read-file.ts'
import { References } from './references.ts'
import { keysAt, type WrittenConfig } from './schema.ts'
import { readShape } from './shape.ts'
import { checkServer } from './server-checks.ts'
import { checkSinks, kindProblems } from './sink-checks.ts'
import { checkSources } from './source-checks.ts'
import { checkStore } from './store-checks.ts'
import { checkTlsFiles } from './tls-files.ts'

export type LoadOptions = {
  readonly path: string
  /** The process's environment; a `.env` file beside the configuration is read too and loses against it. */
  readonly environment: Environment
  readonly parseSource: ParseSource
  /** Stands in for the file system. */
  readonly readFile?: ReadFile
  /** What the command line says instead of the file. */
  readonly overrides?: Overrides
}

export type Loaded = {
  /** null when at least one issue is an error. */
  readonly config: Config | null
  /** By place: file, line, column. */
  readonly issues: readonly ConfigIssue[]
}

/** Larger files are no configurations, in bytes. Very many sources belong into the store (PUT /v1/sources). */
export const configBytesMax = 16 * 1_048_576

/** Loads and checks a configuration. Never throws for what the file holds; values of secrets are in no issue. */
export async function loadConfig(options: LoadOptions): Promise<Loaded> {
  const path = resolve(options.path)
  const readFile = options.readFile ?? readRealFile
  const overrides = options.overrides ?? {}
  const read = await readText(readFile, path, configBytesMax)
  if (!read.ok) {
    const told = { file: options.path, text: '', document: null, overrides }
    return { config: null, issues: [issueOfProblem(unreadable(read), told)] }
  }
  const environment = await readEnvironment(
    readFile,
    { path: join(dirname(path), '.env'), shown: join(dirname(options.path), '.env') },
    options.environment,
  )
  const references = new References(environment.lookup, environment.names)
  const document = readDocument(read.text, (scalar) => references.take(scalar))
  await references.readFiles(readFile, dirname(path))
  const found = document.broken
    ? { config: null, problems: [] }
    : await understand({ path, document, references, readFile, parseSource: options.parseSource, overrides })
  const problems = [...document.problems, ...references.problems, ...found.problems]
  if (found.config !== null && !problems.some(isError)) problems.push(...withoutSources(found.config))
  const told = { file: options.path, text: read.text, document, overrides }
  const issues = [...environment.issues, ...distinct(problems).map((one) => issueOfProblem(one, told))].sort(byPlace)
  return { config: issues.some(isError) ? null : found.config, issues }
}

function isError({ severity }: { readonly severity: Problem['severity'] }): boolean {
  return severity === 'error'
}

/** Whoever has an admin's key means to add sources while running; everybody else has forgotten them. */
function withoutSources({ sources, clients }: Config): Problem[] {
  if (sources.length > 0 || clients.some(({ admin }) => admin)) return []
  return [warning('no_sources', { path: ['sources'], at: 'key' }, noSources, noSourcesFix)]
}

type Stage = {
  readonly path: string
  readonly document: ConfigDocument
  readonly references: References
  readonly readFile: ReadFile
  readonly parseSource: ParseSource
  readonly overrides: Overrides
}

type Understood = { readonly config: Config | null; readonly problems: readonly Problem[] }

/** The shape, then the meaning of every part. What stands at an unresolved reference is not judged. */
async function understand(stage: Stage): Promise<Understood> {
  const { references, document } = stage
  const later = kindProblems(document.value)
  const shape = readShape(document.value, { overrides: stage.overrides, references, keysAt })
  const meaning = await judge(stage, shape.written)
  const unread = document.problems.filter(({ code }) => code !== 'yaml_duplicate_key' && code !== 'yaml_bad_key')
  const known = new Set([
    ...references.unresolved,
    ...unread.map(({ path }) => dotted(path)),
    ...later.map((one) => dotted(one.path.slice(0, 2))),
  ])
  const isKnown = (path: Path): boolean => path.some((_, index) => known.has(dotted(path.slice(0, index + 1))))
  const misshapen = new Set(shape.problems.map(({ path }) => dotted(path)))
  const judged = meaning.problems.map((one) => ({ ...one, path: shape.original(one.path) }))
  // What does not even fit was cut out, and is not missing.
  const problems = [...shape.problems, ...judged.filter(({ path }) => !misshapen.has(dotted(path)))].filter(
    ({ path }) => !isKnown(path),
  )
  return { config: meaning.config, problems: [...later, ...problems] }
}

async function judge(stage: Stage, written: WrittenConfig): Promise<{ config: Config; problems: Problem[] }> {
  const { path, references, readFile } = stage
  const directory = dirname(path)
  const raw = stage.document.value
  const names = isJsonObject(raw.sources) ? Object.keys(raw.sources) : []
  const server = checkServer(written, raw)
  const tls = await checkTlsFiles(written, directory, readFile)
  const sources = checkSources(written, {
    parseSource: stage.parseSource,
    typed: (at) => references.typed(at),
    allNames: names,
  })
  const clients = checkClients(written, raw, names)
  const compat = checkCompat(written, server.value === null || isLocal(server.value))
  const sinks = checkSinks(written, { directory, sourceNames: names, sources: sources.value })
  const store = checkStore(written.store, {
    directory,
    hasKey: written.encryption_key !== undefined,
    isFromCommandLine: stage.overrides.store !== undefined,
    workers: written.server.workers,
  })
  const key = checkKey(written.encryption_key)
  const config: Config = {
    path,
    server: {
      listen: written.server.listen,
      tls: tls.value,
      trustedNetwork: written.server.trusted_network,
      workers: written.server.workers,
      ...(written.server.public_url === undefined ? {} : { publicUrl: written.server.public_url.replace(/\/+$/, '') }),
    },
    encryptionKey: key.value,
    store: store.value,
    spill: spillFolder(written.spill, store.value, directory),
    sources: sources.value,
    clients: clients.value,
    compat: compat.value,
    sinks: sinks.value,
  }
  const parts = [server, tls, sources, clients, compat, sinks, store, key]
  return { config, problems: parts.flatMap(({ problems }) => problems) }
}

function spillFolder(written: string | undefined, store: string, directory: string): string | null {
  if (written !== undefined) return resolve(directory, written)
  if (store === 'memory:') return null
  return store.startsWith('sqlite:')
    ? `${store.slice('sqlite:'.length)}.spill`
    : join(directory, 'data/zhongkong.spill')
}

function checkKey(text: string | undefined): { value: Uint8Array | null; problems: Problem[] } {
  if (text === undefined) return { value: null, problems: [] }
  const key = parseEncryptionKey(text)
  const fix = { en: 'Make one with: openssl rand -hex 32', zh: '可用此命令生成：openssl rand -hex 32' }
  const wrong = (en: string, zh: string): { value: null; problems: Problem[] } => ({
    value: null,
    problems: [problem('value_invalid', { path: ['encryption_key'] }, { en, zh }, fix)],
  })
  if (key === null) return wrong('This is not 32 bytes in hex or base64.', '这不是十六进制或 base64 写成的 32 字节。')
  if (isGuessable(key)) return wrong('This key is a pattern, not a random one.', '该密钥有规律，不是随机生成的。')
  return { value: key, problems: [] }
}

const oneSource = 'sources:\n  weixin: { provider: wechat, appid: wx…, secret: "${WEIXIN_SECRET}" }'
const noSources: Text = {
  en: 'There are no sources, so there is no token to serve.',
  zh: '没有任何来源，因此没有令牌可以提供。',
}
const noSourcesFix: Text = {
  en: `Add one here, or while the server runs (PUT /v1/sources/NAME):\n${oneSource}`,
  zh: `请在此处添加，或在服务器运行时添加（PUT /v1/sources/名称）：\n${oneSource}`,
}

function unreadable(read: { reason: string; because: { en: string; zh: string } }): Problem {
  const message = {
    en: `The configuration cannot be used: ${read.because.en}.`,
    zh: `配置文件无法使用：${read.because.zh}。`,
  }
  const where: { path: Path; at: number } = { path: [], at: 0 }
  if (read.reason === 'too-large') {
    const fix = {
      en: 'Add very many sources while running (PUT /v1/sources/NAME).',
      zh: '大量来源请在运行时添加（PUT /v1/sources/名称）。',
    }
    return problem('file_too_large', where, message, fix)
  }
  if (read.reason === 'not-text')
    return problem('file_not_text', where, message, { en: 'Save it as UTF-8.', zh: '请以 UTF-8 编码保存。' })
  const fix = {
    en: 'Name the file with -c FILE or ZHONGKONG_CONFIG.',
    zh: '用 -c 文件 或 ZHONGKONG_CONFIG 指定配置文件。',
  }
  return problem('file_unreadable', where, message, fix)
}

/** A value that several aliases name is wrong once. */
function distinct(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>()
  return problems.filter((one) => {
    const key = `${one.code} ${typeof one.at === 'number' ? one.at : dotted(one.path)} ${one.message.en}`
    return !seen.has(key) && seen.add(key)
  })
}

function byPlace(a: ConfigIssue, b: ConfigIssue): number {
  return (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column
}
