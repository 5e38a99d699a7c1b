/** Lives, leads and promises: all scale with the life, and none is longer than it. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  day,
  hour,
  minute,
  reissues,
  sampleEntry,
  sampleSource,
  sampleToken,
  second,
  t0,
} from '../../test/model/samples.ts'
import {
  dueAtOf,
  dueAtOfRepeated,
  expiresAtOf,
  leadMs,
  lifetimeMsOf,
  marginMs,
  mayBeDead,
  promiseCapMs,
  promiseMsMax,
  promisedAt,
  promisedUntil,
} from './expiry.ts'
import { lifetimeMsMax } from './semantics.ts'
import { graceMsOf } from './source.ts'

const reissue = fc.constantFrom(...reissues)
const life = fc.oneof(fc.integer({ min: 1, max: 2 * minute }), fc.integer({ min: 1, max: lifetimeMsMax }))
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const policy = fc.record(
  { refreshBeforeMs: fc.integer({ min: 0, max: 2 * day }), overlapMs: fc.integer({ min: 0, max: day }) },
  { requiredKeys: [] },
)

describe('the end of a life', () => {
  test('is believed a little before it was told, counted from sending', () => {
    expect(expiresAtOf(t0, 2 * hour)).toBe(t0 + 2 * hour - 2 * second)
    expect(expiresAtOf(t0, 20 * second)).toBe(t0 + 19 * second)
  })

  test('never comes before the sending, however short the life', () => {
    fc.assert(
      fc.property(life, (lifetimeMs) => {
        expect(marginMs(lifetimeMs)).toBeGreaterThanOrEqual(0)
        expect(expiresAtOf(t0, lifetimeMs)).toBeGreaterThan(t0)
      }),
    )
  })

  test('is the fallback when none was told, and ten years when more was', () => {
    const source = sampleSource({ semantics: { fallbackTtlMs: hour } })
    expect(lifetimeMsOf(source, null)).toBe(hour)
    expect(lifetimeMsOf(source, 1_000 * lifetimeMsMax)).toBe(lifetimeMsMax)
  })
})

describe('the lead', () => {
  test.each([
    ['a third of two hours', 2 * hour, 40 * minute],
    ['a minute of three', 3 * minute, minute],
    ['half of a minute', minute, 30 * second],
    ['at most a day', 30 * day, day],
  ])('is %s', (_what, lifetimeMs, expected) => {
    expect(leadMs(sampleSource(), lifetimeMs, 0.5)).toBeCloseTo(expected, 3)
    expect(leadMs(sampleSource(), lifetimeMs, 0)).toBeCloseTo(0.9 * expected, 3)
    expect(leadMs(sampleSource(), lifetimeMs, 1)).toBeCloseTo(1.1 * expected, 3)
  })

  test('stays inside the window of an upstream that repeats its token before that', () => {
    const source = sampleSource({ reissue: 'same-until-window', policy: { refreshBeforeMs: hour } })
    expect(leadMs(source, 2 * hour, 0)).toBe(280 * second)
    fc.assert(
      fc.property(life, chance, policy, (lifetimeMs, roll, chosen) => {
        const lead = leadMs(sampleSource({ reissue: 'same-until-window', policy: chosen }), lifetimeMs, roll)
        expect(lead).toBeLessThanOrEqual(Math.min(5 * minute, lifetimeMs / 4))
      }),
    )
  })

  test('is half a minute where the token is the same until its end', () => {
    expect(leadMs(sampleSource({ reissue: 'same-until-expiry' }), 2 * hour, 0)).toBe(30 * second)
    expect(leadMs(sampleSource({ reissue: 'same-until-expiry' }), 20 * second, 0)).toBe(5 * second)
  })

  test('follows `refresh_before`', () => {
    expect(leadMs(sampleSource({ policy: { refreshBeforeMs: 10 * minute } }), 2 * hour, 0.5)).toBe(10 * minute)
  })

  test('is never negative, and a new token is never due when it comes, whatever is configured', () => {
    fc.assert(
      fc.property(reissue, life, chance, policy, (kind, lifetimeMs, roll, chosen) => {
        const source = sampleSource({ reissue: kind, policy: chosen })
        const token = sampleToken({ lifetimeMs, expiresAt: expiresAtOf(t0, lifetimeMs) })
        expect(leadMs(source, lifetimeMs, roll)).toBeGreaterThanOrEqual(0)
        const due = dueAtOf(source, token, roll)
        expect(due).toBeLessThanOrEqual(token.expiresAt)
        if (lifetimeMs >= 100) expect(due).toBeGreaterThan(t0 + lifetimeMs / 20)
      }),
    )
  })
})

describe('a token that was repeated', () => {
  const source = sampleSource({ reissue: 'same-until-window' })
  const token = sampleToken()

  test('is asked for again inside its window', () => {
    const due = dueAtOfRepeated(source, token, t0 + minute, 0.5)
    expect(due).toBeGreaterThan(token.expiresAt - 5 * minute)
    expect(due).toBeLessThan(token.expiresAt)
  })

  test('is asked for every few seconds once that is reached, and right after its end', () => {
    const now = token.expiresAt - 4 * minute
    expect(dueAtOfRepeated(source, token, now, 0) - now).toBe(5 * second)
    expect(dueAtOfRepeated(source, token, now, 0.99) - now).toBeLessThanOrEqual(15 * second)
    const told = token.issuedAt + token.lifetimeMs
    expect(dueAtOfRepeated(source, token, told - second, 0.5)).toBe(told + 200)
  })

  test('is never asked for again at once, nor ever later than a few seconds after its end', () => {
    fc.assert(
      fc.property(reissue, life, chance, fc.double({ min: 0, max: 3, noNaN: true }), (kind, lifetimeMs, roll, part) => {
        const own = sampleToken({ lifetimeMs, expiresAt: expiresAtOf(t0, lifetimeMs) })
        const now = Math.round(t0 + lifetimeMs * part)
        const due = dueAtOfRepeated(sampleSource({ reissue: kind }), own, now, roll)
        expect(due).toBeGreaterThan(now)
        expect(due).toBeLessThanOrEqual(Math.max(own.expiresAt + 3 * second, now + 15 * second))
      }),
    )
  })
})

describe('the promise', () => {
  test('ends a grace after the planned replacement where that retires the token', () => {
    const entry = sampleEntry({ dueAt: t0 + 80 * minute })
    expect(promisedUntil(sampleSource(), entry, sampleToken())).toBe(t0 + 85 * minute)
    expect(promisedUntil(sampleSource({ policy: { overlapMs: minute } }), entry, sampleToken())).toBe(t0 + 81 * minute)
  })

  test('is the whole life everywhere else', () => {
    for (const kind of reissues.filter((each) => each !== 'retires-previous')) {
      const token = sampleToken()
      expect(promisedUntil(sampleSource({ reissue: kind }), sampleEntry(), token)).toBe(token.expiresAt)
    }
  })

  test('is never longer than the token is believed to live', () => {
    fc.assert(
      fc.property(reissue, life, chance, policy, (kind, lifetimeMs, roll, chosen) => {
        const source = sampleSource({ reissue: kind, policy: chosen })
        const token = sampleToken({ lifetimeMs, expiresAt: expiresAtOf(t0, lifetimeMs) })
        const entry = sampleEntry({ token, dueAt: dueAtOf(source, token, roll) })
        const promised = promisedUntil(source, entry, token)
        expect(promised).toBeLessThanOrEqual(token.expiresAt)
        expect(promised).toBeGreaterThanOrEqual(t0)
        expect(graceMsOf(source, lifetimeMs)).toBeLessThanOrEqual(lifetimeMs / 4)
      }),
    )
  })

  test('that ran out while the token lives is made anew, for half a grace at a time and never past its end', () => {
    const entry = sampleEntry({ dueAt: t0 + 80 * minute })
    const token = sampleToken()
    const at = (now: number): number => promisedAt(sampleSource(), entry, token, now)
    expect(at(t0 + 84 * minute)).toBe(t0 + 85 * minute)
    expect(at(t0 + 85 * minute)).toBe(t0 + 87.5 * minute)
    expect(at(t0 + 119 * minute)).toBe(token.expiresAt)
    expect(at(token.expiresAt + hour)).toBeLessThanOrEqual(token.expiresAt)
  })

  test('made at any moment of a life is above zero and within it', () => {
    fc.assert(
      fc.property(
        life,
        chance,
        policy,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (lifetimeMs, roll, chosen, part) => {
          const source = sampleSource({ policy: chosen })
          const token = sampleToken({ lifetimeMs, expiresAt: expiresAtOf(t0, lifetimeMs) })
          const now = Math.floor(t0 + (token.expiresAt - t0) * part)
          fc.pre(now < token.expiresAt)
          const until = promisedAt(source, sampleEntry({ token, dueAt: dueAtOf(source, token, roll) }), token, now)
          expect(until).toBeGreaterThan(now)
          expect(until).toBeLessThanOrEqual(token.expiresAt)
        },
      ),
    )
  })

  test('of a token in doubt or being replaced is short, where a refresh would retire it', () => {
    const doubt = { reason: 'asked', at: t0, version: 1, repeats: 0 } as const
    expect(promiseCapMs(sampleSource(), sampleEntry({ doubt }))).toBeLessThanOrEqual(5 * second)
    expect(promiseCapMs(sampleSource(), sampleEntry({ epoch: 2 }))).toBeLessThanOrEqual(5 * second)
    const lease = { node: 'n1', at: t0, until: t0 + 15 * second, forced: false }
    expect(promiseCapMs(sampleSource(), sampleEntry({ lease, epoch: 2 }))).toBeLessThanOrEqual(5 * second)
    expect(promiseCapMs(sampleSource(), sampleEntry())).toBe(Infinity)
    expect(promiseCapMs(sampleSource({ reissue: 'independent' }), sampleEntry({ doubt }))).toBe(Infinity)
  })

  test('of a token that is being replaced by force is short, where only that retires it', () => {
    const force = { perDay: 20, gapMs: 30 * second }
    const source = sampleSource({ reissue: 'same-until-window', semantics: { limits: { force } } })
    const doubt = { reason: 'asked', at: t0, version: 1, repeats: 0 } as const
    const lease = { node: 'n1', at: t0, until: t0 + 15 * second, forced: true }
    const reported = { doubt: { ...doubt, reason: 'reported' as const } }
    for (const changed of [{ doubt }, reported, { lease, epoch: 2 }, { epoch: 2 }])
      expect(promiseCapMs(source, sampleEntry(changed))).toBeLessThanOrEqual(5 * second)
    const plain = { lease: { ...lease, forced: false }, epoch: 2 }
    for (const changed of [{}, plain, { doubt: { ...doubt, reason: 'wanted' as const } }])
      expect(promiseCapMs(source, sampleEntry(changed))).toBe(Infinity)
  })

  test('of a token that two lost issues may have retired is known to be worth nothing', () => {
    const stray = { reason: 'stray', at: t0, version: 1, repeats: 0 } as const
    const lease = { node: 'n1', at: t0, until: t0 + 15 * second, forced: false }
    const unconfirmed = sampleToken({ isUnconfirmed: true })
    const dead = [{ epoch: 3 }, { epoch: 4, lease }, { epoch: 2, doubt: stray }, { epoch: 2, token: unconfirmed }]
    for (const changed of dead) expect(mayBeDead(sampleSource(), sampleEntry(changed))).toBe(true)
    const alive = [{}, { epoch: 2 }, { epoch: 3, lease }, { doubt: stray }, { token: unconfirmed }]
    for (const changed of alive) expect(mayBeDead(sampleSource(), sampleEntry(changed))).toBe(false)
    expect(mayBeDead(sampleSource({ reissue: 'independent' }), sampleEntry({ epoch: 3 }))).toBe(false)
  })

  test('right after a refresh is as long as is said to those who ask for more', () => {
    fc.assert(
      fc.property(reissue, life, chance, policy, (kind, lifetimeMs, roll, chosen) => {
        const source = sampleSource({ reissue: kind, policy: chosen })
        const token = sampleToken({ lifetimeMs, expiresAt: expiresAtOf(t0, lifetimeMs) })
        const entry = sampleEntry({ token, dueAt: dueAtOf(source, token, Math.min(roll, 0.99)) })
        const most = promiseMsMax(source, lifetimeMs)
        expect(promisedUntil(source, entry, token) - t0).toBeGreaterThanOrEqual(Math.floor(most) - 1)
      }),
    )
  })
})
