/** Puts one node together: store, keeper, access, surfaces, subscribers. The only file that knows every room. */
import type { Env } from './base/env.ts'
import { createAccess } from './access/access.ts'
import { createAuthorising } from './authorising.ts'
import type { Config } from './config/config.ts'
import { createBus, type Bus } from './events/bus.ts'
import { createFeed, type Feed } from './events/feed.ts'
import { createMetrics, type SourceGauge } from './events/metrics.ts'
import { createHandler, type Handler } from './http/server.ts'
import { createTrail, type Trail } from './http/trail.ts'
import type { Keeper } from './keeper/keeper.ts'
import { openKeeper } from './keeper/open-keeper.ts'
import { openSinks } from './node-sinks.ts'
import { askForPush, issue, parseSource, probe, watch } from './providers/catalogue.ts'
import { changeLine, exposeAll, type Siblings } from './siblings.ts'
import { announced } from './stores/announced.ts'
import { keyFor } from './stores/keyring.ts'
import { openStore } from './stores/open-store.ts'
import type { Notice } from './stores/store.ts'

export type Node = {
  readonly keeper: Keeper
  readonly handler: Handler
  readonly bus: Bus
  /** Puts a new configuration in place: sources, clients and compatibility settings, whole. */
  replaceConfig(config: Config): Promise<void>
  /** Its own metrics, for whoever adds up those of several nodes. */
  ownMetrics(): Promise<string>
  /** Stops refreshing, lets attempts in the air land, closes the store; ends within ten seconds. */
  stop(): Promise<void>
}

export type NodeOptions = {
  readonly config: Config
  readonly env: Env
  readonly bus?: Bus
  /** Absent: this node is alone behind its address. */
  readonly siblings?: Siblings
  readonly version: string
  /** Something broke that nobody foresaw; for the log. */
  readonly onFault: (thrown: unknown, where: string) => void
  /** Something the operator should know about the store, such as a mended table. */
  readonly onNotice: (notice: Notice) => void
}

export async function openNode(options: NodeOptions): Promise<Node> {
  const { config, env, version, onFault, siblings } = options
  const bus = options.bus ?? createBus((thrown) => onFault(thrown, 'a subscriber'))
  const node = nodeName(env)
  const trail = createTrail(node, env.clock)
  const feed = createFeed({ bus, env, onFault: (thrown) => onFault(thrown, 'a watcher') })
  const { keeper, journeyKey, closeStore } = await openStoreAndKeeper(options, { bus, feed, node, trail })
  const sinks = openSinks(options, { keeper, bus })
  const metrics = createMetrics({
    bus,
    version,
    sources: (limit) => gaugesOf(keeper, limit),
    sinks: () => sinks.own(),
  })
  const stopping = new AbortController()
  const authorising = createAuthorising({ keeper, env, stopping: stopping.signal })
  const handler = createHandler({
    keeper,
    access: createAccess(config.clients),
    compat: config.compat,
    env,
    metrics: siblings === undefined ? metrics : { ...metrics, expose: () => exposeAll(metrics, siblings) },
    version,
    trail,
    hear: (source, message) => authorising.hear(source, message),
    authorising,
    ...(journeyKey === null ? {} : { journeyKey }),
    publicUrl: config.server.publicUrl,
    sinks: () => sinks.status(),
    emit: bus.emit,
    feed,
    onFault: (thrown, where) => onFault(thrown, where.route),
  })
  return {
    keeper,
    handler,
    bus,
    replaceConfig: async (next) => {
      // Everything that can fail comes before the first change: a reload is whole or not at all.
      const settings = { access: createAccess(next.clients), compat: next.compat }
      await keeper.replaceSources(next.sources)
      handler.replace(settings)
    },
    ownMetrics: () => metrics.exposeOwn(),
    stop: async () => {
      handler.drain()
      stopping.abort('stopping')
      await Promise.all([keeper.stop(), handler.settle()])
      metrics.close()
      feed.close()
      await sinks.close()
      await closeStore()
    },
  }
}

async function openStoreAndKeeper(
  { config, env, siblings, onFault, onNotice }: NodeOptions,
  { bus, feed, node, trail }: { readonly bus: Bus; readonly feed: Feed; readonly node: string; readonly trail: Trail },
): Promise<{ keeper: Keeper; journeyKey: Uint8Array | null; closeStore: () => Promise<void> }> {
  let journeyKey: Uint8Array | null = null
  const opened = await openStore({
    url: config.store,
    encryptionKey: config.encryptionKey,
    env,
    onNotice,
    ...(config.spill === null ? {} : { spillFolder: config.spill }),
    onKeys: (ring) => (journeyKey = keyFor(ring, 'journeys')),
  })
  const store = siblings === undefined ? opened : announced(opened, changeLine(siblings))
  try {
    const keeper = await openKeeper({
      env,
      store,
      node,
      sources: config.sources,
      parseSource,
      issue: (source, call) => issue(source, { ...call, trail: trail.of(source.name) }),
      watch: (source, call, waitMs) => watch(source, { ...call, trail: trail.of(source.name) }, waitMs),
      askForPush: (source, call) => askForPush(source, { ...call, trail: trail.of(source.name) }),
      probe,
      emit: bus.emit,
      audience: feed,
      onFault: (thrown) => onFault(thrown, 'the keeper'),
    })
    return { keeper, journeyKey, closeStore: () => store.close() }
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

async function gaugesOf(keeper: Keeper, limit: number): Promise<readonly SourceGauge[]> {
  const { states } = await keeper.states({ limit })
  return states.map(({ source, leftMs, state, contest }) => {
    return { name: source.name, leftMs, state, isContested: contest !== null }
  })
}

/** A name for this process that no other one has or ever had. */
export function nodeName(env: Env): string {
  const chance = Buffer.from(env.random.bytes(9)).toString('base64url')
  return env.processes === undefined ? chance : `${env.processes.self}:${chance}`
}
