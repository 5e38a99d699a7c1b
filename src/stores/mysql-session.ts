/** One connection to MySQL or MariaDB, set up so that what administrators may have chosen otherwise does not matter. */
import {
  Kysely,
  MysqlAdapter,
  MysqlDriver,
  MysqlIntrospector,
  MysqlQueryCompiler,
  type MysqlPoolConnection,
} from 'kysely'
import type { DatabaseHost, DatabaseUrl } from '../base/database-url.ts'
import { until } from '../base/env.ts'
import type { Text } from '../base/text.ts'
import { isCommitRefused } from './mysql-failure.ts'
import { sessionDriver } from './session-driver.ts'
import type { Tables } from './sql-schema.ts'
import type { SqlSession } from './sql-sessions.ts'
import { storeMsMax } from './store.ts'

type Row = Readonly<Record<string, unknown>>
type Callback = (error: unknown, rows?: unknown) => void

/** The part of a connection of the package `mysql2` that is used here. */
export type MysqlClient = {
  connect(callback: (error: unknown) => void): void
  query(text: string, values: readonly unknown[], callback: Callback): unknown
  end(callback: (error?: unknown) => void): void
  on(event: 'error' | 'end', listener: () => void): unknown
  readonly stream: { destroy(error?: Error): unknown }
}

export type MysqlLibrary = { createConnection(config: Readonly<Record<string, unknown>>): MysqlClient }

export type MysqlSessionOptions = {
  readonly library: MysqlLibrary
  readonly url: DatabaseUrl
  /** What the driver is told about TLS; null for none. */
  readonly ssl: unknown
  readonly host: DatabaseHost
}

/**
 * How long the server keeps a connection of which it hears nothing, in seconds, inside a transaction too: the one row
 * that all writers take must not be held by a node that was stopped in the middle. Nothing else does that on MySQL.
 */
const silenceSeconds = 2
/** Such a connection is taken leave of before, in milliseconds, or the server's log would fill with complaints. */
export const mysqlIdleMsMax = 1_000

export async function openMysqlSession(options: MysqlSessionOptions, signal: AbortSignal): Promise<SqlSession> {
  const client = options.library.createConnection(configOf(options))
  let isUsable = true
  const cut = (): void => {
    isUsable = false
    client.stream.destroy(new Error('the connection was closed'))
  }
  client.on('error', () => (isUsable = false))
  client.on('end', () => (isUsable = false))
  try {
    await until(
      answered((callback) => client.connect(callback)),
      signal,
    )
    const found = (await until(setUp(client), signal)) ?? {}
    return {
      db: databaseOver(client, cut),
      isWritable: found.is_read_only !== 1,
      warnings: [
        ...(found.flushes === 1 ? [] : [notFlushed]),
        ...(found.logs === 1 && found.log_syncs !== 1 ? [logNotSynced] : []),
      ],
      isUsable: () => isUsable,
      cut,
      end: async () => {
        await answered((callback) => client.end(callback))
      },
    }
  } catch (error) {
    cut()
    throw error
  }
}

function configOf({ url, ssl, host }: MysqlSessionOptions): Readonly<Record<string, unknown>> {
  return {
    ...(host.host.startsWith('/') ? { socketPath: host.host } : { host: host.host, port: host.port }),
    database: url.database,
    ...(url.user === null ? {} : { user: url.user }),
    ...(url.password === null ? {} : { password: url.password }),
    ...(ssl === null ? {} : { ssl }),
    charset: 'utf8mb4_bin',
    enableKeepAlive: true,
  }
}

async function setUp(client: MysqlClient): Promise<Row | undefined> {
  const [found] = await ask(
    client,
    `select version() as version, ${readOnlySql} as is_read_only, @@global.innodb_flush_log_at_trx_commit as flushes,
            @@global.log_bin as logs, @@global.sync_binlog as log_syncs`,
  )
  const isMaria = String(found?.version).includes('MariaDB')
  const settings = [
    "time_zone = '+00:00'",
    "sql_mode = 'STRICT_ALL_TABLES'",
    "default_storage_engine = 'InnoDB'",
    `wait_timeout = ${silenceSeconds}`,
    `innodb_lock_wait_timeout = ${storeMsMax / 1_000}`,
    isMaria ? `max_statement_time = ${storeMsMax / 1_000}` : `max_execution_time = ${storeMsMax}`,
  ]
  await ask(client, `set ${settings.map((setting) => `session ${setting}`).join(', ')}`)
  await ask(client, 'set session transaction isolation level read committed')
  return found
}

/** A number in MySQL and a word in newer releases of MariaDB. */
export const readOnlySql = `(@@global.read_only not in ('0', 'OFF'))`

async function ask(client: MysqlClient, text: string): Promise<readonly Row[]> {
  const rows = await answered((callback) => client.query(text, [], callback))
  return Array.isArray(rows) ? (rows as readonly Row[]) : []
}

async function answered(call: (callback: Callback) => void): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    call((error, result) => {
      if (error === null || error === undefined) resolve(result)
      else reject(error instanceof Error ? error : new Error('the driver failed'))
    })
  })
}

function databaseOver(client: MysqlClient, cut: () => void): Kysely<Tables> {
  // The streaming query of kysely's type is not used here.
  const pooled = { query: client.query.bind(client), release: () => undefined } as unknown as MysqlPoolConnection
  const pool = {
    getConnection: (callback: (error: unknown, connection: MysqlPoolConnection) => void) => callback(null, pooled),
    end: (callback: (error: unknown) => void) => callback(null),
  }
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new MysqlAdapter(),
      createDriver: () => sessionDriver(new MysqlDriver({ pool }), { isCommitRefused, cut }),
      createIntrospector: (db: Kysely<unknown>) => new MysqlIntrospector(db),
      createQueryCompiler: () => new MysqlQueryCompiler(),
    },
  })
}

const notFlushed: Text = {
  en: 'innodb_flush_log_at_trx_commit is not 1: a power cut may lose the last second of writes. Set it to 1.',
  zh: 'innodb_flush_log_at_trx_commit 不为 1：断电可能丢失最后一秒的写入。请设置为 1。',
}

/** With a binary log, a restart undoes what is not in it: the log decides what was committed. */
const logNotSynced: Text = {
  en: 'sync_binlog is not 1 though there is a binary log: a power cut may lose the last writes. Set it to 1.',
  zh: '开启了二进制日志，但 sync_binlog 不为 1：断电可能丢失最近的写入。请设置为 1。',
}
