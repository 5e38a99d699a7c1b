import { expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, seededRandom } from '../../test/simulator/stage.ts'
import { createSealer, type Sealer } from './sealed-text.ts'

const clock = manualClock()
const shape = z.object({ say: z.string() })
const sealer = (byte: number): Sealer =>
  createSealer(new Uint8Array(32).fill(byte), { clock, random: seededRandom(byte) })

test('opens what a sealer with the same key sealed for this purpose, until its end', async () => {
  const text = sealer(1).seal('link', { say: 'hello' }, 1_000)
  expect(text).toMatch(/^[\w-]+$/)
  expect(sealer(1).open('link', text, shape)).toEqual({ say: 'hello' })
  expect(sealer(1).open('journey', text, shape)).toBeNull()
  expect(sealer(2).open('link', text, shape)).toBeNull()
  expect(sealer(1).open('link', text, z.object({ other: z.string() }))).toBeNull()
  await clock.advance(1_000)
  expect(sealer(1).open('link', text, shape)).toBeNull()
})

test('opens nothing that was changed, cut or made up', () => {
  const one = sealer(1)
  const text = one.seal('link', { say: 'hello' }, 1_000)
  const bytes = Buffer.from(text, 'base64url')
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    expect(one.open('link', changed.toString('base64url'), shape)).toBeNull()
    expect(one.open('link', bytes.subarray(0, at).toString('base64url'), shape)).toBeNull()
  }
  for (const odd of ['', ' ', `${text} `, `${text}=`, 'A'.repeat(10_000), '{}']) {
    expect(one.open('link', odd, shape)).toBeNull()
  }
})
