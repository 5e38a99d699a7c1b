/** Sources that are added, changed and removed while the keeper runs and asks. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hour, Stage, typesOf } from '../../test/keeper/stage.ts'
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

describe('sources that come, change and go', () => {
  test('one that was put is fetched, kept fresh, and there after a restart', async () => {
    const { keeper, events } = await stage.opened()
    expect(await stage.until(keeper.put('shop', { provider: 'sample' }))).toEqual({ created: true })
    expect(await stage.token(keeper, 'shop')).toBe('shop-1')
    expect(await stage.until(keeper.put('shop', { provider: 'sample' }))).toEqual({ created: false })
    expect(typesOf(events).filter((type) => type === 'added' || type === 'changed')).toEqual(['added', 'changed'])
    await stage.until(keeper.stop())
    const again = await stage.opened()
    expect(await stage.token(again.keeper, 'shop')).toBe('shop-1')
    await stage.pass(2 * hour)
    expect(stage.upstream.count('shop')).toBeGreaterThan(1)
  })

  test('one of the configuration is neither put nor removed, and a bad definition changes nothing', async () => {
    const { keeper } = await stage.opened(weixin)
    expect(await stage.code(keeper.put('weixin', { provider: 'sample' }))).toBe('conflict')
    expect(await stage.code(keeper.remove('weixin'))).toBe('conflict')
    expect(await stage.code(keeper.put('../x', { provider: 'sample' }))).toBe('bad_request')
    expect(await stage.code(keeper.put('x', { provider: 'unknown' }))).toBe('bad_request')
    expect(await stage.code(keeper.put('x', { provider: 'sample', needs: ['nobody'] }))).toBe('bad_request')
    expect(await stage.code(keeper.put('x', { provider: 'sample', needs: ['x'] }))).toBe('bad_request')
    expect(await stage.until(keeper.remove('x'))).toBe(false)
    expect(await stage.code(keeper.get('x'))).toBe('not_found')
  })

  test('one put for another account while a request is in the air never serves the old account', async () => {
    const { keeper } = await stage.opened()
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
    expect(await stage.token(keeper, 'shop')).toBe('shop-2')
  })

  test('one removed while a request is in the air stays removed', async () => {
    const { keeper, events } = await stage.opened()
    await stage.until(keeper.put('shop', { provider: 'sample' }))
    await stage.pass(20)
    expect(await stage.until(keeper.remove('shop'))).toBe(true)
    await stage.pass(minute)
    expect(await stage.code(keeper.get('shop'))).toBe('not_found')
    expect(stage.upstream.count('shop')).toBe(1)
    expect(typesOf(events)).toContain('removed')
  })

  test('a reload takes up what is new, drops what is gone, and leaves alone what is the same', async () => {
    const { keeper, events } = await stage.opened(weixin, independent)
    await stage.until(Promise.all([keeper.get('weixin'), keeper.get('oauth')]))
    const snapshot = keeper.peek('weixin')
    await stage.until(keeper.replaceSources([sampleSource(), stable]))
    await stage.pass(second)
    expect(keeper.peek('weixin')).toBe(snapshot)
    expect(await stage.code(keeper.get('oauth'))).toBe('not_found')
    expect(await stage.token(keeper, 'stable')).toBe('stable-1')
    expect(stage.upstream.count()).toBe(1)
    const told = events.filter(({ type }) => ['added', 'changed', 'removed'].includes(type))
    expect(told).toMatchObject([
      { type: 'removed', name: 'oauth' },
      { type: 'added', name: 'stable' },
    ])
  })

  test('a reload for another account while a request is in the air never serves the old account', async () => {
    const { keeper } = await stage.opened(weixin)
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
    expect(await stage.token(keeper)).toBe('weixin-3')
  })

  test('an account that was changed between two runs is fetched without a reader', async () => {
    const before = await stage.opened(weixin)
    await stage.until(before.keeper.stop())
    await stage.opened(sampleSource({ identity: 'sample:wx2', generation: 'g2' }))
    await stage.pass(second)
    expect(stage.upstream.asked.at(-1)).toMatchObject({ account: 'sample:wx2' })
  })
})
