/** The real keeper, one node, over a real store: what it serves, what it costs upstream, and what it survives. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, hang, hour, noAnswer, Stage, typesOf } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'

const weixin = sampleSource()
const ticket = sampleSource({
  name: 'ticket',
  reissue: 'same-until-expiry',
  needs: ['weixin'],
  identity: 'sample:ticket',
})

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

describe('one issue for all', () => {
  test('two hundred readers at boot cost one', async () => {
    const { keeper } = await stage.open(weixin)
    const readings = await stage.until(Promise.all(Array.from({ length: 200 }, () => keeper.get('weixin'))))
    expect(new Set(readings.map(({ snapshot }) => snapshot))).toHaveLength(1)
    expect(readings[0]).toMatchObject({ snapshot: { token: 'weixin-1', version: 1 }, stale: false })
    expect(stage.upstream.count()).toBe(1)
  })

  test('a token is refreshed on schedule, whoever reads, and costs one per life', async () => {
    const { keeper, events } = await stage.opened(weixin)
    expect(await stage.token(keeper)).toBe('weixin-1')
    await stage.pass(24 * hour)
    expect(stage.upstream.count()).toBeGreaterThanOrEqual(17)
    expect(stage.upstream.count()).toBeLessThanOrEqual(21)
    expect(new Set(typesOf(events))).toEqual(new Set(['attempted', 'rotated']))
  })

  test('a restart with living tokens costs none', async () => {
    const before = await stage.opened(weixin, ticket)
    await stage.until(before.keeper.get('ticket'))
    await stage.until(before.keeper.stop())
    const { keeper } = await stage.opened(weixin, ticket)
    expect(await stage.token(keeper)).toBe('weixin-1')
    expect(await stage.token(keeper, 'ticket')).toBe('ticket-1')
    await stage.pass(10 * minute)
    expect(stage.upstream.asked).toHaveLength(2)
  })

  test('a reader is told what it may rely on: no longer than the token will work', async () => {
    const { keeper } = await stage.opened(weixin)
    const { leftMs, snapshot } = await stage.until(keeper.get('weixin'))
    const { dueAt } = await stage.entry()
    expect(snapshot.expiresAt).toBe(dueAt + 5 * minute)
    expect(leftMs).toBe(snapshot.expiresAt - stage.clock.now())
    expect(keeper.leftMs(snapshot)).toBe(leftMs)
    expect(keeper.peek('weixin')).toBe(snapshot)
  })

  test('nobody is told of sources that there are not', async () => {
    const { keeper } = await stage.opened(weixin)
    expect(await stage.code(keeper.get('other'))).toBe('not_found')
    expect(await stage.code(keeper.get('../weixin'))).toBe('not_found')
    expect(await stage.code(keeper.refresh('other'))).toBe('not_found')
    expect(keeper.peek('other')).toBeUndefined()
  })
})

describe('a living token is served', () => {
  test('to its very end while every issue fails, whatever had been promised', async () => {
    const { keeper } = await stage.opened(weixin)
    const { snapshot } = await stage.until(keeper.get('weixin'))
    const endsAt = (await stage.entry()).token!.expiresAt
    stage.upstream.does('weixin', () => busy)
    while (stage.clock.now() < endsAt - minute) {
      await stage.pass(minute)
      const reading = await stage.until(keeper.get('weixin'), 0)
      expect(reading.snapshot.token).toBe(snapshot.token)
      expect(reading.leftMs).toBeGreaterThan(0)
      expect(reading.snapshot.expiresAt).toBeGreaterThan(stage.clock.now())
      expect(stage.clock.now() + reading.leftMs).toBeLessThanOrEqual(endsAt)
      expect(keeper.peek('weixin')).toBe(reading.snapshot)
      expect((await stage.until(keeper.state('weixin')))?.leftMs).toBeGreaterThan(0)
    }
    await stage.pass(2 * minute)
    expect(keeper.peek('weixin')).toBeUndefined()
    expect(await stage.code(keeper.get('weixin'))).toBe('token_unavailable')
  })

  test('while the store is away, and nothing is asked upstream meanwhile', async () => {
    const { keeper, wire, events } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    wire.isCut = true
    await stage.pass(118 * minute)
    expect(await stage.token(keeper)).toBe('weixin-1')
    expect(stage.upstream.count()).toBe(1)
    expect((await stage.until(keeper.get('weixin'))).stale).toBe(true)
    wire.isCut = false
    await stage.pass(5 * second)
    expect(await stage.token(keeper)).toBe('weixin-2')
    expect(typesOf(events).filter((type) => type.startsWith('store'))).toEqual(['store-lost', 'store-back'])
  })

  test('with a wall clock that jumps, and after the machine slept', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    for (const jump of [-hour, 0]) {
      stage.clock.wallOffset = jump
      expect(await stage.token(keeper)).toBe('weixin-1')
    }
    stage.clock.suspendedMs = 3 * hour
    await stage.pass(3 * hour)
    expect(keeper.peek('weixin')).toBeUndefined()
    expect(await stage.token(keeper)).not.toBe('weixin-1')
  })

  test('also when the caller has hung up: its look at the store fails unheard', async () => {
    const unheard: unknown[] = []
    const onUnheard = (reason: unknown): void => void unheard.push(reason)
    process.on('unhandledRejection', onUnheard)
    const { keeper, wire } = await stage.open(weixin)
    wire.isReadOnly = true
    const stop = new AbortController()
    const reading = keeper.get('weixin', { signal: stop.signal })
    stop.abort()
    expect(await stage.code(reading)).toBeDefined()
    await stage.pass(5 * second)
    process.off('unhandledRejection', onUnheard)
    expect(unheard).toEqual([])
    wire.isReadOnly = false
  })
})

describe('an upstream that does not answer', () => {
  test('is given up at the timeout, and asked again within seconds', async () => {
    stage.upstream.does('weixin', hang)
    const { keeper } = await stage.open(weixin)
    const refused = await stage.until(keeper.get('weixin', { waitMs: 20 * second }).catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', message: 'no answer within 8 s' })
    const [first, again] = stage.upstream.asked
    expect(again!.at - first!.at).toBeLessThan(10 * second)
    stage.upstream.recovers('weixin')
    await stage.pass(5 * second)
    expect(await stage.token(keeper)).toBe('weixin-1')
  })

  test('leaves a token that it may have retired its grace, and no more', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => noAnswer)
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    await stage.pass(4 * minute)
    expect(await stage.token(keeper)).toBe('weixin-1')
    await stage.pass(2 * minute)
    expect(keeper.peek('weixin')).toBeUndefined()
  })

  test('twice in a row leaves a token that may be dead: it is served for a moment at a time, and said to be stale', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => noAnswer)
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    expect(stage.upstream.count()).toBe(2)
    expect(await stage.until(keeper.get('weixin'), 0)).toMatchObject({ stale: false, leftMs: 5 * second })
    await stage.pass(5 * second)
    expect(stage.upstream.count()).toBeGreaterThanOrEqual(3)
    const reading = await stage.until(keeper.get('weixin'), 0)
    expect(reading).toMatchObject({ stale: true, leftMs: 5 * second, snapshot: { token: 'weixin-1' } })
    expect(keeper.isStale(keeper.peek('weixin')!)).toBe(true)
    expect((await stage.until(keeper.state('weixin')))?.leftMs).toBe(5 * second)
    stage.upstream.recovers('weixin')
    await stage.pass(20 * second)
    expect(await stage.until(keeper.get('weixin'))).toMatchObject({ stale: false, snapshot: { token: 'weixin-2' } })
  })

  test('a provider that throws, or answers without end, fails like any other attempt', async () => {
    const { keeper } = await stage.opened(weixin)
    stage.upstream.does('weixin', () => {
      throw new Error('secret=hunter22')
    })
    const refused = await stage.until(keeper.refresh('weixin').catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', message: 'the provider failed unexpectedly' })
    stage.upstream.recovers('weixin')
    await stage.pass(10 * second)
    expect(await stage.token(keeper)).toBe('weixin-2')
  })
})

describe('stopping', () => {
  test('ends within ten seconds with a request that hangs, and leaves nothing running', async () => {
    const { keeper } = await stage.opened(weixin)
    stage.upstream.does('weixin', hang)
    const refresh = keeper.refresh('weixin')
    await stage.pass(second)
    const started = stage.clock.now()
    await stage.until(Promise.all([keeper.stop(), Promise.allSettled([refresh])]))
    expect(stage.clock.now() - started).toBeLessThanOrEqual(10 * second)
    await stage.pass(0)
    expect(stage.clock.sleeping).toBe(0)
    expect(await stage.entry()).toMatchObject({ lease: null })
  })

  test('of an idle node takes no time, and asks for nothing afterwards', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    const started = stage.clock.now()
    await stage.until(keeper.stop())
    expect(stage.clock.now()).toBe(started)
    await stage.pass(0)
    expect(stage.clock.sleeping).toBe(0)
    expect(await stage.code(keeper.refresh('weixin'))).toBe('closed')
    await stage.pass(3 * hour)
    expect(await stage.code(keeper.get('weixin'))).toBe('closed')
    expect(stage.upstream.count()).toBe(1)
  })
})
