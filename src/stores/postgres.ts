/**
 * The store on PostgreSQL 13 and later: sql.ts over sql-server.ts, with what only PostgreSQL does. Other nodes hear of a
 * change by NOTIFY, sent in the writing transaction; where that does not reach them they find it by polling.
 */
import { sql } from 'kysely'
import type { DatabaseUrl } from '../base/database-url.ts'
import type { Env } from '../base/env.ts'
import { loadDriver } from './database-driver.ts'
import { databaseTls } from './database-tls.ts'
import { judgePostgres } from './postgres-failure.ts'
import { listenToPostgres } from './postgres-listener.ts'
import { postgresSchema } from './postgres-schema.ts'
import { openPostgresSession, type PostgresLibrary } from './postgres-session.ts'
import { openServerStore, type ServerStoreOptions } from './open-server-store.ts'
import { postgresWrites } from './sql-dialect.ts'
import type { SqlServer } from './sql-server.ts'
import type { Store } from './store.ts'

/** Opens the store, making its tables as needed. Throws only `ZhongkongError`. */
export async function openPostgresStore(options: ServerStoreOptions): Promise<Store> {
  const library = parseLibrary(await loadDriver('pg'))
  return await openServerStore(options, (env) => postgresServer(library, options.url, env))
}

function parseLibrary(module: unknown): PostgresLibrary {
  if (typeof module === 'object' && module !== null && 'Client' in module && 'types' in module) {
    return module as PostgresLibrary
  }
  throw new TypeError('the package pg has no Client')
}

function postgresServer(library: PostgresLibrary, url: DatabaseUrl, env: Env): SqlServer {
  const tls = databaseTls(url)
  const heard = url.listen === 'here' ? url : url.listen
  const heardTls = heard === null ? null : databaseTls(heard)
  return {
    kind: 'postgres',
    schema: postgresSchema,
    writes: postgresWrites,
    idleMsMax: 30_000,
    clock: sql<number>`floor(extract(epoch from clock_timestamp()) * 1000)::bigint`,
    readOnly: sql<number>`(current_setting('transaction_read_only') = 'on')::int`,
    connect: async (host, signal) => await openPostgresSession({ library, url, tls, host }, signal),
    judge: judgePostgres,
    ...(heard === null
      ? {}
      : {
          listen: async (onChange, signal) =>
            await listenToPostgres({ library, url: heard, tls: heardTls, clock: env.clock, onChange }, signal),
        }),
  }
}
