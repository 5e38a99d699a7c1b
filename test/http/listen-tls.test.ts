/** Listening with TLS, over real sockets and real certificates: their renewal while connections come and go. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { connect as connectPlainly } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realClock } from '../../src/base/real-env.ts'
import { ZhongkongError } from '../../src/base/errors.ts'
import { listen, type Listening } from '../../src/http/listen.ts'
import { selfSigned, type SelfSigned } from './self-signed.ts'
import { openHouse } from './visitor.ts'

const [first, second, third] = [selfSigned(), selfSigned(), selfSigned()]
let folder: string
let files: { readonly cert: string; readonly key: string }
let running: Listening[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zk-tls-'))
  files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  running = []
})
afterEach(async () => {
  await Promise.all(running.map(({ close }) => close()))
  rmSync(folder, { recursive: true })
})

function put({ cert, key }: Pick<SelfSigned, 'cert' | 'key'>): void {
  writeFileSync(files.cert, cert)
  writeFileSync(files.key, key, { mode: 0o600 })
}

async function serve(): Promise<Listening> {
  const { handler, env } = openHouse({ sources: [{ name: 'weixin' }] })
  const options = { handler, listen: '127.0.0.1:0', tls: files, limits: { closeMs: 500 } }
  const server = await listen({ ...options, env: { ...env, clock: realClock } })
  running.push(server)
  return server
}

/** The certificate that a new connection is shown, and the status of what it asks. */
async function visit({ port }: Listening, ca: SelfSigned): Promise<{ status: number; fingerprint: string }> {
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 })
  return await new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/v1/tokens/weixin', agent, ca: ca.cert, servername: 'localhost' }
    request(options, (answer) => {
      const { socket } = answer
      const fingerprint = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : 'none'
      answer.resume().on('end', () => resolve({ status: answer.statusCode ?? 0, fingerprint }))
    })
      .on('error', reject)
      .end()
  })
}

async function refused(attempt: Promise<unknown>): Promise<ZhongkongError> {
  const thrown: unknown = await attempt.then(
    () => null,
    (error: unknown) => error,
  )
  if (thrown instanceof ZhongkongError) return thrown
  throw new Error('not refused as it should be', { cause: thrown })
}

const hello = (pair: SelfSigned): { status: number; fingerprint: string } => ({
  status: 200,
  fingerprint: pair.fingerprint,
})

describe('TLS', () => {
  test('is spoken with the certificate of the file', async () => {
    put(first)
    const server = await serve()
    expect(server.url).toBe(`https://127.0.0.1:${server.port}`)
    expect(await visit(server, first)).toEqual(hello(first))
    await expect(visit(server, second)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  })

  test('plain HTTP gets no token, and a peer that never shakes hands is cut off', async () => {
    put(first)
    const { handler, env } = openHouse({ sources: [{ name: 'weixin' }] })
    const options = { handler, listen: '127.0.0.1:0', tls: files, limits: { closeMs: 500, headersMs: 150 } }
    const server = await listen({ ...options, env: { ...env, clock: realClock } })
    running.push(server)
    await expect(fetch(`http://127.0.0.1:${server.port}/v1/tokens/weixin`)).rejects.toThrow()
    const silent = connectPlainly(server.port, '127.0.0.1').on('error', () => undefined)
    await new Promise((resolve) => silent.resume().once('close', resolve))
  })

  test.each<[string, () => void, string, RegExp]>([
    ['a key of another certificate', () => put({ ...first, key: second.key }), 'config_invalid', /key values mismatch/],
    ['a certificate that is none', () => put({ ...first, cert: 'nonsense' }), 'config_invalid', /no start line/],
    ['an empty key', () => put({ ...first, key: '' }), 'config_invalid', /tls\.key/],
    ['no files', () => undefined, 'config_unreadable', /tls\.crt cannot be read \(ENOENT\)/],
  ])('%s: it does not start, and says which file', async (_, write, code, words) => {
    write()
    const error = await refused(serve())
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(words)])
    expect(error.message).not.toContain('BEGIN')
    expect(error.hint?.zh).toMatch(/[\u4e00-\u9fff]/)
  })
})

describe('renewal', () => {
  test('new connections get the new certificate, and one that was open goes on with the old', async () => {
    put(first)
    const server = await serve()
    const open = connect({ port: server.port, host: '127.0.0.1', ca: first.cert, servername: 'localhost' })
    await new Promise((resolve) => open.once('secureConnect', resolve))
    put(second)
    await server.renewTls()
    expect(await visit(server, second)).toEqual(hello(second))
    const answered = new Promise<string>((resolve) => open.once('data', (bytes: Buffer) => resolve(bytes.toString())))
    open.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await answered).toMatch(/^HTTP\/1\.1 200 /)
    open.destroy()
  })

  test('a broken pair keeps the old one, a second broken one too, and a mended one is taken', async () => {
    put(first)
    const server = await serve()
    // Caught in the middle: the new certificate is there, its key is not yet.
    put({ cert: second.cert, key: first.key })
    expect((await refused(server.renewTls())).message).toContain('key values mismatch')
    expect(await visit(server, first)).toEqual(hello(first))
    put({ cert: `${second.cert.slice(0, 200)}\n`, key: second.key })
    expect((await refused(server.renewTls())).code).toBe('config_invalid')
    expect(await visit(server, first)).toEqual(hello(first))
    rmSync(files.key)
    expect((await refused(server.renewTls())).code).toBe('config_unreadable')
    expect(await visit(server, first)).toEqual(hello(first))
    put(third)
    await server.renewTls()
    expect(await visit(server, third)).toEqual(hello(third))
  })

  test('has nothing to do without TLS', async () => {
    const { handler, env } = openHouse()
    const server = await listen({ handler, listen: '127.0.0.1:0', env: { ...env, clock: realClock } })
    running.push(server)
    await server.renewTls()
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  })
})
