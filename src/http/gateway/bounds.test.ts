/** What the gateway keeps within bounds: rates, and the memory of all bodies that are held. */
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../base/env.ts'
import { createRateLimiter } from './rate-limiter.ts'
import { createBodyHolder, heldBytesMax } from './request-body.ts'

async function* of(...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) yield await Promise.resolve(new Uint8Array(size).fill(size % 256))
}

async function read(content: AsyncIterable<Uint8Array> | Uint8Array | null): Promise<number> {
  if (content === null || content instanceof Uint8Array) return content?.byteLength ?? 0
  let size = 0
  for await (const chunk of content) size += chunk.byteLength
  return size
}

describe('bodies', () => {
  test('one of up to a mebibyte is held, a larger one is a stream of all its bytes', async () => {
    const holder = createBodyHolder()
    for (const [sizes, length, isHeld] of [
      [[heldBytesMax], heldBytesMax, true],
      [[heldBytesMax], null, true],
      [[heldBytesMax, 1], heldBytesMax + 1, false],
      [[heldBytesMax, 1, 5], null, false],
    ] as const) {
      const body = await holder.hold(of(...sizes), length)
      expect(body.isReplayable).toBe(isHeld)
      expect(await read(body.content)).toBe(sizes.reduce((sum: number, size) => sum + size, 0))
      body.release()
    }
  })

  test('all together hold thirty-two mebibytes; what comes beyond is streamed, until room is given back once', async () => {
    const holder = createBodyHolder()
    const held = await Promise.all(Array.from({ length: 32 }, () => holder.hold(of(heldBytesMax), heldBytesMax)))
    expect(held.every(({ isReplayable }) => isReplayable)).toBe(true)
    expect((await holder.hold(of(1), 1)).isReplayable).toBe(false)
    held[0]?.release()
    held[0]?.release()
    expect((await holder.hold(of(heldBytesMax), heldBytesMax)).isReplayable).toBe(true)
    expect((await holder.hold(of(1), 1)).isReplayable).toBe(false)
  })

  test('bodies that do not come take no room from those that do', async () => {
    const holder = createBodyHolder()
    async function* stalled(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(new Uint8Array(1))
      await new Promise(() => undefined)
    }
    for (let body = 0; body < 100; body += 1) void holder.hold(stalled(), body % 2 === 0 ? null : heldBytesMax)
    expect((await holder.hold(of(heldBytesMax), null)).isReplayable).toBe(true)
  })

  test('a body that breaks off gives its room back', async () => {
    const holder = createBodyHolder()
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(new Uint8Array(10))
      throw new Error('gone')
    }
    for (let body = 0; body < 40; body += 1) await expect(holder.hold(broken(), heldBytesMax)).rejects.toThrow('gone')
    expect((await holder.hold(of(1), 1)).isReplayable).toBe(true)
  })
})

test('a rate lets as many through at once as in a second, and tells when there is one more', () => {
  let now = 0
  const clock: Clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() }
  const limiter = createRateLimiter(clock)
  const taken = (): (number | null)[] => Array.from({ length: 6 }, () => limiter.take('a', 5))
  expect(taken()).toEqual([null, null, null, null, null, 0.2])
  expect(limiter.take('b', 5)).toBeNull()
  now += 200
  expect([limiter.take('a', 5), limiter.take('a', 5)]).toEqual([null, 0.2])
  expect(limiter.take('slow', 0.1)).toBeNull()
  expect(limiter.take('slow', 0.1)).toBe(10)
})
