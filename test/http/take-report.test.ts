/** The quick path for reports: it answers whatever it answers exactly as the surfaces do, and leaves everything else to them. */
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import { realClock } from '../../src/base/real-env.ts'
import { listen, type Listening } from '../../src/http/listen.ts'
import { client, loopback, openHouse, remote, type House, type Visitor } from './visitor.ts'

const path = '/v1/tokens/weixin/refresh'
const json = ['Content-Type', 'application/json']
const houses: House[] = [
  { sources: [{ name: 'weixin' }, { name: 'b' }] },
  {
    sources: [{ name: 'weixin' }, { name: 'b' }],
    clients: [client('shop', 'shop-key', { read: ['weixin', 'b'], refresh: ['weixin'] })],
  },
]

/** A house of its own with two versions behind it, so that one token is current and one is not. */
function furnished(house: House): Visitor {
  const visitor = openHouse(house)
  visitor.keeper.rotate('weixin')
  visitor.keeper.rotate('weixin')
  return visitor
}

const pairsOf = (flat: readonly string[]): [string, string][] =>
  flat.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, flat[at + 1]!]] : []))

const plain = (pairs: Iterable<[string, string]>): string[][] =>
  [...pairs]
    .map(([name, value]) => [name.toLowerCase(), value])
    .filter(([name]) => name !== 'x-request-id')
    .toSorted()

test('it answers as the surfaces do', async () => {
  let answered = 0
  const usual = fc.constantFrom<[string, string]>(
    ['Authorization', 'Bearer shop-key'],
    ['X-Request-Id', 'mine'],
    ['X-Request-Id', 'not mine'],
    ['Accept-Language', 'zh'],
    ['Host', 'localhost:1'],
  )
  const odd = fc.constantFrom<[string, string]>(
    ['Authorization', 'Bearer wrong'],
    ['Host', 'evil.example'],
    ['Origin', 'https://evil.example'],
    ['Sec-Fetch-Site', 'cross-site'],
    ['X-Forwarded-For', '1.2.3.4'],
    ['Zhongkong-Via', '0123456789ab'],
  )
  const bodies = ['weixin-token-1', 'weixin-token-2', 'another', '', 'x'.repeat(8_193), '汉'].map((stale) =>
    JSON.stringify({ stale }),
  )
  const oddBodies = ['{}', '[]', '{"stale":1}', '{"stale":"a","more":1}', '{"stale":"a","stale":"b"}', '{', '\uFEFF{}']
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        house: fc.constantFrom(...houses),
        target: fc.oneof(
          { weight: 8, arbitrary: fc.constant(path) },
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              '/v1/tokens/b/refresh',
              '/v1/tokens/none/refresh',
              `${path}?x=1`,
              '/v1/tokens//refresh',
            ),
          },
        ),
        headers: fc.uniqueArray(fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: odd }), {
          selector: ([name]) => name.toLowerCase(),
          maxLength: 3,
        }),
        type: fc.oneof(
          { weight: 6, arbitrary: fc.constant('application/json') },
          {
            weight: 1,
            arbitrary: fc.constantFrom('text/plain', 'application/json; charset=utf-8', 'application/json; x=1'),
          },
        ),
        body: fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom(...bodies) },
          { weight: 1, arbitrary: fc.constantFrom(...oddBodies) },
        ),
        peer: fc.constantFrom(loopback, loopback, loopback, remote),
        failure: fc.constantFrom(
          null,
          null,
          new Error('broken inside'),
          new ZhongkongError('token_unavailable', 'not now', { retryAfterSeconds: 7 }),
        ),
      }),
      async ({ house, target, headers, type, body, peer, failure }) => {
        const [quick, slow] = [furnished(house), furnished(house)]
        for (const { keeper } of [quick, slow]) keeper.refreshFailure = failure
        const flat = [
          ...(headers.some(([name]) => name === 'Host') ? [] : ['Host', 'localhost']),
          ...headers.flat(),
          'Content-Type',
          type,
        ]
        const glimpse = await quick.handler.takeReport(target, flat, peer, Buffer.from(body))
        if (glimpse === null) {
          expect(quick.keeper.refreshes).toBe(0)
          return
        }
        answered += 1
        const request = new Request(`http://localhost${target}`, { method: 'POST', headers: pairsOf(flat), body })
        const response = await slow.handler(request, peer)
        expect([glimpse.status, glimpse.body]).toEqual([response.status, await response.text()])
        expect(plain(pairsOf(glimpse.headers))).toEqual(plain(response.headers))
        expect(quick.faults).toEqual(slow.faults)
        expect(quick.keeper.refreshes).toBe(slow.keeper.refreshes)
      },
    ),
    { numRuns: 1_200 },
  )
  // About one in six is plain enough.
  expect(answered).toBeGreaterThan(100)
})

test('what came twice is left to the surfaces', async () => {
  const { handler } = furnished(houses[1]!)
  const right = ['Host', 'x', 'Authorization', 'Bearer shop-key', ...json]
  const body = Buffer.from('{"stale":"weixin-token-1"}')
  expect((await handler.takeReport(path, right, remote, body))?.status).toBe(200)
  for (const again of [json, ['authorization', 'Bearer shop-key']]) {
    expect(handler.takeReport(path, [...right, ...again], remote, body)).toBeNull()
  }
})

describe('over a socket', () => {
  const running: Listening[] = []
  afterEach(async () => {
    await Promise.all(running.splice(0).map((server) => server.close()))
  })

  async function serve(house: House = houses[0]!): Promise<{ server: Listening; visitor: Visitor }> {
    const visitor = furnished(house)
    const env = { ...visitor.env, clock: { ...realClock, now: () => visitor.keeper.now } }
    const server = await listen({ handler: visitor.handler, listen: '127.0.0.1:0', env, limits: { closeMs: 1_000 } })
    running.push(server)
    return { server, visitor }
  }

  /** Sends the parts a moment apart, and resolves with as many answers as are wanted: status and body. */
  async function talk({ port }: Listening, parts: readonly string[], answers = 1): Promise<string[]> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('utf8')
    let all = ''
    socket.on('data', (text: string) => (all += text))
    for (const part of parts) {
      socket.write(part)
      await realClock.sleep(20)
    }
    const found = (): string[] =>
      all
        .split(/(?=HTTP\/1\.1 )/)
        .filter((text) => text !== '')
        .map((text) => `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`)
    while (!socket.closed && (found().length < answers || !found().at(-1)!.endsWith('}'))) await realClock.sleep(5)
    socket.destroy()
    return found()
  }

  const post = (body: string, more = '', target = path): string =>
    `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  const replaced = '{"stale":"weixin-token-1"}'

  test('one that comes whole, in pieces, or in chunks is answered alike', async () => {
    const { server } = await serve()
    const whole = post(replaced)
    const chunked = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n${replaced}\r\n0\r\n\r\n`
    const cuts = [whole.indexOf('\r\n\r\n') + 4, whole.length - 5, 30]
    const ways = [[whole], [chunked], ...cuts.map((at) => [whole.slice(0, at), whole.slice(at)])]
    for (const parts of ways) {
      const [answer] = await talk(server, parts)
      expect(answer).toMatch(
        /^200 \{"name":"weixin","token":"weixin-token-2".*"refreshed":false,"reason":"not_current"\}$/,
      )
    }
  })

  test('what it leaves to the surfaces reaches them whole', async () => {
    const { server, visitor } = await serve()
    expect(await talk(server, [post('{"stale":1}')])).toEqual([expect.stringMatching(/^400 .*must be \{\}/)])
    expect(await talk(server, [post('nonsense')])).toEqual([expect.stringMatching(/^400 .*is not JSON/)])
    expect(await talk(server, [post(replaced, '', '/v1/tokens/none/refresh')])).toEqual([
      expect.stringMatching(/^404 /),
    ])
    expect(await talk(server, [post(replaced, 'Authorization: Bearer wrong\r\n')])).toEqual([
      expect.stringMatching(/^401 /),
    ])
    expect(await talk(server, [post(replaced, 'X-Forwarded-For: 1.2.3.4\r\n')])).toEqual([
      expect.stringMatching(/^403 /),
    ])
    expect(visitor.keeper.refreshes).toBe(0)
    expect(await talk(server, [post('{}')])).toEqual([expect.stringMatching(/^200 .*"refreshed":true/)])
    expect(await talk(server, [post('')])).toEqual([expect.stringMatching(/^200 .*"refreshed":true/)])
  })

  test('many at once on one connection are answered in order, also with others between them', async () => {
    const { server } = await serve()
    const read = 'GET /v1/tokens/weixin HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const texts = [post(replaced), read, post('nonsense'), post(replaced), post('{}'), read, post(replaced)]
    const answers = await talk(server, [texts.join('')], texts.length)
    expect(answers.map((answer) => answer.slice(0, 3))).toEqual(['200', '200', '400', '200', '200', '200', '200'])
    expect(answers[0]).toContain('weixin-token-2')
    expect(answers[4]).toContain('"refreshed":true')
  })

  test('a caller that goes away meanwhile is no fault', async () => {
    const { server, visitor } = await serve()
    const refresh = visitor.keeper.refresh.bind(visitor.keeper)
    visitor.keeper.refresh = async (...asked) => {
      await realClock.sleep(60)
      return await refresh(...asked)
    }
    const socket = connect(server.port, '127.0.0.1')
    socket.write(post(replaced).repeat(5))
    await realClock.sleep(20)
    socket.destroy()
    await realClock.sleep(100)
    expect((await talk(server, [post(replaced)]))[0]).toMatch(/^200 /)
    expect(visitor.faults).toEqual([])
  })
})
