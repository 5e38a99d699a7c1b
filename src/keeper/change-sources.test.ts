/** Sources that are added, changed and removed while the keeper runs and asks. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hour, notAllowed, Stage, typesOf } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'
import type { Keeper } from './keeper.ts'

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

/** `NAME needs NEED` as the store has it. */
async function needsOf(keeper: Keeper, name: string): Promise<readonly string[] | undefined> {
  return (await stage.until(keeper.source(name)))?.needs
}

describe('a source that is put', () => {
  test('beside another at the same moment never closes a circle with it', async () => {
    const { keeper, events } = await stage.opened()
    const two = await stage.opened()
    for (const name of ['a', 'b']) await stage.until(keeper.put(name, { provider: 'sample', account: name }))
    const puts = [
      keeper.put('a', { provider: 'sample', needs: ['b'], account: 'a' }),
      two.keeper.put('b', { provider: 'sample', needs: ['a'], account: 'b' }),
    ]
    const outcomes = await stage.until(Promise.allSettled(puts))
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    expect(refused.length).toBeGreaterThan(0)
    for (const reason of refused) {
      expect(reason).toMatchObject({ code: 'bad_request', message: expect.stringContaining(' → ') as string })
    }
    const stored = [...((await needsOf(keeper, 'a')) ?? ['?']), ...((await needsOf(keeper, 'b')) ?? ['?'])]
    expect(stored).toHaveLength(2 - refused.length)
    expect(typesOf(events).filter((type) => type === 'added')).toHaveLength(2)
    expect(await stage.token(keeper, 'a')).toMatch(/^a-/)
  })

  test('again as it was mends nothing, so it is not tried sooner; a change is tried at once', async () => {
    const { keeper } = await stage.opened()
    stage.upstream.does('shop', () => notAllowed)
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'one' }))
    await stage.pass(5 * second)
    expect(stage.upstream.count('shop')).toBe(1)
    for (let time = 0; time < 5; time += 1) {
      await stage.until(keeper.put('shop', { provider: 'sample', account: 'one' }))
      await stage.pass(second)
    }
    expect(stage.upstream.count('shop')).toBe(1)
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'two' }))
    await stage.pass(second)
    expect(stage.upstream.count('shop')).toBe(2)
  })

  test('anew at the same moment as what it needs leaves nothing behind when it is refused', async () => {
    const { keeper } = await stage.opened()
    await stage.until(keeper.put('a', { provider: 'sample', account: 'a' }))
    const puts = [
      keeper.put('c', { provider: 'sample', needs: ['a'], account: 'c' }),
      keeper.put('a', { provider: 'sample', needs: ['c'], account: 'a' }),
    ]
    await stage.until(Promise.allSettled(puts))
    const isThere = (await needsOf(keeper, 'c')) !== undefined
    expect([isThere, await needsOf(keeper, 'a')]).toEqual([isThere, []])
  })

  test('is refused where more tokens than eight would be made in a row', async () => {
    const { keeper } = await stage.opened()
    const put = (index: number) =>
      keeper.put(`s${index}`, { provider: 'sample', needs: index === 1 ? [] : [`s${index - 1}`], account: `a${index}` })
    for (let index = 1; index <= 8; index += 1) await stage.until(put(index))
    expect(await stage.code(put(9))).toBe('bad_request')
  })

  test('is refused beside one of the same account, be that of the file or put before', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'one' }))
    expect(await stage.code(keeper.put('rival', { provider: 'sample', account: 'wx1' }))).toBe('conflict')
    expect(await stage.code(keeper.put('rival', { provider: 'sample', account: 'one' }))).toBe('conflict')
    expect(await stage.until(keeper.put('shop', { provider: 'sample', account: 'one' }))).toEqual({ created: false })
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'two' }))
    expect(await stage.until(keeper.put('rival', { provider: 'sample', account: 'one' }))).toEqual({ created: true })
    await stage.until(keeper.remove('shop'))
    expect(await stage.until(keeper.put('late', { provider: 'sample', account: 'two' }))).toEqual({ created: true })
  })

  test('at the same moment as its rival is not kept beside it', async () => {
    const { keeper } = await stage.opened()
    const puts = ['one', 'two'].map((name) => keeper.put(name, { provider: 'sample', account: 'same' }))
    await stage.until(Promise.allSettled(puts))
    const there = await Promise.all(['one', 'two'].map((name) => needsOf(keeper, name)))
    expect(there.filter((needs) => needs !== undefined).length).toBeLessThanOrEqual(1)
  })

  test('where the configuration file once had one is a new one, and goes on with its token', async () => {
    const { keeper, events } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.until(keeper.replaceSources([]))
    expect(await stage.until(keeper.put('weixin', { provider: 'sample' }))).toEqual({ created: true })
    expect(typesOf(events).at(-1)).toBe('added')
    expect(await stage.token(keeper)).toBe('weixin-1')
  })

  test('cannot be removed while another that was put is asked with its token', async () => {
    const { keeper } = await stage.opened()
    await stage.until(keeper.put('shop', { provider: 'sample', account: 'one' }))
    await stage.until(keeper.put('ticket', { provider: 'sample', needs: ['shop'], account: 'two' }))
    expect(await stage.code(keeper.remove('shop'))).toBe('conflict')
    await stage.until(keeper.put('ticket', { provider: 'sample', account: 'two' }))
    expect(await stage.until(keeper.remove('shop'))).toBe(true)
  })
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
