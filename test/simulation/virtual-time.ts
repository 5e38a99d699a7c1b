/**
 * Time that moves only when everybody waits: a heap of events, run one by one. After each event all promises that can
 * go on do so, and only then does the next event happen. One seed gives one history.
 */

type Event = { readonly at: number; readonly order: number; run: (() => void) | null }

export class VirtualTime {
  #now: number
  #order = 0
  readonly #heap: Event[] = []
  events = 0

  constructor(startAt: number) {
    this.#now = startAt
  }

  /** True time, epoch milliseconds. */
  now(): number {
    return this.#now
  }

  /** Runs `run` at an instant (now, if that is past). The answer cancels. */
  at(instant: number, run: () => void): () => void {
    const event: Event = { at: Math.max(instant, this.#now), order: this.#order, run }
    this.#order += 1
    this.#push(event)
    return () => {
      event.run = null
    }
  }

  after(ms: number, run: () => void): () => void {
    return this.at(this.#now + ms, run)
  }

  /** A promise that resolves after `ms` of true time. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Runs every event up to `end`. */
  async runUntil(end: number): Promise<void> {
    await settled()
    let isOver = false
    while (!isOver) isOver = await inTurn(() => this.#runSome(end))
    this.#now = Math.max(this.#now, end)
  }

  /** Runs the next events up to `end`, and says whether those were all. */
  #runSome(end: number): boolean {
    for (let count = 0; count < eventsPerTurn; count += 1) {
      const head = this.#heap[0]
      if (head === undefined || head.at > end) return true
      this.#pop()
      if (head.run === null) continue
      this.#now = head.at
      this.events += 1
      head.run()
      // All promises that can go on do.
      runTicks()
    }
    return false
  }

  #before(left: Event, right: Event): boolean {
    return left.at < right.at || (left.at === right.at && left.order < right.order)
  }

  #push(event: Event): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!this.#before(event, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child += 1
      if (!this.#before(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
  }
}

/**
 * A turn of the event loop after each event would do the same, and takes a third of the time of a whole simulation. Node
 * has this function for those who run callbacks as it does itself. It does nothing when called from within a promise.
 */
const { _tickCallback: runTicks } = process as unknown as { readonly _tickCallback: () => void }

/** The event loop turns after so many events, for what other processes say and for what the collector has to tell. */
const eventsPerTurn = 500

/** Runs `run` by itself in the next turn of the event loop, behind no promise. */
function inTurn<T>(run: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run())
      } catch (thrown) {
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)))
      }
    })
  })
}

/** Lets every promise that can go on do so: microtasks and ticks are all run before the event loop turns. */
export async function settled(): Promise<void> {
  await inTurn(() => undefined)
}
