/** Third-party apps: what is sent for them and their organisations, and what their platforms' messages bring. */
import { describe, expect, it } from 'vitest'
import { askScripted, gist, input, json, source } from '../../test/providers/scripted.ts'
import { manualClock, noon, seededRandom } from '../../test/simulator/stage.ts'
import type { JsonObject } from '../base/json.ts'
import type { Message } from '../model/message.ts'
import { askForPush, linkOf, parseSource, readMessage, redeem, type Call } from './catalogue.ts'
import { suiteSignature } from './dingtalk-corp.ts'

const suite = { provider: 'wecom-suite', suite_id: 'ww_s', suite_secret: 'canary-s' } as const
const ding = { provider: 'dingtalk-suite', suite_key: 'suite1', suite_secret: 'canary-d' } as const
const store = { provider: 'feishu-store', app_id: 'cli_s', secret: 'canary-f' } as const
const siblings = (name: string): JsonObject | undefined =>
  ({ suite: { ...suite, base_url: 'http://up.test' }, ding: { ...ding, stack: 'old' }, store })[name]
const inputs = { suite: input('S'), ding: { ...input('S'), grant: 'ticket' }, store: input('A') }

function message(event: string, fields: JsonObject, more: Partial<Message> = {}): Message {
  return { type: null, event, account: 'cli_s', createdAt: 5_000, fields, raw: '', ...more }
}

type Sent = { readonly url: string; readonly body: string }

/** A call to an upstream that answers what the test says. */
function calling(answer: JsonObject, more: Partial<Call> = {}): { readonly call: Call; readonly sent: Sent[] } {
  const sent: Sent[] = []
  const fetch = async (request: Request): Promise<Response> => {
    sent.push({ url: request.url, body: await request.text() })
    return json(answer)
  }
  const env = { clock: manualClock(noon), random: seededRandom(1), fetch }
  const held = { token: 'S', fields: {}, isReported: false }
  return { sent, call: { env, signal: new AbortController().signal, force: false, inputs: new Map(), held, ...more } }
}

const journey = { redirectUri: 'https://me.test/back?x=1', state: 'st&te', verifier: 'v', device: 'desktop' } as const

describe('wecom-suite', () => {
  it('is asked with the ticket that was pushed last', async () => {
    const script = (): Response => json({ errcode: 0, errmsg: 'ok', suite_access_token: 'S', expires_in: 7_200 })
    const asked = await askScripted(suite, script, { grant: 'ticket 1' })
    expect(gist(asked)).toBe('issued 7200000')
    expect(asked.requests[0]?.url).toBe('https://qyapi.weixin.qq.com/cgi-bin/service/get_suite_token')
    const body = { suite_id: 'ww_s', suite_secret: 'canary-s', suite_ticket: 'ticket 1' }
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual(body)
  })

  it('sends a person to the page of WeCom with a code that was made for them', async () => {
    const { call, sent } = calling({ errcode: 0, pre_auth_code: 'pre/1', expires_in: 1_200 })
    expect(await linkOf(source(suite), call, journey)).toEqual({
      url: 'https://open.work.weixin.qq.com/3rdapp/install?suite_id=ww_s&pre_auth_code=pre%2F1&redirect_uri=https%3A%2F%2Fme.test%2Fback%3Fx%3D1&state=st%26te',
    })
    expect(sent[0]?.url).toBe('https://qyapi.weixin.qq.com/cgi-bin/service/get_pre_auth_code?suite_access_token=S')
  })

  it('says why there is no link', async () => {
    const held = { token: 'canary-suite-token', fields: {}, isReported: false }
    const { call } = calling({ errcode: 42009, errmsg: 'suite_access_token canary-suite-token expired' }, { held })
    const link = await linkOf(source(suite), call, journey)
    expect(link).toMatchObject({ refused: { failure: { upstream: { errcode: 42009 } } } })
    expect(JSON.stringify(link)).not.toContain('canary')
  })

  it('takes a token and the permanent code for an auth code, and tells nobody who the administrator is', async () => {
    const answer = {
      access_token: 'T',
      expires_in: 7_200,
      permanent_code: 'canary-code',
      auth_corp_info: { corpid: 'ww9' },
      auth_user_info: { userid: 'canary-admin' },
    }
    const { call, sent } = calling(answer)
    const { attempt, child } = await redeem(source(suite), call, { code: 'c', journey: null })
    const fields = { access_token: 'T', expires_in: 7_200 }
    const grant = { value: 'canary-code', lifetimeMs: null }
    expect(attempt).toEqual({ outcome: 'issued', issued: { value: 'T', lifetimeMs: 7_200_000, fields, grant } })
    expect(child).toEqual({ account: 'ww9', definition: { provider: 'wecom-corp', corpid: 'ww9' } })
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({ auth_code: 'c' })
  })

  it.each([
    {},
    { permanent_code: 'p' },
    { permanent_code: 'p', auth_corp_info: { corpid: 7 } },
    { auth_corp_info: {} },
  ])('knows that it may have used up a code for nothing: %j', async (part) => {
    const { call } = calling({ access_token: 'T', expires_in: 7_200, ...part })
    const { attempt, child } = await redeem(source(suite), call, { code: 'c', journey: null })
    expect([attempt.outcome, child]).toEqual(['unknown', undefined])
  })

  it('reads what WeCom pushes', () => {
    const read = (event: string, fields: JsonObject, more = {}): unknown =>
      readMessage(source(suite), message(event, { SuiteId: 'ww_s', ...fields }, more))
    const grant = { kind: 'grant', value: 't1', at: 5_000, livesMs: 1_800_000 }
    expect(read('suite_ticket', { SuiteTicket: ' t1 ' })).toEqual(grant)
    expect(read('create_auth', { AuthCode: 'c' })).toEqual({ kind: 'authorized', code: 'c' })
    expect(read('reset_permanent_code', { AuthCode: 'c' })).toEqual({ kind: 'authorized', code: 'c' })
    expect(read('cancel_auth', { AuthCorpId: 'ww9' })).toEqual({ kind: 'revoked', child: 'ww9', at: 5_000 })
    const none = { kind: 'none' }
    expect(read('change_auth', { AuthCorpId: 'ww9' })).toEqual(none)
    expect(read('suite_ticket', { SuiteTicket: 't1', SuiteId: 'another' })).toEqual(none)
    expect(read('suite_ticket', { SuiteTicket: 't1' }, { createdAt: null })).toEqual(none)
    expect(read('suite_ticket', { SuiteTicket: { deep: 1 } })).toEqual(none)
    expect(read('create_auth', {})).toEqual(none)
    expect(read('cancel_auth', { AuthCorpId: '' })).toEqual(none)
  })
})

describe('wecom-corp', () => {
  const corp = { provider: 'wecom-corp', of: 'suite', corpid: 'ww9' } as const

  it('is asked with the token of its suite and its permanent code', async () => {
    const asked = await askScripted(corp, () => json({ access_token: 'T', expires_in: 7_200 }), {
      inputs,
      grant: 'code',
    })
    expect(gist(asked)).toBe('issued 7200000')
    expect(asked.requests[0]?.url).toBe(
      'https://qyapi.weixin.qq.com/cgi-bin/service/get_corp_token?suite_access_token=S',
    )
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual({ auth_corpid: 'ww9', permanent_code: 'code' })
  })

  it('asks where its suite does, and so does its ticket', () => {
    const among = (name: string): JsonObject | undefined => (name === 'corp' ? corp : siblings(name))
    const ticket = parseSource('js', { provider: 'wecom-ticket', of: 'corp' }, 'file', among)
    expect(ticket.ok && ticket.source.identity).toContain('up.test')
    expect(source(corp, among).identity).toContain('up.test')
  })

  it('may be given a permanent code that another program has', () => {
    expect(source({ ...corp, permanent_code: 'canary' }).seed?.value.reveal()).toBe('canary')
    expect(source(corp).seed).toBe(null)
  })
})

describe('wecom-corpgroup', () => {
  it('is asked with the token of the upstream corp', async () => {
    const definition = { provider: 'wecom-corpgroup', of: 'suite', corpid: 'ww8', agentid: 7 }
    const script = (): Response => json({ errcode: 0, access_token: 'T', expires_in: 7_200 })
    const asked = await askScripted(definition, script, { inputs })
    expect(gist(asked)).toBe('issued 7200000')
    expect(asked.requests[0]?.url).toBe('https://qyapi.weixin.qq.com/cgi-bin/corpgroup/corp/gettoken?access_token=S')
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual({ corpid: 'ww8', agentid: 7, business_type: 1 })
  })
})

describe('dingtalk-suite', () => {
  it('is asked by both stacks', async () => {
    const modern = await askScripted(ding, () => json({ accessToken: 'S', expireIn: 7_200 }), { grant: 't' })
    expect([gist(modern), modern.requests[0]?.url]).toEqual([
      'issued 7200000',
      'https://api.dingtalk.com/v1.0/oauth2/suiteAccessToken',
    ])
    const body = { suiteKey: 'suite1', suiteSecret: 'canary-d', suiteTicket: 't' }
    expect(JSON.parse(modern.bodies[0] ?? '')).toEqual(body)
    const script = (): Response => json({ suite_access_token: 'S', expires_in: 7_200 })
    const old = await askScripted({ ...ding, stack: 'old' }, script, { grant: 't' })
    expect([gist(old), old.requests[0]?.url]).toEqual([
      'issued 7200000',
      'https://oapi.dingtalk.com/service/get_suite_token',
    ])
    expect(JSON.parse(old.bodies[0] ?? '')).toEqual({
      suite_key: 'suite1',
      suite_secret: 'canary-d',
      suite_ticket: 't',
    })
  })

  it('reads what DingTalk pushes', () => {
    const read = (event: string, fields: JsonObject): unknown =>
      readMessage(source(ding), message(event, { SuiteKey: 'suite1', ...fields }))
    expect(read('suite_ticket', { SuiteTicket: 't' })).toEqual({ kind: 'grant', value: 't', at: 5_000, livesMs: null })
    expect(read('tmp_auth_code', { AuthCode: 'c', AuthCorpId: 'ding9' })).toEqual({
      kind: 'grant',
      value: 'ding9',
      at: 5_000,
      livesMs: null,
      child: { account: 'ding9', definition: { provider: 'dingtalk-corp', corpid: 'ding9' } },
    })
    expect(read('suite_relieve', { AuthCorpId: 'ding9' })).toEqual({ kind: 'revoked', child: 'ding9', at: 5_000 })
    expect(read('change_auth', { AuthCorpId: 'ding9' })).toEqual({ kind: 'none' })
    expect(read('tmp_auth_code', { AuthCode: 'c' })).toEqual({ kind: 'none' })
    expect(read('suite_ticket', { SuiteTicket: 't', SuiteKey: 'another' })).toEqual({ kind: 'none' })
  })

  it('reads what DingTalk pushes by SyncHTTP, of which each has its own time', () => {
    const read = (...bizData: readonly JsonObject[]): unknown =>
      readMessage(source(ding), message('SYNC_HTTP_PUSH_HIGH', { bizData: [...bizData] }, { createdAt: null }))
    const item = (data: JsonObject, more: JsonObject = {}): JsonObject => ({
      gmt_modified: 7_000,
      biz_data: JSON.stringify(data),
      corp_id: 'ding9',
      ...more,
    })
    const definition = { provider: 'dingtalk-corp', corpid: 'ding9' }
    expect(
      read(
        item({ syncAction: 'suite_ticket', suiteTicket: 't' }, { biz_type: 2 }),
        item({ syncAction: 'org_suite_auth' }, { biz_type: 4 }),
        item({ syncAction: 'org_suite_relieve' }, { biz_type: 4 }),
        item({ syncAction: 'org_change' }),
        item({ syncAction: 'suite_ticket', suiteTicket: 't' }, { gmt_modified: null }),
        { biz_data: 'no JSON', gmt_modified: 7_000 },
      ),
    ).toEqual({
      kind: 'several',
      pushes: [
        { kind: 'grant', value: 't', at: 7_000, livesMs: null },
        { kind: 'grant', value: 'ding9', at: 7_000, livesMs: null, child: { account: 'ding9', definition } },
        { kind: 'revoked', child: 'ding9', at: 7_000 },
        { kind: 'none' },
        { kind: 'none' },
        { kind: 'none' },
      ],
    })
  })
})

describe('dingtalk-corp', () => {
  const corp = { provider: 'dingtalk-corp', of: 'ding', corpid: 'ding9' } as const

  it('signs as the example that is published', () => {
    const signed = suiteSignature({ secret: 'secret', ticket: 'ticket' }, '1636725918388')
    expect(signed).toBe('LOZmXJzlQYpIu5emP6/1OF4hE3qlMzY/6y4FbDjXPbU=')
  })

  it('has the key, the secret and the stack of its suite, and needs its ticket', async () => {
    const parsed = source(corp, siblings)
    expect(parsed.settings).toMatchObject({ suite_key: 'suite1', stack: 'old' })
    const definition = { ...corp, ...ding, provider: 'dingtalk-corp', stack: 'old' }
    const asked = await askScripted(definition, () => json({ errcode: 0, access_token: 'T', expires_in: 7_200 }), {
      inputs,
    })
    expect(gist(asked)).toBe('issued 7200000')
    const url = new URL(asked.requests[0]?.url ?? '')
    const timestamp = url.searchParams.get('timestamp') ?? ''
    expect(Object.fromEntries(url.searchParams)).toEqual({
      accessKey: 'suite1',
      timestamp,
      suiteTicket: 'ticket',
      signature: suiteSignature({ secret: 'canary-d', ticket: 'ticket' }, timestamp),
    })
    expect([url.pathname, timestamp, asked.bodies[0]]).toEqual([
      '/service/get_corp_token',
      String(noon),
      '{"auth_corpid":"ding9"}',
    ])
    const without = await askScripted(definition, () => json({}), { inputs: { ding: input('S') } })
    expect(gist(without)).toBe('rejected configuration request_invalid')
    expect(without.requests).toEqual([])
  })

  it('posts all of it to the new stack', async () => {
    const definition = { ...corp, suite_key: 'suite1', suite_secret: 'canary-d' }
    const asked = await askScripted(definition, () => json({ accessToken: 'T', expireIn: 7_200 }), { inputs })
    expect(asked.requests[0]?.url).toBe('https://api.dingtalk.com/v1.0/oauth2/corpAccessToken')
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual({
      suiteKey: 'suite1',
      suiteSecret: 'canary-d',
      authCorpId: 'ding9',
      suiteTicket: 'ticket',
    })
  })
})

describe('feishu-store', () => {
  it('asks for a push', async () => {
    const { call, sent } = calling({ code: 0, msg: 'ok' })
    expect(await askForPush(source(store), call)).toBe(null)
    expect(sent).toEqual([
      {
        url: 'https://open.feishu.cn/open-apis/auth/v3/app_ticket/resend',
        body: '{"app_id":"cli_s","app_secret":"canary-f"}',
      },
    ])
    const refused = await askForPush(source(store), calling({ code: 10016, msg: 'not isv' }).call)
    expect(refused).toMatchObject({ class: 'configuration' })
    expect(await askForPush(source(suite), call)).toBe(undefined)
  })

  it('reads what Feishu pushes, by both versions of its events', () => {
    const read = (event: JsonObject & { readonly type: string }, more: Partial<Message> = {}): unknown =>
      readMessage(source(store), message(event.type, { event }, more))
    expect(read({ type: 'app_ticket', app_ticket: 't' })).toEqual({
      kind: 'grant',
      value: 't',
      at: 5_000,
      livesMs: null,
    })
    const child = { account: 't1', definition: { provider: 'feishu-tenant', tenant_key: 't1' } }
    const opened = { kind: 'grant', value: 't1', at: 5_000, livesMs: null, child }
    expect(read({ type: 'app_open', tenant_key: 't1' })).toEqual(opened)
    expect(read({ type: 'app_status_change', tenant_key: 't1', status: 'start_by_tenant' })).toEqual(opened)
    const stopped = { kind: 'revoked', child: 't1', at: 5_000 }
    expect(read({ type: 'app_status_change', tenant_key: 't1', status: 'stop_by_tenant' })).toEqual(stopped)
    expect(read({ type: 'app_uninstalled', tenant_key: 't1' })).toEqual(stopped)
    expect(read({ type: 'app_open' })).toEqual({ kind: 'none' })
    expect(read({ type: 'app_ticket', app_ticket: 't' }, { account: 'cli_other' })).toEqual({ kind: 'none' })
    expect(read({ type: 'message', text: 'hello' })).toEqual({ kind: 'none' })
  })
})

describe('feishu-tenant', () => {
  it('is asked with the token of its store app', async () => {
    const definition = { provider: 'feishu-tenant', of: 'store', tenant_key: 't1' }
    const script = (): Response => json({ code: 0, msg: 'ok', tenant_access_token: 'T', expire: 7_140 })
    const asked = await askScripted(definition, script, { inputs })
    expect([gist(asked), asked.requests[0]?.url]).toEqual([
      'issued 7140000',
      'https://open.feishu.cn/open-apis/auth/v3/tenant_access_token',
    ])
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual({ app_access_token: 'A', tenant_key: 't1' })
  })
})

describe('a callback', () => {
  const listens = { token: 't', encoding_aes_key: 'A'.repeat(43) }
  const idsOf = (definition: JsonObject): readonly string[] | undefined => source(definition).callback?.receiveIds

  it('is for the suite, and its check for the service provider', () => {
    expect(idsOf({ ...suite, callback: listens })).toEqual(['ww_s'])
    expect(idsOf({ ...suite, corpid: 'ww_p', callback: listens })).toEqual(['ww_s', 'ww_p'])
  })

  it('is for the app of DingTalk, or for the organisation where it was registered by API', () => {
    const app = { provider: 'dingtalk', appkey: 'ding1', secret: 's', callback: listens }
    expect([idsOf(app), idsOf({ ...app, corpid: 'ding9' })]).toEqual([['ding1'], ['ding9', 'ding1']])
    expect(idsOf({ ...ding, callback: listens })).toEqual(['suite1'])
  })

  it('may be had by every app of Feishu, encrypted or not', () => {
    for (const definition of [store, { ...store, provider: 'feishu' }]) {
      expect(source({ ...definition, callback: { token: 't' } }).callback?.aesKey).toBe(null)
      const { callback } = source({ ...definition, callback: { token: 't', encrypt_key: 'k' } })
      expect([callback?.scheme, callback?.aesKey?.reveal()]).toEqual(['feishu', 'k'])
    }
  })
})

describe('an organisation whose consent is all that is needed', () => {
  it.each([
    { provider: 'dingtalk-corp', of: 'ding', corpid: 'ding9' },
    { provider: 'feishu-tenant', of: 'store', tenant_key: 't1' },
  ])('may be asked for as soon as it is defined: $provider', (definition) => {
    const { seed, semantics } = source(definition)
    expect(seed).not.toBe(null)
    expect(semantics.grant).toMatchObject({ rotates: 'never' })
  })
})
