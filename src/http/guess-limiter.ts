/**
 * Slows down guessing: each address has a bucket of wrong proofs that refills slowly. A right API key is never turned
 * away because of it, so that one misconfigured program behind a shared address cannot lock its neighbours out.
 */
import type { Clock } from '../base/env.ts'
import { networkOf } from './address.ts'

export type GuessLimiter = {
  /** No wrong proofs are left to this address. */
  isSpent(address: string | null): boolean
  /** Counts a wrong proof. */
  count(address: string | null): void
  /** Seconds until one more is allowed. */
  retryAfterSeconds(address: string | null): number
  readonly size: number
}

type Bucket = { left: number; at: number }

/** Wrong proofs at once. */
const burst = 30
/** One more every so many milliseconds. */
const refillMs = 2_000
/** Addresses remembered at most; the one longest unheard of is forgotten first. */
const addressesMax = 10_000

export function createGuessLimiter(clock: Clock): GuessLimiter {
  const buckets = new Map<string, Bucket>()
  const filled = (key: string): Bucket => {
    const now = clock.monotonic()
    const bucket = buckets.get(key)
    if (bucket === undefined) return { left: burst, at: now }
    return { left: Math.min(burst, bucket.left + (now - bucket.at) / refillMs), at: now }
  }
  return {
    isSpent: (address) => address !== null && filled(networkOf(address)).left < 1,
    count: (address) => {
      if (address === null) return
      const key = networkOf(address)
      const { left, at } = filled(key)
      buckets.delete(key)
      buckets.set(key, { left: Math.max(0, left - 1), at })
      if (buckets.size <= addressesMax) return
      const oldest = buckets.keys().next()
      if (oldest.done !== true) buckets.delete(oldest.value)
    },
    retryAfterSeconds: (address) => {
      if (address === null) return 0
      return Math.ceil((Math.max(0, 1 - filled(networkOf(address)).left) * refillMs) / 1_000)
    },
    get size() {
      return buckets.size
    },
  }
}
