/**
 * Claim: a rotation reaches thousands of watchers of one node within moments. Milliseconds from the moment in which the
 * upstream gave the token (before it is committed) to that in which each watcher has been told, and what one watcher costs.
 * By events, and by requests that wait for a newer version. Server on one core, all watchers in this process on the other.
 *
 * Options: --watchers N (5000), --rotations N (10), --by events,wait.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { quantile, table } from './figures.ts'
import type { Measure } from './main.ts'
import { startRotatingServer, type RotatingServer } from './rotating-server.ts'

type By = 'events' | 'wait'

/** Sockets opened at the same time, so that no queue of connections overflows. */
const atOnce = 100
/** A watcher that has heard nothing for so long has missed it, in milliseconds. */
const lateMsMax = 20_000

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      watchers: { type: 'string', default: '5000' },
      rotations: { type: 'string', default: '10' },
      by: { type: 'string', default: 'events,wait' },
    },
  })
  const [watchers, rotations] = [Number(values.watchers), Number(values.rotations)]
  const measured: Awaited<ReturnType<typeof measureOne>>[] = []
  for (const by of values.by.split(',') as By[]) measured.push(await measureOne(by, watchers, rotations))
  const rows = measured.map(({ by, told, missed, firsts, lasts, bytesEach }) => [
    by,
    quantile(firsts, 0.5).toFixed(1),
    ...[0.5, 0.99, 1].map((share) => quantile(told, share).toFixed(1)),
    quantile(lasts, 0.5).toFixed(1),
    missed,
    (bytesEach / 1_024).toFixed(1),
  ])
  const head = ['by', 'first, median ms', 'all p50', 'all p99', 'all max', 'last, median', 'missed', 'KB each']
  const title = `${watchers} watchers of one node, ${rotations} rotations`
  const numbers = measured.map(({ told, ...rest }) => ({
    ...rest,
    p50: quantile(told, 0.5),
    p99: quantile(told, 0.99),
  }))
  return { tables: [{ title, text: table(head, rows) }], numbers }
}

async function measureOne(by: By, watchers: number, rotations: number) {
  const server = await startRotatingServer(['weixin'])
  const { version } = await server.rotate('weixin')
  const before = server.process.memoryBytes()
  const crowd = new Crowd(server, by, version)
  for (let at = 0; at < watchers; at += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, watchers - at) }, () => crowd.join()))
  }
  await pause(1_000)
  const bytesEach = (server.process.memoryBytes() - before) / watchers
  const [told, firsts, lasts]: [number[], number[], number[]] = [[], [], []]
  let missed = 0
  for (let round = 0; round < rotations; round += 1) {
    const heard = crowd.next()
    const { at } = await server.rotate('weixin')
    const times = (await heard).map((time) => time - at)
    told.push(...times)
    firsts.push(Math.min(...times))
    lasts.push(Math.max(...times))
    missed += watchers - times.length
    await pause(200)
  }
  crowd.leave()
  await server.stop()
  return { by, told, missed, firsts, lasts, bytesEach }
}

/** Watchers as bare sockets: what they cost here is not what is measured. */
class Crowd {
  readonly #server: RotatingServer
  readonly #by: By
  readonly #sockets: Socket[] = []
  #version: number
  #times: number[] = []
  #onAll: () => void = () => undefined

  constructor(server: RotatingServer, by: By, version: number) {
    this.#server = server
    this.#by = by
    this.#version = version
  }

  async join(): Promise<void> {
    const socket = connect(this.#server.port, '127.0.0.1')
    socket.setNoDelay(true).setEncoding('latin1')
    this.#sockets.push(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', () => {
        this.#ask(socket)
        // A stream begins at once; an answer that is waited for does not.
        if (this.#by === 'wait') resolve()
        else socket.once('data', () => resolve())
      })
    })
    socket.on('data', (chunk: string) => {
      if (!chunk.includes(this.#by === 'events' ? 'event: rotated' : '"version":')) return
      this.#times.push(performance.now())
      if (this.#times.length >= this.#sockets.length) this.#onAll()
    })
  }

  /** The moments in which each of them hears of the next version, when all have, or it is too late. */
  async next(): Promise<readonly number[]> {
    this.#times = []
    const over = new AbortController()
    const all = new Promise<void>((resolve) => (this.#onAll = resolve))
    await Promise.race([all, pause(lateMsMax, undefined, { signal: over.signal }).catch(() => undefined)])
    over.abort()
    this.#version += 1
    if (this.#by === 'wait') for (const socket of this.#sockets) this.#ask(socket)
    return this.#times
  }

  leave(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #ask(socket: Socket): void {
    const path = this.#by === 'events' ? '/v1/events?names=weixin' : '/v1/tokens/weixin?wait=60'
    const condition = this.#by === 'events' ? '' : `If-None-Match: "${this.#version}"\r\n`
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${this.#server.key}\r\n${condition}\r\n`,
    )
  }
}
