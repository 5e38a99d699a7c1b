/** Puts the keeper together over a store and starts its loop. */
import { setMaxListeners } from 'node:events'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { SingleFlight } from '../base/single-flight.ts'
import type { ParseSource } from '../model/definition.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import { heard } from '../model/heard.ts'
import type { Source } from '../model/source.ts'
import type { Witness } from '../model/suspicion.ts'
import type { EntryStore } from '../stores/store.ts'
import {
  authorizeChild,
  authorizeSource,
  deliverGrant,
  mendSource,
  putSource,
  removeSource,
  replaceSources,
  revokeSource,
} from './change-sources.ts'
import { CompareAndRefresh } from './compare-and-refresh.ts'
import { sourceState, sourceStates } from './describe-sources.ts'
import { FindOwner } from './find-owner.ts'
import { keepBrought } from './keep-brought.ts'
import { KeepFresh } from './keep-fresh.ts'
import type { Audience, Keeper } from './keeper.ts'
import { newestToken } from './newest-token.ts'
import { TokenProbe, type ProbeToken } from './probe-token.ts'
import { isStale, nextToken, readingOf, readToken } from './read-token.ts'
import { lookUp, type IssueToken, type Room } from './room.ts'
import { putBackSpilled } from './put-back-spilled.ts'
import { SourceBook } from './source-book.ts'
import { StoreOutage } from './store-outage.ts'
import { StoreTime } from './store-time.ts'
import { Views, type View } from './views.ts'
import { WatchGrants, type AskForPush } from './watch-grants.ts'
import { WatchUpstreams, type WatchUpstream } from './watch-upstreams.ts'

/** `stop` gives up waiting for attempts in the air after this time, in milliseconds. */
const stopMsMax = 8_500

export type KeeperOptions = {
  readonly env: Env
  readonly store: EntryStore
  /** A name for this process that no other one has or ever had. */
  readonly node: string
  readonly sources: readonly Source[]
  readonly parseSource: ParseSource
  readonly issue: IssueToken
  /** Waits at upstreams that announce; without it they are asked on schedule only. */
  readonly watch?: WatchUpstream
  /** Asks a platform to push a grant again; without it, a push that does not come is told of only. */
  readonly askForPush?: AskForPush
  /** Asks a platform whether a token lives; without it, every report of the current token leads to a refresh. */
  readonly probe?: ProbeToken
  readonly emit: (event: ZhongkongEvent) => void
  /** Absent: nobody watches. */
  readonly audience?: Audience
  /** A background task failed in a way nobody foresaw. */
  readonly onFault: (thrown: unknown) => void
}

/** Opens a keeper: looks at the store once (and throws what it throws), then runs until `stop`. The store stays the caller's. */
export async function openKeeper(options: KeeperOptions): Promise<Keeper> {
  const stopping = new AbortController()
  // Everybody who waits for a token listens to it, and Node takes more than ten for a leak.
  setMaxListeners(0, stopping.signal)
  const tasks = new Set<Promise<void>>()
  const background = (task: Promise<void>): void => {
    const kept = task.catch(options.onFault).finally(() => tasks.delete(kept))
    tasks.add(kept)
  }
  const emit: Room['emit'] = (event) => {
    options.emit(event)
    if (event.type === 'attempted' && event.outcome === 'rejected') grants.heed(event.name)
  }
  const room = roomOf({ ...options, emit }, background, stopping.signal)
  const grants = new WatchGrants(room, options.askForPush ?? (() => Promise.resolve(undefined)))
  const fresh = new KeepFresh(room, async ({ name, token }) => {
    // The upstream refused the token a source was asked with: the same as a report by a caller. Whether it could be
    // refreshed is seen when the source that needs it looks again.
    await refresh.refresh(name, { stale: token, witness: keeperItself }).catch(() => undefined)
    fresh.poke(name)
  })
  const probe = new TokenProbe(room, options.probe ?? (() => Promise.resolve(undefined)))
  const refresh = new CompareAndRefresh(room, fresh, probe)
  await fresh.open()
  await putBackSpilled(room, (name) => fresh.poke(name))
  background(fresh.run())
  background(grants.run())
  if (options.watch !== undefined) background(new WatchUpstreams(room, fresh, options.watch).run())
  const stop = async (): Promise<void> => {
    stopping.abort()
    const over = new AbortController()
    const landed = fresh.land().then(() => Promise.allSettled(tasks))
    await Promise.race([landed, room.env.clock.sleep(stopMsMax, over.signal)])
    over.abort()
  }
  return { ...reads(room, fresh), ...changes(room, fresh, refresh), isReady: () => isReady(room, fresh), stop }
}

function roomOf(options: KeeperOptions, background: Room['background'], stopping: AbortSignal): Room {
  const { env, node, issue, emit } = options
  const outage = new StoreOutage({ clock: env.clock, emit, stopping })
  const store = outage.watched(options.store)
  const time = new StoreTime(env.clock, store)
  const audience = options.audience ?? nobody
  return {
    env,
    node,
    store,
    outage,
    spill: options.store.spill ?? null,
    time,
    book: new SourceBook(options.parseSource, options.sources),
    views: new Views(time, ({ source, entry }, before) => {
      if (!audience.wants(source.name)) return
      const told = { at: env.clock.now(), now: time.now(), toWall: (at: number) => time.toWall(at) }
      for (const event of heard(source.name, { before, after: entry }, told)) audience.hear(event)
    }),
    issue,
    reads: new SingleFlight(),
    emit,
    audience,
    background,
    stopping,
  }
}

const nobody: Audience = { wants: () => false, hear: () => undefined, miss: () => undefined }

const keeperItself: Witness = { kind: 'input', client: null }

/** A sweep may come late; a silence longer than this means that the store does not answer, in milliseconds. */
const readyMsMax = 30_000

/** A node that remembers good tokens is of use while the store is away; one that may serve dead ones is not. */
function isReady(room: Room, fresh: KeepFresh): boolean {
  if (!fresh.isReady) return false
  if (room.time.silentMs() < readyMsMax) return true
  const readings = [...room.views.names()].map((name) => readingOf(room, room.views.get(name)))
  const served = readings.filter((reading) => reading !== null)
  return served.length > 0 && served.every(({ stale }) => !stale)
}

type Changes = Pick<
  Keeper,
  'refresh' | 'hint' | 'put' | 'deliver' | 'authorize' | 'mend' | 'revoke' | 'remove' | 'replaceSources'
>

function changes(room: Room, fresh: KeepFresh, refresh: CompareAndRefresh): Changes {
  return {
    refresh: (name, asked = {}) => {
      if (room.stopping.aborted) return Promise.reject(new ZhongkongError('closed', 'this node is stopping'))
      return refresh.refresh(name, asked)
    },
    hint: (name, version, witness) => refresh.hint(name, version, witness),
    put: async (name, definition) => {
      const answer = await putSource(room, name, definition)
      fresh.poke(name)
      return answer
    },
    deliver: async (name, given) => {
      const isNew = await deliverGrant(room, name, given)
      if (isNew) fresh.poke(name)
      return isNew
    },
    authorize: (name, brought, definition) =>
      keepBrought(room, { name, definition }, brought, async (kept) => {
        if (definition === undefined) await authorizeSource(room, name, kept)
        else await authorizeChild(room, name, definition, kept)
        fresh.poke(name)
      }),
    // Nobody is poked: there may be a million of them, which the next sweeps take up as fast as they can be asked.
    mend: (name, definition, told) => mendSource(room, name, definition, told),
    revoke: (name, at = null) => revokeSource(room, name, at),
    remove: (name) => removeSource(room, name),
    replaceSources: (sources) => replaceSources(room, fresh, sources),
  }
}

function reads(room: Room, fresh: KeepFresh): Omit<Keeper, keyof Changes | 'isReady' | 'stop'> {
  const { time, views, book } = room
  const owners = new FindOwner(room)
  const inFile = (holds: (source: Source) => boolean): Promise<Source[]> =>
    Promise.resolve([...book.fileSources.values()].filter(holds))
  return {
    peek: (name) => {
      if (!time.isTrusted()) return undefined
      const view = views.read(name)
      return view?.snapshot != null && view.until > time.now() ? view.snapshot : undefined
    },
    leftMs: (snapshot) => views.leftMs(snapshot),
    isStale: (snapshot) => isStale(room, snapshot),
    get: (name, options = {}) => readToken(room, fresh, name, options),
    next: (name, version, waitMs, signal) =>
      nextToken(room, fresh, name, { version, waitMs, ...(signal === undefined ? {} : { signal }) }),
    ownerOf: (token) => ownerIn(views, token, views.ownerOf(token)),
    findOwner: async (token) => ownerIn(views, token, await owners.find(token)),
    newest: (name) => newestToken(room, name),
    byAccount: (account) => inFile((source) => source.credential?.account === account),
    dependents: (name) => inFile((source) => source.needs.includes(name)),
    source: async (name) => book.fileSources.get(name) ?? (await lookUp(room, name))?.source,
    state: (name) => sourceState(room, name),
    states: (query) => sourceStates(room, query),
  }
}

function ownerIn(views: Views, token: string, view: View | undefined): ReturnType<Keeper['ownerOf']> {
  if (view === undefined) return undefined
  return { source: view.source, snapshot: view.snapshot ?? undefined, leftMs: views.leftMsOf(token, view) }
}
