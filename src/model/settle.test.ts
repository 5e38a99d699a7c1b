/** The life of an attempt: what each end of it does to the entry. What holds for every order of events is in settle-any-order.test.ts. */
import { describe, expect, test } from 'vitest'
import {
  day,
  frozen,
  hour,
  minute,
  sampleEntry,
  sampleSource,
  sampleToken,
  second,
  t0,
} from '../../test/model/samples.ts'
import { decide, isUnresolved } from './decide.ts'
import { unansweredIn, type Doubt, type Entry } from './entry.ts'
import type { Attempt, Issued } from './failure.ts'
import { commit, doubted, fail, giveBack, leased, leaseMsOf, stray, type Sent } from './settle.ts'
import type { Source } from './source.ts'

const now = t0 + hour
const classic = frozen(sampleSource())
const forceful = frozen(
  sampleSource({ reissue: 'same-until-window', semantics: { limits: { force: { perDay: 20, gapMs: 30 * second } } } }),
)
const failure = { code: 'upstream_busy', message: 'busy' }
const unknown: Attempt = { outcome: 'unknown', failure }
const notSent: Attempt = { outcome: 'not-sent', failure }

function refused(more: Partial<Extract<Attempt, { outcome: 'rejected' }>> = {}): Attempt {
  return { outcome: 'rejected', class: 'transient', failure, ...more }
}

function granted(changed: Partial<Entry> = {}, source: Source = classic, forced = false): Entry {
  return frozen(leased(source, frozen(sampleEntry(changed)), { node: 'n1', now, forced }))
}

function sent(changed: Partial<Sent> = {}): Sent {
  return { sentAt: now + 10, now: now + 500, forced: false, chance: 0.5, grant: null, askedWith: {}, ...changed }
}

function issued(value: string, lifetimeMs: number | null = 2 * hour): Issued {
  return { value, lifetimeMs, fields: { access_token: value } }
}

function ended(source: Source, entry: Entry, attempt: Attempt, changed: Partial<Sent> = {}): Entry {
  if (attempt.outcome === 'issued') throw new Error('that is no failure')
  return fail(source, frozen(entry), attempt, sent(changed))
}

function doubt(reason: Doubt['reason'], at = now - second): Doubt {
  return { reason, at, version: 1, repeats: 0 }
}

describe('granting the lease', () => {
  test('writes the intent and debits the budget before anything is sent', () => {
    const entry = granted()
    expect(entry).toMatchObject({ epoch: 2, resolvedEpoch: 1, token: { value: 'token-1' }, version: 1 })
    expect(entry.lease).toEqual({ node: 'n1', at: now, until: now + leaseMsOf(classic), forced: false })
    expect(entry.budget.recent).toEqual([now])
    expect(isUnresolved(entry)).toBe(true)
  })

  test('lasts longer than the attempt, so that the end can be written', () => {
    expect(leaseMsOf(classic)).toBe(15 * second)
  })

  test('after a holder that died, believes in the token only as long as its grace lasts', () => {
    const lease = { node: 'n0', at: now - minute, until: now - 45 * second, forced: false }
    expect(granted({ epoch: 2, lease }).token?.expiresAt).toBe(now - minute + 5 * minute)
    expect(granted({ epoch: 2, lease }, forceful).token?.expiresAt).toBe(sampleToken().expiresAt)
    expect(granted({ epoch: 2, lease: { ...lease, forced: true } }, forceful).token?.expiresAt).toBe(now + 4 * minute)
  })
})

describe('giving the lease back', () => {
  test('leaves nothing open, and keeps what was open before', () => {
    expect(giveBack(granted())).toMatchObject({ lease: null, epoch: 2, resolvedEpoch: 2 })
    expect(unansweredIn(giveBack(granted({ epoch: 3 })))).toBe(2)
  })

  test('does not give the budget back: the lease was the debit', () => {
    expect(giveBack(granted()).budget.recent).toEqual([now])
  })
})

describe('a new token', () => {
  test('is the next version, lives from sending, and settles everything', () => {
    const { entry, result } = commit(classic, granted({ doubt: doubt('reported') }), issued('token-2'), sent())
    expect(result).toBe('rotated')
    expect(entry).toMatchObject({
      version: 2,
      epoch: 2,
      resolvedEpoch: 2,
      lease: null,
      doubt: null,
      trouble: null,
      nextTry: 0,
    })
    expect(entry.token).toMatchObject({
      value: 'token-2',
      version: 2,
      issuedAt: now + 10,
      expiresAt: now + 10 + 2 * hour - 2 * second,
      identity: 'sample:wx1',
      isGuessed: false,
    })
  })

  test('without a usable lifetime gets the fallback, and says that it is a guess', () => {
    const { entry } = commit(classic, granted(), issued('token-2', null), sent())
    expect(entry.token).toMatchObject({ lifetimeMs: 2 * hour, isGuessed: true })
  })

  test('remembers the three before it, as long as programs may hold them', () => {
    let entry = sampleEntry()
    for (const value of ['token-2', 'token-3', 'token-4', 'token-5']) {
      const held = leased(classic, entry, { node: 'n1', now, forced: false })
      entry = commit(classic, held, issued(value), sent()).entry
    }
    expect(entry.previous.map((old) => old.value)).toEqual(['token-4', 'token-3', 'token-2'])
    expect(entry.previous[0]!.until).toBe(now + 10 + 2 * hour)
  })

  test('of another account remembers none of the old account', () => {
    const moved = sampleSource({ identity: 'sample:wx2' })
    const { entry, turn } = commit(moved, granted({}, moved), issued('token-2'), sent())
    expect(entry.previous).toEqual([])
    expect([turn, entry.earlyDeaths]).toEqual([null, []])
  })

  test('of another account that looks the same is a new version all the same', () => {
    const moved = sampleSource({ identity: 'sample:wx2' })
    expect(commit(moved, granted({}, moved), issued('token-1'), sent())).toMatchObject({
      result: 'rotated',
      entry: { version: 2 },
    })
  })

  test('does not settle a stray that came after it was sent', () => {
    const late = granted({ doubt: doubt('stray', now + 100) })
    expect(commit(classic, late, issued('token-2'), sent()).entry.doubt).toMatchObject({ reason: 'stray' })
    const early = granted({ doubt: doubt('stray', now + 5) })
    expect(commit(classic, early, issued('token-2'), sent()).entry.doubt).toBeNull()
  })

  test('after an attempt without an answer is confirmed within half of its grace', () => {
    const { entry } = commit(classic, granted({ epoch: 2 }), issued('token-2'), sent())
    expect(entry.dueAt).toBeLessThanOrEqual(now + 3 * minute)
    expect(commit(classic, granted(), issued('token-2'), sent()).entry.dueAt).toBeGreaterThan(now + hour)
  })

  test('soon after another forced attempt is confirmed, although the upstream had repeated its token in between', () => {
    const after = (ageMs: number): Entry => {
      const { budget } = sampleEntry()
      const entry = granted({ budget: { ...budget, forced: [now - ageMs] } }, forceful, true)
      return commit(forceful, entry, issued('token-2'), sent({ forced: true })).entry
    }
    expect(after(minute).dueAt).toBeLessThanOrEqual(now + 3 * minute)
    expect(after(hour).dueAt).toBeGreaterThan(now + hour)
  })

  test('is confirmed by a repeat, but not by one that comes too early', () => {
    const after = (ageMs: number): Entry => {
      const token = sampleToken({ isUnconfirmed: true, issuedAt: now - ageMs })
      return commit(forceful, granted({ token }, forceful), issued('token-1'), sent()).entry
    }
    expect(after(3 * minute).token?.isUnconfirmed).toBe(false)
    expect(after(3 * minute).dueAt).toBeGreaterThan(now + 30 * minute)
    expect(after(minute).token?.isUnconfirmed).toBe(true)
    expect(after(minute).dueAt).toBeLessThanOrEqual(now + 2 * minute)
  })

  test('hands the waiting on when it is replaced before it could be confirmed, a guessed lifetime or not', () => {
    const guessed = { isUnconfirmed: true, isGuessed: true, lifetimeMs: 5 * minute, expiresAt: now + 4 * minute }
    const soon = granted({ token: sampleToken({ ...guessed, issuedAt: now - 40 * second }), dueAt: now - second })
    const next = commit(classic, soon, issued('token-2'), sent()).entry
    expect(next.token?.isUnconfirmed).toBe(true)
    expect(next.dueAt).toBeLessThanOrEqual(now + 3 * minute)
    const late = granted({ token: sampleToken({ ...guessed, issuedAt: now - 3 * minute }), dueAt: now - second })
    expect(commit(classic, late, issued('token-2'), sent()).entry.token?.isUnconfirmed).toBe(false)
  })
})

describe('the same token again', () => {
  const semi = sampleSource({ reissue: 'same-until-window' })

  test('keeps its version and is asked for later', () => {
    const { entry, result } = commit(semi, granted({ dueAt: now }, semi), issued('token-1', hour), sent())
    expect(result).toBe('repeated')
    expect(entry).toMatchObject({ version: 1, lease: null, resolvedEpoch: 2, token: { version: 1 } })
    expect(entry.dueAt).toBeGreaterThan(now + second)
  })

  test('never lives longer than was believed, but may live shorter', () => {
    const longer = commit(semi, granted({}, semi), issued('token-1', 9 * hour), sent()).entry
    expect(longer.token?.expiresAt).toBe(sampleToken().expiresAt)
    const shorter = commit(semi, granted({}, semi), issued('token-1', minute), sent()).entry
    expect(shorter.token?.expiresAt).toBe(now + 10 + minute - 2 * second)
    expect(commit(semi, granted({}, semi), issued('token-1', null), sent()).entry.token).toEqual(sampleToken())
  })

  test('lives anew where asking extends it', () => {
    const sliding = sampleSource({ reissue: 'extends' })
    const { entry, result } = commit(sliding, granted({}, sliding), issued('token-1', 2 * hour), sent())
    expect(result).toBe('repeated')
    expect(entry.token).toMatchObject({ version: 1, issuedAt: now + 10, expiresAt: now + 10 + 2 * hour - 2 * second })
  })

  test('lives as it is told now, if its life had been guessed', () => {
    const guessed = granted({ token: sampleToken({ isGuessed: true }) }, semi)
    const { entry } = commit(semi, guessed, issued('token-1', 9 * hour), sent())
    expect(entry.token).toMatchObject({ isGuessed: false, expiresAt: now + 10 + 9 * hour - 2 * second })
  })

  test('after a report leads to one forced issue, where there is one, and then to peace', () => {
    const once = commit(forceful, granted({ doubt: doubt('reported') }, forceful), issued('token-1'), sent()).entry
    expect(once.doubt).toMatchObject({ reason: 'reported', repeats: 1 })
    const later = now + 2 * second
    expect(decide(forceful, once, later)).toMatchObject({ act: 'refresh', force: true })
    const forced = leased(forceful, once, { node: 'n1', now: later, forced: true })
    expect(
      commit(forceful, forced, issued('token-1'), sent({ forced: true, sentAt: later, now: later })).entry.doubt,
    ).toBeNull()
  })

  test('after a report is the last word where nothing can be forced', () => {
    expect(commit(semi, granted({ doubt: doubt('reported') }, semi), issued('token-1'), sent()).entry.doubt).toBeNull()
  })

  test('does not settle a report that came after it was sent', () => {
    const entry = granted({ doubt: doubt('reported', now + 100) }, semi)
    expect(commit(semi, entry, issued('token-1'), sent()).entry.doubt).toEqual(doubt('reported', now + 100))
  })

  test('whose life had been cut is replaced by force before it is missed', () => {
    const cutShort = granted({ token: sampleToken({ expiresAt: now + 5 * minute }), epoch: 2 }, forceful)
    const { entry } = commit(forceful, cutShort, issued('token-1', hour), sent())
    expect(entry.dueAt).toBeLessThan(now + 5 * minute)
    expect(decide(forceful, entry, entry.dueAt)).toMatchObject({ act: 'refresh', force: true })
  })
})

describe('an attempt without an answer', () => {
  test('cuts the life of a token that it may have retired, and stays open', () => {
    const entry = ended(classic, granted(), unknown)
    expect(entry).toMatchObject({ lease: null, epoch: 2, resolvedEpoch: 1, version: 1 })
    expect(entry.token?.expiresAt).toBe(now + 10 + 5 * minute)
    expect(entry.nextTry).toBeLessThanOrEqual(now + 500 + 2 * second)
  })

  test('does neither where a second issue harms nothing', () => {
    const source = sampleSource({ reissue: 'independent' })
    expect(ended(source, granted({}, source), unknown)).toMatchObject({ resolvedEpoch: 2, token: sampleToken() })
  })

  test('does both where it was a forced one', () => {
    const entry = ended(forceful, granted({}, forceful, true), unknown, { forced: true })
    expect(entry).toMatchObject({ resolvedEpoch: 1, token: { expiresAt: now + 10 + 5 * minute } })
  })

  test('is not forgotten when the next attempt is refused, or nothing is sent, and is counted once', () => {
    for (const attempt of [refused(), notSent]) {
      expect(unansweredIn(ended(classic, granted({ epoch: 2 }), attempt))).toBe(1)
    }
    expect(unansweredIn(ended(classic, granted({ epoch: 2 }), unknown))).toBe(2)
    expect(isUnresolved(commit(classic, granted({ epoch: 2 }), issued('token-2'), sent()).entry)).toBe(false)
  })
})

describe('an attempt that was refused', () => {
  test('leaves the token its life, and says when to try again', () => {
    const entry = ended(classic, granted(), refused())
    expect(entry).toMatchObject({
      lease: null,
      epoch: 2,
      resolvedEpoch: 2,
      token: sampleToken(),
      dueAt: t0 + 80 * minute,
    })
    expect(entry.trouble).toMatchObject({ class: 'transient', count: 1, since: now + 500, generation: 'g1' })
    expect(entry.nextTry).toBeGreaterThanOrEqual(now + 500 + second)
  })

  test('counts failures in a row, of this configuration only', () => {
    const trouble = { class: 'transient', failure, since: t0, at: t0, count: 4, generation: 'g1' } as const
    expect(ended(classic, granted({ trouble }), refused()).trouble).toMatchObject({ count: 5, since: t0 })
    const other = { ...trouble, generation: 'g0' }
    expect(ended(classic, granted({ trouble: other }), refused()).trouble).toMatchObject({ count: 1, since: now + 500 })
  })

  test.each([
    ['transient', 1, 60],
    ['permission', 15, 60],
    ['quota', 60, 600],
    ['configuration', 30, 600],
    ['needs-authorization', 30, 3_600],
  ] as const)('for %s waits %i s at least, and never more than %i s', (troubleClass, least, cap) => {
    const waits = [1, 2, 3, 5, 9, 40].flatMap((count) =>
      [0, 0.999].map((chance) => {
        const trouble = { class: troubleClass, failure, since: t0, at: t0, count: count - 1, generation: 'g1' } as const
        const entry = ended(classic, granted(count === 1 ? {} : { trouble }), refused({ class: troubleClass }), {
          chance,
        })
        return (entry.nextTry - (now + 500)) / second
      }),
    )
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(least)
    expect(Math.max(...waits)).toBeLessThanOrEqual(cap)
    expect(Math.max(...waits)).toBeGreaterThan(cap / 2)
  })

  test('waits as long as the upstream says, but never longer than a day', () => {
    expect(ended(classic, granted(), refused({ waitMs: hour })).nextTry).toBe(now + 500 + hour)
    expect(ended(classic, granted(), refused({ waitMs: Infinity })).nextTry).toBe(now + 500 + day)
  })

  test('is tried again within seconds, however often, while there is no token or it is doubted', () => {
    const trouble = { class: 'transient', failure, since: t0, at: t0, count: 40, generation: 'g1' } as const
    for (const changed of [{ token: null }, { doubt: doubt('reported') }]) {
      const entry = ended(classic, granted({ trouble, ...changed }), refused(), { chance: 0.999 })
      expect(entry.nextTry - now).toBeLessThanOrEqual(16 * second)
    }
  })

  test('ends a wish, but no other doubt', () => {
    expect(ended(classic, granted({ doubt: doubt('asked') }), refused()).doubt).toBeNull()
    expect(ended(classic, granted({ doubt: doubt('reported') }), refused()).doubt).toEqual(doubt('reported'))
    expect(ended(classic, granted({ doubt: doubt('stray') }), unknown).doubt).toEqual(doubt('stray'))
  })
})

describe('a stray answer', () => {
  test('makes the token doubtful, and believes in it no longer than what the late issue may have left it', () => {
    const entry = stray(classic, frozen(sampleEntry()), now)
    expect(entry.doubt).toEqual({ reason: 'stray', at: now, version: 1, repeats: 0 })
    expect(entry.token?.expiresAt).toBe(now + 5 * minute - 8 * second)
    expect(decide(classic, entry, now)).toMatchObject({ act: 'refresh', purpose: 'scheduled' })
  })
})

describe('marking a token as doubtful', () => {
  test('names the version, once', () => {
    const entry = doubted(frozen(sampleEntry()), 'reported', now)
    expect(entry.doubt).toEqual({ reason: 'reported', at: now, version: 1, repeats: 0 })
    expect(doubted(frozen(entry), 'reported', now + second)).toBe(entry)
  })

  test('never makes less of a stray or of a report', () => {
    for (const reason of ['stray', 'reported'] as const) {
      const entry = frozen(sampleEntry({ doubt: doubt(reason) }))
      expect(doubted(entry, 'asked', now).doubt).toEqual(doubt(reason))
    }
    expect(doubted(frozen(sampleEntry({ doubt: doubt('asked') })), 'reported', now).doubt?.reason).toBe('reported')
  })

  test('a report of an older version does not stand in the way of one of this', () => {
    const entry = frozen(sampleEntry({ doubt: { ...doubt('reported'), version: 0 } }))
    expect(doubted(entry, 'reported', now).doubt).toMatchObject({ version: 1, at: now })
  })
})
