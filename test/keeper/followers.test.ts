/** One zhongkong follows another (`provider: zhongkong`): real nodes, their surfaces, and a simulated WeChat. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/base/json.ts'
import type { SourceAnswer, TokenAnswer } from '../../src/wire/v1.ts'
import { key, Towns, type Town } from './towns.ts'

const minute = 60_000
const classic: JsonObject = {
  provider: 'wechat',
  appid: 'wx1',
  secret: 'canary-wx',
  mode: 'classic',
  base_url: 'http://up.test/wechat',
}
const following = (host: string, name = 'weixin'): JsonObject => ({
  provider: 'zhongkong',
  url: `http://${host}`,
  key,
  name,
})

let towns: Towns

beforeEach(() => {
  towns = new Towns([{ kind: 'wechat', id: 'wx1', secret: 'canary-wx' }])
})

afterEach(async () => {
  await towns.close()
  expect(towns.faults).toEqual([])
})

/** Rotates at the first town, as a report by a caller would. */
async function rotate(town: Town): Promise<string> {
  const { token } = await town.get('weixin')
  towns.simulator.revoke({ token })
  const answer = await town.refresh('weixin', token)
  expect(answer).toMatchObject({ refreshed: true })
  return answer.token
}

async function pair(grant = {}): Promise<{ main: Town; branch: Town }> {
  const main = await towns.open('main.test', { weixin: classic }, grant)
  const branch = await towns.open('branch.test', { mirror: following('main.test') })
  await towns.pass(2 * minute)
  return { main, branch }
}

const issues = (): number => towns.simulator.journal().length

describe('a follower', () => {
  test('serves the token of the other, with its fields, and costs the upstream nothing', async () => {
    const { main, branch } = await pair()
    const there = await main.get('weixin')
    const here = await branch.get('mirror')
    expect(here).toMatchObject({ name: 'mirror', token: there.token, version: 1 })
    expect(here.fields).toMatchObject({ ...there.fields, zhongkong: { version: 1, issued_at: there.issued_at } })
    expect(here.expires_in).toBeLessThanOrEqual(there.expires_in)
    expect(here.expires_in).toBeGreaterThan(there.expires_in - 5)
    const older = await branch.ask('/token?name=mirror')
    expect(older.json).toMatchObject({ access_token: there.token })
    expect(issues()).toBe(1)
  })

  test('serves a rotation within a second and a few round trips, and its own waiting callers hear of it', async () => {
    const { main, branch } = await pair()
    const waiting = branch.node.keeper.next('mirror', (await branch.get('mirror')).version, minute)
    const token = await rotate(main)
    await towns.pass(1_000 + 4 * towns.latencyMs)
    expect(branch.node.keeper.peek('mirror')).toMatchObject({ token, version: 2 })
    expect((await towns.until(waiting))?.snapshot.token).toBe(token)
  })

  test('asks the other about thrice a minute while nothing happens, and writes nothing', async () => {
    const { branch } = await pair()
    const attempts: unknown[] = []
    branch.node.bus.on((event) => {
      if (event.type === 'attempted') attempts.push(event)
    })
    towns.letters.length = 0
    await towns.pass(10 * minute)
    expect(towns.letters.length).toBeLessThanOrEqual(32)
    expect(attempts).toEqual([])
  })

  test('over a day never promises longer than the other did, nor goes back, nor serves what is refused', async () => {
    const { main, branch } = await pair()
    let version = 0
    for (let count = 0; count < 24 * 12; count += 1) {
      const there = await main.get('weixin')
      await towns.pass(1_200)
      const here = await branch.get('mirror')
      expect(here.version).toBeGreaterThanOrEqual(version)
      version = here.version
      expect(towns.simulator.accepts(here.token)).toBe(true)
      if (here.token === there.token) expect(here.expires_in).toBeLessThanOrEqual(there.expires_in)
      await towns.pass(5 * minute)
    }
    expect(version).toBeGreaterThan(15)
  })

  test('goes on serving while the other is away, and catches up within seconds of its return', async () => {
    const { main, branch } = await pair()
    const before = await branch.get('mirror')
    towns.away.add('main.test')
    await towns.pass(30 * minute)
    expect(await branch.get('mirror')).toMatchObject({ token: before.token, version: before.version })
    const { json } = await branch.ask('/v1/sources/mirror')
    expect(json).toMatchObject({ state: 'failing', trouble: { class: 'not-sent', code: 'upstream_unreachable' } })
    const token = await rotate(main)
    towns.away.delete('main.test')
    await towns.pass(6_000)
    expect(await branch.get('mirror')).toMatchObject({ token, version: before.version + 1 })
    expect((await branch.ask('/v1/sources/mirror')).json).toMatchObject({ state: 'fresh', trouble: null })
  })

  test('is well again within seconds of the return, though nothing was rotated', async () => {
    const { branch } = await pair()
    towns.away.add('main.test')
    await towns.pass(30 * minute)
    towns.away.delete('main.test')
    await towns.pass(6_000)
    expect((await branch.ask('/v1/sources/mirror')).json).toMatchObject({ state: 'fresh', trouble: null, version: 1 })
  })

  test('ends its promise when the other is away for longer than it promised', async () => {
    const { branch } = await pair()
    const { expires_in } = await branch.get('mirror')
    towns.away.add('main.test')
    await towns.pass(expires_in * 1_000)
    expect((await branch.ask('/v1/tokens/mirror')).status).toBe(503)
  })

  test('follows a promise that ran out over there and was made anew', async () => {
    const { main, branch } = await pair()
    const { token } = await main.get('weixin')
    // The refresh that was planned does not succeed, and the old token is promised a few minutes at a time.
    towns.simulator.addFault({ effect: { type: 'refuse' } })
    await towns.pass(100 * minute)
    for (let count = 0; count < 8; count += 1) {
      const there = await main.get('weixin')
      expect(there).toMatchObject({ token })
      expect(there.expires_in).toBeLessThanOrEqual(150)
      expect((await branch.get('mirror')).token).toBe(token)
      await towns.pass(2 * minute)
    }
  })

  test('that was added while running follows as well, once it is read', async () => {
    const main = await towns.open('main.test', { weixin: classic })
    const branch = await towns.open('branch.test', {})
    const put = await branch.ask('/v1/sources/late', { method: 'PUT', body: JSON.stringify(following('main.test')) })
    expect(put.status).toBe(201)
    await branch.get('late')
    await towns.pass(2 * minute)
    const token = await rotate(main)
    await towns.pass(1_200)
    expect((await branch.get('late')).token).toBe(token)
  })
})

describe('a report at a follower', () => {
  test('is passed on, and brings the new token to both', async () => {
    const { main, branch } = await pair()
    const { token } = await branch.get('mirror')
    towns.simulator.revoke({ token })
    const answer = await branch.refresh('mirror', token)
    expect(answer).toMatchObject({ refreshed: true, version: 2 })
    expect(answer.token).not.toBe(token)
    expect((await main.get('weixin')).token).toBe(answer.token)
    expect(issues()).toBe(2)
  })

  test('of a token that was replaced over there meanwhile costs the upstream nothing', async () => {
    const { main, branch } = await pair()
    const { token } = await branch.get('mirror')
    const current = await rotate(main)
    const answer = await branch.refresh('mirror', token)
    expect(answer.token).toBe(current)
    expect(issues()).toBe(2)
  })

  test('with a key that may only read says what is missing, and a rotation still comes through', async () => {
    const { main, branch } = await pair({ refresh: [] })
    const { token } = await branch.get('mirror')
    const { status, json } = await branch.ask('/v1/tokens/mirror/refresh', {
      method: 'POST',
      body: JSON.stringify({ stale: token }),
    })
    expect(status).toBe(503)
    expect(json).toMatchObject({ code: 'token_unavailable', upstream: { errcode: 'forbidden' } })
    expect(json.hint).toMatch(/it needs `refresh` for this source there/)
    expect(await branch.get('mirror')).toMatchObject({ token })
    const current = await rotate(main)
    await towns.pass(1_200)
    expect((await branch.get('mirror')).token).toBe(current)
  })

  test('without a token is a look at the other, not a new token for everybody', async () => {
    const { branch } = await pair()
    const { json } = await branch.ask('/v1/tokens/mirror/refresh', { method: 'POST', body: '{}' })
    expect(json).toMatchObject({ refreshed: false, reason: 'unchanged' })
    expect(issues()).toBe(1)
  })
})

describe('a node over there that is behind', () => {
  const told = (answer: TokenAnswer): Response => Response.json(answer)

  test('never takes the follower back', async () => {
    const { main, branch } = await pair()
    const old = await main.get('weixin')
    await rotate(main)
    await towns.pass(1_200)
    const current = await branch.get('mirror')
    towns.impostors.set('main.test', () => told(old))
    await towns.pass(5 * minute)
    await branch.ask('/v1/tokens/mirror/refresh', { method: 'POST', body: '{}' })
    expect(await branch.get('mirror')).toMatchObject({ token: current.token, version: current.version })
  })

  test('is told from one whose store has lost its history: that one is followed', async () => {
    const { main, branch } = await pair()
    await rotate(main)
    await towns.pass(1_200)
    const current = await main.get('weixin')
    const anew = { ...current, version: 1, token: 'anew', issued_at: current.issued_at + 60 }
    towns.impostors.set('main.test', () => told(anew))
    await towns.pass(30_000)
    expect(await branch.get('mirror')).toMatchObject({ token: 'anew', version: 3 })
  })
})

describe('the wrong key', () => {
  test('is a fault of the configuration, and is not tried often', async () => {
    await towns.open('main.test', { weixin: classic })
    const branch = await towns.open('branch.test', { mirror: { ...following('main.test'), key: 'not-the-key-at-all' } })
    await towns.pass(10 * minute)
    const { json } = await branch.ask('/v1/sources/mirror')
    expect(json.trouble).toMatchObject({ class: 'configuration', upstream: { errcode: 'unauthorized' } })
    expect(towns.letters.length).toBeLessThan(12)
    expect(JSON.stringify(json)).not.toContain('not-the-key')
  })

  test('that becomes wrong later is told while the token is still served', async () => {
    const { main, branch } = await pair()
    await towns.replace(main, { weixin: classic }, { keyHash: '0'.repeat(64) })
    await towns.pass(2 * minute)
    expect((await branch.ask('/v1/sources/mirror')).json.trouble).toMatchObject({ class: 'configuration' })
    expect((await branch.ask('/v1/tokens/mirror')).status).toBe(200)
  })
})

describe('circles', () => {
  const trouble = async (town: Town, name: string): Promise<SourceAnswer['trouble']> =>
    ((await town.ask(`/v1/sources/${name}`)).json as unknown as SourceAnswer).trouble

  test('a source that follows itself is refused at once', async () => {
    const self = await towns.open('self.test', { weixin: following('self.test') })
    await towns.pass(10_000)
    expect(await trouble(self, 'weixin')).toMatchObject({
      class: 'configuration',
      upstream: { errcode: 'loop_detected' },
    })
  })

  test('of two and of three are noticed, with and without a token in them', async () => {
    for (const hosts of [
      ['a.test', 'b.test'],
      ['c.test', 'd.test', 'e.test'],
    ]) {
      const circle: Town[] = []
      for (const [at, host] of hosts.entries()) {
        circle.push(await towns.open(host, { weixin: following(hosts[(at + 1) % hosts.length] ?? '') }))
      }
      await towns.pass(3 * minute)
      const troubles = await Promise.all(circle.map((town) => trouble(town, 'weixin')))
      expect(troubles.map((each) => each?.upstream?.errcode)).toContain('loop_detected')
      for (const each of troubles) expect(['configuration', 'transient']).toContain(each?.class)
    }
    const { main, branch } = await pair()
    await towns.replace(main, { weixin: following('branch.test', 'mirror') })
    await towns.pass(3 * minute)
    const errcodes = [await trouble(main, 'weixin'), await trouble(branch, 'mirror')].map(
      (each) => each?.upstream?.errcode,
    )
    expect(errcodes).toContain('loop_detected')
  })

  test('a chain, and two that follow different sources of each other, are none', async () => {
    const one = await towns.open('one.test', { weixin: classic, other: following('two.test', 'far') })
    const two = await towns.open('two.test', {
      mirror: following('one.test'),
      far: { ...classic, appid: 'wx1', mode: 'stable' },
    })
    const three = await towns.open('three.test', { mirror: following('two.test', 'mirror') })
    const home = await towns.open('home.test', {
      weixin: following('home.test', 'real'),
      real: { ...classic, mode: 'stable' },
    })
    await towns.pass(5 * minute)
    for (const [town, name] of [
      [one, 'other'],
      [two, 'mirror'],
      [three, 'mirror'],
      [home, 'weixin'],
    ] as const) {
      expect(await town.ask(`/v1/sources/${name}`)).toMatchObject({ json: { state: 'fresh', trouble: null } })
    }
    const token = await rotate(one)
    await towns.pass(2_500)
    expect((await three.get('mirror')).token).toBe(token)
  })

  test('a trail says nothing about names, and the quick path leaves it to the surfaces', async () => {
    const { branch } = await pair()
    const { via } = towns.letters.at(-1) ?? {}
    expect(via).toMatch(/^[0-9a-f]{12}$/)
    const headers = ['Host', 'branch.test', 'Authorization', `Bearer ${key}`]
    const peer = { address: '203.0.113.9', isLoopback: false }
    await branch.get('mirror')
    expect(branch.node.handler.glance('/v1/tokens/mirror', headers, peer)?.status).toBe(200)
    expect(branch.node.handler.glance('/v1/tokens/mirror', [...headers, 'Zhongkong-Via', via ?? ''], peer)).toBeNull()
  })
})
