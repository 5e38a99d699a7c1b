/** What is told of a store that cannot be read, or cannot be written. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hang, hour, Stage, type Node } from '../../test/keeper/stage.ts'
import { minute, reissues, sampleSource, second } from '../../test/model/samples.ts'

const weixin = sampleSource()

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

function told({ events }: Node): object[] {
  return events.filter(({ type }) => type === 'store-lost' || type === 'store-back')
}

describe('a store that can be read and not written', () => {
  test('is told of once, however often a lease is tried, and once when it can be written again', async () => {
    const node = await stage.opened(weixin)
    await stage.until(node.keeper.get('weixin'))
    node.wire.isReadOnly = true
    const fullAt = stage.clock.now()
    await stage.pass(3 * hour)
    expect(stage.upstream.count()).toBe(1)
    expect(told(node)).toMatchObject([{ type: 'store-lost', message: 'the disk is full' }])
    node.wire.isReadOnly = false
    await stage.pass(5 * second)
    expect(told(node)).toMatchObject([{}, { type: 'store-back' }])
    const [lost, back] = told(node) as [{ at: number }, { at: number; awayMs: number }]
    expect(lost.at).toBeGreaterThan(fullAt + hour)
    expect(Math.abs(back.at - back.awayMs - lost.at)).toBeLessThan(10)
    expect(await stage.token(node.keeper)).toBe('weixin-2')
  })

  test('is told of once while a token waits to be committed', async () => {
    const node = await stage.opened(weixin)
    stage.upstream.does('weixin', (asked) => {
      node.wire.isReadOnly = true
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([node.keeper.refresh('weixin')]))
    await stage.pass(5 * minute)
    expect(told(node)).toMatchObject([{ type: 'store-lost' }])
    node.wire.isReadOnly = false
    await stage.pass(25 * second)
    expect(told(node)).toMatchObject([{}, { type: 'store-back' }])
  })

  test('is known to take writes again although nothing is due for long', async () => {
    const node = await stage.opened(weixin)
    node.wire.isReadOnly = true
    expect(await stage.code(node.keeper.put('shop', { provider: 'sample', account: 'x' }))).toBe('store_full')
    await stage.pass(10 * minute)
    expect(told(node)).toMatchObject([{ type: 'store-lost' }])
    node.wire.isReadOnly = false
    await stage.pass(25 * second)
    expect(told(node)).toMatchObject([{}, { type: 'store-back' }])
    expect(stage.upstream.count()).toBe(1)
  })

  test('is not said to be mended before something was written', async () => {
    const node = await stage.opened()
    node.wire.isReadOnly = true
    const definition = { provider: 'sample', account: 'x' }
    expect(await stage.code(node.keeper.put('shop', definition))).toBe('store_full')
    node.wire.isReadOnly = false
    await stage.pass(2 * minute)
    expect(told(node)).toMatchObject([{ type: 'store-lost' }])
    await stage.until(node.keeper.put('shop', definition))
    await stage.pass(25 * second)
    expect(told(node)).toMatchObject([{}, { type: 'store-back' }])
  })

  test('that takes every other write is not told of with every write', async () => {
    const node = await stage.opened(
      ...Array.from({ length: 20 }, (_, index) => sampleSource({ name: `s${index}`, identity: `a${index}` })),
    )
    const write = node.wire.write.bind(node.wire)
    let writes = 0
    node.wire.write = async (...change) => {
      writes += 1
      node.wire.isReadOnly = writes % 2 === 0
      return await write(...change)
    }
    for (let count = 0; count < 60; count += 1) {
      await stage.until(Promise.allSettled([node.keeper.refresh(`s${count % 20}`)]))
      await stage.pass(second)
    }
    expect(writes).toBeGreaterThan(100)
    expect(told(node).length).toBeLessThanOrEqual(2 * 4 + 1)
    node.wire.write = write
    node.wire.isReadOnly = false
  })
})

describe('a store that does not answer', () => {
  test.each(reissues)(
    'causes no upstream call (%s): what lives is served, and the rest comes with the store',
    async (reissue) => {
      const node = await stage.opened(sampleSource({ reissue }))
      await stage.until(node.keeper.get('weixin'))
      node.wire.isCut = true
      await stage.pass(hour)
      expect(await stage.token(node.keeper)).toBe('weixin-1')
      await stage.pass(2 * hour)
      expect(await stage.code(node.keeper.get('weixin'))).toBe('store_unavailable')
      expect(stage.upstream.count()).toBe(1)
      node.wire.isCut = false
      await stage.pass(5 * second)
      expect(await stage.token(node.keeper)).toBe('weixin-2')
      expect(stage.upstream.count()).toBe(2)
    },
  )

  test('is told of once, whether a sweep or a write finds it out', async () => {
    const node = await stage.opened(weixin)
    stage.upstream.does('weixin', (asked) => {
      node.wire.isCut = true
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([node.keeper.refresh('weixin')]))
    expect(told(node)).toMatchObject([{ type: 'store-lost', message: 'the wire is cut' }])
    await stage.pass(5 * minute)
    expect(told(node)).toHaveLength(1)
    node.wire.isCut = false
    await stage.pass(25 * second)
    expect(told(node)).toMatchObject([{}, { type: 'store-back' }])
  })

  test('because this node stops is no outage', async () => {
    const node = await stage.opened(weixin)
    await stage.pass(minute)
    const stop = node.keeper.stop()
    node.wire.isCut = true
    await stage.until(stop)
    expect(told(node)).toEqual([])
  })
})

describe('a node whose store is back', () => {
  test('looks at its clock before it takes a lease, as both may have drifted', async () => {
    const node = await stage.opened(weixin)
    await stage.until(node.keeper.get('weixin'))
    await stage.pass(minute)
    node.wire.isCut = true
    await stage.pass(5 * minute)
    node.wire.isCut = false
    node.wire.behindMs = 12 * second
    stage.upstream.does('weixin', hang)
    void node.keeper.refresh('weixin').catch(() => undefined)
    await stage.pass(10)
    const { lease } = await stage.entry()
    expect(lease?.at).toBeGreaterThan(stage.clock.now() + 11 * second)
  })
})

describe('a node without its store', () => {
  test('answers a report about a token that it knows to be replaced', async () => {
    const node = await stage.opened(weixin)
    const { snapshot } = await stage.until(node.keeper.get('weixin'))
    await stage.pass(minute)
    await stage.until(node.keeper.refresh('weixin'))
    node.wire.isCut = true
    const answer = await stage.until(node.keeper.refresh('weixin', { stale: snapshot.token }))
    expect(answer).toMatchObject({ refreshed: false, reason: 'not_current', snapshot: { token: 'weixin-2' } })
    node.wire.isCut = false
    expect(stage.upstream.count()).toBe(2)
  })

  test('is ready as long as it remembers a living token that nobody can have replaced for too long', async () => {
    const lasting = sampleSource({ name: 'lasting', identity: 'sample:lasting', reissue: 'independent' })
    const node = await stage.opened(weixin, lasting)
    await stage.until(node.keeper.get('lasting'))
    node.wire.isCut = true
    await stage.pass(minute)
    expect(node.keeper.isReady()).toBe(true)
    await stage.pass(3 * hour)
    expect(node.keeper.isReady()).toBe(false)
    node.wire.isCut = false
    await stage.pass(10 * second)
    expect(node.keeper.isReady()).toBe(true)
    await stage.until(node.keeper.get('weixin'))
    node.wire.isCut = true
    await stage.pass(3 * minute)
    expect(node.keeper.isReady()).toBe(true)
    await stage.pass(2 * minute)
    expect(node.keeper.isReady()).toBe(false)
    node.wire.isCut = false
  })
})
