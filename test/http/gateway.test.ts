/** The gateway over real sockets, against the simulated platforms: who may call, what is put in, and how a dead token heals. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, bodyOf, key, keyHash, openGatewayStage } from './gateway-stage.ts'

const stage = openGatewayStage()
afterEach(() => stage.close())

const appid = 'wx00000000000000aa'
const secret = 'the-secret-of-the-account'

async function weixin(more: object = {}, gateway: unknown = ['weixin'], mode = 'classic') {
  const { url: base_url, simulator } = await stage.simulator({ accounts: [{ kind: 'wechat', id: appid, secret }] })
  const serving = await stage.node({
    sources: { weixin: { provider: 'wechat', appid, secret, mode, base_url, min_interval: 0, ...more } },
    clients: { shop: { key: keyHash, read: ['*'], gateway } },
  } as never)
  const token = async (): Promise<string> => String((await ask(serving.url, '/v1/tokens/weixin', { key })).json.token)
  const issued = (): number => simulator.counters(appid).token.issued
  return { ...serving, simulator, token, issued }
}

describe('/proxy/NAME', () => {
  test('200: an ordinary call with an API key reaches the platform with the token put in, and shows none', async () => {
    const { url, token } = await weixin()
    const told = await ask(url, '/proxy/weixin/cgi-bin/user/get?next_openid=', { key })
    expect(told).toMatchObject({ status: 200, json: { total: 1, count: 1 } })
    expect(told.headers['zhongkong-replay']).toBeUndefined()
    expect(JSON.stringify(told.rawHeaders) + told.text).not.toContain(await token())
  })

  test('401 without a key, 404 for a source the key may not see, 403 for one it may only read', async () => {
    const { url } = await weixin({}, [])
    expect((await ask(url, '/proxy/weixin/cgi-bin/user/get')).status).toBe(401)
    expect((await ask(url, '/proxy/weixin/cgi-bin/user/get', { key: 'wrong' })).status).toBe(401)
    expect((await ask(url, '/proxy/weixin/cgi-bin/user/get', { key })).status).toBe(403)
    expect((await ask(url, '/proxy/other/cgi-bin/user/get', { key })).status).toBe(403)
  })

  test('403: the calls that fetch tokens are refused, however they are written', async () => {
    const { url, issued, token } = await weixin()
    await token()
    const before = issued()
    const query = `?grant_type=client_credential&appid=${appid}&secret=${secret}`
    for (const path of [
      '/cgi-bin/token',
      '/cgi-bin/%74oken',
      '/CGI-BIN/token',
      '/cgi-bin/token/',
      '/cgi-bin/token;a=b',
    ]) {
      const told = await ask(url, `/proxy/weixin${path}${query}`, { key })
      expect(told).toMatchObject({ status: 403, json: { code: 'call_denied' } })
    }
    expect(issued()).toBe(before)
  })

  test('403 by the rules of the client and of the source; 429 beyond their rates', async () => {
    const rules = { sources: ['weixin'], allow: ['GET /cgi-bin/*'], deny: ['/cgi-bin/menu/*'], per_second: 3 }
    const { url } = await weixin({ gateway: { deny: ['/cgi-bin/tags/*'] } }, rules)
    const statusOf = async (method: string, path: string): Promise<number> =>
      (await ask(url, `/proxy/weixin${path}`, { key, method })).status
    expect(await statusOf('GET', '/cgi-bin/user/get')).toBe(200)
    expect(await statusOf('POST', '/cgi-bin/user/get')).toBe(403)
    expect(await statusOf('GET', '/cgi-bin/menu/get')).toBe(403)
    expect(await statusOf('GET', '/cgi-bin/MENU%2Fget')).toBe(403)
    expect(await statusOf('GET', '/cgi-bin/tags/get')).toBe(403)
    expect(await statusOf('GET', '/wxa/get')).toBe(403)
    const statuses = await Promise.all(Array.from({ length: 6 }, () => statusOf('GET', '/cgi-bin/user/get')))
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(3)
  })

  test('501 where a source has no address for calls, or none are wanted', async () => {
    const { url } = await weixin({ gateway: false })
    expect(await ask(url, '/proxy/weixin/cgi-bin/user/get', { key })).toMatchObject({
      status: 501,
      json: { code: 'no_gateway' },
    })
  })
})

test('inside the process, as Request and Response, the same is said; a name may hold a slash', async () => {
  const { url: base_url, simulator } = await stage.simulator({ accounts: [{ kind: 'wechat', id: appid, secret }] })
  const { node } = await stage.node({
    sources: { 'oa/one': { provider: 'wechat', appid, secret, base_url, min_interval: 0 } },
    clients: { shop: { key: keyHash, read: ['*'], gateway: ['oa/*'] } },
  })
  const peer = { address: null, isLoopback: true }
  const call = async (path: string, init: RequestInit = {}) =>
    await node.handler(
      new Request(`http://localhost/proxy/oa%2Fone${path}`, { headers: { authorization: `Bearer ${key}` }, ...init }),
      peer,
    )
  expect(await (await call('/cgi-bin/user/get')).json()).toMatchObject({ total: 1 })
  simulator.revoke({ account: appid })
  const upload = await call('/cgi-bin/media/upload', { method: 'POST', body: Buffer.alloc(100_000) })
  expect(upload.headers.get('zhongkong-replay')).toBe('replayed')
  const { media_id: id } = (await upload.json()) as { media_id: string }
  expect(id).toMatch(/^100000\./)
  const media = await call(`/cgi-bin/media/get?media_id=${id}`)
  expect((await media.arrayBuffer()).byteLength).toBe(100_000)
  expect((await call('/cgi-bin/token')).status).toBe(403)
})

describe('at the root', () => {
  test('a token that we gave out is proof, in the query where the platform takes it there', async () => {
    const { url, token } = await weixin()
    const told = await ask(url, `/cgi-bin/user/get?a=%2F&access_token=${await token()}&b`)
    expect(told).toMatchObject({ status: 200, json: { total: 1 } })
  })

  test('a token that nobody here gave out is refused as WeChat does; without one there is nothing', async () => {
    const { url } = await weixin()
    const told = await ask(url, '/cgi-bin/user/get?access_token=70_nobody-here-gave-this-out')
    expect(told).toMatchObject({ status: 200, json: { errcode: 40001 } })
    expect((await ask(url, '/cgi-bin/user/get')).status).toBe(404)
    expect((await ask(url, '/cgi-bin/user/get', { key })).status).toBe(404)
    expect((await ask(url, '/v1/tokens/weixin?access_token=70_nobody-here-gave-this-out', { key })).status).toBe(400)
  })

  test('a token in another place than the platform’s is no proof', async () => {
    const { url, token } = await weixin()
    const held = await token()
    expect((await ask(url, '/cgi-bin/user/get', { key: held })).status).toBe(404)
    expect((await ask(url, `/cgi-bin/user/get?token=${held}`)).status).toBe(404)
  })

  test('a token that another node on the same store gave out is known here', async () => {
    const { url: base_url } = await stage.simulator({ accounts: [{ kind: 'wechat', id: appid, secret }] })
    const folder = await mkdtemp(join(tmpdir(), 'zk-gateway-'))
    const config = {
      store: `sqlite:${join(folder, 'tokens.db')}`,
      encryption_key: randomBytes(32).toString('hex'),
      sources: { weixin: { provider: 'wechat', appid, secret, base_url } },
      clients: { shop: { key: keyHash, read: ['*'] } },
    }
    const [one, other] = [await stage.node(config), await stage.node(config)]
    const held = String((await ask(one.url, '/v1/tokens/weixin', { key })).json.token)
    expect(await ask(other.url, `/cgi-bin/user/get?access_token=${held}`)).toMatchObject({ json: { total: 1 } })
    await Promise.all([one.stop(), other.stop()])
    await rm(folder, { recursive: true, force: true })
  })
})

describe('a token that died at the platform', () => {
  test('the call gets the right answer, and the platform one request for a token', async () => {
    const { url, token, simulator, issued } = await weixin()
    const dead = await token()
    const before = issued()
    simulator.revoke({ token: dead })
    const told = await ask(url, `/cgi-bin/user/get?access_token=${dead}`)
    expect(told).toMatchObject({ status: 200, json: { total: 1 } })
    expect(told.headers['zhongkong-replay']).toBe('replayed')
    expect(issued()).toBe(before + 1)
    // The program may go on with it as long as it likes.
    const again = await ask(url, `/cgi-bin/user/get?access_token=${dead}`)
    expect(again).toMatchObject({ status: 200, json: { total: 1 } })
    expect(again.headers['zhongkong-replay']).toBeUndefined()
    expect(issued()).toBe(before + 1)
  })

  test.each(['classic', 'stable'])(
    'three hundred programs at once, which also fetch and force (%s): one new token',
    async (mode) => {
      const { url, token, simulator } = await weixin({}, ['weixin'], mode)
      const dead = await token()
      const kind = mode === 'stable' ? 'stable_token' : 'token'
      const before = simulator.counters(appid)[kind].issued
      simulator.revoke({ token: dead })
      const own = { grant_type: 'client_credential', appid, secret }
      // What wechatpy does when it is told 40001, though here nobody is.
      const refetch = async (): Promise<unknown> =>
        mode === 'stable'
          ? await ask(url, '/cgi-bin/stable_token', {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
              body: JSON.stringify({ ...own, force_refresh: true }),
            })
          : await ask(url, `/cgi-bin/token?${new URLSearchParams(own).toString()}`)
      const one = async (): Promise<unknown> => {
        const told = await ask(url, `/cgi-bin/user/get?access_token=${dead}`)
        await refetch()
        return told.json.total
      }
      const answers = await Promise.all(Array.from({ length: 300 }, one))
      expect(new Set(answers)).toEqual(new Set([1]))
      expect(simulator.counters(appid)[kind].issued).toBe(before + 1)
      expect((await ask(url, '/v1/tokens/weixin', { key })).json.version).toBe(2)
    },
  )

  test('a POST is sent again with its body, as nothing was carried out', async () => {
    const { url, token, simulator } = await weixin()
    const dead = await token()
    simulator.revoke({ token: dead })
    const body = Buffer.alloc(200_000, 'media')
    const told = await ask(url, `/cgi-bin/media/upload?access_token=${dead}&type=image`, { method: 'POST', body })
    expect(told.headers['zhongkong-replay']).toBe('replayed')
    expect(told.json.media_id).toMatch(/^200000\./)
  })

  test('a body too large to be held is not sent again; the answer says so, and the next call is healed', async () => {
    const { url, token, simulator, issued } = await weixin()
    const dead = await token()
    const before = issued()
    simulator.revoke({ token: dead })
    const upload = { method: 'POST', body: Buffer.alloc(1_048_577) }
    const told = await ask(url, `/cgi-bin/media/upload?access_token=${dead}`, upload)
    expect(told).toMatchObject({ status: 200, json: { errcode: 40001 } })
    expect(told.headers['zhongkong-replay']).toBe('body-too-large')
    const again = await ask(url, `/cgi-bin/media/upload?access_token=${dead}`, upload)
    expect(again.json.media_id).toMatch(/^1048577\./)
    expect(issued()).toBe(before + 1)
  })

  test('a token that is refused again is not asked for a third time', async () => {
    let calls = 0
    const upstream = await stage.upstream((incoming, outgoing) => {
      if (incoming.url?.startsWith('/cgi-bin/token') === true) {
        outgoing.end(
          JSON.stringify({ access_token: `70_token-number-${String((calls += 1))}-and-more`, expires_in: 7200 }),
        )
        return
      }
      outgoing.setHeader('content-type', 'application/json')
      outgoing.end(JSON.stringify({ errcode: 40001, errmsg: 'invalid credential' }))
    })
    const { url } = await stage.node({
      sources: {
        weixin: { provider: 'wechat', appid, secret, mode: 'classic', base_url: upstream.url, min_interval: 0 },
      },
      clients: { shop: { key: keyHash, gateway: ['weixin'] } },
    })
    const told = await ask(url, '/proxy/weixin/cgi-bin/user/get', { key })
    expect(told).toMatchObject({ status: 200, json: { errcode: 40001 } })
    expect(told.headers['zhongkong-replay']).toBe('replayed')
    expect(upstream.seen.filter(({ url: path }) => path?.startsWith('/cgi-bin/user/get')).length).toBe(2)
    expect(calls).toBe(2)
  })

  test('while no other token can be had, the platform’s own refusal is the answer', async () => {
    const { url, token, simulator } = await weixin({ min_interval: 3_600 })
    const dead = await token()
    simulator.revoke({ token: dead })
    // Too young to be replaced on one program's word: `min_interval` counts for the gateway as for every report.
    const told = await ask(url, `/cgi-bin/user/get?access_token=${dead}`)
    expect(told.json.errcode).toBe(40001)
    expect(told.headers['zhongkong-replay']).toBe('same-token')
  })
})

describe('other platforms', () => {
  test('WeCom by a query parameter, and 60020 names the address to allow', async () => {
    const corpid = 'ww00000000000000aa'
    const { url: base_url, simulator } = await stage.simulator({
      accounts: [{ kind: 'wecom', id: corpid, corpid, secret }],
    })
    const { url } = await stage.node({
      sources: { corp: { provider: 'wecom', corpid, secret, base_url, min_interval: 0 } },
      clients: { shop: { key: keyHash, read: ['*'], gateway: ['corp'] } },
    })
    const held = String((await ask(url, '/v1/tokens/corp', { key })).json.token)
    expect((await ask(url, `/cgi-bin/user/get?access_token=${held}&userid=a`)).json.errcode).toBe(0)
    simulator.revoke({ token: held })
    const healed = await ask(url, `/cgi-bin/user/get?access_token=${held}&userid=a`)
    expect(healed).toMatchObject({ json: { errcode: 0 }, headers: { 'zhongkong-replay': 'replayed' } })
    simulator.setKnobs({ allowList: ['203.0.113.1'] }, corpid)
    const refused = await ask(url, `/cgi-bin/user/get?access_token=${held}&userid=a`)
    expect(refused).toMatchObject({ json: { errcode: 60020 }, headers: { 'zhongkong-allow-address': '127.0.0.1' } })
  })

  test('Feishu by Authorization, with its 400 and 99991663', async () => {
    const { url: base_url, simulator } = await stage.simulator({
      accounts: [{ kind: 'feishu', id: 'cli_a', secret }],
    })
    const { url } = await stage.node({
      sources: { lark: { provider: 'feishu', app_id: 'cli_a', secret, base_url, min_interval: 0 } },
      clients: { shop: { key: keyHash, read: ['*'], gateway: ['lark'] } },
    })
    const held = String((await ask(url, '/v1/tokens/lark', { key })).json.token)
    const headers = { authorization: `Bearer ${held}` }
    expect((await ask(url, '/open-apis/contact/v3/users', { headers })).json.code).toBe(0)
    expect((await ask(url, '/proxy/lark/open-apis/contact/v3/users', { key })).json.code).toBe(0)
    simulator.revoke({ token: held })
    const healed = await ask(url, '/open-apis/contact/v3/users', { headers })
    expect(healed).toMatchObject({ json: { code: 0 }, headers: { 'zhongkong-replay': 'replayed' } })
  })

  test.each(['new', 'old'])('DingTalk, the %s stack', async (stack) => {
    const { url: base, simulator } = await stage.simulator({ accounts: [{ kind: 'dingtalk', id: 'ding-a', secret }] })
    const { url } = await stage.node({
      sources: {
        ding: { provider: 'dingtalk', appkey: 'ding-a', secret, stack, base_url: `${base}/dingtalk`, min_interval: 0 },
      },
      clients: { shop: { key: keyHash, read: ['*'], gateway: ['ding'] } },
    })
    const held = String((await ask(url, '/v1/tokens/ding', { key })).json.token)
    const call = async () =>
      stack === 'new'
        ? await ask(url, '/v1.0/contact/users/me', { headers: { 'x-acs-dingtalk-access-token': held } })
        : await ask(url, `/topapi/v2/user/get?access_token=${held}`, { method: 'POST', body: '{}' })
    expect((await call()).status).toBe(200)
    simulator.revoke({ token: held })
    expect(await call()).toMatchObject({ status: 200, headers: { 'zhongkong-replay': 'replayed' } })
  })

  test.each([
    ['douyin', { client_key: 'id1', client_secret: secret }],
    ['baidu', { client_id: 'id1', client_secret: secret }],
    ['qq-bot', { app_id: '1021', client_secret: secret }],
    ['qq-mini', { appid: '1021', secret }],
    ['huawei-push', { client_id: '1021', client_secret: secret }],
    ['oppo-push', { app_key: 'id1', master_secret: secret }],
    ['tiktok', { client_key: 'id1', client_secret: secret }],
  ] as const)(
    '%s takes the token where it is put, and its own way to refuse one is understood',
    async (platform, keys) => {
      const id = Object.values(keys)[0] ?? ''
      const { url: simulated, simulator } = await stage.simulator({
        accounts: [{ kind: 'platform', platform, id, secret }],
      })
      const base_url = `${simulated}/platform/${platform}`
      const { url } = await stage.node({
        sources: { api: { provider: platform, ...keys, base_url, min_interval: 0, gateway: { base_url } } },
        clients: { shop: { key: keyHash, read: ['*'], gateway: ['api'] } },
      })
      expect(await ask(url, '/proxy/api/some/call', { key })).toMatchObject({ status: 200, json: { ok: true } })
      simulator.revoke({ account: id })
      const healed = await ask(url, '/proxy/api/some/call', { key })
      expect(healed).toMatchObject({ status: 200, json: { ok: true }, headers: { 'zhongkong-replay': 'replayed' } })
    },
  )

  test('OAuth 2.0 with an address of its own: 401 with invalid_token in a header alone', async () => {
    let issued = 0
    const upstream = await stage.upstream((incoming, outgoing) => {
      if (incoming.url === '/token') {
        outgoing.setHeader('content-type', 'application/json')
        const access_token = `opaque-token-number-${String((issued += 1))}`
        outgoing.end(JSON.stringify({ access_token, token_type: 'Bearer', expires_in: 3600 }))
        return
      }
      const isGood = incoming.headers.authorization === 'Bearer opaque-token-number-2'
      outgoing.writeHead(isGood ? 200 : 401, isGood ? {} : { 'www-authenticate': 'Bearer error="invalid_token"' })
      outgoing.end(isGood ? `${String(incoming.url)} ${String(incoming.headers.authorization)}` : '')
    })
    const { url } = await stage.node({
      sources: {
        api: {
          provider: 'oauth2',
          token_url: `${upstream.url}/token`,
          client_id: 'a',
          client_secret: 'b-c-d-e',
          min_interval: 0,
          gateway: { base_url: `${upstream.url}/base/` },
        },
      },
      clients: { shop: { key: keyHash, gateway: ['api'] } },
    })
    const told = await ask(url, '/proxy/api/things?a=1', { key })
    expect(told).toMatchObject({ status: 200, text: '/base/things?a=1 Bearer opaque-token-number-2' })
    expect(issued).toBe(2)
  })
})

test('the platform’s limits and the address it refuses are seen in metrics and headers; the body stays as it was', async () => {
  const said = { errcode: 40164, errmsg: 'invalid ip 198.51.100.7 ipv6 ::ffff:198.51.100.7, not in whitelist' }
  const upstream = await stage.upstream((incoming, outgoing) => {
    void bodyOf(incoming)
    outgoing.setHeader('content-type', 'text/plain')
    if (incoming.url?.startsWith('/cgi-bin/stable_token') === true) {
      outgoing.end(JSON.stringify({ access_token: '71_a-token-that-is-long-enough', expires_in: 7200 }))
    } else if (incoming.url?.startsWith('/cgi-bin/user') === true) outgoing.end(JSON.stringify(said))
    else outgoing.end('{"errcode":45009,"errmsg":"reach max api daily quota limit"}')
  })
  const { url } = await stage.node({
    sources: { weixin: { provider: 'wechat', appid, secret, base_url: upstream.url } },
    clients: { shop: { key: keyHash, gateway: ['weixin'], admin: true } },
  })
  const told = await ask(url, '/proxy/weixin/cgi-bin/user/get', { key })
  expect(told).toMatchObject({ json: said, headers: { 'zhongkong-allow-address': '198.51.100.7' } })
  expect((await ask(url, '/proxy/weixin/cgi-bin/menu/get', { key })).json.errcode).toBe(45009)
  const { text } = await ask(url, '/metrics', { key })
  expect(text).toContain('zhongkong_gateway_limits_total{source="weixin",code="45009"} 1')
  expect(text).toContain('zhongkong_gateway_calls_total{source="weixin",outcome="answered"} 2')
})
