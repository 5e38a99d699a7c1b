import { describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import { Secret } from '../../src/base/secret.ts'
import { client, openHouse, remote, type House } from './visitor.ts'

const at = (address: string) => ({ address, isLoopback: false })

describe('TokenBoy', () => {
  const fields = (token: string) => ({ errcode: 0, errmsg: '好', expires_in: 7200, ticket: token })
  const house = (more: House = {}) =>
    openHouse({
      sources: [{ name: 'weixin' }, { name: 'weixin_jsticket', fields }],
      compat: { tokenboy: { allow: [] }, wechatTokenServer: null },
      ...more,
    })

  test('200 with the upstream’s whole object, in the original’s bytes, and the seconds that are left', async () => {
    const { ask, keeper, advance } = house()
    keeper.rotate('weixin')
    keeper.rotate('weixin_jsticket')
    expect((await ask('/token?name=weixin')).text).toBe('{"access_token": "weixin-token-1", "expires_in": 7200}')
    advance(223_000)
    const told = await ask('/token?name=weixin_jsticket')
    expect(told.text).toBe(
      '{"errcode": 0, "errmsg": "\\u597d", "expires_in": 6977, "ticket": "weixin_jsticket-token-1"}',
    )
    expect(told.headers.get('content-type')).toBe('text/html; charset=UTF-8')
    expect(told.headers.get('etag')).toMatch(/^".+"$/)
    expect(told.headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  test('200 with expires_in at the end when the upstream told none', async () => {
    const { ask } = house({ sources: [{ name: 'a', fields: () => ({ t: '<script>', n: [1, { x: null }] }) }] })
    expect((await ask('/token?name=a')).text).toBe('{"t": "\\u003cscript>", "n": [1, {"x": null}], "expires_in": 7200}')
  })

  test.each(['/token', '/token?name=', '/token?name=nothing', '/token?name=WEIXIN'])(
    '200 {"error": "not found"} for %s',
    async (path) => {
      const told = await house().ask(path)
      expect([told.status, told.text]).toEqual([200, '{"error": "not found"}'])
    },
  )

  test.each(['/token?name=%20weixin%20', '/token?name=a&name=weixin', '/token?name=weixin&x=1'])(
    '200 for %s, as in the original',
    async (path) => {
      expect((await house().ask(path)).json.access_token).toBe('weixin-token-1')
    },
  )

  test('200 {"error": "not found"} while there is no token, never an upstream error in its place', async () => {
    const { ask, keeper } = house()
    keeper.failure = new ZhongkongError('token_unavailable', 'refused', { upstream: { errcode: 40013, errmsg: 'x' } })
    expect((await ask('/token?name=weixin')).text).toBe('{"error": "not found"}')
  })

  test('304 while nothing changed, not even the seconds', async () => {
    const { ask, advance } = house()
    const headers = { 'if-none-match': (await ask('/token?name=weixin')).headers.get('etag')! }
    expect((await ask('/token?name=weixin', { headers })).status).toBe(304)
    advance(1_000)
    expect((await ask('/token?name=weixin', { headers })).status).toBe(200)
  })

  test('405 for POST, 404 for /token/ and for all of it when it is not spoken', async () => {
    expect((await house().ask('/token?name=weixin', { method: 'POST' })).status).toBe(405)
    expect((await house().ask('/token/')).status).toBe(404)
    const off = house({ compat: { tokenboy: null, wechatTokenServer: null } })
    expect((await off.ask('/token?name=weixin')).status).toBe(404)
  })

  test('401 from elsewhere, unless its network is allowed or it has a key', async () => {
    const clients = [client('shop', 'shop-key', { read: ['weixin'] })]
    const { ask } = house({
      clients,
      compat: { tokenboy: { allow: ['10.1.0.0/16', '2001:db8::/32'] }, wechatTokenServer: null },
    })
    const path = '/token?name=weixin'
    expect((await ask(path, { peer: remote })).status).toBe(401)
    expect((await ask(path, { peer: at('10.2.0.1') })).status).toBe(401)
    expect((await ask(path, { peer: at('10.2.0.1'), headers: { 'x-forwarded-for': '10.1.0.1' } })).status).toBe(401)
    expect((await ask(path, { peer: at('10.1.255.1') })).json.access_token).toBe('weixin-token-1')
    expect((await ask(path, { peer: at('2001:db8::7') })).json.access_token).toBe('weixin-token-1')
    expect((await ask(path, { peer: remote, key: 'wrong' })).status).toBe(401)
    expect((await ask(path, { peer: remote, key: 'shop-key' })).json.access_token).toBe('weixin-token-1')
    const other = await ask('/token?name=weixin_jsticket', { peer: remote, key: 'shop-key' })
    expect(other.text).toBe('{"error": "not found"}')
  })

  test('open on loopback with clients configured too, but not through a proxy or a page of another site', async () => {
    const { ask } = house({ clients: [client('shop', 'shop-key')] })
    const path = '/token?name=weixin'
    expect((await ask(path)).status).toBe(200)
    expect((await ask(path, { headers: { 'x-forwarded-for': '203.0.113.9' } })).status).toBe(403)
    expect((await ask(path, { headers: { host: 'evil.example' } })).status).toBe(403)
  })
})

describe('wechat-token-server', () => {
  const house = () =>
    openHouse({
      sources: [{ name: 'access_token' }, { name: 'ticket' }],
      compat: { tokenboy: null, wechatTokenServer: { secret: new Secret('s3cret') } },
      clients: [client('shop', 'shop-key')],
    })

  test('200 with the type as key, and the seconds that are left', async () => {
    const { ask, keeper, advance } = house()
    keeper.rotate('access_token')
    advance(223_900)
    const told = await ask('/wechat/token?type=access_token&secret=s3cret', { peer: remote })
    expect(told.text).toBe('{"access_token": "access_token-token-1", "expires_in": 6976}')
    expect(told.headers.get('content-type')).toBe('text/html; charset=UTF-8')
  })

  test.each([
    ['type=access_token', '{"error": "invalid request"}', '{}'],
    ['type=access_token&secret=', '{"error": "invalid request"}', '{}'],
    ['type=access_token&secret=S3CRET', '{"error": "invalid request"}', '{}'],
    ['type=access_token&secret=UnKnown', '{"error": "invalid request"}', '{}'],
    ['secret=s3cret', '{"error": "invalid request"}', '{}'],
    ['type=foo&secret=s3cret', '{"error": "not found"}', '{"error": "not found"}'],
    ['type=__proto__&secret=s3cret', '{"error": "not found"}', '{"error": "not found"}'],
  ])('200 for ?%s: %s, and %s from forcerefresh', async (query, read, force) => {
    const { ask } = house()
    const told = await ask(`/wechat/token?${query}`)
    expect([told.status, told.text]).toEqual([200, read])
    const forced = await ask(`/wechat/token/forcerefresh?${query}`)
    expect([forced.status, forced.text]).toEqual([200, force])
  })

  test('200 with a new token from forcerefresh', async () => {
    const { ask, keeper } = house()
    keeper.rotate('access_token')
    const told = await ask('/wechat/token/forcerefresh?type=access_token&secret=s3cret')
    expect(told.text).toBe('{"access_token": "access_token-token-2", "expires_in": 7200}')
  })

  test('200 with the token that lives when the quota is kept, {"errmsg": …} when there is none', async () => {
    const { ask, keeper } = house()
    keeper.rotate('access_token')
    keeper.refreshFailure = new ZhongkongError('budget_spent', 'too soon')
    const path = '/wechat/token/forcerefresh?type=access_token&secret=s3cret'
    expect((await ask(path)).json.access_token).toBe('access_token-token-1')
    keeper.refreshFailure = new ZhongkongError('token_unavailable', 'refused: secret=abcdef')
    expect((await ask(path)).text).toBe('{"errmsg": "refused: secret=[secret]"}')
  })

  test('its secret cannot be guessed at speed: after thirty wrong ones an address gets nothing for a while', async () => {
    const { ask, advance } = house()
    const right = '/wechat/token?type=access_token&secret=s3cret'
    for (let guess = 0; guess < 30; guess += 1) {
      expect((await ask(right, { peer: remote })).status).toBe(200)
      await ask(`/wechat/token?type=access_token&secret=${guess}`, { peer: remote })
    }
    expect((await ask(right, { peer: remote })).text).toBe('{"error": "invalid request"}')
    expect((await ask(right, { peer: at('198.51.100.1') })).json.access_token).toBeDefined()
    advance(4_000)
    expect((await ask(right, { peer: remote })).json.access_token).toBeDefined()
  })
})

const wechatHouse = (more: House = {}) =>
  openHouse({
    sources: [
      { name: 'classic', account: 'wx1', secret: 'app-secret-1', reissue: 'retires-previous' },
      { name: 'stable', account: 'wx1', secret: 'app-secret-1' },
      { name: 'other', account: 'wx2', secret: 'app-secret-2' },
      { name: 'js', kind: 'wechat-ticket', needs: ['stable'], definition: { of: 'stable' } },
      { name: 'card', kind: 'wechat-ticket', needs: ['stable'], definition: { of: 'stable', type: 'wx_card' } },
      { name: 'corp', kind: 'wecom', account: 'ww1', secret: 'corp-secret-1' },
      { name: 'corp-hr', kind: 'wecom', account: 'ww1', secret: 'corp-secret-2' },
      { name: 'corp-js', kind: 'wecom-ticket', needs: ['corp'], definition: { of: 'corp', type: 'jsapi' } },
      { name: 'corp-agent', kind: 'wecom-ticket', needs: ['corp'], definition: { of: 'corp', type: 'agent_config' } },
    ],
    clients: [
      client('reader', 'reader-key', { read: ['stable', 'corp'] }),
      client('refresher', 'refresher-key', { read: ['stable'], refresh: ['stable'] }),
      client('all', 'all-key', { read: ['*'] }),
      client('none', 'none-key'),
    ],
    ...more,
  })

const rid = ' rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$'

describe('WeChat’s own wire format', () => {
  const grant = 'grant_type=client_credential'

  test('200 with the two fields of the real thing, for the AppSecret and for an API key that may read', async () => {
    const { ask } = wechatHouse()
    const told = await ask(`/cgi-bin/token?${grant}&appid=wx1&secret=app-secret-1`, { peer: remote })
    expect(told.text).toBe('{"access_token":"classic-token-1","expires_in":7200}')
    expect(told.headers.get('content-type')).toBe('application/json')
    const keyed = await ask(`/cgi-bin/token?${grant}&appid=wx1&secret=reader-key`, { peer: remote })
    expect(keyed.json.access_token).toBe('stable-token-1')
  })

  test.each([
    ['', 41002, 'appid missing'],
    [`${grant}&secret=app-secret-1`, 41002, 'appid missing'],
    [`${grant}&appid=wx9&secret=app-secret-1`, 40013, 'invalid appid'],
    ['appid=wx9', 40013, 'invalid appid'],
    ['appid=ww1&secret=corp-secret-1', 40013, 'invalid appid'],
    [`${grant}&appid=wx1`, 41004, 'appsecret missing'],
    [`${grant}&appid=wx1&secret=app-secret-2`, 40125, 'invalid appsecret'],
    [`${grant}&appid=wx1&secret=none-key`, 40125, 'invalid appsecret'],
    [`${grant}&appid=wx2&secret=reader-key`, 40125, 'invalid appsecret'],
    ['appid=wx1&secret=app-secret-1', 40002, 'invalid grant_type'],
    ['grant_type=x&appid=wx1&secret=app-secret-1', 40002, 'invalid grant_type'],
  ])('?%s is refused with %i %s, HTTP 200, as at WeChat', async (query, errcode, errmsg) => {
    const { ask } = wechatHouse()
    const told = await ask(`/cgi-bin/token?${query}`)
    expect([told.status, told.json.errcode]).toEqual([200, errcode])
    expect(told.json.errmsg).toMatch(new RegExp(`^${errmsg}${rid}`))
  })

  const stable = (body: unknown, more: object = {}) =>
    [
      '/cgi-bin/stable_token',
      { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...more },
    ] as const
  const question = { grant_type: 'client_credential', appid: 'wx1', secret: 'app-secret-1' }

  test('200 from stable_token, whatever content type an SDK sends', async () => {
    const { ask } = wechatHouse()
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
      const told = await ask(...stable(question, { headers: { 'content-type': type } }))
      expect(told.text).toBe('{"access_token":"stable-token-1","expires_in":7200}')
    }
  })

  test('force_refresh refreshes for the AppSecret and for a key that may, within the limits', async () => {
    const { ask, keeper, advance } = wechatHouse()
    keeper.rotate('stable')
    const force = { ...question, force_refresh: true }
    // As at WeChat: not twice within thirty seconds.
    expect((await ask(...stable(force))).json.access_token).toBe('stable-token-1')
    advance(30_000)
    expect((await ask(...stable(force))).json.access_token).toBe('stable-token-2')
    advance(30_000)
    expect((await ask(...stable({ ...force, secret: 'refresher-key' }))).json.access_token).toBe('stable-token-3')
    expect((await ask(...stable({ ...force, secret: 'reader-key' }))).json.errcode).toBe(48001)
    expect((await ask(...stable({ ...force, force_refresh: 'true' }))).json.access_token).toBe('stable-token-3')
    advance(30_000)
    keeper.refreshFailure = new ZhongkongError('budget_spent', 'too soon')
    expect((await ask(...stable(force))).json.access_token).toBe('stable-token-3')
    expect(keeper.refreshes).toBe(2)
  })

  test('43002 for stable_token by GET, 47001 for a body that is no JSON object, 41002 for an empty one', async () => {
    const { ask } = wechatHouse()
    expect((await ask('/cgi-bin/stable_token')).json).toMatchObject({ errcode: 43002 })
    for (const body of ['', 'appid=wx1', '[]', '{"__proto__":{"appid":"wx1"}}']) {
      expect((await ask(...stable(body))).json.errcode).toBe(47001)
    }
    expect((await ask(...stable({ appid: 7 }))).json.errcode).toBe(41002)
  })

  test('200 with the ticket for the token of its account, current or lately replaced', async () => {
    const { ask, keeper } = wechatHouse()
    const old = keeper.rotate('stable').token
    const now = keeper.rotate('stable').token
    for (const token of [old, now]) {
      const told = await ask(`/cgi-bin/ticket/getticket?access_token=${token}&type=jsapi`)
      expect(told.text).toBe('{"errcode":0,"errmsg":"ok","ticket":"js-token-1","expires_in":7200}')
    }
    expect((await ask(`/cgi-bin/ticket/getticket?access_token=${now}&type=wx_card`)).json.ticket).toBe('card-token-1')
  })

  test('refuses tickets for what is no token, no type, or no ticket source of that token’s source', async () => {
    const { ask, keeper } = wechatHouse()
    const code = async (query: string) => Number((await ask(`/cgi-bin/ticket/getticket?${query}`)).json.errcode)
    const mine = keeper.rotate('stable').token
    expect(await code('type=jsapi')).toBe(41001)
    expect(await code('access_token=unknown&type=jsapi')).toBe(40001)
    expect(await code(`access_token=${mine}`)).toBe(40097)
    expect(await code(`access_token=${keeper.rotate('other').token}&type=jsapi`)).toBe(48001)
    expect(await code(`access_token=${keeper.rotate('corp').token}&type=jsapi`)).toBe(40001)
    expect(await code(`access_token=${keeper.rotate('js').token}&type=jsapi`)).toBe(40001)
  })

  test('tells the upstream’s own refusal, but never causes an SDK to fetch another token because a ticket fails', async () => {
    const { ask, keeper } = wechatHouse()
    const path = `/cgi-bin/token?${grant}&appid=wx1&secret=app-secret-1`
    const token = keeper.rotate('stable').token
    const refused = (errcode: number | string, errmsg: string) =>
      new ZhongkongError('token_unavailable', 'refused', { upstream: { errcode, errmsg } })
    keeper.failure = refused(40164, 'invalid ip 1.2.3.4, not in whitelist rid: 11111111-22222222-33333333')
    expect((await ask(path)).json).toEqual({
      errcode: 40164,
      errmsg: 'invalid ip 1.2.3.4, not in whitelist rid: 11111111-22222222-33333333',
    })
    keeper.failure = refused('invalid_client', 'x')
    expect((await ask(path)).json.errcode).toBe(-1)
    keeper.failure = new ZhongkongError('token_unavailable', 'no answer')
    expect((await ask(path)).json.errmsg).toMatch(new RegExp(`^system error${rid}`))
    keeper.failure = refused(40001, 'invalid credential')
    expect((await ask(`/cgi-bin/ticket/getticket?access_token=${token}&type=jsapi`)).json.errcode).toBe(-1)
  })
})

describe('WeCom’s own wire format', () => {
  test('200 with the token of the app whose secret was sent', async () => {
    const { ask } = wechatHouse()
    const one = await ask('/cgi-bin/gettoken?corpid=ww1&corpsecret=corp-secret-1', { peer: remote })
    expect(one.text).toBe('{"errcode":0,"errmsg":"ok","access_token":"corp-token-1","expires_in":7200}')
    const two = await ask('/cgi-bin/gettoken?corpid=ww1&corpsecret=corp-secret-2', { peer: remote })
    expect(two.json.access_token).toBe('corp-hr-token-1')
    const keyed = await ask('/cgi-bin/gettoken?corpid=ww1&corpsecret=reader-key', { peer: remote })
    expect(keyed.json.access_token).toBe('corp-token-1')
  })

  test.each([
    ['', 41004, 'corpsecret missing'],
    ['corpid=test', 40013, 'invalid corpid'],
    ['corpid=ww1', 41004, 'corpsecret missing'],
    ['corpsecret=x', 41002, 'corpid missing'],
    ['corpid=wx1&corpsecret=app-secret-1', 40013, 'invalid corpid'],
    ['corpid=ww1&corpsecret=wrong', 40001, 'invalid credential'],
    ['corpid=ww1&corpsecret=none-key', 40001, 'invalid credential'],
    ['corpid=ww1&corpsecret=all-key', 40001, 'invalid credential, this key may read several apps.*'],
  ])('?%s is refused with %i %s in WeCom’s layout', async (query, errcode, errmsg) => {
    const told = await wechatHouse().ask(`/cgi-bin/gettoken?${query}`, { peer: remote })
    expect([told.status, told.json.errcode]).toEqual([200, errcode])
    expect(told.json.errmsg).toMatch(
      new RegExp(
        `^${errmsg}, hint: \\[1800000000_1_[0-9a-f]{32}\\], from ip: 203\\.0\\.113\\.9, more info at https://open\\.work\\.weixin\\.qq\\.com/devtool/query\\?e=${errcode}$`,
      ),
    )
    expect(told.headers.get('error-code')).toBe(String(errcode))
  })

  test('200 with the corp’s and the app’s ticket', async () => {
    const { ask, keeper } = wechatHouse()
    const { token } = keeper.rotate('corp')
    const corp = await ask(`/cgi-bin/get_jsapi_ticket?access_token=${token}`)
    expect(corp.text).toBe('{"errcode":0,"errmsg":"ok","ticket":"corp-js-token-1","expires_in":7200}')
    const agent = await ask(`/cgi-bin/ticket/get?access_token=${token}&type=agent_config`)
    expect(agent.json.ticket).toBe('corp-agent-token-1')
  })

  test('refuses tickets for what is no token, no type, or no ticket source', async () => {
    const { ask, keeper } = wechatHouse()
    const { token } = keeper.rotate('corp')
    const other = keeper.rotate('corp-hr').token
    const code = async (path: string) => Number((await ask(`/cgi-bin/${path}`)).json.errcode)
    expect(await code('get_jsapi_ticket')).toBe(41001)
    expect(await code('get_jsapi_ticket?access_token=unknown')).toBe(40014)
    expect(await code(`get_jsapi_ticket?access_token=${keeper.rotate('stable').token}`)).toBe(40014)
    expect(await code(`get_jsapi_ticket?access_token=${other}`)).toBe(48002)
    expect(await code(`ticket/get?access_token=${token}&type=x`)).toBe(40097)
  })
})
