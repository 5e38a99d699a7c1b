/** Ten thousand programs at once find out that a token is dead, and tell three nodes so. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { classic, issuesOf, read } from '../../end-to-end/accounts.ts'
import { moment, openStage, type Served, type Stage, type Upstream } from '../../end-to-end/stage.ts'
import { isSkipped } from '../../servers/obtain-server.ts'
import { startRedis, type RedisServer } from '../../servers/redis-server.ts'
import { digestOf } from './history.ts'

const count = 10_000
const nodes = 3
/**
 * Connections to each node, and how many reports each has on the way at once: 3 600 altogether. All ten thousand at once
 * would wait unread for longer than servers wait for a request, where the machine has as much else to do as in the tests.
 */
const connections = 100
const onTheWay = 12

describe.skipIf(isSkipped('redis'))('10 000 reports of one dead token over three nodes', () => {
  let stage: Stage
  let redis: RedisServer
  let upstream: Upstream
  let served: readonly Served[]
  beforeAll(async () => {
    ;[stage, redis] = await Promise.all([openStage(), startRedis()])
    upstream = await stage.upstream({ accounts: [] })
    const weixin = classic(upstream, 'wx-storm', { delayMs: { token: 200 } })
    const path = await stage.configure({
      encryption_key: randomBytes(32).toString('hex'),
      store: redis.url,
      sources: { weixin },
    })
    served = await Promise.all(Array.from({ length: nodes }, () => stage.serve(path)))
  }, 60_000)
  afterAll(async () => {
    await stage.close()
    await redis.dispose()
  })

  it('cost one issue, and all are answered with the token that it gave', async () => {
    await Promise.all(served.map((node) => read(node, 'weixin')))
    const tooks: number[] = []
    // The first finds programs that have just begun, the second such as have run for a while.
    for (const version of [2, 3]) tooks.push(await storm(version))
    const [cold = 0, warm = 0] = tooks.map((ms) => Math.round(ms))
    console.log(`${count} reports over ${nodes} nodes: all answered within ${cold} ms, then within ${warm} ms`)
    // Two seconds are wanted of a machine that does nothing else; this one may be doing much else.
    expect(cold).toBeLessThan(30_000)
  }, 60_000)

  /** Everybody reports the token before that version; answers how long it took until all had that version, in milliseconds. */
  async function storm(version: number): Promise<number> {
    const stale = upstream.simulator.latest('wx-storm') ?? ''
    // Two attempts are a second apart, whoever asks.
    await moment(1_100)
    upstream.simulator.revoke({ account: 'wx-storm' })
    const lines = await Promise.all(
      Array.from({ length: nodes * connections }, (_, index) => openLine(served[index % nodes]!.url)),
    )
    const startedAt = performance.now()
    const told = await Promise.all(
      lines.map(async (line, index) => {
        const share = Math.floor(((index + 1) * count) / lines.length) - Math.floor((index * count) / lines.length)
        return await line.send(reportOf(stale), share)
      }),
    )
    const tookMs = performance.now() - startedAt
    for (const line of lines) line.close()
    const answers = told.flat()
    expect(answers).toHaveLength(count)
    const logged = served.flatMap((node) =>
      node
        .stdout()
        .split('\n')
        .filter((line) => line.includes('store')),
    )
    const expected = `200 ${version} ${digestOf(upstream.simulator.latest('wx-storm') ?? '')}`
    expect(new Set(answers), logged.join('\n')).toEqual(new Set([expected]))
    expect(issuesOf(upstream, 'wx-storm')).toBe(version)
    return tookMs
  }
})

function reportOf(stale: string): string {
  const body = JSON.stringify({ stale })
  const head = ['POST /v1/tokens/weixin/refresh HTTP/1.1', 'host: 127.0.0.1', 'content-type: application/json']
  return [...head, `content-length: ${Buffer.byteLength(body)}`, '', body].join('\r\n')
}

type Line = { readonly send: (text: string, times: number) => Promise<string[]>; readonly close: () => void }

/** A bare connection: a client library would take more of the machine than the servers do. */
async function openLine(url: string): Promise<Line> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  return {
    send: (text, times) =>
      new Promise((resolve, reject) => {
        const found: string[] = []
        let sent = Math.min(times, onTheWay)
        let heard = ''
        socket.once('error', reject)
        socket.once('close', () => reject(new Error(`closed after ${found.length} of ${times} answers`)))
        socket.on('data', (data) => {
          heard += data.toString()
          for (let next = answerIn(heard); next !== null; next = answerIn(heard)) {
            found.push(next.told)
            heard = heard.slice(next.end)
          }
          const more = Math.min(times, found.length + onTheWay) - sent
          if (more > 0) socket.write(text.repeat(more))
          sent += Math.max(0, more)
          if (found.length === times) resolve(found)
        })
        socket.write(text.repeat(sent))
      }),
    close: () => void socket.destroy(),
  }
}

/** Status, version and token of the first answer in a text, once it is whole. */
function answerIn(text: string): { readonly told: string; readonly end: number } | null {
  const bodyAt = text.indexOf('\r\n\r\n') + 4
  const length = /^content-length: (\d+)\r$/im.exec(text.slice(0, Math.max(0, bodyAt)))?.[1]
  if (bodyAt < 4 || length === undefined || text.length < bodyAt + Number(length)) return null
  const end = bodyAt + Number(length)
  const body = text.slice(bodyAt, end)
  const { version, token } = JSON.parse(body) as { version?: number; token?: string }
  const status = text.split(' ', 2)[1] ?? ''
  return { told: `${status} ${version} ${token === undefined ? body : digestOf(token)}`, end }
}
