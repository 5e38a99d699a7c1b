/** The file sinks of a node: what they read, and who of several siblings writes. */
import type { Clock, Env } from './base/env.ts'
import { asZhongkongError } from './base/errors.ts'
import type { Config } from './config/config.ts'
import type { Bus } from './events/bus.ts'
import { createFileSink, type FileSink } from './events/file-sink.ts'
import type { Keeper, Snapshot } from './keeper/keeper.ts'
import type { Siblings } from './siblings.ts'

export type FileSinkParts = {
  readonly config: Config
  readonly env: Env
  readonly siblings?: Siblings
  readonly onFault: (thrown: unknown, where: string) => void
}

type Told = { readonly keeper: Keeper; readonly bus: Bus }

/** The file sinks. Among siblings one writes them; the others tell it what it does not see itself. */
export function openFileSink({ config, env, siblings, onFault }: FileSinkParts, { keeper, bus }: Told): FileSink {
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
  siblings.hear(({ name }) => {
    // Without the store nobody knows whether the source is there; the sink asks for its token until it has an answer.
    if (name !== null) followSibling(keeper, sink, name).catch(() => sink.catchUp([name]))
  })
  const closing = new AbortController()
  void catchUpAll(keeper, sink, { clock: env.clock, signal: closing.signal })
  return {
    ...sink,
    close: () => {
      closing.abort()
      return sink.close()
    },
  }
}

/** Whether the source is there is asked anew: of two reloads the news of the first may come after the second. */
async function followSibling(keeper: Keeper, sink: FileSink, name: string): Promise<void> {
  if ((await keeper.source(name)) === undefined) sink.remove(name)
  else sink.catchUp([name])
}

/** How long to wait for a store that is away before it is looked through again, in milliseconds. */
const lookAgainMs = 5_000

type Waiting = { readonly clock: Clock; readonly signal: AbortSignal }

/** While no process wrote the files, siblings went on rotating: sources that were added while running, too. */
async function catchUpAll(keeper: Keeper, sink: FileSink, { clock, signal }: Waiting): Promise<void> {
  for (let after: string | undefined; !signal.aborted;) {
    try {
      const page = await keeper.states({ limit: 500, ...(after === undefined ? {} : { after }) })
      sink.catchUp(page.states.map(({ source }) => source.name))
      if (page.next === null) return
      after = page.next
    } catch {
      await clock.sleep(lookAgainMs, signal)
    }
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
