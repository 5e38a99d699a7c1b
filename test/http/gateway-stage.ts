/** The gateway as it runs: a whole node with the real keeper on a socket, and upstreams on sockets of their own. */
import { createHash } from 'node:crypto'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { openNode, type Node } from '../../src/app.ts'
import { realEnv } from '../../src/base/real-env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { listenPlain } from '../../src/http/listen-plain.ts'
import { listen, type Limits } from '../../src/http/listen.ts'
import { parseSource } from '../../src/providers/catalogue.ts'
import { load } from '../config/harness.ts'
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts'

export type Stage = {
  /** A node for a configuration as it is written. */
  node(config: JsonObject, limits?: Partial<Limits>): Promise<Serving>
  simulator(options: Partial<SimulatorOptions>): Promise<{ readonly url: string; readonly simulator: Simulator }>
  /** An upstream that answers as it is told. */
  upstream(answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void): Promise<Scripted>
  close(): Promise<void>
}

export type Serving = { readonly url: string; readonly port: number; readonly node: Node; stop(): Promise<void> }

export type Scripted = { readonly url: string; readonly seen: IncomingMessage[] }

export const key = 'an-api-key-of-forty-three-letters-and-digits'
export const keyHash = `sha256:${createHash('sha256').update(key).digest('hex')}`

export function openGatewayStage(): Stage {
  const closing: (() => Promise<unknown>)[] = []
  return {
    node: async (written, limits = {}) => {
      const env = realEnv()
      const { config, issues } = await load(JSON.stringify({ store: 'memory:', ...written }), { parseSource })
      if (config === null) throw new Error(JSON.stringify(issues, null, 2))
      const onFault = (thrown: unknown): void => {
        throw thrown
      }
      const node = await openNode({ config, env, version: '0', onFault, onNotice: () => undefined })
      const listening = await listen({
        handler: node.handler,
        listen: '127.0.0.1:0',
        env,
        limits: { closeMs: 500, ...limits },
      })
      let stopped: Promise<void> | undefined
      const stop = (): Promise<void> =>
        (stopped ??= (async () => {
          await listening.close()
          await node.stop()
          await env.close()
        })())
      closing.push(stop)
      return { url: listening.url, port: listening.port, node, stop }
    },
    simulator: async (options) => {
      const { clock, random } = realEnv()
      const simulator = createSimulator({ clock, random, ...options })
      const listening = await listenPlain((request) => simulator.fetch(request), 0)
      closing.push(() => listening.close())
      return { url: listening.url, simulator }
    },
    upstream: async (answer) => {
      const seen: IncomingMessage[] = []
      const server = createServer((incoming, outgoing) => {
        seen.push(incoming)
        answer(incoming, outgoing)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      closing.push(
        () =>
          new Promise((resolve) => {
            server.close(resolve)
            server.closeAllConnections()
          }),
      )
      return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
    },
    close: async () => {
      for (const close of closing.splice(0).reverse()) await close()
    },
  }
}

export type Told = {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly text: string
  readonly json: Record<string, unknown>
}

export type Asking = {
  readonly method?: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer | AsyncIterable<Buffer>
}

/** One request, its target as it is written; rejects when the answer breaks off. */
export async function ask(url: string, target: string, asking: Asking = {}): Promise<Told> {
  const { method = 'GET', key: sent, headers = {}, body } = asking
  const { hostname, port } = new URL(url)
  const own = sent === undefined ? {} : { authorization: `Bearer ${sent}` }
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { hostname, port, path: target, method, headers: { ...own, ...headers }, agent: false },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.once('error', reject)
        answer.once('end', () => {
          const text = Buffer.concat(chunks).toString()
          const json = (/^\s*\{/.test(text) ? JSON.parse(text) : {}) as Record<string, unknown>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            rawHeaders: answer.rawHeaders,
            text,
            json,
          })
        })
      },
    )
    outgoing.once('error', reject)
    if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) outgoing.end(body)
    else void pour(body, outgoing).catch(reject)
  })
}

async function pour(body: AsyncIterable<Buffer>, outgoing: ReturnType<typeof httpRequest>): Promise<void> {
  for await (const chunk of body) {
    if (outgoing.destroyed) return
    if (!outgoing.write(chunk)) await room(outgoing)
  }
  outgoing.end()
}

async function room(outgoing: ReturnType<typeof httpRequest>): Promise<void> {
  await new Promise<void>((resolve) => {
    const go = (): void => {
      outgoing.off('drain', go).off('close', go)
      resolve()
    }
    outgoing.on('drain', go).on('close', go)
  })
}

/** Sends bytes as they are; what came back until the other side closed, or `withinMs` were over. */
export async function talk(port: number, bytes: string, withinMs = 2_000): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let all = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (all += chunk))
  const timer = setTimeout(() => socket.destroy(), withinMs)
  await new Promise<void>((resolve) => {
    socket.on('error', () => undefined).on('close', () => resolve())
    socket.write(bytes, 'latin1')
  })
  clearTimeout(timer)
  return all
}

/** Whole bodies, for upstreams that are told. */
export async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
