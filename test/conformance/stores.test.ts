/** Every store of this version against the store contract. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../src/base/real-env.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { openSqliteStore } from '../../src/stores/sqlite.ts'
import { storeConformance } from './store-conformance.ts'

storeConformance('memory', () => {
  const env = realEnv()
  return Promise.resolve({ store: createMemoryStore(env), dispose: env.close })
})

storeConformance('sqlite', async () => {
  const env = realEnv()
  const directory = await mkdtemp(join(tmpdir(), 'zhongkong-store-'))
  const path = join(directory, 'store.db')
  const open = () => openSqliteStore({ path, env })
  return {
    store: await open(),
    openSecond: open,
    dispose: async () => {
      await env.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
})
