/** The door of the keeper's room: what the surfaces, the library and the app may ask of it. */
import type { JsonObject } from '../base/json.ts'
import type { KeeperEvent } from '../model/event.ts'
import type { Issued } from '../model/failure.ts'
import type { Given } from '../model/grant.ts'
import type { Contest } from '../model/conflict.ts'
import type { Trouble } from '../model/entry.ts'
import type { StateWord } from '../model/state.ts'
import type { Source } from '../model/source.ts'
import type { Witness } from '../model/suspicion.ts'

export type { Witness } from '../model/suspicion.ts'

/** One version of a source's token as callers see it: immutable, one object per commit, so no read is torn. */
export type Snapshot = {
  readonly name: string
  readonly token: string
  readonly version: number
  /** Wall time, epoch ms. */
  readonly issuedAt: number
  /** The instant up to which a caller may rely on the token (see model/expiry.ts); wall time, epoch ms. */
  readonly expiresAt: number
  readonly fields: JsonObject
}

export type Reading = {
  readonly snapshot: Snapshot
  /** Milliseconds for which a caller may rely on the token; above 0. */
  readonly leftMs: number
  /** This node has lost touch with the store for so long that the token may have been replaced elsewhere. */
  readonly stale: boolean
}

export type Refreshed = Reading & {
  readonly refreshed: boolean
  readonly reason?: 'not_current' | 'recently_refreshed' | 'unchanged' | 'alive'
}

export type RefreshOptions = {
  /** The token that was refused: refresh only if it is still the current one. Absent: refresh now. */
  readonly stale?: string
  /** Without `stale`: a token younger than this, or than a quarter of its life, is given as it is. */
  readonly minAgeMs?: number
  /** Who says that it was refused; default: a caller without a name. */
  readonly witness?: Witness
  /** Default 8 s. */
  readonly waitMs?: number
}

export type GetOptions = {
  /** At least this much time left, refreshing first if need be. */
  readonly minTtlMs?: number
  /** How long to wait for a refresh when there is nothing to serve; default 5 s. */
  readonly waitMs?: number
  readonly signal?: AbortSignal
}

export type SourceState = {
  readonly source: Source
  readonly state: StateWord
  readonly reason: string
  readonly snapshot: Snapshot | null
  readonly leftMs: number | null
  readonly nextRefreshMs: number
  readonly attemptsToday: number
  readonly dailyLimit: number | null
  readonly trouble: Trouble | null
  /** Signs that somebody else fetches for this account; instants are wall time. Null while there is none. */
  readonly contest: Contest | null
  /** When a person last authorised it, by the store's clock; null where none did, or the way is another. */
  readonly authorizedAt: number | null
}

/** A grant as the platform tells it again, and how long ago it was asked for, in milliseconds. */
export type Told = { readonly value: string; readonly toldAgoMs: number }

/** What a person's authorisation brought, and how long ago it was asked for, in milliseconds. */
export type Brought = { readonly issued: Issued; readonly sentAgoMs: number }

/**
 * Those who watch sources from here, whichever node keeps them fresh. What this node does itself is told as its events; an
 * audience hears what is seen in the store, and that may be the same once more.
 */
export type Audience = {
  /** Whether anybody watches the source of that name: then its changes are looked at, though nobody reads it here. */
  wants(name: string): boolean
  /** What another node did, as far as its entry tells. */
  hear(event: KeeperEvent): void
  /** The store cannot say what changed since the last look: something may never be told. */
  miss(): void
}

export type Keeper = {
  /**
   * The living token of a source that this node serves, without waiting; undefined when `get` must be asked.
   * Only sources that were read before are known here: memory follows what is read.
   */
  peek(name: string): Snapshot | undefined
  /** Milliseconds for which callers may rely on a snapshot: 0 or less means it is over. */
  leftMs(snapshot: Snapshot): number
  /** True while this node may be behind the other nodes. */
  isStale(snapshot: Snapshot): boolean
  /**
   * The token of a source, refreshing first when there is none. Throws `not_found`, `token_unavailable`,
   * `min_ttl_too_long`, `closed`.
   */
  get(name: string, options?: GetOptions): Promise<Reading>
  /** Waits up to `waitMs` for a version other than `version`; null when none came. */
  next(name: string, version: number, waitMs: number, signal?: AbortSignal): Promise<Reading | null>
  /**
   * Compare-and-refresh with `stale`; without it, a refresh now. Throws as `get`, and `budget_spent`. Whoever saw the
   * platform refuse a token passes it here, with the witness, and goes on with the token of the answer.
   */
  refresh(name: string, options?: RefreshOptions): Promise<Refreshed>
  /** A hint that this version may be dead. Answers at once; at most the platform is asked whether it is so. */
  hint(name: string, version: number, witness: Witness): void
  /** The newest token that store and node know, without refreshing; null while none lives. Rejects while neither can say. */
  newest(name: string): Promise<Snapshot | null>
  /**
   * The source that issued this token, current or lately replaced, among those this node has served; and for how long this
   * very token may be relied on, in milliseconds, 0 or less when that is over.
   */
  ownerOf(
    token: string,
  ): { readonly source: Source; readonly snapshot: Snapshot | undefined; readonly leftMs: number } | undefined
  /** The same, and what other nodes on this store have served; looks through the store when it must, and throws as it does. */
  findOwner(token: string): Promise<ReturnType<Keeper['ownerOf']>>
  /** Sources whose credential names this account (appid, corpid), in order of the configuration. */
  byAccount(account: string): Promise<readonly Source[]>
  /** Sources that are asked with this one's token (its tickets), in order of the configuration. */
  dependents(name: string): Promise<readonly Source[]>
  source(name: string): Promise<Source | undefined>
  state(name: string): Promise<SourceState | undefined>
  /** All sources by name, in pages; `after` is the `next` of the page before. */
  states(query: {
    readonly after?: string
    readonly limit: number
  }): Promise<{ states: readonly SourceState[]; next: string | null }>
  /** Adds or changes a source while running; throws `conflict` for one of the configuration file, `config_invalid`. */
  put(name: string, definition: JsonObject): Promise<{ readonly created: boolean }>
  /** Takes in a grant that the platform pushed; false when it, or a later one, is known. Throws `not_found`. */
  deliver(name: string, given: Given): Promise<boolean>
  /**
   * Takes in what a person's authorisation brought: to a source that there is, or with `definition` to one that is made by
   * it; one that says more than `definition` stays as it is. Throws as `put`, and `not_found`. What the store could not take
   * is kept as soon as it can, behind the error.
   */
  authorize(name: string, brought: Brought, definition?: JsonObject): Promise<void>
  /**
   * Sees to it that there is a source with the grant that the platform tells again; null where it tells
   * only that there is one: then the upstream is asked for it. Throws as `put`.
   */
  mend(name: string, definition: JsonObject, told: Told | null): Promise<'made' | 'mended' | 'kept'>
  /**
   * The platform withdrew the authorisation of a source: its token is dropped, and nobody asks for another. Nothing
   * happens where it was authorised anew after `at`.
   */
  revoke(name: string, at?: number | null): Promise<void>
  /** Removes a source that was added while running; false when there is none. */
  remove(name: string): Promise<boolean>
  /** Replaces the sources of the configuration file, whole. */
  replaceSources(sources: readonly Source[]): Promise<void>
  /**
   * The sources of the configuration are known, and the store answers; while it is silent, only as long as this node
   * remembers living tokens, and none that others may have replaced since.
   */
  isReady(): boolean
  /** Ends within ten seconds: no new attempt starts, those in the air land or are left to the next node. */
  stop(): Promise<void>
}
