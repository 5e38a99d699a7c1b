/**
 * SDKs that other people wrote, unmodified, against a running server: their tokens and tickets, and how long they keep
 * them when little is left of a token. Told what is left, some ask at every call; with the `expiry` of their client none does.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { easyWechat, easyWork, larkClient, wechatJssdk } from './caching-sdk-clients.ts'
import { coWechat, type JsConfig } from './sdk-clients.ts'
import { openStage, type Served, type Stage, type Upstream } from './stage.ts'

const ids = { wechat: 'wx00000000000cache', wecom: 'ww00000000000cache', feishu: 'cli_cache' }
/** The same three, whose tokens live for less than the margins of the SDKs. */
const short = { wechat: 'wx00000000000short', wecom: 'ww00000000000short', feishu: 'cli_short' }
const secret = 'the-real-secret-of-the-account'
const page = 'https://shop.example.com/pay?order=1'
const keys = { plain: 'key-of-a-client-without-expiry', lark: 'key-of-the-feishu-sdk', co: 'key-of-co-wechat-api' }
/** Seconds that the short tokens live at the platform. */
const shortTtl = { wechat: 9, feishu: 120 }

let stage: Stage
let upstream: Upstream
let node: Served

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

beforeAll(async () => {
  stage = await openStage()
  upstream = await stage.upstream({
    accounts: [
      { kind: 'wechat', id: ids.wechat, secret },
      { kind: 'wecom', id: ids.wecom, corpid: ids.wecom, secret },
      { kind: 'feishu', id: ids.feishu, secret },
      { kind: 'wechat', id: short.wechat, secret, knobs: { ttlSeconds: shortTtl.wechat } },
      { kind: 'feishu', id: short.feishu, secret, knobs: { ttlSeconds: shortTtl.feishu } },
    ],
  })
  const base_url = upstream.url
  const client = (key: string, more: object = {}): object => ({ key: `sha256:${sha256(key)}`, read: ['*'], ...more })
  const path = await stage.configure({
    store: 'memory:',
    sources: {
      weixin: { provider: 'wechat', appid: ids.wechat, secret, base_url },
      weixin_jsticket: { provider: 'wechat-ticket', of: 'weixin' },
      corp: { provider: 'wecom', corpid: ids.wecom, secret, base_url },
      corp_jsticket: { provider: 'wecom-ticket', of: 'corp' },
      feishu: { provider: 'feishu', app_id: ids.feishu, secret, base_url },
      feishu_jsticket: { provider: 'feishu-ticket', of: 'feishu' },
      short_weixin: { provider: 'wechat', appid: short.wechat, secret, base_url, mode: 'classic' },
      short_feishu: { provider: 'feishu', app_id: short.feishu, secret, base_url },
    },
    clients: {
      plain: client(keys.plain),
      lark: client(keys.lark, { expiry: 'larksuite' }),
      co: client(keys.co, { expiry: 'co-wechat-api' }),
    },
  })
  node = await stage.serve(path)
})

afterAll(async () => {
  await stage.close()
})

const signatureOf = (ticket: string | null, { nonceStr, timestamp }: JsConfig): string =>
  createHash('sha1')
    .update(`jsapi_ticket=${ticket}&noncestr=${nonceStr}&timestamp=${timestamp}&url=${page}`)
    .digest('hex')

describe.each([
  ['the real secret', secret],
  ['an API key in its place', keys.plain],
])('with %s', (_, proof) => {
  test.each([true, false])('node-easywechat gets its token and its ticket, and signs; stable: %s', async (isStable) => {
    const app = easyWechat(node.url, ids.wechat, proof, isStable)
    const token = await app.token()
    expect(token).toBe(upstream.simulator.latest(ids.wechat, 'stable'))
    const ticket = await app.ticket()
    expect(ticket).toBe(upstream.simulator.latest(ids.wechat, 'ticket:jsapi'))
    const config = await app.jsConfig(page)
    expect(config.signature).toBe(signatureOf(ticket, config))
    expect(app.kept.map(({ value }) => value)).toEqual([token, ticket])
    for (const { seconds } of app.kept) expect(seconds).toBeGreaterThan(7_000)
    for (const { seconds } of app.kept) expect(seconds).toBeLessThanOrEqual(7_200)
  })

  test('node-easywechat gets the token and the ticket of a WeCom app', async () => {
    const app = easyWork(node.url, ids.wecom, proof)
    expect(await app.token()).toBe(upstream.simulator.latest(ids.wecom))
    expect(await app.ticket()).toBe(upstream.simulator.latest(ids.wecom, 'ticket:jsapi'))
  })

  test('wechat-jssdk signs pages with the ticket', async () => {
    const sdk = wechatJssdk(node.url, ids.wechat, proof)
    const config = await sdk.getSignature(page)
    expect(config.appId).toBe(ids.wechat)
    expect(config.signature).toBe(signatureOf(upstream.simulator.latest(ids.wechat, 'ticket:jsapi'), config))
  })

  test('Feishu’s SDK gets its token and, by an ordinary call, its ticket', async () => {
    const sdk = larkClient(node.url, ids.feishu, proof)
    expect(await sdk.token()).toBe(upstream.simulator.latest(ids.feishu))
    expect(await sdk.ticket()).toBe(upstream.simulator.latest(ids.feishu, 'ticket:jsapi'))
  })
})

test('wechat-jssdk keeps a ticket for two hours, and has a new one when it is made to ask', async () => {
  const sdk = wechatJssdk(node.url, ids.wechat, secret)
  const one = await sdk.getSignature(page)
  expect(await sdk.getSignature(page)).toEqual(one)
  await sdk.getGlobalTokenAndTicket(true)
  const other = await sdk.getSignature(page, true)
  expect(other.nonceStr).not.toBe(one.nonceStr)
  expect(other.signature).toBe(signatureOf(upstream.simulator.latest(ids.wechat, 'ticket:jsapi'), other))
})

describe('with less left than the SDK takes off', () => {
  test('Feishu’s SDK, told what is left, keeps nothing and asks at every call', async () => {
    const sdk = larkClient(node.url, short.feishu, keys.plain)
    for (let call = 0; call < 3; call += 1) await sdk.token()
    expect(sdk.kept).toHaveLength(3)
    for (const { seconds } of sdk.kept) expect(seconds).toBeLessThan(0)
  })

  test('Feishu’s SDK with its expiry keeps the token, and no longer than it lives', async () => {
    const sdk = larkClient(node.url, short.feishu, keys.lark)
    for (let call = 0; call < 3; call += 1) await sdk.token()
    expect(sdk.kept).toHaveLength(1)
    expect(sdk.kept[0]!.seconds).toBeGreaterThan(20)
    expect(sdk.kept[0]!.seconds).toBeLessThanOrEqual(shortTtl.feishu)
  })

  test('co-wechat-api, told what is left, holds a token that it takes for dead', async () => {
    const { expireTime } = await coWechat(node.url, short.wechat, keys.plain).getAccessToken()
    expect(expireTime).toBeLessThanOrEqual(Date.now())
  })

  test('co-wechat-api with its expiry keeps the token, and no longer than it lives', async () => {
    const { expireTime } = await coWechat(node.url, short.wechat, keys.co).getAccessToken()
    expect(expireTime).toBeGreaterThan(Date.now())
    expect(expireTime).toBeLessThanOrEqual(Date.now() + shortTtl.wechat * 1_000)
  })
})
