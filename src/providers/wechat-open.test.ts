/** What the sources of WeChat's Open Platform send, and what they make of odd answers and messages. */
import { describe, expect, it } from 'vitest'
import { askScripted, gist, input, json, source, type Script } from '../../test/providers/scripted.ts'
import { manualClock, noon, seededRandom } from '../../test/simulator/stage.ts'
import type { JsonObject } from '../base/json.ts'
import type { Message } from '../model/message.ts'
import { askForPush, linkOf, listAccounts, readMessage, redeem } from './catalogue.ts'
import type { Call, Input } from './provider.ts'

const component: JsonObject = { provider: 'wechat-component', appid: 'wxc', secret: 'canary-s' }
const authorizer: JsonObject = { provider: 'wechat-authorizer', of: 'platform', appid: 'wx5' }
const platform: Input = { ...input('canary-ct'), account: 'wxc' }
const token = { authorizer_access_token: 'at', expires_in: 7200 }
const refused = (errcode: number): Response => json({ errcode, errmsg: `no canary-ct canary-rt rid: 1` })

/** An upstream that answers each call by its name. */
const calls =
  (answers: Readonly<Record<string, () => Response>>): Script =>
  ({ url }) => {
    const name = new URL(url).pathname.split('/').at(-1) ?? ''
    return answers[name]?.() ?? json({ errcode: -1, errmsg: `unexpected ${name}` })
  }

const asked = ({ requests }: { readonly requests: readonly Request[] }): string[] =>
  requests.map(({ url }) => new URL(url).pathname.split('/').at(-1) ?? '')

describe('a component', () => {
  it('is asked with its ticket, by POST, with nothing secret in the address', async () => {
    const answer = await askScripted(component, () => json({ component_access_token: 'ct', expires_in: 7200 }), {
      grant: 'ticket@@@canary',
    })
    expect(answer.attempt).toEqual({
      outcome: 'issued',
      issued: { value: 'ct', lifetimeMs: 7_200_000, fields: { component_access_token: 'ct', expires_in: 7200 } },
    })
    const [request] = answer.requests
    expect(`${request?.method} ${request?.url}`).toBe(
      'POST https://api.weixin.qq.com/cgi-bin/component/api_component_token',
    )
    expect(JSON.parse(answer.bodies[0] ?? '')).toEqual({
      component_appid: 'wxc',
      component_appsecret: 'canary-s',
      component_verify_ticket: 'ticket@@@canary',
    })
  })

  it('is not asked without a ticket', async () => {
    const answer = await askScripted(component, () => json({}), { grant: null })
    expect([gist(answer), answer.requests.length]).toEqual(['rejected needs-authorization grant_missing', 0])
  })

  it.each([
    [61005, 'needs-authorization'],
    [61006, 'needs-authorization'],
    [40001, 'configuration'],
    [40125, 'configuration'],
    [40013, 'configuration'],
    [61004, 'permission'],
    [45035, 'permission'],
    [61028, 'permission'],
    [45009, 'quota'],
    [-1, 'transient'],
    [12345, 'transient'],
  ])('says of %d: %s, and tells no secret', async (code, word) => {
    const script = (): Response => json({ errcode: code, errmsg: 'no canary-s ticket@@@canary' })
    const { attempt } = await askScripted(component, script, { grant: 'ticket@@@canary' })
    expect(attempt).toMatchObject({ outcome: 'rejected', class: word })
    expect(JSON.stringify(attempt)).not.toContain('canary')
  })

  it('wants the key of its callback, because WeChat encrypts all it sends', () => {
    expect(() => source({ ...component, callback: { token: 't' } })).toThrow(/encoding_aes_key/)
    expect(source({ ...component, callback: { token: 't', encoding_aes_key: 'A'.repeat(43) } }).callback).toMatchObject(
      {
        scheme: 'wechat',
        receiveIds: ['wxc'],
      },
    )
  })
})

describe('a message to a component', () => {
  const read = (fields: JsonObject, createdAt: number | null = noon): unknown => {
    const message: Message = {
      type: null,
      event: null,
      account: null,
      createdAt,
      fields: { AppId: 'wxc', ...fields },
      raw: '',
    }
    return readMessage({ ...source(component), name: 'platform' }, message)
  }
  const none = { kind: 'none' }

  it('brings a ticket with its age, for twelve hours', () => {
    expect(read({ InfoType: 'component_verify_ticket', ComponentVerifyTicket: ' ticket@@@1 ' })).toEqual({
      kind: 'grant',
      value: 'ticket@@@1',
      at: noon,
      livesMs: 43_200_000,
    })
  })

  it.each(['authorized', 'updateauthorized'])('brings a code when it says %s', (InfoType) => {
    const child = { account: 'wx5', definition: { provider: 'wechat-authorizer', appid: 'wx5' } }
    const told = { kind: 'authorized', code: 'c' }
    expect(read({ InfoType, AuthorizationCode: 'c', AuthorizerAppid: 'wx5' })).toEqual({ ...told, child })
    expect(read({ InfoType, AuthorizationCode: 'c', AuthorizerAppid: 'wx5/jsapi' })).toEqual(told)
    expect(read({ InfoType })).toEqual(none)
  })

  it('tells who withdrew, and when', () => {
    expect(read({ InfoType: 'unauthorized', AuthorizerAppid: 'wx5' })).toEqual({
      kind: 'revoked',
      child: 'wx5',
      at: noon,
    })
    expect(read({ InfoType: 'unauthorized' })).toEqual(none)
  })

  it.each<[string, JsonObject, (number | null)?]>([
    ['about another platform', { AppId: 'wx-other', InfoType: 'component_verify_ticket', ComponentVerifyTicket: 't' }],
    ['about nobody', { AppId: null, InfoType: 'component_verify_ticket', ComponentVerifyTicket: 't' }],
    ['without its time', { InfoType: 'component_verify_ticket', ComponentVerifyTicket: 't' }, null],
    ['with a ticket that is a list', { InfoType: 'component_verify_ticket', ComponentVerifyTicket: ['t'] }],
    ['with a ticket that has a line in it', { InfoType: 'component_verify_ticket', ComponentVerifyTicket: 'a\r\nb' }],
    [
      'of a person who only writes so',
      { MsgType: 'event', Event: 'component_verify_ticket', ComponentVerifyTicket: 't' },
    ],
    ['of another kind', { InfoType: 'notify_third_fasteregister' }],
  ])('%s is for others', (_name, fields, createdAt = noon) => {
    expect(read(fields, createdAt)).toEqual(none)
  })
})

describe('an authorizer', () => {
  const ask = (answers: Parameters<typeof calls>[0], grant: string | null = 'canary-rt') =>
    askScripted(authorizer, calls(answers), { grant, inputs: { platform } })

  it('is asked with the token of its platform, and keeps the refresh token that comes with the answer out of sight', async () => {
    const answer = await ask({
      api_authorizer_token: () => json({ ...token, authorizer_refresh_token: 'rt2', func_info: [1] }),
    })
    expect(answer.attempt).toEqual({
      outcome: 'issued',
      issued: { value: 'at', lifetimeMs: 7_200_000, fields: token, grant: { value: 'rt2', lifetimeMs: null } },
    })
    expect(answer.requests[0]?.url).toBe(
      'https://api.weixin.qq.com/cgi-bin/component/api_authorizer_token?component_access_token=canary-ct',
    )
    expect(JSON.parse(answer.bodies[0] ?? '')).toEqual({
      component_appid: 'wxc',
      authorizer_appid: 'wx5',
      authorizer_refresh_token: 'canary-rt',
    })
  })

  it.each([undefined, '', null, 7, 'a b'])('keeps the refresh token it has when the answer has %j', async (odd) => {
    const { attempt } = await ask({ api_authorizer_token: () => json({ ...token, authorizer_refresh_token: odd }) })
    expect(attempt).toEqual({ outcome: 'issued', issued: { value: 'at', lifetimeMs: 7_200_000, fields: token } })
  })

  const info = (rt: unknown) => (): Response => json({ authorization_info: { authorizer_refresh_token: rt } })

  it('asks for a refresh token that it has not, and keeps it though the answer leaves it out', async () => {
    const answer = await ask({ api_get_authorizer_info: info('rt3'), api_authorizer_token: () => json(token) }, null)
    expect(asked(answer)).toEqual(['api_get_authorizer_info', 'api_authorizer_token'])
    expect(answer.attempt).toMatchObject({ outcome: 'issued', issued: { grant: { value: 'rt3' } } })
  })

  it('asks for one that is refused, once, and asks again with the other', async () => {
    let count = 0
    const answers = {
      api_get_authorizer_info: info('rt3'),
      api_authorizer_token: () => ((count += 1) === 1 ? refused(61023) : json(token)),
    }
    const answer = await ask(answers)
    expect(asked(answer)).toEqual(['api_authorizer_token', 'api_get_authorizer_info', 'api_authorizer_token'])
    expect(answer.attempt).toMatchObject({ outcome: 'issued', issued: { grant: { value: 'rt3' } } })
    const same = await ask({
      ...answers,
      api_get_authorizer_info: info('canary-rt'),
      api_authorizer_token: () => refused(61023),
    })
    expect([asked(same).length, gist(same)]).toEqual([2, 'rejected needs-authorization upstream_rejected'])
    const both = await ask({ ...answers, api_authorizer_token: () => refused(61023) })
    expect([asked(both).length, gist(both)]).toEqual([3, 'rejected needs-authorization upstream_rejected'])
  })

  it.each<[string, () => Response, string]>([
    ['the account is gone', () => refused(61003), 'rejected needs-authorization upstream_rejected'],
    ['the platform is busy', () => refused(-1), 'rejected transient upstream_rejected'],
    ['the answer holds none', info(''), 'rejected transient grant_not_told'],
    ['the answer is a page', () => json('<html>'), 'rejected transient grant_not_told'],
    ['the upstream broke down', () => json({}, { status: 502 }), 'rejected transient grant_not_told'],
  ])('puts no token in doubt when a refresh token is asked for and %s', async (_name, answer, expected) => {
    expect(gist(await ask({ api_get_authorizer_info: answer }, null))).toBe(expected)
  })

  it.each([40001, 40014, 42001, 42006])('says of %d that the token of its platform was refused', async (code) => {
    const { attempt } = await ask({ api_authorizer_token: () => refused(code) })
    expect(attempt).toMatchObject({ outcome: 'rejected', class: 'transient', refusedInput: 'platform' })
    expect(JSON.stringify(attempt)).not.toContain('canary')
  })

  it.each([61003, 42007])('says of %d that somebody must authorise', async (code) => {
    const answer = await ask({ api_authorizer_token: () => refused(code) })
    expect([gist(answer), asked(answer).length]).toEqual(['rejected needs-authorization upstream_rejected', 1])
  })

  it('takes the way to WeChat from its platform, and its tickets take it from there', () => {
    const definitions: Record<string, JsonObject> = {
      platform: { ...component, base_url: 'http://up.test/wechat', proxy: 'http://p.test:1' },
      'platform/wx5': authorizer,
    }
    const ticket = source({ provider: 'wechat-ticket', of: 'platform/wx5' }, (name) => definitions[name])
    expect(ticket).toMatchObject({
      settings: { base_url: 'http://up.test/wechat' },
      policy: { proxy: 'http://p.test:1' },
    })
    expect(ticket.identity).toContain('wechat-authorizer:up.test/wechat/wx5(wechat-component:up.test/wechat/wxc)')
    expect(() => source({ ...authorizer, of: 'platform/wx5' }, (name) => definitions[name])).toThrow(/wechat-component/)
  })
})

describe('an authorisation', () => {
  const call = (script: Script): Call => ({
    env: { clock: manualClock(), random: seededRandom(1), fetch: async (request) => await script(request) },
    signal: new AbortController().signal,
    force: false,
    inputs: new Map(),
    held: { token: 'canary-ct', fields: {}, isReported: false },
  })
  const named = { ...source(component), name: 'platform' }
  const proof = { code: 'canary-code', journey: null }
  const found = { authorizer_appid: 'wx5', ...token, authorizer_refresh_token: 'rt' }

  it('brings a token, a refresh token, and as little of a definition as can be', async () => {
    const told = await redeem(
      named,
      call(() => json({ authorization_info: found })),
      proof,
    )
    expect(told).toEqual({
      attempt: {
        outcome: 'issued',
        issued: { value: 'at', lifetimeMs: 7_200_000, fields: token, grant: { value: 'rt', lifetimeMs: null } },
      },
      child: { account: 'wx5', definition: { provider: 'wechat-authorizer', appid: 'wx5' } },
    })
  })

  it.each<[string, () => Response]>([
    ['nothing', () => json({})],
    ['no account', () => json({ authorization_info: { ...found, authorizer_appid: undefined } })],
    ['an account that is no name', () => json({ authorization_info: { ...found, authorizer_appid: '../platform' } })],
    ['an account below another', () => json({ authorization_info: { ...found, authorizer_appid: 'wx5/jsapi' } })],
    ['no refresh token', () => json({ authorization_info: { ...found, authorizer_refresh_token: '' } })],
    ['no token', () => json({ authorization_info: { ...found, authorizer_access_token: '' } })],
    ['a used code', () => json({ errcode: 61009, errmsg: 'canary-ct canary-code' })],
  ])('with %s makes no source', async (_name, answer) => {
    const { attempt } = await redeem(named, call(answer), proof)
    expect(attempt.outcome).not.toBe('issued')
    expect(JSON.stringify(attempt)).not.toContain('canary')
  })

  it('is begun on WeChat’s own pages, unless told otherwise', async () => {
    const journey = { redirectUri: 'https://h.test/back?a=1', state: 's', verifier: 'v', device: 'desktop' } as const
    const code = (): Response => json({ pre_auth_code: 'p', expires_in: 600 })
    expect(await linkOf(named, call(code), journey)).toEqual({
      url: 'https://mp.weixin.qq.com/cgi-bin/componentloginpage?component_appid=wxc&pre_auth_code=p&redirect_uri=https%3A%2F%2Fh.test%2Fback%3Fa%3D1%26state%3Ds&auth_type=3',
    })
    expect(await linkOf(named, call(code), { ...journey, device: 'mobile' })).toEqual({
      url: 'https://open.weixin.qq.com/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&component_appid=wxc&pre_auth_code=p&redirect_uri=https%3A%2F%2Fh.test%2Fback%3Fa%3D1%26state%3Ds&auth_type=3#wechat_redirect',
    })
    expect(
      await linkOf(
        named,
        call(() => json({})),
        journey,
      ),
    ).toMatchObject({ refused: { outcome: 'unknown' } })
  })

  it('is listed with what is usable, to the end', async () => {
    const list = [
      { authorizer_appid: 'wx1', refresh_token: 'r' },
      { authorizer_appid: 'a/b', refresh_token: 'r' },
      7,
      { authorizer_appid: 'wx2' },
    ]
    const told = await listAccounts(
      named,
      call(() => json({ total_count: 9, list })),
      4,
    )
    expect(told).toMatchObject({
      total: 9,
      next: 8,
      accounts: [
        { account: 'wx1', grant: 'r' },
        { account: 'wx2', grant: null },
      ],
    })
    expect(
      await listAccounts(
        named,
        call(() => json({ total_count: 9, list: [] })),
        4,
      ),
    ).toMatchObject({ next: null })
    expect(
      await listAccounts(
        named,
        call(() => json({ list })),
        4,
      ),
    ).toMatchObject({ refused: { outcome: 'unknown' } })
  })

  it('of 500 accounts with long names fits', async () => {
    const list = Array.from({ length: 500 }, (_, at) => ({
      authorizer_appid: `wx${at}`,
      refresh_token: 'r'.repeat(512),
      auth_time: 1,
    }))
    expect(
      await listAccounts(
        named,
        call(() => json({ total_count: 500, list })),
        0,
      ),
    ).toMatchObject({ total: 500 })
  })

  it('asks WeChat to push again by the name that it wants the secret to have', async () => {
    const bodies: string[] = []
    const script: Script = async (request) => {
      bodies.push(await request.text())
      return json({ errcode: 0, errmsg: 'ok' })
    }
    expect(await askForPush(named, call(script))).toBeNull()
    expect(JSON.parse(bodies[0] ?? '')).toEqual({ component_appid: 'wxc', component_secret: 'canary-s' })
    expect(
      await askForPush(
        named,
        call(() => refused(40013)),
      ),
    ).toMatchObject({ class: 'configuration' })
    // What stands between us and WeChat has its own way to refuse.
    const blocked = Response.json({ message: 'blocked' }, { status: 403 })
    expect(
      await askForPush(
        named,
        call(() => blocked),
      ),
    ).toMatchObject({ class: 'permission' })
  })
})
