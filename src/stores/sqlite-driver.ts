/**
 * SQLite under kysely: loads the library that this Node offers, and drives one connection. All SQL runs synchronously on
 * this thread; nothing waits while it holds the connection, so a transaction is over within the tick that began it.
 */
import {
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
} from 'kysely'
import { ZhongkongError } from '../base/errors.ts'

type Statement = {
  all(...parameters: unknown[]): unknown[]
  run(...parameters: unknown[]): { readonly changes: number | bigint }
  columns(): readonly unknown[]
}

/** The part of `DatabaseSync` (node:sqlite and @photostructure/sqlite alike) that is used here. */
export type SqliteDatabase = {
  prepare(sql: string): Statement
  exec(sql: string): void
  close(): void
}

export type SqliteLibrary = new (path: string) => SqliteDatabase

/** node:sqlite is trusted from here on: earlier ones warn, and lack parts of it. */
const nodeMajorWithSqlite = 24

/** `node:sqlite` where it is mature, else `@photostructure/sqlite`. Throws `dependency_missing`. */
export async function loadSqlite(): Promise<SqliteLibrary> {
  const major = Number(process.versions.node.split('.')[0])
  const builtin: unknown = major >= nodeMajorWithSqlite ? process.getBuiltinModule('node:sqlite') : undefined
  if (builtin !== undefined) return libraryOf(builtin)
  // A variable, so that neither compiler nor bundler looks for the package: it is an optional dependency.
  const packageName = '@photostructure/sqlite'
  try {
    return libraryOf(await import(packageName))
  } catch (error) {
    throw new ZhongkongError(
      'dependency_missing',
      `SQLite needs Node 24 or later, or the package ${packageName}, which cannot be loaded here`,
      {
        cause: error,
        hint: {
          en: `Run "npm install ${packageName}", or use Node 24 or later.`,
          zh: `请执行 "npm install ${packageName}"，或改用 Node 24 及以上版本。`,
        },
      },
    )
  }
}

function libraryOf(module: unknown): SqliteLibrary {
  const found = typeof module === 'object' && module !== null && 'DatabaseSync' in module ? module.DatabaseSync : null
  if (typeof found !== 'function') throw new TypeError('the SQLite library has no DatabaseSync')
  return found as SqliteLibrary
}

/** How long SQLite itself waits for a lock, in milliseconds. Short, because the whole process waits with it. */
const busyTimeoutMs = 10

/**
 * The settings of every connection, in this order. `FULL` makes each commit durable against power loss. The page cache
 * is 8 MiB, and the write-ahead file is cut back to 16 MiB after it has grown.
 */
const settings = [
  `PRAGMA busy_timeout = ${busyTimeoutMs}`,
  'PRAGMA synchronous = FULL',
  'PRAGMA temp_store = MEMORY',
  'PRAGMA cache_size = -8192',
  'PRAGMA journal_size_limit = 16777216',
]

/** Makes an opened file a durable write-ahead database. Throws what SQLite throws, and leaves it open. */
export function configureDatabase(database: SqliteDatabase, path: string): void {
  for (const setting of settings) database.exec(setting)
  const mode: unknown = database.prepare('PRAGMA journal_mode = WAL').all()[0]
  if (JSON.stringify(mode) === '{"journal_mode":"wal"}') return
  throw new ZhongkongError('store_unavailable', `${path} cannot have a write-ahead log here`, {
    hint: {
      en: 'Put the database on a local disk: network file systems do not carry SQLite safely.',
      zh: '请将数据库放在本地磁盘上：网络文件系统无法安全地承载 SQLite。',
    },
  })
}

/** A kysely dialect over one open connection; `destroy()` leaves it open. */
export function sqliteDialect(database: SqliteDatabase): Dialect {
  return {
    createAdapter: () => new TransactionalAdapter(),
    createDriver: () => new SqliteDriver(database),
    createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

/** SQLite's schema changes do take part in transactions; kysely leaves that unused by default. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

class SqliteDriver implements Driver {
  readonly #database: SqliteDatabase
  readonly #connection: SqliteConnection
  /** The end of the line of those who want the connection. */
  #turn: Promise<void> = Promise.resolve()
  #release: () => void = () => undefined

  constructor(database: SqliteDatabase) {
    this.#database = database
    this.#connection = new SqliteConnection(database)
  }

  async init(): Promise<void> {
    // The connection is open already.
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#turn
    let release: () => void = () => undefined
    this.#turn = new Promise((resolve) => (release = resolve))
    await before
    this.#release = release
    return this.#connection
  }

  async beginTransaction(): Promise<void> {
    // IMMEDIATE takes the write lock at once: a lock taken later could be refused with reads already judged.
    this.#database.exec('BEGIN IMMEDIATE')
    await Promise.resolve()
  }

  async commitTransaction(): Promise<void> {
    this.#database.exec('COMMIT')
    await Promise.resolve()
  }

  async rollbackTransaction(): Promise<void> {
    try {
      this.#database.exec('ROLLBACK')
      await Promise.resolve()
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full. The first failure is the one to tell.
    }
  }

  async releaseConnection(): Promise<void> {
    this.#release()
    await Promise.resolve()
  }

  async destroy(): Promise<void> {
    // Whoever opened the database closes it.
  }
}

/** Texts of statements come from this code alone, so there are few; the limit is only a safety. */
const statementsMax = 200

class SqliteConnection implements DatabaseConnection {
  readonly #database: SqliteDatabase
  readonly #statements = new Map<string, { readonly statement: Statement; readonly hasRows: boolean }>()

  constructor(database: SqliteDatabase) {
    this.#database = database
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { statement, hasRows } = this.#prepare(query.sql)
    // Rows are what the SQL says; kysely's types describe them.
    if (hasRows) return await Promise.resolve({ rows: statement.all(...query.parameters) as R[] })
    const { changes } = statement.run(...query.parameters)
    return { rows: [], numAffectedRows: BigInt(changes) }
  }

  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    await Promise.reject(new ZhongkongError('internal', 'SQLite queries are not streamed here'))
  }

  #prepare(sql: string): { readonly statement: Statement; readonly hasRows: boolean } {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    if (this.#statements.size >= statementsMax) this.#statements.clear()
    const statement = this.#database.prepare(sql)
    const prepared = { statement, hasRows: statement.columns().length > 0 }
    this.#statements.set(sql, prepared)
    return prepared
  }
}
