/** Counting calls against a quota: by day and month in Shanghai, as the platforms do, and by hour and minute. */

const shanghaiMs = 8 * 3_600_000

const periods = {
  minute: (now: number): number => Math.floor(now / 60_000),
  hour: (now: number): number => Math.floor(now / 3_600_000),
  day: (now: number): number => Math.floor((now + shanghaiMs) / 86_400_000),
  month: (now: number): number => {
    const date = new Date(now + shanghaiMs)
    return date.getUTCFullYear() * 12 + date.getUTCMonth()
  },
} as const

export type Period = keyof typeof periods

export class Tally {
  readonly #periodOf: (now: number) => number
  #period = Number.NaN
  #count = 0

  constructor(period: Period) {
    this.#periodOf = periods[period]
  }

  /** Counts one if fewer than `max` were counted in this period; otherwise false, and nothing is counted. */
  take(now: number, max: number): boolean {
    if (this.count(now) >= max) return false
    this.#count += 1
    return true
  }

  /** How many were counted in the period of `now`. */
  count(now: number): number {
    const period = this.#periodOf(now)
    if (period !== this.#period) {
      this.#period = period
      this.#count = 0
    }
    return this.#count
  }

  clear(): void {
    this.#count = 0
  }
}
