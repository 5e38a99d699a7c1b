/** Whole nodes in this process, on a store that they may share, behind real sockets; and the simulator as their upstream. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openNode, type Node } from '../../src/app.ts'
import { realEnv } from '../../src/base/real-env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { createClient, type Client, type ClientOptions } from '../../src/client/index.ts'
import type { Config } from '../../src/config/config.ts'
import { listen } from '../../src/http/listen.ts'
import type { ClientGrant } from '../../src/model/client.ts'
import type { Source } from '../../src/model/source.ts'
import { parseSource } from '../../src/providers/catalogue.ts'
import { startSimulator, type RunningSimulator } from '../../src/simulator.ts'
import { client as grantOf } from '../http/visitor.ts'

export type LiveNode = {
  readonly node: Node
  readonly url: string
  readonly port: number
  /** Puts these clients in place of those before. */
  reload(clients: readonly ClientGrant[]): Promise<void>
  stop(): Promise<void>
}

export type Live = {
  readonly upstream: RunningSimulator
  readonly faults: unknown[]
  /** Opens a node; on the same store as the others. */
  open(options?: {
    readonly port?: number
    readonly clients?: readonly ClientGrant[]
    readonly names?: readonly string[]
  }): Promise<LiveNode>
  client(options: ClientOptions): Client
  onClose(close: () => Promise<unknown>): void
  close(): Promise<void>
}

export const key = 'a-key-of-the-shop'
export const shop = grantOf('shop', key, {
  read: ['weixin', 'weixin_*', 'corp', 'many*'],
  refresh: ['weixin', 'corp', 'many*'],
})

export async function openLive(): Promise<Live> {
  const upstream = await startSimulator({ accounts: [] })
  const folder = await mkdtemp(join(tmpdir(), 'zhongkong-live-'))
  const closing: (() => Promise<unknown>)[] = []
  const faults: unknown[] = []
  const config = (names: readonly string[], clients: readonly ClientGrant[]): Config => ({
    path: join(folder, 'zhongkong.yaml'),
    server: { listen: '127.0.0.1:0', tls: null, trustedNetwork: false, workers: 1 },
    encryptionKey: null,
    store: `sqlite:${join(folder, 'tokens.db')}`,
    spill: null,
    sources: names.map((name) => sourceAt(upstream, name)),
    clients,
    compat: { tokenboy: null, wechatTokenServer: null },
    sinks: [],
  })
  return {
    upstream,
    faults,
    open: async ({ port = 0, clients = [shop], names = ['weixin', 'corp'] } = {}) => {
      const env = realEnv()
      const node = await openNode({
        config: config(names, clients),
        env,
        version: '0',
        onFault: (thrown) => faults.push(thrown),
        onNotice: () => undefined,
      })
      const listening = await listen({
        handler: node.handler,
        listen: `127.0.0.1:${port}`,
        env,
        limits: { closeMs: 300 },
      })
      let stopped: Promise<void> | null = null
      const stop = (): Promise<void> =>
        (stopped ??= (async () => {
          await listening.close()
          await node.stop()
          await env.close()
        })())
      closing.push(stop)
      const reload = (next: readonly ClientGrant[]): Promise<void> => node.replaceConfig(config(names, next))
      return { node, url: listening.url, port: listening.port, reload, stop }
    },
    client: (options) => {
      const made = createClient({ key, ...options })
      closing.push(() => made.close())
      return made
    },
    onClose: (close) => closing.push(close),
    close: async () => {
      for (const close of closing.splice(0).reverse()) await close()
      await upstream.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** A classic WeChat account: each issue retires the token before, and may be asked for at any moment. */
function sourceAt(upstream: RunningSimulator, name: string): Source {
  const appid = `wx-${name.replaceAll('/', '-')}`
  upstream.simulator.putAccount({ kind: 'wechat', id: appid, secret: 's' })
  const definition: JsonObject = {
    provider: 'wechat',
    mode: 'classic',
    appid,
    secret: 's',
    base_url: upstream.url,
    min_interval: 0,
  }
  const parsed = parseSource(name, definition, 'file', () => undefined)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.source
}

export type Stream = {
  readonly status: number
  readonly headers: Headers
  /** What came, in order: `type`, `id` and `data` of each event; comments and bare numbers left out. */
  readonly events: { readonly type: string; readonly id: string; readonly data: Record<string, unknown> }[]
  /** All of it, as it came. */
  readonly text: () => string
  readonly isEnded: () => boolean
  readonly cut: () => void
}

/** Opens `/v1/events` and collects what comes. */
export async function stream(url: string, query = '', headers: Record<string, string> = {}): Promise<Stream> {
  const over = new AbortController()
  const sent = new Headers({ authorization: `Bearer ${key}`, ...headers })
  // An empty one stands for none.
  if (sent.get('authorization') === '') sent.delete('authorization')
  const response = await fetch(`${url}/v1/events${query}`, {
    headers: sent,
    signal: over.signal,
  })
  const events: Stream['events'] = []
  let all = ''
  let isEnded = false
  const collect = async (): Promise<void> => {
    let taken = 0
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      all += chunk
      for (let end = all.indexOf('\n\n', taken); end !== -1; end = all.indexOf('\n\n', taken)) {
        const fields = new Map(
          all
            .slice(taken, end)
            .split('\n')
            .map((line) => line.split(/: (.*)/s) as [string, string]),
        )
        taken = end + 2
        const data = fields.get('data')
        if (data === undefined) continue
        events.push({
          type: fields.get('event') ?? '',
          id: fields.get('id') ?? '',
          data: JSON.parse(data) as Record<string, unknown>,
        })
      }
    }
  }
  void collect()
    .catch(() => undefined)
    .finally(() => (isEnded = true))
  return {
    status: response.status,
    headers: response.headers,
    events,
    text: () => all,
    isEnded: () => isEnded,
    cut: () => over.abort(),
  }
}
