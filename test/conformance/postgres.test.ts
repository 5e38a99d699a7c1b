/** The store contract on a real PostgreSQL. */
import { afterAll, beforeAll, describe } from 'vitest'
import { parseDatabaseUrl } from '../../src/base/database-url.ts'
import { realEnv } from '../../src/base/real-env.ts'
import { openPostgresStore } from '../../src/stores/postgres.ts'
import { isSkipped } from '../servers/obtain-server.ts'
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
    const answer = parseDatabaseUrl(await server.newDatabase())
    if (!answer.ok) throw new Error(answer.why.en)
    const open = () => openPostgresStore({ url: answer.url, env })
    return { store: await open(), openSecond: open, dispose: env.close }
  })
})
