/** Puts one node together: store, keeper, access, surfaces, subscribers. The only file that knows every room. */
import type { Env } from './base/env.ts'
import type { Text } from './base/text.ts'
import { createAccess } from './access/access.ts'
import type { Config } from './config/config.ts'
import { createBus, type Bus } from './events/bus.ts'
import { createFileSink } from './events/file-sink.ts'
import { createMetrics } from './events/metrics.ts'
import { createHandler, type Handler } from './http/server.ts'
import type { Keeper } from './keeper/keeper.ts'
import { openKeeper } from './keeper/open-keeper.ts'
import { issue, parseSource } from './providers/catalogue.ts'
import { openStore } from './stores/open-store.ts'

export type Node = {
  readonly keeper: Keeper
  readonly handler: Handler
  readonly bus: Bus
  /** Puts a new configuration in place: sources, clients and compatibility settings, whole. */
  replaceConfig(config: Config): Promise<void>
  /** Stops refreshing, lets attempts in the air land, closes the store; ends within ten seconds. */
  stop(): Promise<void>
}

export type NodeOptions = {
  readonly config: Config
  readonly env: Env
  readonly bus?: Bus
  readonly version: string
  /** Something broke that nobody foresaw; for the log. */
  readonly onFault: (thrown: unknown, where: string) => void
  /** Something the operator should know about the store, such as a mended table. */
  readonly onNotice: (notice: Text) => void
}

export async function openNode(options: NodeOptions): Promise<Node> {
  const { config, env, version, onFault, onNotice } = options
  const bus = options.bus ?? createBus((thrown) => onFault(thrown, 'a subscriber'))
  const store = await openStore({ url: config.store, encryptionKey: config.encryptionKey, env, onNotice })
  let keeper: Keeper
  try {
    keeper = await openKeeper({
      env,
      store,
      node: nodeName(env),
      sources: config.sources,
      parseSource,
      issue,
      emit: bus.emit,
      onFault: (thrown) => onFault(thrown, 'the keeper'),
    })
  } catch (thrown) {
    await store.close()
    throw thrown
  }
  const metrics = createMetrics({
    bus,
    version,
    sources: async (limit) => {
      const { states } = await keeper.states({ limit })
      return states.map(({ source, leftMs, state }) => ({ name: source.name, leftMs, state }))
    },
  })
  const handler = createHandler({
    keeper,
    access: createAccess(config.clients),
    compat: config.compat,
    env,
    metrics,
    version,
    onFault: (thrown, where) => onFault(thrown, where.route),
  })
  const sink = createFileSink({
    sinks: config.sinks,
    read: async (name) => {
      const { snapshot } = await keeper.get(name, { waitMs: 1_000 })
      return snapshot
    },
    bus,
    env,
    onFault: (thrown) => onFault(thrown, 'a file sink'),
  })
  return {
    keeper,
    handler,
    bus,
    replaceConfig: async (next) => {
      handler.replace({ access: createAccess(next.clients), compat: next.compat })
      await keeper.replaceSources(next.sources)
    },
    stop: async () => {
      handler.drain()
      await keeper.stop()
      metrics.close()
      await sink.close()
      await store.close()
    },
  }
}

/** A name for this process that no other one has or ever had. */
export function nodeName(env: Env): string {
  return Buffer.from(env.random.bytes(9)).toString('base64url')
}
