/**
 * Slows down guessing: each address has a bucket of wrong proofs that refills slowly. A right API key is never turned
 * away because of it, so that one misconfigured program behind a shared address cannot lock its neighbours out.
 */
import type { Clock } from '../base/env.ts'
import { networkOf } from './address.ts'
import { Buckets } from './buckets.ts'

export type GuessLimiter = {
  /** No wrong proofs are left to this address. */
  isSpent(address: string | null): boolean
  /** Counts a wrong proof. */
  count(address: string | null): void
  /** Seconds until one more is allowed. */
  retryAfterSeconds(address: string | null): number
  readonly size: number
}

/** Thirty wrong proofs at once, and one more every two seconds. */
const fill = { burst: 30, perSecond: 0.5 }

export function createGuessLimiter(clock: Clock): GuessLimiter {
  const buckets = new Buckets(clock)
  return {
    isSpent: (address) => address !== null && buckets.left(networkOf(address), fill) < 1,
    count: (address) => {
      if (address !== null) buckets.spend(networkOf(address), fill)
    },
    retryAfterSeconds: (address) => (address === null ? 0 : Math.ceil(buckets.waitSeconds(networkOf(address), fill))),
    get size() {
      return buckets.size
    },
  }
}
