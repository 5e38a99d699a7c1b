/** Between two events everybody who can go on does, however many promises that takes. */
import { nextTick } from 'node:process'
import { expect, test } from 'vitest'
import { VirtualTime } from './virtual-time.ts'

test('what an event leads to is over before the next one, though both are of the same instant', async () => {
  const time = new VirtualTime(1_000)
  const story: string[] = []
  const walk = async (who: string): Promise<void> => {
    for (let step = 0; step < 100; step += 1) await Promise.resolve()
    await new Promise<void>((resolve) => nextTick(resolve))
    const text = await new Response(who).text()
    story.push(`${text} at ${time.now()}`)
  }
  for (const who of ['one', 'two', 'three']) time.after(5, () => void walk(who))
  time.after(5, () => story.push('all'))
  await time.runUntil(1_010)
  expect(story).toEqual(['one at 1005', 'two at 1005', 'three at 1005', 'all'])
  expect(time.now()).toBe(1_010)
})

test('many events, in order, and none beyond the end', async () => {
  const time = new VirtualTime(0)
  const seen: number[] = []
  for (let at = 2_000; at > 0; at -= 1) time.at(at, () => seen.push(at))
  const cancel = time.at(7, () => seen.push(-7))
  cancel()
  await time.runUntil(1_999)
  expect(seen).toEqual(Array.from({ length: 1_999 }, (_, index) => index + 1))
  expect(time.events).toBe(1_999)
})

test('an event that throws ends the run with that', async () => {
  const time = new VirtualTime(0)
  time.at(1, () => {
    throw new Error('broken')
  })
  await expect(time.runUntil(2)).rejects.toThrow('broken')
})
