/** `zhongkong/client` on whole nodes over real sockets: what programs hold, whatever happens to the server and the way to it. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test as plainTest } from 'vitest'
import { realWorld } from '../../src/client/world.ts'
import type { ClientEvent, World } from '../../src/client/index.ts'
import { eventually, moment } from '../end-to-end/stage.ts'
import { client as grantOf } from '../http/visitor.ts'
import { key, openLive, shop, type Live, type LiveNode } from './live.ts'

const test = plainTest.extend<{ live: Live }>({
  live: async ({}, use) => {
    const live = await openLive()
    await use(live)
    await live.close()
    expect(live.faults).toEqual([])
  },
})

const rotate = async ({ node }: LiveNode, name = 'weixin') => (await node.keeper.refresh(name)).snapshot

/** The network with a tally of what was asked, and a way to cut it. */
function watched(world: World = realWorld): World & { readonly asked: string[]; isCut: boolean } {
  const made = {
    ...world,
    asked: [] as string[],
    isCut: false,
    fetch: async (request: Request) => {
      made.asked.push(`${request.method} ${new URL(request.url).pathname}`)
      if (made.isCut)
        throw new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })
      return await world.fetch(request)
    },
  }
  return made
}

const isState = ({ type }: ClientEvent) => type === 'listening' || type === 'polling'
const isListening = async (events: readonly ClientEvent[]) =>
  await eventually('it listens', 5_000, async () => (events.findLast(isState)?.type === 'listening' ? true : null))

test('get asks once for all who ask at once, and from then on nobody', async ({ live }) => {
  const one = await live.open()
  const world = watched()
  const client = live.client({ url: one.url, world })
  const tokens = await Promise.all(Array.from({ length: 100 }, () => client.get('weixin')))
  expect(new Set(tokens.map(({ token }) => token))).toEqual(new Set([live.upstream.simulator.latest('wx-weixin')]))
  const { token, version, expiresIn, fields, name, stale } = await client.get('weixin')
  expect({ version, name, stale, token: fields.access_token }).toEqual({
    version: 1,
    name: 'weixin',
    stale: false,
    token,
  })
  expect(expiresIn).toBeGreaterThan(1_000)
  expect(client.peek('weixin')?.token).toBe(token)
  expect(client.peek('corp')).toBeUndefined()
  expect(world.asked.filter((path) => path.includes('tokens'))).toEqual(['GET /v1/tokens/weixin'])
})

test('a rotation is in memory within 100 ms of the moment in which the server has it, for many names over one stream', async ({
  live,
}) => {
  const names = Array.from({ length: 12 }, (_each, at) => `many/${at}`)
  const one = await live.open({ names })
  const world = watched()
  const client = live.client({ url: one.url, world })
  const events: ClientEvent[] = []
  client.on('*', (event) => events.push(event))
  await Promise.all(names.map((name) => client.get(name)))
  await isListening(events)
  await moment(200)
  const tookMs: number[] = []
  for (const name of names) {
    const { version } = await rotate(one, name)
    const startedAt = performance.now()
    await eventually('it is there', 5_000, async () => (client.peek(name)?.version === version ? true : null))
    tookMs.push(performance.now() - startedAt)
  }
  // Generous: the machine may be doing other things. The bench has the figure.
  expect(tookMs.sort((left, right) => left - right)[names.length >> 1]).toBeLessThan(100)
  expect(tookMs.at(-1)).toBeLessThan(2_000)
  const rotated = events.filter(({ type }) => type === 'rotated') as { readonly name: string }[]
  expect(rotated.map(({ name }) => name)).toEqual(names)
  expect(world.asked.filter((path) => path.endsWith('/v1/events')).length).toBeLessThanOrEqual(3)
}, 60_000)

test('a server that is away is not noticed while the token lives, and its rotations meanwhile are there soon after', async ({
  live,
}) => {
  const one = await live.open()
  const client = live.client({ url: one.url, timeoutSeconds: 1 })
  const events: ClientEvent[] = []
  client.on('*', (event) => events.push(event))
  const before = await client.get('weixin')
  await isListening(events)
  await one.stop()
  expect((await client.get('weixin')).token).toBe(before.token)
  await expect(client.get('corp')).rejects.toMatchObject({ code: 'unreachable', status: 0 })
  const other = await live.open()
  await rotate(other)
  await other.stop()
  const back = await live.open({ port: one.port })
  await eventually('the new token is there', 8_000, async () =>
    (await client.get('weixin')).version === 2 ? true : null,
  )
  await isListening(events)
  await rotate(back)
  await eventually('and the next', 5_000, async () => ((await client.get('weixin')).version === 3 ? true : null))
}, 30_000)

test('streams that break are opened again, and nothing is missed', async ({ live }) => {
  const one = await live.open()
  const road = await openRoad(one.port)
  live.onClose(road.close)
  const client = live.client({ url: road.url })
  const events: ClientEvent[] = []
  client.on('*', (event) => events.push(event))
  await client.get('weixin')
  for (let round = 2; round <= 5; round += 1) {
    await isListening(events)
    road.cut()
    await rotate(one)
    await eventually('the token of now is there', 8_000, async () =>
      (await client.get('weixin')).version === round ? true : null,
    )
  }
  const versions = events.flatMap((event) => (event.type === 'rotated' && 'version' in event ? [event.version] : []))
  expect(versions).toEqual([2, 3, 4, 5])
}, 40_000)

test('where a proxy holds the stream back, it is polled', async ({ live }) => {
  const one = await live.open()
  const proxy = await openBufferingProxy(one.url)
  live.onClose(proxy.close)
  const world = watched(hurried(20))
  const client = live.client({ url: proxy.url, world })
  const first = await client.get('weixin')
  const second = await rotate(one)
  await eventually('the new token is there', 5_000, async () =>
    (await client.get('weixin')).token === second.token ? true : null,
  )
  expect(first.version).toBe(1)
  await eventually('it has given the stream up', 5_000, async () => (proxy.heldBack() >= 2 ? true : null))
  const polls = world.asked.filter((path) => path === 'GET /v1/tokens/weixin').length
  expect(polls).toBeGreaterThan(1)
  const third = await rotate(one)
  await eventually('and the next', 5_000, async () =>
    (await client.get('weixin')).token === third.token ? true : null,
  )
}, 30_000)

test('clocks that differ by years do not matter, and one that leaps ahead makes it ask again', async ({ live }) => {
  const one = await live.open()
  for (const skewMs of [-1e11, 1e11]) {
    let leapMs = 0
    const clock = { ...realWorld.clock, now: () => realWorld.clock.now() + skewMs + leapMs }
    const world = watched({ ...realWorld, clock })
    const client = live.client({ url: one.url, world })
    const { token, expiresIn } = await client.get('weixin')
    expect(expiresIn).toBeGreaterThan(1_000)
    const reads = () => world.asked.filter((path) => path === 'GET /v1/tokens/weixin').length
    expect([(await client.get('weixin')).token, reads()]).toEqual([token, 1])
    // The machine slept for a day.
    leapMs = 86_400_000
    expect(client.peek('weixin')).toBeUndefined()
    expect((await client.get('weixin')).token).toBe(token)
    expect(reads()).toBe(2)
    leapMs = -86_400_000
    expect((await client.get('weixin')).token).toBe(token)
  }
})

test('a refused token costs one request for all who report it, and whoever asks meanwhile gets the new one', async ({
  live,
}) => {
  const one = await live.open()
  const world = watched()
  const client = live.client({ url: one.url, world })
  const { token } = await client.get('weixin')
  await moment(1_100)
  live.upstream.simulator.revoke({ token })
  const reports = Array.from({ length: 50 }, () => client.refresh('weixin', { stale: token }))
  const meanwhile = client.get('weixin')
  const answers = await Promise.all(reports)
  expect(new Set(answers.map((answer) => answer.token))).toEqual(new Set([live.upstream.simulator.latest('wx-weixin')]))
  expect(answers[0]).toMatchObject({ version: 2, refreshed: true })
  expect((await meanwhile).version).toBe(2)
  expect(world.asked.filter((path) => path.includes('/refresh'))).toHaveLength(1)
  // Who comes late with the same one is told without asking.
  expect(await client.refresh('weixin', { stale: token })).toMatchObject({
    version: 2,
    refreshed: false,
    reason: 'not_current',
  })
  expect(world.asked.filter((path) => path.includes('/refresh'))).toHaveLength(1)
  expect(live.upstream.simulator.counters('wx-weixin').token.issued).toBe(2)
})

test('versions never go back, whichever node answers', async ({ live }) => {
  const [one, two] = [await live.open(), await live.open()]
  await Promise.all([one, two].map(({ node }) => node.keeper.get('weixin')))
  // Requests for tokens go to one node or the other, streams to the second.
  let turn = 0
  const world = watched({
    ...realWorld,
    fetch: async (request) => {
      turn += 1
      const to = request.url.includes('/v1/events') || turn % 2 === 0 ? two : one
      return await realWorld.fetch(new Request(request.url.replace(one.url, to.url), request))
    },
  })
  const client = live.client({ url: one.url, world, pollSeconds: 0.05 })
  const seen: number[] = []
  let isOver = false
  const read = (async () => {
    while (!isOver) {
      seen.push((await client.get('weixin')).version)
      await moment(1)
    }
  })()
  for (let round = 0; round < 6; round += 1) await rotate(round % 2 === 0 ? one : two)
  await eventually('the last one is there', 5_000, async () => (seen.at(-1) === 7 ? true : null))
  isOver = true
  await read
  expect(seen).toEqual(seen.toSorted((left, right) => left - right))
}, 30_000)

test('an answer that is late, or of a node that is behind, changes nothing; a store that began anew does', async ({
  live,
}) => {
  const answers: Record<string, unknown>[] = []
  const fake = await openFake((_request, response) => {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ name: 'weixin', expires_in: 1_000, fields: {}, ...answer }))
  })
  live.onClose(fake.close)
  const client = live.client({ url: fake.url, background: false, pollSeconds: 0 })
  const get = async (answer: Record<string, unknown>) => {
    answers.splice(0, 1, answer)
    return (await client.get('weixin')).token
  }
  expect(await get({ token: 'five', version: 5, issued_at: 50 })).toBe('five')
  expect(await get({ token: 'four', version: 4, issued_at: 40 })).toBe('five')
  expect(await get({ token: 'six', version: 6, issued_at: 60 })).toBe('six')
  expect(await get({ token: 'one', version: 1, issued_at: 70 })).toBe('one')
})

test('without a background, a token is asked about when the last look is long ago, and kept when nobody answers', async ({
  live,
}) => {
  const one = await live.open()
  const world = watched()
  const client = live.client({ url: one.url, world, background: false, pollSeconds: 3 })
  const first = await client.get('weixin')
  const second = await rotate(one)
  expect((await client.get('weixin')).token).toBe(first.token)
  await moment(3_000)
  expect((await client.get('weixin')).token).toBe(second.token)
  world.isCut = true
  await moment(3_000)
  expect((await client.get('weixin')).token).toBe(second.token)
  expect(world.asked.every((path) => path === 'GET /v1/tokens/weixin')).toBe(true)
})

test('min_ttl asks for a token that lives so long', async ({ live }) => {
  const one = await live.open()
  const client = live.client({ url: one.url })
  const { expiresIn } = await client.get('weixin', { minTtl: 100 })
  expect(expiresIn).toBeGreaterThanOrEqual(100)
  await expect(client.get('weixin', { minTtl: 100_000 })).rejects.toMatchObject({
    code: 'min_ttl_too_long',
    status: 400,
  })
})

test('what is refused says why, is not asked for in a loop, and never shows the key', async ({ live }) => {
  const one = await live.open({ clients: [shop, grantOf('other', 'other-key', {})] })
  const world = watched()
  const client = live.client({ url: one.url, world, key: 'wrong-key-that-is-secret' })
  const errors = await Promise.all(
    Array.from({ length: 20 }, () => client.get('weixin').catch((error: unknown) => error)),
  )
  for (let at = 0; at < 20; at += 1) errors.push(await client.get('weixin').catch((error: unknown) => error))
  expect(world.asked).toEqual(['GET /v1/tokens/weixin'])
  expect(errors[39]).toMatchObject({ code: 'unauthorized', status: 401, hint: expect.any(String) })
  await expect(live.client({ url: one.url, key: 'other-key' }).get('weixin')).rejects.toMatchObject({
    code: 'not_found',
  })
  const dead = live.client({ url: 'http://127.0.0.1:9', key: 'key-of-a-dead-one', timeoutSeconds: 0.2 })
  errors.push(await dead.get('weixin').catch((error: unknown) => error))
  expect(errors.at(-1)).toMatchObject({ code: 'unreachable' })
  for (const options of [
    { url: 'http://user:planted-secret@127.0.0.1' },
    { url: 'http://127.0.0.1/?key=planted-secret' },
    { url: 'planted-secret' },
    { url: 'ftp://127.0.0.1/planted-secret' },
    { url: one.url, key: 'planted-secret with spaces\n' },
  ]) {
    errors.push(
      ((): unknown => {
        try {
          return live.client(options)
        } catch (error) {
          return error
        }
      })(),
    )
    expect(errors.at(-1)).toMatchObject({ code: 'bad_options' })
  }
  for (const error of errors) {
    const shown = `${String(error)} ${JSON.stringify(error)} ${(error as Error).stack ?? ''} ${String((error as Error).cause)}`
    expect(shown).not.toMatch(/that-is-secret|key-of-a-dead|planted-secret/)
  }
})

test('fetch goes by way of the source at the server, with the key and nothing else of ours, and not elsewhere', async ({
  live,
}) => {
  const seen: IncomingMessage[] = []
  const fake = await openFake((request, response) => {
    seen.push(request)
    response.end('{"errcode":0}')
  })
  live.onClose(fake.close)
  const client = live.client({ url: `${fake.url}/below/` })
  const answer = await client.fetch('a/b', '/cgi-bin/user/get?next_openid=x', {
    method: 'POST',
    body: '{}',
    headers: { 'x-own': '1', authorization: 'other' },
  })
  expect(await answer.json()).toEqual({ errcode: 0 })
  expect([seen[0]?.method, seen[0]?.url]).toEqual(['POST', '/below/proxy/a%2Fb/cgi-bin/user/get?next_openid=x'])
  expect(seen[0]?.headers).toMatchObject({ authorization: `Bearer ${key}`, 'x-own': '1' })
  for (const path of ['/../../v1/tokens/weixin', '..', '%2e%2e/x', '\\..\\..\\x']) {
    await expect(client.fetch('weixin', path)).rejects.toMatchObject({ code: 'bad_options' })
  }
  await expect(client.fetch('..', '/x')).rejects.toMatchObject({ code: 'bad_options' })
  expect(seen).toHaveLength(1)
})

test('a revoked key leaves what was promised, and nothing new', async ({ live }) => {
  const one = await live.open()
  const client = live.client({ url: one.url, pollSeconds: 0.1 })
  const events: ClientEvent[] = []
  client.on('*', (event) => events.push(event))
  const { token } = await client.get('weixin')
  await isListening(events)
  await one.reload([grantOf('other', 'other-key', {})])
  await eventually('it is told', 5_000, async () => (events.findLast(isState)?.type === 'polling' ? true : null))
  await rotate(one)
  await moment(1_500)
  expect((await client.get('weixin')).token).toBe(token)
  await expect(client.get('corp')).rejects.toMatchObject({ code: 'unauthorized' })
})

test('close ends everything, may be called twice, and a listener that throws harms nobody', async ({ live }) => {
  const one = await live.open()
  const faults: unknown[] = []
  const client = live.client({ url: one.url, onFault: (thrown) => faults.push(thrown) })
  const heard: string[] = []
  const stop = client.on('rotated', () => {
    throw new Error('mine')
  })
  client.on('*', ({ type }) => heard.push(type))
  await client.get('weixin')
  await eventually('it listens', 5_000, async () => (heard.includes('listening') ? true : null))
  await rotate(one)
  await eventually('it is heard', 5_000, async () => (heard.includes('rotated') ? true : null))
  stop()
  expect(faults).toHaveLength(1)
  await client.close()
  await client.close()
  await expect(client.get('weixin')).rejects.toMatchObject({ code: 'closed' })
  await expect(client.refresh('weixin')).rejects.toMatchObject({ code: 'closed' })
  await expect(client.fetch('weixin', '/x')).rejects.toMatchObject({ code: 'closed' })
  await eventually('the stream is gone', 2_000, async () =>
    /^zhongkong_watchers 0$/m.test(await one.node.ownMetrics()) ? true : null,
  )
})

test('close ends a stream whose request the garbage collector has taken', async ({ live }) => {
  const one = await live.open()
  const client = live.client({ url: one.url })
  const isListening = new Promise<void>((resolve) => client.on('listening', () => resolve()))
  await client.get('weixin')
  await isListening
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 5; round += 1) {
    collect()
    await moment(20)
  }
  expect(await Promise.race([client.close().then(() => 'closed'), moment(3_000)])).toBe('closed')
  await eventually('the stream is gone', 2_000, async () =>
    /^zhongkong_watchers 0$/m.test(await one.node.ownMetrics()) ? true : null,
  )
})

test('a call through the source is given up when its caller says so, also after the garbage collector came by', async ({
  live,
}) => {
  const fake = await openFake((_request, response) => {
    response.write('a part')
  })
  live.onClose(fake.close)
  const client = live.client({ url: fake.url })
  const over = new AbortController()
  const response = await client.fetch('weixin', '/media', { signal: over.signal })
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 5; round += 1) {
    collect()
    await moment(20)
  }
  over.abort()
  const read = response.text().then(
    () => 'read',
    () => 'given up',
  )
  expect(await Promise.race([read, moment(3_000)])).toBe('given up')
})

/** The world with a clock that runs faster, for what waits for seconds. */
function hurried(times: number): World {
  const { clock } = realWorld
  const began = [clock.now(), clock.monotonic()] as const
  return {
    ...realWorld,
    clock: {
      now: () => began[0] + (clock.now() - began[0]) * times,
      monotonic: () => began[1] + (clock.monotonic() - began[1]) * times,
      sleep: (ms, signal) => clock.sleep(ms / times, signal),
    },
  }
}

type Opened = { readonly url: string; readonly close: () => Promise<void> }

async function openFake(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Opened> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const close = (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeAllConnections()
    return closed
  }
  return { url: `http://127.0.0.1:${port}`, close }
}

/** A proxy that passes an answer on when it is whole, as some do: a stream never is. */
async function openBufferingProxy(upstream: string): Promise<Opened & { readonly heldBack: () => number }> {
  let heldBack = 0
  const fake = await openFake((request, response) => {
    if (request.url?.startsWith('/v1/events') === true) heldBack += 1
    const passed = httpRequest(
      `${upstream}${request.url ?? ''}`,
      { method: request.method, headers: request.headers },
      (answer) => {
        const chunks: Buffer[] = []
        answer
          .on('data', (chunk: Buffer) => chunks.push(chunk))
          .on('end', () => {
            response.writeHead(answer.statusCode ?? 500, answer.headers)
            response.end(Buffer.concat(chunks))
          })
      },
    )
    passed.on('error', () => response.destroy())
    response.on('close', () => passed.destroy())
    request.pipe(passed)
  })
  return { ...fake, heldBack: () => heldBack }
}

/** A road to a port on which all that is under way can be cut. */
async function openRoad(port: number): Promise<Opened & { readonly cut: () => void }> {
  const open = new Set<Socket>()
  const server = createTcpServer((socket) => {
    const far = connect(port, '127.0.0.1')
    for (const [one, other] of [
      [socket, far],
      [far, socket],
    ] as const) {
      open.add(one)
      one.on('error', () => other.destroy()).on('close', () => (open.delete(one), other.destroy()))
    }
    socket.pipe(far).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const own = typeof address === 'object' && address !== null ? address.port : 0
  const cut = (): void => open.forEach((socket) => socket.destroy())
  const close = (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    cut()
    return closed
  }
  return { url: `http://127.0.0.1:${own}`, cut, close }
}
