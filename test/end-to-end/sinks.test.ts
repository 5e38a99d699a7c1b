/** The real process with a real Redis that dies, hangs and comes back, and a receiver of webhooks that does the same. */
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test as plainTest } from 'vitest'
import { isSkipped } from '../servers/obtain-server.ts'
import { startRedis, type RedisServer } from '../servers/redis-server.ts'
import { classic, issuesOf, read } from './accounts.ts'
import { ask } from './ask.ts'
import { logOf } from './connections.ts'
import { eventually, moment, openStage, type Served, type Stage } from './stage.ts'

const test = plainTest.extend<{ stage: Stage; redis: RedisServer }>({
  // The empty pattern is how vitest is told that this needs nothing else.
  stage: async ({}, use) => {
    const stage = await openStage()
    await use(stage)
    await stage.close()
  },
  redis: async ({}, use) => {
    const redis = await startRedis()
    await use(redis)
    await redis.dispose()
  },
})

const keyOf = (appid: string): string => `wx:access_token:${appid}`

/** A new token, in less time than anything that waits for a sink would take. */
async function rotate(server: Served, name: string): Promise<string> {
  // Within one second the platform gives the same token again.
  await moment(1_050)
  const before = performance.now()
  const { status, json } = await ask(`${server.url}/v1/tokens/${name}/refresh`, { body: {} })
  expect(status).toBe(200)
  expect(performance.now() - before).toBeLessThan(1_000)
  return String(json.token)
}

const holds = (redis: RedisServer, key: string, token: string, withinMs: number): Promise<unknown> =>
  eventually(`Redis holds the newest token under ${key}`, withinMs, async () =>
    (await redis.command('GET', key).catch(() => '')) === token ? true : null,
  )

const sinkOf = async (server: Served): Promise<Record<string, unknown>> =>
  (await ask(`${server.url}/v1/sinks`)).json.sinks[0] as Record<string, unknown>

test.skipIf(isSkipped('redis'))(
  'a Redis that was away for a while has the newest of every source afterwards, and holds nobody up meanwhile',
  async ({ stage, redis }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const sources = { one: classic(upstream, 'wx1'), two: classic(upstream, 'wx2') }
    const sinks = [{ kind: 'redis', url: redis.url, preset: 'wxjava' }]
    const server = await stage.serve(await stage.configure({ store: 'sqlite:tokens.db', sources, sinks }))
    const two = (await read(server, 'two')).token
    await holds(redis, keyOf('wx1'), (await read(server, 'one')).token, 10_000)
    await holds(redis, keyOf('wx2'), two, 10_000)

    await redis.process().end('SIGKILL')
    let newest = ''
    for (let times = 0; times < 3; times += 1) newest = await rotate(server, 'one')
    const sink = await eventually('the sink is told to fail', 5_000, async () => {
      const now = await sinkOf(server)
      return now.state === 'failing' ? now : null
    })
    expect(sink).toMatchObject({ name: 'redis-1', kind: 'redis', to: `127.0.0.1:${redis.port}` })
    expect((sink.trouble as { message: string }).message).toMatch(/ECONNREFUSED|broke/)
    expect((await ask(`${server.url}/metrics`)).text).toMatch(/^zhongkong_sink_up\{sink="redis-1"\} 0$/m)

    // It comes back empty: what was not rotated meanwhile is missing, too.
    await redis.start()
    await holds(redis, keyOf('wx1'), newest, 20_000)
    await holds(redis, keyOf('wx2'), two, 20_000)
    await eventually('the sink is well', 5_000, async () => ((await sinkOf(server)).state === 'ok' ? true : null))
    const told = logOf(server).map(({ event }) => String(event))
    expect(told.filter((event) => event.startsWith('sink-'))).toEqual(['sink-failing', 'sink-recovered'])

    // Frozen, it takes what it is sent and answers nothing.
    redis.process().signal('SIGSTOP')
    newest = await rotate(server, 'one')
    const times = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const before = performance.now()
        expect((await read(server, 'one')).token).toBe(newest)
        return performance.now() - before
      }),
    )
    expect(Math.max(...times)).toBeLessThan(1_500)
    redis.process().signal('SIGCONT')
    await holds(redis, keyOf('wx1'), newest, 30_000)
  },
  120_000,
)

test.skipIf(isSkipped('redis'))(
  'what was committed and not delivered when the process died is delivered by the next, without asking the upstream',
  async ({ stage, redis }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const sources = { one: classic(upstream, 'wx1') }
    const sinks = [{ kind: 'redis', url: redis.url, preset: 'wechatpy' }]
    const path = await stage.configure({ store: 'sqlite:tokens.db', sources, sinks })
    const server = await stage.serve(path)
    await read(server, 'one')
    await redis.process().end('SIGKILL')
    const newest = await rotate(server, 'one')
    await server.stop('SIGKILL')
    await redis.start()
    const issued = issuesOf(upstream, 'wx1')
    await stage.serve(path)
    await holds(redis, 'wechatpy:wx1_access_token', JSON.stringify(newest), 15_000)
    expect(issuesOf(upstream, 'wx1')).toBe(issued)
  },
  60_000,
)

test.skipIf(isSkipped('redis'))(
  'two servers over one store end with the newest in Redis, whoever rotated, and never take it back',
  async ({ stage, redis }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const sources = { one: classic(upstream, 'wx1') }
    const sinks = [{ kind: 'redis', url: redis.url, key: 'k:{name}', value: '{version} {token}' }]
    const path = await stage.configure({ store: 'sqlite:tokens.db', sources, sinks })
    const servers = [await stage.serve(path), await stage.serve(path)]
    await read(servers[0]!, 'one')
    const seen: number[] = []
    let isOver = false
    const watching = (async () => {
      while (!isOver) seen.push(Number((await redis.command('GET', 'k:one')).split(' ')[0]))
    })()
    let newest = ''
    for (let turn = 0; turn < 6; turn += 1) newest = await rotate(servers[turn % 2]!, 'one')
    const { version } = await read(servers[1]!, 'one')
    await holds(redis, 'k:one', `${version} ${newest}`, 10_000)
    isOver = true
    await watching
    expect(seen).toEqual(seen.toSorted((left, right) => left - right))
    // The one that committed the newest dies; the other puts back what is lost.
    await servers[1]!.stop('SIGKILL')
    await redis.command('FLUSHALL')
    await holds(redis, 'k:one', `${version} ${newest}`, 25_000)
  },
  90_000,
)

test('a receiver of webhooks that was away hears of the newest version, and what it missed is shown', async ({
  stage,
}) => {
  const heard: { id: string; body: string }[] = []
  let status = 503
  const receiver = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (part: string) => (body += part))
    request.on('end', () => {
      if (status === 204) heard.push({ id: String(request.headers['webhook-id']), body })
      response.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  try {
    const upstream = await stage.upstream({ accounts: [] })
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks/hidden-path`
    const sinks = [{ kind: 'webhook', name: 'shop', url, secret: 'file:hook.secret' }]
    await writeFile(`${stage.folder}/hook.secret`, 'a-secret-of-the-hook', { mode: 0o600 })
    const sources = { one: classic(upstream, 'wx1') }
    const server = await stage.serve(await stage.configure({ store: 'sqlite:tokens.db', sources, sinks }))
    await read(server, 'one')
    let newest = ''
    for (let times = 0; times < 2; times += 1) newest = await rotate(server, 'one')
    const { version } = await read(server, 'one')
    await eventually('it fails', 5_000, async () => ((await sinkOf(server)).state === 'failing' ? true : null))
    status = 204
    await eventually('it hears of the newest', 20_000, () => Promise.resolve(heard.length > 0 ? true : null))
    expect(heard.map(({ body }) => JSON.parse(body) as object)).toMatchObject([
      { type: 'rotated', name: 'one', version },
    ])
    const sink = await sinkOf(server)
    expect(sink).toMatchObject({ name: 'shop', state: 'ok', delivered: 1, to: new URL(url).origin })
    expect((sink.dropped as { version: number; reason: string }[]).every(({ reason }) => reason === 'superseded')).toBe(
      true,
    )
    expect(sink.dropped_count).toBeGreaterThan(0)
    for (const text of [JSON.stringify(heard), JSON.stringify(sink), server.stdout(), server.stderr()]) {
      expect(text).not.toContain(newest)
      expect(text).not.toContain('a-secret-of-the-hook')
    }
    expect(server.stderr()).not.toContain('hidden-path')
  } finally {
    receiver.closeAllConnections()
    receiver.close()
  }
}, 60_000)
