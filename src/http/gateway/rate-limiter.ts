/** So many calls in a second, with as many at once: a bucket for each name. Each process counts by itself. */
import type { Clock } from '../../base/env.ts'
import { Buckets } from '../buckets.ts'

export type RateLimiter = {
  /** Takes one call from the bucket; otherwise the seconds until there is one. */
  take(name: string, perSecond: number): number | null
}

export function createRateLimiter(clock: Clock): RateLimiter {
  const buckets = new Buckets(clock)
  return {
    take: (name, perSecond) => {
      const fill = { burst: Math.max(1, perSecond), perSecond }
      if (buckets.left(name, fill) < 1) return buckets.waitSeconds(name, fill)
      buckets.spend(name, fill)
      return null
    },
  }
}
