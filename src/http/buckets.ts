/** Buckets that fill by themselves, one for each name: what limits of rates are made of. Each process has its own. */
import type { Clock } from '../base/env.ts'

export type Fill = {
  /** What a full one holds. */
  readonly burst: number
  readonly perSecond: number
}

/** Names remembered; the one longest unspent is forgotten first, which is full by then or one of a flood. */
const namesMax = 10_000

export class Buckets {
  readonly #clock: Clock
  readonly #buckets = new Map<string, { readonly left: number; readonly at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#buckets.size
  }

  left(name: string, { burst, perSecond }: Fill): number {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) return burst
    return Math.min(burst, bucket.left + ((this.#clock.monotonic() - bucket.at) * perSecond) / 1_000)
  }

  /** Takes one, or what there is. */
  spend(name: string, fill: Fill): void {
    const left = Math.max(0, this.left(name, fill) - 1)
    this.#buckets.delete(name)
    this.#buckets.set(name, { left, at: this.#clock.monotonic() })
    if (this.#buckets.size <= namesMax) return
    const oldest = this.#buckets.keys().next()
    if (oldest.done !== true) this.#buckets.delete(oldest.value)
  }

  /** Seconds until there is one; 0 when there is. */
  waitSeconds(name: string, fill: Fill): number {
    return Math.max(0, 1 - this.left(name, fill)) / fill.perSecond
  }
}
