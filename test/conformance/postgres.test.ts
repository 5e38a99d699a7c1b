/** The store contract on a real PostgreSQL: met straight, and through a pooler that hands out connections by transaction. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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

    it('tables deleted again and again are made again, and no lock is left behind', async () => {
      const env = realEnv()
      const straight = await server.newDatabase()
      const url = urlOf(straight.replace(`:${server.port}/`, `:${pooler.port}/`))
      const stores = await Promise.all([1, 2, 3].map(async () => await openPostgresStore({ url, env })))
      for (let round = 0; round < 5; round += 1) {
        await server.byHand('drop table zhongkong_entries', straight)
        await Promise.all(stores.map((store) => store.read('a')))
      }
      const left = await server.byHand(
        "select count(*)::int as locks from pg_locks where locktype = 'advisory'",
        straight,
      )
      expect(left).toEqual([{ locks: 0 }])
      await Promise.all(stores.map((store) => store.close()))
      await env.close()
    })
  })
})
