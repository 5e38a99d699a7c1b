/**
 * What watchers are told, in one order: what this node did, and what it saw other nodes do. The last few thousand are
 * remembered, so that whoever was cut off goes on where it was. Nothing is told twice: what this node did and then sees
 * in the store as well is known here by what it says.
 */
import type { Env } from '../base/env.ts'
import type { EventType, KeeperEvent, ZhongkongEvent } from '../model/event.ts'
import type { Bus } from './bus.ts'

/** An event and its number; numbers rise by one. */
export type Told = { readonly seq: number; readonly event: ZhongkongEvent }

export type FeedListener = {
  tell(told: Told): void
  /** Something may never be told: look at everything again. */
  miss(): void
}

export type Feed = {
  /** This life of this process; numbers of another one mean nothing here. */
  readonly run: string
  /** The number of the last event; 0 before the first. */
  last(): number
  /** What was told after that number; null where that is not remembered any more, or was never. */
  since(seq: number): readonly Told[] | null
  on(listener: FeedListener): () => void
  /** From now on somebody wants to hear of these names, until the answer is called. */
  want(matches: (name: string) => boolean): () => void
  /** The keeper's side: who is wanted, and what was seen in the store. */
  wants(name: string): boolean
  hear(event: KeeperEvent): void
  miss(): void
}

/** Events remembered: half a minute of what a million sources do, in a few megabytes. */
const rememberedMax = 8_192
/** Sources of which is known what was told last. */
const knownMax = 20_000
/** Told by the node that did it, over and over; of no use to a watcher who comes later. */
const passing: readonly EventType[] = ['attempted']

/** What was last told of a source: its version, its early deaths (-1: that they are over), and whether it failed or is gone. */
type Known = { readonly version: number; readonly deaths: number; readonly word: string }

const nothing: Known = { version: 0, deaths: 0, word: '' }

export type FeedOptions = {
  readonly bus: Bus
  readonly env: Env
  /** Hears of listeners that throw. */
  readonly onFault: (thrown: unknown) => void
}

export function createFeed({ bus, env, onFault }: FeedOptions): Feed & { close(): void } {
  const listeners = new Set<FeedListener>()
  const wanted = new Set<(name: string) => boolean>()
  const known = new Map<string, Known>()
  const remembered: Told[] = []
  let last = 0
  /** The number of the last event that is not remembered. */
  let forgotten = 0

  const take = (event: ZhongkongEvent): void => {
    if (passing.includes(event.type) || isKnown(known, event)) return
    last += 1
    const told = { seq: last, event }
    remembered.push(told)
    // Dropping a share at a time keeps the cost of each event the same.
    if (remembered.length > rememberedMax * 1.25) {
      forgotten = remembered.splice(0, remembered.length - rememberedMax).at(-1)?.seq ?? forgotten
    }
    for (const listener of [...listeners]) listener.tell(told)
  }
  const close = bus.on(take)
  return {
    run: Buffer.from(env.random.bytes(6)).toString('base64url'),
    last: () => last,
    since: (seq) => {
      if (!(seq >= forgotten && seq <= last)) return null
      return seq === last ? [] : remembered.slice(seq - forgotten)
    },
    on: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    want: (matches) => {
      wanted.add(matches)
      return () => wanted.delete(matches)
    },
    wants: (name) => {
      for (const matches of wanted) if (matches(name)) return true
      return false
    },
    // This node tells what it did in the same tick in which it sees it, and with a better reason: that comes first.
    hear: (event) => void Promise.resolve(event).then(take).catch(onFault),
    miss: () => {
      // Nobody may go on from before that.
      forgotten = last += 1
      remembered.length = 0
      for (const listener of [...listeners]) listener.miss()
    },
    close,
  }
}

/** Whether watchers have been told this already; takes note of it otherwise. */
function isKnown(known: Map<string, Known>, event: ZhongkongEvent): boolean {
  if (!('name' in event)) return false
  const before = known.get(event.name) ?? nothing
  const after = noted(before, event)
  if (after === null) return true
  if (after === before) return false
  known.delete(event.name)
  known.set(event.name, after)
  if (known.size > knownMax) {
    for (const oldest of known.keys()) {
      known.delete(oldest)
      break
    }
  }
  return false
}

/** What is known of a source after an event: null where it says nothing new. */
function noted(before: Known, event: ZhongkongEvent): Known | null {
  const { type } = event
  if (type === 'rotated') {
    if (event.version === before.version) return null
    return { ...before, version: event.version, word: before.word === 'removed' ? '' : before.word }
  }
  if (type === 'failing' || type === 'recovered') {
    const word = type === 'failing' ? `failing ${event.class}` : type
    return word === before.word ? null : { ...before, word }
  }
  if (type === 'conflict') return event.deaths === before.deaths ? null : { ...before, deaths: event.deaths }
  if (type === 'conflict-over') return before.deaths === -1 ? null : { ...before, deaths: -1 }
  if (type === 'removed') return before.word === 'removed' ? null : { ...nothing, word: 'removed' }
  return type === 'added' ? nothing : before
}
