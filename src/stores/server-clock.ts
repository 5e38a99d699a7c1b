/**
 * A database's clock that never goes back. The database is asked each time, and believed, so that all nodes agree
 * however wrong their own clocks are. When its clock was set back, or another server with a clock behind has taken over,
 * the time goes on from where it was, at the database's pace. Those who open the store later learn of that from the
 * instant of its last write.
 */
import type { Clock } from '../base/env.ts'

/** Answers overtake each other on their way by less than this, in milliseconds. */
const disorderMsMax = 1_000

export class ServerClock {
  readonly #clock: Pick<Clock, 'monotonic'>
  #last = -Infinity
  #lastAt = 0
  #ahead = 0

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** By how much this clock goes before the database's, in milliseconds. */
  get ahead(): number {
    return this.#ahead
  }

  /** The time when the database shows `shown`, and somebody has already written at `written`; epoch milliseconds. */
  follow(shown: number, written: number): number {
    const at = this.#clock.monotonic()
    if (shown >= this.#last) this.#ahead = 0
    else if (this.#last - shown - this.#ahead > disorderMsMax) {
      this.#ahead = Math.ceil(this.#last + (at - this.#lastAt) - shown)
    }
    this.#ahead = Math.max(this.#ahead, written - shown)
    this.#last = Math.max(this.#last, shown + this.#ahead)
    this.#lastAt = at
    return this.#last
  }
}
