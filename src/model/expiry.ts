/** How long a token lives, when it is replaced, and what callers are told. All instants in epoch milliseconds. */
import { unansweredIn, type Entry, type Token } from './entry.ts'
import { graceMsOf, type Source } from './source.ts'
import { lifetimeMsMax } from './semantics.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

/**
 * A token is believed to end this much before its told end, in milliseconds: an answer spends time on the wire, and
 * a token served in its last second is refused in the next.
 */
export function marginMs(lifetimeMs: number): number {
  return Math.min(2_000, Math.floor(lifetimeMs / 20))
}

/** The instant at which a token sent for at `sentAt` is believed to end. */
export function expiresAtOf(sentAt: number, lifetimeMs: number): number {
  return sentAt + lifetimeMs - marginMs(lifetimeMs)
}

/** A told lifetime made safe: the fallback when there is none, never more than ten years. */
export function lifetimeMsOf(source: Source, told: number | null): number {
  return Math.min(told ?? source.semantics.fallbackTtlMs, lifetimeMsMax)
}

/** The last part of a life in which a `same-until-window` upstream gives out a new token, scaled to short lives. */
export function windowMsOf(source: Source, lifetimeMs: number): number {
  return Math.min(source.semantics.windowMs, Math.floor(lifetimeMs / 4))
}

/**
 * How long before the end a refresh is due, with its jitter (`chance` uniform in [0, 1), rolled once and stored).
 * The lead is the upstream outage that callers do not notice. Where the upstream repeats the old token before its
 * window, asking earlier is of no use, so the lead stays inside the window.
 */
export function leadMs(source: Source, lifetimeMs: number, chance: number): number {
  const { reissue } = source.semantics
  const chosen = source.policy.refreshBeforeMs
  if (reissue === 'same-until-window') {
    const window = windowMsOf(source, lifetimeMs)
    const inside = window - Math.min(20_000, window / 6)
    return Math.min(chosen ?? inside, inside) * (1 - 0.1 * chance)
  }
  if (reissue === 'same-until-expiry') {
    return Math.min(chosen ?? 30_000, lifetimeMs / 4) * (1 - 0.1 * chance)
  }
  const usual = Math.min(Math.max(lifetimeMs / 3, Math.min(minuteMs, lifetimeMs / 2)), dayMs)
  // With its jitter and the margin, a lead is always shorter than the life, or each token would be due when it comes.
  return Math.min(chosen ?? usual, lifetimeMs * 0.8) * (0.9 + 0.2 * chance)
}

/** When a token that was just issued is due for its refresh. */
export function dueAtOf(source: Source, token: Token, chance: number): number {
  return Math.round(token.expiresAt - leadMs(source, token.lifetimeMs, chance))
}

/**
 * When to ask again after the upstream repeated a token. Before the window: inside it. Inside it: every few seconds,
 * because the new token may come at any moment, and once more right after the end.
 */
export function dueAtOfRepeated(source: Source, token: Token, now: number, chance: number): number {
  const due = dueAtOf(source, token, chance)
  if (due > now + 1_000) return due
  const pause = Math.min(5_000 + 10_000 * chance, Math.max(1_000, token.lifetimeMs / 40))
  const afterEnd = token.expiresAt + marginMs(token.lifetimeMs) + 200
  if (now < afterEnd) return Math.round(Math.min(now + pause, afterEnd))
  // Told seconds are cut off, so the new token may come up to a second later than the old one's told end.
  return Math.round(now < afterEnd + 10_000 ? now + 1_000 : now + Math.max(pause, 5_000))
}

/**
 * The instant up to which a caller may rely on a token: a promise, not an echo. Where a reissue retires the previous
 * token, it will be dead `grace` after its planned replacement, however long the upstream said it would live.
 */
export function promisedUntil(source: Source, entry: Entry, token: Token): number {
  // Where only a forced issue retires a token, an unconfirmed one is promised until its confirmation.
  if (source.semantics.reissue !== 'retires-previous' && !token.isUnconfirmed) return token.expiresAt
  const graceMs = graceLeftMs(source, token)
  return Math.min(token.expiresAt, entry.dueAt + graceMs)
}

/** Two issues may follow on an unconfirmed token at once, and then it has no grace. */
function graceLeftMs(source: Source, token: Token): number {
  return token.isUnconfirmed ? 0 : graceMsOf(source, token.lifetimeMs)
}

/** While a token is in doubt or being replaced, callers are told to come back after this time, in milliseconds. */
const doubtfulMs = 5_000

/**
 * The most that a caller is promised of this entry's token at any moment, in milliseconds. A token in doubt is still
 * served, but the next refresh may come at any instant, and where it retires the tokens before it, nobody should rely
 * on this one for long. Nor while an attempt is under way: should its answer be lost, the next attempt follows within
 * a second, and two issues leave this token no grace.
 */
export function promiseCapMs(source: Source, entry: Entry): number {
  const { doubt, lease } = entry
  const { reissue, limits } = source.semantics
  if (reissue === 'retires-previous') {
    const isSettled = doubt === null && lease === null && unansweredIn(entry) === 0
    return isSettled ? Infinity : doubtfulMs
  }
  // Elsewhere only a forced issue retires a token, and only such an attempt is left without an answer.
  const mayBeForced = doubt !== null && doubt.reason !== 'wanted'
  const mayRetire = mayBeForced || lease?.forced === true || unansweredIn(entry) > 0
  return mayRetire && limits.force !== undefined ? doubtfulMs : Infinity
}

/**
 * Whether the token may be dead although its believed life goes on: the upstream keeps one token beside the newest, so
 * two issues that nobody saw leave this one no grace.
 *
 * It is served all the same, a moment at a time and marked as stale. Most requests without an answer were never carried
 * out: believing the worst would let an upstream that is silent for twenty seconds stop every caller, though the token
 * they hold works. The first unanswered attempt has cut its believed life to the grace, so this ends within that.
 */
export function mayBeDead(source: Source, entry: Entry): boolean {
  if (source.semantics.reissue !== 'retires-previous') return false
  const late = (entry.doubt?.reason === 'stray' ? 1 : 0) + (entry.token?.isUnconfirmed === true ? 1 : 0)
  return unansweredIn(entry) + late >= 2
}

/**
 * The promise that is made at `now`. One that ran out before its token did, because the replacement is late, is made
 * anew: nothing retires the token before somebody asks, and then it has its grace. Half of that is promised, since an
 * attempt may be under way.
 */
export function promisedAt(source: Source, entry: Entry, token: Token, now: number): number {
  const planned = promisedUntil(source, entry, token)
  if (planned > now || token.expiresAt <= now) return planned
  return Math.min(token.expiresAt, now + Math.max(1_000, Math.floor(graceLeftMs(source, token) / 2)))
}

/** The longest promise this source can make right after a refresh, for a token of this lifetime, in milliseconds. */
export function promiseMsMax(source: Source, lifetimeMs: number): number {
  const life = lifetimeMs - marginMs(lifetimeMs)
  if (source.semantics.reissue !== 'retires-previous') return life
  return Math.min(life, life - leadMs(source, lifetimeMs, 0.99) + graceMsOf(source, lifetimeMs))
}
