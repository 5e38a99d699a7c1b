/** What callers may try with the gateway: other hosts, other paths, other people's tokens, other framings. */
import { afterEach, describe, expect, test } from 'vitest'
import { ask, key, keyHash, openGatewayStage, talk } from './gateway-stage.ts'

const stage = openGatewayStage()
afterEach(() => stage.close())

/** Two hosts: one is the source's, the other must never be asked. */
async function open(more: object = {}) {
  const upstream = await stage.upstream((incoming, outgoing) => {
    incoming.resume()
    outgoing.setHeader('content-type', 'application/json')
    if (incoming.url?.startsWith('/base/cgi-bin/token') === true) {
      outgoing.end(JSON.stringify({ access_token: '70_the-living-token-of-the-account', expires_in: 7200 }))
    } else if (incoming.url?.includes('redirect') === true) {
      outgoing.writeHead(302, { location: `https://evil.example${incoming.url}` })
      outgoing.end()
    } else outgoing.end(JSON.stringify({ asked: incoming.url, host: incoming.headers.host }))
  })
  const evil = await stage.upstream((incoming, outgoing) => {
    incoming.resume()
    outgoing.end('evil')
  })
  const weixin = {
    provider: 'wechat',
    appid: 'wx1',
    secret: 'a-secret',
    mode: 'classic',
    base_url: `${upstream.url}/base`,
  }
  const serving = await stage.node({
    sources: { weixin: { ...weixin, ...more } },
    clients: { shop: { key: keyHash, read: ['*'], gateway: ['weixin'] } },
  })
  const { json } = await ask(serving.url, '/v1/tokens/weixin', { key })
  return { ...serving, upstream, evil, host: upstream.url.slice(7), token: String(json.token) }
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

describe('no other host is ever asked', () => {
  test('by a Host header, a whole URL, two slashes or an @', async () => {
    const { url, port, evil, host, token } = await open()
    const named = await ask(url, '/proxy/weixin/a', { key, headers: { host: evil.url.slice(7) } })
    expect(named.json).toMatchObject({ host })
    const query = `access_token=${token}`
    const lines = [
      `GET ${evil.url}/a?${query} HTTP/1.1`,
      `GET //${evil.url.slice(7)}/a?${query} HTTP/1.1`,
      `GET /proxy/weixin//${evil.url.slice(7)}/a HTTP/1.1`,
      `GET /proxy/weixin/${evil.url}/a HTTP/1.1`,
      `GET /proxy/weixin@${evil.url.slice(7)}/a HTTP/1.1`,
      `GET @${evil.url.slice(7)}/a?${query} HTTP/1.1`,
      `GET /\\${evil.url.slice(7)}/a?${query} HTTP/1.1`,
      `CONNECT ${evil.url.slice(7)} HTTP/1.1`,
      `OPTIONS * HTTP/1.1`,
    ]
    for (const line of lines) {
      const head = `Host: localhost\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`
      const answer = await talk(port, `${line}\r\n${head}`, 1_000)
      // A whole URL may be taken for its path, with the host that the source has.
      if (statusOf(answer) === 200) expect(answer, line).toContain(`"host":"${host}"`)
    }
    expect(evil.seen).toEqual([])
  })

  test('by a redirect, which is passed on and not followed, without the token in it', async () => {
    const { url, evil, token } = await open()
    const keyed = await ask(url, '/proxy/weixin/redirect', { key })
    expect(keyed.status).toBe(302)
    expect(keyed.headers.location).toBe('https://evil.example/base/redirect?access_token=')
    expect(JSON.stringify(keyed.rawHeaders)).not.toContain(token)
    expect(evil.seen).toEqual([])
  })
})

test('a redirect holds no token, however the upstream writes it', async () => {
  const token = 'a.token+with/signs~of-base64=='
  const upper = encodeURIComponent(token)
  const lower = upper.replace(/%../g, (escape) => escape.toLowerCase())
  const forms = [token, upper, lower, encodeURIComponent(upper), encodeURIComponent(lower), token.replace('+', '%2B')]
  const upstream = await stage.upstream((incoming, outgoing) => {
    incoming.resume()
    outgoing.setHeader('content-type', 'application/json')
    if (incoming.url === '/token') outgoing.end(JSON.stringify({ access_token: token, expires_in: 7200 }))
    else outgoing.writeHead(302, { location: `/next?${forms.map((form) => `next=${form}`).join('&')}` }).end()
  })
  const { url } = await stage.node({
    sources: { api: { provider: 'http', url: `${upstream.url}/token`, gateway: { base_url: upstream.url } } },
    clients: { shop: { key: keyHash, gateway: ['api'] } },
  })
  const { status, headers } = await ask(url, '/proxy/api/redirect', { key })
  expect([status, headers.location]).toEqual([302, `/next?${forms.map(() => 'next=').join('&')}`])
})

describe('no other path than the one that was judged', () => {
  test.each([
    '/../v1/tokens/weixin',
    '/a/../b',
    '/a/..',
    '/./a',
    '/%2e%2e/a',
    '/%2E%2e/a',
    '/..%2fa',
    '/a%2f..%2fb',
    '/%252e%252e/a',
    '/..;/a',
    '/..%5ca',
    '/a\\b',
    '/%5c..%5c',
    '/a//b',
    '/%00',
    '/%0d%0aX-Evil:%201',
    '/%zz',
    '/%c0%ae%c0%ae/a',
  ])('400 for %s', async (path) => {
    const { port, upstream } = await open()
    const before = upstream.seen.length
    const head = `Host: localhost\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`
    expect(statusOf(await talk(port, `GET /proxy/weixin${path} HTTP/1.1\r\n${head}`))).toBe(400)
    expect(upstream.seen.length).toBe(before)
  })

  test('nor another method or path by a header', async () => {
    const { url, upstream } = await open({ gateway: { deny: ['DELETE *'] } })
    const statusOf = async (method: string, headers: Record<string, string> = {}): Promise<number> =>
      (await ask(url, '/proxy/weixin/a', { key, method, headers })).status
    expect(await statusOf('POST')).toBe(200)
    expect(await statusOf('DELETE')).toBe(403)
    for (const name of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'x-method-override']) {
      expect(await statusOf('POST', { [name]: 'delete' })).toBe(403)
      expect(await statusOf('POST', { [name]: 'PATCH' })).toBe(200)
      expect(upstream.seen.at(-1)?.headers[name.toLowerCase()]).toBe('PATCH')
    }
    expect(await statusOf('GET', { 'X-Original-URL': '/b', 'X-Rewrite-URL': '/b' })).toBe(200)
    expect(Object.keys(upstream.seen.at(-1)?.headers ?? {}).filter((name) => name.endsWith('-url'))).toEqual([])
  })

  test('a base path cannot be left', async () => {
    const { url } = await open()
    const { json } = await ask(url, '/proxy/weixin/a/..b/.c', { key })
    expect(json.asked).toMatch(/^\/base\/a\/\.\.b\/\.c\?/)
  })
})

describe('framing', () => {
  test('400 for both lengths, two lengths or two hosts of proof; nothing reaches the upstream', async () => {
    const { port, upstream } = await open()
    const before = upstream.seen.length
    const proof = `Authorization: Bearer ${key}\r\n`
    const heads = [
      `Host: a\r\n${proof}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`,
      `Host: a\r\n${proof}Content-Length: 4\r\nContent-Length: 5\r\n`,
      `Host: a\r\n${proof}Transfer-Encoding: chunked, identity\r\n`,
      `Host: a\r\n${proof}Authorization: Bearer other\r\n`,
      `Host: a\r\n${proof}X-A: b\rc\r\n`,
    ]
    for (const head of heads) {
      const answer = await talk(
        port,
        `POST /proxy/weixin/a HTTP/1.1\r\n${head}Connection: close\r\n\r\n0\r\n\r\n`,
        1_000,
      )
      expect(statusOf(answer), head).toBe(400)
    }
    expect(upstream.seen.length).toBe(before)
  })

  test('405 for TRACE, whose answer would hold the token', async () => {
    const { port, token } = await open()
    const head = `Host: localhost\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`
    const answer = await talk(port, `TRACE /proxy/weixin/a HTTP/1.1\r\n${head}`)
    expect(statusOf(answer)).toBe(405)
    expect(answer).not.toContain(token)
  })

  test('a body that nobody may send is not waited for', async () => {
    const { port } = await open()
    const head = 'Host: localhost\r\nAuthorization: Bearer wrong\r\nContent-Length: 1000000000\r\n\r\nabc'
    const startedAt = performance.now()
    expect(statusOf(await talk(port, `POST /proxy/weixin/a HTTP/1.1\r\n${head}`, 5_000))).toBe(401)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })
})

test('the caller’s key is never passed on, wherever its header stands, and never a second token', async () => {
  const { url, upstream, token } = await open()
  await ask(url, `/a?access_token=${token}&access%5Ftoken=other-token-of-somebody&x=1`, { key })
  const last = upstream.seen.at(-1)
  expect(last?.url).toBe(`/base/a?access_token=${token}&x=1`)
  expect(last?.headers.authorization).toBeUndefined()
})

test('a page of another site cannot call through a server that is open on this machine', async () => {
  const upstream = await stage.upstream((incoming, outgoing) => {
    incoming.resume()
    outgoing.setHeader('content-type', 'application/json')
    outgoing.end(JSON.stringify({ access_token: '70_the-living-token-of-the-account', expires_in: 7200 }))
  })
  const { url } = await stage.node({
    sources: { weixin: { provider: 'wechat', appid: 'wx1', secret: 'a-secret', base_url: upstream.url } },
  })
  expect((await ask(url, '/proxy/weixin/cgi-bin/user/get')).status).toBe(200)
  const fromPage = { headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } }
  expect((await ask(url, '/proxy/weixin/cgi-bin/user/get', fromPage)).status).toBe(403)
  const rebound = { headers: { host: 'evil.example' } }
  expect((await ask(url, '/proxy/weixin/cgi-bin/user/get', rebound)).status).toBe(403)
})

test('a flood of unknown tokens is answered, and looked for no longer', async () => {
  const { url } = await open()
  const startedAt = performance.now()
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) => ask(url, `/a?access_token=70_unknown-token-number-${String(at)}`)),
  )
  expect(new Set(answers.map(({ json }) => json.errcode))).toEqual(new Set([40001]))
  expect(performance.now() - startedAt).toBeLessThan(8_000)
})

test('proxies take turns, and one that cannot be reached is passed over', async () => {
  const tunnels: string[] = []
  const { createServer } = await import('node:http')
  const { connect } = await import('node:net')
  const proxies = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const server = createServer()
      server.on('connect', (incoming, socket) => {
        tunnels.push(name)
        const [host = '', port = ''] = (incoming.url ?? '').split(':')
        const to = connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
        to.on('error', () => socket.destroy())
        socket.on('error', () => to.destroy())
        to.pipe(socket).pipe(to)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      return { server, url: `http://127.0.0.1:${String(typeof address === 'object' ? address?.port : 0)}` }
    }),
  )
  const { url } = await open({ proxy: [proxies[0]!.url, proxies[1]!.url, 'http://127.0.0.1:1'] })
  const statuses = []
  for (let call = 0; call < 6; call += 1) statuses.push((await ask(url, '/proxy/weixin/a', { key })).status)
  expect(new Set(statuses)).toEqual(new Set([200]))
  expect(new Set(tunnels)).toEqual(new Set(['one', 'two']))
  for (const { server } of proxies) {
    server.close()
    server.closeAllConnections()
  }
})
