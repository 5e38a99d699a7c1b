/**
 * The embedded store: one SQLite file, durable at each commit, shared safely by several processes of one machine, and
 * mending itself while it runs. The life of its connection, told once:
 *
 *   connect ─► note of a quarantine? refuse ─► open, check the file ─► damaged? quarantine, refuse
 *           ─► make what is missing of the schema ─► follow the clock kept in the file ─► connected
 *   connected, and before every use the files are looked at:
 *     the database is gone      ─► put it back from the open connection, connect again
 *     another file in its place ─► connect to that one
 *     a table is missing        ─► make it again, repeat the work once
 *     SQLite reports damage     ─► connect again with a thorough check, which quarantines or clears it
 *     busy                      ─► repeat the work later, until the call's time is over
 *
 * SQLite runs on this thread. A call never waits inside it for more than some milliseconds: waiting for other processes
 * is done outside, by sleeping and trying again.
 */
import { type Kysely } from 'kysely'
import { backoffMs } from '../base/backoff.ts'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import { hostUptime, type HostUptime } from './host-uptime.ts'
import { sqliteWrites, type SqlDialect } from './sql-dialect.ts'
import { RowMissing } from './sql-failure.ts'
import { mendSchema, sqliteSchema, type Tables } from './sql-schema.ts'
import { createSqlStore, type SqlEngine, type WriteStamp } from './sql.ts'
import { loadSqlite, type SqliteLibrary } from './sqlite-driver.ts'
import { judgeSqlite, FileChanging, sqliteError } from './sqlite-failure.ts'
import { identifyFiles, isSameFiles, quarantine, refuseQuarantined, rescue } from './sqlite-file.ts'
import { openSession, type SqliteSession } from './sqlite-session.ts'
import { SteadyClock } from './steady-clock.ts'
import { storeMsMax, type Store } from './store.ts'
import { Watchers } from './watchers.ts'

export type SqliteOptions = {
  readonly path: string
  readonly env: Env
  /** Told of everything that was mended, for the log. */
  readonly onNotice?: (notice: Text) => void
  /** The machine's uptime; another one only in tests. */
  readonly uptime?: HostUptime
  /** The SQLite library; another one only in tests, to make it fail. */
  readonly library?: SqliteLibrary
}

/** Opens the store in a file, making the file, its directory and its tables as needed. Throws only `ZhongkongError`. */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const engine = new SqliteEngine(options, options.library ?? (await loadSqlite()))
  try {
    await engine.run(() => Promise.resolve(), options.env.clock.monotonic() + storeMsMax)
  } catch (error) {
    await engine.close()
    throw error
  }
  return createSqlStore(engine, options.env.clock)
}

/** How often changes by other processes are looked for, in milliseconds. */
const pollMs = 200
/** How long to wait before a busy database is tried again. */
const busyBackoff = { baseMs: 4, capMs: 50 }

class SqliteEngine implements SqlEngine {
  readonly kind = 'sqlite'
  readonly dialect: SqlDialect = sqliteWrites
  readonly #path: string
  readonly #env: Env
  readonly #library: SqliteLibrary
  readonly #uptime: HostUptime
  readonly #onNotice: (notice: Text) => void
  readonly #clock: SteadyClock
  readonly #watchers = new Watchers()
  #session: SqliteSession | null = null
  #connecting: Promise<SqliteSession> | null = null
  /** This process was connected before: what is missing now is a loss, not a beginning. */
  #wasConnected = false
  /** SQLite reported damage that the next connect has to confirm or clear. */
  #isSuspect = false
  #polling: { readonly stop: AbortController; readonly ended: Promise<void> } | null = null
  #isClosed = false

  constructor(options: SqliteOptions, library: SqliteLibrary) {
    this.#path = options.path
    this.#env = options.env
    this.#library = library
    this.#uptime = options.uptime ?? hostUptime()
    this.#onNotice = options.onNotice ?? (() => undefined)
    this.#clock = new SteadyClock(options.env.clock)
  }

  rowMissing(): Error {
    return new RowMissing()
  }

  async run<T>(work: (db: Kysely<Tables>) => Promise<T>, endsAt: number): Promise<T> {
    return await this.#use(async ({ db }) => await work(db), endsAt)
  }

  async now(): Promise<number> {
    await this.#use(async ({ db }) => await this.#followClock(db), this.#endsAt())
    return this.#clock.now()
  }

  stamp(last: WriteStamp): WriteStamp {
    this.#clock.raiseTo(this.#nowBy(last))
    return { written_at: this.#clock.now(), host_run: this.#uptime.run, host_uptime: this.#uptime.ms() }
  }

  wrote(): void {
    this.#watchers.notify()
    const session = this.#session
    if (session !== null && isSameFiles(session.files, identifyFiles(this.#path))) return
    throw new ZhongkongError('store_unavailable', `${this.#path} was taken away during a write`)
  }

  watch(onChange: () => void): () => void {
    const remove = this.#watchers.add(onChange)
    if (this.#polling === null) {
      const stop = new AbortController()
      this.#polling = { stop, ended: this.#poll(stop.signal) }
    }
    return () => {
      remove()
      if (this.#watchers.size > 0) return
      this.#polling?.stop.abort()
      this.#polling = null
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#watchers.clear()
    this.#polling?.stop.abort()
    await this.#polling?.ended
    await this.#connecting?.catch(() => undefined)
    this.#saveLog()
    await this.#disconnect()
  }

  /**
   * SQLite does this when it closes, but @photostructure/sqlite lets it close only when all statements have been
   * collected as garbage. A file that was taken away is left as it is.
   */
  #saveLog(): void {
    if (this.#session === null || this.#wasTakenAway(this.#session)) return
    try {
      this.#session.saveLog()
    } catch {
      // The disk is full or the database busy: the log stays beside the database, where the next start finds it.
    }
  }

  #endsAt(): number {
    return this.#env.clock.monotonic() + storeMsMax
  }

  /** Does work on the connection, and once more after repairing what stood in its way. */
  async #use<T>(work: (session: SqliteSession) => Promise<T>, endsAt: number): Promise<T> {
    const { clock, random } = this.#env
    let repair: (() => Promise<void>) | null = null
    let hasRepaired = false
    for (let tries = 1; ; tries += 1) {
      let session: SqliteSession | null = null
      try {
        session = await this.#connected()
        await repair?.()
        repair = null
        return await work(session)
      } catch (error) {
        if (this.#isClosed) throw closedError(error)
        if (error instanceof ZhongkongError) throw error
        const failure = judgeSqlite(error)
        if (failure === 'busy' && clock.monotonic() < endsAt) {
          await clock.sleep(backoffMs(tries, busyBackoff, random.next()))
          continue
        }
        if (hasRepaired && failure === 'corrupt' && session !== null) throw await this.#setAside(session, error)
        if (hasRepaired) throw sqliteError(error, this.#path)
        hasRepaired = true
        if (failure === 'missing') repair = async () => await this.#mend(await this.#connected())
        else if (failure === 'corrupt') this.#isSuspect = true
        else if (session === null || !this.#wasTakenAway(session)) throw sqliteError(error, this.#path)
      }
    }
  }

  #wasTakenAway(session: SqliteSession): boolean {
    return session !== this.#session || !isSameFiles(session.files, identifyFiles(this.#path))
  }

  async #connected(): Promise<SqliteSession> {
    if (this.#isClosed) throw closedError()
    const session = this.#session
    if (session !== null && !this.#isSuspect && !this.#wasTakenAway(session)) return session
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = null))
    return await this.#connecting
  }

  async #connect(): Promise<SqliteSession> {
    await this.#leaveOldFiles()
    const session = openSession(this.#library, this.#path, this.#isSuspect ? 'thorough' : 'quick')
    try {
      await this.#mend(session)
      await this.#followClock(session.db)
      // SQLite makes the log file with the first use, so only now are all files there to be named.
      const files = identifyFiles(this.#path)
      if (files.database !== session.files.database) throw new FileChanging()
      session.files = files
    } catch (error) {
      await session.close()
      throw error
    }
    await this.#disconnect()
    this.#session = session
    this.#wasConnected = true
    this.#isSuspect = false
    this.#watchers.notify()
    return session
  }

  /** What the connection of before still has to do, when its files were taken away. */
  async #leaveOldFiles(): Promise<void> {
    try {
      refuseQuarantined(this.#path)
    } catch (error) {
      await this.#disconnect()
      throw error
    }
    const old = this.#session
    if (old === null) return
    const found = identifyFiles(this.#path)
    if (found.database === null) {
      if (!rescue(old.database, this.#path)) throw new FileChanging()
      this.#onNotice(notices.deleted(this.#path))
    } else if (found.database !== old.files.database) {
      this.#onNotice(notices.replaced(this.#path))
    } else if (found.log !== old.files.log) {
      // Only the log was deleted. Its content is saved into the database by the connection that still has it open.
      old.saveLog()
      await this.#disconnect()
      this.#onNotice(notices.logDeleted(this.#path))
    }
  }

  async #disconnect(): Promise<void> {
    const session = this.#session
    this.#session = null
    await session?.close()
  }

  /** The file failed again after a check had found nothing: it is set aside all the same. */
  async #setAside(session: SqliteSession, error: unknown): Promise<ZhongkongError> {
    const words = error instanceof Error ? error.message : 'damage'
    const refusal = quarantine(this.#path, session.files, words)
    await this.#disconnect()
    return refusal
  }

  async #mend(session: SqliteSession): Promise<void> {
    const lost = await mendSchema(session.db, {
      dialect: sqliteSchema,
      identity: Buffer.from(this.#env.random.bytes(12)).toString('hex'),
      now: this.#clock.now(),
      wasUsed: this.#wasConnected,
    })
    session.schemaVersion = session.readSchemaVersion()
    if (lost.length > 0) this.#onNotice(notices.mended(this.#path, lost))
  }

  async #followClock(db: Kysely<Tables>): Promise<void> {
    const last = await db
      .selectFrom('zhongkong_meta')
      .select(['written_at', 'host_run', 'host_uptime'])
      .where('id', '=', 1)
      .executeTakeFirst()
    if (last === undefined) throw new RowMissing()
    this.#clock.raiseTo(this.#nowBy(last))
  }

  /** What the clock of whoever wrote last shows now: exactly on the same run of the machine, otherwise at least that. */
  #nowBy(last: WriteStamp): number {
    if (last.host_run === '' || last.host_run !== this.#uptime.run) return last.written_at
    return last.written_at + Math.max(0, this.#uptime.ms() - last.host_uptime)
  }

  /** Looks for changes that others made, and for a schema they damaged, until `signal` aborts. */
  async #poll(signal: AbortSignal): Promise<void> {
    let seen: { readonly session: SqliteSession; readonly version: number } | null = null
    while (!signal.aborted) {
      try {
        await this.#use(async (session) => {
          if (session.schemaVersion !== session.readSchemaVersion()) await this.#mend(session)
          const version = session.readDataVersion()
          if (seen !== null && (seen.session !== session || seen.version !== version)) this.#watchers.notify()
          seen = { session, version }
        }, this.#endsAt())
      } catch {
        // The store is away, and whoever calls it is told so. The connect that finds it again tells the watchers.
      }
      await this.#env.clock.sleep(pollMs, signal)
    }
  }
}

function closedError(cause?: unknown): ZhongkongError {
  return new ZhongkongError('store_unavailable', 'the store is closed', { cause })
}

const notices = {
  deleted: (path: string): Text => ({
    en: `${path} was deleted while it was in use. It was put back from the open connection; nothing is lost.`,
    zh: `${path} 在使用中被删除，已从打开的连接恢复，数据没有丢失。`,
  }),
  replaced: (path: string): Text => ({
    en: `${path} was replaced by another file while it was in use. The new one is used from now on.`,
    zh: `${path} 在使用中被替换为另一个文件，现已改用新文件。`,
  }),
  logDeleted: (path: string): Text => ({
    en: `${path}-wal was deleted while it was in use. Its content was saved into the database.`,
    zh: `${path}-wal 在使用中被删除，其内容已写入数据库。`,
  }),
  mended: (path: string, lost: readonly string[]): Text => ({
    en: `${path} lacked ${lost.join(', ')}: made again. What a lost table held is lost; tokens are fetched anew as needed.`,
    zh: `${path} 缺少 ${lost.join('、')}，已重新创建。丢失的表中的数据无法找回，令牌会按需重新获取。`,
  }),
}
