/**
 * Under which keys, and as what, programs expect tokens in Redis: the layouts of other token servers and SDKs as data, and
 * templates for everything else. Read from the code of WxJava, wechatpy, silenceper/wechat, PowerWeChat and
 * wechat-token-server; docs/sinks.md repeats the table.
 */
import { createHash } from 'node:crypto'
import type { JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Source } from './source.ts'

export const layoutPresets = ['wechat-token-server', 'wxjava', 'wechatpy', 'silenceper', 'powerwechat'] as const

export type LayoutPreset = (typeof layoutPresets)[number]

/** `prefix` null is the layout's own. */
export type SinkLayout =
  | { readonly preset: LayoutPreset; readonly prefix: string | null }
  | { readonly preset: null; readonly key: string; readonly value: string }

/** What a layout must know of a source. */
export type LaidOut = {
  readonly name: string
  readonly kind: string
  /** appid or corpid; for a ticket that of the source it is fetched with. */
  readonly account: string | null
  /** The appid of the third-party platform that the account has authorised. */
  readonly platform: string | null
  readonly secret: Secret | null
  readonly agentId: string | null
  /** Of a ticket; null for a token. */
  readonly ticketType: string | null
}

/** What stands in a layout: instants in epoch milliseconds. */
export type LaidToken = {
  readonly token: string
  readonly version: number
  readonly issuedAt: number
  readonly expiresAt: number
  readonly fields: JsonObject
}

export type KeyValue = { readonly key: string; readonly value: string }

/** A ticket, its account, the platform of that: nobody's account stands higher. */
export const aboveMax = 3

/** @param above what the source is asked with, and what that is asked with, as far as there is any. */
export function laidOut(source: Source, above: readonly Source[]): LaidOut {
  const isTicket = source.kind.endsWith('-ticket')
  const [account, ...higher] = isTicket ? above : [source, ...above]
  const { type } = source.definition
  const { appid, agentid: agentId } = account?.definition ?? {}
  const platform = account?.kind === 'wechat-authorizer' ? higher[0]?.credential?.account : undefined
  return {
    name: source.name,
    kind: source.kind,
    account: account?.credential?.account ?? (platform !== undefined && typeof appid === 'string' ? appid : null),
    platform: platform ?? null,
    secret: account?.credential?.secret ?? null,
    agentId: typeof agentId === 'string' || typeof agentId === 'number' ? String(agentId) : null,
    ticketType: isTicket ? (typeof type === 'string' ? type : 'jsapi') : null,
  }
}

/** The keys of a source and their values; empty when the layout has no key for such a source. */
export function keysAndValues(layout: SinkLayout, of: LaidOut, token: LaidToken): readonly KeyValue[] {
  if (layout.preset === null) {
    const key = filled(layout.key, of, token)
    const value = filledValue(layout.value, of, token)
    return key === null || value === null ? [] : [{ key, value }]
  }
  if (layout.preset === 'wechat-token-server') return [{ key: `${layout.prefix ?? ''}${of.name}`, value: token.token }]
  const { account } = of
  return account === null ? [] : byPreset[layout.preset]({ ...of, account }, token, layout.prefix)
}

type Named = LaidOut & { readonly account: string }

type Preset = (of: Named, token: LaidToken, prefix: string | null) => readonly KeyValue[]

const byPreset: Readonly<Record<Exclude<LayoutPreset, 'wechat-token-server'>, Preset>> = {
  wxjava: (of, { token }, prefix) => {
    const key = wxjavaKey(of, prefix)
    return key === null ? [] : [{ key, value: token }]
  },

  // Its storage keeps JSON. A ticket without `…_expires_at` counts as over; for a token it may be absent, but one that
  // wechatpy left there itself would be believed.
  wechatpy: (of, { token, expiresAt }, prefix) => {
    const item = wechatpyItem(of)
    if (item === null) return []
    const key = `${prefix ?? 'wechatpy'}:${item}`
    return [
      { key, value: JSON.stringify(token) },
      { key: `${key}_expires_at`, value: String(Math.floor(expiresAt / 1_000)) },
    ]
  },

  silenceper: (of, { token }, prefix) => silenceperKeys(of, prefix).map((key) => ({ key, value: token })),

  // The lifetime is that of the moment of issue, as PowerWeChat itself keeps it.
  powerwechat: ({ kind, account, secret, ticketType }, { token, issuedAt, expiresAt }, prefix) => {
    const expiresIn = Math.max(0, Math.floor((expiresAt - issuedAt) / 1_000))
    if (kind === 'wechat' || kind === 'wecom') {
      const digest = createHash('md5')
        .update(`${account}${secret?.reveal() ?? ''}`, 'utf8')
        .digest('hex')
      const value = JSON.stringify({ access_token: token, expires_in: expiresIn })
      return [{ key: `${prefix ?? 'powerwechat.access_token.'}${digest}`, value }]
    }
    if (kind !== 'wechat-ticket') return []
    const value = JSON.stringify({ errcode: 0, errmsg: 'ok', ticket: token, expires_in: expiresIn })
    return [{ key: `powerwechat.basic_service.jssdk.ticket.${ticketType ?? ''}.${account}`, value }]
  },
}

function wxjavaKey({ kind, account, platform, agentId, ticketType }: Named, prefix: string | null): string | null {
  const start = prefix ?? 'wx'
  // The parts of WxJava for WeCom and for third-party platforms have no prefix of their own.
  const before = prefix === null || prefix === '' ? '' : prefix.endsWith(':') ? prefix : `${prefix}:`
  const app = agentId === null ? account : `${account}:${agentId}`
  switch (kind) {
    case 'wechat':
      return `${start}:access_token:${account}`
    case 'wechat-ticket': {
      if (platform === null) return `${start}:ticket:key:${account}:${ticketType ?? ''}`
      const kept = ticketType === 'wx_card' ? 'wechat_card_api_ticket' : 'wechat_jsapi_ticket'
      return `${before}${kept}:${platform}:${account}`
    }
    case 'wechat-component':
      return `${before}wechat_component_access_token:${account}`
    case 'wechat-authorizer':
      return `${before}wechat_authorizer_access_token:${platform ?? ''}:${account}`
    case 'wecom':
      return `${before}wechat_cp_access_token_key:${app}`
    case 'wecom-ticket':
      return `${before}wechat_cp_${ticketType === 'agent_config' ? 'agent_' : ''}jsapi_ticket_key:${app}`
    default:
      return null
  }
}

function wechatpyItem({ kind, account, secret, ticketType }: Named): string | null {
  if (kind === 'wechat') return `${account}_access_token`
  if (kind === 'wecom') return `${account}_${(secret?.reveal() ?? '').slice(0, 10)}_access_token`
  if (kind === 'wecom-ticket') return `${account}_${ticketType === 'agent_config' ? 'agent_' : ''}jsapi_ticket`
  if (kind !== 'wechat-ticket') return null
  return ticketType === 'wx_card' ? `${account}_jsapi_card_ticket` : `${account}_jsapi_ticket`
}

/** A reader of the stable and one of the classic call look under different keys; a token of either serves both. */
function silenceperKeys({ kind, account, agentId, ticketType }: Named, prefix: string | null): readonly string[] {
  const start = prefix ?? (kind.startsWith('wecom') ? 'gowechat_work_' : 'gowechat_officialaccount_')
  if (kind === 'wechat') return [`${start}_access_token_${account}`, `${start}_stable_access_token_${account}`]
  if (kind === 'wechat-ticket') return ticketType === 'jsapi' ? [`${start}_jsapi_ticket_${account}`] : []
  if (kind === 'wecom') return [`${start}_access_token_${account}${agentId === null ? '' : `_${agentId}`}`]
  if (kind !== 'wecom-ticket') return []
  if (ticketType === 'jsapi') return [`${start}_corp_jsapi_ticket_${account}`]
  return agentId === null ? [] : [`${start}_agent_jsapi_ticket_${account}_${agentId}`]
}

/** What may stand in a template, with its braces. */
export const templateWords = ['name', 'account', 'type', 'token', 'json', 'version', 'issued_at', 'expires_at'] as const

/** Words that would put a secret into a key, or change it with each token. */
const notInKeys: readonly string[] = ['token', 'json', 'version', 'issued_at', 'expires_at']

/** The first `{word}` of a key's template that may not stand there; null when all is well. */
export function wrongWordInKey(template: string): string | null {
  const allowed = templateWords.filter((word) => !notInKeys.includes(word))
  for (const [whole, word = ''] of template.matchAll(/\{([^{}]*)\}|[{}]/g)) {
    if (!allowed.some((one) => one === word)) return whole
  }
  return null
}

/** Null when the source has nothing to put in for one of the words. */
function filled(
  template: string,
  of: LaidOut,
  token: LaidToken,
  shown: (text: string) => string = (text) => text,
): string | null {
  const words: Readonly<Record<(typeof templateWords)[number], string | null>> = {
    name: of.name,
    account: of.account,
    type: of.ticketType,
    token: token.token,
    json: JSON.stringify(jsonContent(of.name, token)),
    version: String(token.version),
    issued_at: String(Math.floor(token.issuedAt / 1_000)),
    expires_at: String(Math.floor(token.expiresAt / 1_000)),
  }
  const known = [...template.matchAll(/\{([a-z_]+)\}/g)].map(([, word]) => templateWords.find((one) => one === word))
  if (known.some((word) => word !== undefined && words[word] === null)) return null
  return template.replace(/\{([a-z_]+)\}/g, (whole, written: string) => {
    const word = templateWords.find((one) => one === written)
    return word === undefined ? whole : shown(words[word] ?? '')
  })
}

/** In a template that is JSON, what is put in is escaped, so that no token can break out of its quotes. */
function filledValue(template: string, of: LaidOut, token: LaidToken): string | null {
  return filled(template, of, token, isJson(template) ? (text) => JSON.stringify(text).slice(1, -1) : undefined)
}

function isJson(template: string): boolean {
  try {
    const example: unknown = JSON.parse(template.replace(/\{[a-z_]+\}/g, '0'))
    return typeof example !== 'number'
  } catch {
    return false
  }
}

/** The token as an object, the same in files and in Redis. */
export function jsonContent(name: string, { token, version, issuedAt, expiresAt, fields }: LaidToken): JsonObject {
  return {
    name,
    token,
    expires_at: Math.floor(expiresAt / 1_000),
    issued_at: Math.floor(issuedAt / 1_000),
    version,
    fields,
  }
}
