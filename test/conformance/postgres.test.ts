/** The store contract on a real PostgreSQL: met straight, and through a pooler that hands out connections by transaction. */
import { afterAll, beforeAll, describe } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { openPostgresStore } from '../../src/stores/postgres.ts'
import { urlOf } from '../chaos/sql-subjects.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { startPgbouncer, type PgbouncerServer } from '../servers/pgbouncer-server.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres-server.ts'
import { storeConformance } from './store-conformance.ts'

describe.skipIf(isSkipped('postgres'))('PostgreSQL', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
  }, 120_000)
  afterAll(async () => await server.dispose())

  storeConformance('postgres', async () => {
    const env = realEnv()
    const url = urlOf(await server.newDatabase())
    const open = () => openPostgresStore({ url, env })
    return { store: await open(), openSecond: open, dispose: env.close }
  })

  describe.skipIf(isSkipped('pgbouncer'))('behind PgBouncer', () => {
    let pooler: PgbouncerServer
    beforeAll(async () => {
      pooler = await startPgbouncer(server.port)
    }, 120_000)
    afterAll(async () => await pooler.dispose())

    storeConformance('postgres through a transaction pooler', async () => {
      const env = realEnv()
      const url = urlOf((await server.newDatabase()).replace(`:${server.port}/`, `:${pooler.port}/`))
      const open = () => openPostgresStore({ url, env })
      return { store: await open(), openSecond: open, dispose: env.close }
    })
  })
})
