/** A source: one configured thing that yields a token. Parsed at the edge by the provider catalogue, trusted inside. */
import type { JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from './semantics.ts'

/** The refresh policy keys of a source, in milliseconds; absent keys follow the provider's semantics. */
export type RefreshPolicy = {
  /** Refresh this long before the end (`refresh_before`). */
  readonly refreshBeforeMs?: number
  /** A token younger than this is not refreshed again because somebody reported it (`min_interval`, default 30 s). */
  readonly minIntervalMs: number
  /** Issues per 24 hours (`daily_limit`); the upstream's own limit when absent. */
  readonly dailyLimit?: number
  /** How long a replaced token still works (`overlap`); the upstream's own grace when absent. */
  readonly overlapMs?: number
  /** Total time of one attempt (`timeout`, default 8 s). */
  readonly timeoutMs: number
  /** HTTP proxy for this source's requests. */
  readonly proxy?: string
  /** All of its proxies, `proxy` first, where there are several; the gateway goes through them in turn. */
  readonly proxies?: readonly string[]
  /** What was written about the gateway; null: nothing goes through it. */
  readonly gateway?: WrittenGateway | null
}

/** Which calls may be made. A rule is a glob over paths, or over a method, a space and the path. */
export type CallRules = {
  /** Null: all but what is denied. */
  readonly allow: readonly string[] | null
  readonly deny: readonly string[]
  /** Calls in a second; null: no limit. */
  readonly perSecond: number | null
}

export type WrittenGateway = CallRules & { readonly baseUrl?: string }

/** Where and how ordinary calls with this source's token go. */
export type SourceGateway = CallRules & { readonly baseUrl: string }

export type Source = {
  readonly name: string
  /** The provider's kind, such as `wechat`. */
  readonly kind: string
  /** The definition as it was written, references resolved; holds secrets in the clear, so it is never printed. */
  readonly definition: JsonObject
  /** The provider's own parsed settings; only that provider reads them. */
  readonly settings: unknown
  readonly policy: RefreshPolicy
  /** Names of the sources whose token this one is asked with, in order of first use. */
  readonly needs: readonly string[]
  readonly semantics: Semantics
  /** Names the upstream account and channel, without secrets: a token belongs to one identity. */
  readonly identity: string
  /**
   * The line of tokens that it takes part in, named alike by every kind of source that can ask for one of them; absent
   * where no other kind can, and the identity says it all.
   */
  readonly channel?: string
  /** A digest of the whole definition: failures belong to one generation. */
  readonly generation: string
  /** `file`: from the configuration; `store`: added while running, kept in the store. */
  readonly origin: 'file' | 'store'
  /** Who callers of the upstream's own wire format say they are: `account` is the appid or corpid. */
  readonly credential: Credential | null
  /** The grant that the configuration holds (a refresh token); the entry's own is used once there is one. */
  readonly seed: { readonly value: Secret; readonly digest: string } | null
  /** The platform's server callback, where the source has one. */
  readonly callback: Callback | null
  /** The account that its token belongs to, where pages know it by another name than `credential` has, or there is none. */
  readonly account?: string
  /** What its tickets sign; absent where they are none. */
  readonly signing?: Signing
  /** Absent where no ordinary calls are passed on. */
  readonly gateway?: SourceGateway
  /** Sources under this one that are made when they are first read; absent where there are none. */
  readonly offspring?: Offspring
}

/** How tickets of a source are used. */
export type Signing = {
  readonly scheme: 'wechat' | 'wecom' | 'wecom-agent' | 'wechat-card' | 'dingtalk' | 'feishu'
  /** Domains whose pages get signatures without a key, as `page-domain.ts` writes them. With a list, no other page does. */
  readonly domains: readonly string[]
  /** The account that pages name, where the definition says it; otherwise that of the source above. */
  readonly account?: string
  /** The app within the account, where the definition says it. */
  readonly agentId?: string
}

/** Definitions without `of`, by the last part of the name. */
export type Offspring = Readonly<Record<string, JsonObject>>

export type Credential = { readonly account: string; readonly secret: Secret }

/** How a family of platforms signs, encrypts and is answered (`callbacks/schemes.ts`). */
export const callbackSchemes = ['wechat', 'wecom', 'dingtalk', 'feishu'] as const

export type CallbackScheme = (typeof callbackSchemes)[number]

export type Callback = {
  readonly scheme: CallbackScheme
  readonly token: Secret
  /** EncodingAESKey, or Feishu's Encrypt Key. With one, nothing that is not encrypted is believed. */
  readonly aesKey: Secret | null
  /** The ids that an encrypted message may end in; that it names one of ours says that it was meant for us. */
  readonly receiveIds: readonly string[]
  readonly forward: readonly ForwardTarget[]
  /** Freshness window of timestamps, in seconds; 0 is no window. */
  readonly maxAgeSeconds: number
}

/** Where messages go that are not for this server. Null means whichever. */
export type ForwardTarget = {
  readonly to: string
  readonly types: readonly string[] | null
  readonly events: readonly string[] | null
  readonly accounts: readonly string[] | null
}

/**
 * Names of sources: what fits in a URL and a file name. Slashes separate a platform from its accounts; no part begins
 * with a dot, as every URL parser takes `a/../b` for `b`.
 */
export const sourceName = /^(?=.{1,128}$)[A-Za-z0-9_][A-Za-z0-9_.:@-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.:@-]*)*$/

/** The line of tokens in which each issue of this source retires the one before; null where none does. */
export function retiredChannel(source: Source): string | null {
  return source.semantics.reissue === 'retires-previous' ? (source.channel ?? source.identity) : null
}

/**
 * Sources that would retire each other's tokens: they name one account of an upstream whose every issue retires the
 * token before. Answers each such source with the first one of its account.
 */
export function rivals(sources: readonly Source[]): readonly { readonly source: Source; readonly first: Source }[] {
  const firstOf = new Map<string, Source>()
  const found: { source: Source; first: Source }[] = []
  for (const source of sources) {
    const channel = retiredChannel(source)
    if (channel === null) continue
    const first = firstOf.get(channel)
    if (first === undefined) firstOf.set(channel, source)
    else found.push({ source, first })
  }
  return found
}

/** How long a replaced token of this source still works, in milliseconds, never more than a quarter of `lifetimeMs`. */
export function graceMsOf(source: Source, lifetimeMs: number): number {
  return Math.min(source.policy.overlapMs ?? source.semantics.graceMs, Math.floor(lifetimeMs / 4))
}

/** The youngest age at which a token is replaced because somebody says so, in milliseconds; shorter lives scale it down. */
export function youngestMs(minAgeMs: number, lifetimeMs: number): number {
  return Math.min(minAgeMs, Math.floor(lifetimeMs / 4))
}

/** The same where somebody reported it. */
export function minIntervalMsOf(source: Source, lifetimeMs: number): number {
  return youngestMs(source.policy.minIntervalMs, lifetimeMs)
}
