/** Asking ends the wait after a failure: at once, but not again and again. */
import { describe, expect, test } from 'vitest'
import { frozen, hour, minute, sampleEntry, sampleSource, sampleToken, second, t0 } from '../../test/model/samples.ts'
import { decide } from './decide.ts'
import type { Doubt, Entry, Trouble } from './entry.ts'
import { fail, leased } from './settle.ts'
import { hastened, mayHastenAt, withoutWish } from './wish.ts'

const now = t0 + hour
const source = frozen(sampleSource())
const failure = { code: 'upstream_rejected', message: 'not in the allow-list' }

function trouble(changed: Partial<Trouble> = {}): Trouble {
  return { class: 'permission', failure, since: t0, at: now - second, count: 1, generation: 'g1', ...changed }
}

function doubt(reason: Doubt['reason']): Doubt {
  return { reason, at: now, version: 1, repeats: 0 }
}

/** Failing, and not to be tried again for half a minute. */
function failing(changed: Partial<Entry> = {}): Entry {
  const budget = { hours: [], recent: [now - 2 * second], forced: [] }
  return frozen(sampleEntry({ trouble: trouble(), nextTry: now + 30 * second, dueAt: now, budget, ...changed }))
}

describe('asking', () => {
  test.each<[string, Partial<Entry>]>([
    ['with a token', {}],
    ['without any', { token: null, version: 0 }],
    ['with a token that was reported', { doubt: doubt('reported') }],
    ['with a token that may be a stray', { doubt: doubt('stray') }],
  ])('ends the wait after a failure %s', (_what, changed) => {
    const entry = hastened(source, failing(changed), now)
    expect(decide(source, failing(changed), now)).toMatchObject({ act: 'wait', because: 'backoff' })
    expect(decide(source, entry, now)).toMatchObject({ act: 'refresh' })
  })

  test('does so once in a minimum interval, also when that attempt fails in its turn', () => {
    const asked = hastened(source, failing(), now)
    const held = leased(source, asked, { node: 'n1', now, forced: false })
    const refused = { outcome: 'rejected', class: 'permission', failure } as const
    const ended = { sentAt: now, now: now + second, forced: false, chance: 0.9, grant: null }
    const entry = frozen(fail(source, held, refused, ended))
    expect(entry.nextTry).toBeGreaterThan(now + 30 * second)
    expect(hastened(source, entry, now + 28 * second)).toBe(entry)
    expect(mayHastenAt(source, entry, now + 28 * second)).toBe(now + 30 * second)
    expect(hastened(source, entry, now + 30 * second).nextTry).toBe(now + 30 * second)
  })

  test('does so sooner where tokens live for seconds', () => {
    const token = sampleToken({ lifetimeMs: 20 * second })
    const entry = failing({ token, trouble: trouble({ hurriedAt: now - 6 * second }) })
    expect(hastened(source, entry, now).nextTry).toBe(now)
  })

  test('keeps the gap between two attempts, and is worth that moment', () => {
    const budget = { hours: [], recent: [now - 400], forced: [] }
    expect(hastened(source, failing({ budget }), now).nextTry).toBe(now + 600)
  })

  test('never ends the wait of a quota, nor one for which its share of the day is spent', () => {
    const quota = failing({ trouble: trouble({ class: 'quota' }) })
    expect(hastened(source, quota, now)).toBe(quota)
    const limited = sampleSource({ policy: { dailyLimit: 8 } })
    const spent = failing({ budget: { hours: [[Math.floor(now / hour), 4]], recent: [], forced: [] } })
    expect(hastened(limited, spent, now)).toBe(spent)
  })

  test('changes nothing where nothing waits', () => {
    for (const entry of [failing({ nextTry: now }), failing({ trouble: trouble({ generation: 'g0' }) })]) {
      expect(hastened(source, entry, now)).toBe(entry)
    }
    const rested = frozen(sampleEntry())
    expect(hastened(source, rested, now)).toBe(rested)
  })
})

test('a wish can be taken back, a report and a stray cannot', () => {
  for (const reason of ['asked', 'wanted'] as const) {
    expect(withoutWish(failing({ doubt: doubt(reason) })).doubt).toBeNull()
  }
  for (const reason of ['reported', 'stray'] as const) {
    const entry = failing({ doubt: doubt(reason), token: sampleToken({ expiresAt: now + minute }) })
    expect(withoutWish(entry)).toBe(entry)
  }
})
