/**
 * Notices processes that are there and do nothing any more: stopped, or caught in a loop that never ends. Each is asked
 * for a sign of life every few seconds, and one that left several questions in a row without any is given up.
 *
 * Questions are counted, not the time: when this process itself was stopped for an hour, nobody has kept silent in it.
 */
import type { Clock } from '../base/env.ts'

export type Pulse = {
  /** Between two questions, in milliseconds. */
  readonly everyMs: number
  /** So many in a row without a sign of life are too many. */
  readonly missedMax: number
}

export type Watched<T> = {
  /** Who is watched now; somebody new begins with nothing missed. */
  readonly members: () => Iterable<T>
  readonly ask: (member: T) => void
  /** Told once of each who kept silent, and for how long at least, in milliseconds. */
  readonly onSilent: (member: T, silentMs: number) => void
}

/** Thirty seconds: the longest that a worker's event loop was ever seen to be busy is a small part of it. */
export const workerPulse: Pulse = { everyMs: 5_000, missedMax: 6 }

export class PulseWatch<T extends object> {
  readonly #pulse: Pulse
  readonly #missed = new WeakMap<T, number>()

  constructor(pulse: Pulse) {
    this.#pulse = pulse
  }

  /** Whatever comes from a process is a sign of life. */
  heard(member: T): void {
    this.#missed.set(member, 0)
  }

  /** Asks until the signal aborts. */
  async run({ members, ask, onSilent }: Watched<T>, clock: Clock, signal: AbortSignal): Promise<void> {
    const { everyMs, missedMax } = this.#pulse
    for (;;) {
      await clock.sleep(everyMs, signal)
      if (signal.aborted) return
      for (const member of [...members()]) {
        const missed = this.#missed.get(member) ?? 0
        if (missed === missedMax) onSilent(member, missed * everyMs)
        this.#missed.set(member, missed + 1)
        if (missed < missedMax) ask(member)
      }
    }
  }
}
