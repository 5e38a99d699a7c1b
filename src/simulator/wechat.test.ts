import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage, type StageOptions } from '../../test/simulator/stage.ts'

const rid = / rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$/
const classicPath = '/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1'
const stableBody = { grant_type: 'client_credential', appid: 'wx1', secret: 's1' }
const probe = (token: unknown): string => `/cgi-bin/getcallbackip?access_token=${String(token)}`
const minute = 60_000
const hour = 60 * minute

function wechat(options: StageOptions = {}): Stage {
  return stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }], ...options })
}

async function classic({ get }: Stage): Promise<string> {
  return String((await get(classicPath)).access_token)
}

async function stable({ post }: Stage, more: Body = {}): Promise<Body> {
  return post('/cgi-bin/stable_token', { ...stableBody, ...more })
}

function errcode(answer: Body): unknown {
  return answer.errcode
}

describe('GET /cgi-bin/token', () => {
  it('answers a token of the platform’s shape with whole seconds and no errcode', async () => {
    const answer = await wechat().get(classicPath)
    expect(Object.keys(answer)).toEqual(['access_token', 'expires_in'])
    expect(answer.access_token).toMatch(/^\d+_[\w-]{80,130}$/)
    expect(answer.expires_in).toBe(7200)
  })

  it('gives a new token each time, and the one before lives on for five minutes', async () => {
    const at = wechat()
    const first = await classic(at)
    const second = await classic(at)
    expect(second).not.toBe(first)
    await at.clock.advance(5 * minute - 1)
    expect(await at.get(probe(first))).toHaveProperty('ip_list')
    await at.clock.advance(1)
    expect(errcode(await at.get(probe(first)))).toBe(40001)
    expect(await at.get(probe(second))).toHaveProperty('ip_list')
  })

  it('keeps at most two generations alive: the one before the previous dies at once', async () => {
    const at = wechat()
    const [first, second, third] = [await classic(at), await classic(at), await classic(at)]
    expect([first, second, third].map((token) => at.simulator.accepts(token))).toEqual([false, true, true])
  })

  it('never lengthens the life of the one before', async () => {
    const at = wechat()
    const first = await classic(at)
    await at.clock.advance(2 * hour - minute)
    await classic(at)
    await at.clock.advance(minute)
    expect(at.simulator.accepts(first)).toBe(false)
  })

  it('refuses the 2001st fetch of a day, and the day ends at midnight in Shanghai', async () => {
    const at = wechat({ startsAt: Date.parse('2026-03-02T23:59:00+08:00') })
    for (let count = 0; count < 2000; count += 1) await at.get(classicPath)
    const refused = await at.get(classicPath)
    expect(refused.errcode).toBe(45009)
    expect(refused.errmsg).toMatch(
      /^reach max api daily quota limit, could get access_token by getStableAccessToken, more details at https:\/\/mmbizurl\.cn\/s\/JtxxFh33r rid: /,
    )
    await at.clock.advance(minute)
    expect(await at.get(classicPath)).toHaveProperty('access_token')
  })

  it('scales overlap to a quarter of a short life', async () => {
    const at = wechat({ knobs: { ttlSeconds: 8 } })
    const first = await classic(at)
    await classic(at)
    await at.clock.advance(1_999)
    expect(at.simulator.accepts(first)).toBe(true)
    await at.clock.advance(1)
    expect(at.simulator.accepts(first)).toBe(false)
  })

  it.each([
    ['appid missing', '', 41002, 'appid missing'],
    ['appid before secret', 'secret=bad', 41002, 'appid missing'],
    ['unknown appid before grant_type', 'appid=wx2', 40013, 'invalid appid'],
    ['secret missing', 'appid=wx1', 41004, 'appsecret missing'],
    ['wrong secret before grant_type', 'appid=wx1&secret=bad', 40125, 'invalid appsecret'],
    ['grant_type', 'appid=wx1&secret=s1&grant_type=client_credentials', 40002, 'invalid grant_type'],
  ])('refuses with HTTP 200 in the platform’s order: %s', async (_name, query, code, text) => {
    const response = await wechat().send(`/cgi-bin/token?${query}`)
    expect(response.status).toBe(200)
    const answer = (await response.json()) as Body
    expect(answer.errcode).toBe(code)
    expect(String(answer.errmsg).replace(rid, '')).toBe(text)
    expect(answer.errmsg).toMatch(rid)
  })

  it('refuses an address that is not on the allow-list, and names it; a mini program has no such list', async () => {
    const knobs = { allowList: ['10.0.0.1'] }
    const at = wechat({ knobs })
    const refused = await at.get(classicPath, { ip: '180.109.233.172' })
    expect(refused.errcode).toBe(40164)
    expect(String(refused.errmsg).replace(rid, '')).toBe(
      'invalid ip 180.109.233.172 ipv6 ::ffff:180.109.233.172, not in whitelist',
    )
    expect(await at.get(classicPath, { ip: '10.0.0.1' })).toHaveProperty('access_token')
    expect(await at.get(classicPath, { proxy: 'http://user:pass@10.0.0.1:3128' })).toHaveProperty('access_token')
    at.simulator.putAccount({ kind: 'wechat', id: 'wx1', secret: 's1', type: 'mini' })
    expect(await at.get(classicPath, { ip: '180.109.233.172' })).toHaveProperty('access_token')
  })

  it('asks the administrator about each new address once when risk confirmation is on', async () => {
    const at = wechat({ knobs: { riskConfirmation: true } })
    expect(errcode(await at.get(classicPath, { ip: '10.0.0.1' }))).toBe(89503)
    expect(await at.get(classicPath, { ip: '10.0.0.1' })).toHaveProperty('access_token')
    expect(errcode(await at.get(classicPath, { ip: '10.0.0.2' }))).toBe(89503)
  })
})

describe('POST /cgi-bin/stable_token', () => {
  it('gives the same token with what is left of it, until less than five minutes are left', async () => {
    const at = wechat()
    const first = await stable(at)
    expect(first.expires_in).toBe(7200)
    await at.clock.advance(6855_000)
    expect(await stable(at)).toEqual({ access_token: first.access_token, expires_in: 345 })
    await at.clock.advance(45_000)
    expect(await stable(at)).toEqual({ access_token: first.access_token, expires_in: 300 })
    await at.clock.advance(1)
    const next = await stable(at)
    expect(next.access_token).not.toBe(first.access_token)
    expect(next.expires_in).toBe(7200)
    expect(at.simulator.accepts(String(first.access_token))).toBe(true)
  })

  it('never touches the tokens of the classic call, nor they its', async () => {
    const at = wechat()
    const [one, two] = [await classic(at), String((await stable(at)).access_token)]
    for (let count = 0; count < 3; count += 1) at.simulator.rotateByForeigner('wx1', 'classic')
    expect([at.simulator.accepts(one), at.simulator.accepts(two)]).toEqual([false, true])
    const three = await classic(at)
    for (let count = 0; count < 3; count += 1) at.simulator.rotateByForeigner('wx1', 'stable')
    expect(at.simulator.accepts(three)).toBe(true)
  })

  it('a forced refresh gives a new token; two of them kill a leaked one', async () => {
    const at = wechat()
    const leaked = String((await stable(at)).access_token)
    const second = await stable(at, { force_refresh: true })
    expect(second.access_token).not.toBe(leaked)
    expect(at.simulator.accepts(leaked)).toBe(true)
    await at.clock.advance(30_000)
    await stable(at, { force_refresh: true })
    expect(at.simulator.accepts(leaked)).toBe(false)
    expect(at.simulator.counters('wx1').forced).toBe(2)
  })

  it('a second forced refresh within thirty seconds gets the unchanged token, or 45011 where that is wanted', async () => {
    const at = wechat()
    const forced = await stable(at, { force_refresh: true })
    await at.clock.advance(29_999)
    expect((await stable(at, { force_refresh: true })).access_token).toBe(forced.access_token)
    at.simulator.setKnobs({ forceTooSoon: 'refuse' })
    expect(errcode(await stable(at, { force_refresh: true }))).toBe(45011)
    await at.clock.advance(1)
    expect((await stable(at, { force_refresh: true })).access_token).not.toBe(forced.access_token)
  })

  it('refuses the 21st forced refresh of a day, while normal calls go on', async () => {
    const at = wechat()
    for (let count = 0; count < 20; count += 1) {
      expect(await stable(at, { force_refresh: true })).toHaveProperty('access_token')
      await at.clock.advance(30_000)
    }
    expect(errcode(await stable(at, { force_refresh: true }))).toBe(45009)
    expect(await stable(at)).toHaveProperty('access_token')
  })

  it('clear_quota frees forced refreshes too', async () => {
    const at = wechat({ knobs: { forcePerDay: 1, forceGapSeconds: 0 } })
    await stable(at, { force_refresh: true })
    expect(errcode(await stable(at, { force_refresh: true }))).toBe(45009)
    await at.post('/cgi-bin/clear_quota/v2?appid=wx1&appsecret=s1')
    expect(await stable(at, { force_refresh: true })).toHaveProperty('access_token')
  })

  it('takes only a true boolean for force', async () => {
    const at = wechat()
    const first = await stable(at)
    expect(await stable(at, { force_refresh: 'true' })).toEqual(first)
  })

  it('limits calls by the minute and by the day', async () => {
    const at = wechat({ knobs: { stablePerMinute: 2, stablePerDay: 3 } })
    await stable(at)
    await stable(at)
    const slower = await stable(at)
    expect(slower.errcode).toBe(45011)
    expect(String(slower.errmsg).replace(rid, '')).toBe('api minute-quota reach limit, must slower, retry next minute')
    await at.clock.advance(minute)
    await stable(at)
    const over = await stable(at)
    expect(over.errcode).toBe(45009)
    expect(String(over.errmsg).replace(rid, '')).toBe('reach max api daily quota limit')
  })

  it('demands POST and a JSON object', async () => {
    const { get, send } = wechat()
    expect(errcode(await get('/cgi-bin/stable_token'))).toBe(43002)
    const form = await send('/cgi-bin/stable_token', { method: 'POST', body: 'appid=wx1&secret=s1' })
    expect(await form.json()).toMatchObject({ errcode: 47001 })
  })

  it.each([
    [{}, 41002],
    [{ appid: 'wx2' }, 40013],
    [{ appid: 'wx1' }, 41004],
    [{ appid: 'wx1', secret: 'bad' }, 40125],
    [{ appid: 'wx1', secret: 's1' }, 40002],
  ])('judges %j like the classic call', async (body, code) => {
    expect(errcode(await wechat().post('/cgi-bin/stable_token', body))).toBe(code)
  })
})

describe('the ordinary API', () => {
  it.each(['/cgi-bin/user/get', '/wxa/getwxacode', '/cgi-bin/ticket/getticket'])(
    '%s says of a token what the platform says',
    async (path) => {
      const at = wechat()
      const dying = await classic(at)
      const ask = async (token: string): Promise<string> => {
        const { errcode, errmsg } = await at.get(`${path}?access_token=${token}`)
        return `${String(errcode)} ${String(errmsg).replace(rid, '')}`
      }
      const notLatest =
        '40001 invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r'
      expect(await ask('')).toBe('41001 access_token missing')
      expect(await ask('nonsense')).toBe('40014 invalid access_token')
      expect(await ask(`70_${'x'.repeat(100)}`)).toBe(notLatest)
      await at.clock.advance(2 * hour)
      expect(await ask(dying)).toBe('42001 access_token expired')
      const next = await classic(at)
      expect(await ask(dying)).toBe(notLatest)
      at.simulator.revoke({ token: next })
      expect(await ask(next)).toBe(notLatest)
    },
  )

  it('answers what each call is known for, to a living token', async () => {
    const at = wechat()
    const token = await classic(at)
    const ask = (path: string): Promise<Body> => at.get(`${path}?access_token=${token}`)
    expect(Object.keys(await ask('/cgi-bin/getcallbackip'))).toEqual(['ip_list'])
    expect(Object.keys(await ask('/cgi-bin/get_api_domain_ip'))).toEqual(['ip_list'])
    expect(await ask('/cgi-bin/user/get')).toHaveProperty('next_openid')
    expect(await ask('/cgi-bin/message/custom/send')).toEqual({ errcode: 0, errmsg: 'ok' })
    expect(await at.get(`/wechat/wxa/anything?access_token=${token}`)).toEqual({ errcode: 0, errmsg: 'ok' })
  })

  it('looks for the token in the query only', async () => {
    const at = wechat()
    const token = await classic(at)
    expect(errcode(await at.post('/cgi-bin/message/custom/send', { access_token: token }))).toBe(41001)
  })

  it('does not take a ticket, nor a token of another platform, for a token', async () => {
    const at = stage({
      accounts: [
        { kind: 'wechat', id: 'wx1', secret: 's1' },
        { kind: 'wecom', corpid: 'ww1', secret: 's2' },
      ],
    })
    const token = await classic(at)
    const { ticket } = await at.get(`/cgi-bin/ticket/getticket?type=jsapi&access_token=${token}`)
    expect(errcode(await at.get(`/wechat${probe(ticket)}`))).toBe(40014)
    const corp = await at.get('/wecom/cgi-bin/gettoken?corpid=ww1&corpsecret=s2')
    expect(errcode(await at.get(`/wechat${probe(corp.access_token)}`))).toBe(40014)
  })
})

describe('GET /cgi-bin/ticket/getticket', () => {
  const path = (type: string, token: string): string => `/cgi-bin/ticket/getticket?type=${type}&access_token=${token}`

  it('answers with errcode 0, an 86 letter ticket, and the same one until its window', async () => {
    const at = wechat()
    const token = await classic(at)
    const first = await at.get(path('jsapi', token))
    expect(Object.keys(first)).toEqual(['errcode', 'errmsg', 'ticket', 'expires_in'])
    expect(first).toMatchObject({ errcode: 0, errmsg: 'ok', expires_in: 7200 })
    expect(first.ticket).toHaveLength(86)
    await at.clock.advance(6900_000)
    expect(await at.get(path('jsapi', token))).toMatchObject({ ticket: first.ticket, expires_in: 300 })
    await at.clock.advance(1)
    expect((await at.get(path('jsapi', token))).ticket).not.toBe(first.ticket)
  })

  it('keeps the ticket of each type apart, and a ticket outlives the token it was fetched with', async () => {
    const at = wechat()
    const token = await classic(at)
    const jsapi = await at.get(path('jsapi', token))
    expect((await at.get(path('wx_card', token))).ticket).not.toBe(jsapi.ticket)
    at.simulator.revoke({ token })
    expect(at.simulator.accepts(String(jsapi.ticket))).toBe(true)
    expect(await at.get(path('jsapi', await classic(at)))).toMatchObject({ ticket: jsapi.ticket })
  })

  it('refuses a type it does not know', async () => {
    const at = wechat()
    expect(errcode(await at.get(path('none', await classic(at))))).toBe(40097)
  })
})

describe('quotas', () => {
  it('clear_quota frees the day, ten times a month for both of its forms together', async () => {
    const at = wechat({ knobs: { classicPerDay: 1 } })
    const token = await classic(at)
    expect(errcode(await at.get(classicPath))).toBe(45009)
    const byToken = (): Promise<Body> => at.post(`/cgi-bin/clear_quota?access_token=${token}`, { appid: 'wx1' })
    const bySecret = (): Promise<Body> => at.post('/cgi-bin/clear_quota/v2?appid=wx1&appsecret=s1')
    expect(await byToken()).toEqual({ errcode: 0, errmsg: 'ok' })
    expect(await at.get(classicPath)).toHaveProperty('access_token')
    for (let count = 0; count < 9; count += 1) expect(errcode(await bySecret())).toBe(0)
    const refused = await bySecret()
    expect(refused.errcode).toBe(48006)
    expect(String(refused.errmsg).replace(rid, '')).toBe('forbid to clear quota because of reaching the limit')
    expect(errcode(await byToken())).toBe(48006)
    await at.clock.advance(31 * 24 * hour)
    expect(errcode(await bySecret())).toBe(0)
  })

  it('clear_quota wants the appid of the token; v2 takes its parameters from query or body', async () => {
    const at = wechat()
    const token = await classic(at)
    expect(errcode(await at.post(`/cgi-bin/clear_quota?access_token=${token}`, { appid: 'wx2' }))).toBe(40013)
    expect(errcode(await at.post('/cgi-bin/clear_quota/v2', { appid: 'wx1', appsecret: 's1' }))).toBe(0)
    expect(errcode(await at.post('/cgi-bin/clear_quota/v2', { appid: 'wx1', appsecret: 'bad' }))).toBe(40125)
  })

  it('quota/get tells what is used of a day', async () => {
    const at = wechat()
    const token = await classic(at)
    const path = `/cgi-bin/openapi/quota/get?access_token=${token}`
    expect(await at.post(path, { cgi_path: '/cgi-bin/token' })).toMatchObject({
      quota: { daily_limit: 2000, used: 1, remain: 1999 },
    })
    expect(errcode(await at.post(path, { cgi_path: '/nowhere' }))).toBe(76021)
  })
})
