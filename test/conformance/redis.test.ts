/** The store contract on real Redis servers: one, one behind sentinels, and a Cluster. */
import { afterAll, beforeAll, describe } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { parseRedisUrl } from '../../src/base/redis-url.ts'
import { openRedisStore } from '../../src/stores/redis.ts'
import type { Store } from '../../src/stores/store.ts'
import { givenServer, isSkipped } from '../servers/obtain-server.ts'
import { startCluster, startRedis, startSentinels } from '../servers/redis-server.ts'
import { storeConformance } from './store-conformance.ts'

type Server = { readonly url: string; readonly dispose: () => Promise<void> }

let prefixes = 0

/** Each test has keys of its own. */
function conformance(kind: string, start: () => Promise<Server>): void {
  describe.skipIf(isSkipped('redis'))(kind, () => {
    const env = realEnv()
    let server: Server
    beforeAll(async () => {
      server = await start()
    }, 60_000)
    afterAll(async () => {
      await server.dispose()
      await env.close()
    })
    storeConformance(kind, async () => {
      prefixes += 1
      const separator = server.url.includes('?') ? '&' : '?'
      const parsed = parseRedisUrl(`${server.url}${separator}prefix=test-${process.pid}-${prefixes}`)
      if ('problem' in parsed) throw new Error(parsed.problem.en)
      const open = async (): Promise<Store> => await openRedisStore({ target: parsed.target, env })
      return { store: await open(), openSecond: open, dispose: async () => undefined }
    })
  })
}

const given = givenServer('redis')

conformance('redis', async () => (given === null ? await startRedis() : { url: given, dispose: async () => undefined }))
conformance('redis with TLS', async () => await startRedis({ tls: true }))
conformance('redis behind sentinels', async () => {
  const servers = await startSentinels()
  return { ...servers, url: `${servers.url}?wait=1` }
})
conformance('redis cluster', async () => await startCluster())
