/** Entries of a store that lost its history: versions never go back, and no older token replaces a newer one. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { frozen, hour, minute, second, sampleEntry, sampleToken, t0 } from '../../test/model/samples.ts'
import { lifted, newEntry, type Entry } from './entry.ts'

const known = frozen(
  sampleEntry({
    version: 7,
    token: sampleToken({ value: 'known', version: 7, issuedAt: t0 + hour }),
    dueAt: t0 + 2 * hour,
  }),
)

describe('an entry that fell behind', () => {
  test('is left alone when it is ahead of what is known', () => {
    const ahead = sampleEntry({ version: 8, token: sampleToken({ version: 8 }) })
    expect(lifted(ahead, known)).toBe(ahead)
  })

  test('made anew without a token gets back the one that is known', () => {
    expect(lifted(newEntry(t0), known)).toMatchObject({ version: 7, token: known.token, dueAt: known.dueAt })
  })

  test('from an old backup does not bring back its older token', () => {
    const old = sampleEntry({ version: 3, token: sampleToken({ value: 'old', version: 3, issuedAt: t0 }) })
    expect(lifted(old, known)).toMatchObject({ version: 7, token: { value: 'known', version: 7 } })
  })

  test('with a token that was issued later gives it the next version', () => {
    const later = sampleToken({ value: 'later', version: 1, issuedAt: t0 + hour + minute })
    expect(lifted(sampleEntry({ version: 1, token: later }), known)).toMatchObject({
      version: 8,
      token: { value: 'later', version: 8 },
    })
  })

  test('which gave a known version to another token gives that one the next', () => {
    const other = sampleToken({ value: 'other', version: 7, issuedAt: t0 + 2 * hour })
    expect(lifted(sampleEntry({ version: 7, token: other }), known)).toMatchObject({
      version: 8,
      token: { value: 'other', version: 8 },
    })
  })

  test('which gave a known version to an older token gives the known one the next', () => {
    const other = sampleToken({ value: 'other', version: 7, issuedAt: t0 })
    expect(lifted(sampleEntry({ version: 7, token: other }), known)).toMatchObject({
      version: 8,
      token: { value: 'known', version: 8 },
    })
  })

  test('keeps the doubt about the token that it keeps', () => {
    const later = sampleToken({ value: 'later', version: 1, issuedAt: t0 + hour + minute })
    const doubt = { reason: 'reported', at: t0, version: 1, repeats: 0 } as const
    expect(lifted(sampleEntry({ version: 1, token: later, doubt }), known).doubt).toMatchObject({ version: 8 })
  })

  test('forgets why the older token was to be replaced, as it has been', () => {
    const doubt = { reason: 'wanted', at: t0, version: 6, repeats: 0 } as const
    expect(lifted(sampleEntry({ version: 6, doubt }), known).doubt).toBeNull()
    const stray = { ...doubt, reason: 'stray' } as const
    expect(lifted(sampleEntry({ version: 6, doubt: stray }), known).doubt).toEqual(stray)
  })

  test('ends the attempt that brought the known token, and no other one', () => {
    const ended = { ...known, epoch: 4, resolvedEpoch: 4, budget: { ...known.budget, recent: [t0] } }
    const leased = (at: number): Entry =>
      sampleEntry({
        version: 6,
        epoch: 4,
        resolvedEpoch: 3,
        lease: { node: 'n2', at, until: at + minute, forced: false },
      })
    expect(lifted(leased(t0), ended)).toMatchObject({ lease: null, epoch: 4, resolvedEpoch: 4 })
    const other = leased(t0 + 1)
    expect(lifted(other, ended)).toMatchObject({ lease: other.lease, resolvedEpoch: 3 })
  })

  test('which has not heard of an attempt gets back what became of it, unless somebody is asking', () => {
    const open = { ...known, epoch: 5, resolvedEpoch: 4 }
    const before = { ...known, epoch: 4, resolvedEpoch: 4 }
    expect(lifted(before, open)).toMatchObject({ version: 7, epoch: 5, resolvedEpoch: 4 })
    const shorter = { ...before, token: sampleToken({ value: 'known', version: 7, expiresAt: t0 + minute }) }
    expect(lifted(shorter, open).token?.expiresAt).toBe(t0 + minute)
    const doubt = { reason: 'reported', at: t0, version: 7, repeats: 0 } as const
    expect(lifted({ ...before, doubt }, open).doubt).toEqual(doubt)
    const alsoOpen = { ...known, epoch: 1, resolvedEpoch: 0, dueAt: t0 }
    expect(lifted(alsoOpen, open)).toMatchObject({ epoch: 5, resolvedEpoch: 3, dueAt: t0 })
    expect(lifted(lifted(alsoOpen, open), open)).toEqual(lifted(alsoOpen, open))
    const asking = { ...before, lease: { node: 'n2', at: t0, until: t0 + minute, forced: false } }
    expect(lifted(asking, open)).toBe(asking)
  })

  test('which lost a lease gets it back, with the trouble and the waits of both', () => {
    const lease = { node: 'n1', at: t0, until: t0 + minute, forced: true }
    const budget = { hours: [[1, 2]], recent: [t0], forced: [t0] } as const
    const failure = { code: 'upstream_rejected', message: 'busy' } as const
    const trouble = { class: 'quota', failure, since: t0, at: t0, count: 1, generation: 'g' } as const
    const told = { ...known, lease, epoch: 5, resolvedEpoch: 4, budget, trouble, nextTry: t0 + hour }
    const before = { ...known, epoch: 4, resolvedEpoch: 4, budget: { hours: [], recent: [], forced: [t0 - minute] } }
    expect(lifted(before, told)).toMatchObject({
      lease,
      epoch: 5,
      resolvedEpoch: 4,
      trouble,
      nextTry: t0 + hour,
      budget: { hours: [[1, 2]], forced: [t0 - minute, t0] },
    })
    expect(lifted({ ...before, trouble: { ...trouble, count: 7 }, nextTry: t0 + 2 * hour }, told)).toMatchObject({
      trouble: { count: 7 },
      nextTry: t0 + 2 * hour,
    })
  })

  test('which lost the refusal of its grant needs authorization again, unless it was granted anew', () => {
    const grant = { value: 'g1', at: t0 - hour, identity: 'i' }
    const failure = { code: 'upstream_rejected', message: 'invalid_grant' } as const
    const unknown = { class: 'unknown', failure, since: t0, at: t0, count: 1, generation: 'g' } as const
    const refused = { ...unknown, class: 'needs-authorization', at: t0 + second, count: 2 } as const
    const refusal = { ...grant, refusedAt: t0 + second }
    const told = { ...known, epoch: 5, resolvedEpoch: 5, trouble: refused, nextTry: t0 + hour, grants: [refusal] }
    const before = { ...known, epoch: 4, resolvedEpoch: 4, trouble: unknown, nextTry: t0 + second, grants: [grant] }
    expect(lifted(before, told)).toMatchObject({ trouble: refused, nextTry: t0 + hour, grants: [refusal] })
    const anew = { ...grant, at: t0 + minute }
    expect(lifted({ ...before, grants: [anew] }, told)).toMatchObject({ nextTry: t0 + second, grants: [anew] })
  })

  test('with an older token keeps the attempts without an answer that were made for the known one', () => {
    const previous = [{ value: 'former', version: 6, until: t0 + hour }]
    const open = { ...known, previous, epoch: 6, resolvedEpoch: 5 }
    const again = lifted(sampleEntry({ version: 6, epoch: 8, resolvedEpoch: 8 }), open)
    expect(again).toMatchObject({ version: 7, epoch: 8, resolvedEpoch: 7, previous })
    expect(lifted(again, open)).toBe(again)
  })

  test('keeps its lease, epoch and budget: whoever is asking now can still write', () => {
    const lease = { node: 'n2', at: t0, until: t0 + minute, forced: false }
    const entry = { ...newEntry(t0), lease, epoch: 1, budget: { hours: [[1, 1]], recent: [t0], forced: [] } } as const
    expect(lifted(entry, known)).toMatchObject({ lease, epoch: 1, resolvedEpoch: 0, budget: entry.budget })
  })

  test('never has a lower version than is known, nor an older token', () => {
    const entry = fc
      .record({
        version: fc.integer({ min: 0, max: 20 }),
        issuedAt: fc.integer({ min: t0, max: t0 + 2 * hour }),
        has: fc.boolean(),
      })
      .map(({ version, issuedAt, has }): Entry => {
        const token = has ? sampleToken({ value: `v${version} of ${issuedAt}`, version, issuedAt }) : null
        return sampleEntry({ version, token })
      })
    fc.assert(
      fc.property(entry, entry, (found, seen) => {
        const result = lifted(frozen(found), frozen(seen))
        expect(result.version).toBeGreaterThanOrEqual(Math.max(found.version, seen.version))
        if (result.token !== null) expect(result.token.version).toBe(result.version)
        if (found.version > seen.version) return
        const latest = Math.max(found.token?.issuedAt ?? 0, seen.token?.issuedAt ?? 0)
        expect(result.token?.issuedAt ?? 0).toBe(latest)
      }),
    )
  })
})
