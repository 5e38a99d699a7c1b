/** One flight per key, however it lands. */
import { describe, expect, test } from 'vitest'
import { SingleFlight } from './single-flight.ts'

function flightOf<T>(): { promise: Promise<T>; land: (value: T) => void; crash: (reason: Error) => void } {
  let land: (value: T) => void = () => undefined
  let crash: (reason: Error) => void = () => undefined
  const promise = new Promise<T>((resolve, reject) => {
    land = resolve
    crash = reject
  })
  return { promise, land, crash }
}

describe('SingleFlight', () => {
  test('callers that come while a flight is in the air share it', async () => {
    const flights = new SingleFlight<number>()
    const air = flightOf<number>()
    let starts = 0
    const start = (): Promise<number> => {
      starts += 1
      return air.promise
    }
    const all = Array.from({ length: 50 }, () => flights.join('a', start))
    air.land(7)
    expect(await Promise.all(all)).toEqual(Array(50).fill(7))
    expect(starts).toBe(1)
  })

  test('keys do not share', async () => {
    const flights = new SingleFlight<string>()
    expect(await Promise.all(['a', 'b'].map((key) => flights.join(key, async () => key)))).toEqual(['a', 'b'])
  })

  test('a caller who comes after the landing starts anew', async () => {
    const flights = new SingleFlight<number>()
    let starts = 0
    const start = async (): Promise<number> => (starts += 1)
    expect(await flights.join('a', start)).toBe(1)
    expect(flights.size).toBe(0)
    expect(await flights.join('a', start)).toBe(2)
  })

  test('all who wait hear of a crash, and the next caller starts anew', async () => {
    const flights = new SingleFlight<number>()
    const air = flightOf<number>()
    const both = [flights.join('a', () => air.promise), flights.join('a', () => air.promise)]
    air.crash(new Error('down'))
    const settled = await Promise.allSettled(both)
    expect(settled.map((each) => each.status)).toEqual(['rejected', 'rejected'])
    expect(flights.current('a')).toBeUndefined()
    await expect(flights.join('a', async () => 1)).resolves.toBe(1)
  })

  test('settled waits for every flight, and fails with none', async () => {
    const flights = new SingleFlight<number>()
    const [good, bad] = [flightOf<number>(), flightOf<number>()]
    const heard = [flights.join('good', () => good.promise), flights.join('bad', () => bad.promise)]
    let isSettled = false
    const settled = flights.settled().then(() => (isSettled = true))
    bad.crash(new Error('down'))
    await Promise.allSettled([heard[1]])
    expect(isSettled).toBe(false)
    good.land(1)
    await settled
    expect(flights.size).toBe(0)
  })
})
