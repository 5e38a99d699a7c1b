/**
 * `zhongkong`: the keeper inside your own process, without a server.
 *
 * @example
 * ```ts
 * import { openKeeper } from 'zhongkong'
 * const keeper = await openKeeper({
 *   store: 'sqlite:./tokens.db',
 *   sources: { corp: { provider: 'wecom', corpid: 'ww1', secret: process.env.CORP_SECRET } },
 * })
 * const { token, expiresIn } = await keeper.get('corp')
 * await keeper.refresh('corp', { stale: token }) // the upstream refused this token
 * await keeper.close()
 * ```
 */
import type { Env } from './base/env.ts'
import { ZhongkongError } from './base/errors.ts'
import { isJsonObject, type JsonObject } from './base/json.ts'
import { realEnv } from './base/real-env.ts'
import { createBus } from './events/bus.ts'
import { nodeName } from './app.ts'
import type { Reading } from './keeper/keeper.ts'
import { openKeeper as openKeeperOver } from './keeper/open-keeper.ts'
import type { EventType, ZhongkongEvent } from './model/event.ts'
import { rivals, sourceName, type Source } from './model/source.ts'
import { findCycles } from './model/graph.ts'
import { issue, parseSource, probe, watch } from './providers/catalogue.ts'
import { openStore } from './stores/open-store.ts'

export { ZhongkongError } from './base/errors.ts'
export type { ErrorCode } from './base/errors.ts'
export type { ZhongkongEvent } from './model/event.ts'

export type KeeperOptions = {
  /** `memory:` or `sqlite:PATH`. */
  readonly store: string
  /** Sources by name, with the keys they have in `zhongkong.yaml`. */
  readonly sources: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /**
   * 32 bytes as hex or base64, by which the store is encrypted. Without it, a key file readable by this user only is
   * made beside a SQLite database.
   */
  readonly encryptionKey?: string
  /** Clock, chance and network of your own, for tests. */
  readonly env?: Env
  /** Hears of background failures that nobody foresaw; the default ignores them. */
  readonly onFault?: (thrown: unknown) => void
}

export type TokenReading = {
  readonly token: string
  /** Whole seconds for which you may rely on the token. */
  readonly expiresIn: number
  /** Never later than `expiresIn` says. */
  readonly expiresAt: Date
  readonly version: number
  /** The upstream's whole answer. */
  readonly fields: Readonly<Record<string, unknown>>
}

export type EmbeddedKeeper = {
  /** The living token, fetched first when there is none. Throws a `ZhongkongError`: `not_found`, `token_unavailable`, … */
  get(name: string, options?: { readonly minTtlSeconds?: number }): Promise<TokenReading>
  /** Refreshes, if `stale` is still the current token (or none is given). Any number of callers cost one upstream call. */
  refresh(name: string, options?: { readonly stale?: string }): Promise<TokenReading & { readonly refreshed: boolean }>
  /** Hears of one type of event; the answer stops that. */
  on<T extends EventType>(type: T, listener: (event: Extract<ZhongkongEvent, { type: T }>) => void): () => void
  close(): Promise<void>
}

/** Opens a keeper inside this process. Several processes may open the same SQLite file. */
export async function openKeeper(options: KeeperOptions): Promise<EmbeddedKeeper> {
  const own = options.env === undefined ? realEnv() : null
  const env = options.env ?? own
  if (env === null) throw new ZhongkongError('internal', 'no environment')
  const onFault = options.onFault ?? (() => undefined)
  const bus = createBus(onFault)
  const sources = parseSources(options.sources)
  const store = await openStore({
    url: options.store,
    encryptionKey: options.encryptionKey === undefined ? null : keyBytes(options.encryptionKey),
    env,
    onNotice: () => undefined,
  })
  const close = async (): Promise<void> => {
    await store.close()
    await own?.close()
  }
  const keeper = await openKeeperOver({
    env,
    store,
    node: nodeName(env),
    sources,
    parseSource,
    issue,
    watch,
    probe,
    emit: bus.emit,
    onFault,
  }).catch(async (thrown: unknown) => {
    await close()
    throw thrown
  })
  let closing: Promise<void> | null = null
  // What a closed keeper remembers is not kept fresh any more.
  const mustBeOpen = (): void => {
    if (closing !== null) throw new ZhongkongError('closed', 'this keeper was closed')
  }
  return {
    get: async (name, get = {}) => {
      mustBeOpen()
      const options = get.minTtlSeconds === undefined ? {} : { minTtlMs: get.minTtlSeconds * 1_000 }
      return toReading(await keeper.get(name, options), env.clock.now())
    },
    refresh: async (name, asked = {}) => {
      mustBeOpen()
      const answer = await keeper.refresh(name, asked)
      return { ...toReading(answer, env.clock.now()), refreshed: answer.refreshed }
    },
    on: (type, listener) =>
      bus.on((event) => {
        // The event's own `type` says which member of the union it is.
        if (event.type === type) listener(event as Parameters<typeof listener>[0])
      }),
    close: () =>
      (closing ??= (async () => {
        await keeper.stop()
        await close()
      })()),
  }
}

function toReading({ snapshot, leftMs }: Reading, now: number): TokenReading {
  const { token, version, fields } = snapshot
  // While a token is in doubt, less of it is left than its end says.
  const expiresAt = new Date(Math.min(snapshot.expiresAt, now + leftMs))
  return { token, version, fields, expiresIn: Math.floor(leftMs / 1_000), expiresAt }
}

function parseSources(written: KeeperOptions['sources']): Source[] {
  const problems: string[] = []
  const sources: Source[] = []
  const siblings = (other: string): JsonObject | undefined =>
    Object.hasOwn(written, other) ? (written[other] as JsonObject) : undefined
  for (const [name, definition] of Object.entries(written)) {
    if (!isJsonObject(definition)) {
      problems.push(`sources.${name} is no object`)
      continue
    }
    const parsed = parseSource(name, definition, 'file', siblings)
    if (parsed.ok) sources.push(parsed.source)
    else problems.push(...parsed.issues.map((one) => `sources.${[name, ...one.path].join('.')}: ${one.message.en}`))
  }
  problems.push(...rivals(sources).map(({ source, first }) => `${source.name} and ${first.name} are the same account`))
  problems.push(
    ...findCycles(new Map(sources.map(({ name, needs }) => [name, needs]))).map(
      (cycle) => `sources need each other: ${cycle.join(' → ')}`,
    ),
  )
  for (const { name, needs } of sources) {
    if (!sourceName.test(name)) problems.push(`${JSON.stringify(name)} is no name for a source`)
    for (const need of needs)
      if (!Object.hasOwn(written, need)) problems.push(`${name} needs ${need}, which is not there`)
  }
  if (problems.length > 0) throw new ZhongkongError('config_invalid', problems.join('; '))
  return sources
}

function keyBytes(text: string): Uint8Array {
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
  if (bytes.length !== 32) throw new ZhongkongError('config_invalid', 'encryptionKey must be 32 bytes as hex or base64')
  return bytes
}
