/** The store contract of mysql:// on a real MariaDB. */
import { afterAll, beforeAll, describe } from 'vitest'
import { parseDatabaseUrl } from '../../src/base/database-url.ts'
import { realEnv } from '../../src/base/real-env.ts'
import { openMysqlStore } from '../../src/stores/mysql.ts'
import { startMariadb, type MariadbServer } from '../servers/mariadb-server.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { storeConformance } from './store-conformance.ts'

describe.skipIf(isSkipped('mariadb'))('MariaDB', () => {
  let server: MariadbServer
  beforeAll(async () => {
    server = await startMariadb()
  }, 120_000)
  afterAll(async () => await server.dispose())

  storeConformance('mysql', async () => {
    const env = realEnv()
    const answer = parseDatabaseUrl(await server.newDatabase())
    if (!answer.ok) throw new Error(answer.why.en)
    const open = () => openMysqlStore({ url: answer.url, env })
    return { store: await open(), openSecond: open, dispose: env.close }
  })
})
