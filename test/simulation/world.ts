/** One run: the upstreams, the shared store, the nodes, the network between them, and the faults that strike. */
import { sha256 } from '../../src/base/secret.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Source } from '../../src/model/source.ts'
import { parseSource } from '../../src/providers/catalogue.ts'
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { Chance } from './chance.ts'
import { Checks } from './checks.ts'
import { Coverage } from './coverage.ts'
import { drawPlan, type FaultKind, type FaultPlan } from './faults.ts'
import { Grants } from './grants.ts'
import { Network } from './network.ts'
import { SimulatedNode } from './node.ts'
import { SharedStore } from './shared-store.ts'
import { VirtualTime } from './virtual-time.ts'

export type RunOptions = {
  readonly seed: number
  readonly nodes: number
  /** Virtual hours. */
  readonly hours: number
  /** The faults of this run; drawn from the seed when absent. */
  readonly plan?: FaultPlan
  /** Lifetime of every token, in seconds; that of the platforms when absent. */
  readonly ttl?: number
  readonly trace?: (line: string) => void
  /** Ends soon after the first violation. */
  readonly isFailFast?: boolean
}

/** A day in 2026, so that printed times look like times. */
const startAt = Date.UTC(2026, 0, 5, 8)

export const secrets = {
  classic: 'canary-classic-secret-0001',
  stable: 'canary-stable-secret-0002',
  wecom: 'canary-wecom-secret-0003',
  dynamic: 'canary-dynamic-secret-0004',
  oauth: 'canary-oauth-secret-0005',
} as const

/** The source that a configuration file may lose: nothing is made from its token. */
export const droppable = 'wecom'

const wechat = 'http://wechat.test'

/** The sources of every run, as a user would write them; `refreshToken` is the one that the configuration holds. */
function definitions(refreshToken: string, timeout = 8): Readonly<Record<string, JsonObject>> {
  return {
    classic: {
      provider: 'wechat',
      appid: 'wxclassic',
      secret: secrets.classic,
      mode: 'classic',
      base_url: wechat,
      timeout,
    },
    stable: {
      provider: 'wechat',
      appid: 'wxstable',
      secret: secrets.stable,
      mode: 'stable',
      base_url: wechat,
      timeout,
    },
    ticket: { provider: 'wechat-ticket', of: 'classic', type: 'jsapi', base_url: wechat },
    wecom: { provider: 'wecom', corpid: 'wwcorp', secret: secrets.wecom, base_url: `${wechat}/wecom`, timeout },
    http: {
      provider: 'http',
      url: `${wechat}/generic/shop`,
      query: { access_token: '{{results.classic.access_token}}' },
    },
    oauth: {
      provider: 'oauth2',
      token_url: `${wechat}/oauth2/token`,
      client_id: 'client',
      client_secret: secrets.oauth,
      grant: 'refresh_token',
      refresh_token: refreshToken,
      rotation: 'always',
      timeout,
    },
  }
}

export const dynamicDefinition: JsonObject = {
  provider: 'wechat',
  appid: 'wxdynamic',
  secret: secrets.dynamic,
  mode: 'classic',
  base_url: wechat,
}

export function sourcesOf(written: Readonly<Record<string, JsonObject>>): Source[] {
  return Object.entries(written).map(([name, definition]) => {
    const parsed = parseSource(name, definition, 'file')
    if (!parsed.ok) throw new Error(`${name}: ${parsed.issues.map((issue) => issue.message.en).join('; ')}`)
    return parsed.source
  })
}

export class World {
  readonly options: RunOptions
  readonly time = new VirtualTime(startAt)
  readonly chance: Chance
  readonly plan: FaultPlan
  readonly coverage = new Coverage()
  readonly store: SharedStore
  readonly network: Network
  readonly checks: Checks
  readonly simulator: Simulator
  readonly grants: Grants
  readonly nodes: SimulatedNode[]
  sources: readonly Source[]
  /** The configuration file is without the source that it may lose. */
  isDropped = false
  /** Hears of every new token on the node that committed it, as a sink would. */
  onRotated: (node: SimulatedNode, name: string) => void = () => undefined
  /** Whether programs say when a token was refused; in some runs nobody does. */
  readonly hasReporters: boolean

  constructor(options: RunOptions) {
    this.options = options
    this.chance = new Chance(options.seed, sha256('zhongkong').readInt32LE(0))
    this.plan = options.plan ?? drawPlan(this.chance)
    this.hasReporters = this.chance.is(0.6)
    this.store = new SharedStore(Math.round(this.chance.between(-600_000, 600_000)))
    const refreshGraceSeconds = new Chance(options.seed, 11).pick([0, 5, 10, 30, 60])
    this.simulator = createSimulator({
      clock: { now: () => this.time.now(), monotonic: () => this.time.now(), sleep: (ms) => this.time.wait(ms) },
      random: new Chance(options.seed, 7),
      knobs: options.ttl === undefined ? {} : { ttlSeconds: options.ttl },
      accounts: [
        { kind: 'wechat', id: 'wxclassic', secret: secrets.classic },
        { kind: 'wechat', id: 'wxstable', secret: secrets.stable },
        { kind: 'wechat', id: 'wxdynamic', secret: secrets.dynamic },
        { kind: 'wecom', corpid: 'wwcorp', secret: secrets.wecom },
        { kind: 'oauth2', id: 'client', secret: secrets.oauth, knobs: { rotation: 'always', refreshGraceSeconds } },
        { kind: 'generic', id: 'shop', demands: [{ in: 'query', name: 'access_token', tokenOf: 'wxclassic' }] },
      ],
    })
    this.grants = new Grants(this)
    this.sources = sourcesOf(definitions(this.grants.seed))
    this.network = new Network(this)
    this.checks = new Checks(this)
    this.store.onWrite = (write) => {
      this.checks.written(write)
      this.grants.written(write)
    }
    this.nodes = Array.from({ length: options.nodes }, (_, index) => new SimulatedNode(this, index))
  }

  get endsAt(): number {
    return startAt + this.options.hours * 3_600_000
  }

  /** No more faults: everything that was going on comes to rest. */
  calm(): void {
    this.checks.isQuiet = true
    this.store.setDown(false)
    this.network.isOut = false
    for (const node of this.nodes) node.reconnect()
  }

  /** Whether a fault strikes at this step, of one channel or of a whole node; counted when it does. */
  strikes(kind: FaultKind, channel?: string): boolean {
    const rate = this.plan.rate[kind]
    if (rate === 0 || this.checks.isQuiet || !this.chance.is(rate)) return false
    this.coverage.strike(kind)
    this.checks.struck(kind, channel)
    return true
  }

  /** Reads the configuration file anew: the sources as they are written now, with a time limit of their own. */
  readFile(timeout: number): readonly Source[] {
    const written = Object.entries(definitions(this.grants.seed, timeout)).filter(
      ([name]) => !this.isDropped || name !== droppable,
    )
    this.sources = sourcesOf(Object.fromEntries(written))
    return this.sources
  }

  trace(line: () => string): void {
    if (this.options.trace === undefined) return
    const at = new Date(this.time.now()).toISOString().slice(5, 23)
    this.options.trace(`${at} ${line()}`)
  }

  /** Tells the other nodes that the store changed; late, and sometimes not at all. */
  announce(writer: SimulatedNode): void {
    for (const { node, onChange } of this.store.watchers) {
      if (node !== writer && (node.isPartitioned || this.strikes('notice-lost'))) continue
      node.notify(this.time.now() + (node === writer ? 1 : this.chance.between(1, 250)), onChange)
    }
  }
}
