/** So many calls in a second, with as many at once: a bucket for each name. Each process counts by itself. */
import type { Clock } from '../../base/env.ts'

export type RateLimiter = {
  /** Takes one call from the bucket; otherwise the seconds until there is one. */
  take(name: string, perSecond: number): number | null
}

type Bucket = { left: number; at: number }

/** Buckets remembered; the one longest unused is forgotten first, which can only be full or of a flood of names. */
const bucketsMax = 10_000

export function createRateLimiter(clock: Clock): RateLimiter {
  const buckets = new Map<string, Bucket>()
  return {
    take: (name, perSecond) => {
      const now = clock.monotonic()
      const burst = Math.max(1, perSecond)
      const { left, at } = buckets.get(name) ?? { left: burst, at: now }
      const filled = Math.min(burst, left + ((now - at) * perSecond) / 1_000)
      buckets.delete(name)
      buckets.set(name, { left: filled < 1 ? filled : filled - 1, at: now })
      if (buckets.size > bucketsMax) {
        const oldest = buckets.keys().next()
        if (oldest.done !== true) buckets.delete(oldest.value)
      }
      return filled < 1 ? (1 - filled) / perSecond : null
    },
  }
}
