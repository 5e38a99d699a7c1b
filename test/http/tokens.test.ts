import { describe, expect, test } from 'vitest'
import { createAccess } from '../../src/access/access.ts'
import { ZhongkongError } from '../../src/base/errors.ts'
import { client, loopback, noCompat, openHouse, remote } from './visitor.ts'

const fields = (token: string) => ({ access_token: token, expires_in: 7200, 备注: '<b>"x"</b>' })
const open = () => openHouse({ sources: [{ name: 'weixin', fields }, { name: 'shop/one' }] })

describe('GET /v1/tokens/{name}', () => {
  test('200 with the token, what is left of it, and the whole answer of the upstream', async () => {
    const { ask, keeper, advance } = open()
    keeper.rotate('weixin')
    advance(200_500)
    const told = await ask('/v1/tokens/weixin')
    expect(told.status).toBe(200)
    expect(told.json).toEqual({
      name: 'weixin',
      token: 'weixin-token-1',
      expires_in: 6999,
      expires_at: 1_800_007_199,
      issued_at: 1_800_000_000,
      version: 1,
      fields: fields('weixin-token-1'),
    })
    expect(told.headers.get('content-type')).toBe('application/json')
    expect(told.headers.get('etag')).toMatch(/^"1-[0-9a-f]{8}"$/)
  })

  test('200 with an expires_at that is never later than expires_in from now, also while the token is in doubt', async () => {
    const { ask, keeper, handler, advance } = open()
    keeper.rotate('weixin')
    for (const capMs of [Infinity, 5_000]) {
      keeper.capMs = capMs
      for (const ms of [0, 1, 499, 500, 999, 60_000, 123_456]) {
        advance(ms)
        const glimpse = handler.glance('/v1/tokens/weixin', ['Host', 'localhost'], loopback)
        const refreshed = await ask('/v1/tokens/weixin/refresh', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"stale":"an older one"}',
        })
        const told = [(await ask('/v1/tokens/weixin')).json, JSON.parse(glimpse!.body), refreshed.json]
        for (const { expires_at, expires_in } of told as { expires_at: number; expires_in: number }[]) {
          expect(expires_at).toBeLessThanOrEqual(keeper.now / 1_000 + expires_in)
          expect(expires_at).toBeGreaterThan(keeper.now / 1_000 + expires_in - 2)
        }
      }
    }
  })

  test('200 with stale: true while this node may be behind the others', async () => {
    const { ask, keeper } = open()
    keeper.stale = true
    expect((await ask('/v1/tokens/weixin')).json).toMatchObject({ stale: true })
  })

  test('200 for a name with a slash, written %2F', async () => {
    const { ask } = open()
    expect((await ask('/v1/tokens/shop%2Fone')).json.name).toBe('shop/one')
    expect((await ask('/v1/tokens/shop/one')).status).toBe(404)
    expect((await ask('/v1/tokens/shop%252Fone')).status).toBe(404)
  })

  test('200 without a body for HEAD', async () => {
    const { ask } = open()
    const told = await ask('/v1/tokens/weixin', { method: 'HEAD' })
    expect([told.status, told.text]).toEqual([200, ''])
  })

  test('200 with enough time left for min_ttl, refreshing first', async () => {
    const { ask, keeper } = open()
    keeper.rotate('weixin', 60_000)
    const told = await ask('/v1/tokens/weixin?min_ttl=600')
    expect(told.json).toMatchObject({ version: 2, expires_in: 7200 })
  })

  test('304 when the caller has this version, by tag, weak tag, bare version or star', async () => {
    const { ask } = open()
    const tag = (await ask('/v1/tokens/weixin')).headers.get('etag')!
    for (const known of [tag, `W/${tag}`, '"1"', '*', `"0-00000000", ${tag}`]) {
      const told = await ask('/v1/tokens/weixin', { headers: { 'if-none-match': known } })
      expect([told.status, told.text, told.headers.get('etag')]).toEqual([304, '', tag])
    }
    const longer = `${'"x",'.repeat(400)}${tag}`
    for (const other of ['"2"', '1', '"1-00000000"', longer]) {
      expect((await ask('/v1/tokens/weixin', { headers: { 'if-none-match': other } })).status).toBe(200)
    }
  })

  test('the entity tag is the same on every node, changes with the version, and holds nothing of the token', async () => {
    const [one, two] = [open(), open()]
    const tag = (await one.ask('/v1/tokens/weixin')).headers.get('etag')
    expect((await two.ask('/v1/tokens/weixin')).headers.get('etag')).toBe(tag)
    one.keeper.rotate('weixin')
    expect((await one.ask('/v1/tokens/weixin')).headers.get('etag')).not.toBe(tag)
  })

  test('200 as soon as there is a newer version, for a caller that waits', async () => {
    const { ask, keeper } = open()
    const headers = { 'if-none-match': (await ask('/v1/tokens/weixin')).headers.get('etag')! }
    const waiting = ask('/v1/tokens/weixin?wait=60', { headers })
    while (keeper.waiters.size === 0) await Promise.resolve()
    keeper.rotate('weixin')
    expect((await waiting).json.version).toBe(2)
  })

  test('200 at once for a caller that waits without saying what it has', async () => {
    const { ask } = open()
    expect((await ask('/v1/tokens/weixin?wait=60')).status).toBe(200)
  })

  test('304 for a waiting caller when the server drains', async () => {
    const { ask, keeper, handler } = open()
    await ask('/v1/tokens/weixin')
    const waiting = ask('/v1/tokens/weixin?wait=60', { headers: { 'if-none-match': '"1"' } })
    while (keeper.waiters.size === 0) await Promise.resolve()
    handler.drain()
    expect((await waiting).status).toBe(304)
    expect((await ask('/readyz')).status).toBe(503)
  })

  test('401 for a waiting caller whose key was revoked meanwhile, although there is a newer token', async () => {
    const clients = [client('shop', 'shop-key', { read: ['weixin'] })]
    const { ask, keeper, handler } = openHouse({ sources: [{ name: 'weixin' }], clients })
    await ask('/v1/tokens/weixin', { key: 'shop-key' })
    const waiting = ask('/v1/tokens/weixin?wait=60', { key: 'shop-key', headers: { 'if-none-match': '"1"' } })
    while (keeper.waiters.size === 0) await Promise.resolve()
    handler.replace({ access: createAccess([client('other', 'other-key')]), compat: noCompat })
    keeper.rotate('weixin')
    const told = await waiting
    expect(told.status).toBe(401)
    expect(told.text).not.toContain('weixin-token')
  })

  test.each([
    'min_ttl=-1',
    'min_ttl=1.5',
    'min_ttl=',
    'min_ttl=abc',
    'min_ttl=1e3',
    'wait=61',
    'min_ttl=99999999999',
    'min_ttl=1&min_ttl=1',
    'secret=abc',
    'key=abc',
    'access_token=abc',
  ])('400 for ?%s', async (query) => {
    const { ask } = open()
    const told = await ask(`/v1/tokens/weixin?${query}`)
    expect([told.status, told.json.code]).toEqual([400, 'bad_request'])
    expect(told.text).not.toContain('abc')
  })

  test('400 when no token of the source ever has min_ttl left', async () => {
    const { ask } = open()
    expect((await ask('/v1/tokens/weixin?min_ttl=7201')).json.code).toBe('min_ttl_too_long')
  })

  test('503 with Retry-After, the upstream’s words and a hint in the caller’s language, without a valid token', async () => {
    const { ask, keeper } = open()
    keeper.failure = new ZhongkongError('token_unavailable', 'the upstream refused', {
      retryAfterSeconds: 12.2,
      upstream: { errcode: 40164, errmsg: 'invalid ip' },
      hint: { en: 'Add the address.', zh: '请添加地址。' },
    })
    const told = await ask('/v1/tokens/weixin', { headers: { 'accept-language': 'zh-CN,zh;q=0.9,en;q=0.8' } })
    expect(told.status).toBe(503)
    expect(told.headers.get('retry-after')).toBe('13')
    expect(told.headers.get('content-type')).toBe('application/problem+json')
    expect(told.json).toEqual({
      type: 'about:blank',
      title: 'Service Unavailable',
      status: 503,
      code: 'token_unavailable',
      detail: 'the upstream refused',
      hint: '请添加地址。',
      upstream: { errcode: 40164, errmsg: 'invalid ip' },
    })
    const english = await ask('/v1/tokens/weixin', { headers: { 'accept-language': 'fr, en;q=0.3, zh;q=0.2' } })
    expect(english.json.hint).toBe('Add the address.')
  })

  test('500 that says nothing of what broke, which the log hears of', async () => {
    const { ask, keeper, faults } = open()
    keeper.failure = new TypeError('secret-thing is undefined')
    const told = await ask('/v1/tokens/weixin')
    expect([told.status, told.json.code]).toEqual([500, 'internal'])
    expect(told.text).not.toContain('secret-thing')
    expect(faults).toEqual([keeper.failure])
  })
})

describe('POST /v1/tokens/{name}/refresh', () => {
  const json = { 'content-type': 'application/json' }

  test.each([
    ['no body', undefined, {}],
    ['an empty object', '{}', json],
    ['an empty object with a charset', '{}', { 'content-type': 'application/json; charset=UTF-8' }],
    ['the current token', '{"stale":"weixin-token-1"}', json],
  ])('200 with a new token for %s', async (_, body, headers) => {
    const { ask, keeper } = open()
    keeper.rotate('weixin')
    const told = await ask('/v1/tokens/weixin/refresh', {
      method: 'POST',
      headers,
      ...(body === undefined ? {} : { body }),
    })
    expect(told.status).toBe(200)
    expect(told.json).toMatchObject({ token: 'weixin-token-2', version: 2, refreshed: true, expires_in: 7200 })
  })

  test('200 with the current token, and nothing asked upstream, for one that is no longer current', async () => {
    const { ask, keeper } = open()
    keeper.rotate('weixin')
    const told = await ask('/v1/tokens/weixin/refresh', { method: 'POST', headers: json, body: '{"stale":"older"}' })
    expect(told.json).toMatchObject({ token: 'weixin-token-1', refreshed: false, reason: 'not_current' })
    expect(keeper.refreshes).toBe(0)
  })

  test.each([
    ['[]', 400],
    ['{"stale":1}', 400],
    ['{"stale":""}', 400],
    ['{"stael":"x"}', 400],
    ['{"__proto__":{}}', 400],
    ['{', 400],
    ['null', 400],
    [JSON.stringify({ stale: 'x'.repeat(70_000) }), 413],
  ])('%.20s… is refused with %i', async (body, status) => {
    const { ask, keeper } = open()
    expect((await ask('/v1/tokens/weixin/refresh', { method: 'POST', headers: json, body })).status).toBe(status)
    expect(keeper.refreshes).toBe(0)
  })

  test('413 without reading on, for a body that lies about its length or tells none', async () => {
    const { handler } = open()
    let pulled = 0
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled += 1
        controller.enqueue(new Uint8Array(16_384))
      },
    })
    const request = new Request('http://localhost/v1/tokens/weixin/refresh', {
      method: 'POST',
      headers: json,
      body,
      duplex: 'half',
    } as RequestInit)
    expect((await handler(request, { address: null, isLoopback: true })).status).toBe(413)
    expect(pulled).toBeLessThan(10)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=gbk', 'application/jsonx'])(
    '415 for a body of %s, which a page of another site could send',
    async (type) => {
      const { ask } = open()
      const headers = { 'content-type': type }
      expect((await ask('/v1/tokens/weixin/refresh', { method: 'POST', headers, body: '{}' })).status).toBe(415)
    },
  )

  test('503 when the upstream may not be asked again yet', async () => {
    const { ask, keeper } = open()
    keeper.refreshFailure = new ZhongkongError('budget_spent', 'the quota is kept')
    const told = await ask('/v1/tokens/weixin/refresh', { method: 'POST' })
    expect([told.status, told.headers.get('retry-after')]).toEqual([503, '5'])
  })
})

describe('every answer', () => {
  test('carries the headers that keep it out of caches, frames and other origins, and an id', async () => {
    const { ask } = openHouse({ sources: [{ name: 'weixin' }], clients: [client('a', 'a-key')] })
    const paths = ['/', '/healthz', '/openapi.json', '/nowhere', '/v1/tokens/weixin', '/token?name=x', '/callback/x']
    for (const path of paths) {
      const { headers } = await ask(path, { peer: remote })
      expect(headers.get('cache-control')).toBe('no-store, private')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('vary')).toBe('Authorization')
      expect(headers.get('access-control-allow-origin')).toBeNull()
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f]{10}-[0-9a-z]+$/)
    }
  })

  test('keeps a well-formed request id of the caller, and no other', async () => {
    const { ask } = open()
    expect((await ask('/healthz', { headers: { 'x-request-id': 'trace-1' } })).headers.get('x-request-id')).toBe(
      'trace-1',
    )
    expect((await ask('/healthz', { headers: { 'x-request-id': 'a b' } })).headers.get('x-request-id')).not.toBe('a b')
  })

  test('405 with Allow for another method, 404 for another path', async () => {
    const { ask } = open()
    const told = await ask('/v1/tokens/weixin', { method: 'PATCH' })
    expect([told.status, told.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect((await ask('/callback/weixin', { method: 'PUT' })).headers.get('allow')).toBe('GET, POST, HEAD')
    expect((await ask('/v1/sources/weixin', { method: 'OPTIONS' })).headers.get('allow')).toBe('GET, PUT, DELETE, HEAD')
    expect((await ask('/v1/tokens/')).status).toBe(404)
  })
})
