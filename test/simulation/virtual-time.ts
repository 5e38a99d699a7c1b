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
    for (;;) {
      const head = this.#heap[0]
      if (head === undefined || head.at > end) break
      this.#pop()
      if (head.run === null) continue
      this.#now = head.at
      this.events += 1
      head.run()
      await settled()
    }
    this.#now = Math.max(this.#now, end)
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

/** Lets every promise that can go on do so: microtasks and ticks are all run before the event loop turns. */
export async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}
