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
const roundTripMsMax = 500
/** Clocks drift by a hundredth at worst; after so long without a look, in milliseconds, leases cannot be judged any more. */
const exactMsMax = 60_000
/** Looks in a row, for one that is quick enough. */
const looksMax = 3

export class StoreTime {
  readonly #clock: Clock
  readonly #store: Pick<EntryStore, 'now'>
  #offset = 0
  #isKnown = false
  #wallMinusMonotonic = 0
  #lookedAt = -Infinity
  #contactAt = -Infinity
  #followedAt: number | null = null

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

  /** False when it is too long ago that the store's clock was seen for leases to be granted, or held to be over. */
  isExact(): boolean {
    return this.isTrusted() && this.#clock.monotonic() - this.#lookedAt <= exactMsMax
  }

  /** Milliseconds since the store last answered anything. */
  silentMs(): number {
    return this.#clock.monotonic() - this.#contactAt
  }

  /** The store answered. */
  touch(): void {
    this.#contactAt = this.#clock.monotonic()
  }

  /**
   * Milliseconds since this node last heard of everything that others had written. A store that answers again after a
   * silence has not told yet what happened meanwhile.
   */
  behindMs(): number {
    return this.#followedAt === null ? Infinity : this.#clock.monotonic() - this.#followedAt
  }

  /** All that others had written was heard of. */
  follow(): void {
    this.#followedAt = this.#clock.monotonic()
  }

  /** Looks at the store's clock, again when a look took too long to tell much. Throws what the store throws. */
  async look(): Promise<void> {
    // A machine that slept has missed what happened meanwhile, for a time that nobody can tell.
    if (this.#isKnown && !this.isTrusted()) this.#followedAt = -Infinity
    let best: Look | null = null
    for (let count = 0; count < looksMax; count += 1) {
      const look = await this.#lookOnce()
      if (best === null || look.roundTripMs < best.roundTripMs) best = look
      if (best.roundTripMs <= roundTripMsMax) break
    }
    if (best === null || (this.isExact() && best.roundTripMs > roundTripMsMax)) return
    this.#offset = best.offset
    this.#wallMinusMonotonic = best.wallMinusMonotonic
    this.#isKnown = true
    this.#lookedAt = this.#clock.monotonic()
  }

  async #lookOnce(): Promise<Look> {
    const before = this.#clock.monotonic()
    const instant = await this.#store.now()
    const after = this.#clock.monotonic()
    this.touch()
    // At the first look nothing is known yet that others could have changed.
    this.#followedAt ??= after
    return {
      roundTripMs: after - before,
      offset: instant - (before + after) / 2,
      wallMinusMonotonic: this.#clock.now() - after,
    }
  }
}

type Look = { readonly roundTripMs: number; readonly offset: number; readonly wallMinusMonotonic: number }
