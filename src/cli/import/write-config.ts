/** The new configuration as text: `zhongkong.yaml` and `.env`. */
import type { Language, Text } from '../../base/text.ts'
import { parseRedisUrl } from '../../base/redis-url.ts'
import { environmentLine } from '../../config/environment-file.ts'
import { escapeReferences } from '../../config/interpolate.ts'
import type { LegacyConfig } from './legacy.ts'
import { translateSources, type NewSource } from './translate.ts'
import { Vault, type Written } from './vault.ts'

export type NewFiles = {
  readonly yaml: string
  /** null when there is no secret to keep. */
  readonly environment: string | null
  readonly sources: readonly NewSource[]
  readonly secrets: number
  /** Variables that must be set wherever the server runs. */
  readonly expected: readonly string[]
  /** What changed and what to know, for the terminal. */
  readonly remarks: readonly Text[]
}

type Options = { readonly language: Language; readonly schema: string; readonly from: string }

/** Writes the old configuration in the new form. `schema` is where an editor finds the JSON Schema. */
export function newFiles(legacy: LegacyConfig, { language, schema, from }: Options): NewFiles {
  const vault = new Vault()
  const sources = translateSources(legacy, vault)
  const secret = legacy.requestSecret === null ? null : vault.keep(legacy.requestSecret, ['REQUEST_SECRET'])
  const say = (text: Text): string => text[language]
  const opened = legacy.address !== null && !isLoopback(legacy.address) ? legacy.address : null
  const host = opened === null && legacy.address !== null ? legacy.address : '127.0.0.1'
  const yaml = [
    `# yaml-language-server: $schema=${schema}`,
    `# ${say({ en: `From ${from} (${legacy.flavour}), by "zhongkong import".`, zh: `由 "zhongkong import" 根据 ${from}（${legacy.flavour}）生成。` })}`,
    '',
    'server:',
    ...(opened === null ? [] : comments(openedRemark(opened, say), 2)),
    `  listen: ${quoted(`${host.includes(':') ? `[${host}]` : host}:${legacy.port}`)}`,
    '',
    'sources:',
    ...sources.flatMap((source) => sourceLines(source, say)),
    '',
    'compat:',
    ...(legacy.flavour === 'tokenboy' ? ['  tokenboy: true'] : []),
    ...(secret === null ? [] : ['  wechat_token_server:', `    secret: ${value(secret)}`]),
    ...(legacy.redis === null ? [] : sinkLines(legacy.redis, say)),
    '',
  ].join('\n')
  const lines = [...vault.values].map(([name, text]) => environmentLine(name, text))
  return {
    yaml,
    environment: lines.length === 0 ? null : `${lines.join('\n')}\n`,
    sources,
    secrets: lines.length,
    expected: [...vault.expected],
    remarks: [
      ...(opened === null ? [] : [openedShort(opened)]),
      ...(legacy.redis === null ? [] : [redisShort(legacy.redis)]),
    ],
  }
}

/** Programs that read its Redis go on reading it: the keys are the names of the sources, as ever. */
function sinkLines(address: string, say: (text: Text) => string): string[] {
  const url = `redis://${address}`
  const sink = `{ kind: redis, url: ${quoted(url)}, preset: wechat-token-server }`
  const remark = comments(redisRemark(address, say), 0)
  if ('problem' in parseRedisUrl(url)) return ['', ...remark, '# sinks:', `#   - ${sink}`]
  return ['', ...remark, 'sinks:', `  - ${sink}`]
}

function sourceLines({ name, keys, remarks }: NewSource, say: (text: Text) => string): string[] {
  return [
    `  ${quoted(name)}:`,
    ...remarks.flatMap((remark) => comments(say(remark), 4)),
    ...keys.flatMap(([key, written]) => {
      if (!isMapping(written)) return [`    ${key}: ${value(written)}`]
      return [`    ${key}:`, ...written.map(([inner, text]) => `      ${quoted(inner)}: ${value(text)}`)]
    }),
  ]
}

function isMapping(written: NewSource['keys'][number][1]): written is readonly (readonly [string, Written])[] {
  return Array.isArray(written)
}

function value(written: Written): string {
  if ('variable' in written) return `"\${${written.variable}}"`
  return quoted(escapeReferences(written.text))
}

/** Plain where YAML certainly reads it back as the same text, in double quotes otherwise. */
function quoted(text: string): string {
  const isPlain =
    /^[A-Za-z_/][A-Za-z0-9_./@-]*$/.test(text) ||
    /^\d{1,3}(\.\d{1,3}){3}:\d+$/.test(text) ||
    /^https?:\/\/[\w.:/-]*\w$/.test(text)
  const isWord = /^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
  // JSON leaves the line separators of Unicode as they are; YAML takes them for ends of line.
  return isPlain && !isWord ? text : JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, unicodeEscape)
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function comments(text: string, indent: number): string[] {
  return text.split('\n').map((line) => `${' '.repeat(indent)}# ${printableComment(line)}`)
}

function printableComment(line: string): string {
  return line.replace(/\p{Cc}+/gu, ' ')
}

function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(\.\d{1,3}){3}$/.test(address)
}

function openedRemark(address: string, say: (text: Text) => string): string {
  const was = address === '' ? "''" : address
  return say({
    en: `It was ${was}, where any machine could read tokens. To open it safely: add clients
(zhongkong key new NAME --allow read), and tls or, in a private network, trusted_network: true.
Clients without keys: compat.tokenboy: { allow: [10.0.0.0/8] }, or the secret of wechat_token_server.`,
    zh: `原为 ${was}，任何机器都能读取令牌。如需安全地对外开放：添加 clients
（zhongkong key new 名称 --allow read），并配置 tls；可信内网可用 trusted_network: true。
不带密钥的旧客户端：compat.tokenboy: { allow: [10.0.0.0/8] }，或 wechat_token_server 的 secret。`,
  })
}

function openedShort(address: string): Text {
  const was = address === '' ? "''" : address
  return {
    en: `It listened on ${was}; now on 127.0.0.1. zhongkong.yaml says how to open it safely.`,
    zh: `原来监听 ${was}，现改为 127.0.0.1；如何安全开放见 zhongkong.yaml 中的说明。`,
  }
}

function redisRemark(address: string, say: (text: Text) => string): string {
  return say({
    en: `For programs that read the tokens from Redis (${address}): each token under the name of its source, with the
time for which it may be relied on as its TTL. Remove this when all of them ask over HTTP.`,
    zh: `供直接从 Redis（${address}）读取令牌的程序使用：键为来源名称，TTL 为令牌可放心使用的时间。
所有程序都改为通过 HTTP 读取后即可删去。`,
  })
}

function redisShort(address: string): Text {
  return {
    en: `Tokens go on being written to Redis at ${address} (sinks), for programs that read them there.`,
    zh: `令牌会继续写入 Redis（${address}，见 sinks），供直接读取的程序使用。`,
  }
}
