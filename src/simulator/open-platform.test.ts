import { createDecipheriv, createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage, type StageOptions } from '../../test/simulator/stage.ts'

const key = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'
const account = { kind: 'wechat-component', id: 'wxc', secret: 's', offers: ['wx5'] } as const
const minute = 60_000
const hour = 60 * minute

function open(options: StageOptions = {}): Stage {
  return stage({ accounts: [account], ...options })
}

const api = (at: Stage, name: string, body: Body, token = ''): Promise<Body> =>
  at.post(`/wechat/cgi-bin/component/${name}?component_access_token=${token}`, { component_appid: 'wxc', ...body })

async function componentToken(at: Stage, ticket = at.simulator.makeTicket('wxc')): Promise<Body> {
  return await api(at, 'api_component_token', { component_appsecret: 's', component_verify_ticket: ticket })
}

async function authorised(at: Stage): Promise<{ token: string; info: Body }> {
  const token = String((await componentToken(at)).component_access_token)
  const code = at.simulator.authorise('wxc', 'wx5')
  const { authorization_info: info } = await api(at, 'api_query_auth', { authorization_code: code }, token)
  return { token, info: info as Body }
}

describe('api_component_token', () => {
  it('takes each ticket for twelve hours, and says of others what is wrong with them', async () => {
    const at = open()
    const ticket = at.simulator.makeTicket('wxc')
    expect(await componentToken(at, ticket)).toMatchObject({ expires_in: 7200 })
    await at.clock.advance(12 * hour - 1_000)
    expect(await componentToken(at, ticket)).toMatchObject({ expires_in: 7200 })
    await at.clock.advance(1_000)
    expect(await componentToken(at, ticket)).toMatchObject({ errcode: 61005 })
    expect(await componentToken(at, 'ticket@@@none')).toMatchObject({ errcode: 61006 })
    expect(await api(at, 'api_component_token', { component_appsecret: 'x' })).toMatchObject({ errcode: 40125 })
    expect(await api(at, 'api_component_token', { component_appid: 'wx9' })).toMatchObject({ errcode: 40013 })
  })
})

describe('calls with the platform’s token', () => {
  it('refuse none, a wrong one, that of an account, and one that was replaced too long ago', async () => {
    const at = open()
    const { token, info } = await authorised(at)
    const ask = async (sent: string): Promise<unknown> => (await api(at, 'api_create_preauthcode', {}, sent)).errcode
    expect(await ask('')).toBe(41001)
    expect(await ask('x')).toBe(40014)
    expect(await ask(String(info.authorizer_access_token))).toBe(61014)
    await componentToken(at)
    expect(await ask(token)).toBeUndefined()
    await at.clock.advance(301_000)
    expect(await ask(token)).toBe(40001)
  })

  it('take each code once, and within an hour', async () => {
    const at = open()
    const { token } = await authorised(at)
    const code = at.simulator.authorise('wxc', 'wx5')
    const ask = async (): Promise<unknown> =>
      (await api(at, 'api_query_auth', { authorization_code: code }, token)).errcode
    expect([await ask(), await ask()]).toEqual([undefined, 61009])
    const late = at.simulator.authorise('wxc', 'wx5')
    await at.clock.advance(hour)
    expect((await api(at, 'api_query_auth', { authorization_code: late }, token)).errcode).toBe(61010)
  })
})

describe('api_authorizer_token', () => {
  const ask = (at: Stage, token: string, refresh: unknown, appid = 'wx5'): Promise<Body> =>
    api(at, 'api_authorizer_token', { authorizer_appid: appid, authorizer_refresh_token: refresh }, token)

  it('gives a new token each time, and the same refresh token', async () => {
    const at = open()
    const { token, info } = await authorised(at)
    const again = await ask(at, token, info.authorizer_refresh_token)
    expect(again.authorizer_refresh_token).toBe(info.authorizer_refresh_token)
    expect(again.authorizer_access_token).not.toBe(info.authorizer_access_token)
    expect(at.simulator.accepts(String(info.authorizer_access_token))).toBe(true)
    await at.clock.advance(301_000)
    expect(at.simulator.accepts(String(info.authorizer_access_token))).toBe(false)
    expect((await ask(at, token, 'none')).errcode).toBe(61023)
    expect((await ask(at, token, 'none', 'wx9')).errcode).toBe(61003)
  })

  it('rotates refresh tokens where it is told to, and takes the one before for its grace', async () => {
    const at = open({ knobs: { authorizerRotates: true, authorizerGraceSeconds: 10 } })
    const { token, info } = await authorised(at)
    const first = await ask(at, token, info.authorizer_refresh_token)
    expect(first.authorizer_refresh_token).not.toBe(info.authorizer_refresh_token)
    const again = await ask(at, token, info.authorizer_refresh_token)
    expect(again.authorizer_refresh_token).toBe(first.authorizer_refresh_token)
    await at.clock.advance(11_000)
    expect((await ask(at, token, info.authorizer_refresh_token)).errcode).toBe(61023)
    expect((await ask(at, token, first.authorizer_refresh_token)).errcode).toBeUndefined()
  })

  it('ends with the authorisation, and what came of it before another one is dead', async () => {
    const at = open()
    const { token, info } = await authorised(at)
    at.simulator.authorise('wxc', 'wx5')
    expect(at.simulator.accepts(String(info.authorizer_access_token))).toBe(false)
    expect((await ask(at, token, info.authorizer_refresh_token)).errcode).toBe(61023)
    expect(at.simulator.withdrawAuthorisation('wxc', 'wx5')).toBe(true)
    expect(at.simulator.withdrawAuthorisation('wxc', 'wx5')).toBe(false)
    expect((await ask(at, token, info.authorizer_refresh_token)).errcode).toBe(61003)
  })
})

describe('what is pushed', () => {
  type Push = { readonly url: URL; readonly body: string }
  const callback = { url: 'http://here/callback/x?keep=1', token: 't', key }

  function pushing(answer: () => Response, options: StageOptions = {}): { at: Stage; pushes: Push[] } {
    const pushes: Push[] = []
    const send = async (request: Request): Promise<Response> => {
      pushes.push({ url: new URL(request.url), body: await request.text() })
      return answer()
    }
    return { at: open({ accounts: [{ ...account, callback }], send, ...options }), pushes }
  }

  /** Opened by the letter of WeChat's documents, without any code of ours. */
  function opened({ url, body }: Push): { text: string; receiveId: string } {
    const encrypt = /<Encrypt><!\[CDATA\[(.*?)\]\]><\/Encrypt>/.exec(body)?.[1] ?? ''
    const [timestamp, nonce] = [url.searchParams.get('timestamp') ?? '', url.searchParams.get('nonce') ?? '']
    const signed = createHash('sha1').update(['t', timestamp, nonce, encrypt].sort().join('')).digest('hex')
    expect(url.searchParams.get('msg_signature')).toBe(signed)
    const secret = Buffer.from(`${key}=`, 'base64')
    const decipher = createDecipheriv('aes-256-cbc', secret, secret.subarray(0, 16)).setAutoPadding(false)
    const padded = Buffer.concat([decipher.update(Buffer.from(encrypt, 'base64')), decipher.final()])
    const plain = padded.subarray(0, padded.length - (padded.at(-1) ?? 0))
    const end = 20 + plain.readUInt32BE(16)
    return { text: plain.subarray(20, end).toString(), receiveId: plain.subarray(end).toString() }
  }

  it('is a ticket every ten minutes, sealed for the platform', async () => {
    const { at, pushes } = pushing(() => new Response('success'))
    for (let passed = 0; passed < 60; passed += 1) {
      await at.simulator.pushDue()
      await at.clock.advance(minute)
    }
    expect(pushes).toHaveLength(6)
    const { text, receiveId } = opened(pushes[0]!)
    expect(receiveId).toBe('wxc')
    expect(text).toMatch(
      /<AppId><!\[CDATA\[wxc\]\]><\/AppId><CreateTime>\d{10}<\/CreateTime><InfoType><!\[CDATA\[component_verify_ticket\]\]>/,
    )
    const ticket = /<ComponentVerifyTicket><!\[CDATA\[(.*?)\]\]>/.exec(text)?.[1] ?? ''
    expect(await componentToken(at, ticket)).toMatchObject({ expires_in: 7200 })
    expect(pushes[0]!.url.searchParams.get('keep')).toBe('1')
  })

  it('is tried three times, and then lost', async () => {
    const { at, pushes } = pushing(() => new Response('no', { status: 503 }))
    expect(await at.simulator.pushDue()).toEqual({ taken: 0, lost: 1 })
    expect(pushes).toHaveLength(3)
    expect(await at.simulator.pushDue()).toEqual({ taken: 0, lost: 0 })
  })

  it('begins when it is asked for, where the account says so', async () => {
    const { at, pushes } = pushing(() => new Response('success'), {
      accounts: [{ ...account, callback, pushing: false }],
    })
    await at.simulator.pushDue()
    expect(pushes).toHaveLength(0)
    expect(await api(at, 'api_start_push_ticket', { component_secret: 's' })).toMatchObject({ errcode: 0 })
    await at.simulator.pushDue()
    expect(pushes).toHaveLength(1)
  })

  it('tells of authorisations in order', async () => {
    const { at, pushes } = pushing(() => new Response('success'))
    at.simulator.authorise('wxc', 'wx5')
    at.simulator.authorise('wxc', 'wx5')
    at.simulator.withdrawAuthorisation('wxc', 'wx5')
    await at.simulator.pushDue()
    const types = pushes.map((push) => /<InfoType><!\[CDATA\[(.*?)\]\]>/.exec(opened(push).text)?.[1])
    expect(types).toEqual(['authorized', 'updateauthorized', 'unauthorized', 'component_verify_ticket'])
  })
})

describe('the page', () => {
  it('offers accounts at once, takes a pre_auth_code once, and writes nothing of the caller’s as HTML', async () => {
    const at = open({ accounts: [{ ...account, offers: ['wx5<b>'] }] })
    const token = String((await componentToken(at)).component_access_token)
    const { pre_auth_code: code } = await api(at, 'api_create_preauthcode', {}, token)
    const address = (choose = ''): string =>
      `/cgi-bin/componentloginpage?component_appid=wxc&pre_auth_code=${String(code)}&redirect_uri=${encodeURIComponent('http://h/back?state=1')}${choose}`
    const page = await at.send(address())
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(await page.text()).not.toContain('<b>')
    const back = await at.send(address('&choose=wx5'))
    expect(back.status).toBe(302)
    expect(back.headers.get('location')).toMatch(
      /^http:\/\/h\/back\?state=1&auth_code=queryauthcode.*&expires_in=3600$/,
    )
    expect((await at.send(address())).status).toBe(400)
    expect((await at.send('/cgi-bin/componentloginpage?component_appid=wx9')).status).toBe(400)
  })
})

describe('the control API', () => {
  it('authorises, withdraws, rotates and makes tickets', async () => {
    const at = open()
    expect(await at.post('/_simulator/ticket', { account: 'wxc' })).toMatchObject({
      ticket: expect.stringContaining('ticket@@@') as string,
    })
    const body = { component: 'wxc', account: 'wx7' }
    expect(await at.post('/_simulator/authorise', body)).toMatchObject({ auth_code: expect.any(String) as string })
    expect(await at.post('/_simulator/rotate-refresh-token', body)).toEqual({ ok: true })
    expect(await at.post('/_simulator/withdraw-authorisation', body)).toEqual({ ok: true })
    expect(await at.post('/_simulator/withdraw-authorisation', body)).toMatchObject({ error: { code: 'not_found' } })
    expect(await at.post('/_simulator/push')).toEqual({ taken: 0, lost: 0 })
    expect(await at.post('/_simulator/ticket', { account: 'wx9' })).toMatchObject({ error: { code: 'not_found' } })
  })
})
