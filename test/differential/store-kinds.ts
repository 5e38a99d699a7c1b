/** Every kind of store that a user may name, each ready to be opened empty again and again. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../src/base/real-env.ts'
import { parseRedisUrl } from '../../src/base/redis-url.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { openRedisStore } from '../../src/stores/redis.ts'
import { openSqliteStore } from '../../src/stores/sqlite.ts'
import type { Store } from '../../src/stores/store.ts'
import { sqlSubjects, urlOf } from '../chaos/sql-subjects.ts'
import { isSkipped, type ServerKind } from '../servers/obtain-server.ts'
import { startRedis } from '../servers/redis-server.ts'

export type StartedKind = { readonly openEmpty: () => Promise<Store>; readonly dispose: () => Promise<void> }

export type StoreKind = { readonly server?: ServerKind; readonly start: () => Promise<StartedKind> }

/** Those whose server the user does not do without. */
export function storeKinds(): readonly StoreKind[] {
  return kinds.filter(({ server }) => server === undefined || !isSkipped(server))
}

const kinds: readonly StoreKind[] = [
  { start: startMemory },
  { start: startSqlite },
  { server: 'redis', start: startRedisKind },
  { server: 'postgres', start: async () => await startSql('postgres') },
  { server: 'mariadb', start: async () => await startSql('mariadb') },
]

async function startMemory(): Promise<StartedKind> {
  const env = realEnv()
  return await Promise.resolve({
    openEmpty: () => Promise.resolve(createMemoryStore(env)),
    dispose: async () => await env.close(),
  })
}

async function startSqlite(): Promise<StartedKind> {
  const env = realEnv()
  const directory = await mkdtemp(join(tmpdir(), 'zhongkong-differential-'))
  let files = 0
  return {
    openEmpty: async () => {
      files += 1
      return await openSqliteStore({ path: join(directory, `${files}.db`), env })
    },
    dispose: async () => {
      await env.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function startRedisKind(): Promise<StartedKind> {
  const env = realEnv()
  const server = await startRedis()
  let prefixes = 0
  return {
    openEmpty: async () => {
      prefixes += 1
      const parsed = parseRedisUrl(`${server.url}?prefix=p${prefixes}`)
      if ('problem' in parsed) throw new Error(parsed.problem.en)
      return await openRedisStore({ target: parsed.target, env })
    },
    dispose: async () => {
      await server.dispose()
      await env.close()
    },
  }
}

async function startSql(kind: keyof typeof sqlSubjects): Promise<StartedKind> {
  const env = realEnv()
  const server = await sqlSubjects[kind].start()
  return {
    openEmpty: async () => await sqlSubjects[kind].open(urlOf(await server.newDatabase()), env),
    dispose: async () => {
      await server.dispose()
      await env.close()
    },
  }
}
