/** Puts one node together: store, keeper, access, surfaces, subscribers. The only file that knows every room. */
import type { Env } from './base/env.ts'
import { asZhongkongError } from './base/errors.ts'
import type { Text } from './base/text.ts'
import { createAccess } from './access/access.ts'
import type { Config } from './config/config.ts'
import { createBus, type Bus } from './events/bus.ts'
import { createFileSink, type FileSink } from './events/file-sink.ts'
import { createMetrics, type Metrics, type SourceGauge } from './events/metrics.ts'
import { createHandler, type Handler } from './http/server.ts'
import { createTrail, type Trail } from './http/trail.ts'
import type { Keeper, Snapshot } from './keeper/keeper.ts'
import { openKeeper } from './keeper/open-keeper.ts'
import { issue, parseSource, watch } from './providers/catalogue.ts'
import { announced, type ChangeLine } from './stores/announced.ts'
import { openStore } from './stores/open-store.ts'

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

/**
 * What one node tells another of the same server: something was written to the store (null), or a source has another
 * token or is gone. Never a token.
 */
export type SiblingNotice = { readonly name: string | null }

/** The other nodes of the same server: processes on this machine, over the same store, behind the same address. */
export type Siblings = {
  /** One of them writes the files of sinks, so that none is overwritten with an older version. */
  readonly writesFiles: boolean
  readonly tell: (notice: SiblingNotice) => void
  readonly hear: (listener: (notice: SiblingNotice) => void) => () => void
  /** The metrics of all of them, given what this one shows. */
  readonly addMetrics: (text: string) => Promise<string>
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
  readonly onNotice: (notice: Text) => void
}

export async function openNode(options: NodeOptions): Promise<Node> {
  const { config, env, version, onFault, siblings } = options
  const bus = options.bus ?? createBus((thrown) => onFault(thrown, 'a subscriber'))
  const node = nodeName(env)
  const trail = createTrail(node, env.clock)
  const { keeper, closeStore } = await openStoreAndKeeper(options, { bus, node, trail })
  const metrics = createMetrics({ bus, version, sources: (limit) => gaugesOf(keeper, limit) })
  const handler = createHandler({
    keeper,
    access: createAccess(config.clients),
    compat: config.compat,
    env,
    metrics: siblings === undefined ? metrics : { ...metrics, expose: () => exposeAll(metrics, siblings) },
    version,
    trail,
    onFault: (thrown, where) => onFault(thrown, where.route),
  })
  const sink = openFileSink(options, { keeper, bus })
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
      await keeper.stop()
      metrics.close()
      await sink.close()
      await closeStore()
    },
  }
}

async function openStoreAndKeeper(
  { config, env, siblings, onFault, onNotice }: NodeOptions,
  { bus, node, trail }: { readonly bus: Bus; readonly node: string; readonly trail: Trail },
): Promise<{ keeper: Keeper; closeStore: () => Promise<void> }> {
  const opened = await openStore({ url: config.store, encryptionKey: config.encryptionKey, env, onNotice })
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
      emit: bus.emit,
      onFault: (thrown) => onFault(thrown, 'the keeper'),
    })
    return { keeper, closeStore: () => store.close() }
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

async function gaugesOf(keeper: Keeper, limit: number): Promise<readonly SourceGauge[]> {
  const { states } = await keeper.states({ limit })
  return states.map(({ source, leftMs, state }) => ({ name: source.name, leftMs, state }))
}

function changeLine({ tell, hear }: Siblings): ChangeLine {
  return {
    tell: () => tell({ name: null }),
    hear: (onTold) =>
      hear(({ name }) => {
        if (name === null) onTold()
      }),
  }
}

async function exposeAll(metrics: Metrics, { addMetrics }: Siblings): Promise<{ type: string; text: string }> {
  const { type, text } = await metrics.expose()
  return { type, text: await addMetrics(text) }
}

type Told = { readonly keeper: Keeper; readonly bus: Bus }

/** The file sinks. Among siblings one writes them; the others tell it what it does not see itself. */
function openFileSink({ config, env, siblings, onFault }: NodeOptions, { keeper, bus }: Told): FileSink {
  const isWriter = siblings?.writesFiles ?? true
  const sink = createFileSink({
    sinks: isWriter ? config.sinks : [],
    read: (name) => (siblings === undefined ? readForSink(keeper, name) : readAmongSiblings(keeper, name)),
    bus,
    env,
    onFault: (thrown) => onFault(thrown, 'a file sink'),
  })
  if (config.sinks.length === 0) return sink
  if (isWriter) sink.catchUp(config.sources.map(({ name }) => name))
  if (siblings === undefined) return sink
  if (!isWriter) {
    bus.on((event) => {
      const { type } = event
      if (type === 'rotated' || type === 'repeated' || type === 'removed') siblings.tell({ name: event.name })
    })
    return sink
  }
  const onBroken = (thrown: unknown): void => onFault(thrown, 'a file sink')
  siblings.hear(({ name }) => {
    if (name !== null) followSibling(keeper, sink, name).catch(onBroken)
  })
  catchUpAll(keeper, sink).catch(onBroken)
  return sink
}

/** Whether the source is there is asked anew: of two reloads the news of the first may come after the second. */
async function followSibling(keeper: Keeper, sink: FileSink, name: string): Promise<void> {
  if ((await keeper.source(name)) === undefined) sink.remove(name)
  else sink.catchUp([name])
}

/** While no process wrote the files, siblings went on rotating: sources that were added while running, too. */
async function catchUpAll(keeper: Keeper, sink: FileSink): Promise<void> {
  for (let after: string | null | undefined; after !== null;) {
    const page = await keeper.states({ limit: 500, ...(after === undefined ? {} : { after }) })
    sink.catchUp(page.states.map(({ source }) => source.name))
    after = page.next
  }
}

/** What a file is to hold: null while there is no token, which the next rotation will change. */
async function readForSink(keeper: Keeper, name: string): Promise<Snapshot | null> {
  try {
    return (await keeper.get(name, { waitMs: 1_000 })).snapshot
  } catch (thrown) {
    const { code } = asZhongkongError(thrown)
    if (code === 'token_unavailable' || code === 'budget_spent' || code === 'not_found') return null
    throw thrown
  }
}

/**
 * The same where a sibling may have rotated a moment ago: what this node serves may be older than what is stored. The
 * store is looked at twice, because the first look may be shared with one that began before the notice came.
 */
async function readAmongSiblings(keeper: Keeper, name: string): Promise<Snapshot | null> {
  await keeper.state(name)
  const stored = (await keeper.state(name))?.snapshot ?? null
  const served = keeper.peek(name)
  return served !== undefined && served.version > (stored?.version ?? 0) ? served : stored
}

/** A name for this process that no other one has or ever had. */
export function nodeName(env: Env): string {
  return Buffer.from(env.random.bytes(9)).toString('base64url')
}
