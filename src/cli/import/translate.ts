/**
 * The old sources as sources of zhongkong. WeChat's and WeCom's own calls, with exactly the parameters they are known
 * with, become those providers, which know what a second issue does to the first token; everything else stays the plain
 * HTTP request that it was. What their clients see is the same either way: the upstream's whole answer.
 */
import type { Text } from '../../base/text.ts'
import { sourceName } from '../../model/source.ts'
import { hasPasswordInUrl, looksSecretInRequest } from '../../config/secret-keys.ts'
import type { LegacyConfig, LegacySource, Words } from './legacy.ts'
import { ImportFault } from './python-tokens.ts'
import type { Vault, Written } from './vault.ts'

export type NewSource = {
  readonly name: string
  /** Keys in the order in which they are written; a mapping for `query`. */
  readonly keys: readonly (readonly [string, Written | readonly (readonly [string, Written])[]])[]
  /** One line about it, for the summary. */
  readonly what: string
  /** What the reader should know or check. */
  readonly remarks: readonly Text[]
}

const hosts = { wechat: 'https://api.weixin.qq.com', wecom: 'https://qyapi.weixin.qq.com' } as const

export function translateSources(legacy: LegacyConfig, vault: Vault): NewSource[] {
  const families = new Map(legacy.sources.map((source) => [source.name, familyOf(source, legacy)]))
  return legacy.sources.map((source) => {
    if (!sourceName.test(source.name)) throw new ImportFault(source.at, badName)
    const family = families.get(source.name) ?? null
    if (family === null) return plainSource(source, legacy, vault)
    if (!('of' in family)) return account(source, family, vault)
    const parent = families.get(family.of)
    const isOwn = parent?.kind === (family.kind === 'wechat-ticket' ? 'wechat' : 'wecom') && parent.base === family.base
    return isOwn ? ticket(source, family) : plainSource(source, legacy, vault)
  })
}

type Account = { readonly kind: 'wechat' | 'wecom'; readonly base: string }

type Ticket = {
  readonly kind: 'wechat-ticket' | 'wecom-ticket'
  readonly base: string
  readonly of: string
  readonly type: string
}

type Family = Account | Ticket

/** Which of the known calls this is, if it is one to the letter. */
function familyOf(source: LegacySource, legacy: LegacyConfig): Family | null {
  const parts = requestParts(source)
  // wechat-token-server names the source after the field it reads; any other name never worked there.
  const isToken = legacy.flavour === 'tokenboy' || source.name === 'access_token'
  const isTicket = legacy.flavour === 'tokenboy' || source.name === 'ticket'
  if (parts === null || source.method !== 'GET') return null
  const { base, path, args } = parts
  const names = [...args.keys()].sort().join(' ')
  const value = (key: string): string | null => args.get(key)?.text ?? null
  if (path === '/cgi-bin/token' && names === 'appid grant_type secret' && value('grant_type') === 'client_credential') {
    return isToken ? { kind: 'wechat', base } : null
  }
  if (path === '/cgi-bin/gettoken' && names === 'corpid corpsecret') return isToken ? { kind: 'wecom', base } : null
  const of = referenceIn(value('access_token'), legacy)
  if (of?.field !== 'access_token' || !isTicket) return null
  const type = value('type') ?? ''
  if (path === '/cgi-bin/ticket/getticket' && names === 'access_token type' && ['jsapi', 'wx_card'].includes(type)) {
    return { kind: 'wechat-ticket', base, of: of.source, type }
  }
  if (path === '/cgi-bin/get_jsapi_ticket' && names === 'access_token') {
    return { kind: 'wecom-ticket', base, of: of.source, type: 'jsapi' }
  }
  if (path === '/cgi-bin/ticket/get' && names === 'access_token type' && type === 'agent_config') {
    return { kind: 'wecom-ticket', base, of: of.source, type }
  }
  return null
}

type Parts = { readonly base: string; readonly path: string; readonly args: ReadonlyMap<string, Words> }

/** The request in parts; null when its URL comes from the environment, or says a parameter twice. */
function requestParts(source: LegacySource): Parts | null {
  const { text, variable, at } = source.url
  if (text === null || variable !== null) return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ImportFault(at, { en: 'This is no http(s) URL.', zh: '这不是 http(s) 地址。' })
  }
  if (url.username !== '' || url.password !== '') return null
  const args = new Map<string, Words>()
  const inUrl = [...url.searchParams].map(([key, value]) => ({ key, value: { at, text: value, variable: null } }))
  for (const { key, value } of [...inUrl, ...source.args]) {
    if (args.has(key)) return null
    args.set(key, value)
  }
  // Both platforms answer over TLS, and a secret has no business in the clear.
  const isReal = /^(api|qyapi)\.weixin\.qq\.com$/.test(url.host)
  const origin = isReal ? `https://${url.host}` : url.origin
  // A proxy may put a path of its own before the platform's.
  const prefixEnd = url.pathname.indexOf('/cgi-bin/')
  const before = prefixEnd === -1 ? '' : url.pathname.slice(0, prefixEnd)
  return { base: origin + before, path: url.pathname.slice(before.length), args }
}

function account(source: LegacySource, { kind, base }: Account, vault: Vault): NewSource {
  const parts = requestParts(source)
  const taken = (key: string): Words => parts?.args.get(key) ?? source.url
  const [id, secret] = kind === 'wechat' ? (['appid', 'secret'] as const) : (['corpid', 'corpsecret'] as const)
  return {
    name: source.name,
    keys: [
      ['provider', { text: kind }],
      [id, vault.open(taken(id), [source.name, id])],
      ['secret', vault.keep(taken(secret), [source.name, 'secret'])],
      ...(kind === 'wechat' ? [['mode', { text: 'classic' }] as const] : []),
      ...baseUrl(kind, base),
    ],
    what: kind === 'wechat' ? 'wechat, mode classic' : 'wecom',
    remarks: kind === 'wechat' ? [classic] : [],
  }
}

/** A ticket asks the host that its token comes from. */
function ticket(source: LegacySource, { kind, of, type }: Ticket): NewSource {
  return {
    name: source.name,
    keys: [
      ['provider', { text: kind }],
      ['of', { text: of }],
      ['type', { text: type }],
    ],
    what: `${kind} of ${of}`,
    remarks: [],
  }
}

function baseUrl(family: keyof typeof hosts, base: string): (readonly [string, Written])[] {
  return base === hosts[family] ? [] : [['base_url', { text: base }]]
}

function plainSource(source: LegacySource, legacy: LegacyConfig, vault: Vault): NewSource {
  const parts = requestParts(source)
  const args = parts === null ? source.args.map(({ key, value }) => [key, value] as const) : [...parts.args]
  const url = parts === null ? null : `${parts.base}${parts.path}`
  const query = args.map(([key, value]) => {
    refuseTemplate(value, legacy)
    const name = [source.name, key]
    return [
      key,
      looksSecretInRequest(key) && !isReference(value, legacy) ? vault.keep(value, name) : vault.open(value, name),
    ] as const
  })
  const token = tokenPointer(source, legacy)
  const remarks = [...(token.isGuess ? [guessed(token.pointer)] : []), ...(source.method === 'GET' ? [] : [posted])]
  return {
    name: source.name,
    keys: [
      ['provider', { text: 'http' }],
      ['url', url === null ? urlOf(source, vault) : { text: url }],
      ...(source.method === 'GET' ? [] : [['method', { text: source.method }] as const]),
      ...(query.length === 0 ? [] : [['query', query] as const]),
      ['token', { text: token.pointer }],
      ...reissueOf(parts),
    ],
    what: url === null ? 'http' : `http, ${new URL(url).host}`,
    remarks,
  }
}

/** What asking again does is known of the platforms' own calls, also where a proxy stands before them. */
function reissueOf(parts: Parts | null): (readonly [string, Written])[] {
  const known: Readonly<Record<string, string>> = {
    '/cgi-bin/token': 'retires-previous',
    '/cgi-bin/gettoken': 'same-until-expiry',
  }
  const text = known[parts?.path ?? '']
  const isReal = parts?.base === hosts.wechat || parts?.base === hosts.wecom
  return text === undefined || isReal ? [] : [['reissue', { text }]]
}

/** A URL that could not be taken apart may hold a secret, so it goes where secrets go. */
function urlOf(source: LegacySource, vault: Vault): Written {
  const text = source.url.text ?? ''
  const mayHoldSecret = text.includes('?') || hasPasswordInUrl(text)
  return mayHoldSecret ? vault.keep(source.url, [source.name, 'url']) : vault.open(source.url, [source.name, 'url'])
}

/** Where the token stands in the answer; the old programs did not say, except by what refers to it. */
function tokenPointer(
  source: LegacySource,
  legacy: LegacyConfig,
): { readonly pointer: string; readonly isGuess: boolean } {
  const pointer = (field: string): string => `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`
  if (legacy.flavour === 'wechat-token-server') return { pointer: pointer(source.name), isGuess: false }
  const values = legacy.sources.flatMap(({ args }) => args.map(({ value }) => value.text))
  const referred = values.map((text) => referenceIn(text, legacy)).find((found) => found?.source === source.name)
  if (referred !== undefined && referred !== null)
    return { pointer: `/${referred.field.replaceAll('.', '/')}`, isGuess: false }
  const isTicket = /ticket/i.test(`${source.name} ${source.url.text ?? ''}`)
  return { pointer: isTicket ? '/ticket' : '/access_token', isGuess: true }
}

type Reference = { readonly source: string; readonly field: string }

/** The source and field that a whole value refers to; both programs replaced whole values only. */
function referenceIn(text: string | null, { flavour }: LegacyConfig): Reference | null {
  if (text === null) return null
  if (flavour === 'tokenboy') {
    const match = /^\{\{results\.([^.{}]+)\.([^{}]+)\}\}$/.exec(text)
    return match === null ? null : { source: match[1] ?? '', field: match[2] ?? '' }
  }
  const name = /^\{\{\s*([^{}\s]+)\s*\}\}$/.exec(text)?.[1]
  return name === undefined ? null : { source: name, field: name }
}

function isReference(value: Words, legacy: LegacyConfig): boolean {
  return value.variable === null && referenceIn(value.text, legacy) !== null
}

/** Braces inside a longer text were plain text there and would be a template here. */
function refuseTemplate(value: Words, legacy: LegacyConfig): void {
  if (value.text?.includes('{{') !== true || isReference(value, legacy)) return
  throw new ImportFault(value.at, badTemplate)
}

const badName: Text = {
  en: 'A source is named with letters, digits and _ . : @ / -; rename it here and in its clients.',
  zh: '来源名称只能用字母、数字和 _ . : @ / -；请在此处及其客户端中改名。',
}
const badTemplate: Text = {
  en: 'These braces are no reference that the old program understood; write the value without them.',
  zh: '此处的花括号不是原程序能识别的引用；请去掉后再导入。',
}
const classic: Text = {
  en: 'mode: stable is safer once nothing else fetches this token',
  zh: '若没有其他程序获取该令牌，改为 mode: stable 更安全',
}
const posted: Text = {
  en: 'POST never worked there; move the parameters to form: or body: if the API wants them so',
  zh: '原程序的 POST 从未生效；若接口需要，请把参数移到 form: 或 body:',
}

function guessed(pointer: string): Text {
  return {
    en: `token: ${pointer} is assumed; mend it if the answer names it otherwise`,
    zh: `token: ${pointer} 为推测值；若应答中字段不同，请修改`,
  }
}
