/** Bodies through the gateway: large, slow, broken off, compressed. What a caller sees must be what the upstream said, or visibly no answer. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import { realClock } from '../../src/base/real-env.ts'
import type { Limits } from '../../src/http/listen.ts'
import { ask, bodyOf, key, keyHash, openGatewayStage, talk } from './gateway-stage.ts'

// A context that is made after the flag was set has the function, whatever the flags of the process were.
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const stage = openGatewayStage()
afterEach(() => stage.close())

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => void

/** A node over an upstream that gives out good tokens, and answers all other calls as it is told. */
async function over(answer: Answer, more: object = {}, limits: Partial<Limits> = {}) {
  let issued = 0
  const upstream = await stage.upstream((incoming, outgoing) => {
    if (incoming.url?.startsWith('/cgi-bin/token') !== true) {
      answer(incoming, outgoing)
      return
    }
    outgoing.setHeader('content-type', 'application/json')
    outgoing.end(
      JSON.stringify({ access_token: `70_token-number-${String((issued += 1))}-and-more`, expires_in: 7200 }),
    )
  })
  const weixin = {
    provider: 'wechat',
    appid: 'wx1',
    secret: 'a-secret',
    mode: 'classic',
    base_url: upstream.url,
    min_interval: 0,
  }
  const serving = await stage.node(
    {
      sources: { weixin: { ...weixin, ...more } },
      clients: { shop: { key: keyHash, read: ['*'], gateway: ['weixin'] } },
    },
    limits,
  )
  const calls = (): IncomingMessage[] => upstream.seen.filter(({ url }) => url?.startsWith('/cgi-bin/token') !== true)
  return { ...serving, upstream, calls, issued: () => issued }
}

async function* pieces(count: number, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < count; at += 1) yield await Promise.resolve(Buffer.alloc(bytes, at % 251))
}

const until = async (isTrue: () => boolean): Promise<void> => {
  for (let look = 0; look < 400 && !isTrue(); look += 1) await realClock.sleep(5)
  expect(isTrue()).toBe(true)
}

test('200 megabytes up and 200 down, byte for byte, and memory does not follow', async () => {
  const size = 200 * 1_048_576
  const chunk = Buffer.alloc(65_536, 'down')
  const { url } = await over((incoming, outgoing) => {
    const hash = createHash('sha256')
    incoming.on('data', (part: Buffer) => hash.update(part))
    incoming.on('end', () => {
      if (incoming.method === 'POST') {
        outgoing.setHeader('content-type', 'application/json')
        outgoing.end(JSON.stringify({ digest: hash.digest('hex') }))
        return
      }
      outgoing.writeHead(200, { 'content-type': 'video/mp4', 'content-length': size })
      let left = size
      const more = (): void => {
        while (left > 0 && outgoing.write(chunk)) left -= chunk.length
        if (left > 0) left -= chunk.length
        if (left <= 0) outgoing.end()
        else outgoing.once('drain', more)
      }
      more()
    })
  })
  const expected = createHash('sha256')
  for await (const part of pieces(size / 1_048_576, 1_048_576)) expected.update(part)
  // Everything runs in this one process, so what is measured is more than the gateway's own.
  let peak = 0
  const rss = process.memoryUsage().rss
  // What is left when garbage is collected: how late that happens by itself depends on what else the machine does.
  const held = (): number => {
    collectGarbage()
    return process.memoryUsage().arrayBuffers
  }
  const before = held()
  const watching = setInterval(() => (peak = Math.max(peak, held())), 100)
  const up = await ask(url, '/proxy/weixin/cgi-bin/media/upload', {
    method: 'POST',
    key,
    headers: { 'content-length': String(size) },
    body: pieces(size / 1_048_576, 1_048_576),
  })
  expect(up.json.digest).toBe(expected.digest('hex'))
  let received = 0
  await new Promise<void>((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const headers = { authorization: `Bearer ${key}` }
    httpRequest({ hostname, port, path: '/proxy/weixin/cgi-bin/media/get', headers }, (answer) => {
      expect(answer.headers['content-length']).toBe(String(size))
      answer
        .on('data', (part: Buffer) => (received += part.length))
        .once('end', resolve)
        .once('error', reject)
    }).end()
  })
  clearInterval(watching)
  expect(received).toBe(size)
  expect(peak).toBeGreaterThan(0)
  expect(peak - before).toBeLessThan(50 * 1_048_576)
  expect(process.memoryUsage().rss - rss).toBeLessThan(150 * 1_048_576)
}, 60_000)

test('a caller that reads slowly holds the upstream back', async () => {
  let written = 0
  const { url } = await over((_incoming, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'application/octet-stream' })
    const more = (): void => {
      while (written < 400 * 1_048_576) {
        written += 65_536
        if (!outgoing.write(Buffer.alloc(65_536))) {
          outgoing.once('drain', more)
          return
        }
      }
      outgoing.end()
    }
    more()
  })
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(`GET /proxy/weixin/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n\r\n`)
  await once(socket, 'readable')
  await realClock.sleep(300)
  const after = written
  await realClock.sleep(300)
  expect(written).toBe(after)
  expect(written).toBeLessThan(50 * 1_048_576)
  socket.destroy()
})

test.each(['content-length', 'chunked'])(
  'an answer that breaks off in the middle is seen to break off (%s)',
  async (framing) => {
    const { url, node } = await over((_incoming, outgoing) => {
      outgoing.writeHead(200, framing === 'chunked' ? {} : { 'content-length': 1_000_000 })
      outgoing.write(Buffer.alloc(100_000, 'x'), () => setTimeout(() => outgoing.destroy(), 20))
    })
    await expect(ask(url, '/proxy/weixin/cgi-bin/media/get', { key })).rejects.toThrow(/aborted|hang up|ECONNRESET/)
    await until(() => true)
    expect(await node.ownMetrics()).toContain('zhongkong_gateway_calls_total{source="weixin",outcome="cut"} 1')
  },
)

test('502 upstream_cut for a small answer that breaks off, and for a POST without any', async () => {
  const { url, calls } = await over((incoming, outgoing) => {
    if (incoming.method === 'POST') incoming.socket.destroy()
    else {
      outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
      outgoing.write('{"errcode":', () => outgoing.destroy())
    }
  })
  expect(await ask(url, '/proxy/weixin/a', { key })).toMatchObject({ status: 502, json: { code: 'upstream_cut' } })
  const post = await ask(url, '/proxy/weixin/b', { key, method: 'POST', body: 'once' })
  expect(post).toMatchObject({ status: 502, json: { code: 'upstream_cut' } })
  // What may have been carried out is not sent again.
  expect(calls().filter(({ method }) => method === 'POST').length).toBe(1)
})

test('502 upstream_unreachable when nobody is there', async () => {
  const gone = await stage.upstream(() => undefined)
  const { url } = await over(() => undefined, { gateway: { base_url: gone.url.replace(/\d+$/, '1') } })
  expect(await ask(url, '/proxy/weixin/a', { key })).toMatchObject({
    status: 502,
    json: { code: 'upstream_unreachable' },
  })
})

test('a caller that goes away takes its call with it, before the answer and within it', async () => {
  const closed: string[] = []
  const { url, calls } = await over((incoming, outgoing) => {
    outgoing.once('close', () => closed.push(incoming.url ?? ''))
    if (incoming.url?.startsWith('/within') === true) outgoing.write(Buffer.alloc(100_000))
  })
  const { port } = new URL(url)
  for (const path of ['/before', '/within']) {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
    socket.write(`GET /proxy/weixin${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n\r\n`)
    await until(() => calls().some(({ url: seen }) => seen?.startsWith(path) === true))
    if (path === '/within') await once(socket, 'readable')
    socket.destroy()
    await until(() => closed.some((seen) => seen.startsWith(path)))
  }
})

test('an upload that its caller gives up is given up', async () => {
  let bytes = 0
  let hasClosed = false
  const { url } = await over((incoming) => {
    incoming.on('data', (part: Buffer) => (bytes += part.length)).on('error', () => undefined)
    incoming.once('close', () => (hasClosed = true))
  })
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
  const head = `POST /proxy/weixin/up HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n`
  socket.write(`${head}Content-Length: 50000000\r\n\r\n`)
  socket.write(Buffer.alloc(2_000_000))
  await until(() => bytes > 1_000_000)
  socket.destroy()
  await until(() => hasClosed)
})

test('an answer that comes before the end of an upload reaches the caller, who is still sending', async () => {
  const { url, port } = await over((incoming, outgoing) => {
    if (incoming.url?.startsWith('/broken') === true) setTimeout(() => incoming.socket.destroy(), 20)
    else {
      incoming.resume()
      outgoing.writeHead(413, { 'content-type': 'text/plain' })
      outgoing.end('too large')
    }
  })
  for (let round = 0; round < 5; round += 1) {
    const upload = { key, method: 'POST' as const, body: pieces(200, 65_536) }
    expect(await ask(url, '/proxy/weixin/up', upload)).toMatchObject({ status: 413, text: 'too large' })
    const headers = { 'content-length': String(200 * 65_536) }
    const broken = { key, method: 'POST' as const, body: pieces(200, 65_536), headers }
    expect(await ask(url, '/proxy/weixin/broken', broken)).toMatchObject({
      status: 502,
      json: { code: 'upstream_cut' },
    })
    const refused = { method: 'POST' as const, body: pieces(200, 65_536) }
    expect(await ask(url, '/proxy/weixin/up', refused)).toMatchObject({ status: 401 })
  }
  // Nor is anybody read for ever.
  const head = `POST /proxy/weixin/up HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n`
  const startedAt = performance.now()
  const all = await talk(port, `${head}Content-Length: 50000000\r\n\r\n${'x'.repeat(2_000_000)}`, 10_000)
  expect(all).toMatch(/^HTTP\/1\.1 413/)
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})

test('method, headers, status and bytes arrive as they were; those of one connection and of the caller do not', async () => {
  let seen: { method?: string; url?: string; raw: string[]; body: string } | null = null
  const { url } = await over((incoming, outgoing) => {
    void bodyOf(incoming).then((body) => {
      seen = { method: incoming.method ?? '', url: incoming.url ?? '', raw: incoming.rawHeaders, body: body.toString() }
      outgoing.writeHead(418, 'odd', [
        ...['X-Answer', 'a', 'X-Answer', 'b', 'Set-Cookie', 'c=1', 'Set-Cookie', 'd=2', 'Content-Type', 'image/png'],
        ...['Connection', 'X-Gone', 'X-Gone', '1', 'Strict-Transport-Security', 'max-age=1', 'Alt-Svc', 'h3=":443"'],
      ])
      outgoing.end(Buffer.from([0, 255, 1, 254]))
    })
  })
  const target = '/proxy/weixin/a%20b/c?x=%E4%B8%AD&access_token=mine&y=+&access_token=too&z'
  const told = await ask(url, target, {
    key,
    method: 'PATCH',
    headers: {
      ...{ 'X-Kept': 'Yes', 'Content-Type': 'text/odd', Cookie: 'session=secret', Via: '1.1 inside' },
      ...{ 'X-Forwarded-For': '10.0.0.1', Connection: 'close, X-Hop', 'X-Hop': '1', TE: 'trailers' },
      'Proxy-Authorization': 'Basic abc',
    },
    body: 'bytes',
  })
  expect(told.status).toBe(418)
  expect(Buffer.from(told.text, 'utf8').length).toBeGreaterThan(0)
  expect(told.headers).toMatchObject({ 'x-answer': 'a, b', 'set-cookie': ['c=1', 'd=2'], 'content-type': 'image/png' })
  for (const gone of ['x-gone', 'strict-transport-security', 'alt-svc']) expect(told.headers[gone]).toBeUndefined()
  const {
    method,
    url: asked,
    raw,
    body,
  } = seen as unknown as { method: string; url: string; raw: string[]; body: string }
  expect([method, body]).toEqual(['PATCH', 'bytes'])
  expect(asked).toBe('/a%20b/c?x=%E4%B8%AD&access_token=70_token-number-1-and-more&y=+&z')
  const names = raw.filter((_, at) => at % 2 === 0)
  expect(names).toEqual(expect.arrayContaining(['X-Kept', 'Content-Type']))
  const lower = names.map((name) => name.toLowerCase())
  for (const gone of ['cookie', 'via', 'authorization', 'x-forwarded-for', 'x-hop', 'te', 'proxy-authorization']) {
    expect(lower).not.toContain(gone)
  }
  expect(raw.join(' ')).not.toContain(key)
})

test('a refusal is understood compressed, in a list of two codings, and in pieces; anything else goes on untouched', async () => {
  const refusal = Buffer.from('{"errcode":42001,"errmsg":"access_token expired"}')
  const { url, calls } = await over((incoming, outgoing) => {
    const isGood = incoming.url?.includes('number-2') === true
    if (incoming.url?.startsWith('/page') === true) {
      outgoing.setHeader('content-type', 'text/html')
      outgoing.end(refusal)
    } else if (isGood) outgoing.end('good')
    else if (incoming.headers['accept-encoding'] === 'gzip') {
      outgoing.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      outgoing.end(gzipSync(refusal))
    } else {
      outgoing.writeHead(200, { 'content-type': 'application/json' })
      outgoing.write(refusal.subarray(0, 9))
      setTimeout(() => outgoing.end(refusal.subarray(9)), 50)
    }
  })
  expect((await ask(url, '/proxy/weixin/page', { key })).text).toBe(refusal.toString())
  expect(calls().length).toBe(1)
  const told = await ask(url, '/proxy/weixin/call', { key, headers: { 'accept-encoding': 'gzip, zstd' } })
  expect(told).toMatchObject({ text: 'good', headers: { 'zhongkong-replay': 'replayed' } })
})

test('JSON that comes slowly for ever is passed on as it comes', async () => {
  const { url } = await over((_incoming, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'application/json' })
    outgoing.write('{"first":1,')
    setTimeout(() => outgoing.end('"last":2}'), 1_500)
  })
  expect((await ask(url, '/proxy/weixin/events', { key })).text).toBe('{"first":1,"last":2}')
})

test('a chunked upload without a length goes both ways: held when small, streamed when large', async () => {
  const { url } = await over((incoming, outgoing) => {
    void bodyOf(incoming).then((body) => outgoing.end(String(body.length)))
  })
  for (const count of [1, 40]) {
    const told = await ask(url, '/proxy/weixin/up', { key, method: 'POST', body: pieces(count, 65_536) })
    expect(told.text).toBe(String(count * 65_536))
  }
})

test('HEAD, 204 and 304 have no body, and the connection can be used again', async () => {
  const { port } = await over((incoming, outgoing) => {
    const status =
      incoming.url?.startsWith('/204') === true ? 204 : incoming.url?.startsWith('/304') === true ? 304 : 200
    outgoing.writeHead(status, incoming.method === 'HEAD' ? { 'content-length': '5' } : {})
    outgoing.end(incoming.method === 'HEAD' || status !== 200 ? undefined : 'hello')
  })
  const line = (text: string, last = false): string =>
    `${text} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n${last ? 'Connection: close\r\n' : ''}\r\n`
  const all = await talk(
    port,
    ['HEAD /proxy/weixin/a', 'GET /proxy/weixin/204', 'GET /proxy/weixin/304'].map((text) => line(text)).join('') +
      line('GET /proxy/weixin/b', true),
  )
  expect(all.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 204', 'HTTP/1.1 304', 'HTTP/1.1 200'])
  expect(all.endsWith('hello') || all.includes('hello')).toBe(true)
})

test('an answer that has no body is whole, whatever length it tells', async () => {
  const { url } = await over((incoming) => {
    const status = incoming.url?.slice(1, 4) ?? ''
    incoming.socket.write(`HTTP/1.1 ${status} So\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n`)
  })
  const unchanged = await ask(url, '/proxy/weixin/304', { key, headers: { 'if-none-match': '"a"' } })
  expect(unchanged).toMatchObject({ status: 304, text: '', headers: { etag: '"a"', 'content-length': '5' } })
  const empty = await ask(url, '/proxy/weixin/204', { key })
  expect(empty).toMatchObject({ status: 204, text: '' })
  expect(empty.headers['content-length']).toBeUndefined()
})

test('a call under way ends when the server stops, whole or visibly not', async () => {
  const { url, calls, ...serving } = await over((incoming, outgoing) => {
    if (incoming.url?.startsWith('/short') === true) setTimeout(() => outgoing.end('whole'), 200)
    else outgoing.write(Buffer.alloc(100_000))
  })
  const short = ask(url, '/proxy/weixin/short', { key })
  const long = ask(url, '/proxy/weixin/long', { key }).then(
    () => 'whole',
    () => 'broken off',
  )
  await until(() => calls().length === 2)
  await serving.stop()
  expect((await short).text).toBe('whole')
  expect(await long).toBe('broken off')
})

test('a hundred calls on one connection leave nothing behind on it', async () => {
  const warnings: Error[] = []
  const heed = (warning: Error): void => void warnings.push(warning)
  process.on('warning', heed)
  const { url } = await over((_incoming, outgoing) => outgoing.end('{}'))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const { hostname, port } = new URL(url)
  for (let call = 0; call < 100; call += 1) {
    await new Promise<void>((resolve, reject) => {
      const headers = { authorization: `Bearer ${key}` }
      httpRequest({ hostname, port, path: '/proxy/weixin/a', headers, agent }, (answer) => {
        answer.resume().once('end', resolve)
      })
        .once('error', reject)
        .end()
    })
  }
  agent.destroy()
  process.off('warning', heed)
  expect(warnings.map(({ message }) => message)).toEqual([])
})

test('a connection is closed when it has been idle after a call, like any other', async () => {
  const { port } = await over((_incoming, outgoing) => outgoing.end('{}'), {}, { keepAliveMs: 300 })
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  const closed = once(socket, 'close')
  socket.resume().write(`GET /proxy/weixin/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n\r\n`)
  const startedAt = performance.now()
  await closed
  expect(performance.now() - startedAt).toBeLessThan(6_000)
})
