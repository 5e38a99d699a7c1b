/** Every reason and every act, and what holds for all entries: a decision is pure, in time, and never too early. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  frozen,
  hour,
  minute,
  reissues,
  sampleEntry,
  sampleSource,
  sampleToken,
  second,
  t0,
  type Changed,
} from '../../test/model/samples.ts'
import { confirmedAt, decide, isUnresolved, leasedUntil, stateOf, wakeAt } from './decide.ts'
import type { Doubt, Entry, Lease, Trouble } from './entry.ts'
import { mayForce } from './budget.ts'

const force = { perDay: 20, gapMs: 30 * second }
const now = t0 + hour

function doubt(reason: Doubt['reason'], changed: Partial<Doubt> = {}): Doubt {
  return { reason, at: now - second, version: 1, repeats: 0, ...changed }
}

function lease(changed: Partial<Lease> = {}): Lease {
  return { node: 'n1', at: now - second, until: now + 14 * second, forced: false, ...changed }
}

function trouble(changed: Partial<Trouble> = {}): Trouble {
  const failure = { code: 'upstream_busy', message: 'busy' }
  return { class: 'transient', failure, since: now - minute, at: now - second, count: 3, generation: 'g1', ...changed }
}

type Row = {
  readonly entry: Partial<Entry>
  readonly source?: Changed
  readonly at?: number
  readonly decision: object
  readonly word: string
}

const rows: Readonly<Record<string, Row>> = {
  'a fresh token rests until it is due': {
    entry: {},
    decision: { act: 'rest', until: t0 + 80 * minute, reason: 'the token is fresh' },
    word: 'fresh',
  },
  'no token yet': {
    entry: { token: null, version: 0, epoch: 0, resolvedEpoch: 0, dueAt: t0 },
    decision: { act: 'refresh', purpose: 'scheduled', force: false, reason: 'no token yet' },
    word: 'no-token',
  },
  'a token of another account is none': {
    entry: {},
    source: { identity: 'sample:wx2' },
    decision: { act: 'refresh', purpose: 'scheduled', force: false, reason: 'the account was changed' },
    word: 'no-token',
  },
  'the instant at which it is due': {
    entry: {},
    at: t0 + 80 * minute,
    decision: { act: 'refresh', purpose: 'scheduled', force: false, reason: 'due' },
    word: 'due',
  },
  'a token that has ended': {
    entry: {},
    at: t0 + 3 * hour,
    decision: { act: 'refresh', purpose: 'scheduled', force: false, reason: 'the token has ended' },
    word: 'no-token',
  },
  'an upstream that repeats a token beyond its end is given a moment': {
    entry: { token: sampleToken({ expiresAt: now - second }), dueAt: now + second },
    decision: { act: 'rest', until: now + second, reason: 'the upstream repeats a token that has ended' },
    word: 'no-token',
  },
  'a token whose life was cut is replaced by force, as the upstream would repeat it': {
    entry: { token: sampleToken({ expiresAt: now + minute }), dueAt: now },
    source: { reissue: 'same-until-window', semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'scheduled', force: true, reason: 'due' },
    word: 'due',
  },
  'so is one whose life was cut by less than a quarter, when it ends before the upstream would give another': {
    entry: { token: sampleToken({ expiresAt: t0 + 2 * hour - 6 * minute }), dueAt: now },
    source: { reissue: 'same-until-window', semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'scheduled', force: true, reason: 'due' },
    word: 'due',
  },
  'a token that only ends in the window of its upstream is not': {
    entry: { token: sampleToken({ expiresAt: t0 + 2 * hour - 4 * minute }), dueAt: now },
    source: { reissue: 'same-until-window', semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'scheduled', force: false, reason: 'due' },
    word: 'due',
  },
  'reported as refused': {
    entry: { doubt: doubt('reported') },
    source: { semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'reported', force: false, reason: 'reported as refused' },
    word: 'in-doubt',
  },
  'reported, and repeated by the upstream since: by force': {
    entry: { doubt: doubt('reported', { repeats: 1 }) },
    source: { semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'reported', force: true, reason: 'reported as refused' },
    word: 'in-doubt',
  },
  'reported, and repeated, where nothing can be forced': {
    entry: { doubt: doubt('reported', { repeats: 1 }) },
    decision: { act: 'refresh', purpose: 'reported', force: false },
    word: 'in-doubt',
  },
  'a report of another version says nothing of this one': {
    entry: { doubt: doubt('reported', { version: 0 }) },
    decision: { act: 'rest' },
    word: 'in-doubt',
  },
  'asked for: by force, where there is one': {
    entry: { doubt: doubt('asked') },
    source: { semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'asked', force: true, reason: 'asked for' },
    word: 'in-doubt',
  },
  'asked for, with the force spent': {
    entry: { doubt: doubt('asked'), budget: { hours: [], recent: [], forced: [now - second] } },
    source: { semantics: { limits: { force } } },
    decision: { act: 'refresh', purpose: 'asked', force: false },
    word: 'in-doubt',
  },
  'a stray answer': {
    entry: { doubt: doubt('stray') },
    decision: {
      act: 'refresh',
      purpose: 'scheduled',
      force: false,
      reason: 'an answer came too late and may have retired the token',
    },
    word: 'in-doubt',
  },
  'an attempt without an answer': {
    entry: { epoch: 2 },
    decision: { act: 'refresh', purpose: 'scheduled', force: false, reason: 'an attempt ended without an answer' },
    word: 'in-doubt',
  },
  'a lease that is over means an attempt without an answer': {
    entry: { epoch: 2, lease: lease({ at: now - minute, until: now - 45 * second }) },
    decision: { act: 'refresh', purpose: 'scheduled', reason: 'an attempt ended without an answer' },
    word: 'in-doubt',
  },
  'a living lease on a token that is still fresh rests until the lease is over': {
    entry: { epoch: 2, lease: lease() },
    decision: { act: 'rest', until: now + 14 * second },
    word: 'refreshing',
  },
  'a living lease on a token that is due': {
    entry: { epoch: 2, lease: lease(), dueAt: now },
    decision: { act: 'wait', until: now + 14 * second, because: 'lease', reason: 'due; a refresh is in the air' },
    word: 'refreshing',
  },
  'trouble holds back what is due': {
    entry: { trouble: trouble(), nextTry: now + 5 * second, dueAt: now },
    decision: { act: 'wait', until: now + 5 * second, because: 'backoff', reason: 'due; waiting after upstream_busy' },
    word: 'failing',
  },
  'trouble holds back a report': {
    entry: { trouble: trouble(), nextTry: now + 5 * second, doubt: doubt('reported') },
    decision: { act: 'wait', until: now + 5 * second, because: 'backoff' },
    word: 'failing',
  },
  'trouble holds back those who ask, too, unless their asking has ended the wait': {
    entry: { trouble: trouble(), nextTry: now + 5 * second, doubt: doubt('asked') },
    decision: { act: 'wait', until: now + 5 * second, because: 'backoff' },
    word: 'failing',
  },
  'trouble of another configuration is forgotten': {
    entry: { trouble: trouble({ generation: 'g0' }), nextTry: now + 5 * second, dueAt: now },
    decision: { act: 'refresh', purpose: 'scheduled', reason: 'due' },
    word: 'due',
  },
  'a moment to wait without any trouble': {
    entry: { nextTry: now + 5 * second, dueAt: now },
    decision: { act: 'wait', until: now + 5 * second, because: 'backoff', reason: 'due; waiting a moment' },
    word: 'waiting',
  },
  'the gap between two attempts': {
    entry: { dueAt: now, budget: { hours: [], recent: [now - 400], forced: [] } },
    decision: { act: 'wait', until: now + 600, because: 'budget', reason: 'due; the quota is being kept' },
    word: 'waiting',
  },
  'a day that is used up': {
    entry: { dueAt: now, budget: { hours: [[Math.floor(now / hour), 2]], recent: [], forced: [] } },
    source: { policy: { dailyLimit: 2 } },
    decision: { act: 'wait', because: 'budget' },
    word: 'waiting',
  },
  'a share that is used up holds back those who ask, until the schedule comes': {
    entry: { doubt: doubt('asked'), budget: { hours: [[Math.floor(now / hour), 5]], recent: [], forced: [] } },
    source: { policy: { dailyLimit: 8 } },
    decision: { act: 'wait', until: t0 + 80 * minute, because: 'budget' },
    word: 'in-doubt',
  },
  'what is due anyway is never held back by the share of those who ask': {
    entry: {
      doubt: doubt('asked'),
      dueAt: now,
      budget: { hours: [[Math.floor(now / hour), 5]], recent: [], forced: [] },
    },
    source: { policy: { dailyLimit: 8 } },
    decision: { act: 'refresh', purpose: 'scheduled', reason: 'asked for' },
    word: 'in-doubt',
  },
  'what is due anyway is never held back by the share of those who report': {
    entry: {
      doubt: doubt('reported'),
      dueAt: now,
      budget: { hours: [[Math.floor(now / hour), 7]], recent: [], forced: [] },
    },
    source: { policy: { dailyLimit: 8 } },
    decision: { act: 'refresh', purpose: 'scheduled', reason: 'reported as refused' },
    word: 'in-doubt',
  },
  'a person must authorise again': {
    entry: { trouble: trouble({ class: 'needs-authorization' }), nextTry: now + minute, dueAt: now },
    decision: { act: 'wait', because: 'backoff' },
    word: 'needs-authorization',
  },
}

describe('what is done, and what people are told', () => {
  test.each(Object.entries(rows))('%s', (_name, row) => {
    const source = frozen(sampleSource(row.source))
    const entry = frozen(sampleEntry(row.entry))
    expect(decide(source, entry, row.at ?? now)).toMatchObject(row.decision)
    expect(stateOf(source, entry, row.at ?? now).word).toBe(row.word)
  })
})

describe('a lease', () => {
  test('longer than any we give is judged by when it was granted', () => {
    const entry = sampleEntry({ epoch: 2, lease: lease({ at: now - 66 * second, until: now + 10 * hour }) })
    expect(leasedUntil(sampleSource(), entry, now)).toBe(now + second)
    expect(leasedUntil(sampleSource(), entry, now + second)).toBeNull()
  })

  test('granted in a far future is none: the store clock was another one then', () => {
    const entry = sampleEntry({ epoch: 2, lease: lease({ at: now + 10 * hour, until: now + 10 * hour + 15 * second }) })
    expect(leasedUntil(sampleSource(), entry, now)).toBeNull()
  })
})

describe('when the upstream last confirmed the token', () => {
  const budget = { hours: [], recent: [now - minute, now - 5 * second], forced: [] }

  test('is the last attempt, if that brought or repeated the token', () => {
    expect(confirmedAt(sampleEntry({ budget }))).toBe(now - 5 * second)
  })

  test.each<[string, Partial<Entry>]>([
    ['failed', { trouble: trouble() }],
    ['is in the air', { epoch: 2, lease: lease() }],
    ['was never answered', { epoch: 2 }],
    ['repeated a token that is still doubted', { doubt: doubt('reported', { repeats: 1 }) }],
  ])('is unknown when it %s', (_what, changed) => {
    expect(confirmedAt(sampleEntry({ budget, ...changed }))).toBe(0)
  })
})

describe('for every entry', () => {
  const offset = fc.integer({ min: -3 * hour, max: 3 * hour })
  const entries = fc
    .record({
      hasToken: fc.boolean(),
      expires: offset,
      due: offset,
      next: fc.oneof(fc.constant(-now), offset),
      unresolved: fc.integer({ min: 0, max: 2 }),
      leaseAt: fc.option(fc.integer({ min: -minute, max: 0 })),
      doubt: fc.option(
        fc.record({
          reason: fc.constantFrom('reported', 'stray', 'asked' as const),
          version: fc.constantFrom(0, 1),
          repeats: fc.constantFrom(0, 1),
        }),
      ),
      trouble: fc.option(
        fc.constantFrom('transient', 'quota', 'configuration', 'permission', 'unknown', 'not-sent' as const),
      ),
      recent: fc.array(fc.integer({ min: -minute, max: 0 }), { maxLength: 3 }),
    })
    .map((drawn): Entry => {
      const recent = drawn.recent.map((each) => now + each).sort((left, right) => left - right)
      return sampleEntry({
        token: drawn.hasToken ? sampleToken({ expiresAt: now + drawn.expires }) : null,
        dueAt: now + drawn.due,
        nextTry: drawn.trouble === null ? 0 : now + drawn.next,
        epoch: 1 + drawn.unresolved + (drawn.leaseAt === null ? 0 : 1),
        lease:
          drawn.leaseAt === null ? null : lease({ at: now + drawn.leaseAt, until: now + drawn.leaseAt + 15 * second }),
        doubt: drawn.doubt === null ? null : { at: now - second, ...drawn.doubt },
        trouble: drawn.trouble === null ? null : trouble({ class: drawn.trouble }),
        budget: { hours: recent.map((at) => [Math.floor(at / hour), 1]), recent, forced: [] },
      })
    })
  const sources = fc
    .record({
      reissue: fc.constantFrom(...reissues),
      force: fc.boolean(),
      dailyLimit: fc.option(fc.integer({ min: 1, max: 5 })),
    })
    .map((drawn) =>
      sampleSource({
        reissue: drawn.reissue,
        semantics: { limits: drawn.force ? { force } : {} },
        policy: drawn.dailyLimit === null ? {} : { dailyLimit: drawn.dailyLimit },
      }),
    )

  test('the same entry at the same instant gives the same decision, and neither is touched', () => {
    fc.assert(
      fc.property(sources, entries, (source, entry) => {
        expect(decide(frozen(source), frozen(entry), now)).toEqual(decide(source, structuredClone(entry), now))
      }),
    )
  })

  test('nothing is asked while a lease lives, before its time, or by a force that is spent', () => {
    fc.assert(
      fc.property(sources, entries, (source, entry) => {
        const decision = decide(source, entry, now)
        if (decision.act !== 'refresh') return
        expect(leasedUntil(source, entry, now)).toBeNull()
        expect(entry.nextTry).toBeLessThanOrEqual(now)
        if (decision.force) expect(mayForce(entry.budget, source.semantics.limits, decision.purpose, now)).toBe(true)
        expect(now - (entry.budget.recent.at(-1) ?? 0)).toBeGreaterThanOrEqual(second)
      }),
      { numRuns: 1_000 },
    )
  })

  test('whoever rests or waits is told an instant ahead, and nothing else happens before it', () => {
    fc.assert(
      fc.property(
        sources,
        entries,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (source, entry, part) => {
          const decision = decide(source, entry, now)
          if (decision.act === 'refresh') return
          expect(decision.until).toBeGreaterThan(now)
          const meanwhile = now + Math.floor((decision.until - now) * part)
          expect(decide(source, entry, meanwhile).act).not.toBe('refresh')
        },
      ),
      { numRuns: 1_000 },
    )
  })

  test('the instant that the store keeps is never later than the one at which a node would act', () => {
    fc.assert(
      fc.property(sources, entries, (source, entry) => {
        let at = now
        for (let step = 0; step < 20; step += 1) {
          const decision = decide(source, entry, at)
          if (decision.act === 'refresh') {
            const isHastened = decision.purpose === 'asked' || entry.token === null
            if (!isHastened) expect(wakeAt(entry)).toBeLessThanOrEqual(at)
            return
          }
          at = decision.until
        }
        throw new Error('it never came to act')
      }),
      { numRuns: 1_000 },
    )
  })

  test('an entry in doubt is never called fresh', () => {
    fc.assert(
      fc.property(sources, entries, (source, entry) => {
        const { word } = stateOf(source, entry, now)
        if (entry.doubt !== null || (isUnresolved(entry) && entry.lease === null)) expect(word).not.toBe('fresh')
      }),
    )
  })
})
