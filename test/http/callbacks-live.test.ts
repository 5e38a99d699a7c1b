/** Callbacks over real sockets: what a receiver written for the platform sees, and what the platform gets back. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createAccess } from '../../src/access/access.ts'
import { realEnv } from '../../src/base/real-env.ts'
import { Secret } from '../../src/base/secret.ts'
import { createBus } from '../../src/events/bus.ts'
import { createMetrics } from '../../src/events/metrics.ts'
import { listen } from '../../src/http/listen.ts'
import { createHandler } from '../../src/http/server.ts'
import { aesKey, receiveId, sealedXml, target, textMessage, token } from '../callbacks/platform.ts'
import { FakeKeeper } from './fake-keeper.ts'
import { noCompat } from './visitor.ts'

type Seen = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function receiver(answer: { status?: number; headers?: Record<string, string>; body?: Buffer } | null) {
  const seen: Seen[] = []
  const server: Server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
      if (answer !== null) outgoing.writeHead(answer.status ?? 200, answer.headers).end(answer.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  )
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function node(...forward: string[]) {
  const env = realEnv()
  closing.push(() => env.close())
  const callback = { token: new Secret(token), aesKey: new Secret(aesKey), receiveIds: [receiveId] }
  const keeper = new FakeKeeper([{ name: 'oa', callback: { ...callback, forward: forward.map((to) => target(to)) } }])
  const metrics = createMetrics({ bus: createBus(() => undefined), version: '0' })
  const handler = createHandler({ keeper, access: createAccess([]), compat: noCompat, env, metrics, version: '0' })
  const listening = await listen({ handler, listen: '127.0.0.1:0', env })
  closing.push(async () => {
    await listening.close()
    await handler.settle()
  })
  return listening.url
}

function send(url: string, content: string) {
  const { search, body } = sealedXml(textMessage(content), { timestamp: String(Math.floor(Date.now() / 1_000)) })
  const headers = { 'content-type': 'text/xml', 'user-agent': 'Mozilla/4.0', cookie: 'a=b', authorization: 'Bearer x' }
  const request = { search, body: Buffer.from(body).toString() }
  return { request, answer: fetch(`${url}/callback/oa${search}`, { method: 'POST', body: request.body, headers }) }
}

test('a receiver sees the request of the platform, and the platform its answer, both byte for byte', async () => {
  const reply = Buffer.concat([Buffer.from('<xml>'), Buffer.from([0xc4, 0xe3]), Buffer.from('</xml>')])
  const php = await receiver({ headers: { 'content-type': 'application/xml; charset=GBK' }, body: reply })
  const java = await receiver({ body: Buffer.from('ignored') })
  const { request, answer } = send(await node(`${php.url}/wx.php?site=1`, java.url), '你好 😀')
  const told = await answer
  expect([told.status, told.headers.get('content-type')]).toEqual([200, 'application/xml; charset=GBK'])
  expect(Buffer.from(await told.arrayBuffer())).toEqual(reply)
  expect(php.seen).toHaveLength(1)
  const [{ method, url, headers, body }] = php.seen as [Seen]
  expect([method, url, body]).toEqual(['POST', `/wx.php?site=1&${request.search.slice(1)}`, request.body])
  expect([headers['content-type'], headers['user-agent']]).toEqual(['text/xml', 'Mozilla/4.0'])
  expect([headers.cookie, headers.authorization]).toEqual([undefined, undefined])
  await expect.poll(() => java.seen.map(({ url }) => url), { timeout: 10_000 }).toEqual([`/${request.search}`])
})

test('a receiver that is dead, or points elsewhere, is answered for', async () => {
  const gone = await receiver(null)
  await closing.pop()?.()
  expect(await (await send(await node(gone.url), 'one').answer).text()).toBe('success')
  const elsewhere = await receiver({ body: Buffer.from('elsewhere') })
  const moved = await receiver({ status: 307, headers: { location: elsewhere.url } })
  expect(await (await send(await node(moved.url), 'two').answer).text()).toBe('success')
  expect([moved.seen.length, elsewhere.seen.length]).toEqual([1, 0])
})

test('a receiver that says nothing is answered for within five seconds', async () => {
  const silent = await receiver(null)
  const startedAt = performance.now()
  expect(await (await send(await node(silent.url), 'three').answer).text()).toBe('success')
  expect(performance.now() - startedAt).toBeGreaterThan(4_000)
  // Platforms give up after five; here other tests take their share of the time.
  expect(performance.now() - startedAt).toBeLessThan(9_000)
  expect(silent.seen).toHaveLength(1)
})
