/**
 * SDKs that other people wrote, unmodified, with their base URL pointed at a running server: they get their tokens and
 * tickets as if it were the platform. Their other calls go through the gateway: gateway.test.ts.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './ask.ts'
import { coWechat, enterpriseWechat, oldWechat, type JsConfig, type SdkError } from './sdk-clients.ts'
import { eventually, openStage, type Served, type Stage, type Upstream } from './stage.ts'

const appid = 'wx00000000000000e2'
const secret = 'the-real-appsecret-of-the-account'
const corpid = 'ww00000000000000e2'
const corpsecret = 'the-real-secret-of-the-corp-app'
const key = 'an-api-key-of-forty-three-letters-and-digits'
const page = 'https://shop.example.com/pay?order=1'

let stage: Stage
let upstream: Upstream
let node: Served

beforeAll(async () => {
  stage = await openStage()
  upstream = await stage.upstream({
    accounts: [
      { kind: 'wechat', id: appid, secret },
      { kind: 'wecom', id: corpid, corpid, secret: corpsecret },
    ],
  })
  const base_url = upstream.url
  const path = await stage.configure({
    store: 'memory:',
    sources: {
      weixin: { provider: 'wechat', appid, secret, base_url, min_interval: 0 },
      weixin_jsticket: { provider: 'wechat-ticket', of: 'weixin', type: 'jsapi' },
      weixin_card: { provider: 'wechat-ticket', of: 'weixin', type: 'wx_card' },
      corp: { provider: 'wecom', corpid, secret: corpsecret, base_url },
      corp_jsticket: { provider: 'wecom-ticket', of: 'corp', type: 'jsapi' },
    },
    clients: { shop: { key: `sha256:${sha256(key)}`, read: ['*'], refresh: ['*'] } },
  })
  node = await stage.serve(path)
})

afterAll(async () => {
  await stage.close()
})

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The signature that a page's browser will check, from the platform's own ticket. */
function signatureOf(ticket: string | null, config: JsConfig): string {
  const text = `jsapi_ticket=${ticket}&noncestr=${config.nonceStr}&timestamp=${config.timestamp}&url=${page}`
  return createHash('sha1').update(text).digest('hex')
}

async function refusalOf(promise: Promise<unknown>): Promise<SdkError> {
  return await promise.then(
    () => expect.fail('the SDK was not refused'),
    (thrown: unknown) => thrown as SdkError,
  )
}

/** An ordinary call, to the platform itself. */
const businessCall = (token: string): string => `${upstream.url}/cgi-bin/user/get?access_token=${token}`

describe.each([
  { what: 'the real AppSecret', wechat: secret, wecom: corpsecret },
  { what: 'an API key in its place', wechat: key, wecom: key },
])('with $what', ({ wechat, wecom }) => {
  test('co-wechat-api gets a token that the platform accepts, and its life', async () => {
    const api = coWechat(node.url, appid, wechat)
    const token = await api.getAccessToken()
    expect(token.accessToken).toBe(upstream.simulator.latest(appid, 'stable'))
    expect(upstream.simulator.accepts(token.accessToken)).toBe(true)
    const left = (token.expireTime - Date.now()) / 1_000
    expect(left).toBeGreaterThan(7_000)
    expect(left).toBeLessThanOrEqual(7_200)
  })

  test('co-wechat-api signs pages and cards with the platform’s tickets', async () => {
    const api = coWechat(node.url, appid, wechat)
    const config = await api.getJsConfig({ url: page })
    expect(config.appId).toBe(appid)
    expect(config.signature).toBe(signatureOf(upstream.simulator.latest(appid, 'ticket:jsapi'), config))
    const card = await api.getCardExt({ card_id: 'card-1' })
    const sorted = [upstream.simulator.latest(appid, 'ticket:wx_card'), 'card-1', card.timestamp].sort().join('')
    expect(card.signature).toBe(createHash('sha1').update(sorted).digest('hex'))
  })

  test('wechat-api gets its token and tickets', async () => {
    const api = oldWechat(node.url, appid, wechat)
    expect(await api.token()).toBe(upstream.simulator.latest(appid, 'stable'))
    expect(await api.ticket()).toBe(upstream.simulator.latest(appid, 'ticket:jsapi'))
    const config = await api.jsConfig(page)
    expect(config.signature).toBe(signatureOf(upstream.simulator.latest(appid, 'ticket:jsapi'), config))
    const card = await api.cardExt('card-1')
    const sorted = [upstream.simulator.latest(appid, 'ticket:wx_card'), 'card-1', card.timestamp].sort().join('')
    expect(card.signature).toBe(createHash('sha1').update(sorted).digest('hex'))
  })

  test('wechat-enterprise-api gets its token and ticket', async () => {
    const api = enterpriseWechat(node.url, corpid, wecom)
    const token = await api.token()
    expect(token).toBe(upstream.simulator.latest(corpid))
    expect(upstream.simulator.accepts(token)).toBe(true)
    expect(await api.ticket()).toBe(upstream.simulator.latest(corpid, 'ticket:jsapi'))
    const config = await api.jsConfig(page)
    expect(config.appId).toBe(corpid)
    expect(config.signature).toBe(signatureOf(upstream.simulator.latest(corpid, 'ticket:jsapi'), config))
  })
})

describe('what the SDKs are told when they are wrong', () => {
  test('40125 for a wrong secret, which co-wechat-api and wechat-api throw', async () => {
    const errors = [
      await refusalOf(coWechat(node.url, appid, 'wrong').getAccessToken()),
      await refusalOf(oldWechat(node.url, appid, 'wrong').token()),
      await refusalOf(oldWechat(node.url, appid, 'wrong').ticket()),
    ]
    for (const error of errors) {
      expect(error).toMatchObject({ name: 'WeChatAPIError', code: 40125 })
      expect(error.message).toMatch(/^invalid appsecret/)
    }
  })

  test('40013 for an appid that is not configured, though the key is good', async () => {
    const error = await refusalOf(coWechat(node.url, 'wx0000000000000404', key).getAccessToken())
    expect(error.code).toBe(40013)
  })

  test('40001 for a wrong WeCom secret, 40013 for an unknown corp', async () => {
    expect((await refusalOf(enterpriseWechat(node.url, corpid, 'wrong').token())).code).toBe(40001)
    expect((await refusalOf(enterpriseWechat(node.url, 'ww0000000000000404', 'wrong').token())).code).toBe(40013)
  })

  test('the upstream’s own words when it refuses the account, so that they are found where people look', async () => {
    const other = 'wx000000000000e2ip'
    upstream.simulator.putAccount({ kind: 'wechat', id: other, secret, knobs: { allowList: ['203.0.113.1'] } })
    const path = await stage.configure(
      { store: 'memory:', sources: { other: { provider: 'wechat', appid: other, secret, base_url: upstream.url } } },
      'refused.yaml',
    )
    const refused = await stage.serve(path)
    const error = await refusalOf(coWechat(refused.url, other, secret).getAccessToken())
    expect(error.code).toBe(40164)
    expect(error.message).toMatch(/not in whitelist/)
    await refused.stop('SIGTERM')
  })
})

describe('a token that died at the platform', () => {
  test('the SDK’s own retries are a hint: there is a living token soon, for one issue, though nobody reports', async () => {
    const own = 'wx0000000000e2hint'
    upstream.simulator.putAccount({ kind: 'wechat', id: own, secret })
    const weixin = { provider: 'wechat', appid: own, secret, base_url: upstream.url, min_interval: 0 }
    const hinted = await stage.serve(await stage.configure({ store: 'memory:', sources: { weixin } }, 'hinted.yaml'))
    const api = coWechat(hinted.url, own, secret)
    const { accessToken: dead } = await api.getAccessToken()
    upstream.simulator.revoke({ token: dead })
    // It fetches anew each time it is told 40001, sooner than anybody does who has a token. So the platform is asked whether
    // that lives, while the SDK may or may not have given up.
    await api.request(businessCall(dead)).catch(() => undefined)
    await eventually('there is a living token', 5_000, async () => {
      const { accessToken } = await api.getAccessToken()
      return upstream.simulator.accepts(accessToken) ? true : null
    })
    expect(upstream.simulator.counters(own).stable_token.issued).toBe(2)
    await api.request(businessCall(dead))

    const told = await ask(`${hinted.url}/v1/tokens/weixin/refresh`, { body: { stale: dead } })
    expect(told).toMatchObject({ status: 200, json: { refreshed: false, reason: 'not_current' } })
    expect((await api.ensureAccessToken()).accessToken).toBe(told.json.token)
    await hinted.stop('SIGTERM')
  })

  test('an SDK whose saveToken hook reports the refused token heals within one call', async () => {
    let saved: Awaited<ReturnType<ReturnType<typeof coWechat>['getAccessToken']>> | null = null
    const api = coWechat(node.url, appid, key, {
      getToken: async () => saved,
      saveToken: async (token) => {
        // The SDK saves null when the platform has refused the token it holds.
        const stale = saved?.accessToken
        saved = token
        if (token === null && stale !== undefined) {
          await ask(`${node.url}/v1/tokens/weixin/refresh`, { key, body: { stale } })
        }
      },
    })
    const { accessToken: dead } = await api.getAccessToken()
    upstream.simulator.revoke({ token: dead })
    const before = upstream.simulator.counters(appid).stable_token
    await api.request(businessCall(dead))
    const { accessToken } = await api.ensureAccessToken()
    expect(accessToken).not.toBe(dead)
    expect(upstream.simulator.accepts(accessToken)).toBe(true)
    expect(upstream.simulator.counters(appid).stable_token.issued).toBe(before.issued + 1)
  })

  test('tickets are still given to an SDK that holds the token before the current one', async () => {
    const api = coWechat(node.url, appid, key)
    const { accessToken: old } = await api.getAccessToken()
    upstream.simulator.revoke({ token: old })
    const told = await ask(`${node.url}/v1/tokens/weixin/refresh`, { key, body: { stale: old } })
    expect(told.json.token).not.toBe(old)
    expect((await api.getTicket()).ticket).toBe(upstream.simulator.latest(appid, 'ticket:jsapi'))
    // Told 40001, it would have fetched another token behind our back.
    expect((await api.ensureAccessToken()).accessToken).toBe(old)
  })
})

test('two SDKs and our own readers, all at once on a cold start, cost one upstream issue', async () => {
  const cold = 'wx0000000000e2cold'
  upstream.simulator.putAccount({ kind: 'wechat', id: cold, secret, knobs: { delayMs: { stable_token: 200 } } })
  const path = await stage.configure(
    { store: 'memory:', sources: { cold: { provider: 'wechat', appid: cold, secret, base_url: upstream.url } } },
    'cold.yaml',
  )
  const fresh = await stage.serve(path)
  const tokens = await Promise.all([
    ...Array.from({ length: 10 }, async () => (await coWechat(fresh.url, cold, secret).getAccessToken()).accessToken),
    ...Array.from({ length: 10 }, () => oldWechat(fresh.url, cold, secret).token()),
    ...Array.from({ length: 10 }, async () => String((await ask(`${fresh.url}/v1/tokens/cold`)).json.token)),
  ])
  expect(new Set(tokens)).toEqual(new Set([upstream.simulator.latest(cold, 'stable')]))
  expect(upstream.simulator.counters(cold).stable_token).toMatchObject({ calls: 1, issued: 1 })
  await fresh.stop('SIGTERM')
})
