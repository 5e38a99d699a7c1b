/**
 * Several zhongkong that reach each other by host name, in one process under a virtual clock: real nodes with their
 * surfaces, on stores of their own, and the simulated upstreams at `http://up.test`.
 */
import { openNode, type Node } from '../../src/app.ts'
import type { Env, Fetch } from '../../src/base/env.ts'
import { sha256 } from '../../src/base/secret.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Config } from '../../src/config/config.ts'
import type { ClientGrant } from '../../src/model/client.ts'
import type { Source } from '../../src/model/source.ts'
import { parseSource } from '../../src/providers/catalogue.ts'
import { createSimulator, type AccountSettings, type Simulator } from '../../src/simulator/simulator.ts'
import type { RefreshAnswer, TokenAnswer } from '../../src/wire/v1.ts'
import { seededRandom } from '../simulator/stage.ts'
import { VirtualClock } from './virtual-clock.ts'

/** What every follower sends; may read and refresh everything unless a town says otherwise. */
export const key = 'follower-key-0123456789'
export const admin = 'admin-key-0123456789abc'

export type Town = {
  readonly host: string
  readonly node: Node
  readonly get: (name: string) => Promise<TokenAnswer>
  readonly refresh: (name: string, stale: string) => Promise<RefreshAnswer>
  /** A question to its surfaces; the body as JSON. */
  readonly ask: (path: string, init?: RequestInit) => Promise<{ status: number; json: JsonObject }>
}

type Sources = Readonly<Record<string, JsonObject>>

const stranger = { address: '203.0.113.9', isLoopback: false }

export class Towns {
  readonly clock = new VirtualClock()
  readonly simulator: Simulator
  readonly faults: unknown[] = []
  /** Requests from town to town, as `METHOD path`. */
  readonly letters: { readonly to: string; readonly what: string; readonly via: string | null }[] = []
  /** Hosts that cannot be reached now. */
  readonly away = new Set<string>()
  latencyMs = 20
  /** What another party answers in the place of a town. */
  readonly impostors = new Map<string, (request: Request) => Response>()
  readonly #towns = new Map<string, Town>()
  #seed = 1

  constructor(accounts: readonly AccountSettings[]) {
    const send: Fetch = (request) => this.#fetch(request)
    this.simulator = createSimulator({ clock: this.clock, random: seededRandom(1), accounts, send })
  }

  readonly #fetch: Fetch = async (request) => {
    const { host, pathname, search } = new URL(request.url)
    await this.clock.sleep(this.latencyMs, request.signal)
    if (host === 'up.test') return await this.simulator.fetch(request)
    this.letters.push({
      to: host,
      what: `${request.method} ${pathname}${search}`,
      via: request.headers.get('zhongkong-via'),
    })
    const town = this.#towns.get(host)
    if (town === undefined || this.away.has(host)) {
      throw Object.assign(new TypeError('fetch failed'), {
        cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }),
      })
    }
    return this.impostors.get(host)?.(request) ?? (await town.node.handler(request, stranger))
  }

  async open(host: string, sources: Sources, grant: Partial<ClientGrant> = {}): Promise<Town> {
    this.#seed += 1
    const env: Env = { clock: this.clock, random: seededRandom(this.#seed), fetch: this.#fetch }
    const node = await this.until(
      openNode({
        config: configOf(sources, grant),
        env,
        version: '0',
        onFault: (thrown) => this.faults.push(thrown),
        onNotice: () => undefined,
      }),
    )
    const ask: Town['ask'] = async (path, init = {}) => {
      const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' }
      const response = await this.until(
        node.handler(new Request(`http://${host}${path}`, { ...init, headers }), stranger),
      )
      const text = await response.text()
      return { status: response.status, json: text === '' ? {} : (JSON.parse(text) as JsonObject) }
    }
    const refresh: Town['refresh'] = async (name, stale) =>
      (await ask(`/v1/tokens/${name}/refresh`, { method: 'POST', body: JSON.stringify({ stale }) }))
        .json as RefreshAnswer
    const town: Town = {
      host,
      node,
      ask,
      refresh,
      get: async (name) => (await ask(`/v1/tokens/${name}`)).json as TokenAnswer,
    }
    this.#towns.set(host, town)
    return town
  }

  async replace(town: Town, sources: Sources, grant: Partial<ClientGrant> = {}): Promise<void> {
    await this.until(town.node.replaceConfig(configOf(sources, grant)))
  }

  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms)
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    return await this.clock.until(promise)
  }

  async close(): Promise<void> {
    for (const { node } of this.#towns.values()) await this.until(node.stop())
  }
}

function configOf(definitions: Sources, grant: Partial<ClientGrant>): Config {
  const sources = Object.entries(definitions).map(([name, definition]): Source => {
    const parsed = parseSource(name, definition, 'file', (other) => definitions[other])
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
    return parsed.source
  })
  const client = { read: ['*'], refresh: ['*'], gateway: [], admin: false }
  return {
    path: '/zhongkong.yaml',
    server: { listen: '127.0.0.1:0', tls: null, trustedNetwork: true, workers: 1 },
    encryptionKey: new Uint8Array(32).fill(1),
    store: 'memory:',
    sources,
    clients: [
      { name: 'follower', keyHash: sha256(key).toString('hex'), ...client, ...grant },
      { name: 'admin', keyHash: sha256(admin).toString('hex'), ...client, admin: true },
    ],
    compat: { tokenboy: { allow: ['203.0.113.0/24'] }, wechatTokenServer: null },
    sinks: [],
  }
}
