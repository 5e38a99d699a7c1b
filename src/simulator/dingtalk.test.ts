import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage, type StageOptions } from '../../test/simulator/stage.ts'

const accounts = [{ kind: 'dingtalk', id: 'ding1', secret: 's1' }] as const
const dingtalk = (options: StageOptions = {}): Stage => stage({ accounts, ...options })
const oldPath = '/dingtalk/gettoken?appkey=ding1&appsecret=s1'
const newPath = '/dingtalk/v1.0/oauth2/accessToken'
const credentials = { appKey: 'ding1', appSecret: 's1' }

async function modern({ send }: Stage, path: string, token: string, method = 'GET'): Promise<[number, Body]> {
  const headers = token === '' ? {} : { 'x-acs-dingtalk-access-token': token }
  const response = await send(`/dingtalk${path}`, { method, headers })
  return [response.status, (await response.json()) as Body]
}

describe('DingTalk’s token calls', () => {
  it('give the same token by both stacks, each with a whole life before it', async () => {
    const at = dingtalk()
    const first = await at.get(oldPath)
    expect(first).toEqual({ errcode: 0, errmsg: 'ok', access_token: first.access_token, expires_in: 7200 })
    await at.clock.advance(7_000_000)
    expect(await at.post(newPath, credentials)).toEqual({ accessToken: first.access_token, expireIn: 7200 })
    await at.clock.advance(7_199_999)
    expect(at.simulator.accepts(String(first.access_token))).toBe(true)
    await at.clock.advance(1)
    expect((await at.get(oldPath)).access_token).not.toBe(first.access_token)
    expect(at.simulator.counters('ding1').token).toMatchObject({ calls: 3, issued: 2, repeated: 1 })
  })

  it.each([
    ['', 40035],
    ['?corpid=c&corpsecret=s', 40089],
    ['?appkey=ding1', 40096],
    ['?appkey=ding1&appsecret=bad', 40096],
    ['?appkey=ding9&appsecret=s1', 40096],
  ])('of the old stack refuse %j with HTTP 200 and %i, not wrapped', async (query, errcode) => {
    const response = await dingtalk().send(`/dingtalk/gettoken${query}`)
    expect([response.status, Object.keys((await response.clone().json()) as Body)]).toEqual([
      200,
      ['errcode', 'errmsg'],
    ])
    expect(((await response.json()) as Body).errcode).toBe(errcode)
  })

  it.each([
    [undefined, 'Missingbody'],
    [{}, 'MissingappKey'],
    [{ appKey: 'ding1' }, 'MissingappSecret'],
    [{ appKey: 'ding9', appSecret: 's1' }, 'invalidClientIdOrSecret'],
    [{ appKey: 'ding1', appSecret: 'bad' }, 'invalidClientIdOrSecret'],
  ])('of the new stack refuse %j with HTTP 400 and %s', async (body, code) => {
    const init = { method: 'POST', ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const response = await dingtalk().send(newPath, init)
    expect(response.status).toBe(400)
    const answer = (await response.json()) as Body
    expect(Object.keys(answer)).toEqual(['code', 'requestid', 'message'])
    expect(answer.code).toBe(code)
  })
})

describe('a token of DingTalk', () => {
  it('is checked by the old stack in the query', async () => {
    const at = dingtalk()
    const token = String((await at.get(oldPath)).access_token)
    const path = '/dingtalk/topapi/v2/user/get'
    expect(await at.get(`${path}?access_token=${token}`)).toEqual({ errcode: 0, errmsg: 'ok' })
    expect((await at.get(path)).errcode).toBe(41001)
    expect(await at.get(`${path}?access_token=`)).toMatchObject({ errcode: 88, sub_code: '40000' })
    expect(await at.get(`${path}?access_token=bad`)).toMatchObject({
      errcode: 88,
      sub_code: '40014',
      sub_msg: '不合法的access_token',
      errmsg: 'ding talk error[subcode=40014,submsg=不合法的access_token]',
    })
    await at.clock.advance(7_200_000)
    expect(await at.get(`${path}?access_token=${token}`)).toMatchObject({ errcode: 88, sub_code: '42001' })
  })

  it('is checked by the new stack in the header, with HTTP status', async () => {
    const at = dingtalk()
    const { accessToken } = await at.post(newPath, credentials)
    const path = '/v1.0/contact/users/me'
    expect(await modern(at, path, String(accessToken))).toEqual([200, {}])
    expect(await modern(at, path, 'bad')).toMatchObject([400, { code: 'InvalidAuthentication' }])
    expect(await modern(at, path, '')).toMatchObject([400, { code: 'AuthenticationFailed.MissingParameter' }])
    expect(await modern(at, `${path}?access_token=${String(accessToken)}`, '')).toMatchObject([400, {}])
    at.simulator.setKnobs({ allowList: ['10.0.0.1'] }, 'ding1')
    expect(await modern(at, path, String(accessToken))).toMatchObject([
      403,
      { code: 'Forbidden.AccessDenied.IpNotInWhiteList' },
    ])
  })

  it('brings one ticket by both stacks', async () => {
    const at = dingtalk()
    const token = String((await at.get(oldPath)).access_token)
    const first = await at.get(`/dingtalk/get_jsapi_ticket?access_token=${token}`)
    expect(first).toEqual({ errcode: 0, errmsg: 'ok', ticket: first.ticket, expires_in: 7200 })
    expect(await modern(at, '/v1.0/oauth2/jsapiTickets', token, 'POST')).toEqual([
      200,
      { jsapiTicket: first.ticket, expireIn: 7200 },
    ])
    expect((await at.get(`/dingtalk/get_jsapi_ticket?access_token=${String(first.ticket)}`)).sub_code).toBe('40014')
  })
})

describe('DingTalk', () => {
  it('bans in the same words by both stacks when it is told to', async () => {
    const at = dingtalk()
    at.simulator.addFault({ account: 'ding1', effect: { type: 'errcode', code: 1111 } })
    const ban = { status: 1111, wait: 5, source: 'x5', punish: 'deny' }
    expect([await at.get(oldPath), await at.post(newPath, credentials)]).toEqual([ban, ban])
    expect(at.simulator.counters('ding1').token).toMatchObject({ refused: 2, issued: 0 })
  })

  it('is found at the root by its own paths, and by its hosts', async () => {
    const at = dingtalk()
    expect(await at.get('/gettoken?appkey=ding1&appsecret=s1')).toMatchObject({ errcode: 0 })
    expect(await at.post('/v1.0/oauth2/accessToken', credentials)).toMatchObject({ expireIn: 7200 })
    const byHost = await at.simulator.fetch(new Request('https://oapi.dingtalk.com/user/getuserinfo'))
    expect(((await byHost.json()) as Body).errcode).toBe(41001)
  })
})
