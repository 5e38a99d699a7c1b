import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { askScripted, gist, input, json, source, type Asked } from '../../test/providers/scripted.ts'
import { noon } from '../../test/simulator/stage.ts'
import type { JsonObject } from '../base/json.ts'

const url = 'https://api.test/token'
const good = { access_token: 'T1', expires_in: 7200 }
const ask = (more: JsonObject, body: unknown = good, options: Parameters<typeof askScripted>[2] = {}): Promise<Asked> =>
  askScripted({ provider: 'http', url, ...more }, () => json(body), options)
const withWeixin = (token: string, fields: JsonObject = { access_token: token }): object => ({
  inputs: { weixin: input(token, fields) },
})

describe('the request', () => {
  it('is TokenBoy’s: parameters go to the query, the template is filled from the whole answer', async () => {
    const query = { access_token: '{{results.weixin.access_token}}', type: 'jsapi' }
    const { requests } = await ask(
      { url: `${url}?keep=a%20b`, query, token: '/ticket' },
      { ticket: 'T' },
      withWeixin('A/+='),
    )
    expect(requests.map((request) => `${request.method} ${request.url}`)).toEqual([
      'GET https://api.test/token?keep=a%20b&access_token=A%2F%2B%3D&type=jsapi',
    ])
  })

  it('carries JSON with every value as a JSON text, and numbers where asked for', async () => {
    const body = { a: 'x{{weixin}}', n: 7, t: true, list: ['{{weixin}}', { at: '{{number(nowMs)}}' }] }
    const { requests, bodies } = await ask({ body }, good, withWeixin('"},\n{'))
    expect(requests[0]?.headers.get('content-type')).toBe('application/json')
    expect(JSON.parse(bodies[0] ?? '')).toEqual({ a: 'x"},\n{', n: 7, t: true, list: ['"},\n{', { at: noon }] })
  })

  it('carries a form', async () => {
    const { requests, bodies } = await ask({ form: { a: '{{weixin}}', b: 1 } }, good, withWeixin('x&b=2'))
    expect(requests[0]?.method).toBe('POST')
    expect(bodies).toEqual(['a=x%26b%3D2&b=1'])
  })

  it('signs with one instant in all its parts', async () => {
    const body = { appId: '{{values.id}}', timestamp: '{{nowMs}}', sign: '{{md5(values.id, nowMs, values.secret)}}' }
    const { bodies } = await ask({ body, values: { id: 'i', secret: 's' }, token: '/authToken', expires_in: 86_400 })
    const sign = createHash('md5').update(`i${noon}s`).digest('hex')
    expect(JSON.parse(bodies[0] ?? '')).toEqual({ appId: 'i', timestamp: String(noon), sign })
  })

  it('keeps what is put into the path inside its segment', async () => {
    const { requests } = await ask({ url: `${url}/{{weixin}}/x` }, good, withWeixin('a/../b?c#d'))
    expect(requests[0]?.url).toBe('https://api.test/token/a%2F..%2Fb%3Fc%23d/x')
  })

  it.each(['.', '..'])('is not sent when %s is put into the path', async (value) => {
    const asked = await ask({ url: `${url}/{{weixin}}/x` }, good, withWeixin(value))
    expect([gist(asked), asked.requests.length]).toEqual(['rejected configuration request_invalid', 0])
  })

  it.each(['a\r\nx-evil: 1', 'a\nb', 'a\u0000', 'ü', '龘'])(
    'is not sent when a header would hold %j',
    async (value) => {
      const headers = { authorization: 'Bearer {{weixin}}' }
      const asked = await ask({ headers }, good, withWeixin(value))
      expect([gist(asked), asked.requests.length]).toEqual(['rejected configuration request_invalid', 0])
      expect(JSON.stringify(asked.attempt)).not.toContain(JSON.stringify(value).slice(1, -1))
    },
  )

  it('is not sent when a field is missing, and the outcome names it', async () => {
    const asked = await ask({ query: { t: '{{results.weixin.nothing}}' } }, good, withWeixin('A'))
    expect([gist(asked), asked.requests.length]).toEqual(['rejected configuration input_missing', 0])
    expect(asked.attempt).toHaveProperty('failure.message', 'the answer of weixin holds no text at nothing')
  })
})

describe('the answer', () => {
  const seconds = noon / 1_000
  it.each<[string, JsonObject, unknown, string]>([
    [
      'any field',
      { token: '/data/auth', expires_in: '/data/expire' },
      { data: { auth: 'T', expire: 60 } },
      'issued 60000',
    ],
    ['a field in a list', { token: '/list/1/t' }, { list: [0, { t: 'T' }] }, 'issued null'],
    ['a key with a slash', { token: '/a~1b' }, { 'a/b': 'T' }, 'issued null'],
    ['seconds as a text', {}, { access_token: 'T', expires_in: '7200' }, 'issued 7200000'],
    ['seconds with their unit', {}, { access_token: 'T', expires_in: '7200s' }, 'issued 7200000'],
    ['milliseconds', { expires_unit: 'ms' }, { access_token: 'T', expires_in: 7_200_000 }, 'issued 7200000'],
    ['a fixed lifetime', { expires_in: 86_400 }, { access_token: 'T' }, 'issued 86400000'],
    ['an ISO instant', { expires_at: '/at' }, { access_token: 'T', at: '2026-03-02T05:00:00Z' }, 'issued 3600000'],
    [
      'an ISO instant with an offset',
      { expires_at: '/at' },
      { access_token: 'T', at: '2026-03-02T13:00:00.500+08:00' },
      'issued 3600500',
    ],
    [
      'an instant without a zone is not guessed at',
      { expires_at: '/at' },
      { access_token: 'T', at: '2026-03-02T05:00:00' },
      'issued null',
    ],
    ['epoch seconds', { expires_at: '/at' }, { access_token: 'T', at: seconds + 60 }, 'issued 60000'],
    ['epoch seconds as a text', { expires_at: '/at' }, { access_token: 'T', at: String(seconds + 60) }, 'issued 60000'],
    ['epoch milliseconds', { expires_at: '/at' }, { access_token: 'T', at: noon + 61_000 }, 'issued 61000'],
    [
      'the digits of a date are no instant',
      { expires_at: '/at' },
      { access_token: 'T', at: '20151022043831' },
      'issued null',
    ],
    [
      'an instant in the past says nothing',
      { expires_at: '/at' },
      { access_token: 'T', at: seconds - 1 },
      'issued null',
    ],
    [
      'an instant without end is ten years',
      { expires_at: '/at' },
      { access_token: 'T', at: '9999-12-31T23:59:59Z' },
      'issued 315360000000',
    ],
    ['an unusable instant leaves the lifetime', { expires_at: '/at' }, { ...good, at: 'soon' }, 'issued 7200000'],
    ['no error as null, false, empty, 0', { error: '/e' }, { ...good, e: null }, 'issued 7200000'],
    ['no error as false', { error: '/e' }, { ...good, e: false }, 'issued 7200000'],
    ['no error as "0"', { error: '/e' }, { ...good, e: '0' }, 'issued 7200000'],
    ['an error', { error: '/e' }, { ...good, e: 1 }, 'rejected transient upstream_rejected'],
    ['an error that is an object', { error: '/e' }, { ...good, e: {} }, 'rejected transient upstream_rejected'],
    ['success told', { success: { pointer: '/result', equals: 1 } }, { ...good, result: 1 }, 'issued 7200000'],
    [
      'success not told',
      { success: { pointer: '/result', equals: 1 } },
      { ...good, result: '1' },
      'rejected transient upstream_rejected',
    ],
    ['success missing', { success: { pointer: '/ok', equals: true } }, good, 'rejected transient upstream_rejected'],
    ['a token where none is', { token: '/x' }, good, 'unknown token_unusable'],
    ['a token that only the prototype has', { token: '/toString' }, {}, 'unknown token_unusable'],
  ])('%s', async (_, more, body, expected) => {
    expect(gist(await ask(more, body))).toBe(expected)
  })

  it.each(['errmsg', 'msg', 'message', 'error_description'])('tells its error in %s', async (key) => {
    const { attempt } = await ask({}, { errcode: 7, [key]: 'why' })
    expect(attempt).toMatchObject({ failure: { upstream: { errcode: 7, errmsg: 'why' } } })
  })

  it('tells its error where the definition says', async () => {
    const { attempt } = await ask(
      { error: '/e/code', error_message: '/e/text' },
      { msg: 'no', e: { code: 'E7', text: 'why' } },
    )
    expect(attempt).toMatchObject({ failure: { upstream: { errcode: 'E7', errmsg: 'why' } } })
  })

  it.each([40001, 40014, 42001])('%i means the token it was asked with, when there is one', async (errcode) => {
    const query = { a: '{{results.weixin.access_token}}', b: '{{other}}' }
    const inputs = { weixin: input('A', { access_token: 'A' }), other: input('B') }
    const { attempt } = await ask({ query }, { errcode, errmsg: 'invalid credential' }, { inputs })
    expect(attempt).toMatchObject({ outcome: 'rejected', refusedInput: 'weixin' })
  })

  it('40001 means the configuration, when it was asked with no token', async () => {
    expect(gist(await ask({}, { errcode: 40001 }))).toBe('rejected configuration upstream_rejected')
  })

  it('codes at another place are not taken for WeChat’s', async () => {
    expect(gist(await ask({ error: '/code' }, { code: 40001 }))).toBe('rejected transient upstream_rejected')
  })

  it('that repeats a secret does not get it told', async () => {
    const secretive = {
      values: { k: 'canary-1' },
      query: { secret: 'canary-2', x: '{{weixin}}' },
      headers: { 'x-key': 'canary-3' },
      body: { password: 'canary-4' },
    }
    const errmsg = 'canary-1 canary-2 canary-3 canary-4 canary-5 canary-6'
    const asked = await ask(
      { url: `${url}?token=canary-6`, ...secretive },
      { errcode: 1, errmsg },
      withWeixin('canary-5'),
    )
    expect(asked.attempt).toHaveProperty('failure.upstream.errmsg')
    expect(JSON.stringify(asked.attempt)).not.toContain('canary')
  })
})

describe('semantics', () => {
  it.each([
    ['https://api.weixin.qq.com/cgi-bin/token?grant_type=client_credential', 'retires-previous'],
    ['http://127.0.0.1:1/wechat/cgi-bin/token', 'retires-previous'],
    ['https://api.weixin.qq.com/cgi-bin/ticket/getticket', 'same-until-window'],
    ['https://qyapi.weixin.qq.com/cgi-bin/gettoken', 'same-until-expiry'],
    [url, 'independent'],
  ])('of %s', (address, reissue) => {
    expect(source({ provider: 'http', url: address }).semantics.reissue).toBe(reissue)
  })

  it('are those that the definition says', () => {
    const written = {
      reissue: 'retires-previous',
      grace: '1m',
      fallback_ttl: '24h',
      invalid_token_codes: [110],
      inject: { header: 'authToken', prefix: '' },
    }
    expect(source({ provider: 'http', url, ...written }).semantics).toMatchObject({
      reissue: 'retires-previous',
      graceMs: 60_000,
      fallbackTtlMs: 86_400_000,
      invalidTokenCodes: [110],
      inject: { header: 'authToken', prefix: '' },
    })
  })
})
