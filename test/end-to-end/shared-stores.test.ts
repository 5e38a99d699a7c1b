/** The real program over each store that nodes share, on real servers: restarts, a second node, and moving between them. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startMariadb } from '../servers/mariadb-server.ts'
import { isSkipped, type ServerKind } from '../servers/obtain-server.ts'
import { startPostgres } from '../servers/postgres-server.ts'
import { startRedis } from '../servers/redis-server.ts'
import { classic, issuesOf, read } from './accounts.ts'
import { openStage, type Served, type Stage, type Upstream } from './stage.ts'

const key = '6b0c1d'.repeat(10) + '0f1e'
const otherKey = '7d0c2d'.repeat(10) + '0f1e'

type Server = {
  /** An empty store. */
  readonly newStore: () => Promise<string>
  readonly dispose: () => Promise<void>
}

let prefixes = 0

const kinds: readonly { readonly kind: ServerKind; readonly start: () => Promise<Server> }[] = [
  {
    kind: 'redis',
    start: async () => {
      const server = await startRedis({ settings: ['appendonly yes'] })
      return { ...server, newStore: () => Promise.resolve(`${server.url}?prefix=p${(prefixes += 1)}`) }
    },
  },
  {
    kind: 'postgres',
    start: async () => {
      const server = await startPostgres()
      return { ...server, newStore: async () => await server.newDatabase() }
    },
  },
  {
    kind: 'mariadb',
    start: async () => {
      const server = await startMariadb()
      return { ...server, newStore: async () => await server.newDatabase() }
    },
  },
]

const servers = new Map<ServerKind, Server>()
let stage: Stage

beforeAll(async () => {
  stage = await openStage()
  const wanted = kinds.filter(({ kind }) => !isSkipped(kind))
  await Promise.all(wanted.map(async ({ kind, start }) => servers.set(kind, await start())))
}, 120_000)
afterAll(async () => {
  await stage.close()
  await Promise.all([...servers.values()].map(async (server) => await server.dispose()))
})

const environment = { ZHONGKONG_ENCRYPTION_KEY: key }

/** At an upstream of each test's own, as they run side by side and count what is asked there. */
const appid = 'wx-shared'

/** A configuration over an empty store of a kind, with one account and a ticket of it. */
async function configure(upstream: Upstream, kind: ServerKind, name = `${kind}.yaml`): Promise<string> {
  const config = {
    encryption_key: '${ZHONGKONG_ENCRYPTION_KEY}',
    store: await servers.get(kind)?.newStore(),
    sources: {
      weixin: classic(upstream, appid),
      ticket: { provider: 'wechat-ticket', of: 'weixin', type: 'jsapi' },
    },
  }
  return await stage.configure(config, name)
}

const readAll = async (node: Served) => await Promise.all(['weixin', 'ticket'].map((name) => read(node, name)))

// They mostly wait for processes to start.
describe.concurrent('over a store that nodes share', () => {
  for (const { kind } of kinds) {
    test.skipIf(isSkipped(kind))(
      `${kind}: a restart with living tokens fetches nothing, two nodes serve the same, and another key opens nothing`,
      async () => {
        const upstream = await stage.upstream({ accounts: [] })
        const path = await configure(upstream, kind)
        const first = await stage.serve(path, { environment })
        const before = await readAll(first)
        expect((await first.stop('SIGTERM')).code).toBe(0)
        const asked = upstream.asked.length
        const [one, two, stranger] = await Promise.all([
          stage.serve(path, { environment }),
          stage.serve(path, { environment }),
          stage.run(['serve', '-c', path, '--listen', '127.0.0.1:0'], { ZHONGKONG_ENCRYPTION_KEY: otherKey }),
        ])
        for (const node of [one, two]) expect(await readAll(node)).toEqual(before)
        expect(issuesOf(upstream, appid)).toBe(1)
        expect(upstream.asked.length).toBe(asked)
        expect(stranger).toMatchObject({ stdout: '', stderr: expect.stringContaining('another encryption key') })
        expect(stranger.code).toBe(1)
        await Promise.all([one, two].map((node) => node.stop('SIGTERM')))
      },
      60_000,
    )
  }

  test.skipIf(isSkipped('redis') || isSkipped('postgres'))(
    'moved from Redis to PostgreSQL, living tokens come along, and nothing is fetched',
    async () => {
      const upstream = await stage.upstream({ accounts: [] })
      const old = await stage.serve(await configure(upstream, 'redis', 'old.yaml'), { environment })
      const before = await readAll(old)
      const [from, to, backup] = ['old.yaml', 'new.yaml', 'move.backup'].map((name) => join(stage.folder, name))
      // Taken while it runs.
      expect(await stage.run(['backup', '-c', from!, backup!], environment)).toMatchObject({ code: 0 })
      await old.stop('SIGTERM')
      await configure(upstream, 'postgres', 'new.yaml')
      const asked = upstream.asked.length
      expect(await stage.run(['restore', '-c', to!, backup!], environment)).toMatchObject({
        code: 0,
        stdout: '2 restored (of 2)\n',
      })
      expect(await readAll(await stage.serve(to!, { environment }))).toEqual(before)
      expect(upstream.asked.length).toBe(asked)
    },
    60_000,
  )
})
