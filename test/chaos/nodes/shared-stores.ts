/** The store that the nodes of a run share: a real server, with a way of its own for each node, and its misfortunes. */
import { startFaultProxy, type FaultProxy } from '../../servers/fault-proxy.ts'
import { startMariadb } from '../../servers/mariadb-server.ts'
import { startPostgresPair } from '../../servers/postgres-pair.ts'
import { startRedis, startSentinels, until, type RedisServer } from '../../servers/redis-server.ts'
import type { Blow, StoreKind } from './draw-blows.ts'

export type SharedStore = {
  /** The store's URL, as a node has it. */
  readonly urlFor: (node: number) => string
  /** Carries out a blow that strikes the store or the way there, from its beginning to its end. */
  readonly strike: (blow: Blow, stroke: Stroke) => Promise<void>
  readonly dispose: () => Promise<void>
}

export type Stroke = {
  readonly pause: (ms: number) => Promise<void>
  /** Called as soon as the store takes writes again, where that is before the blow is over. */
  readonly back: () => void
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
  readonly ports: readonly number[]
  /** The URL with other ports in it. */
  readonly urlAt: (ports: readonly number[]) => string
  readonly kill: () => Promise<void>
  readonly start: () => Promise<void>
  /** Where another server can take over. */
  readonly failOver?: (blow: Blow, stroke: Stroke) => Promise<void>
  readonly dispose: () => Promise<void>
}

async function openRedis(nodes: number): Promise<SharedStore> {
  const server = await startRedis({ settings: durable })
  return await behindProxies(nodes, {
    ports: [server.port],
    urlAt: ([port]) => `redis://127.0.0.1:${port}`,
    kill: async () => await server.process().end('SIGKILL'),
    start: async () => await server.start(),
    dispose: async () => await server.dispose(),
  })
}

/** Each commit waits for the standby, so no failover loses what counted. */
async function openPostgres(nodes: number): Promise<SharedStore> {
  const pair = await startPostgresPair()
  const { pathname } = new URL(await pair.primary().newDatabase())
  return await behindProxies(nodes, {
    ports: pair.ports,
    urlAt: (ports) => `postgres://zk@${ports.map((port) => `127.0.0.1:${port}`).join(',')}${pathname}`,
    // As by a crash: what was committed is in the log, and is played back at the start.
    kill: async () => await pair.primary().stop('SIGQUIT'),
    start: async () => await pair.primary().start(),
    failOver: async ({ cut, forMs }, { pause, back }) => {
      await pair.failOver(cut === 'silence' ? 'hung' : 'killed')
      back()
      await pause(forMs)
      await pair.repair()
    },
    dispose: async () => await pair.dispose(),
  })
}

async function openMysql(nodes: number): Promise<SharedStore> {
  const server = await startMariadb()
  const url = await server.newDatabase()
  return await behindProxies(nodes, {
    ports: [server.port],
    urlAt: ([port]) => url.replace(`:${server.port}/`, `:${port}/`),
    kill: async () => await server.stop('SIGKILL'),
    start: async () => await server.start(),
    dispose: async () => await server.dispose(),
  })
}

async function behindProxies(nodes: number, server: Server): Promise<SharedStore> {
  const proxies = await Promise.all(
    Array.from({ length: nodes }, async () => await Promise.all(server.ports.map((port) => startFaultProxy(port)))),
  )
  const proxiesOf = (node: number): readonly FaultProxy[] => proxies[node % nodes]!
  return {
    urlFor: (node) => server.urlAt(proxiesOf(node).map(({ port }) => port)),
    strike: async (blow, stroke) => {
      const { kind, node, forMs, cut } = blow
      const { pause } = stroke
      if (kind === 'cut') {
        for (const proxy of proxiesOf(node)) proxy[cut]()
        await pause(cut === 'reset' ? 0 : forMs)
        for (const proxy of proxiesOf(node)) proxy.heal()
      } else if (kind === 'failover' && server.failOver !== undefined) {
        await server.failOver(blow, stroke)
      } else {
        await server.kill()
        await pause(forMs)
        await server.start()
      }
    },
    dispose: async () => {
      await Promise.all(proxies.flat().map((proxy) => proxy.close()))
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
  const replicasOnline = async (): Promise<number> =>
    ((await (await master()).command('INFO', 'replication')).match(/state=online/g) ?? []).length
  /** Writes count as soon as one replica has them. */
  const hasReplica = async (): Promise<boolean> => (await replicasOnline()) >= 1
  const isWhole = async (): Promise<boolean> => (await replicasOnline()) === replicas
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
    strike: async ({ kind, forMs }, { pause, back }) => {
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
        await until(hasReplica)
        // The old master is cut off from everybody but the nodes, and must not be taken for the store any more.
        back()
        await pause(forMs)
        await servers.heal(old)
      }
      await untilWhole()
    },
    dispose: async () => await servers.dispose(),
  }
}
