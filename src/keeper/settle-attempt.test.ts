/** Ends of attempts that find the store away, or the row gone. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, noAnswer, Stage, typesOf } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'

const weixin = sampleSource()

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

describe('a token that was issued but could not be written', () => {
  test('is served, written as soon as the store is back, and costs no second issue', async () => {
    const { keeper, wire, events } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    stage.upstream.does('weixin', (asked) => {
      wire.isCut = true
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    expect(await stage.token(keeper)).toBe('weixin-2')
    expect(typesOf(events)).toContain('uncommitted')
    stage.upstream.recovers('weixin')
    await stage.pass(3 * minute)
    expect(await stage.token(keeper)).toBe('weixin-2')
    expect((await stage.entry()).token?.value).toBe('weixin-1')
    wire.isCut = false
    await stage.pass(10 * second)
    expect(await stage.entry()).toMatchObject({ token: { value: 'weixin-2' }, version: 2, lease: null, doubt: null })
    await stage.pass(minute)
    expect(stage.upstream.count()).toBe(2)
  })

  test('is written by a node that stops, if the store is there by then', async () => {
    const { keeper, wire } = await stage.opened(weixin)
    stage.upstream.does('weixin', (asked) => {
      wire.isReadOnly = true
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    wire.isReadOnly = false
    await stage.until(keeper.stop())
    expect((await stage.entry()).token?.value).toBe('weixin-2')
  })

  test('an answer that never came is not believed away because the store is gone, too', async () => {
    const { keeper, wire } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => {
      wire.isCut = true
      return noAnswer
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin', { stale: 'weixin-1' })]))
    await stage.pass(4 * minute)
    expect(await stage.token(keeper)).toBe('weixin-1')
    await stage.pass(2 * minute)
    expect(keeper.peek('weixin')).toBeUndefined()
    stage.upstream.recovers('weixin')
    wire.isCut = false
  })
})

describe('a request without an answer whose end could not be written', () => {
  test('is told of when the store is back, although another node has refreshed meanwhile', async () => {
    const first = await stage.opened(weixin)
    await stage.until(first.keeper.get('weixin'))
    const other = await stage.open(weixin)
    stage.upstream.does('weixin', () => {
      first.wire.isCut = true
      return noAnswer
    })
    await stage.pass(minute)
    await stage.until(Promise.allSettled([first.keeper.refresh('weixin')]))
    stage.upstream.recovers('weixin')
    await stage.pass(30 * second)
    expect(await stage.token(other.keeper)).toBe('weixin-2')
    first.wire.isCut = false
    await stage.pass(15 * second)
    expect(first.events.map(({ type }) => type)).toContain('strayed')
    expect(await stage.token(other.keeper)).toBe('weixin-3')
  })
})

describe('a lease that was granted too late to be used', () => {
  test('is given back over whatever was changed meanwhile, and not waited out', async () => {
    const { keeper, wire } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    const write = wire.write.bind(wire)
    wire.write = async (name, change, ifRevision) => {
      const revision = await write(name, change, ifRevision)
      const isLease = (await stage.entry()).lease !== null
      if (isLease) {
        wire.write = write
        await stage.clock.time.wait(6 * second)
        // Somebody else writes the entry before the lease can be given back.
        await stage.alter('weixin', (entry) => ({
          ...entry,
          doubt: { reason: 'reported', at: entry.lease!.at, version: 1, repeats: 0 },
        }))
      }
      return revision
    }
    const refresh = Promise.allSettled([keeper.refresh('weixin', { waitMs: 3 * second })])
    await stage.pass(6 * second + 200)
    expect(await stage.entry()).toMatchObject({
      lease: null,
      doubt: { reason: 'reported' },
      epoch: 2,
      resolvedEpoch: 2,
    })
    expect(stage.upstream.count()).toBe(1)
    await stage.until(refresh)
    await stage.pass(2 * second)
    expect(await stage.token(keeper)).toBe('weixin-2')
  })
})

describe('a row that was deleted by hand', () => {
  test('is mended without an issue, and followed again', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.deleteRow()
    await stage.pass(second)
    expect(await stage.token(keeper)).toBe('weixin-1')
    await stage.pass(11 * minute)
    expect(await stage.until(keeper.state('weixin'))).toMatchObject({
      state: 'fresh',
      snapshot: { token: 'weixin-1', version: 1 },
    })
    expect(stage.upstream.count()).toBe(1)
    await stage.until(keeper.refresh('weixin', { stale: 'weixin-1' }))
    expect(keeper.peek('weixin')).toMatchObject({ token: 'weixin-2', version: 2 })
  })

  test('while the first request is in the air, loses nothing of the answer', async () => {
    await stage.open(weixin)
    stage.upstream.does('weixin', async (asked) => {
      await stage.deleteRow()
      return stage.upstream.issued(asked.name)
    })
    await stage.pass(20 * minute)
    expect(await stage.entry()).toMatchObject({ token: { value: 'weixin-1' }, version: 1, lease: null })
    expect(stage.upstream.count()).toBe(1)
  })

  test('after many writes is followed from the first one on', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    stage.upstream.does('weixin', () => busy)
    for (let count = 0; count < 5; count += 1) {
      await stage.pass(minute)
      await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    }
    await stage.deleteRow()
    await stage.pass(20 * second)
    stage.upstream.does('weixin', () => noAnswer)
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    expect(keeper.leftMs(keeper.peek('weixin')!)).toBeLessThanOrEqual(5 * minute)
  })

  test('while a request is in the air, loses nothing of the answer', async () => {
    const { keeper } = await stage.opened(weixin)
    stage.upstream.does('weixin', async (asked) => {
      await stage.deleteRow()
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    stage.upstream.recovers('weixin')
    await stage.pass(minute)
    expect(await stage.token(keeper)).toBe('weixin-2')
    expect(stage.upstream.count()).toBe(2)
  })
})
