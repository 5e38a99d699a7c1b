/** Budgets: whatever asks, and however often, no upstream is asked more than it allows. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { day, frozen, hour, minute, second, t0 } from '../../test/model/samples.ts'
import { allowedAt, mayForce, mergedBudget, spend, spentInDay, type Budget, type Purpose } from './budget.ts'

const empty: Budget = { hours: [], recent: [], forced: [] }
const shares: Record<Purpose, number> = { scheduled: 1, reported: 0.75, asked: 0.5 }

/** Spends one attempt at each instant. */
function after(...instants: readonly number[]): Budget {
  return instants.reduce((budget, at) => spend(budget, at, false), empty)
}

describe('for any sequence of attempts made only when they are allowed', () => {
  const purpose = fc.constantFrom<Purpose>('scheduled', 'reported', 'asked')
  const wait = fc.oneof(
    fc.integer({ min: 0, max: 3 * second }),
    fc.integer({ min: 0, max: 5 * minute }),
    fc.integer({ min: 0, max: 3 * hour }),
    fc.constantFrom(0, second, minute, hour, day, day + hour),
  )
  const limits = fc.record(
    {
      perDay: fc.integer({ min: 1, max: 60 }),
      perMinute: fc.integer({ min: 1, max: 40 }),
      dailyLimit: fc.integer({ min: 1, max: 60 }),
    },
    { requiredKeys: [] },
  )
  const sequence = fc.array(fc.record({ wait, purpose, isEager: fc.boolean() }), { maxLength: 250 })

  test('no day, minute or second sees more of them than it may', () => {
    fc.assert(
      fc.property(limits, fc.integer({ min: 0, max: hour }), sequence, (limit, start, steps) => {
        const perDay = Math.min(limit.perDay ?? Infinity, limit.dailyLimit ?? Infinity)
        const perMinute = Math.min(limit.perMinute ?? 20, 20)
        const made: number[] = []
        let budget = empty
        let now = t0 + start
        for (const step of steps) {
          now += step.wait
          const at = allowedAt(frozen(budget), limit, step.purpose, now)
          if (at > now && !step.isEager) continue
          now = Math.max(now, at)
          expect(allowedAt(budget, limit, step.purpose, now)).toBeLessThanOrEqual(now)
          const within = (ms: number): number => made.filter((each) => each > now - ms).length
          const share = Math.max(1, Math.floor(perDay * shares[step.purpose]))
          expect(within(day)).toBeLessThan(share)
          expect(within(minute)).toBeLessThan(perMinute)
          expect(within(second)).toBe(0)
          budget = spend(budget, now, false)
          made.push(now)
          expect(budget.hours.length).toBeLessThanOrEqual(26)
          expect(budget.recent.length).toBeLessThanOrEqual(20)
          expect(spentInDay(budget, now)).toBeGreaterThanOrEqual(within(day))
        }
      }),
      { numRuns: 200 },
    )
  })

  test('nobody is held back for more than a day and an hour', () => {
    fc.assert(
      fc.property(limits, fc.array(wait, { maxLength: 80 }), purpose, (limit, waits, who) => {
        let now = t0
        let budget = empty
        for (const each of waits) {
          now += each
          budget = spend(budget, now, false)
        }
        expect(allowedAt(budget, limit, who, now)).toBeLessThanOrEqual(now + day + hour)
      }),
    )
  })
})

describe('the day', () => {
  const limits = { perDay: 8 }

  test('the schedule may use all of it, reports three quarters, those who ask half', () => {
    const spent = (count: number): Budget =>
      after(...Array.from({ length: count }, (_each, index) => t0 + index * 10 * second))
    const now = t0 + 30 * minute
    expect(allowedAt(spent(3), limits, 'asked', now)).toBeLessThanOrEqual(now)
    expect(allowedAt(spent(4), limits, 'asked', now)).toBeGreaterThan(now)
    expect(allowedAt(spent(5), limits, 'reported', now)).toBeLessThanOrEqual(now)
    expect(allowedAt(spent(6), limits, 'reported', now)).toBeGreaterThan(now)
    expect(allowedAt(spent(7), limits, 'scheduled', now)).toBeLessThanOrEqual(now)
    expect(allowedAt(spent(8), limits, 'scheduled', now)).toBeGreaterThan(now)
  })

  test('the smaller of the upstream limit and the configured one counts', () => {
    const two = after(t0, t0 + minute)
    expect(allowedAt(two, { perDay: 8, dailyLimit: 2 }, 'scheduled', t0 + hour)).toBeGreaterThan(t0 + hour)
    expect(allowedAt(two, { perDay: 2, dailyLimit: 8 }, 'scheduled', t0 + hour)).toBeGreaterThan(t0 + hour)
    expect(allowedAt(two, { dailyLimit: 3 }, 'scheduled', t0 + hour)).toBeLessThanOrEqual(t0 + hour)
  })

  test('a day of one attempt still allows one for every purpose', () => {
    expect(allowedAt(empty, { perDay: 1 }, 'asked', t0)).toBeLessThanOrEqual(t0)
  })
})

describe('a forced issue', () => {
  const limits = { force: { perDay: 3, gapMs: 30 * second } }

  test('is never made where the upstream has none', () => {
    expect(mayForce(empty, {}, 'scheduled', t0)).toBe(false)
  })

  test('keeps its gap and its day, for any sequence', () => {
    const gaps = fc.array(fc.oneof(fc.integer({ min: 0, max: 2 * minute }), fc.integer({ min: 0, max: day })), {
      maxLength: 60,
    })
    fc.assert(
      fc.property(gaps, (waits) => {
        const made: number[] = []
        let budget = empty
        let now = t0
        for (const each of waits) {
          now += each
          const forced = mayForce(frozen(budget), limits, 'scheduled', now)
          if (forced) {
            expect(made.filter((at) => at > now - day).length).toBeLessThan(3)
            expect(made.filter((at) => at > now - 30 * second)).toEqual([])
            made.push(now)
          }
          budget = spend(budget, now, forced)
          expect(budget.forced.length).toBeLessThanOrEqual(3)
        }
      }),
    )
  })

  test('is left to reports and the schedule when those who ask have used up their half', () => {
    const twenty = { force: { perDay: 20, gapMs: 0 } }
    const forced = (count: number): Budget => ({ ...empty, forced: Array.from({ length: count }, (_, at) => t0 + at) })
    const now = t0 + minute
    expect([9, 10].map((count) => mayForce(forced(count), twenty, 'asked', now))).toEqual([true, false])
    expect([10, 14, 15].map((count) => mayForce(forced(count), twenty, 'reported', now))).toEqual([true, true, false])
    expect([15, 19, 20].map((count) => mayForce(forced(count), twenty, 'scheduled', now))).toEqual([true, true, false])
  })

  test('is counted apart: an ordinary attempt between two of them changes neither gap nor day', () => {
    // Thirty seconds apart at the upstream, and a request may leave five seconds after its lease.
    const budget = spend(spend(empty, t0, true), t0 + 20 * second, false)
    expect(mayForce(budget, limits, 'scheduled', t0 + 34 * second)).toBe(false)
    expect(mayForce(budget, limits, 'scheduled', t0 + 35 * second)).toBe(true)
  })
})

describe('two histories that were one', () => {
  test('have each attempt that can be told apart, and of each hour the larger count', () => {
    const left: Budget = {
      hours: [
        [1, 3],
        [2, 5],
      ],
      recent: [10, 20],
      forced: [10],
    }
    const right: Budget = {
      hours: [
        [2, 4],
        [3, 1],
      ],
      recent: [20, 30],
      forced: [10, 25],
    }
    expect(mergedBudget(left, right)).toEqual({
      hours: [
        [1, 3],
        [2, 5],
        [3, 1],
      ],
      recent: [10, 20, 30],
      forced: [10, 25],
    })
  })
})
