/** Waiting for answers in a process that is held up, on a clock that moves only when it is told to. */
import { expect, test } from 'vitest'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import { attentive } from './attentive-clock.ts'
import { deadline, type Clock, type Env } from './env.ts'

/** A process that is held up: each of its sleeps ends so much later than it should. */
function heldUp(clock: VirtualClock, latenesses: number[]): Env {
  const late: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    sleep: (ms, signal) => clock.sleep(ms + (latenesses.shift() ?? 0), signal),
  }
  return {
    clock: late,
    random: { next: () => 0, bytes: () => new Uint8Array() },
    fetch: () => Promise.reject(new Error()),
  }
}

test('a deadline ends at its time while nothing is held up', async () => {
  const clock = new VirtualClock()
  const { signal } = deadline(attentive(heldUp(clock, [])).clock, 2_000)
  await clock.pass(1_999)
  expect(signal.aborted).toBe(false)
  await clock.pass(1)
  expect(signal.aborted).toBe(true)
})

test('one that ends late leaves time to hear what has arrived', async () => {
  const clock = new VirtualClock()
  const { signal } = deadline(attentive(heldUp(clock, [3_000])).clock, 2_000)
  await clock.pass(5_000)
  expect(signal.aborted).toBe(false)
  await clock.pass(100)
  expect(signal.aborted).toBe(true)
})

test('again and again, while it is held up, but not for ever', async () => {
  const clock = new VirtualClock()
  const { signal } = deadline(attentive(heldUp(clock, Array<number>(50).fill(400))).clock, 2_000)
  await clock.pass(2_400 + 10 * 500 - 1)
  expect(signal.aborted).toBe(false)
  await clock.pass(1)
  expect(signal.aborted).toBe(true)
})
