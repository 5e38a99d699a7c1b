/**
 * Who may do what: every route of the list, as every role, from here and from elsewhere. The expectations are a second
 * statement of the rules, so a route that is added without thought fails.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/base/secret.ts'
import { routes } from '../../src/http/routes.ts'
import type { Surface } from '../../src/http/surface.ts'
import { client, loopback, openHouse, remote, type House, type Question } from './visitor.ts'

const sources = [
  { name: 'weixin', account: 'wx1', secret: 'app-secret', callback: { token: new Secret('cb') } },
  { name: 'hidden', origin: 'store' as const },
]
const clients = [
  client('stranger', 'stranger-key', { read: ['other'] }),
  client('reader', 'reader-key', { read: ['weixin'] }),
  client('refresher', 'refresher-key', { refresh: ['weixin'] }),
  client('admin', 'admin-key', { admin: true }),
]
const compat = { tokenboy: { allow: [] }, wechatTokenServer: { secret: new Secret('wts-secret') } }
const keys = {
  none: undefined,
  wrong: 'wrong-key',
  stranger: 'stranger-key',
  reader: 'reader-key',
  refresher: 'refresher-key',
  admin: 'admin-key',
}
type Role = keyof typeof keys
const roles = Object.keys(keys) as Role[]

const pathOf = ({ path }: Surface, name: string) =>
  path.replace('{name}', name) + (path === '/token' ? `?name=${name}` : '')

const questionOf = ({ method }: Surface): Question => {
  const body = method === 'PUT' ? '{"provider":"wechat","secret":"s"}' : method === 'POST' ? '{}' : undefined
  return body === undefined ? { method } : { method, body, headers: { 'content-type': 'application/json' } }
}

/** The statuses by role, where keys are configured; `from here` differs only where it says so. */
const expected: Record<string, Partial<Record<Role, number>> & { readonly other: number }> = {
  'GET /v1/tokens/{name}': { none: 401, wrong: 401, reader: 200, admin: 200, other: 404 },
  'POST /v1/tokens/{name}/refresh': { none: 401, wrong: 401, reader: 403, refresher: 200, admin: 200, other: 404 },
  'GET /v1/sources': { none: 401, wrong: 401, other: 200 },
  'GET /v1/sources/{name}': { none: 401, wrong: 401, reader: 200, admin: 200, other: 404 },
  'PUT /v1/sources/{name}': { none: 401, wrong: 401, admin: 409, other: 403 },
  'DELETE /v1/sources/{name}': { none: 401, wrong: 401, admin: 409, other: 403 },
  'GET /v1/events': { none: 401, wrong: 401, other: 200 },
  'GET /v1/sinks': { none: 401, wrong: 401, admin: 200, other: 403 },
  'POST /v1/sources/{name}/recover': { none: 401, wrong: 401, admin: 400, other: 403 },
  'GET /metrics': { none: 401, wrong: 401, admin: 200, other: 403 },
  'GET /': { other: 200 },
  'GET /healthz': { other: 200 },
  'GET /readyz': { other: 200 },
  'GET /openapi.json': { other: 200 },
  'GET /token': { none: 401, wrong: 401, other: 200 },
  'GET /wechat/token': { other: 200 },
  'GET /wechat/token/forcerefresh': { other: 200 },
  'GET /cgi-bin/token': { other: 200 },
  'POST /cgi-bin/stable_token': { other: 200 },
  'GET /cgi-bin/stable_token': { other: 200 },
  'GET /cgi-bin/ticket/getticket': { other: 200 },
  'POST /cgi-bin/component/api_component_token': { other: 200 },
  'POST /cgi-bin/component/api_authorizer_token': { other: 200 },
  'GET /cgi-bin/gettoken': { other: 200 },
  'GET /cgi-bin/get_jsapi_ticket': { other: 200 },
  'GET /cgi-bin/ticket/get': { other: 200 },
  'POST /cgi-bin/service/get_suite_token': { other: 200 },
  'POST /cgi-bin/service/get_corp_token': { other: 200 },
  'POST /cgi-bin/service/get_provider_token': { other: 200 },
  'GET /gettoken': { other: 200 },
  'POST /v1.0/oauth2/accessToken': { other: 400 },
  'GET /get_jsapi_ticket': { other: 200 },
  'POST /v1.0/oauth2/jsapiTickets': { other: 400 },
  'POST /open-apis/auth/v3/tenant_access_token/internal': { other: 200 },
  'POST /open-apis/auth/v3/app_access_token/internal': { other: 200 },
  'POST /open-apis/jssdk/ticket/get': { other: 400 },
  'GET /callback/{name}': { other: 403 },
  'POST /callback/{name}': { other: 403 },
  // Nobody authorises a source here, and those who may know are told so.
  'POST /v1/sources/{name}/authorize': { none: 401, wrong: 401, admin: 400, other: 403 },
  'GET /authorize/{name}': { none: 401, wrong: 401, admin: 400, other: 403 },
  'GET /authorize/{name}/done': { other: 403 },
  'GET /v1/callbacks/{name}': { none: 401, wrong: 401, admin: 200, other: 403 },
}

const withKeys: House = { sources, clients, compat }
const cases = routes.flatMap((route) => roles.map((role) => ({ route, role, title: `${route.method} ${route.path}` })))

describe('with clients configured', () => {
  test('the table speaks of every route', () => {
    expect(routes.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(expected).sort())
  })

  test.each(cases)('$title as $role', async ({ route, role, title }) => {
    for (const peer of [remote, loopback]) {
      const { ask } = openHouse(withKeys)
      const key = keys[role]
      const told = await ask(pathOf(route, 'weixin'), {
        ...questionOf(route),
        peer,
        ...(key === undefined ? {} : { key }),
      })
      const isOpenHere =
        peer === loopback && role === 'none' && ['/metrics', '/token', '/v1/sinks'].includes(route.path)
      expect(told.status).toBe(isOpenHere ? 200 : (expected[title]![role] ?? expected[title]!.other))
      // Whoever may not read sees no token: not in a success, not in an error.
      const mayHaveToken = isOpenHere || role === 'admin' || role === 'reader' || role === 'refresher'
      if (!mayHaveToken) expect(told.text).not.toContain('weixin-token')
    }
  })

  test.each(cases.filter(({ role }) => role !== 'admin'))(
    '$title as $role tells nothing of whether a source exists that it may not see',
    async ({ route, role }) => {
      const { ask } = openHouse(withKeys)
      const key = keys[role]
      const question = { ...questionOf(route), peer: remote, ...(key === undefined ? {} : { key }) }
      const [there, missing] = [
        await ask(pathOf(route, 'hidden'), question),
        await ask(pathOf(route, 'absent'), question),
      ]
      const shown = ({ status, text, headers }: typeof there) => [
        status,
        text.replace(/rid: .*"|hint: \[.*\]|"request_?id":"[0-9a-f]*"/, ''),
        [...headers].filter(([name]) => name !== 'x-request-id'),
      ]
      expect(shown(there)).toEqual(shown(missing))
    },
  )

  test('404 looks the same for a source that is unknown and for one that is forbidden to the key', async () => {
    const { ask } = openHouse(withKeys)
    const forbidden = await ask('/v1/tokens/hidden', { key: 'reader-key' })
    const unknown = await ask('/v1/tokens/hiddem', { key: 'admin-key' })
    expect(forbidden.text).toBe(unknown.text)
  })

  test('401 comes before the query, the entity tag and the body are looked at', async () => {
    const { ask } = openHouse(withKeys)
    expect((await ask('/v1/tokens/weixin?min_ttl=x')).status).toBe(401)
    expect((await ask('/v1/tokens/weixin', { headers: { 'if-none-match': '*' } })).status).toBe(401)
    const big = { method: 'PUT', body: 'x'.repeat(100_000) }
    expect((await ask('/v1/sources/weixin', big)).status).toBe(401)
    expect((await ask('/v1/sources/weixin', { ...big, key: 'reader-key' })).status).toBe(403)
  })

  test.each([
    '',
    'Bearer',
    'Bearer ',
    'Basic cmVhZGVyLWtleQ==',
    'reader-key',
    'Bearer reader-key extra',
    'Bearer reader-key, Bearer reader-key',
  ])('401 with WWW-Authenticate for the header "%s"', async (authorization) => {
    const { ask } = openHouse(withKeys)
    const told = await ask('/v1/tokens/weixin', { headers: { authorization } })
    expect([told.status, told.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="zhongkong"'])
  })

  test('200 for the scheme in any letter case', async () => {
    const { ask } = openHouse(withKeys)
    expect((await ask('/v1/tokens/weixin', { headers: { authorization: 'bEARER  reader-key' } })).status).toBe(200)
  })

  test('429 after too many wrong keys from one address, while right keys from there still work', async () => {
    const { ask, advance } = openHouse(withKeys)
    const guess = async (peer = remote) => (await ask('/v1/tokens/weixin', { key: 'wrong', peer })).status
    for (let count = 0; count < 30; count += 1) expect(await guess()).toBe(401)
    const told = await ask('/v1/tokens/weixin', { key: 'wrong', peer: remote })
    expect([told.status, told.headers.get('retry-after')]).toEqual([429, '2'])
    expect((await ask('/v1/tokens/weixin', { key: 'reader-key', peer: remote })).status).toBe(200)
    expect(await guess({ address: '203.0.113.10', isLoopback: false })).toBe(401)
    advance(2_000)
    expect(await guess()).toBe(401)
    expect(await guess()).toBe(429)
  })
})

describe('without clients', () => {
  const open: House = { sources: [{ name: 'weixin' }] }

  test('a program on this machine may read, refresh, add and remove', async () => {
    const { ask } = openHouse(open)
    expect((await ask('/v1/tokens/weixin')).status).toBe(200)
    expect((await ask('/v1/tokens/weixin/refresh', { method: 'POST' })).status).toBe(200)
    const headers = { 'content-type': 'application/json' }
    expect((await ask('/v1/sources/a', { method: 'PUT', headers, body: '{"provider":"wechat"}' })).status).toBe(201)
    expect((await ask('/v1/sources/a', { method: 'DELETE' })).status).toBe(204)
  })

  test('401 from anywhere else, whatever the headers claim', async () => {
    const { ask } = openHouse(open)
    for (const headers of [
      {},
      { 'x-forwarded-for': '127.0.0.1' },
      { host: 'localhost' },
      { 'x-real-ip': '127.0.0.1' },
    ]) {
      expect((await ask('/v1/tokens/weixin', { peer: remote, headers })).status).toBe(401)
    }
  })

  test('401 for a key, as none is right', async () => {
    expect((await openHouse(open).ask('/v1/tokens/weixin', { key: 'some-key' })).status).toBe(401)
  })

  test.each([
    ['a name that may be pointed here (DNS rebinding)', { host: 'evil.example:8888' }],
    ['a name that only looks local', { host: 'localhost.evil.example' }],
    ['two hosts', { host: 'localhost, evil.example' }],
    ['a page of another site', { origin: 'https://evil.example' }],
    ['a sandboxed page', { origin: 'null' }],
    ['a page on another port here', { origin: 'http://localhost:3000' }],
    ['a browser that says it comes from elsewhere', { 'sec-fetch-site': 'cross-site' }],
    ['a proxy on this machine', { 'x-forwarded-for': '203.0.113.9' }],
    ['another proxy on this machine', { forwarded: 'for=203.0.113.9' }],
    ['yet another', { via: '1.1 nginx' }],
  ])('403 for %s, with a hint', async (_, headers) => {
    const { ask } = openHouse(open)
    for (const [path, method] of [
      ['/v1/tokens/weixin', 'GET'],
      ['/v1/tokens/weixin/refresh', 'POST'],
    ] as const) {
      const told = await ask(path, { method, headers })
      expect([told.status, told.json.hint]).toEqual([403, expect.stringContaining('zhongkong key new')])
    }
  })

  test.each([
    'localhost',
    'localhost:8888',
    'app.localhost',
    '127.0.0.1:8888',
    '[::1]:8888',
    '192.168.1.5',
    'tokens.lan',
  ])('200 for the host %s', async (host) => {
    const { ask } = openHouse({ ...open, hosts: ['Tokens.lan'] })
    expect((await ask('/v1/tokens/weixin', { headers: { host } })).status).toBe(200)
  })
})

describe('whatever is sent', () => {
  const oddText = fc.string({
    unit: fc.constantFrom(...Array.from('aA0/%2Fzz.:?&=;\\"\'{}[]<>,~é\u0007')),
    maxLength: 40,
  })

  test('is answered as described, never with a fault, and never with a token that was not earned', async () => {
    const { ask, faults, keeper } = openHouse(withKeys)
    keeper.rotate('weixin')
    const prefix = fc.constantFrom(
      '/',
      '/v1/tokens/',
      '/v1/sources/',
      '/token?name=',
      '/cgi-bin/token?',
      '/wechat/token?',
      '/callback/',
    )
    const header = fc.constantFrom(
      'authorization',
      'if-none-match',
      'accept-language',
      'x-request-id',
      'content-type',
      'origin',
    )
    const value = fc.string({ unit: fc.constantFrom(...Array.from('aZ09 "\'=;,:*/\\q.é')), maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS'),
          start: prefix,
          rest: oddText,
          headers: fc.array(fc.tuple(header, value), { maxLength: 3 }),
          text: fc.option(oddText, { nil: undefined }),
        }),
        async ({ method, start, rest, headers, text }) => {
          const body = method === 'GET' || method === 'HEAD' ? undefined : text
          const question = { method, headers: Object.fromEntries(headers), peer: remote }
          const told = await ask(`${start}${rest}`, body === undefined ? question : { ...question, body })
          expect(told.status).toBeLessThan(500)
          expect(told.text).not.toContain('weixin-token')
        },
      ),
      { numRuns: 500 },
    )
    expect(faults).toEqual([])
  })
})
