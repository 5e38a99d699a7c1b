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
  /** Whether the store takes writes, told while the blow goes on. It is away when the blow falls, and back when it is over. */
  readonly tell: (takesWrites: boolean) => void
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
    failOver: async ({ cut, forMs }, { pause, tell }) => {
      await pair.failOver(cut === 'silence' ? 'hung' : 'killed')
      tell(true)
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
  /** Tells what the servers themselves say, as sentinels may take a replica away again. */
  const watch = ({ pause, tell }: Stroke): { readonly stop: () => Promise<void> } => {
    let isOver = false
    const watching = (async () => {
      while (!isOver) {
        tell(await hasReplica().catch(() => false))
        await pause(100)
      }
    })()
    return {
      stop: async () => {
        isOver = true
        await watching
      },
    }
  }
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
    strike: async ({ kind, forMs }, { pause, tell }) => {
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
        // The old master is cut off from everybody but the nodes, and must not be taken for the store any more.
        const watching = watch({ pause, tell })
        await pause(forMs)
        await servers.heal(old)
        await untilWhole()
        await watching.stop()
        return
      }
      await untilWhole()
    },
    dispose: async () => await servers.dispose(),
  }
}
