/**
 * The store's clock as this node sees it between two looks: the monotonic clock plus a measured offset. Wall time is
 * used for one thing only: when it and the monotonic clock no longer agree (a suspended machine, a stepped clock), the
 * offset is not to be trusted until the next look.
 */
import type { Clock } from '../base/env.ts'
import type { EntryStore } from '../stores/store.ts'

/** Wall and monotonic clock may drift apart by this much between two looks, in milliseconds. */
const driftMsMax = 2_000
/** A look that took longer than this tells too little, in milliseconds. */
const roundTripMsMax = 1_000

export class StoreTime {
  readonly #clock: Clock
  readonly #store: Pick<EntryStore, 'now'>
  #offset = 0
  #isKnown = false
  #wallMinusMonotonic = 0
  #contactAt = -Infinity

  constructor(clock: Clock, store: Pick<EntryStore, 'now'>) {
    this.#clock = clock
    this.#store = store
  }

  /** The store's clock now, in epoch milliseconds, as well as this node knows. */
  now(): number {
    return this.#clock.monotonic() + this.#offset
  }

  /** This node's wall clock at an instant of the store's clock; for what people and callers see. */
  toWall(instant: number): number {
    return Math.round(instant - this.now() + this.#clock.now())
  }

  /** False when this node's clocks have moved against each other since the last look. */
  isTrusted(): boolean {
    const moved = this.#clock.now() - this.#clock.monotonic() - this.#wallMinusMonotonic
    return this.#isKnown && Math.abs(moved) <= driftMsMax
  }

  /** Milliseconds since the store last answered anything. */
  silentMs(): number {
    return this.#clock.monotonic() - this.#contactAt
  }

  /** The store answered. */
  touch(): void {
    this.#contactAt = this.#clock.monotonic()
  }

  /** Looks at the store's clock. Throws what the store throws. */
  async look(): Promise<void> {
    const before = this.#clock.monotonic()
    const instant = await this.#store.now()
    const after = this.#clock.monotonic()
    this.touch()
    if (this.#isKnown && this.isTrusted() && after - before > roundTripMsMax) return
    this.#offset = instant - (before + after) / 2
    this.#wallMinusMonotonic = this.#clock.now() - after
    this.#isKnown = true
  }
}
