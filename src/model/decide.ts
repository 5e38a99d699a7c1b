/**
 * What to do about a source now: a pure function of its entry, with the reason in words. The keeper obeys it, and the
 * people who ask how a source is doing are shown the same sentence.
 */
import { allowedAt, mayForce, type Purpose } from './budget.ts'
import { leaseMarginMs, type Entry, type Token } from './entry.ts'
import { expiresAtOf, windowMsOf } from './expiry.ts'
import { lacksGrant, mustWaitForGrant } from './grant.ts'
import type { Source } from './source.ts'
import type { StateWord } from './state.ts'

export type Decision =
  /** Nothing to do before `until`. */
  | { readonly act: 'rest'; readonly until: number; readonly reason: string }
  /** A refresh is due, but not before `until`. `because` says what holds it back. */
  | {
      readonly act: 'wait'
      readonly until: number
      readonly because: 'lease' | 'backoff' | 'budget' | 'authorization'
      readonly reason: string
    }
  | { readonly act: 'refresh'; readonly purpose: Purpose; readonly force: boolean; readonly reason: string }

/** The entry's token if it belongs to the account that the source names now. */
export function tokenOf(source: Source, entry: Entry): Token | null {
  return entry.token !== null && entry.token.identity === source.identity ? entry.token : null
}

/** The end of a living lease, or null. A lease longer than any we give is judged by when it was granted. */
export function leasedUntil(source: Source, entry: Entry, now: number): number | null {
  if (entry.lease === null) return null
  const longest = Math.max(source.policy.timeoutMs, 60_000) + leaseMarginMs
  const until = Math.min(entry.lease.until, entry.lease.at + longest)
  return entry.lease.at <= now + longest && until > now ? until : null
}

/** Somebody may have been issued a token that nobody here ever saw. */
export function isUnresolved(entry: Entry): boolean {
  return entry.epoch > entry.resolvedEpoch
}

/** When the upstream last gave out the current token, for the first time or again; 0 when the last attempt did not. */
export function confirmedAt(entry: Entry): number {
  const isSettled = entry.lease === null && entry.trouble === null && entry.doubt === null && !isUnresolved(entry)
  return isSettled ? (entry.budget.recent.at(-1) ?? 0) : 0
}

export function decide(source: Source, entry: Entry, now: number): Decision {
  const leased = leasedUntil(source, entry, now)
  const need = needOf(source, entry, now, leased !== null)
  if (need === null) {
    // A lease whose end is not written in time leaves the token in doubt.
    const until = Math.min(entry.dueAt, leased ?? Infinity)
    return { act: 'rest', until, reason: restReason(source, entry, now) }
  }
  if (leased !== null) {
    return { act: 'wait', until: leased, because: 'lease', reason: `${need.reason}; a refresh is in the air` }
  }
  if (mustWaitForGrant(source, entry, now)) {
    const reason = source.semantics.grant?.missing.message ?? need.reason
    return { act: 'wait', until: now + parkedMs, because: 'authorization', reason }
  }
  const blockedUntil = backoffUntil(source, entry)
  if (blockedUntil > now) {
    const why = entry.trouble === null ? 'waiting a moment' : `waiting after ${entry.trouble.failure.code}`
    return { act: 'wait', until: blockedUntil, because: 'backoff', reason: `${need.reason}; ${why}` }
  }
  const allowed = allowedAt(entry.budget, limitsOf(source), need.purpose, now)
  if (allowed > now) {
    const until = need.purpose === 'scheduled' ? allowed : Math.min(allowed, scheduledAt(entry, false))
    return { act: 'wait', until, because: 'budget', reason: `${need.reason}; the quota is being kept` }
  }
  const force = need.wantsForce && mayForce(entry.budget, source.semantics.limits, need.purpose, now)
  return { act: 'refresh', purpose: need.purpose, force, reason: need.reason }
}

/** What can only be mended from outside is looked at again after this time, in milliseconds. */
export const parkedMs = 86_400_000

/** What the upstream and the policy allow, for `allowedAt`. */
export function limitsOf({ semantics, policy }: Source): Parameters<typeof allowedAt>[1] {
  return { ...semantics.limits, ...(policy.dailyLimit === undefined ? {} : { dailyLimit: policy.dailyLimit }) }
}

/** A wish is not kept for longer than this, in milliseconds. */
export const wishMsMax = 1_500

/**
 * Why a wish cannot be granted soon; null when it can. Such a wish is refused and not written: it would keep the token
 * in doubt, and everything that is asked with it waiting, for as long as it is held back.
 */
export function refusalOf(source: Source, asked: Entry, now: number): Extract<Decision, { act: 'wait' }> | null {
  const decision = decide(source, asked, now)
  const isHeldBack = decision.act === 'wait' && decision.because !== 'lease' && decision.until - now > wishMsMax
  return isHeldBack ? decision : null
}

type Need = { readonly purpose: Purpose; readonly wantsForce: boolean; readonly reason: string }

/** Why the source should be refreshed, the most pressing reason first; null when it should not. */
function needOf(source: Source, entry: Entry, now: number, isLeased: boolean): Need | null {
  const token = tokenOf(source, entry)
  const scheduled = (reason: string): Need => ({ purpose: 'scheduled', wantsForce: false, reason })
  const { doubt } = entry
  const isReported = doubt?.reason === 'reported' && doubt.version === token?.version
  if (token === null) return scheduled(entry.token === null ? 'no token yet' : 'the account was changed')
  // What the schedule would do now anyway is never held back with the share of those who report or ask.
  const isScheduled = now >= scheduledAt(entry, isLeased)
  const share = (purpose: Purpose): Purpose => (isScheduled ? 'scheduled' : purpose)
  if (isReported) return { purpose: share('reported'), wantsForce: doubt.repeats > 0, reason: 'reported as refused' }
  if (doubt?.reason === 'asked') return { purpose: share('asked'), wantsForce: true, reason: 'asked for' }
  if (doubt?.reason === 'wanted') {
    return { purpose: share('asked'), wantsForce: false, reason: 'a reader wants more time than is left' }
  }
  if (doubt?.reason === 'stray') return scheduled('an answer came too late and may have retired the token')
  if (isUnresolved(entry) && !isLeased) return scheduled('an attempt ended without an answer')
  if (now < entry.dueAt) return null
  const reason = now >= token.expiresAt ? 'the token has ended' : 'due'
  return { purpose: 'scheduled', wantsForce: isCutShort(source, token), reason }
}

/** When the entry would be refreshed if nobody reported or asked. */
function scheduledAt(entry: Entry, isLeased: boolean): number {
  return isUnresolved(entry) && !isLeased ? entry.nextTry : Math.max(entry.dueAt, entry.nextTry)
}

/** A token is due before its end, unless the upstream repeated it to its last second and beyond. */
function restReason(source: Source, entry: Entry, now: number): string {
  const token = tokenOf(source, entry)
  return token !== null && now >= token.expiresAt ? 'the upstream repeats a token that has ended' : 'the token is fresh'
}

/**
 * An attempt without an answer cut this token's life, so we stop believing in it before the upstream gives out another
 * one. It would repeat this one until then and leave us without any, unless it is forced.
 */
function isCutShort(source: Source, token: Token): boolean {
  const told = expiresAtOf(token.issuedAt, token.lifetimeMs)
  return told - token.expiresAt > windowMsOf(source, token.lifetimeMs)
}

/** Trouble holds attempts back, unless the configuration was changed since. Whoever asks may cut it short (`hastened`). */
function backoffUntil(source: Source, entry: Entry): number {
  const { trouble } = entry
  if (trouble === null) return entry.nextTry
  if (trouble.generation !== source.generation) return 0
  return entry.nextTry
}

/** The instant by which somebody must look at this entry again, known without its source; the store's due index. */
export function wakeAt(entry: Entry): number {
  if (entry.lease !== null) return entry.lease.until
  if (entry.doubt !== null || isUnresolved(entry)) return entry.nextTry
  return Math.max(entry.dueAt, entry.nextTry)
}

/** One word and one sentence for people. */
export function stateOf(source: Source, entry: Entry, now: number): { word: StateWord; decision: Decision } {
  const decision = decide(source, entry, now)
  return { word: wordOf(source, entry, decision, now), decision }
}

function wordOf(source: Source, entry: Entry, decision: Decision, now: number): StateWord {
  const token = tokenOf(source, entry)
  const trouble = entry.trouble?.generation === source.generation ? entry.trouble : null
  if (trouble?.class === 'needs-authorization' || lacksGrant(source, entry, now)) return 'needs-authorization'
  if (leasedUntil(source, entry, now) !== null) return 'refreshing'
  if (trouble !== null) return 'failing'
  if (token === null || now >= token.expiresAt) return 'no-token'
  if (entry.doubt !== null || isUnresolved(entry)) return 'in-doubt'
  if (decision.act === 'rest') return 'fresh'
  return decision.act === 'wait' ? 'waiting' : 'due'
}
