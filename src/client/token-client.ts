/**
 * The client: tokens from memory, one request for all who wait for the same, and whatever keeps the memory true: what is
 * heard (`ear.ts`), looks ahead of the end of each token, and polling where nothing is heard.
 */
import type { EventAnswer, RefreshAnswer } from '../wire/v1.ts'
import { ask, closed, isPassing, serverOf, ZhongkongClientError, type Server, type Told } from './ask.ts'
import { Closing } from './closing.ts'
import type { Client, ClientEvent, ClientOptions, GetOptions, Refreshed, RefreshOptions } from './contract.ts'
import { Ear, type Heard } from './ear.ts'
import { leftMs, learn, newEntry, type Entry, type Token } from './token-memory.ts'
import { backoffMs, realWorld, type World } from './world.ts'

/** A name that nobody has read for so long is not looked after any more, in milliseconds. */
const idleMs = 3_600_000
/** How long the server may keep us waiting for a version that it told of, in seconds: another node of it may answer. */
const waitSeconds = 10
/** A refusal is believed for so long, in milliseconds, so that a loop around `get` is no attack. */
const refusedMs = 1_000
const lookMs = 1_000
/** How long a server may take to confirm a token that lives anyway, in milliseconds. */
const heldMsMax = 2_000

export class TokenClient implements Client {
  readonly #world: World
  readonly #server: Server
  readonly #entries = new Map<string, Entry>()
  readonly #flights = new Map<string, Promise<unknown>>()
  readonly #refused = new Map<string, { readonly error: ZhongkongClientError; readonly until: number }>()
  readonly #listeners = new Map<string, Set<(event: ClientEvent) => void>>()
  readonly #closing = new Closing()
  readonly #onFault: (thrown: unknown) => void
  readonly #pollMs: number
  readonly #timeoutMs: number
  readonly #ear: Ear | null
  #running: Promise<unknown> | null = null

  constructor({ url, key, background = true, pollSeconds = 10, timeoutSeconds = 10, onFault, world }: ClientOptions) {
    this.#world = world ?? realWorld
    this.#server = serverOf(url, key)
    this.#onFault = onFault ?? (() => undefined)
    this.#pollMs = pollSeconds * 1_000
    this.#timeoutMs = Math.min(timeoutSeconds, 60) * 1_000
    const heard: Heard = {
      onStart: ({ versions, reason }) => {
        for (const entry of this.#entries.values()) {
          // What this node does not hold has no number, like what every object has by birth.
          this.#hear(entry, Number(versions[entry.name]) || 0)
          // In another life of a node the same version may be another token.
          if (reason === 'unknown-id') this.#lookSoon(entry)
        }
      },
      onEvent: (event) => this.#take(event),
      onChange: (isHearing, why) => {
        this.#emit({ type: isHearing ? 'listening' : 'polling', at: this.#world.clock.now() / 1_000, why })
      },
    }
    const names = (): readonly string[] => [...this.#entries.keys()].sort()
    this.#ear = background ? new Ear(this.#world, this.#server, this.#closing, { heard, names }) : null
  }

  get(name: string, options?: GetOptions): Promise<Token> {
    const entry = this.#entries.get(name)
    if (entry?.promise != null && options === undefined && this.#isReady(entry)) return entry.promise
    return this.#getSlowly(name, (options?.minTtl ?? 0) * 1_000)
  }

  peek(name: string): Token | undefined {
    const entry = this.#entries.get(name)
    return entry !== undefined && this.#isReady(entry) ? (entry.token ?? undefined) : undefined
  }

  async refresh(name: string, { stale }: RefreshOptions = {}): Promise<Refreshed> {
    const entry = this.#entryOf(name)
    const held = entry.token
    // One that we replaced ourselves: there is a newer one, and nobody needs to be asked.
    if (held !== null && stale !== undefined && stale === entry.previous && this.#isReady(entry)) {
      return { ...held, refreshed: false, reason: 'not_current' }
    }
    const flight = this.#join(`refresh ${name} ${stale ?? ''}`, async () => {
      const body = JSON.stringify(stale === undefined ? {} : { stale })
      const headers = { 'content-type': 'application/json' }
      return await this.#read(entry, '/refresh', { method: 'POST', headers, body })
    })
    if (held !== null && held.token === stale)
      entry.reporting ??= flight.catch(() => undefined).finally(() => (entry.reporting = null))
    const { body } = await flight
    const { refreshed, reason } = body as Partial<RefreshAnswer>
    this.#begin(entry)
    if (entry.token === null || leftMs(this.#world, entry) <= 0) throw noToken()
    return { ...entry.token, refreshed: refreshed === true, ...(reason === undefined ? {} : { reason }) }
  }

  async fetch(name: string, path: string, init: RequestInit = {}): Promise<Response> {
    if (this.#closing.isClosed) throw closed()
    const base = `${this.#server.url}/proxy/${encodeURIComponent(name)}/`
    const url = new URL(base + path.replace(/^\//, ''))
    // A path with dots in it must not lead out of the source, to other addresses of the server.
    if (!url.href.startsWith(base)) throw new ZhongkongClientError('bad_options', 'the path leads out of the source')
    const headers = new Headers(init.headers)
    for (const [header, value] of Object.entries(this.#server.headers)) headers.set(header, value)
    const { signal = null } = init
    return await this.#world.fetch(new Request(url, { redirect: 'manual', ...init, headers }), { signal })
  }

  on(type: string, listener: (event: ClientEvent) => void): () => void {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(listener))
    return () => listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closing.close()
    this.#entries.clear()
    await this.#running
  }

  #now(): number {
    return this.#world.clock.monotonic()
  }

  #isReady(entry: Entry): boolean {
    const now = this.#world.clock.monotonic()
    if (now >= entry.endsAt || this.#world.clock.now() >= entry.wallEndsAt || entry.reporting !== null) return false
    if (this.#ear === null && now >= Math.min(entry.lookAt, entry.polledAt + this.#pollMs)) return false
    entry.usedAt = now
    return true
  }

  #entryOf(name: string): Entry {
    if (this.#closing.isClosed) throw closed()
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    const entry = newEntry(name, this.#now())
    this.#entries.set(name, entry)
    return entry
  }

  async #getSlowly(name: string, minMs: number): Promise<Token> {
    const entry = this.#entryOf(name)
    entry.usedAt = this.#now()
    await entry.reporting
    const { token } = entry
    if (token !== null && this.#isReady(entry) && leftMs(this.#world, entry) >= minMs) return token
    const refused = this.#refused.get(name)
    if (refused !== undefined && refused.until > this.#now()) throw refused.error
    try {
      await this.#join(`get ${name} ${minMs}`, () => this.#readPatiently(entry, minMs))
    } catch (thrown) {
      // Nobody could say whether it is still the current one, but it lives.
      const isPassingBy = thrown instanceof ZhongkongClientError && isPassing(thrown)
      if (!isPassingBy || entry.token === null || minMs > 0 || leftMs(this.#world, entry) <= 0) throw thrown
      entry.lookAt = this.#now() + lookMs
    }
    if (entry.token === null) throw noToken()
    return entry.token
  }

  /** Asks until there is an answer, or the time is over. */
  async #readPatiently(entry: Entry, minMs: number): Promise<void> {
    const isHeld = leftMs(this.#world, entry) > minMs
    const endsAt = this.#now() + (isHeld ? Math.min(this.#timeoutMs, heldMsMax) : this.#timeoutMs)
    for (let failures = 0; ; failures += 1) {
      try {
        await this.#read(entry, minMs > 0 ? `?min_ttl=${Math.ceil(minMs / 1_000)}` : '', {}, endsAt - this.#now())
        if (leftMs(this.#world, entry) <= 0) throw noToken()
        this.#begin(entry)
        return
      } catch (thrown) {
        if (!(thrown instanceof ZhongkongClientError)) throw thrown
        const pause = Math.max((thrown.retryAfter ?? 0) * 1_000, backoffMs(this.#world, failures, 100, 2_000))
        const isHopeless = !isPassing(thrown) || this.#now() + pause >= endsAt || isHeld
        if (isHopeless) {
          if (!isPassing(thrown) && minMs === 0) this.#refuse(entry, thrown)
          throw thrown
        }
        await this.#closing.sleep(this.#world, pause)
        if (this.#closing.isClosed) throw closed()
      }
    }
  }

  /** One that there is not, or not for us, is not looked after; and is not asked for again at once. */
  #refuse(entry: Entry, error: ZhongkongClientError): void {
    if (entry.token === null) this.#entries.delete(entry.name)
    this.#refused.set(entry.name, { error, until: this.#now() + refusedMs })
    if (this.#refused.size > 1_000) this.#refused.clear()
  }

  async #read(
    entry: Entry,
    rest: string,
    more: { method?: string; headers?: Record<string, string>; body?: string } = {},
    ms = this.#timeoutMs,
  ): Promise<Told> {
    const asked = { at: this.#now(), wall: this.#world.clock.now() }
    const path = `/v1/tokens/${encodeURIComponent(entry.name)}${rest}`
    const told = await ask(this.#world, this.#server, path, { ...more, ms, closing: this.#closing })
    entry.polledAt = asked.at
    entry.failures = 0
    if (told.status === 304) return told
    const before = entry.token
    if (learn(this.#world, entry, told.body, { ...asked, tag: told.tag }) && before !== null) {
      this.#emit({ type: 'rotated', name: entry.name, version: entry.version, at: this.#world.clock.now() / 1_000 })
    }
    // Something may have been heard while the first answer was under way.
    this.#hear(entry)
    return told
  }

  async #join<T>(key: string, work: () => Promise<T>): Promise<T> {
    const known = this.#flights.get(key)
    // A key has one kind of work.
    if (known !== undefined) return (await known) as T
    const flight = work().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return await flight
  }

  #begin({ name }: Entry): void {
    if (this.#ear === null) return
    this.#running ??= Promise.all([this.#ear.run(), this.#lookAhead()])
    void this.#ear.include(name)
  }

  #take(event: EventAnswer): void {
    const entry = event.name === undefined ? undefined : this.#entries.get(event.name)
    if (entry !== undefined && event.version !== undefined) this.#hear(entry, event.version)
    if (event.type === 'removed' && entry !== undefined) entry.lookAt = this.#now()
    // That there is a new version is told when it is here.
    if (event.type !== 'rotated') this.#emit(event)
  }

  /** There is this version: goes and gets it, if it is newer. */
  #hear(entry: Entry, version = entry.version): void {
    // A lower one is late news, or of a store that began anew, and 0 of a node that does not hold it: the token says which.
    if (version < entry.version) this.#lookSoon(entry)
    entry.wanted = Math.max(entry.wanted, version)
    if (!entry.isPursued && entry.wanted > entry.version && entry.token !== null) void this.#pursue(entry)
  }

  /** Soon, but not when all clients do. */
  #lookSoon(entry: Entry): void {
    entry.lookAt = Math.min(entry.lookAt, this.#now() + lookMs * this.#world.random.next())
  }

  async #pursue(entry: Entry): Promise<void> {
    entry.isPursued = true
    for (let looks = 0; this.#isHeld(entry) && entry.wanted > entry.version; looks += 1) {
      // Another node of the server may not have heard of it yet, and may not even wait for it.
      if (looks > 0) await this.#closing.sleep(this.#world, backoffMs(this.#world, looks, 50, 5_000))
      await this.#look(entry, `?wait=${waitSeconds}`)
    }
    entry.isPursued = false
  }

  #isHeld(entry: Entry): boolean {
    return !this.#closing.isClosed && this.#entries.get(entry.name) === entry
  }

  /** Looks in the background. */
  async #look(entry: Entry, rest: string): Promise<void> {
    try {
      // Ahead of its end a token's promise may have grown, which a 304 would not tell.
      const isCheck = rest !== '' || entry.lookAt > this.#now()
      const headers = isCheck && entry.tag !== null ? { headers: { 'if-none-match': entry.tag } } : {}
      await this.#join(`look ${entry.name} ${rest}`, () =>
        this.#read(entry, rest, headers, this.#timeoutMs + waitSeconds * 1_000),
      )
    } catch (thrown) {
      entry.failures += 1
      entry.lookAt = this.#now() + backoffMs(this.#world, entry.failures, 500, 10_000)
      // It is gone, or not for us any more: what was promised is kept, but nobody goes on asking.
      if (thrown instanceof ZhongkongClientError && !isPassing(thrown)) {
        entry.wanted = 0
        entry.lookAt = Math.max(entry.endsAt, this.#now() + this.#pollMs)
      }
    }
  }

  /** Runs until the client is closed: looks ahead of ends, and polls while nothing is heard. */
  async #lookAhead(): Promise<void> {
    while (!this.#closing.isClosed) {
      const now = this.#now()
      for (const entry of this.#entries.values()) {
        const pollAt = this.#ear?.isHearing === true ? Infinity : entry.polledAt + this.#pollMs
        if (now - entry.usedAt > idleMs) this.#entries.delete(entry.name)
        else if (!entry.isPursued && entry.token !== null && Math.min(entry.lookAt, pollAt) <= now) {
          entry.polledAt = now
          void this.#look(entry, '')
        }
      }
      await this.#closing.sleep(this.#world, lookMs)
    }
  }

  #emit(event: ClientEvent): void {
    for (const listener of [...(this.#listeners.get(event.type) ?? []), ...(this.#listeners.get('*') ?? [])]) {
      try {
        listener(event)
      } catch (thrown) {
        this.#onFault(thrown)
      }
    }
  }
}

function noToken(): ZhongkongClientError {
  return new ZhongkongClientError('token_unavailable', 'the answer holds no token that lives')
}
