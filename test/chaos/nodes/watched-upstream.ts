/**
 * The simulated upstream on a real socket, with every request in the history: when it arrived and from which node, what
 * was issued to it, and whether its sender was still there for the answer. Each takes a moment, so that blows fall into it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { realEnv } from '../../../src/base/real-env.ts'
import { createSimulator, type Simulator } from '../../../src/simulator/simulator.ts'
import type { Chance } from '../../simulation/chance.ts'
import { digestOf } from './history.ts'
import type { Recorder } from './recorder.ts'

export type Flight = { readonly id: number; readonly source: string; readonly node: number | null }

export type WatchedUpstream = {
  readonly url: string
  readonly simulator: Simulator
  /** Requests that have arrived and not been answered. */
  readonly flights: ReadonlySet<Flight>
  /** The next request that arrives; null when none does in time. */
  readonly nextFlight: (withinMs: number) => Promise<Flight | null>
  readonly close: () => Promise<void>
}

export type UpstreamOptions = {
  readonly recorder: Recorder
  readonly chance: Chance
  /** The source of an account. */
  readonly sourceOf: (account: string) => string | null
  /** The processes of each node; their place in the list is the node's number. */
  readonly pids: () => readonly (readonly number[])[]
}

/** Of all answers; these take longer than the second by which two attempts are apart, so that only a lease keeps others away. */
const slowShare = 0.2

export async function openWatchedUpstream(options: UpstreamOptions): Promise<WatchedUpstream> {
  const { recorder, chance, sourceOf, pids } = options
  const { clock, random } = realEnv()
  const simulator = createSimulator({ clock, random, accounts: [] })
  const flights = new Set<Flight>()
  const waiting = new Set<(flight: Flight) => void>()
  const known = new Set<string>()
  let count = 0

  const receive = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await textOf(incoming)
    const request = requestOf(incoming, body)
    const source = sourceOf(accountIn(request, body))
    const node = nodeOf(incoming.socket.remotePort, pids())
    count += 1
    const flight = { id: count, source: source ?? '', node }
    const isWatched = source !== null
    if (isWatched) {
      recorder.add({ type: 'asked', ...flight })
      flights.add(flight)
      for (const tell of waiting) tell(flight)
    }
    outgoing.once('close', () => {
      flights.delete(flight)
      if (isWatched) recorder.add({ type: outgoing.writableFinished ? 'answered' : 'abandoned', id: flight.id, source })
    })
    await recorder.pause(chance.between(0, 60))
    // The upstream goes on with its work whether or not somebody waits for it.
    const answer = await simulator.fetch(request)
    const text = await answer.text()
    const token = tokenIn(text)
    if (isWatched && token !== null && !known.has(token)) {
      known.add(token)
      recorder.add({ type: 'issued', id: flight.id, source, token: digestOf(token) })
    }
    await recorder.pause(chance.is(slowShare) ? chance.between(900, 1_500) : chance.between(20, 150))
    if (outgoing.destroyed) return
    outgoing.writeHead(answer.status, { 'content-type': 'application/json' })
    outgoing.end(text)
  }

  const server = createServer((incoming, outgoing) => {
    receive(incoming, outgoing).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    simulator,
    flights,
    nextFlight: async (withinMs) => {
      let tell: (flight: Flight | null) => void = () => undefined
      const next = new Promise<Flight | null>((resolve) => (tell = resolve))
      waiting.add(tell)
      void recorder.pause(withinMs).then(() => tell(null))
      const flight = await next
      waiting.delete(tell)
      return flight
    },
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of incoming.setEncoding('utf8')) text += String(chunk)
  return text
}

function requestOf({ url, method = 'GET', headers }: IncomingMessage, body: string): Request {
  const given = Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : []))
  return new Request(`http://127.0.0.1${url ?? '/'}`, {
    method,
    headers: Object.fromEntries(given) as Record<string, string>,
    ...(method === 'GET' || body === '' ? {} : { body }),
  })
}

/** Where each kind of upstream is told who asks. */
function accountIn(request: Request, body: string): string {
  const { searchParams } = new URL(request.url)
  const basic = /^Basic (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
  if (basic !== undefined) return Buffer.from(basic, 'base64').toString().split(':')[0] ?? ''
  return searchParams.get('appid') ?? /"appid":"([^"]+)"/.exec(body)?.[1] ?? ''
}

function tokenIn(text: string): string | null {
  const value = (JSON.parse(text) as { access_token?: unknown }).access_token
  return typeof value === 'string' ? value : null
}

/** Whose connection this is, where the system tells (Linux). */
function nodeOf(port: number | undefined, pids: readonly (readonly number[])[]): number | null {
  try {
    const wanted = `0100007F:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
    const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n')
    const inode = rows.map((row) => row.trim().split(/\s+/)).find((columns) => columns[1] === wanted)?.[9]
    if (inode === undefined) return null
    const node = pids.findIndex((own) => own.some((pid) => holdsSocket(pid, inode)))
    return node < 0 ? null : node
  } catch {
    // Another system, which keeps this to itself.
    return null
  }
}

function holdsSocket(pid: number, inode: string): boolean {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).some((each) => {
    try {
      return readlinkSync(`${folder}/${each}`) === `socket:[${inode}]`
    } catch {
      // It was closed since it was listed.
      return false
    }
  })
}
