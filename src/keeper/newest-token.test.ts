/** What is passed on of a token: the newest that anybody here knows, with its planned end, and without leaving a view. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { hang, hour, noAnswer, Stage } from '../../test/keeper/stage.ts'
import { minute, sampleSource } from '../../test/model/samples.ts'

const weixin = sampleSource()

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})
afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

test('is null without a token, and where nothing has that name; nobody is asked because of it', async () => {
  stage.upstream.does('weixin', () => noAnswer)
  const { keeper } = await stage.opened(weixin)
  expect(await stage.until(keeper.newest('weixin'))).toBeNull()
  expect(await stage.until(keeper.newest('absent'))).toBeNull()
  expect(await stage.until(keeper.newest('../x'))).toBeNull()
})

test('is what another node committed a moment ago', async () => {
  const [one, other] = [await stage.opened(weixin), await stage.opened(weixin)]
  await stage.until(one.keeper.get('weixin'))
  await stage.until(other.keeper.get('weixin'))
  // It has not heard of what the other one did.
  other.wire.isDeaf = true
  const { snapshot } = await stage.until(one.keeper.refresh('weixin'))
  expect(await stage.until(other.keeper.newest('weixin'))).toMatchObject({
    token: snapshot.token,
    version: snapshot.version,
    expiresAt: snapshot.expiresAt,
  })
})

test('keeps its planned end while a refresh that may retire it is under way', async () => {
  const retiring = sampleSource({ reissue: 'retires-previous' })
  const { keeper } = await stage.opened(retiring)
  await stage.until(keeper.get('weixin'))
  const before = await stage.until(keeper.newest('weixin'))
  stage.upstream.does('weixin', () => hang())
  void keeper.refresh('weixin').catch(() => undefined)
  await stage.pass(100)
  expect((await stage.until(keeper.state('weixin')))?.leftMs).toBeLessThanOrEqual(5_000)
  expect(await stage.until(keeper.newest('weixin'))).toEqual(before)
  expect((before?.expiresAt ?? 0) - stage.clock.now()).toBeGreaterThan(hour)
})

test('is what this node serves while the store is away, and fails where that is nothing', async () => {
  const node = await stage.opened(weixin)
  const { snapshot } = await stage.until(node.keeper.get('weixin'))
  node.wire.isCut = true
  await stage.pass(minute)
  expect(await stage.until(node.keeper.newest('weixin'))).toMatchObject({ version: snapshot.version })
  expect(await stage.code(node.keeper.newest('other'))).toBe('store_unavailable')
})
