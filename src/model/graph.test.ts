import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findCycles, longestChains, topologicalOrder, type Needs } from './graph.ts'

const needsOf = (edges: Record<string, string[]>): Needs => new Map(Object.entries(edges))

const graphs = fc
  .array(fc.array(fc.nat(11), { maxLength: 4 }), { maxLength: 12 })
  .map((rows): Needs => new Map(rows.map((row, index) => [`n${index}`, row.map((to) => `n${to}`)])))

/** The slow, obvious way: is there a way from `from` back to itself? */
function isOnCycle(needs: Needs, from: string): boolean {
  const seen = new Set<string>()
  const next = [...(needs.get(from) ?? [])]
  for (let name = next.pop(); name !== undefined; name = next.pop()) {
    if (name === from) return true
    if (seen.has(name)) continue
    seen.add(name)
    next.push(...(needs.get(name) ?? []))
  }
  return false
}

describe('cycles', () => {
  test('the path that closes a cycle is told, beginning with the source that comes first', () => {
    expect(findCycles(needsOf({ z: ['b'], a: ['b'], b: ['c'], c: ['a'] }))).toEqual([['a', 'b', 'c', 'a']])
  })
  test('a source that needs itself is a cycle of one', () => {
    expect(findCycles(needsOf({ a: ['a'] }))).toEqual([['a', 'a']])
  })
  test('two separate cycles are both told', () => {
    expect(findCycles(needsOf({ a: ['b'], b: ['a'], c: ['d'], d: ['c'] }))).toEqual([
      ['a', 'b', 'a'],
      ['c', 'd', 'c'],
    ])
  })
  test('two ways to the same source are no cycle', () => {
    expect(findCycles(needsOf({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }))).toEqual([])
  })
  test('a need that nobody defines is no cycle', () => {
    expect(findCycles(needsOf({ a: ['ghost'] }))).toEqual([])
  })
  test('cycles are found exactly where there are any, and every one told is real', () => {
    fc.assert(
      fc.property(graphs, (needs) => {
        const cycles = findCycles(needs)
        expect(cycles.length > 0).toBe([...needs.keys()].some((name) => isOnCycle(needs, name)))
        for (const cycle of cycles) {
          expect(cycle[0]).toBe(cycle.at(-1))
          for (const [index, name] of cycle.slice(0, -1).entries()) expect(needs.get(name)).toContain(cycle[index + 1])
        }
      }),
    )
  })
  test('a chain of a hundred thousand sources is walked without overflowing the stack', () => {
    const needs = new Map(Array.from({ length: 100_000 }, (_, i) => [`n${i}`, i === 99_999 ? ['n0'] : [`n${i + 1}`]]))
    expect(findCycles(needs)[0]).toHaveLength(100_001)
  })
})

describe('order', () => {
  test('every source comes after those it needs, in any graph without cycles', () => {
    fc.assert(
      fc.property(graphs, (needs) => {
        const forward = new Map(
          [...needs].map(([name, own]) => [name, own.filter((to) => Number(to.slice(1)) > Number(name.slice(1)))]),
        )
        const order = topologicalOrder(forward)
        expect([...order].sort()).toEqual([...forward.keys()].sort())
        for (const [name, own] of forward) {
          for (const need of own.filter((one) => forward.has(one)))
            expect(order.indexOf(need)).toBeLessThan(order.indexOf(name))
        }
      }),
    )
  })
})

describe('chains', () => {
  test('the longest chain of each source is told, itself included', () => {
    const chains = longestChains(needsOf({ t: ['s', 'a'], s: ['a'], a: [] }))
    expect(chains.get('t')).toEqual(['t', 's', 'a'])
    expect(chains.get('a')).toEqual(['a'])
  })
})
