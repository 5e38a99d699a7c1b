import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../base/json.ts'
import { askScripted, gist, input, json, source, type Asked } from '../../test/providers/scripted.ts'

const modern = { provider: 'dingtalk', appkey: 'ding1', secret: 'canary secret&' } as const
const old = { ...modern, stack: 'old' } as const
const inputs = { above: input('T 0+&') }

describe('dingtalk', () => {
  it('posts key and secret to the new stack', async () => {
    const asked = await askScripted(modern, () => json({ accessToken: 'T', expireIn: 7_100 }))
    expect(gist(asked)).toBe('issued 7100000')
    const [request] = asked.requests
    expect([request?.method, request?.url]).toEqual(['POST', 'https://api.dingtalk.com/v1.0/oauth2/accessToken'])
    expect(request?.headers.get('content-type')).toBe('application/json')
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual({ appKey: 'ding1', appSecret: 'canary secret&' })
  })

  it('gets it from the old stack with both in the query', async () => {
    const asked = await askScripted(old, () => json({ errcode: 0, access_token: 'T', errmsg: 'ok', expires_in: 7_200 }))
    expect(gist(asked)).toBe('issued 7200000')
    expect(asked.requests[0]?.url).toBe('https://oapi.dingtalk.com/gettoken?appkey=ding1&appsecret=canary+secret%26')
  })

  it('has its token put where the stack wants it', () => {
    expect(source(modern).semantics.inject).toEqual({ header: 'x-acs-dingtalk-access-token', prefix: '' })
    expect(source(old).semantics.inject).toEqual({ query: 'access_token' })
  })

  it('is another account by another key, stack or place', () => {
    const others = [modern, old, { ...modern, appkey: 'ding2' }, { ...modern, base_url: 'http://10.0.0.1/x' }]
    expect(new Set(others.map((each) => source(each).identity)).size).toBe(others.length)
  })
})

describe('dingtalk-ticket', () => {
  const ask = (definition: JsonObject, body: JsonObject): Promise<Asked> =>
    askScripted({ provider: 'dingtalk-ticket', of: 'above', ...definition }, () => json(body), { inputs })

  it('posts nothing but the header to the new stack', async () => {
    const asked = await ask({}, { jsapiTicket: 'J', expireIn: 7_200 })
    expect(gist(asked)).toBe('issued 7200000')
    const [request] = asked.requests
    expect([request?.method, request?.url]).toEqual(['POST', 'https://api.dingtalk.com/v1.0/oauth2/jsapiTickets'])
    expect([request?.headers.get('x-acs-dingtalk-access-token'), asked.bodies[0]]).toEqual(['T 0+&', ''])
  })

  it('gets it from the old stack with the token in the query', async () => {
    const asked = await ask({ stack: 'old' }, { errcode: 0, errmsg: 'ok', ticket: 'J', expires_in: 7_200 })
    expect(gist(asked)).toBe('issued 7200000')
    expect(asked.requests[0]?.url).toBe('https://oapi.dingtalk.com/get_jsapi_ticket?access_token=T+0%2B%26')
  })

  it('asks the stack and the place of its token’s source', () => {
    const above = { ...old, base_url: 'http://10.0.0.1/ding', proxy: 'http://10.0.0.2:3128' }
    const ticket = source({ provider: 'dingtalk-ticket', of: 'above' }, () => above)
    expect(ticket.settings).toMatchObject({ stack: 'old', base_url: 'http://10.0.0.1/ding' })
    expect(ticket.policy.proxy).toBe('http://10.0.0.2:3128')
  })
})

describe('an answer of DingTalk', () => {
  const told = async (definition: JsonObject, body: unknown, init: ResponseInit = {}): Promise<string> =>
    gist(await askScripted(definition, () => json(body, init), { inputs }))
  const ticket = { provider: 'dingtalk-ticket', of: 'above', stack: 'old' }

  it('is judged by its code whatever the status', async () => {
    for (const status of [200, 400, 401, 403]) {
      const body = { code: 'invalidClientIdOrSecret', message: '无效的clientId或者clientSecret', requestid: 'r' }
      expect(await told(modern, body, { status })).toBe('rejected configuration upstream_rejected')
    }
    expect(await told(modern, { code: 'whatever', message: 'x' }, { status: 400 })).toBe(
      'rejected transient upstream_rejected',
    )
  })

  it('wrapped in 88 says in sub_code what is meant', async () => {
    for (const sub of ['40014', '40000', '42001', '40001']) {
      const body = {
        errcode: 88,
        sub_code: sub,
        sub_msg: '不合法的access_token',
        errmsg: `ding talk error[subcode=${sub}]`,
      }
      const { attempt } = await askScripted(ticket, () => json(body), { inputs })
      expect(attempt).toMatchObject({
        refusedInput: 'above',
        failure: { upstream: { errcode: Number(sub), errmsg: '不合法的access_token' } },
      })
    }
    const noPermission = { errcode: 88, sub_code: '60011', sub_msg: '没有权限', errmsg: 'ding talk error' }
    expect(await told(ticket, noPermission)).toBe('rejected permission upstream_rejected')
  })

  it.each([200, 403, 405])('that is the notice of a ban keeps us away for five minutes (HTTP %i)', async (status) => {
    const ban = { status: 1111, wait: 5, source: 'x5', punish: 'deny' }
    for (const definition of [modern, old])
      expect(await told(definition, ban, { status })).toBe('rejected quota upstream_busy 300000')
  })

  it('that is a page is never a token, and holds nothing of the request', async () => {
    const page = (): Response =>
      new Response('<html>punish canary secret&</html>', { headers: { 'content-type': 'text/html' } })
    const asked = await askScripted(modern, page)
    expect(gist(asked)).toBe('unknown upstream_not_json')
    expect(JSON.stringify(asked.attempt)).not.toContain('canary')
  })

  it('that broke down may have issued', async () => {
    expect(await told(modern, { code: 'unknownError', message: '未知错误' }, { status: 500 })).toBe(
      'unknown upstream_status',
    )
  })

  it('does not repeat the secret', async () => {
    const body = { code: 'invalidClientIdOrSecret', message: 'canary secret& is wrong' }
    const { attempt } = await askScripted(modern, () => json(body, { status: 400 }))
    expect(JSON.stringify(attempt)).not.toContain('canary')
  })
})
