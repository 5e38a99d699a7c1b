/** What happened, as past facts. Never a token or a secret. `docs/events.md` lists them; a test keeps the two equal. */
import type { Said, Sign } from './entry.ts'
import type { Failure, RejectionClass } from './failure.ts'

type Fact<Type extends string, Rest = unknown> = {
  readonly type: Type
  /** The source. */
  readonly name: string
  /** Wall time of this node, epoch milliseconds. */
  readonly at: number
} & Readonly<Rest>

export type KeeperEvent =
  /** A new token value was committed. `reason` is the sentence of `decide` that caused the attempt. */
  | Fact<'rotated', { version: number; expiresAt: number; reason: string }>
  /** The upstream gave the same token again: no new version. */
  | Fact<'repeated', { version: number; expiresAt: number }>
  /** An attempt ended; one for every request that may have left. */
  | Fact<'attempted', { outcome: 'issued' | 'rejected' | 'not-sent' | 'unknown'; forced: boolean; tookMs: number }>
  /** The first failure after success. */
  | Fact<'failing', { class: RejectionClass | 'unknown' | 'not-sent'; failure: Failure }>
  /** The first success after failures. */
  | Fact<'recovered', { failures: number }>
  /** Somebody reported version `version` as refused by the upstream. */
  | Fact<'reported', { version: number }>
  /** An answer arrived after its lease was lost. */
  | Fact<'strayed'>
  /** Somebody said that a token is dead, and the platform was asked. `said`: see `Said` in model/entry.ts. */
  | Fact<'probed', { version: number; said: Said; tookMs: number }>
  /** A client keeps saying that living tokens are dead. Null is a caller without a key. Once per row, by one node. */
  | Fact<'false-reports', { client: string | null; times: number }>
  /**
   * Tokens die early though nobody here replaces them: somebody else fetches for this account. Once per row of deaths, by
   * one node; `since` is the first of them, epoch ms.
   */
  | Fact<'conflict', { deaths: number; sign: Sign; since: number }>
  /** No token has died early for a day. `lastedMs`: from the first death to the last. */
  | Fact<'conflict-over', { deaths: number; lastedMs: number }>
  /** The token ended before a new one could be had. */
  | Fact<'expired', { version: number }>
  /** A token was issued but the store could not be written; it is served and the commit is tried again. */
  | Fact<'uncommitted', { version: number }>
  /** A grant came that neither the store nor the place beside it could take: it is in the memory of this process only. */
  | Fact<'grant-at-risk'>
  /** A person authorised the source, or did so anew. */
  | Fact<'authorized'>
  /** The platform withdrew its authorisation: there is no token until somebody authorises anew. */
  | Fact<'revoked'>
  /** The platform has pushed no grant for twice its pace. Once per silence, by one node. `lateMs`: since the last, or since we look. */
  | Fact<'push-late', { lateMs: number }>
  /** The platform was asked to push the grant again; `failure` where it could not be asked. */
  | Fact<'push-asked', { failure: Failure | null }>
  | Fact<'added'>
  | Fact<'changed'>
  | Fact<'removed'>

/** The store does not answer or cannot be written, and then does both again. */
export type NodeEvent =
  | { readonly type: 'store-lost'; readonly at: number; readonly message: string }
  | { readonly type: 'store-back'; readonly at: number; readonly awayMs: number }

/** What platforms send to a source, where somebody should look. The same is told once a minute at most. */
export type CallbackEvent =
  /** A request to the source's callback was not believed. `reason` is a word of `callbacks/scheme.ts`. */
  | Fact<'callback-refused', { reason: string }>
  /** A receiver did not take a message; `to` is its address without the query. */
  | Fact<'forward-failed', { to: string; outcome: string }>

/** Where tokens are passed on to. `sink` is its name in the configuration, `source` the source that it was about. */
export type SinkEvent =
  /** The first failure of a sink after success; it goes on trying. */
  | {
      readonly type: 'sink-failing'
      readonly at: number
      readonly sink: string
      readonly source: string
      readonly message: string
    }
  /** Everything that failed has been delivered or overtaken since. */
  | { readonly type: 'sink-recovered'; readonly at: number; readonly sink: string; readonly failedMs: number }
  /** A version will never be delivered; null is the news that the source was removed. Told once a minute at most. */
  | {
      readonly type: 'sink-dropped'
      readonly at: number
      readonly sink: string
      readonly source: string
      readonly version: number | null
      readonly reason: 'superseded' | 'expired' | 'refused'
      readonly message: string
    }

export type ZhongkongEvent = KeeperEvent | NodeEvent | CallbackEvent | SinkEvent

export type EventType = ZhongkongEvent['type']

/** Every type of event, for subscribers that list or count them. */
export const eventTypes = [
  'rotated',
  'repeated',
  'attempted',
  'failing',
  'recovered',
  'reported',
  'strayed',
  'probed',
  'false-reports',
  'conflict',
  'conflict-over',
  'expired',
  'uncommitted',
  'grant-at-risk',
  'authorized',
  'revoked',
  'push-late',
  'push-asked',
  'added',
  'changed',
  'removed',
  'store-lost',
  'store-back',
  'callback-refused',
  'forward-failed',
  'sink-failing',
  'sink-recovered',
  'sink-dropped',
] as const satisfies readonly EventType[]
