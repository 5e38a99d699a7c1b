/** DingTalk's and Feishu's own wire formats, so that an SDK whose base URL points here works unchanged. */
import { describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import { client, openHouse, remote, type Question, type Told, type Visitor } from './visitor.ts'

const refused = (errcode: number | string, errmsg: string): ZhongkongError =>
  new ZhongkongError('token_unavailable', 'refused', { upstream: { errcode, errmsg } })

const post = (body: unknown, more: Question = {}): Question => ({
  method: 'POST',
  body: typeof body === 'string' ? body : JSON.stringify(body),
  peer: remote,
  ...more,
})

describe('DingTalk’s own wire format', () => {
  const house = (): Visitor =>
    openHouse({
      sources: [
        { name: 'ding', kind: 'dingtalk', account: 'ding1', secret: 'app-secret-1' },
        { name: 'ding-old', kind: 'dingtalk', account: 'ding1', secret: 'app-secret-1', definition: { stack: 'old' } },
        { name: 'other', kind: 'dingtalk', account: 'ding2', secret: 'app-secret-2' },
        { name: 'js', kind: 'dingtalk-ticket', needs: ['ding'], definition: { of: 'ding' } },
        { name: 'weixin', account: 'wx1', secret: 'app-secret-1' },
      ],
      clients: [client('reader', 'reader-key', { read: ['ding'] }), client('none', 'none-key')],
    })
  const newToken = ({ ask }: Visitor, body: unknown): Promise<Told> => ask('/v1.0/oauth2/accessToken', post(body))
  const newTicket = ({ ask }: Visitor, token: string): Promise<Told> => {
    const headers: Record<string, string> = token === '' ? {} : { 'x-acs-dingtalk-access-token': token }
    return ask('/v1.0/oauth2/jsapiTickets', { method: 'POST', headers, peer: remote })
  }

  test('200 with the fields of the real thing, by both stacks, for the secret and for an API key that may read', async () => {
    const at = house()
    const old = await at.ask('/gettoken?appkey=ding1&appsecret=app-secret-1', { peer: remote })
    expect(old.text).toBe('{"errcode":0,"errmsg":"ok","access_token":"ding-old-token-1","expires_in":7200}')
    const modern = await newToken(at, { appKey: 'ding1', appSecret: 'app-secret-1' })
    expect(modern.text).toBe('{"accessToken":"ding-token-1","expireIn":7200}')
    const keyed = await at.ask('/gettoken?appkey=ding1&appsecret=reader-key', { peer: remote })
    expect(keyed.json.access_token).toBe('ding-token-1')
  })

  test.each([
    ['', 40035],
    ['corpid=c&corpsecret=s', 40089],
    ['appkey=ding1', 40096],
    ['appkey=ding9&appsecret=app-secret-1', 40096],
    ['appkey=wx1&appsecret=app-secret-1', 40096],
    ['appkey=ding1&appsecret=app-secret-2', 40096],
    ['appkey=ding1&appsecret=none-key', 40096],
    ['appkey=ding2&appsecret=reader-key', 40096],
  ])('200 ?%s is refused by the old stack with %i', async (query, errcode) => {
    const told = await house().ask(`/gettoken?${query}`, { peer: remote })
    expect([told.status, told.json.errcode]).toEqual([200, errcode])
  })

  test.each([
    ['', 'Missingbody'],
    ['appKey=ding1', 'Missingbody'],
    [{}, 'MissingappKey'],
    [{ appKey: 7, appSecret: 'app-secret-1' }, 'MissingappKey'],
    [{ appKey: 'ding1' }, 'MissingappSecret'],
    [{ appKey: 'ding9', appSecret: 'app-secret-1' }, 'invalidClientIdOrSecret'],
    [{ appKey: 'ding1', appSecret: 'none-key' }, 'invalidClientIdOrSecret'],
  ])('400 %j is refused by the new stack with %s', async (body, code) => {
    const told = await newToken(house(), body)
    expect([told.status, told.json.code]).toEqual([400, code])
    expect(told.json.requestid).toMatch(/^[0-9a-f]{32}$/)
  })

  test('200 with the app’s ticket for any of its tokens, current or lately replaced', async () => {
    const at = house()
    const tokens = [at.keeper.rotate('ding').token, at.keeper.rotate('ding').token, at.keeper.rotate('ding-old').token]
    for (const token of tokens) {
      const old = await at.ask(`/get_jsapi_ticket?access_token=${token}`)
      expect(old.text).toBe('{"errcode":0,"errmsg":"ok","ticket":"js-token-1","expires_in":7200}')
      expect((await newTicket(at, token)).text).toBe('{"jsapiTicket":"js-token-1","expireIn":7200}')
    }
  })

  test('refuses a ticket for what is no token of an app, and where there is no ticket source', async () => {
    const at = house()
    const bad = ['unknown', at.keeper.rotate('weixin').token, at.keeper.rotate('js').token]
    for (const token of bad) {
      const old = await at.ask(`/get_jsapi_ticket?access_token=${token}`)
      expect([old.status, old.json]).toMatchObject([200, { errcode: 88, sub_code: '40014' }])
      expect(await newTicket(at, token)).toMatchObject({ status: 400, json: { code: 'InvalidAuthentication' } })
    }
    expect((await at.ask('/get_jsapi_ticket')).json.errcode).toBe(41001)
    expect((await at.ask('/get_jsapi_ticket?access_token=')).json.sub_code).toBe('40000')
    expect(await newTicket(at, '')).toMatchObject({
      status: 400,
      json: { code: 'AuthenticationFailed.MissingParameter' },
    })
    const other = at.keeper.rotate('other').token
    expect((await at.ask(`/get_jsapi_ticket?access_token=${other}`)).json.sub_code).toBe('60011')
    expect((await newTicket(at, other)).status).toBe(403)
  })

  test('tells the upstream’s own refusal, each stack in its own tongue', async () => {
    const at = house()
    const both = async (): Promise<unknown[]> => {
      const old = await at.ask('/gettoken?appkey=ding1&appsecret=app-secret-1')
      const modern = await newToken(at, { appKey: 'ding1', appSecret: 'app-secret-1' })
      return [old.json as unknown, modern.status, modern.json.code as unknown, modern.json.message as unknown]
    }
    at.keeper.failure = refused('invalidClientIdOrSecret', '无效的clientId')
    expect(await both()).toEqual([
      { errcode: -1, errmsg: '系统繁忙 (invalidClientIdOrSecret 无效的clientId)' },
      400,
      'invalidClientIdOrSecret',
      '无效的clientId',
    ])
    at.keeper.failure = refused(40096, '不合法的appKey')
    expect(await both()).toMatchObject([
      { errcode: 40096, errmsg: '不合法的appKey' },
      503,
      'ServiceUnavailable',
      expect.stringContaining('(40096 不合法的appKey)'),
    ])
    at.keeper.failure = new ZhongkongError('token_unavailable', 'no answer')
    expect(await both()).toMatchObject([{ errcode: -1 }, 503, 'ServiceUnavailable', expect.any(String)])
  })

  test('never causes an SDK to fetch another token because a ticket fails', async () => {
    const at = house()
    const { token } = at.keeper.rotate('ding')
    at.keeper.failure = refused('InvalidAuthentication', 'x')
    expect(await newTicket(at, token)).toMatchObject({ status: 503, json: { code: 'ServiceUnavailable' } })
    at.keeper.failure = refused(40014, 'x')
    expect((await at.ask(`/get_jsapi_ticket?access_token=${token}`)).json).toEqual({
      errcode: -1,
      errmsg: 'system error',
    })
  })
})

describe('Feishu’s own wire format', () => {
  const house = (): Visitor =>
    openHouse({
      sources: [
        { name: 'tenant', kind: 'feishu', account: 'cli_1', secret: 'app-secret-1' },
        { name: 'app', kind: 'feishu', account: 'cli_1', secret: 'app-secret-1', definition: { type: 'app' } },
        { name: 'lone', kind: 'feishu', account: 'cli_2', secret: 'app-secret-2' },
        { name: 'js', kind: 'feishu-ticket', needs: ['tenant'], definition: { of: 'tenant' } },
      ],
      clients: [client('reader', 'reader-key', { read: ['tenant'] }), client('apps', 'apps-key', { read: ['app'] })],
    })
  const tokens = ({ ask }: Visitor, type: 'tenant' | 'app', body: unknown): Promise<Told> =>
    ask(`/open-apis/auth/v3/${type}_access_token/internal`, post(body))
  const ticket = ({ ask }: Visitor, authorization?: string): Promise<Told> =>
    ask('/open-apis/jssdk/ticket/get', post({}, authorization === undefined ? {} : { headers: { authorization } }))
  const right = { app_id: 'cli_1', app_secret: 'app-secret-1' }

  test('200 with the fields of the real thing, for the secret and for an API key that may read', async () => {
    const at = house()
    const tenant = { code: 0, msg: 'ok', tenant_access_token: 'tenant-token-1', expire: 7200 }
    expect((await tokens(at, 'tenant', right)).json).toEqual(tenant)
    expect((await tokens(at, 'tenant', { ...right, app_secret: 'reader-key' })).json).toEqual(tenant)
    expect((await tokens(at, 'app', right)).json).toEqual({ ...tenant, app_access_token: 'app-token-1' })
  })

  test('tells no tenant’s token to a key that may read that of the app only, and no more time than both have', async () => {
    const at = house()
    expect((await tokens(at, 'app', { ...right, app_secret: 'apps-key' })).json).toEqual({
      code: 0,
      msg: 'ok',
      app_access_token: 'app-token-1',
      expire: 7200,
    })
    at.keeper.rotate('tenant', 1_900_000)
    expect((await tokens(at, 'app', right)).json.expire).toBe(1_900)
  })

  test.each([
    ['', 10003],
    [{}, 10003],
    [{ app_id: 'cli_1' }, 10003],
    [{ app_id: 'cli_9', app_secret: 'app-secret-1' }, 10014],
    [{ app_id: 'cli_1', app_secret: 'app-secret-2' }, 10015],
    [{ app_id: 'cli_1', app_secret: 'apps-key' }, 99991672],
  ])('200 %j is refused with %i', async (body, code) => {
    const told = await tokens(house(), 'tenant', body)
    expect([told.status, told.json.code]).toEqual([200, code])
  })

  test('200 with the app’s ticket for any of its tokens', async () => {
    const at = house()
    for (const name of ['tenant', 'app', 'app']) {
      const told = await ticket(at, `Bearer ${at.keeper.rotate(name).token}`)
      expect(told.text).toBe('{"code":0,"msg":"ok","data":{"expire_in":7200,"ticket":"js-token-1"}}')
    }
  })

  test('400 for what is no token, and where there is no ticket source', async () => {
    const at = house()
    const code = async (authorization?: string): Promise<unknown[]> => {
      const told = await ticket(at, authorization)
      return [told.status, told.json.code as unknown]
    }
    expect(await code()).toEqual([400, 99991661])
    expect(await code(at.keeper.rotate('tenant').token)).toEqual([400, 99991661])
    expect(await code('Bearer unknown')).toEqual([400, 99991663])
    expect(await code(`Bearer ${at.keeper.rotate('js').token}`)).toEqual([400, 99991663])
    expect(await code(`Bearer ${at.keeper.rotate('lone').token}`)).toEqual([400, 99991672])
  })

  test('tells the upstream’s own refusal, but never causes an SDK to fetch another token because a ticket fails', async () => {
    const at = house()
    const { token } = at.keeper.rotate('tenant')
    at.keeper.failure = refused(10015, 'app secret invalid')
    expect((await tokens(at, 'tenant', right)).json).toEqual({ code: 10015, msg: 'app secret invalid' })
    at.keeper.failure = refused(99991663, 'x')
    expect(await ticket(at, `Bearer ${token}`)).toMatchObject({ status: 400, json: { code: 2200 } })
    at.keeper.failure = new ZhongkongError('token_unavailable', 'no answer')
    expect((await tokens(at, 'tenant', right)).json.code).toBe(2200)
  })
})
