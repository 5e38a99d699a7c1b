/**
 * The load: keep-alive connections that each have one request under way at a time, as wrk does it. It writes prepared
 * bytes and looks at no more of an answer than its status and length, so that one core of it keeps one core of
 * node:http busy; a whole HTTP client in JavaScript (autocannon) would be the limit itself.
 *
 * Run as a process of its own: `ask({ url, headers, connections, seconds })`.
 */
import { connect, type Socket } from 'node:net'
import { answerParent } from './child.ts'
import { LatencyCounts } from './figures.ts'

export type Round = {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly connections: number
  readonly seconds: number
}

export type RoundResult = {
  readonly requests: number
  readonly seconds: number
  /** Answers with another status than 200. */
  readonly bad: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** The share of its core that the load itself used: near 1, it may have been the limit. */
  readonly loadCpuShare: number
}

const headEnd = Buffer.from('\r\n\r\n')

type Tally = { readonly latencies: LatencyCounts; bad: number; isOver: boolean }

async function run(round: Round): Promise<RoundResult> {
  const url = new URL(round.url)
  const lines = Object.entries({ Host: url.host, ...round.headers }).map(([name, value]) => `${name}: ${value}`)
  const request = Buffer.from(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  const sockets = await Promise.all(Array.from({ length: round.connections }, () => open(url)))
  const tally: Tally = { latencies: new LatencyCounts(), bad: 0, isOver: false }
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  const drained = Promise.all(sockets.map((socket) => drive(socket, request, tally)))
  await new Promise((resolve) => setTimeout(resolve, round.seconds * 1_000))
  tally.isOver = true
  const seconds = (performance.now() - startedAt) / 1_000
  const requests = tally.latencies.total
  const cpu = process.cpuUsage(cpuBefore)
  await drained
  return {
    requests,
    seconds,
    bad: tally.bad,
    p50Ms: tally.latencies.quantileMs(0.5),
    p99Ms: tally.latencies.quantileMs(0.99),
    p999Ms: tally.latencies.quantileMs(0.999),
    loadCpuShare: (cpu.user + cpu.system) / 1e6 / seconds,
  }
}

function open(url: URL): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => resolve(socket))
  })
}

/** Requests one after the other until the round is over, then one last answer and the end. */
function drive(socket: Socket, request: Buffer, tally: Tally): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = 0
    let rest: Buffer | null = null
    const send = (): void => {
      sentAt = performance.now()
      socket.write(request)
    }
    socket.on('data', (chunk: Buffer) => {
      const bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk])
      if (bytes.length < lengthOf(bytes)) {
        rest = bytes
        return
      }
      rest = null
      if (tally.isOver) {
        socket.destroy()
        resolve()
        return
      }
      tally.latencies.add((performance.now() - sentAt) * 1_000)
      if (bytes[9] !== 0x32 || bytes[10] !== 0x30 || bytes[11] !== 0x30) tally.bad += 1
      send()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a connection')))
    send()
  })
}

/** Bytes of the whole answer; Infinity while its head is not there. */
function lengthOf(bytes: Buffer): number {
  const end = bytes.indexOf(headEnd)
  if (end === -1) return Infinity
  const told = /\ncontent-length: (\d+)/i.exec(bytes.toString('latin1', 0, end))?.[1]
  if (told === undefined) throw new Error('an answer without Content-Length')
  return end + 4 + Number(told)
}

answerParent(run)
