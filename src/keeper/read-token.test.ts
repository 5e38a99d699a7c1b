/** Readers who want more time than is left, or the next version. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, hour, Stage } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'

const weixin = sampleSource()
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

describe('how much time is left', () => {
  test('enough is served, too little is refreshed first', async () => {
    const { keeper } = await stage.opened(weixin)
    expect((await stage.until(keeper.get('weixin', { minTtlMs: hour }))).snapshot.token).toBe('weixin-1')
    await stage.pass(hour)
    const reading = await stage.until(keeper.get('weixin', { minTtlMs: hour }))
    expect(reading.snapshot.token).toBe('weixin-2')
    expect(reading.leftMs).toBeGreaterThanOrEqual(hour)
    expect(stage.upstream.count()).toBe(2)
  })

  test('more than the life of a token is refused, whatever is left, and costs nothing', async () => {
    const { keeper, wire } = await stage.open(weixin)
    const more = { minTtlMs: 2 * hour + second }
    expect(await stage.code(keeper.get('weixin', more))).toBe('min_ttl_too_long')
    for (let count = 0; count < 10; count += 1) {
      await stage.pass(7 * minute)
      expect(await stage.code(keeper.get('weixin', more))).toBe('min_ttl_too_long')
    }
    expect(stage.upstream.count()).toBe(1)
    wire.isCut = true
    expect(await stage.code(keeper.get('weixin', more))).toBe('min_ttl_too_long')
    wire.isCut = false
  })

  test('up to the life of a token is never called too much: it is given, or there is a time to come again', async () => {
    const { keeper } = await stage.opened(weixin, independent)
    for (const name of ['weixin', 'oauth']) {
      for (const minTtlMs of [hour, 84 * minute, 100 * minute, 2 * hour - second, 2 * hour]) {
        for (const pauseMs of [0, second, 29 * second, minute]) {
          await stage.pass(pauseMs)
          const reading = await stage.until(keeper.get(name, { minTtlMs }).catch((thrown: unknown) => thrown))
          if (typeof reading === 'object' && reading !== null && 'leftMs' in reading) {
            expect(reading.leftMs).toBeGreaterThanOrEqual(minTtlMs)
          } else {
            expect(reading).toMatchObject({ code: 'token_unavailable' })
            expect((reading as { retryAfterSeconds: number }).retryAfterSeconds).toBeGreaterThanOrEqual(1)
          }
        }
      }
    }
  })

  test('what a new token would have is fetched as soon as a report could have done it, and not in vain', async () => {
    const { keeper } = await stage.opened(independent)
    await stage.pass(10 * second)
    const wish = { minTtlMs: 2 * hour - 5 * second }
    const refused = await stage.until(keeper.get('oauth', wish).catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', retryAfterSeconds: 19 })
    await stage.pass(19 * second)
    expect((await stage.until(keeper.get('oauth', wish))).snapshot.token).toBe('oauth-2')
    await stage.pass(minute)
    expect(await stage.code(keeper.get('oauth', { minTtlMs: 2 * hour }))).toBe('token_unavailable')
    expect(stage.upstream.count('oauth')).toBe(2)
  })

  test('a life that is only guessed is no reason to call anything too much', async () => {
    const { keeper } = await stage.opened(sampleSource({ semantics: { fallbackTtlMs: 5 * minute } }))
    stage.upstream.does('weixin', () => ({
      outcome: 'issued',
      issued: { value: 'guessed', lifetimeMs: null, fields: {} },
    }))
    await stage.until(keeper.refresh('weixin'))
    expect(await stage.code(keeper.get('weixin', { minTtlMs: hour }))).toBe('token_unavailable')
  })

  test('readers who ask for all there is cannot make a storm of it', async () => {
    const { keeper } = await stage.opened(independent)
    for (let count = 0; count < 60; count += 1) {
      await stage.until(Promise.allSettled([keeper.get('oauth', { minTtlMs: 2 * hour - 4 * second })]))
      await stage.until(Promise.allSettled([keeper.get('oauth', { minTtlMs: 2 * hour - 40 * second })]))
      await stage.pass(2 * second)
    }
    expect(stage.upstream.count('oauth')).toBeLessThanOrEqual(5)
  })

  test('an upstream that repeats its token cannot give more, and says when it can', async () => {
    const { keeper } = await stage.opened(stable)
    await stage.pass(hour)
    const refused = await stage.until(
      keeper.get('stable', { minTtlMs: 90 * minute }).catch((thrown: unknown) => thrown),
    )
    expect(refused).toMatchObject({ code: 'token_unavailable' })
    expect((refused as { retryAfterSeconds: number }).retryAfterSeconds).toBeGreaterThan(3_000)
    expect(stage.upstream.count('stable')).toBe(1)
  })
})

describe('waiting for the next version', () => {
  test('ends with it', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    const next = keeper.next('weixin', 1, 60 * minute)
    await stage.pass(minute)
    await stage.until(keeper.refresh('weixin'))
    expect((await stage.until(next, 0))?.snapshot.version).toBe(2)
  })

  test('ends at once when there is one already', async () => {
    const { keeper } = await stage.opened(weixin)
    expect((await stage.until(keeper.next('weixin', 0, minute), 0))?.snapshot.version).toBe(1)
  })

  test('ends with nothing when the time is over, the caller goes, or the node stops', async () => {
    const { keeper } = await stage.opened(weixin)
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
    const { keeper } = await stage.opened(weixin)
    const waiting = Array.from({ length: 50 }, () => keeper.next('weixin', 1, minute))
    await stage.until(Promise.all(waiting), 2 * minute)
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })

  test('goes on over a promise that is made anew, without spinning', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    stage.upstream.does('weixin', () => busy)
    await stage.pass(80 * minute)
    const events = stage.clock.time.events
    expect(await stage.until(keeper.next('weixin', 1, 10 * minute), 11 * minute)).toBeNull()
    expect(stage.clock.time.events - events).toBeLessThan(1_000)
  })
})
