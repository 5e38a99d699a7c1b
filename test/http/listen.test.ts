/** The bridge to sockets, over real ones: what a hostile, slow or departing peer can do to it. */
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/base/env.ts'
import { realClock } from '../../src/base/real-env.ts'
import { listen, parseListen, type Limits, type Listening } from '../../src/http/listen.ts'
import { client, openHouse, type House, type Visitor } from './visitor.ts'

const running: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((stop) => stop()))
})

async function serve(
  house: House = { sources: [{ name: 'weixin' }] },
  limits: Partial<Limits> = {},
  where = '127.0.0.1:0',
): Promise<Visitor & { server: Listening; raw: (bytes: string | string[]) => Promise<string> }> {
  const visitor = openHouse(house)
  const clock: Clock = { ...realClock, now: () => visitor.keeper.now }
  const env = { ...visitor.env, clock }
  const server = await listen({ handler: visitor.handler, listen: where, env, limits: { closeMs: 1_000, ...limits } })
  running.push(server.close)
  return { ...visitor, server, raw: (bytes) => talk(server.port, bytes) }
}

/** Sends raw bytes and resolves with everything that came back until the other side closed. */
async function talk(port: number, parts: string | string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let all = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (all += chunk))
  await new Promise<void>((resolve) => {
    socket.on('error', () => undefined).on('close', () => resolve())
    for (const part of [parts].flat()) socket.write(part)
  })
  return all
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
const until = async (isTrue: () => boolean) => {
  while (!isTrue()) await realClock.sleep(5)
}

describe('listening', () => {
  test('answers over TCP, and says where', async () => {
    const { server } = await serve()
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`)
    const answer = await fetch(`${server.url}/v1/tokens/weixin`)
    expect(await answer.json()).toMatchObject({ token: 'weixin-token-1' })
    expect(answer.headers.get('content-type')).toBe('application/json')
  })

  test('answers over a unix socket that only owner and group may use, and removes a stale one first', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'zk-'))
    const path = join(directory, 's.sock')
    const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`
    const killed = spawn(process.execPath, ['-e', code])
    await new Promise((resolve) => killed.stdout.once('data', resolve))
    killed.kill('SIGKILL')
    await new Promise((resolve) => killed.once('exit', resolve))
    expect(statSync(path).isSocket()).toBe(true)
    const { server } = await serve(undefined, {}, `unix:${path}`)
    expect([server.url, server.port]).toEqual([`unix:${path}`, 0])
    expect(statSync(path).mode & 0o777).toBe(0o660)
    const body = await new Promise<string>((resolve, reject) => {
      httpRequest({ socketPath: path, path: '/v1/tokens/weixin' }, (answer) => {
        let text = ''
        answer.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    })
    expect(JSON.parse(body)).toMatchObject({ name: 'weixin' })
    await expect(serve(undefined, {}, `unix:${path}`)).rejects.toThrow('another process')
    await server.close()
    expect(existsSync(path)).toBe(false)
    writeFileSync(path, 'precious')
    chmodSync(path, 0o600)
    await expect(serve(undefined, {}, `unix:${path}`)).rejects.toThrow('no socket')
    rmSync(directory, { recursive: true })
  })

  test('rejects with the cause when the port is taken', async () => {
    const { server } = await serve()
    await expect(serve(undefined, {}, `127.0.0.1:${server.port}`)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  test.each([
    ['127.0.0.1:8888', { host: '127.0.0.1', port: 8888 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['localhost:80', { host: 'localhost', port: 80 }],
    ['unix:/run/x.sock', { path: '/run/x.sock' }],
  ])('understands %s', (text, where) => {
    expect(parseListen(text)).toEqual(where)
  })

  test.each(['8888', ':8888', 'host', 'host:', 'host:70000', 'unix:', '::1:80', 'http://x:80', 'a/b:80'])(
    'refuses %s',
    (text) => {
      expect(() => parseListen(text)).toThrow('HOST:PORT')
    },
  )
})

describe('a hostile peer', () => {
  const head = 'GET /v1/tokens/weixin HTTP/1.1\r\nHost: localhost\r\n'

  test('408 for headers that do not come in time', async () => {
    const { raw } = await serve(undefined, { headersMs: 200, requestMs: 400 })
    expect(statusOf(await raw(head))).toBe(408)
  })

  test('408 for a body that does not come in time', async () => {
    const { raw } = await serve(undefined, { headersMs: 200, requestMs: 400 })
    const post = 'POST /v1/tokens/weixin/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    expect(statusOf(await raw(`${post}Content-Length: 10\r\n\r\n{`))).toBe(408)
  })

  test('431 for more headers than are read: none is left out, such as one that says that the caller is not here', async () => {
    const { server } = await serve()
    const asking = (count: number, ...last: string[]): Promise<string> => {
      const many = Array.from({ length: count }, (_, at) => `A${at}: b`)
      const lines = ['GET /v1/tokens/weixin HTTP/1.1', 'Host: localhost', 'Connection: close', ...many, ...last]
      return talk(server.port, `${lines.join('\r\n')}\r\n\r\n`)
    }
    const forwarded = 'X-Forwarded-For: 198.51.100.7'
    expect(statusOf(await asking(98))).toBe(200)
    expect(statusOf(await asking(97, forwarded))).toBe(403)
    for (const count of [98, 99, 130, 300]) {
      const answer = await asking(count, forwarded)
      expect(statusOf(answer)).toBe(431)
      expect(answer).not.toContain('weixin-token')
    }
  })

  test('431 for huge headers', async () => {
    const { raw } = await serve()
    expect(statusOf(await raw(`${head}X: ${'x'.repeat(9_000)}\r\n\r\n`))).toBe(431)
    expect(statusOf(await raw(`GET /${'x'.repeat(9_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`))).toBe(431)
  })

  test.each([
    ['both Content-Length and Transfer-Encoding', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two Content-Lengths', 'Content-Length: 4\r\nContent-Length: 5\r\n\r\n1234'],
    ['a Transfer-Encoding that does not end in chunked', 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
    ['a header that is none', 'X Y: z\r\n\r\n'],
    ['a folded header', 'X: a\r\n b\r\nY\r\n\r\n'],
    ['a NUL in a header', 'X: a\u0000b\r\n\r\n'],
  ])('400 for %s', async (_, rest) => {
    const { raw } = await serve()
    expect(statusOf(await raw(`POST /v1/tokens/weixin/refresh HTTP/1.1\r\nHost: localhost\r\n${rest}`))).toBe(400)
  })

  test.each([
    ['no Host', 'GET /v1/tokens/weixin HTTP/1.1\r\n', 400],
    ['a Host that is none', 'GET /v1/tokens/weixin HTTP/1.1\r\nHost: a b\r\n', 400],
    ['two Hosts, one of them good', 'GET /v1/tokens/weixin HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n', 400],
    ['another absolute address', 'GET http://evil.example/v1/tokens/weixin HTTP/1.1\r\nHost: evil.example\r\n', 403],
    ['a foreign Host', 'GET /v1/tokens/weixin HTTP/1.1\r\nHost: evil.example\r\n', 403],
    ['a path that climbs', 'GET /v1/tokens/../../v1/sources/x/../../metricss HTTP/1.1\r\nHost: localhost\r\n', 404],
  ])('no token for %s', async (_, start, status) => {
    const { raw } = await serve()
    const answer = await raw(`${start}Connection: close\r\n\r\n`)
    expect(statusOf(answer)).toBe(status)
    expect(answer).not.toContain('weixin-token')
  })

  test('401 for two Authorization headers, although one is right', async () => {
    const house = { sources: [{ name: 'weixin' }], clients: [client('shop', 'shop-key', { read: ['*'] })] }
    const { raw } = await serve(house)
    const right = 'Authorization: Bearer shop-key\r\n'
    expect(statusOf(await raw(`${head}${right}Connection: close\r\n\r\n`))).toBe(200)
    expect(statusOf(await raw(`${head}${right}${right}Connection: close\r\n\r\n`))).toBe(401)
    expect(statusOf(await raw(`${head}${right}Authorization: Bearer x\r\nConnection: close\r\n\r\n`))).toBe(401)
  })

  test('more connections than allowed are closed, and those that were there go on', async () => {
    const { server } = await serve(undefined, { connections: 2 })
    const held = [connect(server.port, '127.0.0.1'), connect(server.port, '127.0.0.1')]
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
    await realClock.sleep(20)
    expect(await talk(server.port, `${head}Connection: close\r\n\r\n`)).toBe('')
    const [first] = held as [Socket, Socket]
    const answered = new Promise<string>((resolve) => first.once('data', (chunk) => resolve(chunk.toString())))
    first.write(`${head}Connection: close\r\n\r\n`)
    expect(statusOf(await answered)).toBe(200)
    for (const socket of held) socket.destroy()
  })

  test('bytes that mean nothing neither bring it down nor bring a token', async () => {
    const { raw, server } = await serve(undefined, { headersMs: 100, requestMs: 150 })
    const bytes = fc.string({
      unit: fc.constantFrom(...Array.from('GET /v1:\r\n\r\n HTTP1.\u0000\u00ff%')),
      maxLength: 80,
    })
    await fc.assert(
      fc.asyncProperty(bytes, async (text) => {
        expect(await raw([text, '\r\n\r\n'])).not.toContain('weixin-token')
      }),
      { numRuns: 40 },
    )
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  })

  test('pipelined requests are answered in order', async () => {
    const { raw } = await serve()
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n`
    const answer = await raw(
      `${ask('/v1/sources')}\r\n${ask('/v1/tokens/weixin')}\r\n${ask('/healthz')}Connection: close\r\n\r\n`,
    )
    const places = ['"sources"', '"token"', '"ok"'].map((text) => answer.indexOf(text))
    expect(places).toEqual(places.toSorted((left, right) => left - right))
    expect(places).not.toContain(-1)
  })
})

describe('closing', () => {
  test('ends at once when nobody is waiting, idle connections included, and may be asked twice', async () => {
    const { server } = await serve()
    await (await fetch(`${server.url}/healthz`)).text()
    const startedAt = performance.now()
    await Promise.all([server.close(), server.close()])
    expect(performance.now() - startedAt).toBeLessThan(500)
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
  })

  test('lets an answer under way finish, and ends a wait early', async () => {
    const { server, keeper } = await serve()
    await (await fetch(`${server.url}/v1/tokens/weixin`)).text()
    const waiting = fetch(`${server.url}/v1/tokens/weixin?wait=60`, { headers: { 'if-none-match': '"1"' } })
    await until(() => keeper.waiters.size === 1)
    await server.close()
    const answer = await waiting
    expect([answer.status, answer.headers.get('connection')]).toEqual([304, 'close'])
  })

  test('ends within its limit when a peer never lets go', async () => {
    const { server } = await serve(undefined, { closeMs: 200, headersMs: 60_000, requestMs: 60_000 })
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined)
    const cut = new Promise((resolve) => socket.resume().once('close', resolve))
    socket.write('POST /v1/tokens/weixin/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{')
    await realClock.sleep(50)
    const startedAt = performance.now()
    await server.close()
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    await cut
  })
})

test('a wait ends when its caller hangs up', async () => {
  const { server, keeper } = await serve()
  await (await fetch(`${server.url}/v1/tokens/weixin`)).text()
  const leave = new AbortController()
  const waiting = fetch(`${server.url}/v1/tokens/weixin?wait=60`, {
    headers: { 'if-none-match': '"1"' },
    signal: leave.signal,
  }).catch(() => null)
  await until(() => keeper.waiters.size === 1)
  leave.abort()
  await waiting
  await until(() => keeper.waiters.size === 0)
})

describe('the quick path', () => {
  const houses: House[] = [
    { sources: [{ name: 'weixin' }, { name: 'b' }] },
    {
      sources: [{ name: 'weixin' }, { name: 'b' }],
      clients: [client('shop', 'shop-key', { read: ['weixin'] })],
      compat: { tokenboy: { allow: ['203.0.113.0/24'] }, wechatTokenServer: null },
    },
  ]

  test('answers whatever it answers exactly as the surfaces do, and never what they refuse', async () => {
    let answered = 0
    const odd = fc.constantFrom(
      '/v1/tokens/b',
      '/v1/tokens/none',
      '/v1/tokens/weixin?',
      '/v1/tokens/weixin?min_ttl=1',
      '/v1/tokens/weixin/',
      '/v1/tokens/%77eixin',
      '/token?name=b',
      '/token?name=none',
      '/token?name=weixin&x=1',
      '/token?name=+weixin',
      '/token',
    )
    const target = fc.oneof(fc.constantFrom('/v1/tokens/weixin', '/token?name=weixin'), odd)
    const refused = fc.constantFrom<[string, string]>(
      ['authorization', 'Bearer wrong'],
      ['AUTHORIZATION', ''],
      ['Host', 'evil.example'],
      ['Origin', 'https://evil.example'],
      ['Sec-Fetch-Site', 'cross-site'],
      ['X-Forwarded-For', '1.2.3.4'],
      ['Via', '1.1 x'],
    )
    const harmless = fc.constantFrom<[string, string]>(
      ['Authorization', 'Bearer shop-key'],
      ['Host', 'localhost:1'],
      ['If-None-Match', '"1"'],
      ['If-None-Match', '*'],
      ['X-Request-Id', 'mine'],
      ['X-Request-Id', 'not mine'],
      ['Accept-Language', 'zh'],
    )
    const header = fc.oneof({ weight: 5, arbitrary: harmless }, { weight: 1, arbitrary: refused })
    const peer = fc.constantFrom(
      { address: '127.0.0.1', isLoopback: true },
      { address: null, isLoopback: true },
      { address: '203.0.113.9', isLoopback: false },
      { address: '198.51.100.9', isLoopback: false },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          house: fc.constantFrom(...houses),
          path: target,
          headers: fc.uniqueArray(header, { selector: ([name]) => name.toLowerCase(), maxLength: 4 }),
          from: peer,
          age: fc.constantFrom(0, 1, 2_000, 7_199_400, 7_200_000),
          isStale: fc.boolean(),
        }),
        async ({ house, path, headers, from, age, isStale }) => {
          const { handler, keeper } = openHouse(house)
          keeper.rotate('weixin')
          keeper.now += age
          keeper.stale = isStale
          const glimpse = handler.glance(
            path,
            headers.some(([name]) => name === 'Host') ? headers.flat() : ['Host', 'localhost', ...headers.flat()],
            from,
          )
          if (glimpse === null) return
          answered += 1
          const request = new Request(`http://localhost${path}`, { headers })
          const response = await handler(request, from)
          expect([glimpse.status, glimpse.body]).toEqual([response.status, await response.text()])
          const plain = (pairs: Iterable<[string, string]>) =>
            [...pairs]
              .map(([name, value]) => [name.toLowerCase(), value])
              .filter(([name]) => name !== 'x-request-id')
              .toSorted()
          const flat = glimpse.headers
          const pairs = flat.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, flat[at + 1]!]] : []))
          expect(plain(pairs)).toEqual(plain(response.headers))
        },
      ),
      { numRuns: 2_000 },
    )
    expect(answered).toBeGreaterThan(100)
  })

  test('leaves headers that came twice to the surfaces', () => {
    const { handler, keeper } = openHouse(houses[1])
    keeper.rotate('weixin')
    const peer = { address: '203.0.113.9', isLoopback: false }
    const right = ['Host', 'x', 'Authorization', 'Bearer shop-key']
    expect(handler.glance('/v1/tokens/weixin', right, peer)?.status).toBe(200)
    expect(handler.glance('/v1/tokens/weixin', [...right, 'authorization', 'Bearer shop-key'], peer)).toBeNull()
  })
})
