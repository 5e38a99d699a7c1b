/**
 * Those who listen to `/v1/events`, thousands at a time. A fact is judged once for all who have the same rights and ask
 * for the same names (a *circle*), written once, and handed to each of them as the same bytes.
 *
 * Nobody is waited for: what a watcher does not take in time is kept for it up to a limit, and beyond that it is cut off,
 * to come back and be told what it missed. A circle stays for a while after its last watcher, so that what happens
 * meanwhile is heard of and remembered; who comes back to one that is gone begins anew, and is told so.
 */
import type { Client } from '../access/access.ts'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Language } from '../base/text.ts'
import { compileGlobs, type Matcher } from '../model/glob.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import type { StreamReset, StreamStart } from '../wire/v1.ts'
import { block, createBlocks, isForReaders } from './event-text.ts'
import { createOutlet } from './outlet.ts'

/** An event and its number, which rises by one. */
export type Told = { readonly seq: number; readonly event: ZhongkongEvent }

/** What watchers are told, and the last of what they were told; the events room has one. */
export type Feed = {
  /** This life of this process; numbers of another one mean nothing here. */
  readonly run: string
  last(): number
  /** What was told after that number; null where that is not known any more. */
  since(seq: number): readonly Told[] | null
  /** `miss`: something may never be told. The answer unsubscribes. */
  on(listener: { tell(told: Told): void; miss(): void }): () => void
  /** From now on somebody wants to hear of these names, until the answer is called. */
  want(matches: (name: string) => boolean): () => void
}

/** Who wants to watch what. */
export type Watch = {
  readonly client: Client
  /** Globs; none is everything that the client may read. */
  readonly names: readonly string[]
  readonly language: Language
  readonly lastEventId: string | null
  /** The client as it is now; null when it may not watch any more. */
  readonly readmit: () => Client | null
  /** Breaks the connection, with whatever is still on its way to somebody who does not take it. */
  readonly hangUp: (() => void) | undefined
}

export type Watchers = {
  /** A stream for one more. Throws `closed` and `overloaded`. */
  open(watch: Watch): ReadableStream<Uint8Array>
  /** Rights have changed: everybody is looked at again. */
  readmitAll(): void
  /** Ends all streams, and lets nobody in any more. */
  close(): void
}

export type WatchersOptions = {
  readonly feed: Feed
  readonly env: Env
  /** The version of a source that this node holds in memory. */
  readonly versionOf: (name: string) => number | undefined
  /** Hears how many there are. */
  readonly count: (watchers: number) => void
}

/** Streams at a time, of all and of one client: some of the connections are kept for requests, and some for the others. */
const watchersMax = 12_000
const ofOneClientMax = 8_000
/** Something is sent at least this often, in seconds: proxies end what is silent for a minute, some for half of one. */
const heartbeatSeconds = 15
/** Whoever missed more than this is better off looking at what is there now. */
const missedMax = 1_000
/** How long a circle stays after its last watcher, in milliseconds. */
const lingerMs = 120_000
/** Circles that stay without anybody. */
const lingeringMax = 1_000
const lookMs = 1_000

type Watcher = {
  readonly watch: Watch
  circle: Circle
  /** When something was last sent, monotonic. */
  sentAt: number
  readonly send: (bytes: Uint8Array) => void
  readonly end: () => void
}

type Circle = {
  readonly key: string
  readonly client: Client
  readonly names: readonly string[]
  readonly language: Language
  readonly hears: (event: ZhongkongEvent) => boolean
  readonly unwant: () => void
  readonly watchers: Set<Watcher>
  /** What happened after this number was heard of for its names. */
  readonly from: number
  /** Since when nobody is in it, monotonic. */
  emptySince: number
}

export function createWatchers(options: WatchersOptions): Watchers {
  const crowd = new Crowd(options)
  return {
    open: (watch) => crowd.open(watch),
    readmitAll: () => crowd.readmitAll(),
    close: () => crowd.close(),
  }
}

const encoder = new TextEncoder()

class Crowd {
  readonly #options: WatchersOptions
  #circles = new Map<string, Circle>()
  readonly #ofClient = new Map<string, number>()
  readonly #blockOf = createBlocks((seq) => this.#id(seq))
  #size = 0
  #isClosed = false
  #stopListening: (() => void) | null = null
  #beating: AbortController | null = null

  constructor(options: WatchersOptions) {
    this.#options = options
  }

  open(watch: Watch): ReadableStream<Uint8Array> {
    if (this.#isClosed) throw new ZhongkongError('closed', 'this node is stopping')
    const ofClient = this.#ofClient.get(watch.client.name) ?? 0
    if (this.#size >= watchersMax || ofClient >= ofOneClientMax) {
      const retryAfterSeconds = Math.ceil(5 + 25 * this.#options.env.random.next())
      throw new ZhongkongError('overloaded', 'too many streams of events are open', { retryAfterSeconds })
    }
    this.#listen()
    const isKnown = this.#circles.has(keyOf(watch.client, watch))
    const circle = this.#circleOf(watch.client, watch)
    const { stream, watcher } = this.#watcherOf(watch, circle)
    this.#enter(watcher, circle)
    this.#size += 1
    this.#ofClient.set(watch.client.name, ofClient + 1)
    this.#greet(watcher, isKnown)
    this.#options.count(this.#size)
    this.#beat()
    return stream
  }

  readmitAll(): void {
    const before = this.#circles
    this.#circles = new Map()
    for (const { watchers } of before.values()) {
      for (const watcher of watchers) {
        const client = watcher.watch.readmit()
        if (client === null) this.#end(watcher)
        else this.#enter(watcher, this.#circleOf(client, watcher.watch))
      }
    }
    // Nothing is unwanted for a moment: the new circles came first.
    for (const { unwant } of before.values()) unwant()
  }

  close(): void {
    this.#isClosed = true
    for (const { watchers } of this.#circles.values()) {
      for (const watcher of [...watchers]) {
        // They all come back to somebody else; not all at once.
        watcher.send(encoder.encode(`retry: ${Math.round(500 + 4_500 * this.#options.env.random.next())}\n\n`))
        this.#end(watcher)
      }
    }
    for (const { unwant } of this.#circles.values()) unwant()
    this.#circles.clear()
    this.#stopListening?.()
    this.#beating?.abort('closed')
  }

  #listen(): void {
    this.#stopListening ??= this.#options.feed.on({
      tell: (told) => this.#tell(told),
      miss: () => {
        for (const { watchers } of this.#circles.values()) {
          for (const watcher of watchers) watcher.send(encoder.encode(this.#reset(watcher, 'store')))
        }
      },
    })
  }

  #tell(told: Told): void {
    const written = new Map<Language, Uint8Array>()
    for (const circle of this.#circles.values()) {
      if (circle.watchers.size === 0 || !circle.hears(told.event)) continue
      const bytes = written.get(circle.language) ?? encoder.encode(this.#blockOf(told, circle.language))
      written.set(circle.language, bytes)
      for (const watcher of circle.watchers) watcher.send(bytes)
    }
  }

  #id(seq: number): string {
    return `${this.#options.feed.run}-${seq}`
  }

  /** The beginning of a stream: what is there, and what happened since the last one ended, or that nobody knows that. */
  #greet(watcher: Watcher, isKnown: boolean): void {
    const { feed, env } = this.#options
    const retry = `retry: ${Math.round(1_000 + 2_000 * env.random.next())}\n`
    const { lastEventId } = watcher.watch
    const [run, seq] = splitId(lastEventId)
    const since = run === feed.run && isKnown && seq >= watcher.circle.from ? feed.since(seq) : null
    const missed = (since ?? []).filter(({ event }) => watcher.circle.hears(event))
    if (lastEventId !== null && (since === null || missed.length > missedMax)) {
      const reason = run === feed.run ? 'too-old' : 'unknown-id'
      watcher.send(encoder.encode(retry + this.#reset(watcher, reason)))
      return
    }
    const { language } = watcher.circle
    const hello = block({
      id: this.#id(lastEventId === null ? feed.last() : seq),
      event: 'hello',
      data: this.#start(watcher),
    })
    const blocks = missed.map((told) => this.#blockOf(told, language))
    watcher.send(encoder.encode([retry, hello, ...blocks].join('')))
  }

  #reset(watcher: Watcher, reason: StreamReset['reason']): string {
    const data: StreamReset = { ...this.#start(watcher), reason }
    return block({ id: this.#id(this.#options.feed.last()), event: 'reset', data })
  }

  #start({ circle: { names, client } }: Watcher): StreamStart {
    const versions: Record<string, number> = {}
    for (const name of names) {
      const version = name.includes('*') || !client.may('read', name) ? undefined : this.#options.versionOf(name)
      if (version !== undefined) versions[name] = version
    }
    return { heartbeat: heartbeatSeconds, versions }
  }

  #circleOf(client: Client, { names, language }: Watch): Circle {
    const key = keyOf(client, { names, language })
    const known = this.#circles.get(key)
    if (known !== undefined) return known
    const matches: Matcher = names.length === 0 ? () => true : compileGlobs(names)
    const mayHear = (name: string): boolean => matches(name) && client.may('read', name)
    const circle: Circle = {
      key,
      client,
      names,
      language,
      hears: (event) => {
        if (!client.isAdmin && !isForReaders(event)) return false
        return 'name' in event ? mayHear(event.name) : names.length === 0
      },
      unwant: this.#options.feed.want(mayHear),
      watchers: new Set(),
      from: this.#options.feed.last(),
      emptySince: this.#options.env.clock.monotonic(),
    }
    this.#circles.set(key, circle)
    return circle
  }

  #enter(watcher: Watcher, circle: Circle): void {
    watcher.circle = circle
    circle.watchers.add(watcher)
  }

  #watcherOf(watch: Watch, circle: Circle): { stream: ReadableStream<Uint8Array>; watcher: Watcher } {
    const { clock } = this.#options.env
    const outlet = createOutlet({ onGone: () => this.#forget(watcher), onSlow: () => this.#cut(watcher) })
    const watcher: Watcher = {
      watch,
      circle,
      sentAt: clock.monotonic(),
      send: (bytes) => {
        watcher.sentAt = clock.monotonic()
        outlet.send(bytes)
      },
      end: outlet.end,
    }
    return { stream: outlet.stream, watcher }
  }

  #cut(watcher: Watcher): void {
    this.#end(watcher)
    watcher.watch.hangUp?.()
  }

  #end(watcher: Watcher): void {
    this.#forget(watcher)
    watcher.end()
  }

  #forget(watcher: Watcher): void {
    const { circle, watch } = watcher
    if (!circle.watchers.delete(watcher)) return
    if (circle.watchers.size === 0) circle.emptySince = this.#options.env.clock.monotonic()
    this.#size -= 1
    const ofClient = (this.#ofClient.get(watch.client.name) ?? 1) - 1
    if (ofClient === 0) this.#ofClient.delete(watch.client.name)
    else this.#ofClient.set(watch.client.name, ofClient)
    this.#options.count(this.#size)
  }

  /** Runs while there is a circle. */
  #beat(): void {
    if (this.#beating !== null) return
    const beating = new AbortController()
    this.#beating = beating
    const run = async (): Promise<void> => {
      const { clock } = this.#options.env
      while (this.#circles.size > 0 && !beating.signal.aborted) {
        await clock.sleep(lookMs, beating.signal)
        this.#look(clock.monotonic())
      }
      this.#beating = null
    }
    void run()
  }

  /** Sends something to those who heard nothing for long: the number up to which there was nothing for them. */
  #look(now: number): void {
    const bytes = encoder.encode(block({ id: this.#id(this.#options.feed.last()) }))
    const empty: Circle[] = []
    for (const circle of this.#circles.values()) {
      if (circle.watchers.size === 0) empty.push(circle)
      for (const watcher of circle.watchers) {
        if (now - watcher.sentAt >= heartbeatSeconds * 1_000) watcher.send(bytes)
      }
    }
    const surplus = empty.length - lingeringMax
    for (const [at, circle] of empty.sort((left, right) => left.emptySince - right.emptySince).entries()) {
      if (at >= surplus && now - circle.emptySince < lingerMs) break
      circle.unwant()
      this.#circles.delete(circle.key)
    }
  }
}

function keyOf(client: Client, { names, language }: Pick<Watch, 'names' | 'language'>): string {
  return JSON.stringify([client.name, language, names])
}

function splitId(id: string | null): readonly [string, number] {
  const match = /^([A-Za-z0-9_-]{1,32})-(\d{1,15})$/.exec(id ?? '')
  return [match?.[1] ?? '', Number(match?.[2] ?? NaN)]
}
