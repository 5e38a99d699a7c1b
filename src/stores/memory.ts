/** The store that forgets: records in this process, for tests, demos and `memory:`. It is the model the others are compared with. */
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { SteadyClock } from './steady-clock.ts'
import {
  checkChange,
  checkInstant,
  checkLimit,
  checkName,
  checkRevision,
  formatDuePlace,
  parseDuePlace,
} from './store-arguments.ts'
import type { Change, Changes, NamedRecord, ScanPage, ScanQuery, Store, StoredRecord } from './store.ts'
import { Watchers } from './watchers.ts'

type Kept = {
  readonly body: string | null
  readonly revision: number
  readonly dueAt: number
  /** The number of the write that made it: the order of the change feed. */
  readonly changed: number
}

/** A store in memory. It lives as long as it is referred to and ends with the process. */
export function createMemoryStore(env: Env): Store {
  return new MemoryStore(env)
}

class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly #clock: SteadyClock
  readonly #watchers = new Watchers()
  readonly #records = new Map<string, Kept>()
  /** Names of living records in order; null when a name came or went since it was made. */
  #livingNames: string[] | null = []
  /** Every write in order. A row is stale when its record was written again; stale rows are dropped now and then. */
  #log: { readonly changed: number; readonly name: string }[] = []
  #sequence = 0
  #isClosed = false

  constructor(env: Env) {
    this.#clock = new SteadyClock(env.clock)
  }

  async read(name: string): Promise<StoredRecord> {
    this.#assertOpen()
    const kept = this.#records.get(checkName(name))
    return await Promise.resolve({ body: kept?.body ?? null, revision: kept?.revision ?? 0 })
  }

  async write(name: string, change: Change, ifRevision: number): Promise<number | null> {
    this.#assertOpen()
    const { body, dueAt } = checkChange(change)
    const before = this.#records.get(checkName(name))
    if ((before?.revision ?? 0) !== checkRevision(ifRevision)) return await Promise.resolve(null)
    this.#sequence += 1
    const revision = ifRevision + 1
    this.#records.set(name, { body, revision, dueAt, changed: this.#sequence })
    if ((before?.body ?? null) === null || body === null) this.#livingNames = null
    this.#append(name)
    this.#watchers.notify()
    return revision
  }

  async scan(query: ScanQuery): Promise<ScanPage<NamedRecord>> {
    this.#assertOpen()
    const limit = checkLimit(query.limit)
    const page =
      query.dueBefore === undefined
        ? this.#scanByName(query.after, limit)
        : this.#scanByDue(checkInstant(query.dueBefore), query.after, limit)
    return await Promise.resolve(page)
  }

  async changes(since: string | null, limit: number): Promise<Changes> {
    this.#assertOpen()
    checkLimit(limit)
    const cursor = String(this.#sequence)
    const from = since === null ? this.#sequence : /^\d{1,15}$/.test(since) ? Number(since) : NaN
    if (!(from <= this.#sequence)) return { changed: [], cursor, more: false, reset: true }
    const changed: { name: string; revision: number }[] = []
    for (let index = this.#logIndexAfter(from); index < this.#log.length; index += 1) {
      const row = this.#log[index]
      const kept = row === undefined ? undefined : this.#records.get(row.name)
      if (row === undefined || kept?.changed !== row.changed) continue
      if (changed.length === limit) return { changed, cursor: String(row.changed - 1), more: true, reset: false }
      changed.push({ name: row.name, revision: kept.revision })
    }
    return await Promise.resolve({ changed, cursor, more: false, reset: false })
  }

  watch(onChange: () => void): () => void {
    this.#assertOpen()
    return this.#watchers.add(onChange)
  }

  async now(): Promise<number> {
    this.#assertOpen()
    return await Promise.resolve(this.#clock.now())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#watchers.clear()
    await Promise.resolve()
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new ZhongkongError('store_unavailable', 'the store is closed')
  }

  #scanByName(after: string | undefined, limit: number): ScanPage<NamedRecord> {
    this.#livingNames ??= [...this.#records].flatMap(([name, kept]) => (kept.body === null ? [] : [name])).sort()
    const names = this.#livingNames
    const start = after === undefined ? 0 : firstIndex(names.length, (index) => (names[index] ?? '') > after)
    const page = names.slice(start, start + limit)
    return {
      records: page.flatMap((name) => this.#living(name)),
      next: start + limit < names.length ? (page.at(-1) ?? null) : null,
    }
  }

  #scanByDue(dueBefore: number, after: string | undefined, limit: number): ScanPage<NamedRecord> {
    const place = after === undefined ? null : parseDuePlace(after)
    const due: NamedRecord[] = []
    for (const [name, kept] of this.#records) {
      if (kept.body === null || kept.dueAt >= dueBefore) continue
      if (place !== null && (kept.dueAt < place.dueAt || (kept.dueAt === place.dueAt && name <= place.name))) continue
      due.push({ name, body: kept.body, revision: kept.revision, dueAt: kept.dueAt })
    }
    due.sort((left, right) => left.dueAt - right.dueAt || (left.name < right.name ? -1 : 1))
    const records = due.slice(0, limit)
    const last = records.at(-1)
    return { records, next: due.length > limit && last !== undefined ? formatDuePlace(last) : null }
  }

  #living(name: string): NamedRecord[] {
    const kept = this.#records.get(name)
    if (kept?.body == null) return []
    return [{ name, body: kept.body, revision: kept.revision, dueAt: kept.dueAt }]
  }

  #append(name: string): void {
    this.#log.push({ changed: this.#sequence, name })
    if (this.#log.length < 2 * this.#records.size + 1_000) return
    this.#log = this.#log.filter((row) => this.#records.get(row.name)?.changed === row.changed)
  }

  #logIndexAfter(changed: number): number {
    return firstIndex(this.#log.length, (index) => (this.#log[index]?.changed ?? Infinity) > changed)
  }
}

/** The first index for which `isPast` holds, which must hold for all after it; `length` when there is none. */
function firstIndex(length: number, isPast: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isPast(middle)) high = middle
    else low = middle + 1
  }
  return low
}
