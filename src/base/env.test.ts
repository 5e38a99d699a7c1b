/** Deadlines and waiting, on a clock that moves only when it is told to. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import { deadline, until } from './env.ts'

let clock: VirtualClock

beforeEach(() => {
  clock = new VirtualClock()
})

describe('a deadline', () => {
  test('aborts when its time is over, and not before', async () => {
    const time = deadline(clock, 5_000)
    await clock.pass(4_999)
    expect(time.signal.aborted).toBe(false)
    await clock.pass(1)
    expect(time.signal.aborted).toBe(true)
    expect(time.signal.reason).toMatchObject({ name: 'TimeoutError', message: 'no answer within 5000 ms' })
  })

  test('longer than the longest sleep still ends at its time', async () => {
    const time = deadline(clock, 150_000)
    await clock.pass(149_999)
    expect(time.signal.aborted).toBe(false)
    await clock.pass(1)
    expect(time.signal.aborted).toBe(true)
  })

  test('is counted on the monotonic clock, whatever the wall clock does', async () => {
    const time = deadline(clock, 5_000)
    clock.wallOffset = 86_400_000
    await clock.pass(4_999)
    expect(time.signal.aborted).toBe(false)
    clock.wallOffset = -86_400_000
    await clock.pass(1)
    expect(time.signal.aborted).toBe(true)
  })

  test('of no time at all is over at once', async () => {
    const time = deadline(clock, 0)
    await clock.pass(0)
    expect(time.signal.aborted).toBe(true)
  })

  test('leaves no sleep behind when the work has ended', async () => {
    const time = deadline(clock, 5_000)
    await clock.pass(1_000)
    expect(clock.sleeping).toBe(1)
    time.done()
    await clock.pass(0)
    expect(clock.sleeping).toBe(0)
    await clock.pass(10_000)
    expect(time.signal.aborted).toBe(false)
  })

  test('passes on the abort of its parent, with the reason', async () => {
    const parent = new AbortController()
    const time = deadline(clock, 5_000, parent.signal)
    const reason = new Error('the caller has gone')
    parent.abort(reason)
    expect(time.signal.reason).toBe(reason)
    time.done()
    await clock.pass(0)
    expect(clock.sleeping).toBe(0)
  })

  test('of a parent that has aborted already is over at once', () => {
    const reason = new Error('the caller has gone')
    const time = deadline(clock, 5_000, AbortSignal.abort(reason))
    expect(time.signal.reason).toBe(reason)
    time.done()
  })

  test('hears its parent no more when the work has ended', () => {
    const parent = new AbortController()
    const time = deadline(clock, 5_000, parent.signal)
    time.done()
    parent.abort()
    expect(time.signal.aborted).toBe(false)
  })
})

describe('until', () => {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason)

  beforeEach(() => {
    unhandled.length = 0
    process.on('unhandledRejection', onUnhandled)
  })

  afterEach(() => {
    process.off('unhandledRejection', onUnhandled)
  })

  test('settles as the promise does', async () => {
    const { signal } = new AbortController()
    await expect(until(Promise.resolve(7), signal)).resolves.toBe(7)
    await expect(until(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
  })

  test('rejects with the reason when the signal aborts first', async () => {
    const stop = new AbortController()
    const waiting = until(new Promise(() => undefined), stop.signal)
    stop.abort(new Error('too late'))
    await expect(waiting).rejects.toThrow('too late')
  })

  test('rejects with an error though the reason is none', async () => {
    const stop = new AbortController()
    const waiting = until(new Promise(() => undefined), stop.signal)
    stop.abort('because')
    await expect(waiting).rejects.toBeInstanceOf(Error)
  })

  test.each(['before', 'while'])(
    'a promise that fails after the abort came %s waiting ends no process',
    async (when) => {
      const stop = new AbortController()
      let fail: (reason: Error) => void = () => undefined
      const promise = new Promise<never>((_resolve, reject) => (fail = reject))
      if (when === 'before') stop.abort()
      const waiting = until(promise, stop.signal)
      stop.abort()
      await expect(waiting).rejects.toThrow()
      fail(new Error('the store does not answer'))
      await clock.pass(1)
      expect(unhandled).toEqual([])
    },
  )
})
