/** Connections that fail before anything was sent, and some that fail after: with the errors that Node really makes. */
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, describe, expect, test } from 'vitest'
import { deadline } from '../../src/base/env.ts'
import { realEnv } from '../../src/base/real-env.ts'
import { issue } from '../../src/providers/catalogue.ts'
import { selfSigned } from '../http/self-signed.ts'
import { source } from './scripted.ts'

const env = realEnv()
const servers: Server[] = []
afterAll(async () => {
  for (const server of servers) server.close()
  await env.close()
})

async function listening(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A server that does this with the first bytes of a connection. */
const onBytes = (answer: (socket: Socket, bytes: Buffer) => void): Promise<number> =>
  listening(
    createServer((socket) => {
      socket.on('error', () => undefined).once('data', (bytes) => answer(socket, bytes))
    }),
  )

/** How an attempt at this address ends: its outcome, its code and its word. */
async function asked(url: string, proxy?: string): Promise<string> {
  const time = deadline(env.clock, 3_000)
  const one = source({ provider: 'wecom', corpid: 'ww1', secret: 'canary-secret', base_url: url })
  const call = { env, signal: time.signal, force: false, inputs: new Map(), ...(proxy === undefined ? {} : { proxy }) }
  const attempt = await issue(one, call)
  time.done()
  if (attempt.outcome === 'issued') return 'issued'
  expect(JSON.stringify(attempt)).not.toContain('canary')
  return `${attempt.outcome} ${attempt.failure.code} ${/\((.*)\)$/.exec(attempt.failure.message)?.[1] ?? ''}`.trim()
}

const alert = (description: number): Buffer => Buffer.of(0x15, 3, 3, 0, 2, 2, description)

describe('nothing was sent', () => {
  test('to a port that nobody listens on, a name that does not exist, or a port that fetch refuses', async () => {
    const port = await onBytes(() => undefined)
    await new Promise((resolve) => servers.pop()?.close(resolve))
    expect(await asked(`http://127.0.0.1:${port}`)).toBe('not-sent upstream_unreachable ECONNREFUSED')
    expect(await asked('http://nobody.invalid')).toMatch(/^not-sent upstream_unreachable (ENOTFOUND|EAI_AGAIN)$/)
    expect(await asked('http://127.0.0.1:6000')).toBe('not-sent upstream_unreachable bad port')
  })

  test('to a server that speaks no TLS, breaks off in the handshake, or ends it with an alert', async () => {
    const plain = await onBytes((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    expect(await asked(`https://127.0.0.1:${plain}`)).toMatch(/^not-sent upstream_tls (ERR_SSL_\w+|EPROTO)$/)
    const closing = await onBytes((socket) => socket.end())
    expect(await asked(`https://127.0.0.1:${closing}`)).toBe('not-sent upstream_tls closed in the handshake')
    for (const description of [40, 70, 112]) {
      const port = await onBytes((socket) => socket.end(alert(description)))
      expect(await asked(`https://127.0.0.1:${port}`)).toMatch(/^not-sent upstream_tls (ERR_SSL_\w+|EPROTO)$/)
    }
  })

  test('to a server whose certificate nobody vouches for', async () => {
    let received = 0
    const server = createTlsServer(selfSigned(), (socket) => {
      socket.on('error', () => undefined).on('data', ({ length }: Buffer) => (received += length))
    }).on('tlsClientError', () => undefined)
    const port = await listening(server)
    expect(await asked(`https://localhost:${port}`)).toBe('not-sent upstream_tls DEPTH_ZERO_SELF_SIGNED_CERT')
    expect(received).toBe(0)
  })

  test('through a proxy that is away, or opens no tunnel', async () => {
    const refusing = await onBytes((socket) => socket.end('HTTP/1.1 407 Authentication Required\r\n\r\n'))
    expect(await asked('https://example.invalid', `http://127.0.0.1:${refusing}`)).toBe(
      'not-sent upstream_unreachable proxy answered 407',
    )
    expect(await asked('https://example.invalid', 'http://127.0.0.1:6001')).toMatch(/^not-sent upstream_unreachable/)
  })
})

describe('everything may have been sent', () => {
  test.each<[string, (socket: Socket) => void]>([
    ['resets the connection', (socket) => socket.resetAndDestroy()],
    ['closes it without an answer', (socket) => socket.end()],
    ['answers what is no HTTP', (socket) => socket.end('hello\r\n\r\n')],
    ['breaks off in its answer', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"errcode"')],
  ])('to a server that %s', async (_, answer) => {
    expect(await asked(`http://127.0.0.1:${await onBytes(answer)}`)).toBe('unknown upstream_cut')
  })

  test('to a server that resets the connection in the handshake: it looks the same as later', async () => {
    const port = await onBytes((socket) => socket.resetAndDestroy())
    expect(await asked(`https://127.0.0.1:${port}`)).toBe('unknown upstream_cut')
  })
})
