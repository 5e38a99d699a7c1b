/** What the files of this room share: one node's store, time, views and the way out to upstreams. */
import type { Env } from '../base/env.ts'
import type { SingleFlight } from '../base/single-flight.ts'
import { wakeAt } from '../model/decide.ts'
import { lifted, newEntry, type Entry } from '../model/entry.ts'
import type { KeeperEvent, ZhongkongEvent } from '../model/event.ts'
import type { Attempt } from '../model/failure.ts'
import { sourceName, type Source } from '../model/source.ts'
import type { Call } from '../providers/provider.ts'
import type { EntryStore } from '../stores/store.ts'
import type { SourceBook } from './source-book.ts'
import type { StoreTime } from './store-time.ts'
import type { Views } from './views.ts'

export type IssueToken = (source: Source, call: Call) => Promise<Attempt>

export type Room = {
  readonly env: Env
  /** This process among all that share the store; never used twice. */
  readonly node: string
  readonly store: EntryStore
  readonly time: StoreTime
  readonly book: SourceBook
  readonly views: Views
  readonly issue: IssueToken
  readonly reads: SingleFlight<Found | null>
  readonly emit: (event: ZhongkongEvent) => void
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

export type Found = { readonly source: Source; readonly entry: Entry; readonly revision: number }

/**
 * Reads a source and its entry; null when nothing defines the name. Callers at the same moment share one read.
 *
 * A source of the configuration that has no entry gets one. A row that was deleted under us by hand (a removal by us
 * leaves a revision behind) is put back as this node last saw it: the token in it is alive and cost a call.
 */
export async function lookUp(room: Room, name: string): Promise<Found | null> {
  // Callers may ask for anything; the store takes only what can be a name.
  if (!sourceName.test(name)) return null
  return await room.reads.join(name, async () => {
    for (;;) {
      const { entry, revision } = await room.store.read(name)
      room.time.touch()
      const known = room.views.get(name)?.entry
      if (entry !== null) {
        const source = room.book.resolve(name, entry)
        if (source === null) return null
        const isBehind = known !== undefined && entry.version < known.version && !room.views.isPinned(name)
        if (!isBehind) return { source, entry, revision }
        const raised = lifted(entry, known)
        await room.store.write(name, { entry: raised, dueAt: wakeAt(raised) }, revision)
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
