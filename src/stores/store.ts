/**
 * The store contract: versioned records with compare-and-swap, a due index, a change feed and a clock. Nothing more.
 * No locks, no time to live, no transactions: lease, fence, backoff and budgets are pure functions over the entry.
 *
 * What every store must hold, and `test/conformance/store-conformance.ts` checks:
 *
 * 1. **A record is `{ body, revision }`.** A name never written has `{ body: null, revision: 0 }`; one that was removed
 *    has `{ body: null, revision: n }`. Each successful write raises the revision by exactly one, also when the body is
 *    null and also when a removed name is written again: a revision of a name is never used twice. So a store that lost
 *    records to an outside hand begins names it does not know (any more) above 0.
 * 2. **`write(name, change, ifRevision)`** applies only if the record's revision equals `ifRevision`, and answers the new
 *    revision; otherwise it answers `null` and changes nothing. That is not an error: somebody was faster.
 *    When it answers, the write is durable and every later `read` by anybody sees it. When it throws, the
 *    write may or may not have happened; the caller must read to know.
 * 3. **`scan({ dueBefore })`** gives the living records with `dueAt < dueBefore`, by (dueAt, name).
 *    **`scan({})`** gives the living records by name. Both in pages: pass the answer's `next` as `after`; a page may be
 *    shorter than `limit`, and `next: null` ends. A record changed during the scan may be missed or come twice.
 * 4. **`changes(since, limit)`** gives what changed after a cursor, removed names included, at least once, in the
 *    order in which changes became visible: a write that commits late is not skipped. `since: null` gives only a cursor for now.
 *    A store may forget removals after a week; it then answers `reset: true`, and the caller looks at everything anew.
 *    So does one that may have lost its last writes because a replica took over, where that can be seen. Revisions may
 *    then come again, so those learnt before lose the race from there on, and those learnt after are greater
 *    (lined-revision.ts); only 0, nothing at all, stays 0.
 * 5. **`watch(onChange)`** calls back soon after a change by any node (push where there is one, otherwise polling; at
 *    most one second late). It may call too often and may miss calls: `changes` is what must not.
 * 6. **`now()`** is the store's own clock in epoch milliseconds. It never goes back while the store is open, and all
 *    nodes on one store agree on it to within a few milliseconds. Leases are judged by it.
 * 7. Every call ends within `storeMsMax` (it throws `store_unavailable` or `store_full` after that), and leaves nothing
 *    running when it throws. `close()` is idempotent; calls after it throw `store_unavailable`.
 *
 * Bodies are opaque texts: `sealed` encrypts entries into them. A store never looks inside.
 */

import type { JsonObject } from '../base/json.ts'
import type { Text } from '../base/text.ts'
import type { Entry } from '../model/entry.ts'

/** What people should know of a store, for the log. */
export type Notice = Text & {
  /** Nothing is wrong as far as is known: something could not be looked at, say. */
  readonly isCalm?: true
}

/** What a store keeps of a name. */
export type StoredRecord = { readonly body: string | null; readonly revision: number }

/** A write: the new body (null removes the name) and the instant by which it is due. */
export type Change = { readonly body: string | null; readonly dueAt: number }

export type ScanQuery = {
  /** Only records with an earlier `dueAt`, ordered by it. */
  readonly dueBefore?: number
  /** The `next` of the page before. */
  readonly after?: string
  /** Records per page; 1 to 1 000. */
  readonly limit: number
}

export type ScanPage<R> = { readonly records: readonly R[]; readonly next: string | null }

export type NamedRecord = {
  readonly name: string
  readonly body: string
  readonly revision: number
  readonly dueAt: number
}

export type Changes = {
  readonly changed: readonly { readonly name: string; readonly revision: number }[]
  readonly cursor: string
  /** More than `limit` changed: ask again with `cursor`. */
  readonly more: boolean
  /** The cursor is too old: everything must be looked at anew. */
  readonly reset: boolean
}

export type Store = {
  /** For people and metrics: `memory`, `sqlite`, … */
  readonly kind: string
  read(name: string): Promise<StoredRecord>
  write(name: string, change: Change, ifRevision: number): Promise<number | null>
  scan(query: ScanQuery): Promise<ScanPage<NamedRecord>>
  changes(since: string | null, limit: number): Promise<Changes>
  watch(onChange: () => void): () => void
  now(): Promise<number>
  close(): Promise<void>
}

/** A record as the keeper sees it: opened by `sealed`. */
export type EntryRecord = { readonly entry: Entry | null; readonly revision: number }

export type NamedEntry = {
  readonly name: string
  readonly entry: Entry
  readonly revision: number
  readonly dueAt: number
}

/**
 * The same contract over entries, as `sealed` makes it from a `Store`. A record that cannot be opened throws
 * `seal_broken` when read; a scan goes on past it and names it in `broken`.
 */
export type EntryStore = {
  readonly kind: string
  /** Absent where nothing outlives the process anyway. */
  readonly spill?: Spill
  read(name: string): Promise<EntryRecord>
  /** `dueAt` is the instant by which somebody must look at the entry again. */
  write(
    name: string,
    change: { readonly entry: Entry | null; readonly dueAt: number },
    ifRevision: number,
  ): Promise<number | null>
  scan(query: ScanQuery): Promise<ScanPage<NamedEntry> & { readonly broken: readonly string[] }>
  changes(since: string | null, limit: number): Promise<Changes>
  watch(onChange: () => void): () => void
  now(): Promise<number>
  close(): Promise<void>
}

/** A grant that the store could not take, and what is needed to put it where it belongs. */
export type Spilled = {
  readonly value: string
  readonly lifetimeMs: number | null
  /** When it was asked for, by the store's clock. */
  readonly sentAt: number
  /** The grant it was asked with; null where none was. */
  readonly asked: string | null
  /** When the person authorised who brought it; absent where none did. */
  readonly since?: number
  /** The account it is for. */
  readonly identity: string
  /** Of a source that is made by it, should there be none. */
  readonly definition?: JsonObject
}

/**
 * A place of last resort beside the store, for what an upstream gives once. Everybody on the machine may put back what
 * anybody left there, twice if need be: a grant that the entry has already changes nothing.
 */
export type Spill = {
  /** Durable when it resolves; throws when it cannot be. A later one of the same source takes the place of an earlier. */
  save(name: string, spilled: Spilled): Promise<void>
  drop(name: string): Promise<void>
  /** What processes left there; what cannot be opened is left alone. */
  left(): Promise<readonly { readonly name: string; readonly spilled: Spilled }[]>
}

/** No call to a store takes longer than this, in milliseconds. */
export const storeMsMax = 2_000
