import { describe, expect, test } from 'vitest'
import type { SourcesAnswer } from '../../src/wire/v1.ts'
import { client, openHouse, remote } from './visitor.ts'

const namesOf = (answer: unknown) => (answer as SourcesAnswer).sources.map(({ name }) => name)

const json = { 'content-type': 'application/json' }
const definition = JSON.stringify({ provider: 'wechat', appid: 'wx-new', secret: 'planted-secret' })

describe('/v1/sources', () => {
  test('200 with the states that the key may read, by name, in pages', async () => {
    const names = Array.from({ length: 25 }, (_, index) => `s${String(index).padStart(2, '0')}`)
    const { ask } = openHouse({
      sources: names.map((name) => ({ name })),
      clients: [client('some', 'some-key', { read: ['s*1', 's20'] }), client('admin', 'admin-key', { admin: true })],
    })
    const some = await ask('/v1/sources', { key: 'some-key' })
    expect(namesOf(some.json)).toEqual(['s01', 's11', 's20', 's21'])
    const seen: string[] = []
    let after: string | null = ''
    while (after !== null) {
      const page = await ask(`/v1/sources?limit=10${after === '' ? '' : `&after=${after}`}`, { key: 'admin-key' })
      expect(page.json.sources.length).toBeLessThanOrEqual(10)
      seen.push(...namesOf(page.json))
      after = (page.json as SourcesAnswer).next
    }
    expect(seen).toEqual(names)
    expect((await ask('/v1/sources?limit=0', { key: 'admin-key' })).status).toBe(400)
    expect((await ask('/v1/sources?limit=1001', { key: 'admin-key' })).status).toBe(400)
  })

  test('200 with the trouble of a source in the caller’s language', async () => {
    const { ask, keeper } = openHouse({ sources: [{ name: 'weixin' }] })
    keeper.held.get('weixin')!.trouble = {
      class: 'permission',
      failure: { code: 'upstream_rejected', message: 'refused', hint: { en: 'Add it.', zh: '请添加。' } },
      since: keeper.now,
      at: keeper.now,
      count: 3,
      generation: 'x',
    }
    const told = await ask('/v1/sources/weixin', { headers: { 'accept-language': 'zh' } })
    expect(told.json).toMatchObject({
      state: 'failing',
      version: 0,
      expires_in: null,
      trouble: { hint: '请添加。', count: 3 },
    })
  })

  test('201 for a new source, 200 for a changed one, 204 when it is removed, and never its secret', async () => {
    const { ask } = openHouse()
    const put = { method: 'PUT', headers: json, body: definition }
    const added = await ask('/v1/sources/team%2Fnew', put)
    expect([added.status, added.json.name, added.json.origin]).toEqual([201, 'team/new', 'store'])
    expect((await ask('/v1/sources/team%2Fnew', put)).status).toBe(200)
    for (const path of ['/v1/sources', '/v1/sources/team%2Fnew']) {
      expect((await ask(path)).text).not.toContain('planted-secret')
    }
    expect((await ask('/v1/sources/team%2Fnew', { method: 'DELETE' })).status).toBe(204)
    expect((await ask('/v1/sources/team%2Fnew', { method: 'DELETE' })).status).toBe(404)
  })

  test('409 for a source of the configuration file', async () => {
    const { ask } = openHouse({ sources: [{ name: 'weixin' }] })
    expect((await ask('/v1/sources/weixin', { method: 'PUT', headers: json, body: definition })).status).toBe(409)
    expect((await ask('/v1/sources/weixin', { method: 'DELETE' })).status).toBe(409)
  })

  test('400 for a definition that is wrong, or a name that is none', async () => {
    const { ask } = openHouse()
    const wrong = await ask('/v1/sources/x', { method: 'PUT', headers: json, body: '{"provider":"nothing"}' })
    expect([wrong.status, wrong.json.detail]).toEqual([400, 'provider: unknown'])
    for (const name of ['a%20b', '-a', 'x'.repeat(129), '%C3%A9', '%zz']) {
      expect((await ask(`/v1/sources/${name}`, { method: 'PUT', headers: json, body: definition })).status).toBe(400)
    }
  })
})

describe('operating routes', () => {
  test('200 from /healthz, /readyz and / without a key, wherever one asks from', async () => {
    const { ask, keeper } = openHouse({ clients: [client('shop', 'shop-key')] })
    expect((await ask('/healthz', { peer: remote })).json).toEqual({ status: 'ok' })
    expect((await ask('/readyz', { peer: remote })).json).toEqual({ status: 'ready' })
    expect((await ask('/', { peer: remote })).text).toContain('/openapi.json')
    keeper.ready = false
    expect((await ask('/readyz', { peer: remote })).status).toBe(503)
  })

  test('200 from /metrics on this machine or for an admin', async () => {
    const clients = [client('shop', 'shop-key', { read: ['*'] }), client('admin', 'admin-key', { admin: true })]
    const { ask } = openHouse({ clients })
    expect((await ask('/metrics')).text).toContain('zhongkong_info{version="1.2.3"} 1')
    expect((await ask('/metrics', { peer: remote, key: 'admin-key' })).status).toBe(200)
    expect((await ask('/metrics', { peer: remote, key: 'shop-key' })).status).toBe(403)
    expect((await ask('/metrics', { peer: remote })).status).toBe(401)
    expect((await ask('/metrics', { headers: { 'x-forwarded-for': '1.2.3.4' } })).status).toBe(401)
  })

  test('the requests are counted by route and status, and unknown paths make no series of their own', async () => {
    const { ask } = openHouse({ sources: [{ name: 'weixin' }] })
    await ask('/v1/tokens/weixin')
    await ask('/v1/tokens/nothing')
    for (const path of ['/a', '/b', '/c']) await ask(path)
    const { text } = await ask('/metrics')
    expect(text).toContain('zhongkong_http_request_duration_seconds_count{route="/v1/tokens/{name}",status="200"} 1')
    expect(text).toContain('zhongkong_http_request_duration_seconds_count{route="/v1/tokens/{name}",status="404"} 1')
    expect(text).toContain('zhongkong_http_request_duration_seconds_count{route="none",status="404"} 3')
  })

  test('200 from /openapi.json, which lists every route', async () => {
    const { ask } = openHouse()
    const { json: document } = await ask('/openapi.json')
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths as object)).toContain('/v1/tokens/{name}')
    expect(document.paths['/v1/sources/{name}'].put.security).toEqual([{ key: [] }])
  })
})
