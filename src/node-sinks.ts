/** The sinks of a node: what they read, and who of several siblings writes. */
import type { Env } from './base/env.ts'
import type { Config } from './config/config.ts'
import type { Bus } from './events/bus.ts'
import { openSink, sinkName } from './events/sinks/catalogue.ts'
import { Delivery } from './events/sinks/delivery.ts'
import { patrol } from './events/sinks/patrol.ts'
import type { SinkTools } from './events/sinks/sink.ts'
import type { Keeper, Snapshot } from './keeper/keeper.ts'
import { compileGlobs } from './model/glob.ts'
import { aboveMax, laidOut, type LaidOut } from './model/sink-layout.ts'
import type { SinkStatus } from './model/sink.ts'
import type { Source } from './model/source.ts'
import type { Siblings } from './siblings.ts'
import { openSinkScripts } from './stores/redis-sink-scripts.ts'

export type SinkParts = {
  readonly config: Config
  readonly env: Env
  readonly siblings?: Siblings
  readonly onFault: (thrown: unknown, where: string) => void
}

type Told = { readonly keeper: Keeper; readonly bus: Bus }

export type Sinks = {
  /** How each is doing, in order of the configuration; where a sibling writes them, as it said a moment ago. */
  readonly status: () => readonly SinkStatus[]
  /** Those that this node writes. */
  readonly own: () => readonly SinkStatus[]
  /** No new deliveries; those under way end, or are left after three seconds. */
  readonly close: () => Promise<void>
}

/** Sources looked at with one question to the store. */
const pageSize = 200
/** Siblings are told this often how the sinks are doing, in milliseconds. */
const tellMs = 2_000

/** Among siblings one writes what sinks get; the others tell it what it does not see itself. */
export function openSinks(parts: SinkParts, { keeper, bus }: Told): Sinks {
  const { config, env, siblings, onFault } = parts
  if (config.sinks.length === 0) return { status: () => [], own: () => [], close: () => Promise.resolve() }
  if (siblings?.writesSinks === false) return leaveToSibling(siblings, bus)
  const tools: SinkTools = {
    env,
    describe: (name) => describe(keeper, name),
    openRedis: (url) => openSinkScripts(url, env),
  }
  const read = (name: string): Promise<Snapshot | null> =>
    siblings === undefined ? keeper.newest(name) : newestAmongSiblings(keeper, name)
  const closing = new AbortController()
  const deliveries = config.sinks.map((sink, index) => {
    const name = sinkName(sink, index)
    const opened = openSink(sink, tools)
    const matches = compileGlobs(sink.sources)
    const delivery = new Delivery({ name, kind: sink.kind, sink: opened, matches, read, env, emit: bus.emit })
    const list = async (after: string | undefined): Promise<{ names: readonly string[]; next: string | null }> => {
      const page = await keeper.states({ limit: pageSize, ...(after === undefined ? {} : { after }) })
      return { names: page.states.map(({ source }) => source.name), next: page.next }
    }
    const { recheckMs } = opened
    const walking = patrol({ delivery, recheckMs, list, clock: env.clock, signal: closing.signal })
    return { delivery, walking: walking.catch((thrown: unknown) => onFault(thrown, 'a sink')) }
  })
  const touch: Delivery['touch'] = (name, wanted) => {
    for (const { delivery } of deliveries) delivery.touch(name, wanted)
  }
  const unsubscribe = bus.on((event) => {
    if (event.type === 'rotated' || event.type === 'repeated') touch(event.name, 'current')
    else if (event.type === 'removed') touch(event.name, 'absent')
  })
  const unhear = siblings?.hear((notice) => {
    if (!('name' in notice) || notice.name === null) return
    const { name } = notice
    // Without the store nobody knows whether the source is there; its token is asked for until there is an answer.
    followSibling(keeper, touch, name).catch(() => touch(name, 'current'))
  })
  const status = (): readonly SinkStatus[] => deliveries.map(({ delivery }) => delivery.status())
  if (siblings !== undefined) {
    const telling = keepTelling(siblings, status, { clock: env.clock, signal: closing.signal })
    telling.catch((thrown: unknown) => onFault(thrown, 'a sink'))
  }
  return {
    status,
    own: status,
    close: async () => {
      unsubscribe()
      unhear?.()
      closing.abort()
      await Promise.all(deliveries.flatMap(({ delivery, walking }) => [delivery.close(), walking]))
    },
  }
}

/** A sibling writes: it is told what it does not see itself, and says how its sinks are doing. */
function leaveToSibling(siblings: Siblings, bus: Bus): Sinks {
  let told: readonly SinkStatus[] = []
  const unsubscribe = bus.on((event) => {
    const { type } = event
    if (type === 'rotated' || type === 'repeated' || type === 'removed') siblings.tell({ name: event.name })
  })
  const unhear = siblings.hear((notice) => {
    if ('sinks' in notice) told = notice.sinks
  })
  return {
    status: () => told,
    own: () => [],
    close: () => {
      unsubscribe()
      unhear()
      return Promise.resolve()
    },
  }
}

/** Also what has not changed: a sibling may have begun since. */
async function keepTelling(
  siblings: Siblings,
  status: () => readonly SinkStatus[],
  { clock, signal }: { readonly clock: Env['clock']; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    siblings.tell({ sinks: status() })
    await clock.sleep(tellMs, signal)
  }
}

/** Whether the source is there is asked anew: of two reloads the news of the first may come after the second. */
async function followSibling(keeper: Keeper, touch: Delivery['touch'], name: string): Promise<void> {
  touch(name, (await keeper.source(name)) === undefined ? 'absent' : 'current')
}

/** The store is looked at twice, because the first look may be shared with one that began before the notice came. */
async function newestAmongSiblings(keeper: Keeper, name: string): Promise<Snapshot | null> {
  await keeper.newest(name)
  return await keeper.newest(name)
}

/** A ticket belongs to the account of the source that it is fetched with, and that perhaps to a platform. */
async function describe(keeper: Keeper, name: string): Promise<LaidOut | undefined> {
  const source = await keeper.source(name)
  if (source === undefined) return undefined
  const above: Source[] = []
  for (let needs = source.needs[0]; needs !== undefined && above.length < aboveMax;) {
    const next = await keeper.source(needs)
    if (next === undefined) break
    above.push(next)
    needs = next.needs[0]
  }
  return laidOut(source, above)
}
