/** `expiry` of clients, and of callers who are none, on every surface that tells a life. */
import { describe, expect, test } from 'vitest'
import { createAccess } from '../../src/access/access.ts'
import { Secret } from '../../src/base/secret.ts'
import type { ToldExpiry } from '../../src/model/told-expiry.ts'
import { client, openHouse, type Question, type Visitor } from './visitor.ts'

const minutes = (count: number): number => count * 60_000
const expiry: ToldExpiry = { marginMs: 1_500_000, floorMs: 60_000, capMs: Infinity }
const capped: ToldExpiry = { marginMs: 0, floorMs: 0, capMs: 300_000 }

type Call = {
  readonly what: string
  readonly path: string
  readonly question?: Question
  /** The seconds in its answer. */
  readonly told: (json: any) => number // eslint-disable-line @typescript-eslint/no-explicit-any
  /** Who asks is no client. */
  readonly isNobody?: true
}

const key = 'sdk-key'
const post = (body: object): Question => ({ method: 'POST', body: JSON.stringify(body) })
const expiresIn = (json: { expires_in: number }): number => json.expires_in
const expire = (json: { expire: number }): number => json.expire
const expireIn = (json: { expireIn: number }): number => json.expireIn

const byKey: readonly Call[] = [
  { what: 'v1', path: '/v1/tokens/weixin', question: { key }, told: expiresIn },
  {
    what: 'v1 refresh',
    path: '/v1/tokens/weixin/refresh',
    question: { key, ...post({ stale: 'not-the-current-one' }), headers: { 'content-type': 'application/json' } },
    told: expiresIn,
  },
  { what: 'TokenBoy', path: '/token?name=weixin', question: { key }, told: expiresIn },
  { what: 'WeChat', path: `/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=${key}`, told: expiresIn },
  {
    what: 'WeChat, stable',
    path: '/cgi-bin/stable_token',
    question: post({ grant_type: 'client_credential', appid: 'wx1', secret: key }),
    told: expiresIn,
  },
  { what: 'WeCom', path: `/cgi-bin/gettoken?corpid=ww1&corpsecret=${key}`, told: expiresIn },
  {
    what: 'WeCom suite',
    path: '/cgi-bin/service/get_suite_token',
    question: post({ suite_id: 'tj1', suite_secret: key }),
    told: expiresIn,
  },
  {
    what: 'WeCom provider',
    path: '/cgi-bin/service/get_provider_token',
    question: post({ corpid: 'wp1', provider_secret: key }),
    told: expiresIn,
  },
  {
    what: 'WeChat component',
    path: '/cgi-bin/component/api_component_token',
    question: post({ component_appid: 'wxc1', component_appsecret: key }),
    told: expiresIn,
  },
  { what: 'DingTalk, old', path: `/gettoken?appkey=dk1&appsecret=${key}`, told: expiresIn },
  {
    what: 'DingTalk',
    path: '/v1.0/oauth2/accessToken',
    question: post({ appKey: 'dk1', appSecret: key }),
    told: expireIn,
  },
  {
    what: 'Feishu',
    path: '/open-apis/auth/v3/tenant_access_token/internal',
    question: post({ app_id: 'cli_1', app_secret: key }),
    told: expire,
  },
]

const byNobody: readonly Call[] = [
  { what: 'TokenBoy', path: '/token?name=weixin', told: expiresIn },
  { what: 'wechat-token-server', path: '/wechat/token?type=weixin&secret=shared-secret', told: expiresIn },
  { what: 'WeChat', path: '/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=app-secret', told: expiresIn },
  {
    what: 'WeChat, ticket',
    path: '/cgi-bin/ticket/getticket?access_token=weixin-token-1&type=jsapi',
    told: expiresIn,
  },
  { what: 'WeCom, ticket', path: '/cgi-bin/get_jsapi_ticket?access_token=corp-token-1', told: expiresIn },
  {
    what: 'WeChat authorizer',
    path: '/cgi-bin/component/api_authorizer_token?component_access_token=component-token-1',
    question: post({ component_appid: 'wxc1', authorizer_appid: 'wxa1' }),
    told: expiresIn,
  },
  { what: 'DingTalk, old ticket', path: '/get_jsapi_ticket?access_token=ding-token-1', told: expiresIn },
  {
    what: 'DingTalk, ticket',
    path: '/v1.0/oauth2/jsapiTickets',
    question: { method: 'POST', headers: { 'x-acs-dingtalk-access-token': 'ding-token-1' } },
    told: expireIn,
  },
  {
    what: 'Feishu, ticket',
    path: '/open-apis/jssdk/ticket/get',
    question: { method: 'POST', headers: { authorization: 'Bearer feishu-token-1' } },
    told: (json: { data: { expire_in: number } }) => json.data.expire_in,
  },
].map((call) => ({ ...call, isNobody: true }) as const)

const sources = [
  { name: 'weixin', account: 'wx1' },
  { name: 'ticket', kind: 'wechat-ticket', needs: ['weixin'], definition: { of: 'weixin' } },
  { name: 'corp', kind: 'wecom', account: 'ww1' },
  { name: 'corp_ticket', kind: 'wecom-ticket', needs: ['corp'], definition: { of: 'corp' } },
  { name: 'suite', kind: 'wecom-suite', account: 'tj1' },
  { name: 'provider', kind: 'wecom-provider', account: 'wp1' },
  { name: 'component', kind: 'wechat-component', account: 'wxc1' },
  { name: 'component/wxa1', kind: 'wechat-authorizer', needs: ['component'] },
  { name: 'ding', kind: 'dingtalk', account: 'dk1' },
  { name: 'ding_ticket', kind: 'dingtalk-ticket', needs: ['ding'], definition: { of: 'ding' } },
  { name: 'feishu', kind: 'feishu', account: 'cli_1' },
  { name: 'feishu_ticket', kind: 'feishu-ticket', needs: ['feishu'], definition: { of: 'feishu' } },
]

/** Everybody's tokens live for `lifeMs`. */
function house(told: ToldExpiry | null, lifeMs: number): Visitor {
  const policy = told === null ? {} : { expiry: told }
  const visitor = openHouse({
    sources,
    clients: [client('sdk', key, { read: ['*'], refresh: ['*'], ...policy })],
    compat: { tokenboy: { allow: [] }, wechatTokenServer: { secret: new Secret('shared-secret') }, ...policy },
  })
  for (const { name } of sources) visitor.keeper.rotate(name, lifeMs)
  return visitor
}

async function secondsOf({ ask }: Visitor, { path, question, told }: Call): Promise<number> {
  const answer = await ask(path, question)
  const seconds = told(answer.json)
  expect(seconds, answer.text).toBeTypeOf('number')
  return seconds
}

describe.each([...byKey, ...byNobody])('$what ($path)', (call) => {
  test('tells a margin of 1500 s on top when less than that is left, and never in a long life', async () => {
    expect(await secondsOf(house(expiry, minutes(120)), call)).toBe(7_200)
    expect(await secondsOf(house(expiry, minutes(10)), call)).toBe(1_560)
    expect(await secondsOf(house(expiry, 5_000), call)).toBe(1_505)
  })

  test('tells no more than the cap', async () => {
    expect(await secondsOf(house(capped, minutes(120)), call)).toBe(300)
    expect(await secondsOf(house(capped, 5_000), call)).toBe(5)
  })

  test('tells what is left where nothing is configured', async () => {
    expect(await secondsOf(house(null, 5_000), call)).toBe(5)
  })
})

const libraries = [...byKey, ...byNobody].filter(({ what }) => !what.startsWith('v1') && what !== 'TokenBoy')

test.each(libraries)('$what never tells 0, which some caches take for ever', async (call) => {
  expect(await secondsOf(house(null, 400), call)).toBe(1)
})

test('expires_at of /v1 says what is left, whatever margin is told on top', async () => {
  const visitor = house(expiry, minutes(10))
  const { json } = await visitor.ask('/v1/tokens/weixin', { key })
  expect(json.expires_in).toBe(1_560)
  expect(json.expires_at).toBe(visitor.keeper.now / 1_000 + 599)
  const other = house(capped, minutes(10))
  expect((await other.ask('/v1/tokens/weixin', { key })).json.expires_at).toBe(other.keeper.now / 1_000 + 300)
})

test.each(['/v1/tokens/weixin', '/token?name=weixin'])('the quick path of %s tells the same bytes', async (path) => {
  const { handler, ask } = house(expiry, minutes(10))
  const headers = ['Host', 'localhost:8888', 'Authorization', `Bearer ${key}`]
  const quick = handler.glance(path, headers, { address: '127.0.0.1', isLoopback: true })
  expect(quick?.body).toBe((await ask(path, { key })).text)
  expect(quick?.body).toMatch(/"expires_in": ?1560/)
})

test('a reload puts another policy in place for the next answer', async () => {
  const visitor = house(null, minutes(10))
  const { handler, ask } = visitor
  expect((await ask('/wechat/token?type=weixin&secret=shared-secret')).json.expires_in).toBe(600)
  handler.replace({
    access: createAccess([]),
    compat: { tokenboy: null, wechatTokenServer: { secret: new Secret('shared-secret') }, expiry },
  })
  expect((await ask('/wechat/token?type=weixin&secret=shared-secret')).json.expires_in).toBe(1_560)
})
