/**
 * What a wish for a new token may do: it ends the wait after a failure, since whoever asks may have mended the cause, and
 * it does not outlive the asking.
 */
import { allowedAt } from './budget.ts'
import { limitsOf, wishMsMax } from './decide.ts'
import type { Entry } from './entry.ts'
import { minIntervalMsOf, type Source } from './source.ts'

/** The entry without a wish: whoever asked has been told what stands in the way, and is not there any more later on. */
export function withoutWish(entry: Entry): Entry {
  const isWish = entry.doubt?.reason === 'asked' || entry.doubt?.reason === 'wanted'
  return isWish ? { ...entry, doubt: null } : entry
}

/**
 * The instant from which somebody who asks may cut the wait after a failure short: once per minimum interval, with the
 * share of the budget that is theirs, and never that of a quota.
 */
export function mayHastenAt(source: Source, { trouble, token, budget }: Entry, now: number): number {
  if (trouble?.class === 'quota') return Infinity
  const intervalMs = minIntervalMsOf(source, token?.lifetimeMs ?? source.semantics.fallbackTtlMs)
  const again = trouble?.hurriedAt === undefined ? 0 : trouble.hurriedAt + intervalMs
  return Math.max(again, allowedAt(budget, limitsOf(source), 'asked', now))
}

/** Ends the wait after a failure for somebody who asks; the entry as it is when that may not be, or nothing waits. */
export function hastened(source: Source, entry: Entry, now: number): Entry {
  const { trouble, nextTry } = entry
  if (trouble?.generation !== source.generation || nextTry <= now) return entry
  const at = Math.max(now, mayHastenAt(source, entry, now))
  if (at - now > wishMsMax || at >= nextTry) return entry
  return { ...entry, nextTry: at, trouble: { ...trouble, hurriedAt: at } }
}
