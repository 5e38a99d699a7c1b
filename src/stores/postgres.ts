/**
 * The store on PostgreSQL 13 and later: sql.ts over sql-server.ts, with what only PostgreSQL does. Other nodes hear of a
 * change by NOTIFY, sent in the writing transaction; where that does not reach them they find it by polling.
 */
import { sql } from 'kysely'
import type { DatabaseUrl } from '../base/database-url.ts'
import { attentive } from '../base/attentive-clock.ts'
import type { Env } from '../base/env.ts'
import type { Text } from '../base/text.ts'
import { loadDriver } from './database-driver.ts'
import { databaseTls } from './database-tls.ts'
import { judgePostgres } from './postgres-failure.ts'
import { listenToPostgres } from './postgres-listener.ts'
import { postgresSchema } from './postgres-schema.ts'
import { openPostgresSession, type PostgresLibrary } from './postgres-session.ts'
import { postgresWrites } from './sql-dialect.ts'
import { ServerEngine, type SqlServer } from './sql-server.ts'
import { createSqlStore } from './sql.ts'
import { storeMsMax, type Store } from './store.ts'

export type PostgresOptions = {
  readonly url: DatabaseUrl
  readonly env: Env
  /** Told of everything that was mended, and of settings that are dangerous, for the log. */
  readonly onNotice?: (notice: Text) => void
}

/** Opens the store, making its tables as needed. Throws only `ZhongkongError`. */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const { url } = options
  const env = attentive(options.env)
  const library = parseLibrary(await loadDriver('pg'))
  const engine = new ServerEngine({ ...options, env, server: postgresServer(library, url, env) })
  try {
    await engine.run(() => Promise.resolve(), env.clock.monotonic() + storeMsMax)
  } catch (error) {
    await engine.close()
    throw error
  }
  return createSqlStore(engine, env.clock)
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
