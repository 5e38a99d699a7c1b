/**
 * The store on MySQL 8 and MariaDB 10.6 and later: sql.ts over sql-server.ts. There is nothing like NOTIFY, so other
 * nodes find a change by polling.
 */
import { sql } from 'kysely'
import type { DatabaseUrl } from '../base/database-url.ts'
import { loadDriver } from './database-driver.ts'
import { databaseTls } from './database-tls.ts'
import { judgeMysql } from './mysql-failure.ts'
import { mysqlSchema } from './mysql-schema.ts'
import { mysqlIdleMsMax, openMysqlSession, readOnlySql, type MysqlLibrary } from './mysql-session.ts'
import { openServerStore, type ServerStoreOptions } from './open-server-store.ts'
import { mysqlWrites } from './sql-dialect.ts'
import type { SqlServer } from './sql-server.ts'
import type { Store } from './store.ts'

/** Opens the store, making its tables as needed. Throws only `ZhongkongError`. */
export async function openMysqlStore(options: ServerStoreOptions): Promise<Store> {
  const library = parseLibrary(await loadDriver('mysql2'))
  return await openServerStore(options, () => mysqlServer(library, options.url))
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
