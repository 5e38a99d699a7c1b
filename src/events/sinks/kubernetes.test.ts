/** Secrets of a cluster, over TLS, at a small API server that keeps them as the real one does and refuses what it refuses. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { selfSigned } from '../../../test/http/self-signed.ts'
import { realClock, realFetch } from '../../base/real-env.ts'
import type { KubernetesSinkConfig } from '../../model/sink.ts'
import { openSink } from './kubernetes.ts'
import { SinkRefusal, type Sink, type SinkToken } from './sink.ts'

type StoredSecret = {
  metadata: {
    name: string
    uid: string
    resourceVersion: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
  type?: string
  data: Record<string, string>
}

type Asked = { readonly method: string; readonly url: string; readonly type: string; readonly body: unknown }

/** The part of the API of Kubernetes that Secrets need: versions, conflicts, merge patches, preconditions. */
class ApiServer {
  readonly secrets = new Map<string, StoredSecret>()
  readonly asked: Asked[] = []
  account = 'account-token-1'
  #serial = 100
  /** Answers this instead. */
  failure: { status: number; body?: string } | null = null
  /** Runs before a change is carried out. */
  before: () => void = () => undefined
  isSilent = false

  next(): string {
    return String((this.#serial += 1))
  }

  handle(method: string, url: string, authorization: string, type: string, text: string): [number, string] {
    const body = text === '' ? null : (JSON.parse(text) as Record<string, unknown>)
    this.asked.push({ method, url, type, body })
    if (authorization !== `Bearer ${this.account}`) return [401, '{"kind":"Status","code":401}']
    if (this.failure !== null) return [this.failure.status, this.failure.body ?? '']
    const match = /^\/api\/v1\/namespaces\/shop\/secrets(?:\/([a-z0-9.-]+))?$/.exec(url)
    if (match === null) return [404, '{}']
    if (method !== 'GET') this.before()
    const [, name] = match
    if (method === 'POST' && name === undefined) return this.#create(body as unknown as StoredSecret, type)
    const known = this.secrets.get(name ?? '')
    if (known === undefined) return [404, '{}']
    if (method === 'GET') return [200, JSON.stringify(known)]
    if (method === 'PATCH') return this.#patch(known, body ?? {}, type)
    if (method !== 'DELETE') return [405, '{}']
    const { preconditions } = body as { preconditions: { uid: string } }
    if (preconditions.uid !== known.metadata.uid) return [409, '{}']
    this.secrets.delete(name ?? '')
    return [200, '{}']
  }

  #create(secret: StoredSecret, type: string): [number, string] {
    const { name } = secret.metadata
    if (type !== 'application/json') return [415, '{}']
    if (this.secrets.has(name)) return [409, '{}']
    secret.metadata.uid = `uid-${this.next()}`
    secret.metadata.resourceVersion = this.next()
    this.secrets.set(name, secret)
    return [201, JSON.stringify(secret)]
  }

  #patch(known: StoredSecret, body: Record<string, unknown>, type: string): [number, string] {
    if (type !== 'application/merge-patch+json') return [415, '{}']
    const { metadata, data } = body as unknown as StoredSecret
    if (metadata.resourceVersion !== known.metadata.resourceVersion) return [409, '{"reason":"Conflict"}']
    known.data = { ...known.data, ...data }
    known.metadata.resourceVersion = this.next()
    return [200, JSON.stringify(known)]
  }
}

let folder: string
let authority: string
let api: ApiServer
let server: Server
let config: KubernetesSinkConfig
let closes: (() => Promise<void>)[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-kubernetes-'))
  closes = []
  api = new ApiServer()
  const { cert, key } = selfSigned()
  authority = cert
  server = createServer({ cert, key }, (request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (part: string) => (body += part))
    request.on('end', () => {
      const { authorization = '', 'content-type': type = '' } = request.headers
      const [status, answer] = api.handle(request.method ?? '', request.url ?? '', authorization, type, body)
      if (!api.isSilent) response.writeHead(status, { 'content-type': 'application/json' }).end(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  writeFileSync(join(folder, 'ca.crt'), cert)
  writeFileSync(join(folder, 'token'), 'account-token-1\n')
  writeFileSync(join(folder, 'namespace'), 'shop')
  config = {
    kind: 'kubernetes',
    sources: ['*'],
    secretName: 'zhongkong-{name}',
    server: `https://localhost:${(server.address() as AddressInfo).port}`,
    tokenFile: join(folder, 'token'),
    caFile: join(folder, 'ca.crt'),
    namespaceFile: join(folder, 'namespace'),
  }
})
afterEach(async () => {
  for (const close of closes) await close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true, force: true })
})

function open(settings: Partial<KubernetesSinkConfig> = {}): Sink {
  const { fetch, close } = realFetch()
  closes.push(close)
  const env = {
    clock: realClock,
    random: { next: () => 0.5, bytes: (length: number) => new Uint8Array(length) },
    fetch,
  }
  const tools = { env, describe: () => Promise.resolve(undefined), openRedis: () => expect.fail() }
  return openSink({ ...config, ...settings }, tools)
}

const token = (version: number, issuedAt = 1_800_000_000_000 + version * 1_000): SinkToken => ({
  token: `token-${version}`,
  version,
  issuedAt,
  expiresAt: issuedAt + 7_200_000,
  fields: {},
})

const never = new AbortController().signal
const decoded = (name: string): Record<string, string> => {
  const data = api.secrets.get(name)?.data ?? {}
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]))
}

describe('a Secret', () => {
  it('is made with the token and its times, by requests that the API takes', async () => {
    expect(await open().put('weixin', token(1), never)).toBe('written')
    expect(decoded('zhongkong-weixin')).toEqual({
      name: 'weixin',
      token: 'token-1',
      issued_at: '1800000001',
      expires_at: '1800007201',
      version: '1',
    })
    expect(api.asked.map(({ method, url, type }) => [method, url, type])).toEqual([
      ['GET', '/api/v1/namespaces/shop/secrets/zhongkong-weixin', ''],
      ['POST', '/api/v1/namespaces/shop/secrets', 'application/json'],
    ])
    expect(api.asked[1]?.body).toMatchObject({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: { name: 'zhongkong-weixin', labels: { 'app.kubernetes.io/managed-by': 'zhongkong' } },
    })
  })

  it('is changed only over the state that was compared, and left alone when nothing changed', async () => {
    const sink = open()
    await sink.put('weixin', token(1), never)
    api.asked.length = 0
    expect(await sink.put('weixin', token(2), never)).toBe('written')
    expect(await sink.put('weixin', token(2), never)).toBe('unchanged')
    expect(api.asked.map(({ method, type }) => [method, type])).toEqual([
      ['GET', ''],
      ['PATCH', 'application/merge-patch+json'],
      ['GET', ''],
    ])
    expect(api.asked[1]?.body).toMatchObject({ metadata: { resourceVersion: '102' } })
    expect(decoded('zhongkong-weixin')).toMatchObject({ token: 'token-2', version: '2' })
  })

  it('keeps what others put beside the token', async () => {
    const sink = open()
    await sink.put('weixin', token(1), never)
    api.secrets.get('zhongkong-weixin')!.data.other = 'eA=='
    await sink.put('weixin', token(2), never)
    expect(decoded('zhongkong-weixin')).toMatchObject({ other: 'x', version: '2' })
  })

  it('goes with its source, and only with that', async () => {
    const sink = open()
    await sink.put('weixin', token(1), never)
    await sink.remove('corp', never)
    await sink.remove('Weixin', never)
    expect(api.secrets.size).toBe(1)
    await sink.remove('weixin', never)
    expect(api.secrets.size).toBe(0)
  })

  it.each([
    ['Corp_A/shop@1', 'zhongkong-corp-a-shop-1'],
    ['a..b', 'zhongkong-a.b'],
    ['a-.-b_', 'zhongkong-a.b'],
  ])('of %s is called %s', async (name, secretName) => {
    await open().put(name, token(1), never)
    expect([...api.secrets.keys()]).toEqual([secretName])
  })

  it.each([['..'], ['___'], ['x'.repeat(300)]])('is not made for a name such as %s that leaves none', async (name) => {
    await expect(open({ secretName: '{name}' }).put(name, token(1), never)).rejects.toBeInstanceOf(SinkRefusal)
    expect(api.asked).toEqual([])
  })

  it('of somebody else, or of another source, is left alone', async () => {
    const sink = open()
    await sink.put('a_b', token(1), never)
    await expect(sink.put('a-b', token(9), never)).rejects.toThrow(/already holds source a_b/)
    api.secrets.set('zhongkong-theirs', {
      metadata: { name: 'zhongkong-theirs', uid: 'u', resourceVersion: '1' },
      data: { password: 'eA==' },
    })
    await expect(sink.put('theirs', token(1), never)).rejects.toThrow(/not made by zhongkong/)
    await sink.remove('theirs', never)
    expect(decoded('zhongkong-theirs')).toEqual({ password: 'x' })
  })
})

describe('two nodes', () => {
  it('never put an older version over a newer one, whoever comes between', async () => {
    const [one, other] = [open(), open()]
    await one.put('weixin', token(1), never)
    // The other node is quicker, between what this one reads and writes.
    let isFirst = true
    api.before = () => {
      if (!isFirst) return
      isFirst = false
      const known = api.secrets.get('zhongkong-weixin')!
      known.data = { ...known.data, version: 'Mw==', token: 'dG9rZW4tMw==', issued_at: 'MTgwMDAwMDAwMw==' }
      known.metadata.resourceVersion = api.next()
    }
    expect(await one.put('weixin', token(2), never)).toBe('older')
    expect(decoded('zhongkong-weixin')).toMatchObject({ token: 'token-3', version: '3' })
    expect(await other.put('weixin', token(2), never)).toBe('older')
  })

  it('that make the same Secret at once both end with the newest', async () => {
    const sinks = [open(), open(), open(), open()]
    const versions = [3, 1, 4, 2]
    await Promise.all(sinks.map((sink, index) => sink.put('weixin', token(versions[index]!), never)))
    expect(decoded('zhongkong-weixin')).toMatchObject({ version: '4', token: 'token-4' })
  })

  it('take a lower version that was issued later for newer: the store was made anew', async () => {
    const sink = open()
    await sink.put('weixin', token(50, 1_700_000_000_000), never)
    expect(await sink.put('weixin', token(1), never)).toBe('written')
  })
})

describe('the cluster', () => {
  it('replaces the account token, which is read anew for each request', async () => {
    const sink = open()
    await sink.put('weixin', token(1), never)
    api.account = 'account-token-2'
    await expect(sink.put('weixin', token(2), never)).rejects.toThrow(/401/)
    writeFileSync(join(folder, 'token'), 'account-token-2')
    expect(await sink.put('weixin', token(2), never)).toBe('written')
  })

  it('is believed only with a certificate of its authority, and that may change', async () => {
    const sink = open()
    writeFileSync(join(folder, 'ca.crt'), selfSigned().cert)
    const failure = await sink.put('weixin', token(1), never).catch(String)
    expect(failure).toMatch(/the API server gave no answer/)
    expect(api.asked).toEqual([])
    writeFileSync(join(folder, 'ca.crt'), authority)
    expect(await sink.put('weixin', token(1), never)).toBe('written')
  })

  it('that forbids it is told with what is needed, without token and account', async () => {
    api.failure = { status: 403, body: '{"message":"token-1 account-token-1"}' }
    const failure = await open().put('weixin', token(1), never).catch(String)
    expect(failure).toMatch(/needs get, create, patch and delete on secrets/)
    expect(failure).not.toMatch(/token-1/)
  })

  it.each(['', 'not json', '[]', '{"metadata":{}}', `{"x":"${'x'.repeat(4_000_000)}"}`])(
    'that answers nonsense changes nothing',
    async (body) => {
      api.failure = { status: 200, body }
      await expect(open().put('weixin', token(1), never)).rejects.toThrow(/no Secret/)
      expect(api.asked).toHaveLength(1)
    },
  )

  it('is not asked with a file that holds no token, nor without one', async () => {
    writeFileSync(join(folder, 'token'), 'a\r\nx-evil: 1')
    await expect(open().put('weixin', token(1), never)).rejects.toThrow(/holds no token/)
    rmSync(join(folder, 'token'))
    await expect(open().put('weixin', token(1), never)).rejects.toThrow(/does this pod have its service account/)
    expect(api.asked).toEqual([])
  })

  it('that says nothing is left when we stop', async () => {
    api.isSilent = true
    const stopping = new AbortController()
    const putting = open().put('weixin', token(1), stopping.signal).catch(String)
    await expect.poll(() => api.asked.length).toBe(1)
    stopping.abort()
    expect(await putting).toMatch(/no answer/)
  })
})
