import { describe, expect, test } from 'vitest'
import { day, frozen, hour, minute, sampleEntry, sampleSource, sampleToken, t0 } from '../../test/model/samples.ts'
import { contestOf, isContested } from './conflict.ts'
import type { Entry, Suspicion } from './entry.ts'
import { commit, doubted, leased, type Committed } from './settle.ts'
import type { Source } from './source.ts'

const now = t0 + 30 * minute
const classic = sampleSource()
const probed = sampleSource({ semantics: { probe: true } })
const stable = sampleSource({
  reissue: 'same-until-window',
  semantics: { probe: true, limits: { force: { perDay: 20, gapMs: 30_000 } } },
})

type Way = { readonly source?: Source; readonly forced?: boolean; readonly changed?: Partial<Entry> }

/** A new token in place of the current one, which somebody reported. */
function replace(entry: Entry, at: number, { source = classic, forced = false, changed = {} }: Way = {}): Committed {
  const marked = { ...doubted(entry, 'reported', at), ...changed }
  const held = leased(source, marked, { node: 'n1', now: at, forced })
  const issued = { value: `token-${at}`, lifetimeMs: 2 * hour, fields: {} }
  return commit(source, frozen(held), issued, { sentAt: at, now: at, forced, chance: 0.5, askedWith: {}, grant: null })
}

function said(what: NonNullable<Suspicion['said']>, version = 1): Partial<Entry> {
  return { suspicion: { askedAt: now, version, said: what } }
}

describe('a conflict', () => {
  test('begins with the second early death in a day, once, however many follow', () => {
    const first = replace(sampleEntry(), now)
    expect([first.turn, isContested(first.entry, now)]).toEqual([null, false])
    const second = replace(first.entry, now + 10 * minute)
    expect(second.turn).toEqual({ kind: 'began', conflict: { since: now, count: 2, sign: 'refused' } })
    const third = replace(second.entry, now + 20 * minute)
    expect(third.turn).toBeNull()
    expect(contestOf(classic, third.entry, now + 20 * minute)).toMatchObject({
      sign: 'refused',
      deaths: 3,
      since: now,
      last: now + 20 * minute,
    })
  })

  test('is over with the first new token after a quiet day, and said to be so once', () => {
    const begun = replace(replace(sampleEntry(), now).entry, now + hour)
    const at = now + hour + day
    const quiet = (entry: Entry, when: number): Committed => replace(entry, when, { changed: { doubt: null } })
    expect(quiet(begun.entry, at - minute).turn).toBeNull()
    expect(isContested(begun.entry, at - minute)).toBe(true)
    const over = quiet(begun.entry, at)
    expect(over.turn).toMatchObject({ kind: 'over', conflict: { count: 2, since: now }, endedAt: now + hour })
    expect(over.entry).not.toHaveProperty('conflict')
    expect(quiet(over.entry, at + hour).turn).toBeNull()
  })

  test('begins anew after a quiet day: one death then is no conflict', () => {
    const begun = replace(replace(sampleEntry(), now).entry, now + hour)
    const again = replace({ ...begun.entry, token: sampleToken({ issuedAt: now + 2 * day }) }, now + 2 * day, {
      changed: { token: { ...sampleToken(), version: begun.entry.version, expiresAt: now + 3 * day } },
    })
    expect(again.turn?.kind).toBe('over')
    expect(again.entry.conflict).toEqual({ since: now + 2 * day, count: 1, sign: 'refused' })
    expect(isContested(again.entry, now + 2 * day)).toBe(false)
  })

  test('goes on from deaths that an older program counted', () => {
    const { turn } = replace(sampleEntry({ earlyDeaths: [now - hour] }), now)
    expect(turn).toEqual({ kind: 'began', conflict: { since: now - hour, count: 2, sign: 'refused' } })
  })
})

describe('nobody is accused', () => {
  test('when an attempt of ours was left without an answer, or the end was near', () => {
    expect(replace(sampleEntry(), now, { changed: { epoch: 2 } }).entry.earlyDeaths).toEqual([])
    expect(replace(sampleEntry(), t0 + 2 * hour - 5 * minute).entry.earlyDeaths).toEqual([])
    const unconfirmed = sampleEntry({ token: sampleToken({ isUnconfirmed: true }) })
    expect(replace(unconfirmed, now).entry.earlyDeaths).toEqual([])
  })

  test('on a report alone where the platform can be asked', () => {
    const sourced = { source: probed }
    for (const changed of [{}, said('unclear'), said('dead', 0)]) {
      expect(replace(sampleEntry(), now, { ...sourced, changed }).entry.earlyDeaths).toEqual([])
    }
    expect(replace(sampleEntry(), now, { ...sourced, changed: said('dead') }).entry.earlyDeaths).toEqual([now])
  })

  test('where nobody can retire a token by asking for another', () => {
    const source = sampleSource({ reissue: 'independent' })
    expect(replace(sampleEntry(), now, { source }).entry.earlyDeaths).toEqual([])
  })
})

describe('an upstream that repeats its token', () => {
  test('and gives another one unasked shows that somebody has replaced it', () => {
    const { entry } = replace(sampleEntry(), now, { source: stable, changed: { doubt: null } })
    expect(entry.conflict).toMatchObject({ count: 1, sign: 'replaced' })
  })

  test('shows nothing by it when we asked by force, now or a moment ago, or within its window', () => {
    const asked = { source: stable, changed: { doubt: null } }
    expect(replace(sampleEntry(), now, { ...asked, forced: true }).entry.earlyDeaths).toEqual([])
    const forcedBefore = { hours: [], recent: [], forced: [now - 2 * minute] }
    const changed = { doubt: null, budget: forcedBefore }
    expect(replace(sampleEntry(), now, { ...asked, changed }).entry.earlyDeaths).toEqual([])
    expect(replace(sampleEntry(), t0 + 2 * hour - 4 * minute, asked).entry.earlyDeaths).toEqual([])
  })
})

test('the advice names the way out that there is, in both languages', () => {
  const entry = sampleEntry({ earlyDeaths: [now - hour, now], conflict: { since: now, count: 2, sign: 'refused' } })
  const sources = [classic, stable, sampleSource({ reissue: 'same-until-expiry' })]
  const advice = sources.map((source) => contestOf(source, entry, now)?.advice)
  expect(advice.map((each) => each?.en)).toEqual([
    expect.stringContaining('mode: stable'),
    expect.stringContaining('force_refresh'),
    expect.stringContaining('platform'),
  ])
  expect(new Set(advice.map((each) => each?.zh)).size).toBe(3)
  expect(contestOf(classic, sampleEntry(), now)).toBeNull()
})
