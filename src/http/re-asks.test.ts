import { beforeEach, expect, test } from 'vitest'
import type { Reading } from '../keeper/keeper.ts'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'
import { createReAsks, type Asker } from './re-asks.ts'

const weixin = sampleSource({ semantics: { probe: true } })
const shop: Asker = { client: 'shop', address: '10.0.0.1' }

let clock: VirtualClock
let hints: unknown[]
let ask: (asker?: Asker, version?: number, leftMs?: number) => void

beforeEach(() => {
  clock = new VirtualClock()
  hints = []
  const note = createReAsks({ hint: (...hint) => hints.push(hint) }, clock)
  ask = (asker = shop, version = 1, leftMs = 80 * minute) => note(weixin, asker, readingOf(version, leftMs))
})

function readingOf(version: number, leftMs: number): Reading {
  const snapshot = { name: 'weixin', token: `t${version}`, version, issuedAt: 0, expiresAt: 0, fields: {} }
  return { snapshot, leftMs, stale: false }
}

test('whoever asks for the same token again long before its end gives a hint', async () => {
  ask()
  await clock.pass(10 * minute)
  ask()
  expect(hints).toEqual([['weixin', 1, { kind: 're-ask', client: 'shop' }]])
})

test('whoever asks near the end, with any margin that SDKs take, or for a newer token, gives none', async () => {
  ask()
  await clock.pass(41 * minute)
  ask()
  ask(shop, 2)
  ask({ client: null, address: '10.0.0.2' }, 2, 20 * minute)
  await clock.pass(second)
  ask({ client: null, address: '10.0.0.2' }, 2, 20 * minute)
  expect(hints).toEqual([])
})

test('askers are told apart by client, and without a key by address', async () => {
  ask()
  ask({ client: null, address: '10.0.0.1' })
  ask({ client: null, address: '10.0.0.2' })
  expect(hints).toEqual([])
  await clock.pass(second)
  ask({ client: 'shop', address: '10.0.0.9' })
  ask({ client: null, address: '10.0.0.2' })
  expect(hints).toHaveLength(2)
})

test('so many askers are remembered and no more, and of sources that cannot be asked about none', () => {
  ask()
  for (let count = 0; count < 4_096; count += 1) ask({ client: null, address: `10.1.${count >> 8}.${count & 255}` })
  ask()
  expect(hints).toEqual([])
  const note = createReAsks({ hint: (...hint) => hints.push(hint) }, clock)
  for (let count = 0; count < 3; count += 1) note(sampleSource(), shop, readingOf(1, 80 * minute))
  expect(hints).toEqual([])
})
