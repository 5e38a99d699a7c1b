/**
 * A store whose writes are told at once to other processes on it, and which looks when they tell. What a store finds
 * out by itself (pushed by its server, or by looking every so often) it still does: a notice that is lost costs a moment.
 */
import type { EntryStore } from './store.ts'

/** Between the processes that share a store. It carries no names and no tokens: `changes` has what changed. */
export type ChangeLine = {
  tell(): void
  hear(onTold: () => void): () => void
}

export function announced(store: EntryStore, line: ChangeLine): EntryStore {
  return {
    kind: store.kind,
    ...(store.spill === undefined ? {} : { spill: store.spill }),
    read: (name) => store.read(name),
    write: async (name, change, ifRevision) => {
      const revision = await store.write(name, change, ifRevision)
      // It is durable by now, so whoever hears of it and looks will see it.
      if (revision !== null) line.tell()
      return revision
    },
    scan: (query) => store.scan(query),
    changes: (since, limit) => store.changes(since, limit),
    watch: (onChange) => {
      const stops = [store.watch(onChange), line.hear(onChange)]
      return () => {
        for (const stop of stops) stop()
      }
    },
    now: () => store.now(),
    close: () => store.close(),
  }
}
