/** Reports and wishes: what they cost upstream, and what those who make them are given. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, hour, notAllowed, Stage, typesOf } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'

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

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

describe('compare-and-refresh', () => {
  test('two hundred reports of the current token cost one issue', async () => {
    const { keeper, events } = await stage.opened(weixin)
    await stage.pass(minute)
    const reports = await stage.until(
      Promise.all(Array.from({ length: 200 }, () => keeper.refresh('weixin', { stale: 'weixin-1' }))),
    )
    for (const report of reports) expect(report).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    expect(stage.upstream.count()).toBe(2)
    expect(typesOf(events).filter((type) => type === 'reported')).toHaveLength(1)
  })

  test('who reports while the refresh is on its way waits for it, and asks the store nothing', async () => {
    const { keeper, wire } = await stage.opened(weixin)
    await stage.pass(minute)
    const first = keeper.refresh('weixin', { stale: 'weixin-1' })
    await stage.pass(stage.upstream.latencyMs / 2)
    wire.callsLeft = 1_000
    const others = Array.from({ length: 200 }, () => keeper.refresh('weixin', { stale: 'weixin-1' }))
    await stage.pass(1)
    expect(wire.callsLeft).toBe(1_000)
    for (const report of await stage.until(Promise.all([first, ...others]))) {
      expect(report).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    }
    expect(stage.upstream.count()).toBe(2)
  })

  test('a report of an older token costs none and is given the current one', async () => {
    const { keeper } = await stage.opened(weixin)
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
    const { keeper } = await stage.opened(weixin)
    await stage.pass(20 * second)
    const report = await stage.until(keeper.refresh('weixin', { stale: 'weixin-1' }))
    expect(report).toMatchObject({ refreshed: false, reason: 'recently_refreshed', snapshot: { token: 'weixin-1' } })
    await stage.pass(minute)
    expect(stage.upstream.count()).toBe(1)
  })

  test('whoever keeps reporting a token that the upstream keeps repeating costs one issue per interval', async () => {
    const wecom = sampleSource({ name: 'corp', reissue: 'same-until-expiry' })
    const { keeper } = await stage.opened(wecom)
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
    const { keeper } = await stage.opened(weixin)
    await stage.pass(5 * second)
    const asked = await stage.until(Promise.all([1, 2, 3].map(() => keeper.refresh('weixin'))))
    for (const each of asked) expect(each).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    expect(stage.upstream.count()).toBe(2)
  })

  test('a token that its upstream repeats after a report is forced, where it can be', async () => {
    const { keeper } = await stage.opened(stable)
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
    const { keeper } = await stage.opened(weixin)
    await stage.pass(minute)
    stage.upstream.does('weixin', () => busy)
    const failed = await stage.until(keeper.refresh('weixin', { stale: 'weixin-1' }).catch((thrown: unknown) => thrown))
    expect(failed).toMatchObject({ code: 'token_unavailable', upstream: { errcode: -1 }, message: 'system busy' })
    stage.upstream.recovers('weixin')
    await stage.pass(20 * second)
    expect(await stage.token(keeper)).toBe('weixin-2')
  })

  test('the budget of those who report and ask never eats that of the schedule', async () => {
    const limited = sampleSource({ semantics: { limits: { perDay: 12 } } })
    const { keeper } = await stage.opened(limited)
    for (let count = 0; count < 40; count += 1) {
      await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
      await stage.pass(40 * second)
    }
    expect(stage.upstream.count()).toBe(6)
    expect(await stage.code(keeper.refresh('weixin'))).toBe('budget_spent')
    await stage.pass(6 * hour)
    expect(stage.upstream.count()).toBeGreaterThan(8)
    expect(await stage.token(keeper)).toBe(`weixin-${stage.upstream.count()}`)
  })

  test('whoever asks once the cause is mended does not wait out the failure, with or without a token', async () => {
    stage.upstream.does('weixin', () => notAllowed)
    const { keeper } = await stage.opened(weixin)
    expect(stage.upstream.count()).toBe(1)
    stage.upstream.recovers('weixin')
    expect(await stage.code(keeper.get('weixin'))).toBe('token_unavailable')
    const first = await stage.until(keeper.refresh('weixin'), second)
    expect(first).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-1', version: 1 } })
    stage.upstream.does('weixin', () => notAllowed)
    await stage.pass(minute)
    await stage.until(Promise.allSettled([keeper.refresh('weixin')]))
    stage.upstream.recovers('weixin')
    const again = await stage.until(keeper.refresh('weixin'), 3 * second)
    expect(again).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
  })

  test('whoever keeps asking while it fails costs one issue per interval, and is told when to come again', async () => {
    for (const lifetimeMs of [null, 2 * hour]) {
      stage = new Stage()
      if (lifetimeMs === null) stage.upstream.does('weixin', () => notAllowed)
      const { keeper } = await stage.opened(sampleSource({ policy: { minIntervalMs: 20 * second } }))
      stage.upstream.does('weixin', () => notAllowed)
      const before = stage.upstream.count()
      const waits: number[] = []
      for (let count = 0; count < 60; count += 1) {
        const refused = await stage.until(keeper.refresh('weixin').catch((thrown: unknown) => thrown))
        expect(refused).toMatchObject({ code: 'token_unavailable', message: 'not in the allow-list' })
        waits.push((refused as { retryAfterSeconds: number }).retryAfterSeconds)
        await stage.pass(second)
      }
      expect(stage.upstream.count() - before).toBeGreaterThanOrEqual(3)
      expect(stage.upstream.count() - before).toBeLessThanOrEqual(6)
      expect(Math.max(...waits.slice(1))).toBeLessThanOrEqual(60)
      expect(waits.filter((wait) => wait <= 20).length).toBeGreaterThan(30)
    }
  })

  test('a wish that cannot be granted is refused, and leaves no doubt behind', async () => {
    const { keeper } = await stage.opened(sampleSource({ policy: { dailyLimit: 2 } }), ticket)
    await stage.until(keeper.get('ticket'))
    expect(await stage.code(keeper.refresh('weixin'))).toBe('budget_spent')
    expect(await stage.code(keeper.get('weixin', { minTtlMs: 79 * minute }))).not.toBe('budget_spent')
    await stage.pass(10 * minute)
    expect(await stage.code(keeper.get('weixin', { minTtlMs: 79 * minute }))).toBe('budget_spent')
    expect((await stage.entry()).doubt).toBeNull()
    await stage.until(keeper.refresh('ticket'))
    expect(stage.upstream.count('ticket')).toBe(2)
  })

  test('a wish that waits for the token of another is refused, and not granted by surprise later', async () => {
    const { keeper } = await stage.opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => busy)
    await stage.until(Promise.allSettled([keeper.refresh('weixin', { stale: 'weixin-1' })]))
    const refused = await stage.until(keeper.refresh('ticket').catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', message: expect.stringContaining('weixin') as string })
    expect((await stage.entry('ticket')).doubt).toBeNull()
    stage.upstream.recovers('weixin')
    await stage.pass(5 * minute)
    expect(await stage.token(keeper)).toBe('weixin-2')
    expect(stage.upstream.count('ticket')).toBe(1)
  })
})
