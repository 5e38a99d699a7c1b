/** What the files of this room share: one node's store, time, views and the way out to upstreams. */
import type { Env } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import type { SingleFlight } from '../base/single-flight.ts'
import { wakeAt } from '../model/decide.ts'
import { isBehind, lifted, newEntry, type Entry } from '../model/entry.ts'
import type { KeeperEvent, ZhongkongEvent } from '../model/event.ts'
import type { Attempt } from '../model/failure.ts'
import { chainLengthMax } from '../model/graph.ts'
import { sourceName, type Source } from '../model/source.ts'
import type { Call } from '../providers/provider.ts'
import type { EntryStore, Spill } from '../stores/store.ts'
import type { SourceBook } from './source-book.ts'
import type { StoreOutage } from './store-outage.ts'
import type { StoreTime } from './store-time.ts'
import type { Audience } from './keeper.ts'
import type { Views } from './views.ts'

export type IssueToken = (source: Source, call: Call) => Promise<Attempt>

export type Room = {
  readonly env: Env
  /** This process among all that share the store; never used twice. */
  readonly node: string
  /** Watched by `outage`. */
  readonly store: EntryStore
  readonly outage: StoreOutage
  /** Where grants go that the store cannot take; null where there is no such place. */
  readonly spill: Spill | null
  readonly time: StoreTime
  readonly book: SourceBook
  readonly views: Views
  readonly issue: IssueToken
  readonly reads: SingleFlight<Found | null>
  readonly emit: (event: ZhongkongEvent) => void
  readonly audience: Audience
  /** Keeps a task in sight until it ends; `stop` waits for all of them. */
  readonly background: (task: Promise<void>) => void
  /** Aborts when the node stops: nothing new starts after it. */
  readonly stopping: AbortSignal
}

/** Tells what happened to a source, at this node's wall time. */
export function tell<T extends KeeperEvent['type']>(
  room: Room,
  type: T,
  name: string,
  rest: Omit<Extract<KeeperEvent, { type: T }>, 'type' | 'name' | 'at'>,
): void {
  // The union is indexed by its own `type`, which the compiler cannot put together again.
  room.emit({ type, name, at: room.env.clock.now(), ...rest } as unknown as KeeperEvent)
}

/**
 * An entry as it counts now: the lease of a process that is known to be gone has ended, whatever it says. What that process
 * sent may still be carried out, and the entry is in doubt, as after any lease that ran out.
 */
export function released(room: Room, entry: Entry): Entry {
  const { lease } = entry
  const now = room.time.now()
  if (lease === null || lease.until <= now) return entry
  const [holder] = lease.node.split(':')
  const isGone = holder !== undefined && room.env.processes?.isGone(holder) === true
  return isGone ? { ...entry, lease: { ...lease, until: now } } : entry
}

/**
 * Sees to it that this node knows the definitions on which one leans, by the key `of` and upwards: a source that was added
 * while running may lean on others that were, and that nobody has asked for here. What does not exist is not waited for.
 */
export async function meetParents(room: Room, definition: JsonObject, levels = chainLengthMax): Promise<void> {
  const { of } = definition
  if (typeof of !== 'string' || levels === 0 || room.book.knows(of) || !sourceName.test(of)) return
  const { entry } = await room.store.read(of)
  if (entry?.definition == null) return
  await meetParents(room, entry.definition, levels - 1)
  room.book.resolve(of, entry)
}

export type Found = { readonly source: Source; readonly entry: Entry; readonly revision: number }

/**
 * Reads a source and its entry; null when nothing defines the name. Callers at the same moment share one read.
 *
 * A source of the configuration that has no entry gets one. A row that was deleted under us by hand is put back as this
 * node last saw it: the token in it is alive and cost a call. It is told from a removal by us by its revision, 0, as long
 * as the store has never lost a table: afterwards unknown names begin above 0 as well. Then a source of the
 * configuration gets a new entry, which is lifted to what this node knows, and one added while running is gone.
 */
export async function lookUp(room: Room, name: string): Promise<Found | null> {
  // Callers may ask for anything; the store takes only what can be a name.
  if (!sourceName.test(name)) return null
  return await room.reads.join(name, async () => {
    for (;;) {
      const { forgotten } = room.views
      const { entry: stored, revision } = await room.store.read(name)
      const entry = stored === null ? null : released(room, stored)
      room.time.touch()
      // A source may have been removed meanwhile; what was read before must not bring it back.
      if (room.views.forgotten !== forgotten) continue
      const known = room.views.get(name)?.entry
      if (entry !== null) {
        if (entry.definition !== null) await meetParents(room, entry.definition)
        const source = room.book.resolve(name, entry)
        if (source === null) return null
        if (known === undefined || !isBehind(entry, known) || room.views.isPinned(name))
          return { source, entry, revision }
        const raised = lifted(entry, known)
        const written = await room.store.write(name, { entry: raised, dueAt: wakeAt(raised) }, revision)
        if (written !== null) room.views.rebase(name, written)
        continue
      }
      const lost = revision === 0 ? known : undefined
      if (lost === undefined && !room.book.fileSources.has(name)) return null
      const made = lost ?? newEntry(room.time.now())
      const written = await room.store.write(name, { entry: made, dueAt: wakeAt(made) }, revision)
      // Its revisions begin anew, and would seem older than the view for a long time.
      if (written !== null && lost !== undefined) room.views.rebase(name, written)
    }
  })
}
