import { describe, expect, test } from 'vitest'
import { day, frozen, hour, minute, sampleEntry, sampleSource, second, t0 } from '../../test/model/samples.ts'
import type { Entry, Said } from './entry.ts'
import { answered, asked, refusedHere, stepFor, type Witness } from './suspicion.ts'

const now = t0 + 30 * minute
const source = sampleSource({ semantics: { probe: true } })
const shop: Witness = { kind: 'report', client: 'shop' }
const blog: Witness = { kind: 'report', client: 'blog' }

/** The entry after a probe at `at`, and its answer. */
function after(entry: Entry, said: Said, at: number, ...witnesses: readonly Witness[]): Entry {
  return answered(asked(frozen(entry), at), said, witnesses, at).entry
}

const probe = { act: 'probe' }
const alive = { act: 'take', said: 'alive' }
const unclear = { act: 'take', said: 'unclear' }

describe('whether the platform is asked', () => {
  test('at the first word; while its answer is awaited nobody else asks', () => {
    expect(stepFor(source, sampleEntry(), shop, now)).toEqual(probe)
    const entry = asked(sampleEntry(), now)
    expect(stepFor(source, entry, blog, now + second)).toEqual({ act: 'wait' })
    expect(stepFor(source, entry, blog, now + 4 * second)).toEqual(probe)
  })

  test('never where it cannot be, and there a report is taken as it was', () => {
    expect(stepFor(sampleSource(), sampleEntry(), shop, now)).toMatchObject(unclear)
  })

  test('not again within two seconds: a no and no answer hold so long, and after a yes a fresh witness waits', () => {
    for (const said of ['dead', 'unclear'] as const) {
      const entry = after(sampleEntry(), said, now, shop)
      expect(stepFor(source, entry, blog, now + 1_999)).toEqual({ act: 'take', said, until: now + 2_000 })
      expect(stepFor(source, entry, blog, now + 2_000)).toEqual(probe)
    }
    const lives = after(sampleEntry(), 'alive', now, shop)
    expect(stepFor(source, lives, blog, now + 1_999)).toEqual({ act: 'wait' })
    expect(stepFor(source, lives, { kind: 're-ask', client: 'blog' }, now)).toEqual({ ...alive, until: now + 2_000 })
    expect(stepFor(source, lives, shop, now)).toEqual({ ...alive, until: now + 10_000 })
    expect(stepFor(source, lives, blog, now + 2_000)).toEqual(probe)
  })

  test('more often about lives that are short', () => {
    const brief = sampleEntry({ token: { ...sampleEntry().token!, lifetimeMs: 20 * second } })
    expect(stepFor(source, after(brief, 'alive', now, shop), blog, now + second)).toEqual(probe)
  })

  test('about a new version at once, but for the gap', () => {
    const entry = { ...after(sampleEntry(), 'dead', now, shop), version: 2 }
    expect(stepFor(source, entry, blog, now + second)).toEqual({ act: 'wait' })
    expect(stepFor(source, entry, blog, now + 2 * second)).toEqual(probe)
  })

  test('though a clock was stepped back since', () => {
    expect(stepFor(source, after(sampleEntry(), 'alive', now + hour, shop), shop, now)).toEqual(probe)
  })
})

describe('a witness that was wrong', () => {
  test('is asked about half as often each time, and a client never less than once a minute', () => {
    let [entry, at] = [sampleEntry(), now]
    const gaps: number[] = []
    for (let times = 0; times < 8; times += 1) {
      entry = after(entry, 'alive', at, shop)
      const from = at
      while (stepFor(source, entry, shop, at).act !== 'probe') at += second
      gaps.push((at - from) / second)
    }
    expect(gaps).toEqual([10, 20, 40, 60, 60, 60, 60, 60])
    expect(stepFor(source, entry, blog, at - 50 * second)).toEqual(probe)
  })

  test('has its word back when it was right, and after a quiet day', () => {
    const liar = after(after(sampleEntry(), 'alive', now, shop), 'alive', now + minute, shop)
    expect(stepFor(source, liar, shop, now + minute + 15 * second)).toMatchObject(alive)
    const right = after(liar, 'dead', now + 2 * minute, shop)
    expect(right.suspicion).not.toHaveProperty('refuted')
    const rested = after(liar, 'alive', now + 2 * day, shop)
    expect(rested.suspicion?.refuted).toEqual([{ ...shop, times: 1, at: now + 2 * day }])
  })

  test('is told of at the third time in a row, if it is a client that reports', () => {
    let entry = sampleEntry()
    const told = [1, 2, 3, 4].map((times) => {
      const gateway: Witness = { kind: 'gateway', client: 'shop' }
      const next = answered(asked(entry, now + times * minute), 'alive', [shop, gateway], now + times * minute)
      entry = next.entry
      return next.told.map(({ kind, client, times: count }) => ({ kind, client, count }))
    })
    expect(told).toEqual([[], [], [{ ...shop, count: 3 }], []])
  })

  test('is remembered with fifteen others at most', () => {
    const many = Array.from({ length: 40 }, (_, index): Witness => ({ kind: 'report', client: `c${index}` }))
    const entry = after(sampleEntry(), 'alive', now, ...many)
    expect(entry.suspicion?.refuted).toHaveLength(16)
    expect(entry.suspicion?.refuted?.at(-1)?.client).toBe('c39')
  })

  test('weighs as little as all others when it only asks again, and most rarely', () => {
    const again: Witness = { kind: 're-ask', client: 'shop' }
    let entry = sampleEntry()
    for (let times = 0; times < 12; times += 1) entry = after(entry, 'alive', now + times, again)
    const other: Witness = { kind: 're-ask', client: 'blog' }
    expect(stepFor(source, entry, other, now + 29 * minute)).toMatchObject(alive)
    expect(stepFor(source, entry, other, now + 31 * minute)).toEqual(probe)
  })
})

test('what the keeper was told itself counts as an answer', () => {
  expect(refusedHere(source, sampleEntry(), now).suspicion).toEqual({ askedAt: now, version: 1, said: 'dead' })
  expect(refusedHere(sampleSource(), sampleEntry(), now)).not.toHaveProperty('suspicion')
})
