/**
 * How often an upstream was asked, and whether it may be asked again. Kept in the entry and debited by the write that
 * grants the lease, so that neither a crash nor a restart loop can spend more than the upstream allows.
 */
import type { Semantics } from './semantics.ts'

/** Why an attempt is made; it says how much of the day's budget may be used for it. */
export type Purpose = 'scheduled' | 'reported' | 'asked'

export type Budget = {
  /** Attempts by hour: [hours since the epoch, count]; at most 25 rows, which cover any sliding day. */
  readonly hours: readonly (readonly [number, number])[]
  /** Instants of the attempts of the last minute. */
  readonly recent: readonly number[]
  /** Instants of the forced attempts of the last day. */
  readonly forced: readonly number[]
}

/** A request leaves at most this long after its lease was written, in milliseconds. */
export const departMsMax = 5_000

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const minuteMs = 60_000

/** Whatever the upstream says: never more attempts in a minute, so that no fault of ours becomes a storm. */
const perMinuteMax = 20
/** Two attempts are at least this far apart, in milliseconds. */
const gapMs = 1_000

/**
 * The share of the day's budget that each purpose may use up. The schedule needs few and comes first: neither a client
 * that keeps reporting nor a person who keeps asking can eat what it needs.
 */
const share: Record<Purpose, number> = { scheduled: 1, reported: 0.75, asked: 0.5 }

/** The instant from which an attempt is allowed: `now` or earlier means at once. */
export function allowedAt(
  budget: Budget,
  limits: Semantics['limits'] & { readonly dailyLimit?: number },
  purpose: Purpose,
  now: number,
): number {
  let at = 0
  const last = budget.recent.at(-1)
  if (last !== undefined) at = Math.max(at, last + gapMs)
  const perMinute = Math.min(limits.perMinute ?? perMinuteMax, perMinuteMax)
  const oldestOfMinute = budget.recent.at(-perMinute)
  if (oldestOfMinute !== undefined) at = Math.max(at, oldestOfMinute + minuteMs)
  const perDay = Math.min(limits.perDay ?? Infinity, limits.dailyLimit ?? Infinity)
  if (perDay !== Infinity) {
    const allowed = Math.max(1, Math.floor(perDay * share[purpose]))
    at = Math.max(at, dayAllowedAt(budget, allowed, now))
  }
  return at
}

/** Hour rows count whole: an hour leaves the sliding day only when its last minute has. */
function dayAllowedAt(budget: Budget, allowed: number, now: number): number {
  const rows = budget.hours.filter(([hour]) => (hour + 1) * hourMs + dayMs > now)
  let used = rows.reduce((sum, [, count]) => sum + count, 0)
  let at = 0
  for (const [hour, count] of rows) {
    if (used < allowed) break
    used -= count
    at = (hour + 1) * hourMs + dayMs
  }
  return at
}

/**
 * Whether a forced issue may be made now: the upstream has such a thing, and neither its gap nor this purpose's share of
 * its day is used up.
 */
export function mayForce(budget: Budget, limits: Semantics['limits'], purpose: Purpose, now: number): boolean {
  if (limits.force === undefined) return false
  const { perDay, gapMs: forceGapMs } = limits.force
  const day = budget.forced.filter((at) => at > now - dayMs)
  const last = day.at(-1)
  const allowed = Math.max(1, Math.floor(perDay * share[purpose]))
  // What is kept is when the lease was written; the request left a little later, and it is requests that are apart.
  return day.length < allowed && (last === undefined || now - last >= forceGapMs + departMsMax)
}

/** The budget after one more attempt at `now`. */
export function spend(budget: Budget, now: number, forced: boolean): Budget {
  const hour = Math.floor(now / hourMs)
  const rows = budget.hours.filter(([at]) => (at + 1) * hourMs + dayMs > now)
  const last = rows.at(-1)
  const hours: (readonly [number, number])[] =
    last?.[0] === hour ? [...rows.slice(0, -1), [hour, last[1] + 1]] : [...rows, [hour, 1]]
  return {
    hours,
    recent: [...budget.recent.filter((at) => at > now - minuteMs), now],
    forced: forced ? [...budget.forced.filter((at) => at > now - dayMs), now] : budget.forced,
  }
}

/**
 * The budget of two histories that were one until a store lost the end of the first. Counts of hours cannot be told
 * apart, so the larger one stands: it is too low by what the other made since.
 */
export function mergedBudget(left: Budget, right: Budget): Budget {
  const hours = new Map<number, number>()
  for (const [hour, count] of [...left.hours, ...right.hours]) hours.set(hour, Math.max(count, hours.get(hour) ?? 0))
  const union = (one: readonly number[], other: readonly number[]): readonly number[] =>
    [...new Set([...one, ...other])].sort((before, after) => before - after)
  return {
    hours: [...hours].sort(([before], [after]) => before - after),
    recent: union(left.recent, right.recent),
    forced: union(left.forced, right.forced),
  }
}

/** Attempts counted in the last 24 hours (rounded up to whole hours). */
export function spentInDay(budget: Budget, now: number): number {
  return budget.hours.filter(([hour]) => (hour + 1) * hourMs + dayMs > now).reduce((sum, [, count]) => sum + count, 0)
}
