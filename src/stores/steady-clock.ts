/**
 * A wall clock that never goes back: the later of the wall clock and the last answer plus monotonic time passed since.
 * A wall clock that jumps back therefore cannot revive a lease or a token. One that jumps ahead is followed; when it
 * returns, this clock stays ahead and goes on at the monotonic pace.
 */
import type { Clock } from '../base/env.ts'

export class SteadyClock {
  readonly #clock: Clock
  #last = -Infinity
  #lastMonotonic = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Epoch milliseconds, whole. */
  now(): number {
    const monotonic = this.#clock.monotonic()
    const passed = Math.max(0, monotonic - this.#lastMonotonic)
    this.#last = Math.max(this.#clock.now(), this.#last + passed)
    this.#lastMonotonic = monotonic
    return Math.floor(this.#last)
  }

  /** Somebody who shares this store has already seen `instant`. */
  raiseTo(instant: number): void {
    this.now()
    this.#last = Math.max(this.#last, instant)
  }
}
