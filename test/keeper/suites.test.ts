/**
 * Third-party apps from an empty store: a whole node at the simulated platforms, which push real encrypted messages to its
 * callback addresses, under virtual time.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sealedDingtalk } from '../callbacks/platform.ts'
import { seededRandom } from '../simulator/stage.ts'
import { Towns, type Town } from './towns.ts'
import { createAuthorising } from '../../src/authorising.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { AccountSettings } from '../../src/simulator/simulator.ts'

const minute = 60_000
const key = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'
const callback = (name: string) => ({ url: `http://hub.test/callback/${name}`, token: 'canary-token', key })
const listens = { token: 'canary-token', encoding_aes_key: key }

const accounts: readonly AccountSettings[] = [
  { kind: 'wecom-suite', id: 'ww_suite', secret: 'canary-1', callback: callback('suite') },
  { kind: 'wecom-provider', id: 'ww_provider', secret: 'canary-4' },
  { kind: 'dingtalk-suite', id: 'suite_key', secret: 'canary-2', callback: callback('ding') },
  { kind: 'feishu-store', id: 'cli_store', secret: 'canary-3', callback: callback('store') },
]

const sources: Readonly<Record<string, JsonObject>> = {
  provider: {
    provider: 'wecom-provider',
    corpid: 'ww_provider',
    provider_secret: 'canary-4',
    base_url: 'http://up.test/wecom',
  },
  suite: {
    provider: 'wecom-suite',
    suite_id: 'ww_suite',
    suite_secret: 'canary-1',
    base_url: 'http://up.test/wecom',
    install_url: 'http://up.test/wecom/3rdapp/install',
    callback: listens,
  },
  ding: {
    provider: 'dingtalk-suite',
    suite_key: 'suite_key',
    suite_secret: 'canary-2',
    base_url: 'http://up.test/dingtalk',
    callback: listens,
  },
  store: {
    provider: 'feishu-store',
    app_id: 'cli_store',
    secret: 'canary-3',
    base_url: 'http://up.test/feishu',
    callback: { token: 'canary-token', encrypt_key: key },
  },
}

let towns: Towns
let hub: Town

beforeEach(async () => {
  towns = new Towns(accounts)
  hub = await towns.open('hub.test', sources)
})

afterEach(async () => {
  await towns.close()
  expect(towns.faults).toEqual([])
})

/** Lets time pass, and the platforms push what is due each half minute. */
async function pass(ms: number): Promise<void> {
  let lost = 0
  for (let passed = 0; passed < ms; passed += minute / 2) {
    lost += (await push()).lost
    await towns.pass(Math.min(minute / 2, ms - passed))
  }
  expect(lost).toBe(0)
}

async function push(): Promise<{ taken: number; lost: number }> {
  return await towns.until(towns.simulator.pushDue())
}

async function read(name: string): Promise<{ status: number; json: JsonObject }> {
  return await hub.ask(`/v1/tokens/${encodeURIComponent(name)}`)
}

async function tokenOf(name: string): Promise<string> {
  const { status, json } = await read(name)
  expect([name, status]).toEqual([name, 200])
  return json.token as string
}

async function stateOf(name: string): Promise<string | undefined> {
  return (await towns.until(hub.node.keeper.state(name)))?.state
}

const platforms = [
  { parent: 'suite', app: 'ww_suite', organisation: 'wwcorp1', ticket: 'wecom-ticket' },
  { parent: 'ding', app: 'suite_key', organisation: 'dingcorp1', ticket: 'dingtalk-ticket' },
  { parent: 'store', app: 'cli_store', organisation: 'tenant1', ticket: 'feishu-ticket' },
]

describe.each(platforms)('$parent', ({ parent, app, organisation, ticket }) => {
  const child = `${parent}/${organisation}`

  test('from an empty store: ticket, installation, token of the organisation, removal, and again', async () => {
    expect((await read(parent)).status).toBe(503)
    expect(await stateOf(parent)).toBe('needs-authorization')
    await pass(minute)
    expect(towns.simulator.accepts(await tokenOf(parent))).toBe(true)
    expect((await read(child)).status).toBe(404)

    towns.simulator.install(app, organisation)
    await pass(minute)
    expect(towns.simulator.accepts(await tokenOf(child))).toBe(true)

    towns.simulator.uninstall(app, organisation)
    await pass(minute)
    expect((await read(child)).status).toBe(503)
    expect(await stateOf(child)).toBe('needs-authorization')
    const calls = towns.simulator.counters(app).token.calls
    await pass(30 * minute)
    expect(towns.simulator.counters(app).token.calls - calls).toBeLessThanOrEqual(1)

    towns.simulator.install(app, organisation)
    await pass(minute)
    expect(towns.simulator.accepts(await tokenOf(child))).toBe(true)
    expect(await stateOf(child)).toBe('fresh')
  })

  test('through twelve hours every token that is served is taken, and tickets are those of the organisation', async () => {
    await pass(minute)
    towns.simulator.install(app, organisation)
    towns.simulator.install(app, 'another')
    await pass(minute)
    for (let hours = 0; hours < 12; hours += 1) {
      for (const name of [parent, child, `${parent}/another`, `${child}/jsapi`]) {
        expect(towns.simulator.accepts(await tokenOf(name)), `${name} after ${hours} h`).toBe(true)
      }
      await pass(60 * minute)
    }
    expect(towns.simulator.counters(app).token.refused).toBe(0)
    // Nobody has configured the ticket: it came into being when it was read.
    expect((await towns.until(hub.node.keeper.source(`${child}/jsapi`)))?.kind).toBe(ticket)
    expect((await read(`${child}/other`)).status).toBe(404)
    expect(await tokenOf(child)).not.toBe(await tokenOf(`${parent}/another`))
  }, 60_000)

  test('a push that does not arrive is told of, and is made up for when the address is back', async () => {
    await pass(minute)
    towns.away.add('hub.test')
    towns.simulator.makeTicket(app)
    towns.simulator.install(app, organisation)
    expect(await push()).toMatchObject({ taken: 0, lost: 2 })
    towns.away.delete('hub.test')
    towns.simulator.makeTicket(app)
    towns.simulator.install(app, organisation)
    expect((await push()).lost).toBe(0)
    await towns.pass(minute)
    expect(towns.simulator.accepts(await tokenOf(child))).toBe(true)
  })
})

describe('WeCom', () => {
  test('a permanent code that an administrator resets is replaced, and what was changed by hand stays', async () => {
    await pass(minute)
    towns.simulator.install('ww_suite', 'wwcorp1')
    await pass(minute)
    const definition = { provider: 'wecom-corp', of: 'suite', corpid: 'wwcorp1', timeout: 5 }
    await hub.ask('/v1/sources/suite%2Fwwcorp1', { method: 'PUT', body: JSON.stringify(definition) })
    towns.simulator.resetCode('ww_suite', 'wwcorp1')
    await pass(3 * 60 * minute)
    expect(towns.simulator.accepts(await tokenOf('suite/wwcorp1'))).toBe(true)
    expect(towns.simulator.counters('ww_suite').token.refused).toBe(0)
    expect((await towns.until(hub.node.keeper.source('suite/wwcorp1')))?.policy.timeoutMs).toBe(5_000)
  })

  test('a corp that removed the suite unheard is found out when its token is asked for', async () => {
    await pass(minute)
    towns.simulator.install('ww_suite', 'wwcorp1')
    await pass(minute)
    towns.away.add('hub.test')
    towns.simulator.uninstall('ww_suite', 'wwcorp1')
    await push()
    towns.away.delete('hub.test')
    await pass(3 * 60 * minute)
    expect(await stateOf('suite/wwcorp1')).toBe('needs-authorization')
    const { json } = await read('suite/wwcorp1')
    expect(json).toMatchObject({ upstream: { errcode: 48004 } })
  })

  test('a corp that installs while WeCom is busy is there when it is not, though WeCom sends no more', async () => {
    await pass(minute)
    const fetch = towns.simulator.fetch.bind(towns.simulator)
    let isBusy = true
    vi.spyOn(towns.simulator, 'fetch').mockImplementation((request, origin) =>
      isBusy && request.url.includes('/get_permanent_code')
        ? Promise.resolve(Response.json({ errcode: -1 }))
        : fetch(request, origin),
    )
    towns.simulator.install('ww_suite', 'wwcorp1')
    expect((await push()).lost).toBe(1)
    await towns.pass(minute)
    expect((await read('suite/wwcorp1')).status).toBe(404)
    isBusy = false
    await towns.pass(minute / 2)
    expect(towns.simulator.accepts(await tokenOf('suite/wwcorp1'))).toBe(true)
  })

  test('a corp that comes by the page is sent back with a code, which makes its source', async () => {
    await pass(minute)
    const { keeper } = hub.node
    const fetch = (request: Request): Promise<Response> => towns.simulator.fetch(request)
    const authorising = createAuthorising({ keeper, env: { clock: towns.clock, random: seededRandom(9), fetch } })
    const journey = { redirectUri: 'http://hub.test/back', state: 's', verifier: 'v', device: 'desktop' } as const
    const link = await towns.until(authorising.link('suite', journey))
    expect(link).toMatch(/^http:\/\/up\.test\/wecom\/3rdapp\/install\?suite_id=ww_suite&pre_auth_code=preauth_/)
    const page = await towns.simulator.fetch(new Request(`${link}&corp=wwcorp7`))
    const code = new URL(page.headers.get('location') ?? '').searchParams.get('auth_code') ?? ''
    expect(await towns.until(authorising.complete('suite', { code, journey }))).toBe('suite/wwcorp7')
    expect(towns.simulator.accepts(await tokenOf('suite/wwcorp7'))).toBe(true)
  })

  test('its own calls at the root answer an SDK that knows of no ticket and no code', async () => {
    await pass(minute)
    towns.simulator.install('ww_suite', 'wwcorp1')
    await pass(minute)
    const post = (path: string, body: JsonObject) => hub.ask(path, { method: 'POST', body: JSON.stringify(body) })
    const suite = await post('/cgi-bin/service/get_suite_token', { suite_id: 'ww_suite', suite_secret: 'canary-1' })
    expect(suite.json).toMatchObject({ errcode: 0, suite_access_token: await tokenOf('suite') })
    const query = `suite_access_token=${suite.json.suite_access_token as string}`
    const corp = await post(`/cgi-bin/service/get_corp_token?${query}`, { auth_corpid: 'wwcorp1', permanent_code: 'x' })
    expect(corp.json).toMatchObject({ access_token: await tokenOf('suite/wwcorp1') })
    expect(corp.json.errcode).toBeUndefined()
    const own = `access_token=${corp.json.access_token as string}`
    for (const path of ['/cgi-bin/get_jsapi_ticket?', '/cgi-bin/ticket/get?type=agent_config&']) {
      const { errcode, ticket } = (await hub.ask(path + own)).json
      expect([path, errcode, towns.simulator.accepts(ticket as string)]).toEqual([path, 0, true])
    }
    const body = { corpid: 'ww_provider', provider_secret: 'canary-4' }
    const provider = await post('/cgi-bin/service/get_provider_token', body)
    expect(provider.json).toMatchObject({ provider_access_token: await tokenOf('provider') })
  })
})

describe('DingTalk', () => {
  test('an app that subscribes by SyncHTTP has its ticket and its organisations, too', async () => {
    const ticket = towns.simulator.makeTicket('suite_key')
    const item = (corp_id: string, data: JsonObject): JsonObject => {
      return { corp_id, gmt_modified: towns.clock.now(), biz_data: JSON.stringify(data), status: 0 }
    }
    const send = async (...bizData: readonly JsonObject[]): Promise<void> => {
      const text = JSON.stringify({ EventType: 'SYNC_HTTP_PUSH_HIGH', bizData: [...bizData] })
      const sending = { token: 'canary-token', key, receiveId: 'suite_key', timestamp: String(towns.clock.now()) }
      const { search, body } = sealedDingtalk(text, sending)
      const told = await hub.ask(`/callback/ding${search}`, { method: 'POST', body: Buffer.from(body).toString() })
      expect(told.status).toBe(200)
    }
    towns.simulator.install('suite_key', 'dingcorp1')
    await send(
      item('dingprovider', { syncAction: 'suite_ticket', suiteTicket: ticket }),
      item('dingcorp1', { syncAction: 'org_suite_auth' }),
    )
    await towns.pass(minute)
    expect(towns.simulator.accepts(await tokenOf('ding/dingcorp1'))).toBe(true)
    await send(item('dingcorp1', { syncAction: 'org_suite_relieve' }))
    expect(await stateOf('ding/dingcorp1')).toBe('needs-authorization')
  })
})

describe('Feishu', () => {
  test('a ticket that is refused is asked for, pushed, and used', async () => {
    await pass(20 * minute)
    const before = await tokenOf('store')
    // A ticket is made that never arrives.
    towns.away.add('hub.test')
    towns.simulator.makeTicket('cli_store')
    await push()
    towns.away.delete('hub.test')
    const { api } = towns.simulator.counters('cli_store')
    await hub.ask('/v1/tokens/store/refresh', { method: 'POST', body: '{}' })
    expect(await tokenOf('store')).toBe(before)
    await pass(2 * minute)
    expect(towns.simulator.counters('cli_store').api.calls).toBe(api.calls + 1)
    expect(towns.simulator.accepts(await tokenOf('store'))).toBe(true)
    expect(await stateOf('store')).toBe('fresh')
  })
})
