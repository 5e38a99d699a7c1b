import { expect, it } from 'vitest'
import { fuzzCallbacks } from './callbacks.ts'

it('5000 random requests to callbacks: none breaks anything, none is believed that was not signed', () => {
  const { faults, refused, believed, slowestMs } = fuzzCallbacks({ inputs: 5_000, seed: 1 })
  expect(faults).toEqual([])
  expect(believed).toBeGreaterThan(1_000)
  const reasons = ['malformed', 'signature', 'plain', 'encrypted', 'undecipherable', 'unreadable']
  expect([...refused.keys()]).toEqual(expect.arrayContaining(reasons))
  // On a busy machine; `npm run fuzz` has the real bound.
  expect(slowestMs).toBeLessThan(500)
}, 120_000)
