/** A keeper in memory that behaves like the real one as far as surfaces can see: for tests of the http room alone. */
import { ZhongkongError } from '../../src/base/errors.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { Secret } from '../../src/base/secret.ts'
import type { GetOptions, Keeper, Reading, Refreshed, Snapshot, SourceState, Witness } from '../../src/keeper/keeper.ts'
import type { Trouble } from '../../src/model/entry.ts'
import type { Callback, Signing, Source } from '../../src/model/source.ts'

export type FakeSource = {
  readonly name: string
  readonly kind?: string
  readonly definition?: JsonObject
  readonly needs?: readonly string[]
  readonly account?: string
  readonly secret?: string
  readonly reissue?: Source['semantics']['reissue']
  readonly callback?: Partial<Callback> & { readonly token: Secret }
  readonly origin?: Source['origin']
  readonly fields?: (token: string) => JsonObject
  readonly belongsTo?: string
  readonly signing?: Partial<Signing>
}

export function sourceOf(fake: FakeSource): Source {
  return {
    name: fake.name,
    kind: fake.kind ?? 'wechat',
    definition: fake.definition ?? {},
    settings: {},
    policy: { minIntervalMs: 30_000, timeoutMs: 8_000 },
    needs: fake.needs ?? [],
    semantics: {
      reissue: fake.reissue ?? 'same-until-window',
      graceMs: 0,
      windowMs: 300_000,
      limits: {},
      fallbackTtlMs: 7_200_000,
      inject: { query: 'access_token' },
      invalidTokenCodes: [],
    },
    identity: fake.name,
    generation: fake.name,
    origin: fake.origin ?? 'file',
    credential:
      fake.account === undefined ? null : { account: fake.account, secret: new Secret(fake.secret ?? 'app-secret') },
    seed: null,
    ...(fake.belongsTo === undefined ? {} : { account: fake.belongsTo }),
    ...(fake.signing === undefined ? {} : { signing: { scheme: 'wechat', domains: [], ...fake.signing } }),
    callback:
      fake.callback === undefined
        ? null
        : { scheme: 'wechat', aesKey: null, receiveIds: [], forward: [], maxAgeSeconds: 300, ...fake.callback },
  }
}

type Held = {
  source: Source
  fake: FakeSource
  snapshot: Snapshot | null
  trouble: Trouble | null
  /** When a person authorised it. */
  authorizedAt?: number
}

export class FakeKeeper implements Keeper {
  readonly held = new Map<string, Held>()
  readonly replaced = new Map<string, string>()
  readonly waiters = new Set<() => void>()
  /** The wall clock; tests set it. */
  now = 1_800_000_000_000
  ready = true
  stale = false
  /** The most that is promised of any token, in milliseconds: a token in doubt. */
  capMs = Infinity
  /** For how long tokens that were replaced are still good, in milliseconds. */
  replacedLeftMs = 0
  /** What `get` and `refresh` throw, when set. */
  failure: Error | null = null
  refreshFailure: Error | null = null
  refreshes = 0

  constructor(fakes: readonly FakeSource[]) {
    for (const fake of fakes) this.add(fake)
  }

  add(fake: FakeSource): void {
    this.held.set(fake.name, { source: sourceOf(fake), fake, snapshot: null, trouble: null })
  }

  /** Gives the source a new token. */
  rotate(name: string, lifeMs = 7_200_000): Snapshot {
    const held = this.held.get(name)!
    const version = (held.snapshot?.version ?? 0) + 1
    const token = `${name}-token-${version}`
    if (held.snapshot !== null) this.replaced.set(held.snapshot.token, name)
    held.snapshot = {
      name,
      token,
      version,
      issuedAt: this.now,
      expiresAt: this.now + lifeMs,
      fields: held.fake.fields?.(token) ?? { access_token: token, expires_in: lifeMs / 1_000 },
    }
    for (const wake of this.waiters) wake()
    return held.snapshot
  }

  peek(name: string): Snapshot | undefined {
    return this.failure === null ? (this.held.get(name)?.snapshot ?? undefined) : undefined
  }

  async newest(name: string): Promise<Snapshot | null> {
    return await Promise.resolve(this.peek(name) ?? null)
  }

  leftMs(snapshot: Snapshot): number {
    return Math.min(snapshot.expiresAt - this.now, this.capMs)
  }

  isStale(): boolean {
    return this.stale
  }

  #reading(snapshot: Snapshot): Reading {
    return { snapshot, leftMs: this.leftMs(snapshot), stale: this.stale }
  }

  /** What was delivered, authorised and revoked, in order. */
  readonly granted: { readonly name: string; readonly what: 'delivered' | 'authorized' | 'mended' | 'revoked' }[] = []

  async deliver(name: string): Promise<boolean> {
    this.granted.push({ name, what: 'delivered' })
    return await Promise.resolve(true)
  }

  async authorize(name: string): Promise<void> {
    this.granted.push({ name, what: 'authorized' })
    await Promise.resolve()
  }

  async mend(name: string): Promise<'mended'> {
    this.granted.push({ name, what: 'mended' })
    return await Promise.resolve('mended')
  }

  async revoke(name: string): Promise<void> {
    this.granted.push({ name, what: 'revoked' })
    await Promise.resolve()
  }

  async get(name: string, options: GetOptions = {}): Promise<Reading> {
    await Promise.resolve()
    const held = this.held.get(name)
    if (held === undefined) throw new ZhongkongError('not_found', `no source ${name}`)
    if (this.failure !== null) throw this.failure
    if ((options.minTtlMs ?? 0) > 7_200_000) throw new ZhongkongError('min_ttl_too_long', 'at most 7200 seconds')
    if (held.snapshot === null || this.leftMs(held.snapshot) <= (options.minTtlMs ?? 0)) this.rotate(name)
    return this.#reading(held.snapshot!)
  }

  async next(name: string, version: number, _waitMs: number, signal?: AbortSignal): Promise<Reading | null> {
    const held = this.held.get(name)
    while (held !== undefined && held.snapshot?.version === version && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.waiters.delete(wake)
          resolve()
        }
        this.waiters.add(wake)
        signal?.addEventListener('abort', wake, { once: true })
      })
    }
    const snapshot = held?.snapshot
    return snapshot === undefined || snapshot === null || snapshot.version === version ? null : this.#reading(snapshot)
  }

  /** The hints it was given, in order. */
  readonly hints: { readonly name: string; readonly version: number; readonly witness: Witness }[] = []

  hint(name: string, version: number, witness: Witness): void {
    this.hints.push({ name, version, witness })
  }

  async refresh(
    name: string,
    options: { readonly stale?: string; readonly minAgeMs?: number } = {},
  ): Promise<Refreshed> {
    const { snapshot } = await this.get(name)
    if (this.now - snapshot.issuedAt < (options.minAgeMs ?? 0)) {
      return { ...this.#reading(snapshot), refreshed: false, reason: 'recently_refreshed' }
    }
    if (this.refreshFailure !== null) throw this.refreshFailure
    if (options.stale !== undefined && options.stale !== snapshot.token) {
      return { ...this.#reading(snapshot), refreshed: false, reason: 'not_current' }
    }
    this.refreshes += 1
    return { ...this.#reading(this.rotate(name)), refreshed: true }
  }

  findOwner(token: string): ReturnType<Keeper['findOwner']> {
    return Promise.resolve(this.ownerOf(token))
  }

  ownerOf(token: string): ReturnType<Keeper['ownerOf']> {
    for (const { source, snapshot } of this.held.values()) {
      if (snapshot?.token === token) return { source, snapshot, leftMs: this.leftMs(snapshot) }
    }
    const held = this.held.get(this.replaced.get(token) ?? '')
    if (held === undefined) return undefined
    return { source: held.source, snapshot: held.snapshot ?? undefined, leftMs: this.replacedLeftMs }
  }

  async byAccount(account: string): Promise<readonly Source[]> {
    return [...this.held.values()]
      .map(({ source }) => source)
      .filter((source) => source.credential?.account === account)
  }

  async dependents(name: string): Promise<readonly Source[]> {
    return [...this.held.values()].map(({ source }) => source).filter((source) => source.needs.includes(name))
  }

  async source(name: string): Promise<Source | undefined> {
    return this.held.get(name)?.source
  }

  async state(name: string): Promise<SourceState | undefined> {
    const held = this.held.get(name)
    if (held === undefined) return undefined
    return {
      source: held.source,
      state:
        held.trouble === null ? 'fresh' : held.trouble.class === 'needs-authorization' ? held.trouble.class : 'failing',
      reason: 'nothing to do',
      snapshot: held.snapshot,
      leftMs: held.snapshot === null ? null : this.leftMs(held.snapshot),
      nextRefreshMs: 1_000,
      attemptsToday: 1,
      dailyLimit: null,
      trouble: held.trouble,
      contest: null,
      authorizedAt: held.authorizedAt ?? null,
    }
  }

  async states(query: { readonly after?: string; readonly limit: number }): ReturnType<Keeper['states']> {
    const names = [...this.held.keys()].sort().filter((name) => query.after === undefined || name > query.after)
    const page = names.slice(0, query.limit)
    const states = await Promise.all(page.map((name) => this.state(name)))
    return { states: states.map((state) => state!), next: names.length > page.length ? page.at(-1)! : null }
  }

  async put(name: string, definition: JsonObject): Promise<{ readonly created: boolean }> {
    if (definition.provider !== 'wechat') throw new ZhongkongError('config_invalid', 'provider: unknown')
    const held = this.held.get(name)
    if (held?.source.origin === 'file') throw new ZhongkongError('conflict', 'it is in the configuration file')
    this.add({ name, definition, origin: 'store', account: 'wx-new', secret: JSON.stringify(definition.secret) })
    return { created: held === undefined }
  }

  async remove(name: string): Promise<boolean> {
    return this.held.get(name)?.source.origin === 'store' && this.held.delete(name)
  }

  async replaceSources(): Promise<void> {
    // Nothing here asks for it.
  }

  isReady(): boolean {
    return this.ready
  }

  async stop(): Promise<void> {
    // Nothing runs.
  }
}
