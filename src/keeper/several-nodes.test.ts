/** Several keepers on one store: they share every issue, take over from the dead, and end up serving the same token. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, hang, hour, noAnswer, Stage } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'

const weixin = sampleSource()
const ticket = sampleSource({ name: 'ticket', needs: ['weixin'], reissue: 'independent' })

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

describe('two nodes on one store', () => {
  test('at boot, with readers on both, cost one issue', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    const readers = Array.from({ length: 100 }, (_each, index) => (index % 2 === 0 ? one : two).keeper.get('weixin'))
    const readings = await stage.until(Promise.all(readers))
    expect(new Set(readings.map(({ snapshot }) => snapshot.token))).toEqual(new Set(['weixin-1']))
    expect(stage.upstream.count()).toBe(1)
  })

  test('cost as much as one does, over a day', async () => {
    await stage.open(weixin)
    const { keeper } = await stage.open(weixin)
    await stage.pass(24 * hour)
    expect(stage.upstream.count()).toBeLessThanOrEqual(21)
    expect(await stage.token(keeper)).toBe(`weixin-${stage.upstream.count()}`)
  })

  test('two hundred reports on both cost one issue, and all are given its token', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    await stage.until(Promise.all([one.keeper.get('weixin'), two.keeper.get('weixin')]))
    await stage.pass(minute)
    const reports = Array.from({ length: 200 }, (_each, index) =>
      (index % 2 === 0 ? one : two).keeper.refresh('weixin', { stale: 'weixin-1' }),
    )
    for (const { snapshot } of await stage.until(Promise.all(reports))) expect(snapshot.token).toBe('weixin-2')
    expect(stage.upstream.count()).toBe(2)
  })

  test('a row that was lost is put back by one for those who wait for a request of the other that hangs', async () => {
    const one = await stage.opened(weixin)
    await stage.until(one.keeper.get('weixin'))
    one.wire.isDeaf = true
    await stage.deleteRow()
    stage.upstream.does('weixin', hang)
    const two = await stage.open(weixin)
    const reading = two.keeper.get('weixin', { waitMs: 5 * second })
    await stage.pass(second)
    expect(stage.upstream.count()).toBe(2)
    await stage.until(one.keeper.refresh('weixin', { stale: 'another' }))
    expect((await stage.until(reading, second)).snapshot.token).toBe('weixin-1')
  })

  test('what one was issued is served by the other within a second, and nobody waits in vain', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    await stage.until(Promise.all([one.keeper.get('weixin'), two.keeper.get('weixin')]))
    await stage.pass(minute)
    const next = two.keeper.next('weixin', 1, minute)
    await stage.until(one.keeper.refresh('weixin'))
    expect((await stage.until(next, second))?.snapshot.token).toBe('weixin-2')
    expect(two.keeper.peek('weixin')?.token).toBe('weixin-2')
  })

  test('a ticket waits for a token that the other one fetches', async () => {
    const one = await stage.open(weixin, ticket)
    stage.upstream.latencyMs = 3 * second
    const reading = one.keeper.get('weixin', { waitMs: 10 * second })
    await stage.pass(second)
    const two = await stage.open(weixin, ticket)
    const { snapshot } = await stage.until(two.keeper.get('ticket', { waitMs: 20 * second }))
    expect(snapshot.token).toBe('ticket-1')
    await stage.until(reading)
    expect(stage.upstream.asked.map(({ name }) => name)).toEqual(['weixin', 'ticket'])
  })
})

describe('a node that dies', () => {
  test('while a request is in the air is replaced within its lease and a second', async () => {
    stage.upstream.does('weixin', hang)
    const one = await stage.open(weixin)
    await stage.pass(second)
    expect(stage.upstream.count()).toBe(1)
    const two = await stage.open(weixin)
    await stage.pass(second)
    const { until } = (await stage.entry()).lease!
    stage.kill(one)
    stage.upstream.recovers('weixin')
    await stage.pass(until - stage.clock.now() - 1)
    expect(stage.upstream.count()).toBe(1)
    await stage.pass(second)
    expect(await stage.token(two.keeper)).toBe('weixin-1')
    expect(stage.upstream.count()).toBe(2)
  })

  test('in the middle of a refresh that was not due, and that nobody else had in mind, is replaced as soon', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    await stage.until(Promise.all([one.keeper.get('weixin'), two.keeper.get('weixin')]))
    await stage.pass(10 * minute)
    stage.upstream.does('weixin', hang)
    const refresh = Promise.allSettled([one.keeper.refresh('weixin', { stale: 'weixin-1' })])
    await stage.pass(second)
    const { until } = (await stage.entry()).lease!
    stage.kill(one)
    stage.upstream.recovers('weixin')
    await stage.pass(until + second - stage.clock.now())
    expect(await stage.token(two.keeper)).toBe('weixin-2')
    await stage.until(refresh)
  })

  test('over a source that no other node has ever looked at is replaced as soon', async () => {
    const [one] = [await stage.open(), await stage.open()]
    await stage.until(one.keeper.put('shop', { provider: 'sample', account: 'shop' }))
    await stage.pass(10 * minute)
    stage.upstream.does('shop', hang)
    const refresh = Promise.allSettled([one.keeper.refresh('shop')])
    await stage.pass(second)
    const { until } = (await stage.entry('shop')).lease!
    stage.kill(one)
    stage.upstream.recovers('shop')
    await stage.pass(until + second - stage.clock.now())
    expect((await stage.entry('shop')).token!.value).toBe('shop-2')
    await stage.until(refresh)
  })

  test('leaves the token that it may have retired only its grace', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    await stage.until(Promise.all([one.keeper.get('weixin'), two.keeper.get('weixin')]))
    await stage.pass(minute)
    stage.upstream.does('weixin', hang)
    const refresh = Promise.allSettled([one.keeper.refresh('weixin')])
    await stage.pass(second)
    const sentAt = stage.upstream.asked.at(-1)!.at
    stage.kill(one)
    await stage.pass(20 * second)
    expect((await stage.entry()).token!.expiresAt).toBeLessThanOrEqual(sentAt + 5 * minute)
    stage.upstream.recovers('weixin')
    await stage.pass(30 * second)
    expect(await stage.token(two.keeper)).toBe(`weixin-2`)
    await stage.until(refresh)
  })
})

describe('a node that lost its lease', () => {
  test('and was issued a token all the same has it replaced by one that all serve', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    await stage.until(Promise.all([one.keeper.get('weixin'), two.keeper.get('weixin')]))
    await stage.pass(minute)
    stage.upstream.does('weixin', (asked) => {
      one.wire.isCut = true
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([one.keeper.refresh('weixin')]))
    stage.upstream.recovers('weixin')
    await stage.pass(40 * second)
    expect(await stage.token(two.keeper)).toBe('weixin-3')
    one.wire.isCut = false
    await stage.pass(20 * second)
    const last = `weixin-${stage.upstream.count()}`
    expect(stage.upstream.count()).toBe(4)
    expect(await stage.token(one.keeper)).toBe(last)
    expect(await stage.token(two.keeper)).toBe(last)
    expect(one.events.map(({ type }) => type)).toContain('strayed')
  })
})

describe('a report that comes while another node replaces the token', () => {
  test('is given the new one, and costs nothing', async () => {
    const [one, two] = [await stage.open(weixin), await stage.open(weixin)]
    await stage.until(Promise.all([one.keeper.get('weixin'), two.keeper.get('weixin')]))
    await stage.pass(minute)
    // The other node's commit comes between the read and the mark of the report, and nobody tells of it.
    const write = two.wire.write.bind(two.wire)
    two.wire.isDeaf = true
    two.wire.write = async (...change) => {
      two.wire.write = write
      await one.keeper.refresh('weixin')
      return await write(...change)
    }
    const report = await stage.until(two.keeper.refresh('weixin', { stale: 'weixin-1' }))
    expect(report).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    expect(stage.upstream.count()).toBe(2)
  })
})

describe('a store that was failed over without its last writes', () => {
  test('while the node that knows them was cut off, and another one had failed: the token is replaced in time', async () => {
    const { keeper, wire } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    const before = await stage.entry()
    await stage.pass(minute)
    await stage.until(keeper.refresh('weixin'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => noAnswer)
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    wire.isCut = true
    await stage.alter('weixin', () => before)
    stage.upstream.does('weixin', () => busy)
    const other = await stage.open(weixin)
    for (let count = 0; count < 2; count += 1) {
      await stage.until(Promise.allSettled([other.keeper.refresh('weixin')]))
      await stage.pass(5 * second)
    }
    wire.isCut = false
    stage.upstream.recovers('weixin')
    await stage.pass(6 * minute)
    expect(Number(keeper.peek('weixin')?.token.split('-')[1])).toBeGreaterThan(2)
    expect((await stage.entry()).token?.expiresAt).toBeGreaterThan(stage.clock.now() + hour)
  })
})
