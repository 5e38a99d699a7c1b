/**
 * The store on MySQL 8 and MariaDB 10.6 and later: sql.ts over sql-server.ts. There is nothing like NOTIFY, so other
 * nodes find a change by polling.
 */
import { sql } from 'kysely'
import type { DatabaseUrl } from '../base/database-url.ts'
import { attentive } from '../base/attentive-clock.ts'
import type { Env } from '../base/env.ts'
import type { Text } from '../base/text.ts'
import { loadDriver } from './database-driver.ts'
import { databaseTls } from './database-tls.ts'
import { judgeMysql } from './mysql-failure.ts'
import { mysqlSchema } from './mysql-schema.ts'
import { mysqlIdleMsMax, openMysqlSession, readOnlySql, type MysqlLibrary } from './mysql-session.ts'
import { mysqlWrites } from './sql-dialect.ts'
import { ServerEngine, type SqlServer } from './sql-server.ts'
import { createSqlStore } from './sql.ts'
import { storeMsMax, type Store } from './store.ts'

export type MysqlOptions = {
  readonly url: DatabaseUrl
  readonly env: Env
  /** Told of everything that was mended, and of settings that are dangerous, for the log. */
  readonly onNotice?: (notice: Text) => void
}

/** Opens the store, making its tables as needed. Throws only `ZhongkongError`. */
export async function openMysqlStore(options: MysqlOptions): Promise<Store> {
  const { url } = options
  const env = attentive(options.env)
  const library = parseLibrary(await loadDriver('mysql2'))
  const engine = new ServerEngine({ ...options, env, server: mysqlServer(library, url) })
  try {
    await engine.run(() => Promise.resolve(), env.clock.monotonic() + storeMsMax)
  } catch (error) {
    await engine.close()
    throw error
  }
  return createSqlStore(engine, env.clock)
}

function parseLibrary(module: unknown): MysqlLibrary {
  const isObject = (typeof module === 'object' && module !== null) || typeof module === 'function'
  if (isObject && 'createConnection' in module) return module as MysqlLibrary
  throw new TypeError('the package mysql2 has no createConnection')
}

function mysqlServer(library: MysqlLibrary, url: DatabaseUrl): SqlServer {
  const tls = databaseTls(url)
  // One object for all connections: the driver keeps what it made of it.
  const ssl =
    tls === null
      ? null
      : {
          rejectUnauthorized: tls.isVerified,
          verifyIdentity: tls.isHostVerified,
          ...(tls.authorities === null ? {} : { ca: tls.authorities }),
        }
  return {
    kind: 'mysql',
    schema: mysqlSchema,
    writes: mysqlWrites,
    idleMsMax: mysqlIdleMsMax,
    clock: sql<number>`cast(floor(unix_timestamp(now(6)) * 1000) as signed)`,
    readOnly: sql<number>`${sql.raw(readOnlySql)}`,
    connect: async (host, signal) => await openMysqlSession({ library, url, ssl, host }, signal),
    judge: judgeMysql,
  }
}
