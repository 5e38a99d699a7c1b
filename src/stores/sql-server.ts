/**
 * The part of the SQL stores that deals with a server: PostgreSQL or MySQL, somewhere on the network. The life of a call:
 *
 *   take a connection, or make one ─► the tables not looked at lately? look, and make what is missing ─► do the work
 *   on failure, as long as there is time:
 *     busy      ─► again, a little later
 *     lost      ─► again, on another connection
 *     missing   ─► look at the tables, again
 *     read-only ─► with several hosts: again on the one that can be written
 *   no time left ─► cut the connection, so that nothing goes on
 *
 * A commit that was sent and not answered is not repeated: it may have happened, and repeated it would look like
 * somebody else's. The caller is told so, and reads.
 */
import { setMaxListeners } from 'node:events'
import { sql, type Kysely, type RawBuilder } from 'kysely'
import { backoffMs } from '../base/backoff.ts'
import type { DatabaseHost, DatabaseUrl } from '../base/database-url.ts'
import { deadline, until, type Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import { ServerClock } from './server-clock.ts'
import type { SqlDialect } from './sql-dialect.ts'
import { judgeOwn, NotWritable, RowMissing, sqlError, type SqlFailure } from './sql-failure.ts'
import { mendSchema, type SchemaDialect, type Tables } from './sql-schema.ts'
import { SqlSessions, type SqlSession } from './sql-sessions.ts'
import type { SqlEngine, WriteStamp, WriteStampSql } from './sql.ts'
import { storeMsMax } from './store.ts'
import { Watchers } from './watchers.ts'

/** One kind of server. */
export type SqlServer = {
  readonly kind: DatabaseUrl['kind']
  readonly schema: SchemaDialect
  readonly writes: SqlDialect
  /** The server's clock in whole epoch milliseconds, as SQL. */
  readonly clock: RawBuilder<number>
  /** 1 where writes are refused, else 0, as SQL. */
  readonly readOnly: RawBuilder<number>
  /** A connection that nobody wanted for so long is taken leave of, in milliseconds. */
  readonly idleMsMax: number
  connect(host: DatabaseHost, signal: AbortSignal): Promise<SqlSession>
  judge(error: unknown): SqlFailure
  /** Calls `onChange` for each notice of the server until `signal` aborts; never throws. Absent: only polling tells. */
  listen?(onChange: () => void, signal: AbortSignal): Promise<void>
}

export type ServerEngineOptions = {
  readonly server: SqlServer
  readonly url: DatabaseUrl
  readonly env: Env
  /** Told of everything that was mended, and of settings that are dangerous, for the log. */
  readonly onNotice?: (notice: Text) => void
}

/** How often changes by other nodes are looked for, in milliseconds: also where notices come, as they may be lost. */
const pollMs = 250
/** And while the store is away. */
const awayPollMsMax = 2_000
/** How often the tables are looked at without a cause, in milliseconds. */
const lookMs = 10_000
/** Calls end so much before their time is over, in milliseconds: what is under way must be ended too. */
const marginMs = 200
/** A cut connection has ended what was under way after so long, in milliseconds. */
const settleMsMax = 50
const retryBackoff = { baseMs: 10, capMs: 200 }
/** Tables that are gone again so often in one call are not made a further time. */
const mendsMax = 2

export class ServerEngine implements SqlEngine {
  readonly kind: string
  readonly dialect: SqlDialect
  readonly #server: SqlServer
  readonly #env: Env
  readonly #place: string
  readonly #onNotice: (notice: Text) => void
  readonly #sessions: SqlSessions
  readonly #clock: ServerClock
  readonly #watchers = new Watchers()
  readonly #closing = new AbortController()
  readonly #told = new Set<string>()
  #watching: { readonly stop: AbortController; readonly ended: Promise<unknown> } | null = null
  /** The tables must be looked at before they are used. */
  #isUnsure = true
  /** This process has used the database: what is missing now is a loss, not a beginning. */
  #wasUsed = false
  #mending: Promise<void> | null = null

  constructor({ server, url, env, onNotice }: ServerEngineOptions) {
    this.kind = server.kind
    this.dialect = server.writes
    this.#server = server
    this.#env = env
    this.#place = `${server.kind} ${url.hosts.map(({ host }) => host).join(',')}`
    this.#onNotice = onNotice ?? (() => undefined)
    this.#sessions = new SqlSessions({
      clock: env.clock,
      hosts: url.hosts,
      idleMsMax: server.idleMsMax,
      connect: async (host, signal) => await server.connect(host, signal),
    })
    this.#clock = new ServerClock(env.clock)
    // Every call under way listens to it, and Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal)
  }

  rowMissing(): Error {
    return new RowMissing()
  }

  async run<T>(work: (db: Kysely<Tables>) => Promise<T>, endsAt: number): Promise<T> {
    return await this.#run(async ({ db }) => await work(db), endsAt)
  }

  async #run<T>(work: (session: SqlSession) => Promise<T>, endsAt: number): Promise<T> {
    const { clock, random } = this.#env
    const byThen = endsAt - marginMs
    const limit = deadline(clock, Math.max(0, byThen - clock.monotonic()), this.#closing.signal)
    let last: { readonly error: unknown; readonly failure: SqlFailure } | null = null
    let mends = 0
    try {
      for (let tries = 1; ; tries += 1) {
        try {
          return await this.#attempt(work, limit.signal, byThen)
        } catch (error) {
          if (this.#closing.signal.aborted) throw closedError()
          if (error instanceof ZhongkongError) throw error
          // What stood in the way all the time says more than that the time is over.
          if (limit.signal.aborted) {
            this.#isUnsure = true
            throw last === null ? silence(this.#place) : sqlError(last.error, last.failure, this.#place)
          }
          const failure = this.#judge(error)
          last = { error, failure }
          if (failure === 'missing') mends += 1
          if (!this.#mayRetry(failure, mends)) throw sqlError(error, failure, this.#place)
        }
        await clock.sleep(backoffMs(tries, retryBackoff, random.next()), limit.signal)
      }
    } finally {
      limit.done()
    }
  }

  async now(): Promise<number> {
    return await this.run(async (db) => {
      const row = await db
        .selectFrom('zhongkong_meta')
        .select(['written_at', this.#server.clock.as('shown')])
        .where('id', '=', 1)
        .executeTakeFirst()
      if (row === undefined) throw new RowMissing()
      return this.#clock.follow(row.shown, row.written_at)
    }, this.#endsAt())
  }

  stamp(last: WriteStamp): WriteStampSql {
    const now = sql<number>`greatest(${last.written_at}, ${this.#server.clock} + ${this.#clock.ahead})`
    return { written_at: now, host_run: '', host_uptime: 0 }
  }

  wrote(): void {
    this.#watchers.notify()
  }

  watch(onChange: () => void): () => void {
    const remove = this.#watchers.add(onChange)
    if (this.#watching === null) {
      const stop = new AbortController()
      const heard = this.#server.listen?.(() => this.#watchers.notify(), stop.signal)
      this.#watching = { stop, ended: Promise.all([this.#poll(stop.signal), heard]) }
    }
    return () => {
      remove()
      if (this.#watchers.size > 0) return
      this.#watching?.stop.abort()
      this.#watching = null
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#watchers.clear()
    this.#watching?.stop.abort()
    await this.#watching?.ended
    await this.#sessions.close()
  }

  #endsAt(): number {
    return this.#env.clock.monotonic() + storeMsMax
  }

  async #attempt<T>(work: (session: SqlSession) => Promise<T>, signal: AbortSignal, endsAt: number): Promise<T> {
    signal.throwIfAborted()
    const session = await this.#sessions.acquire(signal, endsAt)
    const working = this.#isUnsure ? this.#mended(session, signal).then(() => work(session)) : work(session)
    try {
      const result = await until(working, signal)
      this.#sessions.release(session)
      return result
    } catch (error) {
      const failure = this.#judge(error)
      // What a copy was already when the connection was made is no news.
      const isKnownCopy = failure === 'read-only' && !session.isWritable
      if (failure === 'read-only' && !isKnownCopy) this.#sessions.leave()
      const isSound =
        !signal.aborted && (isKnownCopy || failure === 'busy' || failure === 'missing' || failure === 'full')
      if (isSound || error instanceof ZhongkongError) this.#sessions.release(session)
      else this.#sessions.discard(session)
      // Nothing is left running: the cut connection ends it.
      if (signal.aborted) await Promise.race([working.catch(() => undefined), this.#env.clock.sleep(settleMsMax)])
      throw error
    }
  }

  #mayRetry(failure: SqlFailure, mends: number): boolean {
    switch (failure) {
      case 'busy':
        return true
      case 'lost':
        // Whatever happened to the server may have happened to the tables.
        this.#isUnsure = true
        return true
      case 'missing':
        this.#isUnsure = true
        return mends <= mendsMax
      case 'read-only':
        // With several hosts, the next connection is made only to one that takes writes.
        return this.#sessions.hasSeveralHosts
      case 'unknown':
        this.#isUnsure = true
        return false
      case 'full':
      case 'refused':
      case 'other':
        return false
    }
  }

  #judge(error: unknown): SqlFailure {
    return judgeOwn(error) ?? this.#server.judge(error)
  }

  /** One look at the tables for all calls that wait for it. */
  async #mended(session: SqlSession, signal: AbortSignal): Promise<void> {
    this.#mending ??= this.#mend(session).finally(() => (this.#mending = null))
    await until(this.#mending, signal)
  }

  async #mend(session: SqlSession): Promise<void> {
    for (const warning of session.warnings) this.#tellOnce(warning)
    const lost = await mendSchema(session.db, {
      dialect: this.#server.schema,
      identity: Buffer.from(this.#env.random.bytes(12)).toString('hex'),
      now: await this.#showsNow(session.db),
      wasUsed: this.#wasUsed,
    })
    this.#isUnsure = false
    this.#wasUsed = true
    if (lost.length > 0) this.#onNotice(mendedNotice(this.#place, lost))
    this.#watchers.notify()
  }

  /** The server's clock: those of the nodes may be hours apart. */
  async #showsNow(db: Kysely<Tables>): Promise<number> {
    const row = await db.selectNoFrom(this.#server.clock.as('shown')).executeTakeFirstOrThrow()
    return row.shown + this.#clock.ahead
  }

  #tellOnce(warning: Text): void {
    if (this.#told.has(warning.en)) return
    this.#told.add(warning.en)
    this.#onNotice(warning)
  }

  /** Looks for changes that others made, until `signal` aborts. */
  async #poll(signal: AbortSignal): Promise<void> {
    const { clock } = this.#env
    let seen: Seen | null = null
    let lookAt = clock.monotonic() + lookMs
    let failures = 0
    while (!signal.aborted) {
      try {
        if (clock.monotonic() >= lookAt) {
          this.#isUnsure = true
          lookAt = clock.monotonic() + lookMs
        }
        const found = await this.#run(async (session) => await this.#lookForChange(session), this.#endsAt())
        // Other connections may still lead to the server of before.
        if (seen !== null && seen.server !== found.server) this.#sessions.leave()
        if (seen !== null && seen.state !== found.state) this.#watchers.notify()
        seen = found
        failures = 0
      } catch {
        failures += 1
        // The store is away, and whoever calls it is told so. The look at the tables that follows tells the watchers.
      }
      // Hosts that are all away, or all copies, need not be tried several times a second by every node.
      await clock.sleep(Math.min(pollMs * 2 ** failures, awayPollMsMax), signal)
    }
  }

  async #lookForChange({ db, isWritable }: SqlSession): Promise<Seen> {
    const row = await db
      .selectFrom('zhongkong_meta')
      .select(['identity', 'sequence', this.#server.readOnly.as('is_read_only'), this.dialect.server.as('server')])
      .where('id', '=', 1)
      .executeTakeFirst()
    if (row === undefined) throw new RowMissing()
    // A server that became a copy of another one still answers, but what it answers grows old. One that was a copy when
    // the connection was made is all there was, and is left after a while (sql-sessions.ts).
    if (row.is_read_only === 1 && isWritable) throw new NotWritable()
    return { server: row.server, state: `${row.identity}:${row.server}:${row.sequence}` }
  }
}

/** What a look for changes found. */
type Seen = { readonly server: string; readonly state: string }

function silence(place: string): ZhongkongError {
  return new ZhongkongError('store_unavailable', `${place}: no answer within ${storeMsMax / 1_000} seconds`)
}

function closedError(): ZhongkongError {
  return new ZhongkongError('store_unavailable', 'the store is closed')
}

function mendedNotice(place: string, lost: readonly string[]): Text {
  return {
    en: `${place} lacked ${lost.join(', ')}: mended. What was deleted is lost; tokens are fetched anew as needed.`,
    zh: `${place} 缺少 ${lost.join('、')}，已修复。被删除的数据无法找回，令牌会按需重新获取。`,
  }
}
