/** The store that the nodes of a run share: a real server, with a way of its own for each node, and its misfortunes. */
import { startFaultProxy, type FaultProxy } from '../../servers/fault-proxy.ts'
import { startMariadb } from '../../servers/mariadb-server.ts'
import { startPostgres } from '../../servers/postgres-server.ts'
import { startRedis, startSentinels, until, type RedisServer } from '../../servers/redis-server.ts'
import type { Blow, StoreKind } from './draw-blows.ts'

export type SharedStore = {
  /** The store's URL, as a node has it. */
  readonly urlFor: (node: number) => string
  /** Carries out a blow that strikes the store or the way there, from its beginning to its end. */
  readonly strike: (blow: Blow, pause: (ms: number) => Promise<void>) => Promise<void>
  readonly dispose: () => Promise<void>
}

export async function openSharedStore(kind: StoreKind, nodes: number): Promise<SharedStore> {
  switch (kind) {
    case 'redis':
      return await openRedis(nodes)
    case 'sentinel':
      return await openSentinels()
    case 'postgres':
      return await openPostgres(nodes)
    case 'mysql':
      return await openMysql(nodes)
  }
}

/** What a write has been told to be durable survives kill -9. */
const durable = ['appendonly yes', 'appendfsync always']

type Server = {
  readonly port: number
  /** The URL with another port in it. */
  readonly urlAt: (port: number) => string
  readonly kill: () => Promise<void>
  readonly start: () => Promise<void>
  readonly dispose: () => Promise<void>
}

async function openRedis(nodes: number): Promise<SharedStore> {
  const server = await startRedis({ settings: durable })
  return await behindProxies(nodes, {
    port: server.port,
    urlAt: (port) => `redis://127.0.0.1:${port}`,
    kill: async () => await server.process().end('SIGKILL'),
    start: async () => await server.start(),
    dispose: async () => await server.dispose(),
  })
}

async function openPostgres(nodes: number): Promise<SharedStore> {
  const server = await startPostgres()
  const url = await server.newDatabase()
  return await behindProxies(nodes, {
    port: server.port,
    urlAt: (port) => url.replace(`:${server.port}/`, `:${port}/`),
    // As by a crash: what was committed is in the log, and is played back at the start.
    kill: async () => await server.stop('SIGQUIT'),
    start: async () => await server.start(),
    dispose: async () => await server.dispose(),
  })
}

async function openMysql(nodes: number): Promise<SharedStore> {
  const server = await startMariadb()
  const url = await server.newDatabase()
  return await behindProxies(nodes, {
    port: server.port,
    urlAt: (port) => url.replace(`:${server.port}/`, `:${port}/`),
    kill: async () => await server.stop('SIGKILL'),
    start: async () => await server.start(),
    dispose: async () => await server.dispose(),
  })
}

async function behindProxies(nodes: number, server: Server): Promise<SharedStore> {
  const proxies = await Promise.all(Array.from({ length: nodes }, () => startFaultProxy(server.port)))
  const proxyOf = (node: number): FaultProxy => proxies[node % nodes]!
  return {
    urlFor: (node) => server.urlAt(proxyOf(node).port),
    strike: async ({ kind, node, forMs, cut }, pause) => {
      if (kind === 'cut') {
        const proxy = proxyOf(node)
        proxy[cut]()
        await pause(cut === 'reset' ? 0 : forMs)
        proxy.heal()
        return
      }
      await server.kill()
      await pause(forMs)
      await server.start()
    },
    dispose: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await server.dispose()
    },
  }
}

const replicas = 2

/** A write counts when a replica has it, so no failover loses what counted. */
async function openSentinels(): Promise<SharedStore> {
  const servers = await startSentinels(replicas, 1_000, durable)
  const master = async (): Promise<RedisServer> => {
    const port = await servers.masterPort()
    return servers.servers.find((server) => server.port === port) ?? servers.servers[0]!
  }
  const isWhole = async (): Promise<boolean> => {
    const online = (await (await master()).command('INFO', 'replication')).match(/state=online/g) ?? []
    return online.length === replicas
  }
  /** Sentinels take their time to make a replica of an old master, and forget one now and then; an operator would see to it. */
  const untilWhole = async (): Promise<void> => {
    if (
      await until(isWhole, 10_000).then(
        () => true,
        () => false,
      )
    )
      return
    const now = await master()
    for (const server of servers.servers) {
      if (server.port !== now.port) await server.command('REPLICAOF', '127.0.0.1', String(now.port))
    }
    await until(isWhole, 30_000)
  }
  return {
    urlFor: () => `${servers.url}?wait=1`,
    strike: async ({ kind, forMs }, pause) => {
      const old = await master()
      if (kind === 'cut') {
        await old.command('CLIENT', 'KILL', 'TYPE', 'normal')
        await old.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
        return
      }
      if (kind === 'restart') {
        await old.process().end('SIGKILL')
        await pause(forMs)
        await old.start()
      } else {
        await servers.partition(old)
        await until(async () => (await master()).port !== old.port)
        await pause(forMs)
        await servers.heal(old)
      }
      await untilWhole()
    },
    dispose: async () => await servers.dispose(),
  }
}
