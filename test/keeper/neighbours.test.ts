/** Sources of DingTalk and Feishu kept by the real keeper at the simulated platforms, through a day of virtual time. */
import { afterEach, describe, expect, test } from 'vitest'
import { createAccess } from '../../src/access/access.ts'
import type { Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { createBus } from '../../src/events/bus.ts'
import { createMetrics } from '../../src/events/metrics.ts'
import { createHandler } from '../../src/http/server.ts'
import type { Keeper } from '../../src/keeper/keeper.ts'
import { openKeeper } from '../../src/keeper/open-keeper.ts'
import type { Source } from '../../src/model/source.ts'
import { issue, parseSource } from '../../src/providers/catalogue.ts'
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { openStore } from '../../src/stores/open-store.ts'
import { loopback, noCompat } from '../http/visitor.ts'
import { seededRandom } from '../simulator/stage.ts'
import { VirtualClock } from './virtual-clock.ts'

const minute = 60_000
const place = 'http://up.test'
const definitions: Readonly<Record<string, JsonObject>> = {
  ding: { provider: 'dingtalk', appkey: 'ding1', secret: 's1', base_url: `${place}/dingtalk` },
  'ding-old': { provider: 'dingtalk', appkey: 'ding2', secret: 's2', stack: 'old', base_url: `${place}/dingtalk` },
  'ding-js': { provider: 'dingtalk-ticket', of: 'ding' },
  'ding-old-js': { provider: 'dingtalk-ticket', of: 'ding-old' },
  feishu: { provider: 'feishu', app_id: 'cli_1', secret: 's3', base_url: `${place}/feishu` },
  'feishu-app': { provider: 'feishu', app_id: 'cli_1', secret: 's3', type: 'app', base_url: `${place}/feishu` },
  'feishu-js': { provider: 'feishu-ticket', of: 'feishu' },
}
const names = Object.keys(definitions)

type Stage = {
  readonly clock: VirtualClock
  readonly simulator: Simulator
  readonly keeper: Keeper
  readonly token: (name: string) => Promise<string>
  readonly ask: (path: string, init?: RequestInit) => Promise<unknown>
}

const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop()
})

async function open(): Promise<Stage> {
  const clock = new VirtualClock()
  const random = seededRandom(1)
  const accounts = [
    { kind: 'dingtalk', id: 'ding1', secret: 's1' },
    { kind: 'dingtalk', id: 'ding2', secret: 's2' },
    { kind: 'feishu', id: 'cli_1', secret: 's3' },
  ] as const
  const simulator = createSimulator({ clock, random, accounts })
  const env: Env = { clock, random, fetch: (request, options) => simulator.fetch(request, options) }
  const store = await openStore({ url: 'memory:', encryptionKey: null, env })
  const sources = names.map((name): Source => {
    const parsed = parseSource(name, definitions[name] ?? {}, 'file', (other) => definitions[other])
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
    return parsed.source
  })
  const onFault = (thrown: unknown): void => {
    throw thrown
  }
  const options = { env, store, node: 'node-1', sources, parseSource, issue, emit: () => undefined, onFault }
  const keeper = await clock.until(openKeeper(options))
  running.push(async () => {
    await clock.until(keeper.stop())
    await store.close()
  })
  const metrics = createMetrics({ bus: createBus(() => undefined), version: '0' })
  const handler = createHandler({ keeper, access: createAccess([]), compat: noCompat, env, metrics, version: '0' })
  return {
    clock,
    simulator,
    keeper,
    token: async (name) => (await clock.until(keeper.get(name))).snapshot.token,
    ask: async (path, init) => {
      const response = await clock.until(handler(new Request(`http://localhost${path}`, init), loopback))
      return (await response.json()) as unknown
    },
  }
}

describe('through a day', () => {
  test('every token that is served is taken by its platform, and few are asked for', async () => {
    const { clock, simulator, token } = await open()
    for (let passed = 0; passed < 24 * 60; passed += 5) {
      for (const name of names) expect(simulator.accepts(await token(name)), `${name} after ${passed} min`).toBe(true)
      await clock.pass(5 * minute)
    }
    // Two hours of life, renewed after two thirds of it: one token for the whole day.
    for (const app of ['ding1', 'ding2']) {
      expect(simulator.counters(app).token).toMatchObject({ issued: 1, refused: 0 })
      expect(simulator.counters(app).token.calls).toBeLessThanOrEqual(22)
      expect(simulator.counters(app).ticket).toMatchObject({ refused: 0 })
      // Asked at the end only, when the new one may come at any moment.
      expect(simulator.counters(app).ticket.calls).toBeLessThanOrEqual(12 * 12)
    }
    // Two kinds of tokens, a new one every hour and a half. Asking for that of the app may renew that of the tenant.
    const { token: tokens } = simulator.counters('cli_1')
    expect(tokens.refused).toBe(0)
    expect(tokens.calls).toBeGreaterThanOrEqual(2 * 14)
    expect(tokens.calls).toBeLessThanOrEqual(2 * 18)
  }, 60_000)
})

describe('a token that the platform ended early', () => {
  test.each([
    ['ding-js', 'ding', 'ding1'],
    ['ding-old-js', 'ding-old', 'ding2'],
    ['feishu-js', 'feishu', 'cli_1'],
  ])('is replaced before %s is asked for again', async (ticket, parent, account) => {
    const { clock, simulator, token } = await open()
    const [before, old] = [await token(parent), await token(ticket)]
    await clock.pass(10 * minute)
    simulator.revoke({ account })
    await clock.pass(120 * minute)
    expect(await token(ticket)).not.toBe(old)
    expect(await token(parent)).not.toBe(before)
    for (const name of [ticket, parent]) expect(simulator.accepts(await token(name))).toBe(true)
  })
})

describe('a ban of DingTalk', () => {
  test('is waited out, while the living token is served', async () => {
    const { clock, simulator, token } = await open()
    const before = await token('ding')
    await clock.pass(60 * minute)
    simulator.clearCounters()
    simulator.addFault({ account: 'ding1', effect: { type: 'errcode', code: 1111 } })
    await clock.pass(50 * minute)
    expect(await token('ding')).toBe(before)
    // Asked from the eightieth minute on, once in five minutes.
    expect(simulator.counters('ding1').token.calls).toBeLessThanOrEqual(8)
    simulator.clearFaults()
    await clock.pass(10 * minute)
    expect(await token('ding')).toBe(before)
    expect(simulator.accepts(before)).toBe(true)
  })
})

describe('an SDK that talks to us in the platform’s place', () => {
  const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

  test('gets tokens and tickets of DingTalk by both stacks', async () => {
    const { ask, simulator } = await open()
    const latest = (channel: string): string | null => simulator.latest('ding1', channel)
    const old = await ask('/gettoken?appkey=ding1&appsecret=s1')
    const token = latest('token') ?? ''
    expect(old).toMatchObject({ errcode: 0, access_token: token })
    expect(await ask('/v1.0/oauth2/accessToken', post({ appKey: 'ding1', appSecret: 's1' }))).toMatchObject({
      accessToken: token,
    })
    expect(await ask(`/get_jsapi_ticket?access_token=${token}`)).toMatchObject({ ticket: latest('ticket:jsapi') })
    const header = { 'x-acs-dingtalk-access-token': token }
    expect(await ask('/v1.0/oauth2/jsapiTickets', post({}, header))).toMatchObject({
      jsapiTicket: latest('ticket:jsapi'),
    })
  })

  test('gets tokens and the ticket of Feishu', async () => {
    const { ask, simulator } = await open()
    const credentials = post({ app_id: 'cli_1', app_secret: 's3' })
    const tenant = await ask('/open-apis/auth/v3/tenant_access_token/internal', credentials)
    const token = simulator.latest('cli_1', 'tenant') ?? ''
    expect(tenant).toMatchObject({ code: 0, tenant_access_token: token })
    expect(await ask('/open-apis/auth/v3/app_access_token/internal', credentials)).toMatchObject({
      app_access_token: simulator.latest('cli_1', 'app'),
      tenant_access_token: token,
    })
    const told = await ask('/open-apis/jssdk/ticket/get', post({}, { authorization: `Bearer ${token}` }))
    expect(told).toMatchObject({ code: 0, data: { ticket: simulator.latest('cli_1', 'ticket:jsapi') } })
  })
})
