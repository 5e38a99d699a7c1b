/** The real keeper, one node, over a real store: what it serves, what it costs upstream, and what it survives. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ZhongkongError } from '../base/errors.ts'
import { busy, hang, hour, noAnswer, Stage, typesOf, type Node } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'
import type { Source } from '../model/source.ts'
import type { Keeper } from './keeper.ts'

const weixin = sampleSource()
const ticket = sampleSource({
  name: 'ticket',
  reissue: 'same-until-expiry',
  needs: ['weixin'],
  identity: 'sample:ticket',
})
const stable = sampleSource({
  name: 'stable',
  reissue: 'same-until-window',
  semantics: { limits: { force: { perDay: 20, gapMs: 30 * second } } },
})
const independent = sampleSource({ name: 'oauth', reissue: 'independent' })

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

/** The token, without waiting for anything but what is already here. */
async function token(keeper: Keeper, name = 'weixin'): Promise<string> {
  return (await stage.until(keeper.get(name))).snapshot.token
}

async function code(promise: Promise<unknown>): Promise<unknown> {
  return await stage.until(
    promise.then(
      () => 'nothing was thrown',
      (thrown: unknown) => (thrown instanceof ZhongkongError ? thrown.code : thrown),
    ),
  )
}

async function opened(...sources: readonly Source[]): Promise<Node> {
  const node = await stage.open(...sources)
  await stage.pass(second)
  return node
}

describe('one issue for all', () => {
  test('two hundred readers at boot cost one', async () => {
    const { keeper } = await stage.open(weixin)
    const readings = await stage.until(Promise.all(Array.from({ length: 200 }, () => keeper.get('weixin'))))
    expect(new Set(readings.map(({ snapshot }) => snapshot))).toHaveLength(1)
    expect(readings[0]).toMatchObject({ snapshot: { token: 'weixin-1', version: 1 }, stale: false })
    expect(stage.upstream.count()).toBe(1)
  })

  test('a token is refreshed on schedule, whoever reads, and costs one per life', async () => {
    const { keeper, events } = await opened(weixin)
    expect(await token(keeper)).toBe('weixin-1')
    await stage.pass(24 * hour)
    expect(stage.upstream.count()).toBeGreaterThanOrEqual(17)
    expect(stage.upstream.count()).toBeLessThanOrEqual(21)
    expect(new Set(typesOf(events))).toEqual(new Set(['attempted', 'rotated']))
  })

  test('a restart with living tokens costs none', async () => {
    const before = await opened(weixin, ticket)
    await stage.until(before.keeper.get('ticket'))
    await stage.until(before.keeper.stop())
    const { keeper } = await opened(weixin, ticket)
    expect(await token(keeper)).toBe('weixin-1')
    expect(await token(keeper, 'ticket')).toBe('ticket-1')
    await stage.pass(10 * minute)
    expect(stage.upstream.asked).toHaveLength(2)
  })

  test('a reader is told what it may rely on: no longer than the token will work', async () => {
    const { keeper } = await opened(weixin)
    const { leftMs, snapshot } = await stage.until(keeper.get('weixin'))
    const { dueAt } = await stage.entry()
    expect(snapshot.expiresAt).toBe(dueAt + 5 * minute)
    expect(leftMs).toBe(snapshot.expiresAt - stage.clock.now())
    expect(keeper.leftMs(snapshot)).toBe(leftMs)
    expect(keeper.peek('weixin')).toBe(snapshot)
  })

  test('nobody is told of sources that there are not', async () => {
    const { keeper } = await opened(weixin)
    expect(await code(keeper.get('other'))).toBe('not_found')
    expect(await code(keeper.get('../weixin'))).toBe('not_found')
    expect(await code(keeper.refresh('other'))).toBe('not_found')
    expect(keeper.peek('other')).toBeUndefined()
  })
})

describe('a living token is served', () => {
  test('to its very end while every issue fails, whatever had been promised', async () => {
    const { keeper } = await opened(weixin)
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
    expect(await code(keeper.get('weixin'))).toBe('token_unavailable')
  })

  test('while the store is away, and nothing is asked upstream meanwhile', async () => {
    const { keeper, wire, events } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    wire.isCut = true
    await stage.pass(118 * minute)
    expect(await token(keeper)).toBe('weixin-1')
    expect(stage.upstream.count()).toBe(1)
    expect((await stage.until(keeper.get('weixin'))).stale).toBe(true)
    wire.isCut = false
    await stage.pass(5 * second)
    expect(await token(keeper)).toBe('weixin-2')
    expect(typesOf(events).filter((type) => type.startsWith('store'))).toEqual(['store-lost', 'store-back'])
  })

  test('with a wall clock that jumps, and after the machine slept', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    for (const jump of [-hour, 0]) {
      stage.clock.wallOffset = jump
      expect(await token(keeper)).toBe('weixin-1')
    }
    stage.clock.suspendedMs = 3 * hour
    await stage.pass(3 * hour)
    expect(keeper.peek('weixin')).toBeUndefined()
    expect(await token(keeper)).not.toBe('weixin-1')
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
    expect(await code(reading)).toBeDefined()
    await stage.pass(5 * second)
    process.off('unhandledRejection', onUnheard)
    expect(unheard).toEqual([])
    wire.isReadOnly = false
  })
})

describe('a token that was issued but could not be written', () => {
  test('is served, written as soon as the store is back, and costs no second issue', async () => {
    const { keeper, wire, events } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    stage.upstream.does('weixin', (asked) => {
      wire.isCut = true
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    expect(await token(keeper)).toBe('weixin-2')
    expect(typesOf(events)).toContain('uncommitted')
    stage.upstream.recovers('weixin')
    await stage.pass(3 * minute)
    expect(await token(keeper)).toBe('weixin-2')
    expect((await stage.entry()).token?.value).toBe('weixin-1')
    wire.isCut = false
    await stage.pass(10 * second)
    expect(await stage.entry()).toMatchObject({ token: { value: 'weixin-2' }, version: 2, lease: null, doubt: null })
    await stage.pass(minute)
    expect(stage.upstream.count()).toBe(2)
  })

  test('is written by a node that stops, if the store is there by then', async () => {
    const { keeper, wire } = await opened(weixin)
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
    const { keeper, wire } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => {
      wire.isCut = true
      return noAnswer
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin', { stale: 'weixin-1' })]))
    await stage.pass(4 * minute)
    expect(await token(keeper)).toBe('weixin-1')
    await stage.pass(2 * minute)
    expect(keeper.peek('weixin')).toBeUndefined()
    stage.upstream.recovers('weixin')
    wire.isCut = false
  })
})

describe('compare-and-refresh', () => {
  test('two hundred reports of the current token cost one issue', async () => {
    const { keeper, events } = await opened(weixin)
    await stage.pass(minute)
    const reports = await stage.until(
      Promise.all(Array.from({ length: 200 }, () => keeper.refresh('weixin', { stale: 'weixin-1' }))),
    )
    for (const report of reports) expect(report).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    expect(stage.upstream.count()).toBe(2)
    expect(typesOf(events).filter((type) => type === 'reported')).toHaveLength(1)
  })

  test('a report of an older token costs none and is given the current one', async () => {
    const { keeper } = await opened(weixin)
    await stage.pass(minute)
    await stage.until(keeper.refresh('weixin', { stale: 'weixin-1' }))
    await stage.pass(minute)
    for (const stale of ['weixin-1', 'never issued', '']) {
      const report = await stage.until(keeper.refresh('weixin', { stale }))
      expect(report).toMatchObject({ refreshed: false, reason: 'not_current', snapshot: { token: 'weixin-2' } })
    }
    expect(stage.upstream.count()).toBe(2)
  })

  test('a report of a token younger than the minimum interval costs none', async () => {
    const { keeper } = await opened(weixin)
    await stage.pass(20 * second)
    const report = await stage.until(keeper.refresh('weixin', { stale: 'weixin-1' }))
    expect(report).toMatchObject({ refreshed: false, reason: 'recently_refreshed', snapshot: { token: 'weixin-1' } })
    await stage.pass(minute)
    expect(stage.upstream.count()).toBe(1)
  })

  test('whoever keeps reporting a token that the upstream keeps repeating costs one issue per interval', async () => {
    const wecom = sampleSource({ name: 'corp', reissue: 'same-until-expiry' })
    const { keeper } = await opened(wecom)
    stage.upstream.does('corp', () => ({
      outcome: 'issued',
      issued: { value: 'corp-1', lifetimeMs: hour, fields: {} },
    }))
    await stage.pass(hour / 2)
    const first = await stage.until(keeper.refresh('corp', { stale: 'corp-1' }))
    expect(first).toMatchObject({ refreshed: false, reason: 'unchanged', snapshot: { token: 'corp-1', version: 1 } })
    for (let count = 0; count < 60; count += 1) {
      const report = await stage.until(keeper.refresh('corp', { stale: 'corp-1' }))
      expect(report.refreshed).toBe(false)
      await stage.pass(second)
    }
    expect(stage.upstream.count('corp')).toBeLessThanOrEqual(4)
  })

  test('a person who asks gets a new token at once, all who ask at the same time the same one', async () => {
    const { keeper } = await opened(weixin)
    await stage.pass(5 * second)
    const asked = await stage.until(Promise.all([1, 2, 3].map(() => keeper.refresh('weixin'))))
    for (const each of asked) expect(each).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    expect(stage.upstream.count()).toBe(2)
  })

  test('a token that its upstream repeats after a report is forced, where it can be', async () => {
    const { keeper } = await opened(stable)
    stage.upstream.does('stable', (asked) =>
      asked.force
        ? stage.upstream.issued('stable')
        : { outcome: 'issued', issued: { value: 'stable-1', lifetimeMs: hour, fields: {} } },
    )
    await stage.pass(10 * minute)
    const report = await stage.until(keeper.refresh('stable', { stale: 'stable-1' }))
    expect(report).toMatchObject({ refreshed: true, snapshot: { token: 'stable-2' } })
    expect(stage.upstream.asked.map(({ force }) => force)).toEqual([false, false, true])
  })

  test('a report whose refresh fails says why, and the token is doubted until one succeeds', async () => {
    const { keeper } = await opened(weixin)
    await stage.pass(minute)
    stage.upstream.does('weixin', () => busy)
    const failed = await stage.until(keeper.refresh('weixin', { stale: 'weixin-1' }).catch((thrown: unknown) => thrown))
    expect(failed).toMatchObject({ code: 'token_unavailable', upstream: { errcode: -1 }, message: 'system busy' })
    stage.upstream.recovers('weixin')
    await stage.pass(20 * second)
    expect(await token(keeper)).toBe('weixin-2')
  })

  test('the budget of those who report and ask never eats that of the schedule', async () => {
    const limited = sampleSource({ semantics: { limits: { perDay: 12 } } })
    const { keeper } = await opened(limited)
    for (let count = 0; count < 40; count += 1) {
      await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
      await stage.pass(40 * second)
    }
    expect(stage.upstream.count()).toBe(6)
    expect(await code(keeper.refresh('weixin'))).toBe('budget_spent')
    await stage.pass(6 * hour)
    expect(stage.upstream.count()).toBeGreaterThan(8)
    expect(await token(keeper)).toBe(`weixin-${stage.upstream.count()}`)
  })

  test('a wish that cannot be granted is refused, and leaves no doubt behind', async () => {
    const { keeper } = await opened(sampleSource({ policy: { dailyLimit: 2 } }), ticket)
    await stage.until(keeper.get('ticket'))
    expect(await code(keeper.refresh('weixin'))).toBe('budget_spent')
    expect(await code(keeper.get('weixin', { minTtlMs: 79 * minute }))).not.toBe('budget_spent')
    await stage.pass(10 * minute)
    expect(await code(keeper.get('weixin', { minTtlMs: 79 * minute }))).toBe('budget_spent')
    expect((await stage.entry()).doubt).toBeNull()
    await stage.until(keeper.refresh('ticket'))
    expect(stage.upstream.count('ticket')).toBe(2)
  })
})

describe('how much time is left', () => {
  test('enough is served, too little is refreshed first', async () => {
    const { keeper } = await opened(weixin)
    expect((await stage.until(keeper.get('weixin', { minTtlMs: hour }))).snapshot.token).toBe('weixin-1')
    await stage.pass(hour)
    const reading = await stage.until(keeper.get('weixin', { minTtlMs: hour }))
    expect(reading.snapshot.token).toBe('weixin-2')
    expect(reading.leftMs).toBeGreaterThanOrEqual(hour)
    expect(stage.upstream.count()).toBe(2)
  })

  test('more than any token has is refused, and costs nothing', async () => {
    const { keeper } = await opened(weixin)
    expect(await code(keeper.get('weixin', { minTtlMs: 3 * hour }))).toBe('min_ttl_too_long')
    expect(stage.upstream.count()).toBe(1)
  })

  test('readers who ask for all there is cannot make a storm of it', async () => {
    const { keeper } = await opened(independent)
    for (let count = 0; count < 60; count += 1) {
      await stage.until(Promise.allSettled([keeper.get('oauth', { minTtlMs: 2 * hour - 4 * second })]))
      await stage.until(Promise.allSettled([keeper.get('oauth', { minTtlMs: 2 * hour - 40 * second })]))
      await stage.pass(2 * second)
    }
    expect(stage.upstream.count('oauth')).toBeLessThanOrEqual(5)
  })

  test('an upstream that repeats its token cannot give more, and says when it can', async () => {
    const { keeper } = await opened(stable)
    await stage.pass(hour)
    const refused = await stage.until(
      keeper.get('stable', { minTtlMs: 90 * minute }).catch((thrown: unknown) => thrown),
    )
    expect(refused).toMatchObject({ code: 'token_unavailable' })
    expect((refused as { retryAfterSeconds: number }).retryAfterSeconds).toBeGreaterThan(3_000)
    expect(stage.upstream.count('stable')).toBe(1)
  })
})

describe('a source that is asked with the token of another', () => {
  test('is asked once that is there, with it', async () => {
    const { keeper } = await stage.open(ticket, weixin)
    const readings = await stage.until(Promise.all(Array.from({ length: 20 }, () => keeper.get('ticket'))))
    expect(readings[0]?.snapshot.token).toBe('ticket-1')
    expect(stage.upstream.asked.map(({ name, inputs }) => ({ name, inputs }))).toEqual([
      { name: 'weixin', inputs: {} },
      { name: 'ticket', inputs: { weixin: 'weixin-1' } },
    ])
  })

  test('comes within a moment of it, also when the first fetches failed', async () => {
    stage.upstream.does('weixin', () => busy)
    const { keeper } = await stage.open(ticket, weixin)
    const refused = await stage.until(keeper.get('ticket').catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', message: expect.stringContaining('weixin') as string })
    await stage.pass(30 * second)
    expect(stage.upstream.count('ticket')).toBe(0)
    stage.upstream.recovers('weixin')
    await stage.until(
      keeper
        .get('weixin', { waitMs: 30 * second })
        .catch(() => keeper.next('weixin', 0, 30 * second).catch(() => null)),
    )
    await stage.pass(20 * second)
    expect(keeper.peek('weixin')?.token ?? (await token(keeper))).toBe('weixin-1')
    await stage.pass(second)
    expect((await stage.entry('ticket')).token?.value).toBe('ticket-1')
  })

  test('is not refreshed because that was', async () => {
    const { keeper } = await opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(minute)
    await stage.until(keeper.refresh('weixin'))
    await stage.pass(minute)
    expect(stage.upstream.count('ticket')).toBe(1)
  })

  test('whose input is refused has that refreshed once, and is asked again with the new one', async () => {
    const { keeper } = await opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(5 * minute)
    stage.upstream.does('ticket', (asked) =>
      asked.inputs.weixin === 'weixin-1'
        ? {
            outcome: 'rejected',
            class: 'transient',
            failure: { code: 'input_refused', message: 'invalid credential' },
            refusedInput: 'weixin',
          }
        : stage.upstream.issued('ticket'),
    )
    await stage.until(Promise.allSettled([keeper.refresh('ticket')]))
    await stage.pass(20 * second)
    expect(stage.upstream.count('weixin')).toBe(2)
    await stage.until(Promise.allSettled([keeper.refresh('ticket')]))
    await stage.pass(20 * second)
    expect(stage.upstream.asked.at(-1)).toMatchObject({ name: 'ticket', inputs: { weixin: 'weixin-2' } })
    expect(await token(keeper, 'ticket')).toBe('ticket-2')
    expect(stage.upstream.count('weixin')).toBe(2)
  })

  test('is never asked with a token that somebody has reported', async () => {
    const { keeper } = await opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => busy)
    await stage.until(Promise.allSettled([keeper.refresh('weixin', { stale: 'weixin-1' })]))
    expect(await code(keeper.refresh('ticket'))).toBe('token_unavailable')
    expect(stage.upstream.count('ticket')).toBe(1)
  })

  test('two that came to need each other wait for each other for a bounded time', async () => {
    const { keeper } = await opened()
    await stage.until(keeper.put('a', { provider: 'sample' }))
    await stage.until(keeper.put('b', { provider: 'sample' }))
    await stage.until(
      Promise.all([
        keeper.put('a', { provider: 'sample', needs: ['b'], account: 'x' }),
        keeper.put('b', { provider: 'sample', needs: ['a'], account: 'y' }),
      ]),
    )
    expect(await code(keeper.get('a'))).toBe('token_unavailable')
    await stage.until(keeper.put('a', { provider: 'sample', account: 'z' }))
    await stage.pass(minute)
    expect((await stage.entry('b')).token?.askedWith).toEqual({ a: (await stage.entry('a')).version })
  })
})

describe('waiting for the next version', () => {
  test('ends with it', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    const next = keeper.next('weixin', 1, 60 * minute)
    await stage.pass(minute)
    await stage.until(keeper.refresh('weixin'))
    expect((await stage.until(next, 0))?.snapshot.version).toBe(2)
  })

  test('ends at once when there is one already', async () => {
    const { keeper } = await opened(weixin)
    expect((await stage.until(keeper.next('weixin', 0, minute), 0))?.snapshot.version).toBe(1)
  })

  test('ends with nothing when the time is over, the caller goes, or the node stops', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    const started = stage.clock.now()
    expect(await stage.until(keeper.next('weixin', 1, 30 * second))).toBeNull()
    expect(stage.clock.now() - started).toBeLessThanOrEqual(30 * second + 50)
    const stop = new AbortController()
    const left = keeper.next('weixin', 1, hour, stop.signal)
    const stayed = keeper.next('weixin', 1, hour)
    await stage.pass(second)
    stop.abort()
    expect(await stage.until(left, second)).toBeNull()
    await stage.until(keeper.stop())
    expect(await stage.until(stayed, second)).toBeNull()
  })

  test('is no cause for alarm, however many wait', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    const { keeper } = await opened(weixin)
    const waiting = Array.from({ length: 50 }, () => keeper.next('weixin', 1, minute))
    await stage.until(Promise.all(waiting), 2 * minute)
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })

  test('goes on over a promise that is made anew, without spinning', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    stage.upstream.does('weixin', () => busy)
    await stage.pass(80 * minute)
    const events = stage.clock.time.events
    expect(await stage.until(keeper.next('weixin', 1, 10 * minute), 11 * minute)).toBeNull()
    expect(stage.clock.time.events - events).toBeLessThan(1_000)
  })
})

describe('sources that come, change and go', () => {
  test('one that was put is fetched, kept fresh, and there after a restart', async () => {
    const { keeper, events } = await opened()
    expect(await stage.until(keeper.put('shop', { provider: 'sample' }))).toEqual({ created: true })
    expect(await token(keeper, 'shop')).toBe('shop-1')
    expect(await stage.until(keeper.put('shop', { provider: 'sample' }))).toEqual({ created: false })
    expect(typesOf(events).filter((type) => type === 'added' || type === 'changed')).toEqual(['added', 'changed'])
    await stage.until(keeper.stop())
    const again = await opened()
    expect(await token(again.keeper, 'shop')).toBe('shop-1')
    await stage.pass(2 * hour)
    expect(stage.upstream.count('shop')).toBeGreaterThan(1)
  })

  test('one of the configuration is neither put nor removed, and a bad definition changes nothing', async () => {
    const { keeper } = await opened(weixin)
    expect(await code(keeper.put('weixin', { provider: 'sample' }))).toBe('conflict')
    expect(await code(keeper.remove('weixin'))).toBe('conflict')
    expect(await code(keeper.put('../x', { provider: 'sample' }))).toBe('bad_request')
    expect(await code(keeper.put('x', { provider: 'unknown' }))).toBe('bad_request')
    expect(await code(keeper.put('x', { provider: 'sample', needs: ['nobody'] }))).toBe('bad_request')
    expect(await code(keeper.put('x', { provider: 'sample', needs: ['x'] }))).toBe('bad_request')
    expect(await stage.until(keeper.remove('x'))).toBe(false)
    expect(await code(keeper.get('x'))).toBe('not_found')
  })

  test('one put for another account while a request is in the air never serves the old account', async () => {
    const { keeper } = await opened()
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'one' }))
    stage.upstream.latencyMs = 3 * second
    const reading = keeper.get('shop', { waitMs: 30 * second })
    await stage.pass(second)
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'two' }))
    await stage.pass(2 * second + 200)
    expect(keeper.peek('shop')).toBeUndefined()
    await stage.until(Promise.allSettled([reading]))
    await stage.pass(5 * second)
    expect(stage.upstream.asked.map(({ account }) => account)).toEqual(['sample:one', 'sample:two'])
    expect(await token(keeper, 'shop')).toBe('shop-2')
  })

  test('one removed while a request is in the air stays removed', async () => {
    const { keeper, events } = await opened()
    await stage.until(keeper.put('shop', { provider: 'sample' }))
    await stage.pass(20)
    expect(await stage.until(keeper.remove('shop'))).toBe(true)
    await stage.pass(minute)
    expect(await code(keeper.get('shop'))).toBe('not_found')
    expect(stage.upstream.count('shop')).toBe(1)
    expect(typesOf(events)).toContain('removed')
  })

  test('a reload takes up what is new, drops what is gone, and leaves alone what is the same', async () => {
    const { keeper, events } = await opened(weixin, independent)
    await stage.until(Promise.all([keeper.get('weixin'), keeper.get('oauth')]))
    const snapshot = keeper.peek('weixin')
    await stage.until(keeper.replaceSources([sampleSource(), stable]))
    await stage.pass(second)
    expect(keeper.peek('weixin')).toBe(snapshot)
    expect(await code(keeper.get('oauth'))).toBe('not_found')
    expect(await token(keeper, 'stable')).toBe('stable-1')
    expect(stage.upstream.count()).toBe(1)
    const told = events.filter(({ type }) => ['added', 'changed', 'removed'].includes(type))
    expect(told).toMatchObject([
      { type: 'removed', name: 'oauth' },
      { type: 'added', name: 'stable' },
    ])
  })

  test('a reload for another account while a request is in the air never serves the old account', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    stage.upstream.latencyMs = 3 * second
    const refresh = Promise.allSettled([keeper.refresh('weixin')])
    await stage.pass(second)
    await stage.until(keeper.replaceSources([sampleSource({ identity: 'sample:wx2', generation: 'g2' })]))
    expect(keeper.peek('weixin')).toBeUndefined()
    await stage.pass(2 * second + 200)
    expect(keeper.peek('weixin')).toBeUndefined()
    await stage.until(refresh)
    await stage.pass(5 * second)
    expect(stage.upstream.asked.at(-1)).toMatchObject({ account: 'sample:wx2' })
    expect(await token(keeper)).toBe('weixin-3')
  })

  test('an account that was changed between two runs is fetched without a reader', async () => {
    const before = await opened(weixin)
    await stage.until(before.keeper.stop())
    await opened(sampleSource({ identity: 'sample:wx2', generation: 'g2' }))
    await stage.pass(second)
    expect(stage.upstream.asked.at(-1)).toMatchObject({ account: 'sample:wx2' })
  })
})

describe('a row that was deleted by hand', () => {
  test('is mended without an issue, and followed again', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.deleteRow()
    await stage.pass(second)
    expect(await token(keeper)).toBe('weixin-1')
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
    const { keeper } = await opened(weixin)
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
    const { keeper } = await opened(weixin)
    stage.upstream.does('weixin', async (asked) => {
      await stage.deleteRow()
      return stage.upstream.issued(asked.name)
    })
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    stage.upstream.recovers('weixin')
    await stage.pass(minute)
    expect(await token(keeper)).toBe('weixin-2')
    expect(stage.upstream.count()).toBe(2)
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
    expect(await token(keeper)).toBe('weixin-1')
  })

  test('leaves a token that it may have retired its grace, and no more', async () => {
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => noAnswer)
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    await stage.pass(4 * minute)
    expect(await token(keeper)).toBe('weixin-1')
    await stage.pass(2 * minute)
    expect(keeper.peek('weixin')).toBeUndefined()
  })

  test('a provider that throws, or answers without end, fails like any other attempt', async () => {
    const { keeper } = await opened(weixin)
    stage.upstream.does('weixin', () => {
      throw new Error('secret=hunter22')
    })
    const refused = await stage.until(keeper.refresh('weixin').catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', message: 'the provider failed unexpectedly' })
    stage.upstream.recovers('weixin')
    await stage.pass(10 * second)
    expect(await token(keeper)).toBe('weixin-2')
  })
})

describe('stopping', () => {
  test('ends within ten seconds with a request that hangs, and leaves nothing running', async () => {
    const { keeper } = await opened(weixin)
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
    const { keeper } = await opened(weixin)
    await stage.until(keeper.get('weixin'))
    const started = stage.clock.now()
    await stage.until(keeper.stop())
    expect(stage.clock.now()).toBe(started)
    await stage.pass(0)
    expect(stage.clock.sleeping).toBe(0)
    expect(await code(keeper.refresh('weixin'))).toBe('closed')
    await stage.pass(3 * hour)
    expect(await code(keeper.get('weixin'))).toBe('closed')
    expect(stage.upstream.count()).toBe(1)
  })
})
