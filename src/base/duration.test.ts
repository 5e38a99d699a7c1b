/** Durations as people write and read them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatDuration, parseDuration } from './duration.ts'

describe('reading a duration', () => {
  test.each([
    ['90', 90_000],
    ['90s', 90_000],
    [' 15 m ', 900_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['0.5h', 1_800_000],
    ['0', 0],
    [90, 90_000],
    [0.25, 250],
    [0, 0],
  ])('%j is %i milliseconds', (written, ms) => {
    expect(parseDuration(written)).toBe(ms)
  })

  test.each([
    '',
    '-1',
    '1e3',
    '1h30m',
    '5x',
    's',
    '.5',
    '١',
    '1 000',
    '9'.repeat(400),
    '9'.repeat(17),
    `${'9'.repeat(30)}d`,
  ])('%j is no duration', (written) => {
    expect(parseDuration(written)).toBeNull()
  })

  test.each([-1, NaN, Infinity, 1e306, 1e14])('the number %d is no duration', (written) => {
    expect(parseDuration(written)).toBeNull()
  })

  test('whatever is written, the answer is null or a count of milliseconds', () => {
    const written = fc.oneof(fc.string(), fc.stringMatching(/^\d{1,400}(\.\d{1,9})?[smhd]?$/), fc.double())
    fc.assert(
      fc.property(written, (text) => {
        const ms = parseDuration(text)
        expect(ms === null || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true)
      }),
    )
  })
})

describe('writing a duration', () => {
  test.each([
    [0, '0s'],
    [-5_000, '0s'],
    [999, '0s'],
    [42_000, '42s'],
    [7_140_000, '1h 59m'],
    [7_200_000, '2h'],
    [86_400_000 + 42_000, '1d'],
    [86_400_000 * 3 + 3_600_000 * 4 + 60_000, '3d 4h'],
  ])('%i milliseconds are %j', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test('each part of what was written reads as no more than the time itself', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 * 365 * 86_400_000 }), (ms) => {
        const parts = formatDuration(ms).split(' ')
        const sum = parts.reduce((total, part) => total + (parseDuration(part) ?? NaN), 0)
        expect(parts.length).toBeLessThanOrEqual(2)
        expect(sum).toBeLessThanOrEqual(ms)
        expect(ms - sum).toBeLessThan(Math.max(1_000, ms / 20))
      }),
    )
  })
})
