import { expect, it } from 'vitest'
import { blowKinds, drawBlows, storeKinds, type Plan } from './draw-blows.ts'

const plan: Plan = { seed: 7, store: 'redis', nodes: 3, isShort: true, forMs: 240_000 }

it('the same seed has the same blows, another one others', () => {
  expect(drawBlows(plan)).toEqual(drawBlows(plan))
  expect(drawBlows({ ...plan, seed: 8 })).not.toEqual(drawBlows(plan))
  expect(drawBlows({ ...plan, store: 'postgres' })).not.toEqual(drawBlows(plan))
})

it('a short run has each kind that the store can suffer once, and is over soon', () => {
  for (const store of storeKinds) {
    const blows = drawBlows({ ...plan, store })
    const left = store === 'sentinel' || store === 'postgres' ? 'outage' : 'failover'
    expect(blows.map(({ kind }) => kind).sort()).toEqual(blowKinds.filter((kind) => kind !== left).toSorted())
    expect(blows.at(-1)!.at).toBeLessThan(40_000)
  }
})

it('a long run fills its time with blows of full length, those to the store never two at once', () => {
  const blows = drawBlows({ ...plan, isShort: false })
  expect(blows.length).toBeGreaterThan(5)
  expect(blows.at(-1)!.at).toBeLessThan(plan.forMs)
  expect(new Set(blows.map(({ kind }) => kind)).size).toBe(7)
  for (const [index, blow] of blows.entries()) {
    const next = blows[index + 1]
    if (next !== undefined && !['kill', 'freeze', 'worker-freeze'].includes(blow.kind)) {
      expect(next.at).toBeGreaterThanOrEqual(blow.at + blow.forMs)
    }
  }
})
