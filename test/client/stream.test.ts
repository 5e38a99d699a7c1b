/** `/v1/events` of whole nodes over real sockets: who hears what, who is told that something was missed, and who is cut off. */
import { connect } from 'node:net'
import { expect, test as plainTest } from 'vitest'
import { eventually } from '../end-to-end/stage.ts'
import { client as grantOf } from '../http/visitor.ts'
import { key, openLive, shop, stream, type Live, type LiveNode, type Stream } from './live.ts'

const test = plainTest.extend<{ live: Live }>({
  live: async ({}, use) => {
    const live = await openLive()
    await use(live)
    await live.close()
    expect(live.faults).toEqual([])
  },
})

const rotate = async ({ node }: LiveNode, name = 'weixin') => (await node.keeper.refresh(name)).snapshot
const heard = async ({ events }: Stream, type: string, is: (data: Record<string, unknown>) => boolean = () => true) =>
  await eventually(
    `${type} is heard`,
    5_000,
    async () => events.find((event) => event.type === type && is(event.data)) ?? null,
  )

test('200: a greeting with the versions held, then each rotation once, and never a token', async ({ live }) => {
  const one = await live.open()
  const first = (await one.node.keeper.get('weixin')).snapshot
  const watcher = await stream(one.url, '?names=weixin')
  expect([watcher.status, watcher.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  expect(watcher.headers.get('cache-control')).toContain('no-transform')
  const { data } = await heard(watcher, 'hello')
  expect(data).toEqual({ heartbeat: 15, versions: { weixin: 1 } })
  const second = await rotate(one)
  const told = await heard(watcher, 'rotated')
  expect(told.data).toMatchObject({ type: 'rotated', name: 'weixin', version: 2, reason: expect.any(String) })
  expect(Number(told.data.expires_at)).toBeGreaterThan(Date.now() / 1_000)
  await rotate(one, 'corp')
  await rotate(one)
  await heard(watcher, 'rotated', ({ version }) => version === 3)
  expect(watcher.events.filter(({ type }) => type === 'rotated').map(({ data }) => [data.name, data.version])).toEqual([
    ['weixin', 2],
    ['weixin', 3],
  ])
  for (const token of [first.token, second.token, key]) expect(watcher.text()).not.toContain(token)
})

test('only sources that the key may read, and what concerns the server only for an admin', async ({ live }) => {
  const clients = [grantOf('corp-only', key, { read: ['corp'] }), grantOf('boss', 'boss-key', { admin: true })]
  const one = await live.open({ clients })
  const [reader, boss] = [
    await stream(one.url, '?names=*'),
    await stream(one.url, '', { authorization: 'Bearer boss-key' }),
  ]
  await rotate(one)
  await rotate(one, 'corp')
  one.node.bus.emit({ type: 'store-lost', at: Date.now(), message: 'away' })
  one.node.bus.emit({ type: 'callback-refused', name: 'corp', at: Date.now(), reason: 'signature' })
  await heard(boss, 'callback-refused')
  await rotate(one, 'corp')
  const types = async (watcher: Stream) => {
    await heard(watcher, 'rotated', (data) => data.name === 'corp' && data.version === 3)
    return [...new Set(watcher.events.map(({ type, data }) => `${type} ${String(data.name)}`))]
  }
  expect(await types(reader)).toEqual(['hello undefined', 'rotated corp'])
  expect(await types(boss)).toEqual(
    expect.arrayContaining(['rotated weixin', 'rotated corp', 'store-lost undefined', 'callback-refused corp']),
  )
  const named = await stream(one.url, '?names=weixin,corp')
  expect((await heard(named, 'hello')).data.versions).toEqual({ corp: 3 })
})

test('401 without a key, 400 for names that are none, and HEAD opens nothing', async ({ live }) => {
  const one = await live.open()
  const status = async (query: string, init: RequestInit = {}) =>
    (await fetch(`${one.url}/v1/events${query}`, init)).status
  const headers = { authorization: `Bearer ${key}` }
  expect(await status('')).toBe(401)
  expect(await status('?names=', { headers })).toBe(400)
  expect(await status('?names=a,,b', { headers })).toBe(400)
  expect(await status('?names=a&names=b', { headers })).toBe(400)
  expect(await status('?key=a', { headers })).toBe(400)
  expect(await status('', { headers, method: 'HEAD' })).toBe(200)
  expect(await one.node.ownMetrics()).toMatch(/^zhongkong_watchers 0$/m)
})

test('what another node rotated is told too, also of a source that nobody ever read here', async ({ live }) => {
  const one = await live.open()
  await rotate(one)
  const two = await live.open()
  const watcher = await stream(two.url, '?names=weixin')
  await heard(watcher, 'hello')
  for (const version of [2, 3, 4]) {
    await rotate(one)
    await heard(watcher, 'rotated', (data) => data.version === version)
    // Whoever hears of it and asks here gets it.
    expect(two.node.keeper.peek('weixin')?.version).toBe(version)
  }
  // Of a token that is young when it is first seen, too.
  expect(watcher.events.map(({ data }) => data.version).slice(1)).toEqual([1, 2, 3, 4])
})

test('failing and recovered of another node are told', async ({ live }) => {
  const one = await live.open()
  await rotate(one)
  const two = await live.open()
  await two.node.keeper.get('weixin')
  const watcher = await stream(two.url)
  await heard(watcher, 'hello')
  const fault = live.upstream.simulator.addFault({ account: 'wx-weixin', effect: { type: 'errcode', code: 40164 } })
  await one.node.keeper.refresh('weixin').catch(() => undefined)
  const { data } = await heard(watcher, 'failing')
  expect(data).toMatchObject({
    name: 'weixin',
    class: 'permission',
    upstream: { errcode: 40164 },
    hint: expect.any(String),
  })
  live.upstream.simulator.removeFault(fault)
  await one.node.keeper.refresh('weixin').catch(() => undefined)
  await heard(watcher, 'recovered')
})

test('Last-Event-ID brings what was missed, and a number of another life or of long ago a reset', async ({ live }) => {
  const one = await live.open()
  await rotate(one)
  const before = await stream(one.url, '?names=weixin')
  const { id } = await heard(before, 'hello')
  before.cut()
  await eventually('it is gone', 2_000, async () =>
    /^zhongkong_watchers 0$/m.test(await one.node.ownMetrics()) ? true : null,
  )
  await rotate(one)
  await rotate(one)
  const after = await stream(one.url, '?names=weixin', { 'last-event-id': id })
  await heard(after, 'rotated', ({ version }) => version === 3)
  expect(after.events.map(({ type, data }) => [type, data.version])).toEqual([
    ['hello', undefined],
    ['rotated', 2],
    ['rotated', 3],
  ])
  expect(new Set(after.events.map((event) => event.id)).size).toBe(3)

  for (const other of ['another-1', 'garbage', '-', `${id}9`]) {
    const anew = await stream(one.url, '?names=weixin', { 'last-event-id': other })
    expect((await heard(anew, 'reset')).data).toMatchObject({ versions: { weixin: 3 } })
  }
  // Nobody has asked for these names before, so nobody knows what happened to them.
  const wider = await stream(one.url, '?names=weixin,corp', { 'last-event-id': id })
  expect((await heard(wider, 'reset')).data).toMatchObject({ reason: 'too-old' })
  for (let at = 0; at < 11_000; at += 1) one.node.bus.emit({ type: 'reported', name: 'other', at: 0, version: at })
  const old = await stream(one.url, '?names=weixin', { 'last-event-id': id })
  expect((await heard(old, 'reset')).data).toMatchObject({ reason: 'too-old' })
})

test('a revoked key ends its stream at once, and a narrowed one hears no more than it may', async ({ live }) => {
  const clients = [shop, grantOf('other', 'other-key', { read: ['weixin', 'corp'] })]
  const one = await live.open({ clients })
  const revoked = await stream(one.url)
  const narrowed = await stream(one.url, '', { authorization: 'Bearer other-key' })
  await heard(narrowed, 'hello')
  await one.reload([grantOf('other', 'other-key', { read: ['corp'] })])
  await eventually('the stream ends', 2_000, async () => (revoked.isEnded() ? true : null))
  const hidden = await rotate(one)
  const shown = await rotate(one, 'corp')
  await heard(narrowed, 'rotated', ({ name, version }) => name === 'corp' && version === shown.version)
  const told = narrowed.events.filter(({ data }) => data.name === 'weixin').map(({ data }) => data.version)
  expect(told).not.toContain(hidden.version)
  expect(narrowed.isEnded()).toBe(false)
})

test('a watcher that does not read is cut off, and holds nobody else up', async ({ live }) => {
  const one = await live.open()
  const slow = connect(one.port, '127.0.0.1')
  live.onClose(async () => void slow.destroy())
  const isCut = new Promise((resolve) => slow.once('close', resolve))
  slow.on('error', () => undefined)
  slow.pause()
  slow.write(`GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n\r\n`)
  const quick = await stream(one.url)
  const watchers = async () => Number(/^zhongkong_watchers (\d+)$/m.exec(await one.node.ownMetrics())?.[1])
  await eventually('both are there', 2_000, async () => ((await watchers()) === 2 ? true : null))
  const hint = { en: 'x'.repeat(20_000), zh: '' }
  const failure = { code: 'upstream_busy', message: 'busy', hint }
  for (let round = 0; round < 400 && (await watchers()) === 2; round += 1) {
    for (let at = 0; at < 20; at += 1) {
      const state =
        at % 2 === 0
          ? ({ type: 'failing', class: 'transient', failure } as const)
          : ({ type: 'recovered', failures: 1 } as const)
      one.node.bus.emit({ ...state, name: 'weixin', at: 0 })
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(await watchers()).toBe(1)
  slow.resume()
  await isCut
  expect(quick.isEnded()).toBe(false)
  await rotate(one)
  await heard(quick, 'rotated')
}, 30_000)

test('a node that stops tells when to come back and ends all streams, and lets nobody in', async ({ live }) => {
  const one = await live.open()
  const watchers = await Promise.all(Array.from({ length: 20 }, () => stream(one.url)))
  await Promise.all(watchers.map((watcher) => heard(watcher, 'hello')))
  const startedAt = performance.now()
  await one.stop()
  expect(performance.now() - startedAt).toBeLessThan(3_000)
  await eventually('all ended', 1_000, async () => (watchers.every((watcher) => watcher.isEnded()) ? true : null))
  expect(watchers[0]!.text()).toMatch(/retry: \d{3,4}\n\n$/)
})
