/** Waiting after failures: it grows, it is capped, and chance never takes more than half of it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs } from './backoff.ts'

const backoff = { baseMs: 1_000, capMs: 60_000 }

test('the wait doubles with each failure in a row until the cap', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8].map((failures) => backoffMs(failures, backoff, 1))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
  ])
})

test('chance takes at most half of the wait', () => {
  expect(backoffMs(3, backoff, 0)).toBe(2_000)
  expect(backoffMs(3, backoff, 0.5)).toBe(3_000)
})

test('whatever the count, the wait is a finite number between half of the base and the cap', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5, max: 2 ** 31 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (failures, chance) => {
        const wait = backoffMs(failures, backoff, chance)
        expect(wait).toBeGreaterThanOrEqual(500)
        expect(wait).toBeLessThanOrEqual(60_000)
      },
    ),
  )
})
