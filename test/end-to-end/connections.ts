/** Connections that a test holds apart, so that it knows which worker it talks to; and the workers as processes. */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import type { Served } from './stage.ts'

export type Answered = {
  readonly status: number
  readonly json: any // eslint-disable-line @typescript-eslint/no-explicit-any
  readonly text: string
  /** Tells workers apart: request ids begin with a word that each process makes for itself. */
  readonly worker: string
}

export type Connection = {
  /** Asks over one and the same connection while it lives; rejects when it breaks. */
  ask(path: string, body?: object): Promise<Answered>
  close(): void
}

/** A connection of its own to a server's address: `http://HOST:PORT` or `unix:/path`. */
export function connection(url: string): Connection {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, timeout: 20_000 })
  const place = url.startsWith('unix:') ? { socketPath: url.slice(5) } : new URL(url)
  const at = place instanceof URL ? { host: place.hostname, port: place.port } : place
  return {
    ask: (path, body) =>
      new Promise((resolve, reject) => {
        const method = body === undefined ? 'GET' : 'POST'
        const headers = body === undefined ? {} : { 'content-type': 'application/json' }
        const asked = request({ ...at, agent, path, method, headers, timeout: 20_000 }, (answer) => {
          let text = ''
          answer.setEncoding('utf8').on('data', (part: string) => (text += part))
          answer.once('error', reject)
          answer.once('end', () => {
            const worker = String(answer.headers['x-request-id']).split('-')[0] ?? ''
            const isJson = String(answer.headers['content-type']).includes('json')
            resolve({ status: answer.statusCode ?? 0, text, json: isJson ? JSON.parse(text) : undefined, worker })
          })
        })
        asked.once('timeout', () => asked.destroy(new Error('no answer within 20 s')))
        asked.once('error', reject)
        asked.end(body === undefined ? undefined : JSON.stringify(body))
      }),
    close: () => agent.destroy(),
  }
}

/** One question over a connection that nobody else uses. */
export async function askApart(url: string, path: string, body?: object): Promise<Answered> {
  const alone = connection(url)
  try {
    return await alone.ask(path, body)
  } finally {
    alone.close()
  }
}

/** A connection to each of `count` workers. */
export async function connectionToEach(url: string, count: number): Promise<Map<string, Connection>> {
  const found = new Map<string, Connection>()
  for (let tries = 0; found.size < count; tries += 1) {
    if (tries > 50 * count) throw new Error(`only ${found.size} of ${count} workers answer`)
    const made = connection(url)
    const { worker } = await made.ask('/healthz')
    if (found.has(worker)) made.close()
    else found.set(worker, made)
  }
  return found
}

/** The processes of a server's workers, as Linux knows them. */
export function workersOf({ pid }: Pick<Served, 'pid'>): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The lines of a server's log. */
export function logOf(server: Pick<Served, 'stderr'>): Record<string, unknown>[] {
  const lines = server.stderr().split('\n')
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>)
}
