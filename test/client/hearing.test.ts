/** What the client makes of what it hears: over a server that is a function, under a clock that moves only when everybody waits. */
import { afterEach, expect, test } from 'vitest'
import { createClient, type Client } from '../../src/client/index.ts'
import { VirtualClock } from '../keeper/virtual-clock.ts'

const encoder = new TextEncoder()
const opened: { client: Client; clock: VirtualClock }[] = []

afterEach(async () => {
  for (const { client, clock } of opened.splice(0)) await clock.until(client.close())
})

type Issue = { readonly token: string; readonly version: number; readonly issuedAt: number }

/** A server with one stream at a time; `asked` is every request for a token, `streams` the address of every stream. */
function openTown() {
  const clock = new VirtualClock()
  let stream: ReadableStreamDefaultController<Uint8Array> | undefined
  const town = {
    clock,
    asked: [] as string[],
    streams: [] as { readonly at: number; readonly url: string }[],
    tokenOf: (name: string): Issue => ({ token: `of ${name}`, version: 1, issuedAt: 10 }),
    greeting: 'hello' as string | null,
    versions: {} as Record<string, number>,
    say: (type: string, data: object) =>
      stream?.enqueue(encoder.encode(`id: run-1\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`)),
    cut: () => stream?.close(),
  }
  const fetch = async (request: Request): Promise<Response> => {
    await Promise.resolve()
    const url = new URL(request.url)
    if (url.pathname === '/v1/events') {
      town.streams.push({ at: clock.monotonic(), url: request.url })
      const body = new ReadableStream<Uint8Array>({ start: (made) => void (stream = made) })
      if (town.greeting !== null) {
        const reason = town.greeting === 'reset' ? { reason: 'unknown-id' } : {}
        town.say(town.greeting, { heartbeat: 100_000, versions: town.versions, ...reason })
      }
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    }
    const name = decodeURIComponent(url.pathname.split('/')[3] ?? '')
    town.asked.push(name)
    const { token, version, issuedAt } = town.tokenOf(name)
    if (request.headers.get('if-none-match') === token) return new Response(null, { status: 304 })
    return Response.json(
      { name, token, version, issued_at: issuedAt, expires_in: 7_200, fields: {} },
      { headers: { etag: token } },
    )
  }
  const client = createClient({ url: 'http://town', world: { clock, fetch, random: { next: () => 0.5 } } })
  opened.push({ client, clock })
  return { ...town, town, client }
}

test('a store that began anew is followed when its lower version is heard of', async () => {
  const { town, client, clock } = openTown()
  town.tokenOf = () => ({ token: 'five', version: 5, issuedAt: 50 })
  town.versions = { weixin: 5 }
  await clock.until(client.get('weixin'))
  await clock.pass(2_000)
  town.tokenOf = () => ({ token: 'one', version: 1, issuedAt: 70 })
  town.say('rotated', { type: 'rotated', at: 0, name: 'weixin', version: 1 })
  await clock.pass(3_000)
  expect(client.peek('weixin')?.token).toBe('one')
})

for (const version of [1, 4, 5]) {
  test(`a server that came back with a store that began anew is followed, also from version 5 to ${version}`, async () => {
    const { town, client, clock } = openTown()
    town.tokenOf = () => ({ token: 'five', version: 5, issuedAt: 50 })
    town.versions = { weixin: 5 }
    await clock.until(client.get('weixin'))
    await clock.pass(2_000)
    town.tokenOf = () => ({ token: 'new', version, issuedAt: 70 })
    town.versions = { weixin: version }
    town.greeting = 'reset'
    town.cut()
    await clock.pass(10_000)
    expect(client.peek('weixin')?.token).toBe('new')
  })
}

test('an event that is late costs one look, and changes nothing', async () => {
  const { town, client, clock } = openTown()
  town.tokenOf = () => ({ token: 'five', version: 5, issuedAt: 50 })
  town.versions = { weixin: 5 }
  await clock.until(client.get('weixin'))
  await clock.pass(2_000)
  town.say('rotated', { type: 'rotated', at: 0, name: 'weixin', version: 4 })
  await clock.pass(600_000)
  expect(client.peek('weixin')?.token).toBe('five')
  expect(town.asked).toEqual(['weixin', 'weixin'])
})

test('where somebody holds the stream back it is tried ever more rarely', async () => {
  const { town, client, clock } = openTown()
  town.greeting = null
  await clock.until(client.get('weixin'))
  await clock.pass(600_000)
  // Each try takes five seconds; after the first few, up to a minute lies between two.
  expect(town.streams.length).toBeLessThan(20)
  expect(town.streams.length).toBeGreaterThan(8)
})

test('a name more opens no other stream where everything is heard anyway, and asks for no other token', async () => {
  const { town, client, clock } = openTown()
  const names = Array.from({ length: 300 }, (_, at) => `a-name-of-some-length-${at}`)
  for (const name of names) {
    await clock.until(client.get(name))
    await clock.pass(100)
  }
  await clock.pass(3_000)
  const [streams, asked] = [town.streams.length, town.asked.length]
  expect(town.streams.at(-1)?.url).toBe('http://town/v1/events')
  for (let at = 0; at < 50; at += 1) {
    await clock.until(client.get(`another-${at}`))
    await clock.pass(2_000)
  }
  expect([town.streams.length - streams, town.asked.length - asked]).toEqual([0, 50])
  town.say('rotated', { type: 'rotated', at: 0, name: 'another-7', version: 2 })
  town.tokenOf = () => ({ token: 'new', version: 2, issuedAt: 20 })
  await clock.pass(1_000)
  expect(client.peek('another-7')?.token).toBe('new')
})

test('a source may have the name of something that every object has', async () => {
  const { town, client, clock } = openTown()
  await clock.until(client.get('constructor'))
  await clock.pass(2_000)
  town.tokenOf = () => ({ token: 'two', version: 2, issuedAt: 20 })
  town.say('rotated', { type: 'rotated', at: 0, name: 'constructor', version: 2 })
  await clock.pass(1_000)
  expect(client.peek('constructor')?.token).toBe('two')
})
