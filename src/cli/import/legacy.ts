/** What a `config.py` of TokenBoy or wechat-token-server says, recognised by the names it uses. */
import type { Text } from '../../base/text.ts'
import { ImportFault, type Place } from './python-tokens.ts'
import { pythonAssignments, type DictEntry, type PythonValue } from './python-values.ts'

/** A text of the old file: written there, or taken from the environment. */
export type Words = {
  readonly at: Place
  /** null: only the environment has it. */
  readonly text: string | null
  /** The variable it was taken from; null for a literal. */
  readonly variable: string | null
}

export type LegacySource = {
  readonly at: Place
  readonly name: string
  readonly url: Words
  readonly method: string
  readonly args: readonly { readonly key: string; readonly value: Words }[]
}

export type LegacyConfig = {
  readonly flavour: 'tokenboy' | 'wechat-token-server'
  /** As written; null when it was not set. */
  readonly address: string | null
  readonly port: number
  readonly sources: readonly LegacySource[]
  /** wechat-token-server's `requestSecret`. */
  readonly requestSecret: Words | null
  /** wechat-token-server's Redis, `HOST:PORT`. */
  readonly redis: string | null
}

/** Reads the source of a `config.py`. Throws `ImportFault` with the place of what cannot be taken over. */
export function readLegacy(python: string): LegacyConfig {
  const names = pythonAssignments(python)
  const tokenboy = names.get('token_sources')
  const server = names.get('tokenSources')
  if (tokenboy !== undefined && server !== undefined) throw new ImportFault(server.at, both)
  const sources = tokenboy ?? server
  if (sources === undefined) throw new ImportFault({ line: 1, column: 1 }, neither)
  const [flavour, address, port] =
    sources === tokenboy
      ? (['tokenboy', names.get('bind_ip'), names.get('bind_port')] as const)
      : (['wechat-token-server', names.get('bindIp'), names.get('bindPort')] as const)
  const secret = names.get('requestSecret')
  const redisHost = names.get('redisIp')
  return {
    flavour,
    address: address === undefined ? null : literalText(address),
    port: port === undefined ? defaultPort[flavour] : portOf(port),
    sources: dict(sources).map(({ key, value }) => sourceOf(key, value)),
    requestSecret: flavour === 'tokenboy' || secret === undefined ? null : words(secret),
    redis: flavour === 'tokenboy' || redisHost === undefined ? null : redisOf(redisHost, names.get('redisPort')),
  }
}

const defaultPort = { tokenboy: 8888, 'wechat-token-server': 12_123 } as const

function sourceOf(name: string, value: PythonValue): LegacySource {
  const settings = new Map(dict(value).map((entry) => [entry.key, entry.value]))
  const url = settings.get('url')
  if (url === undefined) {
    throw new ImportFault(value.at, { en: `The source "${name}" has no "url".`, zh: `来源 "${name}" 缺少 "url"。` })
  }
  const method = settings.get('method')
  const args = settings.get('args')
  return {
    at: value.at,
    name,
    url: words(url),
    method: method === undefined ? 'GET' : literalText(method).toUpperCase(),
    args:
      args === undefined || args.kind === 'none'
        ? []
        : dict(args).map((entry) => ({ key: entry.key, value: words(entry.value) })),
  }
}

function dict(value: PythonValue): readonly DictEntry[] {
  refuseFault(value)
  if (value.kind === 'dict') return value.entries
  throw new ImportFault(value.at, { en: 'A dict { … } is needed here.', zh: '此处需要字典 { … }。' })
}

/** Numbers and booleans become the text that Python would put into a query. */
function words(value: PythonValue): Words {
  refuseFault(value)
  const { at } = value
  if (value.kind === 'text') return { at, text: value.value, variable: null }
  if (value.kind === 'number') return { at, text: String(value.value), variable: null }
  if (value.kind === 'boolean') return { at, text: value.value ? 'True' : 'False', variable: null }
  if (value.kind === 'environment') return { at, text: value.fallback, variable: value.name }
  throw new ImportFault(at, { en: 'A text is needed here.', zh: '此处需要字符串。' })
}

function literalText(value: PythonValue): string {
  const { text } = words(value)
  if (text !== null) return text
  throw new ImportFault(value.at, { en: 'This must be written in the file itself.', zh: '此值必须直接写在文件中。' })
}

function portOf(value: PythonValue): number {
  const text = literalText(value).trim()
  const port = Number(text)
  if (/^\d+$/.test(text) && port > 0 && port <= 65_535) return port
  throw new ImportFault(value.at, { en: 'This is no TCP port.', zh: '这不是有效的 TCP 端口。' })
}

function redisOf(host: PythonValue, port: PythonValue | undefined): string {
  return `${words(host).text ?? '…'}:${port === undefined ? '6379' : (words(port).text ?? '…')}`
}

function refuseFault(value: PythonValue): void {
  if (value.kind === 'fault') throw new ImportFault(value.at, value.text)
}

const neither: Text = {
  en: 'Neither "token_sources" (TokenBoy) nor "tokenSources" (wechat-token-server) is set here.',
  zh: '其中既没有 "token_sources"（TokenBoy），也没有 "tokenSources"（wechat-token-server）。',
}
const both: Text = {
  en: 'Both "token_sources" and "tokenSources" are set: it cannot be told whose configuration this is.',
  zh: '同时设置了 "token_sources" 与 "tokenSources"，无法判断是哪种配置。',
}
