/**
 * The one store that all nodes of a run share, on its own clock, and each node's wire to it: with delays, lost answers,
 * outages and cut wires. What the contract of `stores/store.ts` promises holds here; everything else goes wrong.
 */
import { ZhongkongError } from '../../src/base/errors.ts'
import type { Entry } from '../../src/model/entry.ts'
import type { Changes, EntryRecord, EntryStore, NamedEntry } from '../../src/stores/store.ts'
import { countOf, onLine } from '../../src/stores/lined-revision.ts'
import type { SimulatedNode } from './node.ts'
import type { World } from './world.ts'

type Row = { entry: Entry | null; revision: number; dueAt: number; changed: number }

export type WriteSeen = {
  readonly name: string
  readonly before: Entry | null
  readonly after: Entry | null
  readonly node: SimulatedNode
  readonly at: number
}

/** What a write replaced, kept for as long as a failover may lose it. */
type Undo = { readonly at: number; readonly name: string; readonly before: Row | undefined }

/** Writes older than this have reached every replica, in milliseconds. */
const replicatedMs = 5_000

export class SharedStore {
  readonly #rows = new Map<string, Row>()
  #sequence = 0
  #undo: Undo[] = []
  /** Counts failovers: cursors of before mean nothing to the store that took over. */
  #timeline = 0
  readonly watchers = new Set<{ node: SimulatedNode; onChange: () => void }>()
  /** The store's clock is not the nodes' clock. */
  readonly clockOffset: number
  #isDown = false
  onWrite: (write: WriteSeen) => void = () => undefined

  constructor(clockOffset: number) {
    this.clockOffset = clockOffset
  }

  get timeline(): number {
    return this.#timeline
  }

  get isDown(): boolean {
    return this.#isDown
  }

  setDown(isDown: boolean): void {
    this.#isDown = isDown
  }

  entry(name: string): Entry | null {
    return this.#rows.get(name)?.entry ?? null
  }

  names(): string[] {
    return [...this.#rows.keys()]
  }

  /** Deletes a row behind everybody's back, as a person with a database shell would. */
  deleteRow(name: string): void {
    this.#rows.delete(name)
  }

  read(name: string): EntryRecord {
    const row = this.#rows.get(name)
    return { entry: row?.entry ?? null, revision: row?.revision ?? 0 }
  }

  /** A replica that had not heard of the last writes takes over. Answers what each lost name was before that. */
  loseSince(since: number): ReadonlyMap<string, Entry | null> {
    const lost = new Map<string, Entry | null>()
    for (let undo = this.#undo.at(-1); undo !== undefined && undo.at > since; undo = this.#undo.at(-1)) {
      this.#undo.pop()
      if (!lost.has(undo.name)) lost.set(undo.name, this.entry(undo.name))
      if (undo.before === undefined) this.#rows.delete(undo.name)
      else this.#rows.set(undo.name, undo.before)
    }
    this.#timeline += 1
    return lost
  }

  write(
    name: string,
    change: { entry: Entry | null; dueAt: number },
    { ifRevision, at }: { readonly ifRevision: number; readonly at: number },
  ): number | null {
    const row = this.#rows.get(name)
    if ((row?.revision ?? 0) !== ifRevision) return null
    this.#sequence += 1
    const revision = ifRevision + 1
    this.#undo = this.#undo.filter((undo) => undo.at > at - replicatedMs)
    this.#undo.push({ at, name, before: row })
    this.#rows.set(name, { entry: change.entry, revision, dueAt: change.dueAt, changed: this.#sequence })
    return revision
  }

  scan(query: { dueBefore?: number; after?: string; limit: number }): NamedEntry[] {
    const rows: NamedEntry[] = []
    for (const [name, { entry, revision, dueAt }] of this.#rows) {
      if (entry === null || (query.dueBefore !== undefined && dueAt >= query.dueBefore)) continue
      rows.push({ name, entry, revision, dueAt })
    }
    return rows.sort((left, right) =>
      query.dueBefore === undefined ? compare(left.name, right.name) : left.dueAt - right.dueAt,
    )
  }

  changes(since: string | null): Changes {
    const cursor = `${this.#timeline}:${this.#sequence}`
    const [timeline, from] = (since ?? cursor).split(':').map(Number)
    if (timeline !== this.#timeline) return { changed: [], cursor, more: false, reset: true }
    const changed = [...this.#rows]
      .filter(([, row]) => row.changed > (from ?? 0))
      .map(([name, row]) => ({ name, revision: row.revision }))
    return { changed, cursor, more: false, reset: false }
  }
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** What a write of an entry was for, read off the change itself; labels the points at which a node may die. */
export function stepOf(before: Entry | null, after: Entry | null, writer: string | null): string {
  if (after === null) return 'remove'
  if (before === null) return 'create'
  if (after.epoch > before.epoch) return after.lease?.node === writer ? 'lease' : 'lift'
  if (after.version > before.version) return 'commit'
  if (before.lease !== null && after.lease === null) {
    if (after.resolvedEpoch === before.resolvedEpoch) return 'leave-open'
    return after.trouble === null ? 'repeat' : 'release'
  }
  if (after.doubt !== null && after.doubt !== before.doubt) return `doubt-${after.doubt.reason}`
  if (after.suspicion !== before.suspicion) return after.suspicion?.said === undefined ? 'suspect' : 'probed'
  return 'other'
}

/** A replica takes over soon after a write that it has not heard of, and is found some time later. */
function failOver(world: World): void {
  const { store, time, chance, checks } = world
  const since = time.now() - chance.pick([1, 1, 200, 2_000])
  time.after(chance.between(0, 2_000), () => {
    for (const [name, entry] of store.loseSince(since)) checks.lostWrites(name, entry)
    const awayMs = chance.between(500, 5_000)
    store.setDown(true)
    checks.hinder(time.now() + awayMs)
    time.after(awayMs, () => store.setDown(false))
  })
}

/** One node's wire to the store. */
export function storeOf(
  world: World,
  node: SimulatedNode,
  call: <T>(label: string, effect: () => T) => Promise<T>,
): EntryStore {
  const { store } = world
  // The timeline on which this process saw a name last. Revisions bear it, as those of real stores do; but they are judged
  // by the name, which lets some of before a failover count, as servers that lose writes unnoticed do.
  const seen = new Map<string, number>()
  const openedOn = store.timeline
  const see = <R extends { readonly revision: number }>(name: string, record: R): R => {
    seen.set(name, store.timeline)
    return { ...record, revision: onLine(store.timeline, record.revision) }
  }
  return {
    kind: 'simulated',
    read: (name) => call('read', () => see(name, store.read(name))),
    write: (name, change, ifRevision) => {
      const label = `write:${stepOf(store.entry(name), change.entry, node.process)}`
      return call(label, () => {
        if ((seen.get(name) ?? openedOn) !== store.timeline) return null
        const before = store.entry(name)
        const revision = store.write(name, change, { ifRevision: countOf(ifRevision), at: world.time.now() })
        const { timeline } = store
        if (revision !== null) {
          store.onWrite({ name, before, after: change.entry, node, at: world.time.now() })
          world.announce(node)
          if (world.strikes('store-failover')) failOver(world)
        }
        return revision === null ? null : onLine(timeline, revision)
      })
    },
    scan: (query) =>
      call('scan', () => {
        const records = store.scan(query).map((record) => see(record.name, record))
        return { records, next: null, broken: [] }
      }),
    changes: (since) =>
      call('changes', () => {
        const changes = store.changes(since)
        return { ...changes, changed: changes.changed.map((change) => see(change.name, change)) }
      }),
    watch: (onChange) => {
      const watcher = { node, onChange }
      store.watchers.add(watcher)
      return () => store.watchers.delete(watcher)
    },
    now: () => call('now', () => world.time.now() + store.clockOffset),
    close: () => Promise.resolve(),
  }
}

export function storeLost(): ZhongkongError {
  return new ZhongkongError('store_unavailable', 'the simulated store does not answer')
}
