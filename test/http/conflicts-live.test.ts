/** Suspicion and conflicts through HTTP: a whole node, the simulated platform, and somebody else with the same secret. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ZhongkongEvent } from '../../src/model/event.ts'
import { minute, second } from '../model/samples.ts'
import { Towns, type Town } from '../keeper/towns.ts'

const secret = 'canary-classic'
const sources = {
  weixin: { provider: 'wechat', appid: 'wx1', secret, mode: 'classic', base_url: 'http://up.test' },
  corp: { provider: 'wecom', corpid: 'ww1', secret: 'canary-corp', base_url: 'http://up.test/wecom' },
}

let towns: Towns
let town: Town
let events: ZhongkongEvent[]

beforeEach(async () => {
  towns = new Towns([
    { kind: 'wechat', id: 'wx1', secret },
    { kind: 'wecom', id: 'ww1', corpid: 'ww1', secret: 'canary-corp' },
  ])
  town = await towns.open('prod', sources)
  events = []
  town.node.bus.on((event) => events.push(event))
  await towns.pass(minute)
})

afterEach(async () => {
  await towns.close()
  expect(towns.faults).toEqual([])
})

/** Events of these types. */
function told(...types: readonly ZhongkongEvent['type'][]): object[] {
  return events.filter(({ type }) => types.includes(type))
}

const ordinaryCalls = (account: string): number => towns.simulator.counters(account).api.calls

/** An SDK in WeChat's own words: it fetches a token, as often as it likes. */
async function sdkToken(): Promise<unknown> {
  const { json } = await town.ask(`/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=${secret}`)
  return json.access_token
}

test('a living token that is reported costs the platform one ordinary call, and no issue', async () => {
  for (const name of ['weixin', 'corp']) {
    const { token } = await town.get(name)
    const answer = await town.refresh(name, token)
    expect(answer).toMatchObject({ refreshed: false, reason: 'alive', token })
  }
  expect([ordinaryCalls('wx1'), ordinaryCalls('ww1')]).toEqual([1, 1])
  expect([towns.simulator.counters('wx1').token.calls, towns.simulator.counters('ww1').token.calls]).toEqual([1, 1])
  expect(told('probed')).toMatchObject([{ said: 'alive' }, { said: 'alive' }])
})

test('somebody else who fetches with the same secret is noticed, named with what shows it, and told to be gone', async () => {
  const gone: string[] = []
  for (let round = 0; round < 3; round += 1) {
    const { token } = await town.get('weixin')
    towns.simulator.rotateByForeigner('wx1', 'classic')
    await towns.pass(6 * minute)
    expect(towns.simulator.accepts(token)).toBe(false)
    expect(await town.refresh('weixin', token)).toMatchObject({ refreshed: true })
    gone.push(token)
    await towns.pass(10 * minute)
  }
  expect(told('conflict', 'conflict-over')).toMatchObject([{ type: 'conflict', deaths: 2, sign: 'refused' }])
  const { json } = await town.ask('/v1/sources/weixin')
  expect(json).toMatchObject({ conflict: true, conflict_signs: { sign: 'refused', deaths: 3 } })
  expect(JSON.stringify(json.conflict_signs)).toContain('mode: stable')
  expect(await town.node.ownMetrics()).toContain('zhongkong_conflicts_total 1')
  await towns.pass(26 * 60 * minute)
  expect(told('conflict', 'conflict-over')).toMatchObject([{ type: 'conflict' }, { type: 'conflict-over', deaths: 3 }])
  expect((await town.ask('/v1/sources/weixin')).json).not.toHaveProperty('conflict_signs')
  const said = JSON.stringify(events)
  for (const hidden of [...gone, secret]) expect(said).not.toContain(hidden)
})

test('in stable mode, a token that the platform has replaced unasked shows that somebody forced another', async () => {
  await towns.replace(town, { weixin: { ...sources.weixin, mode: 'stable' } })
  for (let round = 0; round < 2; round += 1) {
    const { token } = await town.get('weixin')
    await towns.pass(10 * minute)
    towns.simulator.rotateByForeigner('wx1', 'stable')
    await towns.pass(6 * minute)
    expect(await town.refresh('weixin', token)).toMatchObject({ refreshed: true })
  }
  expect(told('conflict')).toMatchObject([{ deaths: 2, sign: 'replaced' }])
  expect(towns.simulator.counters('wx1').forced).toBe(0)
  expect(JSON.stringify((await town.ask('/v1/sources/weixin')).json)).toContain('force_refresh')
})

test('a client that reports living tokens all day is named, and costs probes that grow rare', async () => {
  const { token } = await town.get('weixin')
  for (let seconds = 0; seconds < 1_800; seconds += 5) {
    expect(await town.refresh('weixin', token)).toMatchObject({ refreshed: false })
    await towns.pass(5 * second)
  }
  expect(ordinaryCalls('wx1')).toBeLessThanOrEqual(3 + 30)
  expect(towns.simulator.counters('wx1').token.calls).toBe(1)
  const [liar, ...more] = told('false-reports')
  expect(liar).toMatchObject({ client: expect.any(String) as string, times: 3 })
  expect(more).toEqual([])
  expect(await town.node.ownMetrics()).toMatch(/zhongkong_false_reports_total\{client="[a-z]+"\} 1/)
})

test('an SDK that asks again and again because its token is dead has a living one within seconds', async () => {
  const dead = await sdkToken()
  towns.simulator.revoke({ token: String(dead) })
  await towns.pass(minute)
  let fresh = dead
  for (let tries = 0; tries < 10 && fresh === dead; tries += 1) {
    fresh = await sdkToken()
    await towns.pass(second)
  }
  expect(towns.simulator.accepts(String(fresh))).toBe(true)
  expect(towns.simulator.counters('wx1').token.issued).toBe(2)
})

test('SDKs that ask again for no reason cost a handful of probes in an hour, and no issue', async () => {
  for (let seconds = 0; seconds < 3_600; seconds += 5) {
    await sdkToken()
    await towns.pass(5 * second)
  }
  expect(ordinaryCalls('wx1')).toBeLessThanOrEqual(8)
  expect(towns.simulator.counters('wx1').token.calls).toBe(1)
})

test('a platform that answers in riddles is not believed: the report is taken as it was', async () => {
  const { token } = await town.get('weixin')
  towns.simulator.addFault({ account: 'wx1', kinds: ['api'], effect: { type: 'html' } })
  expect(await town.refresh('weixin', token)).toMatchObject({ refreshed: true })
  expect(told('probed')).toMatchObject([{ said: 'unclear' }])
  expect(told('conflict')).toEqual([])
})
