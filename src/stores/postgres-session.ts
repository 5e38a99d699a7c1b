/**
 * One connection to PostgreSQL. It must work behind a pooler that gives each transaction another server connection
 * (PgBouncer and its like): no statement is prepared under a name, and what is set is set for one transaction.
 */
import {
  CompiledQuery,
  Kysely,
  PostgresAdapter,
  PostgresDriver,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type DatabaseConnection,
  type PostgresPoolClient,
} from 'kysely'
import type { DatabaseHost, DatabaseUrl } from '../base/database-url.ts'
import { until } from '../base/env.ts'
import type { Text } from '../base/text.ts'
import type { DatabaseTls } from './database-tls.ts'
import { isCommitRefused } from './postgres-failure.ts'
import { sessionDriver } from './session-driver.ts'
import type { Tables } from './sql-schema.ts'
import type { SqlSession } from './sql-sessions.ts'
import { storeMsMax } from './store.ts'

type Row = Readonly<Record<string, unknown>>

/** The part of a client of the package `pg` that is used here. */
export type PostgresClient = {
  connect(): Promise<unknown>
  query(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Row[] }>
  end(): Promise<void>
  on(event: 'error' | 'end' | 'notification', listener: () => void): unknown
  readonly connection: { readonly stream: { destroy(): unknown } }
}

export type PostgresLibrary = {
  readonly Client: new (config: Readonly<Record<string, unknown>>) => PostgresClient
  readonly types: { getTypeParser(oid: number, format?: string): (text: string) => unknown }
}

export type PostgresClientOptions = {
  readonly library: PostgresLibrary
  readonly url: DatabaseUrl
  readonly tls: DatabaseTls | null
  readonly host: DatabaseHost
}

/** A connected client and the way to end it at once. Throws what the driver throws, or the reason of `signal`. */
export async function connectClient(
  options: PostgresClientOptions,
  signal: AbortSignal,
): Promise<{ readonly client: PostgresClient; readonly cut: () => void; readonly isUsable: () => boolean }> {
  const { library, url, host } = options
  const client = new library.Client({
    host: host.host,
    port: host.port,
    database: url.database,
    // What the URL leaves out comes from where PostgreSQL's own programs take it: PGUSER, PGPASSWORD, ~/.pgpass.
    ...(url.user === null ? {} : { user: url.user }),
    ...(url.password === null ? {} : { password: url.password }),
    ssl: tlsOptions(options.tls),
    application_name: 'zhongkong',
    keepAlive: true,
    types: typesOf(library),
  })
  let isUsable = true
  const cut = (): void => {
    isUsable = false
    client.connection.stream.destroy()
  }
  client.on('error', () => (isUsable = false))
  client.on('end', () => (isUsable = false))
  try {
    await until(client.connect(), signal)
    return { client, cut, isUsable: () => isUsable }
  } catch (error) {
    cut()
    throw error
  }
}

/** Numbers are below 2^53 by our own hand, so BIGINT is read as one; for our connections only. */
function typesOf(library: PostgresLibrary): unknown {
  const bigint = 20
  return {
    getTypeParser: (oid: number, format?: string) =>
      oid === bigint ? Number : library.types.getTypeParser(oid, format),
  }
}

function tlsOptions(tls: DatabaseTls | null): unknown {
  if (tls === null) return false
  return {
    rejectUnauthorized: tls.isVerified,
    ...(tls.authorities === null ? {} : { ca: tls.authorities }),
    ...(tls.isHostVerified ? {} : { checkServerIdentity: () => undefined }),
  }
}

export async function openPostgresSession(options: PostgresClientOptions, signal: AbortSignal): Promise<SqlSession> {
  const { client, cut, isUsable } = await connectClient(options, signal)
  try {
    const found = await until(describeServer(client), signal)
    return {
      db: databaseOver(client, cut),
      isWritable: found.is_read_only !== true,
      warnings: warningsOf(found, options.url),
      isUsable,
      cut,
      end: async () => await client.end(),
    }
  } catch (error) {
    cut()
    throw error
  }
}

async function describeServer(client: PostgresClient): Promise<Row> {
  const settings = `pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as is_read_only,
    current_setting('fsync') = 'on' as is_synced, current_setting('full_page_writes') = 'on' as writes_pages,
    current_setting('synchronous_standby_names') as standbys`
  try {
    const { rows } = await client.query(
      `select ${settings}, (select count(*) from pg_catalog.pg_stat_replication) as followers`,
    )
    return rows[0] ?? {}
  } catch (error) {
    if (!isForbidden(error)) throw error
    const { rows } = await client.query(`select ${settings}`)
    return rows[0] ?? {}
  }
}

function isForbidden(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '42501'
}

/** What synchronous_commit says is of no matter: each transaction of ours sets its own (`begin`, below). */
function warningsOf(found: Row, { hosts }: DatabaseUrl): readonly Text[] {
  const mayFailOver = hosts.length > 1 || Number(found.followers ?? 0) > 0
  return [
    ...(found.is_synced === false ? [notSynced] : []),
    ...(found.writes_pages === false ? [tornPages] : []),
    ...(mayFailOver && found.standbys === '' ? [notWaited] : []),
  ]
}

function databaseOver(client: PostgresClient, cut: () => void): Kysely<Tables> {
  const pooled = { query: client.query.bind(client), release: () => undefined }
  const pool = {
    // The streaming query of kysely's type is not used here.
    connect: () => Promise.resolve(pooled as unknown as PostgresPoolClient),
    end: () => Promise.resolve(),
  }
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => sessionDriver(new BeginningDriver({ pool }), { isCommitRefused, cut }),
      createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}

/**
 * How long the server lets a transaction lie idle, in milliseconds: the one row that all writers take must not be held by
 * a node that was stopped in the middle.
 */
const idleMsMax = 1_000

/** One message to the server. A commit counts only when it is on disk; what was set to wait for more stays. */
const begin = [
  'begin isolation level read committed',
  `set local statement_timeout = ${storeMsMax}`,
  `set local idle_in_transaction_session_timeout = ${idleMsMax}`,
  `select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') in ('off', 'local')`,
].join('; ')

class BeginningDriver extends PostgresDriver {
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(begin))
  }
}

const notSynced: Text = {
  en: 'PostgreSQL runs with fsync = off: a power cut may lose or damage everything. Set it to on.',
  zh: 'PostgreSQL 正以 fsync = off 运行：断电可能丢失或损坏全部数据。请设置为 on。',
}

const tornPages: Text = {
  en: 'PostgreSQL runs with full_page_writes = off: a power cut may damage the tables. Set it to on.',
  zh: 'PostgreSQL 正以 full_page_writes = off 运行：断电可能损坏数据表。请设置为 on。',
}

const notWaited: Text = {
  en: 'PostgreSQL has standbys, and no commit waits for them: a failover may lose the last writes. Set synchronous_standby_names.',
  zh: 'PostgreSQL 有备库，但提交不等待备库：主备切换可能丢失最近的写入。请设置 synchronous_standby_names。',
}
