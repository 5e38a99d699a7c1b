/** JSON shapes of `/v1`, types only. Seconds and epoch seconds, as callers of token APIs expect. */

export type TokenAnswer = {
  readonly name: string
  readonly token: string
  /** Whole seconds for which a caller may rely on this token. */
  readonly expires_in: number
  /** When the token ends for callers, epoch seconds; never later than `expires_in` from now. */
  readonly expires_at: number
  /** Epoch seconds. */
  readonly issued_at: number
  readonly version: number
  /** The upstream's whole answer. */
  readonly fields: Readonly<Record<string, unknown>>
  /**
   * Present and true when the token may be dead: this node has lost touch with the store for so long that it may have been
   * replaced elsewhere, or two requests for a new one were left without an answer.
   */
  readonly stale?: true
}

export type RefreshAnswer = TokenAnswer & {
  readonly refreshed: boolean
  /**
   * Why nothing was refreshed: `not_current` (a newer token is there), `recently_refreshed`, `unchanged` (the upstream gave
   * the same token), `alive` (the platform says that the reported token lives).
   */
  readonly reason?: 'not_current' | 'recently_refreshed' | 'unchanged' | 'alive'
}

export type SourceStateWord =
  'fresh' | 'due' | 'refreshing' | 'in-doubt' | 'failing' | 'waiting' | 'no-token' | 'needs-authorization'

export type SourceAnswer = {
  readonly name: string
  readonly provider: string
  readonly origin: 'file' | 'store'
  readonly needs: readonly string[]
  readonly state: SourceStateWord
  /** One sentence: what happens next and why, as the keeper decided it. */
  readonly reason: string
  readonly version: number
  /** Whole seconds for which a caller may rely on the token; null without one. */
  readonly expires_in: number | null
  readonly issued_at: number | null
  /** Whole seconds until the next refresh is due; 0 when it is due now. */
  readonly next_refresh_in: number
  readonly attempts_today: number
  readonly daily_limit: number | null
  readonly trouble: null | {
    readonly class: string
    readonly code: string
    readonly message: string
    readonly upstream?: { readonly errcode: string | number; readonly errmsg: string }
    readonly hint?: string
    /** Failures in a row. */
    readonly count: number
    /** Epoch seconds. */
    readonly since: number
  }
  /** Somebody else seems to fetch tokens for this account. */
  readonly conflict: boolean
  /** What speaks for it; absent while there is no conflict. */
  readonly conflict_signs?: {
    /** Of the last death: the platform `refused` the token, or has `replaced` it unasked. */
    readonly sign: 'refused' | 'replaced'
    /** Tokens that died early since then. */
    readonly deaths: number
    /** Epoch seconds. */
    readonly since: number
    readonly last: number
    /** What to do, in the caller's language. */
    readonly hint: string
  }
  /** When a person last authorised it, epoch seconds; absent where none did. */
  readonly authorized_at?: number
  /** While it needs to be authorised: the path on this server where a person does that. */
  readonly authorize?: string
}

export type SourcesAnswer = { readonly sources: readonly SourceAnswer[]; readonly next: string | null }

/** A link by which a person without a key may authorise one source, once. */
export type AuthorizeAnswer = { readonly url: string; readonly expires_in: number }

/** What became of a part of the accounts that a platform lists under a source. */
export type RecoveryAnswer = {
  /** Accounts that have authorised the source, as the platform tells it. */
  readonly total: number
  /** Where the next part begins; null: that was the last. */
  readonly next: number | null
  readonly made: number
  readonly mended: number
  readonly kept: number
  readonly failed: readonly { readonly name: string; readonly detail: string }[]
}

/** The last messages that the platform sent to a source, as one process saw them. */
export type CallbackAnswer = {
  readonly name: string
  /** The newest first. */
  readonly messages: readonly {
    /** Epoch seconds. */
    readonly at: number
    readonly verdict: string
    readonly type: string | null
    readonly event: string | null
    readonly account: string | null
    readonly took_ms: number
    /** Empty while the message is still being forwarded. */
    readonly forwards: readonly {
      /** Without the query. */
      readonly to: string
      readonly outcome: string
      readonly status: number | null
      readonly took_ms: number
    }[]
  }[]
  /** Requests that were not believed, by reason. */
  readonly refusals: readonly { readonly reason: string; readonly count: number; readonly last_at: number }[]
}

/** The first thing on a stream of events, and what is told again when something may have been missed. */
export type StreamStart = {
  /** Seconds after which something comes, though nothing happens. */
  readonly heartbeat: number
  /** What this node serves of the names that were asked for without a `*`, as far as it holds them in memory. */
  readonly versions: Readonly<Record<string, number>>
}

/** Why a stream cannot go on where the last one ended: everything must be looked at again. */
export type StreamReset = StreamStart & { readonly reason: 'unknown-id' | 'too-old' | 'store' }

/** A past fact as `/v1/events` tells it; its type is the type of the event. */
export type EventAnswer = {
  readonly type: string
  /** The source; absent for facts of a whole node. */
  readonly name?: string
  /** Epoch seconds with a fraction, by the clock of the node that tells it. */
  readonly at: number
  /** Of `rotated`, `repeated`, `uncommitted`, `reported`, `expired`. */
  readonly version?: number
  /** Epoch seconds. */
  readonly expires_at?: number
  /** Of `rotated`: why it was asked for. */
  readonly reason?: string
  /** Of `failing`: the class of the failure, its code and words. */
  readonly class?: string
  readonly code?: string
  readonly message?: string
  readonly hint?: string
  readonly upstream?: { readonly errcode: string | number; readonly errmsg: string }
  readonly [more: string]: unknown
}

/** How one sink is doing on the node that answers. */
export type SinkAnswer = {
  readonly name: string
  readonly kind: 'file' | 'redis' | 'webhook' | 'kubernetes'
  /** Where it writes to, without secrets. */
  readonly to: string
  readonly state: 'ok' | 'failing'
  /** Sources that wait for their delivery. */
  readonly pending: number
  readonly delivered: number
  /** Failures since the last success. */
  readonly failures: number
  /** Since when it fails, epoch seconds. */
  readonly trouble: { readonly since: number; readonly message: string } | null
  readonly last_delivered_at: number | null
  readonly dropped_count: number
  /** What was not delivered and never will be; the newest first, fifty at most. */
  readonly dropped: readonly {
    readonly source: string
    /** Null is the news that the source was removed. */
    readonly version: number | null
    readonly reason: 'superseded' | 'expired' | 'refused'
    readonly at: number
    readonly message: string
  }[]
}

export type SinksAnswer = { readonly sinks: readonly SinkAnswer[] }
