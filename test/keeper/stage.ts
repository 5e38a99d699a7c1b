/**
 * The real keeper on a stage: a store that can be cut off, an upstream that does as it is told, and time that moves when
 * the test says so. Several nodes may share the store.
 */
import type { Env } from '../../src/base/env.ts'
import { ZhongkongError } from '../../src/base/errors.ts'
import type { Json } from '../../src/base/json.ts'
import type { Keeper } from '../../src/keeper/keeper.ts'
import { openKeeper } from '../../src/keeper/open-keeper.ts'
import type { ProbeToken } from '../../src/keeper/probe-token.ts'
import type { AskForPush } from '../../src/keeper/watch-grants.ts'
import type { ParseSource } from '../../src/model/definition.ts'
import type { Entry } from '../../src/model/entry.ts'
import type { EventType, ZhongkongEvent } from '../../src/model/event.ts'
import type { Attempt } from '../../src/model/failure.ts'
import type { Source } from '../../src/model/source.ts'
import type { Call } from '../../src/providers/provider.ts'
import { keyringFrom } from '../../src/stores/keyring.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { sealed } from '../../src/stores/sealed.ts'
import { announced } from '../../src/stores/announced.ts'
import type { Change, EntryStore, ScanQuery, Spill, Spilled, Store, StoredRecord } from '../../src/stores/store.ts'
import { sampleSource } from '../model/samples.ts'
import { VirtualClock } from './virtual-clock.ts'

export const hour = 3_600_000

/** One request that reached the upstream. */
export type Asked = {
  readonly name: string
  readonly at: number
  readonly force: boolean
  readonly account: string
  /** The tokens it was asked with, by source. */
  readonly inputs: Readonly<Record<string, string>>
}

export type Answer = (asked: Asked, call: Call) => Attempt | Promise<Attempt>

/** An upstream that issues `NAME-1`, `NAME-2`, … unless it was told to do something else. */
export class Upstream {
  readonly asked: Asked[] = []
  latencyMs = 100
  lifetimeMs = 2 * hour
  readonly #clock: VirtualClock
  readonly #answers = new Map<string, Answer>()
  readonly #counts = new Map<string, number>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  /** From now on, asking for `name` does this. */
  does(name: string, answer: Answer): void {
    this.#answers.set(name, answer)
  }

  /** From now on, asking for `name` issues again. */
  recovers(name: string): void {
    this.#answers.delete(name)
  }

  count(name = 'weixin'): number {
    return this.asked.filter((each) => each.name === name).length
  }

  issued(name: string): Attempt {
    const count = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, count)
    const value = `${name}-${count}`
    return { outcome: 'issued', issued: { value, lifetimeMs: this.lifetimeMs, fields: { access_token: value } } }
  }

  /** Times at which it was asked to push, and what it says to that. */
  readonly asksForPush: number[] = []
  pushAnswer: Awaited<ReturnType<AskForPush>> = null

  push(source: Source): ReturnType<AskForPush> {
    if (source.semantics.grant?.pushedEveryMs !== undefined) this.asksForPush.push(this.#clock.now())
    return Promise.resolve(this.pushAnswer)
  }

  /** The tokens it was asked about, and when; what it says to that. */
  readonly probed: { readonly token: string; readonly at: number }[] = []
  says: (token: string) => ReturnType<ProbeToken> = () => Promise.resolve('alive')

  async probe(token: string): ReturnType<ProbeToken> {
    this.probed.push({ token, at: this.#clock.now() })
    await this.#clock.time.wait(this.latencyMs)
    return await this.says(token)
  }

  async issue(source: Source, call: Call): Promise<Attempt> {
    const inputs = Object.fromEntries([...call.inputs].map(([name, input]) => [name, input.token]))
    const asked = { name: source.name, at: this.#clock.now(), force: call.force, account: source.identity, inputs }
    this.asked.push(asked)
    await this.#clock.time.wait(this.latencyMs)
    return await (this.#answers.get(source.name) ?? ((each: Asked) => this.issued(each.name)))(asked, call)
  }
}

export const busy: Attempt = {
  outcome: 'rejected',
  class: 'transient',
  failure: { code: 'upstream_busy', message: 'system busy', upstream: { errcode: -1, errmsg: 'system busy' } },
}

export const notAllowed: Attempt = {
  outcome: 'rejected',
  class: 'permission',
  failure: { code: 'upstream_rejected', message: 'not in the allow-list', upstream: { errcode: 40164, errmsg: 'ip' } },
}

export const noAnswer: Attempt = {
  outcome: 'unknown',
  failure: { code: 'upstream_reset', message: 'connection reset' },
}

/** Never answers, whatever signal it is given. */
export function hang(): Promise<never> {
  return new Promise(() => undefined)
}

type Scanned = Awaited<ReturnType<Store['scan']>>
type Changed = Awaited<ReturnType<Store['changes']>>

/** A store whose rows can be deleted behind everybody's back: their revisions begin anew. */
class Table implements Store {
  readonly kind = 'memory'
  readonly #store: Store
  readonly #deletedAt = new Map<string, number>()

  constructor(store: Store) {
    this.#store = store
  }

  async deleteRow(name: string): Promise<void> {
    const { revision } = await this.#store.read(name)
    const removed = await this.#store.write(name, { body: null, dueAt: 0 }, revision)
    if (removed === null) throw new Error('the row changed meanwhile')
    this.#deletedAt.set(name, removed)
  }

  async read(name: string): Promise<StoredRecord> {
    return this.#renumbered(name, await this.#store.read(name))
  }

  async write(name: string, change: Change, ifRevision: number): Promise<number | null> {
    const before = this.#deletedAt.get(name) ?? 0
    const revision = await this.#store.write(name, change, ifRevision + before)
    return revision === null ? null : revision - before
  }

  async scan(query: ScanQuery): Promise<Scanned> {
    const page = await this.#store.scan(query)
    return { ...page, records: page.records.map((each) => this.#renumbered(each.name, each)) }
  }

  async changes(since: string | null, limit: number): Promise<Changed> {
    const changes = await this.#store.changes(since, limit)
    return { ...changes, changed: changes.changed.map((each) => this.#renumbered(each.name, each)) }
  }

  watch(onChange: () => void): () => void {
    return this.#store.watch(onChange)
  }

  async now(): Promise<number> {
    return await this.#store.now()
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  #renumbered<R extends { readonly revision: number }>(name: string, record: R): R {
    return { ...record, revision: record.revision - (this.#deletedAt.get(name) ?? 0) }
  }
}

/** One node's wire to the store, which can be cut. */
class Wire implements Store {
  readonly kind = 'memory'
  isCut = false
  /** Nothing is heard of changes by others. */
  isDeaf = false
  /** Reads go through, and writes do not. */
  isReadOnly = false
  /** Cut for good when this many more calls have been made. */
  callsLeft = Infinity
  /** What happens between a read and its answer. */
  afterRead: (name: string) => Promise<void> = () => Promise.resolve()
  /** How far the node's clock has fallen behind the store's, in milliseconds. */
  behindMs = 0
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  async read(name: string): Promise<StoredRecord> {
    const record = await this.#through().read(name)
    await this.afterRead(name)
    return record
  }

  async write(name: string, change: Change, ifRevision: number): Promise<number | null> {
    if (this.isReadOnly) throw new ZhongkongError('store_full', 'the disk is full')
    return await this.#through().write(name, change, ifRevision)
  }

  async scan(query: ScanQuery): Promise<Scanned> {
    return await this.#through().scan(query)
  }

  async changes(since: string | null, limit: number): Promise<Changed> {
    return await this.#through().changes(since, limit)
  }

  watch(onChange: () => void): () => void {
    return this.#store.watch(() => {
      if (!this.isDeaf) onChange()
    })
  }

  async now(): Promise<number> {
    return (await this.#through().now()) + this.behindMs
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  #through(): Store {
    this.callsLeft -= 1
    if (this.callsLeft < 0) this.isCut = true
    if (this.isCut) throw new ZhongkongError('store_unavailable', 'the wire is cut')
    return this.#store
  }
}

/** Definitions of sources added while running: `{ provider: 'sample', account, needs }`. */
export const parseSample: ParseSource = (name, definition, origin) => {
  if (definition.provider !== 'sample') {
    const message = { en: 'there is no such provider', zh: '没有这个 provider' }
    return { ok: false, issues: [{ path: ['provider'], message, fix: null }] }
  }
  const needs = Array.isArray(definition.needs) ? definition.needs.filter((each: Json) => typeof each === 'string') : []
  const account = typeof definition.account === 'string' ? definition.account : 'wx1'
  const identity = `sample:${account}`
  const missing = { code: 'x', message: 'nobody has authorised it' }
  const pushed = typeof definition.pushed === 'number' ? { pushedEveryMs: definition.pushed } : {}
  const grant = { rotates: 'may', graceMs: 0, missing, ...pushed } as const
  const source = sampleSource({
    name,
    identity,
    needs,
    generation: JSON.stringify(definition),
    ...(definition.grant === true ? { reissue: 'independent', semantics: { grant } } : {}),
  })
  return { ok: true, source: { ...source, definition, origin } }
}

export type Node = {
  readonly name: string
  readonly keeper: Keeper
  readonly wire: Wire
  readonly events: ZhongkongEvent[]
}

/** A place beside the store, which may fail too. */
export class Ledge implements Spill {
  isBroken = false
  readonly kept = new Map<string, Spilled>()

  async save(name: string, spilled: Spilled): Promise<void> {
    if (this.isBroken) throw new Error('the other disk is full as well')
    this.kept.set(name, spilled)
    await Promise.resolve()
  }

  async drop(name: string): Promise<void> {
    this.kept.delete(name)
    await Promise.resolve()
  }

  async left(): Promise<readonly { name: string; spilled: Spilled }[]> {
    return await Promise.resolve([...this.kept].map(([name, spilled]) => ({ name, spilled })))
  }
}

function bound(store: EntryStore): EntryStore {
  return announced(store, { tell: () => undefined, hear: () => () => undefined })
}

export class Stage {
  /** What the nodes share beside the store; null is nothing. */
  spill: Ledge | null = null
  readonly clock = new VirtualClock()
  readonly upstream = new Upstream(this.clock)
  /** Faults that nobody foresaw; a test that leaves one here fails. */
  readonly faults: unknown[] = []
  readonly #env: Env
  readonly #store: Table
  readonly #nodes: Node[] = []
  readonly #gone = new Set<string>()
  #random = 1
  #names = 0

  constructor() {
    this.#env = {
      clock: this.clock,
      random: {
        next: () => this.#chance(),
        bytes: (length) => Uint8Array.from({ length }, () => this.#chance() * 256),
      },
      fetch: () => Promise.reject(new Error('the keeper fetches nothing by itself')),
      processes: { self: 'stage', isGone: (name) => this.#gone.has(name) },
    }
    this.#store = new Table(createMemoryStore(this.#env))
  }

  /** One more node on the store. */
  async open(...sources: readonly Source[]): Promise<Node> {
    const wire = new Wire(this.#store)
    const events: ZhongkongEvent[] = []
    this.#names += 1
    const name = `n${this.#names}`
    const keeper = await this.clock.until(
      openKeeper({
        env: this.#env,
        store: { ...bound(this.#sealed(wire)), ...(this.spill === null ? {} : { spill: this.spill }) },
        node: name,
        sources,
        parseSource: parseSample,
        issue: (source, call) => this.upstream.issue(source, call),
        askForPush: (source) => this.upstream.push(source),
        probe: (_source, _call, token) => this.upstream.probe(token),
        emit: (event) => events.push(event),
        onFault: (thrown) => this.faults.push(thrown),
      }),
    )
    const node = { name, keeper, wire, events }
    this.#nodes.push(node)
    return node
  }

  /** One more node on the store, with its first fetches done. */
  async opened(...sources: readonly Source[]): Promise<Node> {
    const node = await this.open(...sources)
    await this.pass(1_000)
    return node
  }

  /** What a reader gets. */
  async token(keeper: Keeper, name = 'weixin'): Promise<string> {
    return (await this.until(keeper.get(name))).snapshot.token
  }

  /** The code of the error that a promise rejects with. */
  async code(promise: Promise<unknown>): Promise<unknown> {
    return await this.until(
      promise.then(
        () => 'nothing was thrown',
        (thrown: unknown) => (thrown instanceof ZhongkongError ? thrown.code : thrown),
      ),
    )
  }

  /** The process is gone without a word: its store and upstream calls lead nowhere. */
  kill(node: Node): void {
    node.wire.isCut = true
    void node.keeper.stop()
  }

  /** From now on the others know that a node which was killed is gone: they run on the same machine. */
  missed(node: Node): void {
    this.#gone.add(node.name)
  }

  async entry(name = 'weixin'): Promise<Entry> {
    const { entry } = await this.#sealed(this.#store).read(name)
    if (entry === null) throw new Error(`there is no entry of ${name}`)
    return entry
  }

  /** Changes an entry behind everybody's back. */
  async alter(name: string, change: (entry: Entry) => Entry): Promise<void> {
    const store = this.#sealed(this.#store)
    const { entry, revision } = await store.read(name)
    if (entry === null) throw new Error(`there is no entry of ${name}`)
    const changed = change(entry)
    if ((await store.write(name, { entry: changed, dueAt: 0 }, revision)) === null)
      throw new Error('it changed meanwhile')
  }

  async deleteRow(name = 'weixin'): Promise<void> {
    await this.#store.deleteRow(name)
  }

  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms)
  }

  async until<T>(promise: Promise<T>, msMax?: number): Promise<T> {
    return await this.clock.until(promise, msMax)
  }

  /** Stops all nodes. */
  async close(): Promise<void> {
    for (const { keeper, wire } of this.#nodes) {
      wire.isCut = false
      await this.until(keeper.stop())
    }
  }

  #sealed(store: Store): EntryStore {
    return sealed(store, keyringFrom(new Uint8Array(32).fill(7)), this.#env.random)
  }

  /** Repeatable chance: a linear congruence is even enough for jitter. */
  #chance(): number {
    this.#random = (this.#random * 48_271) % 2_147_483_647
    return this.#random / 2_147_483_647
  }
}

export function typesOf(events: readonly ZhongkongEvent[]): EventType[] {
  return events.map((event) => event.type)
}
