import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage, type StageOptions } from '../../test/simulator/stage.ts'

const hour = 3_600_000

function wecom(options: StageOptions = {}): Stage {
  return stage({
    accounts: [
      { kind: 'wecom', corpid: 'ww1', secret: 's1' },
      { kind: 'wecom', id: 'ww1-contacts', corpid: 'ww1', secret: 's2' },
    ],
    ...options,
  })
}

const tokenPath = (secret = 's1'): string => `/wecom/cgi-bin/gettoken?corpid=ww1&corpsecret=${secret}`

async function token({ get }: Stage, secret = 's1'): Promise<string> {
  return String((await get(tokenPath(secret))).access_token)
}

const layout =
  /^(.+), hint: \[\d+_\d+_[0-9a-f]+\], from ip: (\S+), more info at https:\/\/open\.work\.weixin\.qq\.com\/devtool\/query\?e=(-?\d+)$/

/** Code and own words of a refusal, after checking the layout around them. */
function refusal(answer: Body): string {
  const match = layout.exec(String(answer.errmsg))
  expect(match?.[3]).toBe(String(answer.errcode))
  return `${String(answer.errcode)} ${match?.[1] ?? ''}`
}

describe('GET /cgi-bin/gettoken', () => {
  it('answers errcode 0 with a 214 letter token, and mirrors code and text in headers', async () => {
    const response = await wecom().send(tokenPath())
    expect(response.headers.get('content-type')).toBe('application/json; charset=UTF-8')
    expect([response.headers.get('error-code'), response.headers.get('error-msg')]).toEqual(['0', 'ok'])
    const answer = (await response.json()) as Body
    expect(Object.keys(answer)).toEqual(['errcode', 'errmsg', 'access_token', 'expires_in'])
    expect(answer).toMatchObject({ errcode: 0, errmsg: 'ok', expires_in: 7200 })
    expect(answer.access_token).toMatch(/^[\w-]{214}$/)
  })

  it('gives the same token with what is left, until it has expired', async () => {
    const at = wecom()
    const first = await token(at)
    await at.clock.advance(2 * hour - 1_000)
    expect(await at.get(tokenPath())).toMatchObject({ access_token: first, expires_in: 1 })
    await at.clock.advance(1_000)
    const next = await at.get(tokenPath())
    expect(next.access_token).not.toBe(first)
    expect(next.expires_in).toBe(7200)
    expect(at.simulator.counters('ww1').token).toMatchObject({ calls: 3, issued: 2, repeated: 1 })
  })

  it('has one living token at a time: a foreigner’s new one kills it at once', async () => {
    const at = wecom()
    const first = await token(at)
    const second = at.simulator.rotateByForeigner('ww1')
    expect([at.simulator.accepts(first), at.simulator.accepts(second)]).toEqual([false, true])
    expect(await token(at)).toBe(second)
  })

  it('can be told to give a new one each time', async () => {
    const at = wecom({ knobs: { reissue: 'retires-previous' } })
    const first = await token(at)
    expect(await token(at)).not.toBe(first)
    expect(at.simulator.accepts(first)).toBe(true)
    await at.clock.advance(300_000)
    expect(at.simulator.accepts(first)).toBe(false)
  })

  it('gives every app its own token', async () => {
    const at = wecom()
    expect(await token(at, 's2')).not.toBe(await token(at))
  })

  it.each([
    ['', '41004 corpsecret missing'],
    ['?corpsecret=s1', '41002 corpid missing'],
    ['?corpid=test', '40013 invalid corpid'],
    ['?corpid=test&corpsecret=s1', '40013 invalid corpid'],
    ['?corpid=ww1', '41004 corpsecret missing'],
    ['?corpid=ww1&corpsecret=bad', '40001 invalid credential'],
  ])('refuses %j with HTTP 200, the layout of WeCom, and headers', async (query, text) => {
    const response = await wecom().send(`/cgi-bin/gettoken${query}`)
    expect(response.status).toBe(200)
    const answer = (await response.json()) as Body
    expect(refusal(answer)).toBe(text)
    expect(response.headers.get('error-code')).toBe(String(answer.errcode))
    expect(response.headers.get('error-msg')).toBe(answer.errmsg)
  })

  it('bans an address for an hour after too many wrong calls within one hour', async () => {
    const at = wecom({ knobs: { wrongCallsPerHour: 3 } })
    for (let count = 0; count < 3; count += 1) await at.get(tokenPath('bad'), { ip: '10.0.0.1' })
    expect(refusal(await at.get(tokenPath(), { ip: '10.0.0.1' }))).toBe('45009 api freq out of limit')
    expect(await at.get(tokenPath(), { ip: '10.0.0.2' })).toMatchObject({ errcode: 0 })
    await at.clock.advance(hour)
    expect(await at.get(tokenPath(), { ip: '10.0.0.1' })).toMatchObject({ errcode: 0 })
  })

  it('blocks a corp for sixty seconds after too many calls in a minute', async () => {
    const at = wecom({ knobs: { corpPerMinute: 2 } })
    await at.clock.advance(50_000)
    await token(at)
    await token(at)
    expect(refusal(await at.get(tokenPath()))).toBe('45009 api freq out of limit')
    await at.clock.advance(59_999)
    expect(await at.get(tokenPath('s2'))).toMatchObject({ errcode: 45009 })
    await at.clock.advance(1)
    expect(await at.get(tokenPath())).toMatchObject({ errcode: 0 })
  })
})

describe('the ordinary API of WeCom', () => {
  it('says of a token what the platform says', async () => {
    const at = wecom()
    const ask = (value: string): Promise<Body> => at.get(`/wecom/cgi-bin/user/list?access_token=${value}`)
    const value = await token(at)
    expect(await ask(value)).toEqual({ errcode: 0, errmsg: 'ok' })
    expect(refusal(await ask(''))).toBe('41001 access_token missing')
    expect(refusal(await ask('nonsense'))).toBe('40014 invalid access_token')
    at.simulator.revoke({ account: 'ww1' })
    expect(refusal(await ask(value))).toBe('40014 invalid access_token')
    const next = await token(at)
    await at.clock.advance(2 * hour)
    expect(refusal(await ask(next))).toBe('42001 access_token expired')
  })

  it('puts an empty ip_list before the error of getcallbackip', async () => {
    const at = wecom()
    const bad = await at.get('/wecom/cgi-bin/getcallbackip?access_token=bad')
    expect(Object.keys(bad)).toEqual(['ip_list', 'errcode', 'errmsg'])
    expect(bad).toMatchObject({ ip_list: [], errcode: 40014 })
    const good = await at.get(`/wecom/cgi-bin/getcallbackip?access_token=${await token(at)}`)
    expect(good).toMatchObject({ errcode: 0, errmsg: 'ok' })
  })

  it('checks trusted addresses when a token is used, not when it is fetched', async () => {
    const at = wecom({ knobs: { allowList: ['10.0.0.1'] } })
    const value = String((await at.get(tokenPath(), { ip: '10.0.0.9' })).access_token)
    const path = `/wecom/cgi-bin/user/list?access_token=${value}`
    const refused = await at.get(path, { ip: '10.0.0.9' })
    expect(refusal(refused)).toBe('60020 not allow to access from your ip')
    expect(refused.errmsg).toContain('from ip: 10.0.0.9,')
    expect(await at.get(path, { ip: '10.0.0.1' })).toMatchObject({ errcode: 0 })
  })

  it('404 for a path outside of it', async () => {
    expect((await wecom().send('/wecom/nowhere')).status).toBe(404)
  })

  it('is found at the root by its own paths, by the token, and by the host', async () => {
    const at = wecom()
    const value = await token(at)
    expect((await at.send(`/cgi-bin/getcallbackip?access_token=${value}`)).headers.get('error-code')).toBe('0')
    const byHost = await at.simulator.fetch(new Request('https://qyapi.weixin.qq.com/cgi-bin/getcallbackip'))
    expect(byHost.headers.get('error-code')).toBe('41001')
  })
})

describe('tickets of WeCom', () => {
  const jsapi = (value: string): string => `/wecom/cgi-bin/get_jsapi_ticket?access_token=${value}`
  const agent = (value: string): string => `/wecom/cgi-bin/ticket/get?type=agent_config&access_token=${value}`

  it('share the jsapi ticket in a corp, and have an agent_config ticket for each app', async () => {
    const at = wecom()
    const [one, two] = [await token(at), await token(at, 's2')]
    const first = await at.get(jsapi(one))
    expect(first).toMatchObject({ errcode: 0, errmsg: 'ok', expires_in: 7200 })
    expect((await at.get(jsapi(two))).ticket).toBe(first.ticket)
    expect((await at.get(agent(one))).ticket).not.toBe((await at.get(agent(two))).ticket)
  })

  it('are limited by the hour for an app and for the corp', async () => {
    const at = wecom({ knobs: { appTicketsPerHour: 2, corpTicketsPerHour: 3 } })
    const [one, two] = [await token(at), await token(at, 's2')]
    await at.get(jsapi(one))
    await at.get(jsapi(one))
    expect(refusal(await at.get(jsapi(one)))).toBe('45009 api freq out of limit')
    await at.get(jsapi(two))
    expect(refusal(await at.get(jsapi(two)))).toBe('45009 api freq out of limit')
    await at.clock.advance(hour)
    expect(await at.get(jsapi(one))).toMatchObject({ errcode: 0 })
  })

  it('refuse a type that is not known', async () => {
    const at = wecom()
    const answer = await at.get(`/wecom/cgi-bin/ticket/get?type=none&access_token=${await token(at)}`)
    expect(answer.errcode).toBe(40058)
  })
})
