/** The store's clock as a node sees it, when clocks are stepped, machines sleep and answers are slow. */
import { beforeEach, describe, expect, test } from 'vitest'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import { StoreTime } from './store-time.ts'

const ahead = 5_000_000

let clock: VirtualClock
let time: StoreTime
let tripMs = 0
let isDown = false

beforeEach(() => {
  clock = new VirtualClock()
  tripMs = 0
  isDown = false
  const now = async (): Promise<number> => {
    if (isDown) throw new Error('down')
    await clock.time.wait(tripMs / 2)
    const instant = clock.time.now() + ahead
    await clock.time.wait(tripMs / 2)
    return instant
  }
  time = new StoreTime(clock, { now })
})

function wrongBy(): number {
  return Math.abs(time.now() - (clock.time.now() + ahead))
}

describe('the store time', () => {
  test('is not trusted before the first look', async () => {
    expect(time.isTrusted()).toBe(false)
    expect(time.silentMs()).toBe(Infinity)
    await clock.until(time.look())
    expect(time.isTrusted()).toBe(true)
    expect(time.silentMs()).toBe(0)
  })

  test('is right to within half the journey of the answer', async () => {
    tripMs = 400
    await clock.until(time.look())
    expect(wrongBy()).toBeLessThanOrEqual(200)
    await clock.pass(3_600_000)
    expect(wrongBy()).toBeLessThanOrEqual(200)
  })

  test('takes no notice of a wall clock that is stepped, but is not trusted until it has looked again', async () => {
    await clock.until(time.look())
    clock.wallOffset = -86_400_000
    expect(wrongBy()).toBe(0)
    expect(time.isTrusted()).toBe(false)
    await clock.until(time.look())
    expect(time.isTrusted()).toBe(true)
    clock.wallOffset += 1_500
    expect(time.isTrusted()).toBe(true)
  })

  test('of a machine that slept is not trusted, and right after the next look', async () => {
    await clock.until(time.look())
    clock.suspendedMs = 600_000
    expect(time.isTrusted()).toBe(false)
    await clock.until(time.look())
    expect(time.isTrusted()).toBe(true)
    expect(wrongBy()).toBe(0)
  })

  test('learns nothing from an answer that took too long, once it knows better', async () => {
    tripMs = 3_000
    await clock.until(time.look())
    expect(time.isTrusted()).toBe(true)
    tripMs = 0
    await clock.until(time.look())
    expect(wrongBy()).toBe(0)
    const before = time.now() - clock.monotonic()
    tripMs = 5_000
    await clock.until(time.look())
    expect(time.now() - clock.monotonic()).toBe(before)
  })

  test('is exact for a minute after a look, and then takes what it can get', async () => {
    await clock.until(time.look())
    await clock.pass(60_000)
    expect(time.isExact()).toBe(true)
    await clock.pass(1_000)
    expect(time.isExact()).toBe(false)
    tripMs = 1_000
    await clock.until(time.look())
    expect(time.isExact()).toBe(true)
  })

  test('passes on what the store throws, and counts the silence', async () => {
    await clock.until(time.look())
    isDown = true
    await clock.pass(7_000)
    await expect(time.look()).rejects.toThrow('down')
    expect(time.silentMs()).toBe(7_000)
    time.touch()
    expect(time.silentMs()).toBe(0)
  })

  test('counts for how long nothing was heard of others, whatever else the store answered', async () => {
    expect(time.behindMs()).toBe(Infinity)
    await clock.until(time.look())
    expect(time.behindMs()).toBe(0)
    await clock.pass(600_000)
    await clock.until(time.look())
    time.touch()
    expect(time.behindMs()).toBe(600_000)
    time.follow()
    expect(time.behindMs()).toBe(0)
    clock.suspendedMs = 600_000
    await clock.until(time.look())
    expect(time.behindMs()).toBe(Infinity)
  })

  test('is told to people in the wall time of this node', async () => {
    clock.wallOffset = 90_000
    await clock.until(time.look())
    expect(time.toWall(time.now() + 1_000)).toBe(clock.now() + 1_000)
  })
})
