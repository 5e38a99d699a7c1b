/**
 * Whether the store can be read and written: told once when that ends, and once when it is so again.
 *
 * Reading is judged by the sweeps of the loop. Writing is judged by every write, because a disk that is full still
 * answers reads. An outage ends with a sweep only, so a store that takes every other write is not told of every second.
 */
import type { Clock } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { NodeEvent } from '../model/event.ts'
import type { EntryStore } from '../stores/store.ts'

type Surroundings = {
  readonly clock: Clock
  readonly emit: (event: NodeEvent) => void
  /** A node that stops closes its store; that is no outage. */
  readonly stopping: AbortSignal
}

export class StoreOutage {
  readonly #around: Surroundings
  #since: number | null = null
  #canWrite = true

  constructor(around: Surroundings) {
    this.#around = around
  }

  /** False from a write that failed to the next one that succeeded. */
  get canWrite(): boolean {
    return this.#canWrite
  }

  /** The store, with its writes watched. */
  watched(store: EntryStore): EntryStore {
    return {
      kind: store.kind,
      read: (name) => store.read(name),
      write: async (name, change, ifRevision) => {
        try {
          const revision = await store.write(name, change, ifRevision)
          // A write that came too late shows nothing: it may never have got as far as the disk.
          if (revision !== null) this.#canWrite = true
          return revision
        } catch (thrown) {
          // What cannot be sealed or is asked for wrongly is no fault of the store.
          if (thrown instanceof ZhongkongError && thrown.code.startsWith('store_')) {
            this.#canWrite = false
            this.begin(thrown)
          }
          throw thrown
        }
      },
      scan: (query) => store.scan(query),
      changes: (since, limit) => store.changes(since, limit),
      watch: (onChange) => store.watch(onChange),
      now: () => store.now(),
      close: () => store.close(),
    }
  }

  /** The store failed. */
  begin(thrown: unknown): void {
    const { clock, emit, stopping } = this.#around
    if (this.#since !== null || stopping.aborted) return
    this.#since = clock.monotonic()
    const message = thrown instanceof ZhongkongError ? thrown.message : 'the store failed unexpectedly'
    emit({ type: 'store-lost', at: clock.now(), message })
  }

  /** A sweep went through: reading works. */
  answered(): void {
    const { clock, emit } = this.#around
    if (this.#since === null || !this.#canWrite) return
    const awayMs = Math.round(clock.monotonic() - this.#since)
    this.#since = null
    emit({ type: 'store-back', at: clock.now(), awayMs })
  }
}
