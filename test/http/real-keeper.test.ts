/** The surfaces on the real keeper and a memory store; only the upstream is played. */
import { afterEach, expect, test } from 'vitest'
import { createAccess } from '../../src/access/access.ts'
import { realEnv } from '../../src/base/real-env.ts'
import { createBus } from '../../src/events/bus.ts'
import { createMetrics } from '../../src/events/metrics.ts'
import { createHandler } from '../../src/http/server.ts'
import { openKeeper } from '../../src/keeper/open-keeper.ts'
import type { RefreshAnswer, TokenAnswer } from '../../src/wire/v1.ts'
import { openStore } from '../../src/stores/open-store.ts'
import { sourceOf } from './fake-keeper.ts'
import { loopback, noCompat } from './visitor.ts'

const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop()
})

async function open() {
  const env = realEnv()
  const store = await openStore({ url: 'memory:', encryptionKey: null, env })
  running.push(env.close, () => store.close())
  let issues = 0
  const keeper = await openKeeper({
    env,
    store,
    node: 'node-1',
    sources: [
      sourceOf({ name: 'weixin', account: 'wx1', secret: 'app-secret', reissue: 'independent' }),
      sourceOf({ name: 'js', kind: 'wechat-ticket', needs: ['weixin'], definition: { type: 'jsapi' } }),
    ],
    parseSource: (name, definition, origin) => ({ ok: true, source: { ...sourceOf({ name, origin }), definition } }),
    issue: (source) => {
      issues += 1
      const value = `${source.name}-value-${issues}`
      const fields = { access_token: value, expires_in: 7200 }
      return Promise.resolve({ outcome: 'issued', issued: { value, lifetimeMs: 7_200_000, fields } })
    },
    emit: () => undefined,
    onFault: (thrown) => {
      throw thrown
    },
  })
  running.push(() => keeper.stop())
  const metrics = createMetrics({ bus: createBus(() => undefined), version: '0' })
  const handler = createHandler({ keeper, access: createAccess([]), compat: noCompat, env, metrics, version: '0' })
  const ask = async (path: string, init: RequestInit = {}) =>
    await handler(new Request(`http://localhost${path}`, init), loopback)
  return { ask, handler, keeper }
}

test('a token is read, waited for and refreshed, and its ticket is found by it', async () => {
  const { ask, handler } = await open()
  const first = await ask('/v1/tokens/weixin')
  const token = (await first.json()) as TokenAnswer
  expect(token).toMatchObject({ name: 'weixin', version: 1, fields: { expires_in: 7200 } })
  expect(token.expires_in).toBeGreaterThan(7_000)
  expect(handler.glance('/v1/tokens/weixin', ['Host', 'localhost'], loopback)?.status).toBe(200)

  const tag = first.headers.get('etag') ?? ''
  expect((await ask('/v1/tokens/weixin', { headers: { 'if-none-match': tag } })).status).toBe(304)
  const waiting = ask('/v1/tokens/weixin?wait=30', { headers: { 'if-none-match': tag } })
  const refreshed = await ask('/v1/tokens/weixin/refresh', { method: 'POST' })
  expect((await refreshed.json()) as RefreshAnswer).toMatchObject({ version: 2, refreshed: true })
  expect((await (await waiting).json()) as TokenAnswer).toMatchObject({ version: 2 })

  const ticket = await ask(`/cgi-bin/ticket/getticket?access_token=${token.token}&type=jsapi`)
  expect(await ticket.json()).toMatchObject({ errcode: 0, ticket: expect.stringMatching(/^js-value-/) as string })
})

test('a source is added, served, listed and removed while running', async () => {
  const { ask } = await open()
  const headers = { 'content-type': 'application/json' }
  const put = await ask('/v1/sources/team%2Fnew', {
    method: 'PUT',
    headers,
    body: '{"provider":"wechat","secret":"planted"}',
  })
  expect(put.status).toBe(201)
  expect((await ask('/v1/tokens/team%2Fnew')).status).toBe(200)
  const list = await (await ask('/v1/sources')).text()
  expect(list).toContain('"team/new"')
  expect(list).not.toContain('planted')
  expect((await ask('/v1/sources/team%2Fnew', { method: 'DELETE' })).status).toBe(204)
  expect((await ask('/v1/tokens/team%2Fnew')).status).toBe(404)
  expect((await ask('/v1/sources/weixin', { method: 'DELETE' })).status).toBe(409)
})

test('404 for an unknown source, 400 for more time than a token ever has', async () => {
  const { ask } = await open()
  expect((await ask('/v1/tokens/nothing')).status).toBe(404)
  expect((await ask('/v1/tokens/weixin')).status).toBe(200)
  const long = await ask('/v1/tokens/weixin?min_ttl=8000')
  expect([long.status, ((await long.json()) as { code: string }).code]).toEqual([400, 'min_ttl_too_long'])
})
