/** The gateway in a process of its own: unmodified SDKs whose token died, several workers, and a body far larger than the process may grow. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './ask.ts'
import { coWechat } from './sdk-clients.ts'
import { openStage, type Served, type Stage, type Upstream } from './stage.ts'

const appid = 'wx00000000000000e6'
const secret = 'the-real-appsecret-of-the-account'
const key = 'an-api-key-of-forty-three-letters-and-digits'

let stage: Stage
let upstream: Upstream
let node: Served

beforeAll(async () => {
  stage = await openStage()
  upstream = await stage.upstream({ accounts: [{ kind: 'wechat', id: appid, secret }] })
  const hash = createHash('sha256').update(key).digest('hex')
  const path = await stage.configure({
    store: 'sqlite:tokens.db',
    server: { workers: 2 },
    sources: {
      weixin: { provider: 'wechat', appid, secret, mode: 'classic', base_url: upstream.url, min_interval: 0 },
    },
    clients: { shop: { key: `sha256:${hash}`, read: ['*'], refresh: ['*'], gateway: ['weixin'] } },
  })
  node = await stage.serve(path)
})

afterAll(async () => {
  await stage.close()
})

/** What is used of SDKs beyond their tokens; they have no types of their own. */
type Ordinary = {
  getFollowers(): Promise<{ readonly total: number }>
  uploadMedia(path: string, type: string): Promise<{ readonly media_id: string }>
}

type Easywechat = new (config: object) => {
  setCache(cache: object): void
  getClient(): { get(url: string): Promise<{ toObject(): Record<string, unknown> }> }
  getAccessToken(): { getToken(): Promise<string> }
}

const { OfficialAccount } = createRequire(import.meta.url)('node-easywechat') as { OfficialAccount: Easywechat }

const issued = (): number => upstream.simulator.counters(appid).token.issued

describe('an SDK whose cached token was killed at the platform makes an ordinary call, and notices nothing', () => {
  test('co-wechat-api, with its base URL replaced: the right answer, one token issued, and no refetch by the SDK', async () => {
    const api = coWechat(node.url, appid, key)
    const { accessToken: dead } = await api.getAccessToken()
    upstream.simulator.revoke({ token: dead })
    const before = issued()
    const ordinary = api as unknown as Ordinary
    expect((await ordinary.getFollowers()).total).toBe(1)
    const file = join(stage.folder, 'picture.jpg')
    await writeFile(file, Buffer.alloc(300_000, 'picture'))
    expect((await ordinary.uploadMedia(file, 'image')).media_id).toMatch(/^300\d+\./)
    expect(issued()).toBe(before + 1)
    expect((await api.ensureAccessToken()).accessToken).toBe(dead)
    expect(upstream.simulator.accepts(dead)).toBe(false)
  })

  test('node-easywechat, by its option http.baseURL', async () => {
    const app = new OfficialAccount({ app_id: appid, secret: key, http: { baseURL: `${node.url}/` } })
    const cached = new Map<string, unknown>()
    app.setCache({
      get: async (name: string) => cached.get(name) ?? null,
      set: async (name: string, value: unknown) => Boolean(cached.set(name, value)),
      has: async (name: string) => cached.has(name),
      delete: async (name: string) => cached.delete(name),
    })
    const dead = await app.getAccessToken().getToken()
    upstream.simulator.revoke({ token: dead })
    const before = issued()
    const answers = await Promise.all(Array.from({ length: 5 }, () => app.getClient().get('cgi-bin/user/get')))
    expect(answers.map((answer) => answer.toObject().total)).toEqual([1, 1, 1, 1, 1])
    expect(issued()).toBe(before + 1)
    expect(await app.getAccessToken().getToken()).toBe(dead)
  })
})

test('every worker knows a token, whichever gave it out', async () => {
  const { json } = await ask(`${node.url}/v1/tokens/weixin`, { key })
  const token = String(json.token)
  // Each of them comes on a connection of its own, so that all workers have some.
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => get(`/cgi-bin/user/get?access_token=${token}`, { connection: 'close' })),
  )
  expect(answers.map((text) => (JSON.parse(text) as { total: number }).total)).toEqual(Array(40).fill(1))
})

test('200 megabytes up: the platform has every byte, and no process has grown by fifty', async () => {
  const size = 200 * 1_048_576
  const hash = createHash('sha256')
  const path = '/proxy/weixin/cgi-bin/media/upload?type=video'
  // What a process needs for any call at all does not count.
  for (let call = 0; call < 6; call += 1) await post(path, 4 * 1_048_576, createHash('sha256'))
  const before = memoryOf(node.pid)
  const { media_id: id } = JSON.parse(await post(path, size, hash)) as { media_id: string }
  expect(id).toBe(`${String(size)}.${hash.digest('hex')}`)
  for (const [pid, { peak }] of memoryOf(node.pid)) {
    expect(peak - (before.get(pid)?.now ?? 0)).toBeLessThan(50 * 1_048_576)
  }
}, 60_000)

async function get(path: string, headers: Record<string, string>): Promise<string> {
  const answer = await fetch(`${node.url}${path}`, { headers })
  return await answer.text()
}

async function post(path: string, size: number, hash: ReturnType<typeof createHash>): Promise<string> {
  const { hostname, port } = new URL(node.url)
  const headers = { authorization: `Bearer ${key}`, 'content-length': String(size) }
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest({ hostname, port, path, method: 'POST', headers, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.once('end', () => resolve(text)).once('error', reject)
    })
    outgoing.once('error', reject)
    const chunk = Buffer.alloc(262_144, 'video')
    let left = size
    const more = (): void => {
      while (left > 0) {
        left -= chunk.length
        hash.update(chunk)
        if (!outgoing.write(chunk)) {
          outgoing.once('drain', more)
          return
        }
      }
      outgoing.end()
    }
    more()
  })
}

/** Resident bytes of a process and its children: now, and at most ever. */
function memoryOf(pid: number): Map<number, { readonly now: number; readonly peak: number }> {
  const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
    .trim()
    .split(/\s+/)
  const found = new Map<number, { now: number; peak: number }>()
  for (const each of [String(pid), ...children].filter((text) => text !== '')) {
    const status = readFileSync(`/proc/${each}/status`, 'utf8')
    const bytes = (name: string): number => Number(new RegExp(`${name}:\\s*(\\d+)`).exec(status)?.[1] ?? 0) * 1_024
    found.set(Number(each), { now: bytes('VmRSS'), peak: bytes('VmHWM') })
  }
  return found
}
