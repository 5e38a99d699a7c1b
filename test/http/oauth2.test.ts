/** OAuth 2.0: the token endpoint, introspection and the metadata, as RFC 6749, 7662 and 8414 have them. */
import { describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import { client, openHouse, remote, type House, type Question, type Told, type Visitor } from './visitor.ts'

const key = 'shop-key'
const formType = 'application/x-www-form-urlencoded'

function house(more: House = {}): Visitor {
  const visitor = openHouse({
    sources: [{ name: 'weixin' }, { name: 'suite/ww1:2' }, { name: 'hidden' }],
    clients: [client('shop', key, { read: ['weixin', 'suite/*'] }), client('other', 'other-key', { read: ['hidden'] })],
    ...more,
  })
  for (const name of ['weixin', 'suite/ww1:2', 'hidden']) visitor.keeper.rotate(name)
  return visitor
}

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`

function form(fields: Record<string, string> | string, headers: Record<string, string> = {}): Question {
  const body = typeof fields === 'string' ? fields : new URLSearchParams(fields).toString()
  return { method: 'POST', body, headers: { 'content-type': formType, ...headers }, peer: remote }
}

const grant = { grant_type: 'client_credentials' }
const inBody = (more: Record<string, string> = {}): Record<string, string> => ({
  ...grant,
  client_id: 'weixin',
  client_secret: key,
  ...more,
})

const post = async (fields: Parameters<typeof form>[0], headers?: Record<string, string>): Promise<Told> =>
  await house().ask('/oauth2/token', form(fields, headers))

describe('POST /oauth2/token', () => {
  test('200 with the token, its type and its life, for a client in the header', async () => {
    const told = await post(grant, { authorization: basic('weixin', key) })
    expect([told.status, told.json]).toEqual([
      200,
      { access_token: 'weixin-token-1', token_type: 'Bearer', expires_in: 7200 },
    ])
    expect(told.headers.get('cache-control')).toContain('no-store')
    expect(told.headers.get('pragma')).toBe('no-cache')
    expect(told.headers.get('content-type')).toBe('application/json')
  })

  test('200 for a client in the body', async () => {
    expect((await post(inBody())).json.access_token).toBe('weixin-token-1')
  })

  test('200 for a name with a slash and a colon, encoded in the header as RFC 6749 wants', async () => {
    const authorization = basic('suite%2Fww1%3A2', key)
    expect((await post(grant, { authorization })).json.access_token).toBe('suite/ww1:2-token-1')
    expect((await post(inBody({ client_id: 'suite/ww1:2' }))).json.access_token).toBe('suite/ww1:2-token-1')
  })

  test('200 for a secret with signs of its own, encoded or as it is', async () => {
    const odd = 'a+b%zz:c d'
    const { ask } = house({ clients: [client('shop', odd, { read: ['weixin'] })] })
    for (const sent of [encodeURIComponent(odd), odd]) {
      const told = await ask('/oauth2/token', form(grant, { authorization: basic('weixin', sent) }))
      expect(told.status, sent).toBe(200)
    }
  })

  test('200, and the scope that it is, when another one was asked for', async () => {
    expect((await post(inBody({ scope: 'all.the.things' }))).json.scope).toBe('weixin')
    expect((await post(inBody({ scope: 'weixin' }))).json).not.toHaveProperty('scope')
    expect((await post(inBody({ scope: '' }))).json).not.toHaveProperty('scope')
  })

  test.each([
    ['a wrong secret', inBody({ client_secret: 'wrong' })],
    ['a source that is not there', inBody({ client_id: 'nothing' })],
    ['a source that the key may not read', inBody({ client_id: 'hidden' })],
    ['no client at all', grant],
    ['no secret', { ...grant, client_id: 'weixin' }],
    ['an empty secret', inBody({ client_secret: '' })],
  ])('401 invalid_client for %s', async (_, fields) => {
    const told = await post(fields)
    expect([told.status, told.json.error]).toEqual([401, 'invalid_client'])
    expect(told.headers.get('www-authenticate')).toBe('Basic realm="zhongkong", charset="UTF-8"')
  })

  test('401 says the same of a source that is not there and of one that may not be read', async () => {
    const one = await post(inBody({ client_id: 'nothing' }))
    const other = await post(inBody({ client_id: 'hidden' }))
    expect(one.text).toBe(other.text)
  })

  test.each(['Basic', 'Basic %%%', 'Basic d2VpeGlu', `Bearer ${key}`, 'Digest x', `Basic ${'a'.repeat(4_000)}`])(
    '401 for the header %.20s',
    async (authorization) => {
      expect((await post(grant, { authorization })).json.error).toBe('invalid_client')
    },
  )

  test.each([
    ['no grant_type', { client_id: 'weixin', client_secret: key }, 'invalid_request'],
    ['another grant', inBody({ grant_type: 'password' }), 'unsupported_grant_type'],
    ['a parameter twice', `${new URLSearchParams(inBody())}&grant_type=client_credentials`, 'invalid_request'],
    ['a parameter twice, once empty', `${new URLSearchParams(inBody())}&scope=&scope=a`, 'invalid_request'],
  ])('400 for %s', async (_, fields, error) => {
    const told = await post(fields)
    expect([told.status, told.json.error]).toEqual([400, error])
  })

  test('400 for a client in the header and in the body', async () => {
    expect((await post(inBody(), { authorization: basic('weixin', key) })).json.error).toBe('invalid_request')
    const twice = { ...grant, client_id: 'hidden' }
    expect((await post(twice, { authorization: basic('weixin', key) })).json.error).toBe('invalid_request')
    const same = { ...grant, client_id: 'weixin' }
    expect((await post(same, { authorization: basic('weixin', key) })).status).toBe(200)
  })

  test('400 for another content type, and for a secret in the URL', async () => {
    const { ask } = house()
    const asJson = await ask('/oauth2/token', form('{}', { 'content-type': 'application/json' }))
    expect([asJson.status, asJson.json.error]).toEqual([400, 'invalid_request'])
    const inUrl = await ask(`/oauth2/token?client_secret=${key}`, form(inBody()))
    expect([inUrl.status, inUrl.json.error]).toEqual([400, 'invalid_request'])
  })

  test('405 for GET', async () => {
    expect((await house().ask('/oauth2/token')).status).toBe(405)
  })

  test('413 for a body that is too large', async () => {
    expect((await post(inBody({ scope: 'x'.repeat(70_000) }))).status).toBe(413)
  })

  test('503 with Retry-After and the platform’s words, in printable ASCII, when there is no token', async () => {
    const { ask, keeper } = house()
    keeper.failure = new ZhongkongError('token_unavailable', 'the platform said "no"', {
      upstream: { errcode: 40164, errmsg: '不在白名单' },
      retryAfterSeconds: 12,
    })
    const told = await ask('/oauth2/token', form(inBody()))
    expect([told.status, told.json]).toEqual([
      503,
      {
        error: 'temporarily_unavailable',
        error_description: "the platform said 'no' (40164 ?????)",
      },
    ])
    expect(told.headers.get('retry-after')).toBe('12')
  })

  test('500 and a word in the log, never a token, when something breaks in us', async () => {
    const { ask, keeper, faults } = house()
    keeper.failure = new TypeError('broken')
    expect((await ask('/oauth2/token', form(inBody()))).status).toBe(500)
    expect(faults).toHaveLength(1)
  })

  test('429 after many wrong secrets; a right one is never turned away', async () => {
    const { ask } = house()
    const wrong = form(inBody({ client_secret: 'wrong' }))
    for (let count = 0; count < 30; count += 1) expect((await ask('/oauth2/token', wrong)).status).toBe(401)
    const told = await ask('/oauth2/token', wrong)
    expect([told.status, told.json.error]).toEqual([429, 'slow_down'])
    expect(told.headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await ask('/oauth2/token', form(inBody()))).status).toBe(200)
  })

  test('without clients: this machine needs no secret, but a wrong one is refused; others get nothing', async () => {
    const { ask } = house({ clients: [] })
    const question = form({ ...grant, client_id: 'weixin' })
    const here = { address: '127.0.0.1', isLoopback: true }
    expect((await ask('/oauth2/token', { ...question, peer: here })).json.access_token).toBe('weixin-token-1')
    const byHeader = form(grant, { authorization: basic('weixin', '') })
    expect((await ask('/oauth2/token', { ...byHeader, peer: here })).status).toBe(200)
    expect((await ask('/oauth2/token', { ...form(inBody()), peer: here })).status).toBe(401)
    expect((await ask('/oauth2/token', question)).status).toBe(401)
    const page = { ...question, peer: here, headers: { ...question.headers, origin: 'https://evil.example' } }
    expect((await ask('/oauth2/token', page)).status).toBe(401)
  })

  test('the life that the client is told follows its expiry', async () => {
    const expiry = { marginMs: 300_000, floorMs: 60_000, capMs: Infinity }
    const { ask, keeper } = house({ clients: [client('shop', key, { read: ['weixin'], expiry })] })
    keeper.rotate('weixin', 30_000)
    expect((await ask('/oauth2/token', form(inBody()))).json.expires_in).toBe(330)
  })
})

describe('POST /oauth2/introspect', () => {
  const introspect = async (visitor: Visitor, token: string, authorization: string): Promise<Told> =>
    await visitor.ask('/oauth2/introspect', form({ token }, { authorization }))

  test('200 active for a current token, with its source and its end', async () => {
    const visitor = house()
    const told = await introspect(visitor, 'weixin-token-1', basic('weixin', key))
    const now = visitor.keeper.now / 1_000
    expect(told.json).toEqual({
      active: true,
      client_id: 'weixin',
      scope: 'weixin',
      token_type: 'Bearer',
      exp: now + 7_200,
      iat: now,
    })
  })

  test('200 for any client by its key as a Bearer token, and by a client in the body', async () => {
    const visitor = house()
    expect((await introspect(visitor, 'weixin-token-1', `Bearer ${key}`)).json.active).toBe(true)
    const fields = { token: 'weixin-token-1', client_id: 'weixin', client_secret: key }
    expect((await visitor.ask('/oauth2/introspect', form(fields))).json.active).toBe(true)
  })

  test('200 active for a replaced token while it is still good, and not after', async () => {
    const visitor = house()
    visitor.keeper.rotate('weixin')
    expect((await introspect(visitor, 'weixin-token-1', `Bearer ${key}`)).json).toEqual({ active: false })
    visitor.keeper.replacedLeftMs = 200_000
    const { json } = await introspect(visitor, 'weixin-token-1', `Bearer ${key}`)
    expect(json).toMatchObject({ active: true, exp: visitor.keeper.now / 1_000 + 200 })
    expect(json).not.toHaveProperty('iat')
  })

  test('200 {"active": false} alike for nonsense and for a token that the asker may not read', async () => {
    const visitor = house()
    for (const token of ['nonsense', 'hidden-token-1', key]) {
      expect((await introspect(visitor, token, `Bearer ${key}`)).text, token).toBe('{"active":false}')
    }
  })

  test('401 without a key, or with a wrong one; 400 without a token', async () => {
    const visitor = house()
    expect((await introspect(visitor, 'weixin-token-1', 'Bearer wrong')).status).toBe(401)
    expect((await visitor.ask('/oauth2/introspect', form({ token: 'weixin-token-1' }))).status).toBe(401)
    expect((await visitor.ask('/oauth2/introspect', form({}, { authorization: `Bearer ${key}` }))).status).toBe(400)
  })
})

describe('GET /.well-known/oauth-authorization-server', () => {
  const path = '/.well-known/oauth-authorization-server'

  test('200 with addresses under the public one', async () => {
    const { json } = await house({ publicUrl: 'https://tokens.example.com' }).ask(path)
    expect(json).toMatchObject({
      issuer: 'https://tokens.example.com',
      token_endpoint: 'https://tokens.example.com/oauth2/token',
      introspection_endpoint: 'https://tokens.example.com/oauth2/introspect',
      grant_types_supported: ['client_credentials'],
    })
    expect((await house().ask(path)).json.issuer).toBe('http://localhost:8888')
  })

  test('400 rather than an address made of an unknown Host header', async () => {
    const told = await house().ask(path, { headers: { host: 'evil.example' } })
    expect([told.status, told.text.includes('evil')]).toEqual([400, false])
  })
})
