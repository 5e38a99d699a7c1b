/** Puts the keeper together over a store and starts its loop. */
import { setMaxListeners } from 'node:events'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { SingleFlight } from '../base/single-flight.ts'
import type { ParseSource } from '../model/definition.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import type { Source } from '../model/source.ts'
import type { EntryStore } from '../stores/store.ts'
import { putSource, removeSource, sourceState, sourceStates } from './change-sources.ts'
import { CompareAndRefresh } from './compare-and-refresh.ts'
import { KeepFresh } from './keep-fresh.ts'
import type { Keeper } from './keeper.ts'
import { isStale, nextToken, readToken } from './read-token.ts'
import { lookUp, tell, type IssueToken, type Room } from './room.ts'
import { SourceBook } from './source-book.ts'
import { StoreTime } from './store-time.ts'
import { Views } from './views.ts'

/** `stop` gives up waiting for attempts in the air after this time, in milliseconds. */
const stopMsMax = 9_000

export type KeeperOptions = {
  readonly env: Env
  readonly store: EntryStore
  /** A name for this process that no other one has or ever had. */
  readonly node: string
  readonly sources: readonly Source[]
  readonly parseSource: ParseSource
  readonly issue: IssueToken
  readonly emit: (event: ZhongkongEvent) => void
  /** A background task failed in a way nobody foresaw. */
  readonly onFault: (thrown: unknown) => void
}

/** Opens a keeper: looks at the store once (and throws what it throws), then runs until `stop`. The store stays the caller's. */
export async function openKeeper(options: KeeperOptions): Promise<Keeper> {
  const { env, store } = options
  const stopping = new AbortController()
  // Everybody who waits for a token listens to it, and Node takes more than ten for a leak.
  setMaxListeners(0, stopping.signal)
  const tasks = new Set<Promise<void>>()
  const background = (task: Promise<void>): void => {
    const kept = task.catch(options.onFault).finally(() => tasks.delete(kept))
    tasks.add(kept)
  }
  const time = new StoreTime(env.clock, store)
  const views = new Views(time)
  const room: Room = {
    env,
    node: options.node,
    store,
    time,
    book: new SourceBook(options.parseSource, options.sources),
    views,
    issue: options.issue,
    reads: new SingleFlight(),
    emit: options.emit,
    background,
    stopping: stopping.signal,
  }
  const fresh = new KeepFresh(room, async ({ name, token }) => {
    // The upstream refused the token a source was asked with: the same as a report by a caller. Whether it could be
    // refreshed is seen when the source that needs it looks again.
    await refresh.refresh(name, { stale: token }).catch(() => undefined)
    fresh.poke(name)
  })
  const refresh = new CompareAndRefresh(room, fresh)
  await fresh.open()
  background(fresh.run())

  return {
    peek: (name) => {
      if (!time.isTrusted()) return undefined
      const view = views.read(name)
      return view?.snapshot != null && view.until > time.now() ? view.snapshot : undefined
    },
    leftMs: (snapshot) => views.leftMs(snapshot),
    isStale: (snapshot) => isStale(room, snapshot),
    get: (name, get = {}) => readToken(room, fresh, name, get),
    next: (name, version, waitMs, signal) =>
      nextToken(room, fresh, name, { version, waitMs, ...(signal === undefined ? {} : { signal }) }),
    refresh: (name, asked = {}) => {
      if (stopping.signal.aborted) return Promise.reject(new ZhongkongError('closed', 'this node is stopping'))
      return refresh.refresh(name, asked)
    },
    ownerOf: (token) => {
      const view = views.ownerOf(token)
      return view === undefined ? undefined : { source: view.source, snapshot: view.snapshot ?? undefined }
    },
    byAccount: (account) =>
      Promise.resolve([...room.book.fileSources.values()].filter((source) => source.credential?.account === account)),
    dependents: (name) =>
      Promise.resolve([...room.book.fileSources.values()].filter((source) => source.needs.includes(name))),
    source: async (name) => room.book.fileSources.get(name) ?? (await lookUp(room, name))?.source,
    state: (name) => sourceState(room, name),
    states: (query) => sourceStates(room, query),
    put: async (name, definition) => {
      const answer = await putSource(room, options.parseSource, name, definition)
      fresh.poke(name)
      return answer
    },
    remove: (name) => removeSource(room, name),
    replaceSources: (sources) => replaceSources(room, fresh, sources),
    isReady: () => fresh.isReady && time.silentMs() < 30_000,
    stop: async () => {
      stopping.abort()
      const over = new AbortController()
      const landed = fresh.land().then(() => Promise.allSettled(tasks))
      await Promise.race([landed, env.clock.sleep(stopMsMax, over.signal)])
      over.abort()
    },
  }
}

/** Swaps the sources of the configuration file, whole, and takes up what is new or different. */
async function replaceSources(room: Room, fresh: KeepFresh, sources: readonly Source[]): Promise<void> {
  const before = room.book.fileSources
  room.book.replace(sources)
  const names = new Set(sources.map(({ name }) => name))
  for (const name of before.keys()) {
    if (names.has(name)) continue
    room.views.forget(name)
    tell(room, 'removed', name, {})
  }
  const touched = sources.filter((source) => before.get(source.name)?.generation !== source.generation)
  for (const source of touched) tell(room, before.has(source.name) ? 'changed' : 'added', source.name, {})
  // Views hold their source: those of changed definitions are read again, so that nobody is served under the old one.
  for (const { name } of touched) room.views.forget(name)
  await fresh.adopt(touched.map(({ name }) => name))
  for (const { name } of touched) fresh.poke(name)
}
