/** Webhooks over real sockets on 127.0.0.1, to receivers that check, lie, redirect, hang and flood. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { realClock, realFetch } from '../../base/real-env.ts'
import { Secret } from '../../base/secret.ts'
import type { WebhookSinkConfig } from '../../model/sink.ts'
import { SinkRefusal, type Sink, type SinkToken } from './sink.ts'
import { openSink } from './webhook.ts'

type Received = { readonly url: string; readonly headers: IncomingMessage['headers']; readonly body: string }

let received: Received[]
let answer: RequestListener
let server: Server
let base: string
let closeFetch: () => Promise<void>
const secret = 'a-secret-of-the-hook'

beforeEach(async () => {
  received = []
  answer = (_request, response) => void response.writeHead(204).end()
  server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (part: string) => (body += part))
    request.on('end', () => {
      received.push({ url: request.url ?? '', headers: request.headers, body })
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  await closeFetch()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

function open(settings: Partial<WebhookSinkConfig> = {}): Sink {
  const { fetch, close } = realFetch()
  closeFetch = close
  const env = {
    clock: realClock,
    random: { next: () => 0.5, bytes: (length: number) => new Uint8Array(length) },
    fetch,
  }
  const config: WebhookSinkConfig = {
    kind: 'webhook',
    sources: ['*'],
    url: `${base}/hooks/a-path-that-is-secret`,
    secret: new Secret(secret),
    includesToken: false,
    timeoutMs: 1_000,
    ...settings,
  }
  return openSink(config, { env, describe: () => Promise.resolve(undefined), openRedis: () => expect.fail() })
}

const token: SinkToken = {
  token: 'a-very-secret-token',
  version: 7,
  issuedAt: 1_800_000_000_500,
  expiresAt: 1_800_007_200_500,
  fields: { access_token: 'a-very-secret-token' },
}

const put = (sink: Sink, name = 'weixin'): Promise<string> => sink.put(name, token, new AbortController().signal)

/** The snippet of docs/sinks.md, as a receiver has it. */
function isGenuine(headers: Received['headers'], body: string, key: string): boolean {
  const id = headers['webhook-id']
  const timestamp = headers['webhook-timestamp']
  if (Math.abs(Date.now() / 1_000 - Number(timestamp)) > 300) return false
  const expected = createHmac('sha256', key)
    .update(`${String(id)}.${String(timestamp)}.${body}`)
    .digest()
  return String(headers['webhook-signature'])
    .split(' ')
    .some((part) => {
      const given = Buffer.from(part.slice('v1,'.length), 'base64')
      return part.startsWith('v1,') && given.length === expected.length && timingSafeEqual(given, expected)
    })
}

describe('what is sent', () => {
  it('names source and version, is signed with its time, and holds no token', async () => {
    expect(await put(open())).toBe('written')
    const { headers, body, url } = received[0]!
    expect(JSON.parse(body)).toEqual({
      type: 'rotated',
      name: 'weixin',
      version: 7,
      issued_at: 1_800_000_000,
      expires_at: 1_800_007_200,
    })
    expect(headers['webhook-id']).toBe('weixin@7.1800000000')
    expect(isGenuine(headers, body, secret)).toBe(true)
    expect(isGenuine(headers, body.replace('7', '8'), secret)).toBe(false)
    expect(isGenuine(headers, body, 'another secret')).toBe(false)
    expect(JSON.stringify(received)).not.toContain('very-secret')
    expect(url).toBe('/hooks/a-path-that-is-secret')
  })

  it('holds the token when that was asked for, in the body alone', async () => {
    await put(open({ includesToken: true }))
    const { headers, body, url } = received[0]!
    expect(JSON.parse(body)).toMatchObject({ token: 'a-very-secret-token' })
    expect(JSON.stringify([headers, url])).not.toContain('very-secret')
  })

  it('is signed by the bytes of a secret in the form of the standard', async () => {
    await put(open({ secret: new Secret(`whsec_${Buffer.from(secret).toString('base64')}`) }))
    expect(isGenuine(received[0]!.headers, received[0]!.body, secret)).toBe(true)
  })

  it('tells that a source was removed', async () => {
    await open().remove('corp/shop', new AbortController().signal)
    expect(JSON.parse(received[0]!.body)).toEqual({ type: 'removed', name: 'corp/shop' })
  })

  it('keeps its id when it is tried again, removals too, and is signed anew', async () => {
    const sink = open()
    answer = (_request, response) => void response.writeHead(503).end()
    await put(sink).catch(() => undefined)
    await sink.remove('gone', new AbortController().signal).catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await put(sink).catch(() => undefined)
    await sink.remove('gone', new AbortController().signal).catch(() => undefined)
    const told = (field: string): unknown[] => received.map(({ headers }) => headers[field])
    const [id, gone, again, goneAgain] = told('webhook-id')
    expect([again, goneAgain]).toEqual([id, gone])
    expect(new Set(told('webhook-signature')).size).toBe(4)
    expect(received.every(({ headers, body }) => isGenuine(headers, body, secret))).toBe(true)
  })

  it('shows of its address only the origin', () => {
    expect(open().to).toBe(base)
  })
})

describe('what comes back', () => {
  it.each([400, 401, 404, 429, 500, 503])('fails on %d, to be tried again', async (status) => {
    answer = (_request, response) => void response.writeHead(status).end('a-very-secret-token')
    const failure = await put(open()).catch((thrown: unknown) => thrown)
    expect(failure).not.toBeInstanceOf(SinkRefusal)
    expect(String(failure)).toBe(`Error: answered ${status}`)
  })

  it('takes 410 as a refusal', async () => {
    answer = (_request, response) => void response.writeHead(410).end()
    await expect(put(open())).rejects.toBeInstanceOf(SinkRefusal)
  })

  it.each([301, 302, 307, 308])('does not follow a redirect (%d)', async (status) => {
    answer = (_request, response) => void response.writeHead(status, { location: `${base}/inner/metadata` }).end()
    await expect(put(open())).rejects.toThrow('redirects are not followed')
    expect(received.map(({ url }) => url)).toEqual(['/hooks/a-path-that-is-secret'])
  })

  it('does not wait for the end of an answer, and reads none of a flood', async () => {
    let sent = 0
    let isGone = false
    answer = (_request, response) => {
      response.writeHead(200)
      response.on('close', () => (isGone = true))
      const flood = (): void => {
        while (!isGone && response.write(Buffer.alloc(65_536))) sent += 65_536
        if (!isGone) response.once('drain', flood)
      }
      flood()
    }
    expect(await put(open())).toBe('written')
    await expect.poll(() => isGone).toBe(true)
    expect(sent).toBeLessThan(8_000_000)
  })

  it('gives up a receiver that says nothing, in time', async () => {
    answer = () => undefined
    const before = performance.now()
    await expect(put(open({ timeoutMs: 200 }))).rejects.toThrow('no answer within 200 ms')
    expect(performance.now() - before).toBeLessThan(900)
  })

  it('gives up one that sends its head byte by byte', async () => {
    answer = (request) => {
      const timer = setInterval(() => request.socket.write('H'), 20)
      request.socket.on('close', () => clearInterval(timer))
    }
    await expect(put(open({ timeoutMs: 200 }))).rejects.toThrow(/no answer/)
  })

  it('tells why nobody answered, without the address', async () => {
    const sink = open()
    await new Promise((resolve) => server.close(resolve))
    const failure = await put(sink).catch(String)
    server.listen(0, '127.0.0.1')
    expect(failure).toBe('Error: no answer (ECONNREFUSED)')
  })
})
