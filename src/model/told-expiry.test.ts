import { describe, expect, test } from 'vitest'
import { plainExpiry, sdkMarginSeconds, toldMs, type ToldExpiry } from './told-expiry.ts'

/** Every length of life that matters: each of the first minutes, then steps, in milliseconds. */
const lives = [
  ...Array.from({ length: 4_000 }, (_, index) => index * 137 + 1),
  ...Array.from({ length: 200 }, (_, index) => index * 36_000 + 600_000),
]

const clients: readonly (readonly [string, ToldExpiry])[] = [
  ...Object.entries(sdkMarginSeconds).map(([name, seconds]) => [name, policy(seconds * 1_000)] as const),
  ['plain', plainExpiry],
  ['no floor', { ...policy(200_000), floorMs: 0 }],
  ['a long floor', { ...policy(200_000), floorMs: 3_600_000 }],
  ['a low cap', { ...policy(200_000), capMs: 201_000 }],
  ['a cap of ten minutes', { ...policy(10_000), capMs: 600_000 }],
]

function policy(marginMs: number): ToldExpiry {
  return { marginMs, floorMs: 60_000, capMs: Infinity }
}

/** What a library keeps a token for: whole seconds were told, and it takes off its margin. */
function keptMs(leftMs: number, expiry: ToldExpiry): number {
  return Math.floor(toldMs(leftMs, expiry) / 1_000) * 1_000 - expiry.marginMs
}

describe.each(clients)('%s', (_, expiry) => {
  test('never keeps a token past its life, but for the last second of it', () => {
    for (const leftMs of lives) expect(keptMs(leftMs, expiry)).toBeLessThanOrEqual(Math.max(leftMs, 1_000))
  })

  test('never keeps it for nothing, so that it neither asks at every call nor keeps it for ever', () => {
    for (const leftMs of lives) expect(keptMs(leftMs, expiry)).toBeGreaterThanOrEqual(1_000)
  })

  test('is told no more of a shorter life than of a longer one, and never more than its cap', () => {
    const told = lives.toSorted((a, b) => a - b).map((leftMs) => toldMs(leftMs, expiry))
    expect(told).toEqual(told.toSorted((a, b) => a - b))
    expect(Math.max(...told)).toBeLessThanOrEqual(expiry.capMs)
  })
})

test('what is left is told as it is while it is longer than the margin and the floor', () => {
  expect(toldMs(7_200_000, policy(1_500_000))).toBe(7_200_000)
  expect(toldMs(1_560_000, policy(1_500_000))).toBe(1_560_000)
  expect(toldMs(1_559_000, policy(1_500_000))).toBe(1_560_000)
  expect(toldMs(60_000, policy(1_500_000))).toBe(1_560_000)
  expect(toldMs(5_000, policy(1_500_000))).toBe(1_505_000)
})

type Told = (leftMs: number) => number

/** A library that keeps a token for what it was told, less its margin; each half second it needs one. */
function asks(told: Told, marginMs: number): { readonly count: number; readonly stale: number } {
  const lifeMs = 7_200_000
  let [count, stale, heldUntil] = [0, 0, -Infinity]
  let endsAt = lifeMs
  let heldEndsAt = 0
  for (let now = 0; now < 3 * lifeMs; now += 500) {
    // The replacement comes in the last second, the worst that an upstream can do.
    if (endsAt - now <= 1_000) endsAt = now + lifeMs
    if (now >= heldUntil) {
      count += 1
      heldUntil = now + Math.floor(told(endsAt - now) / 1_000) * 1_000 - marginMs
      heldEndsAt = endsAt
    }
    if (now > heldEndsAt) stale += 1
  }
  return { count, stale }
}

test.each(Object.entries(sdkMarginSeconds))(
  '%s asks a few times per token, and never uses a dead one',
  (_, seconds) => {
    const { count, stale } = asks((leftMs) => toldMs(leftMs, policy(seconds * 1_000)), seconds * 1_000)
    expect(stale).toBe(0)
    // In the last stretch: its margin in minutes, then the seconds of the end.
    expect(count).toBeLessThan(3 * (seconds / 60 + 70))
  },
)

test('told what is left, a library with a margin of 1500 s asks at every call for all that time', () => {
  const { count } = asks((leftMs) => leftMs, 1_500_000)
  expect(count).toBeGreaterThan(2 * 2_900)
})
