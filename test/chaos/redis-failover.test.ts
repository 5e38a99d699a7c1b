/** The store on Redis servers that take each other's place, by sentinels and in a Cluster: real servers, real faults. */
import type { EventEmitter } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countOf } from '../../src/stores/lined-revision.ts'
import { loadRedis, type RedisLibrary } from '../../src/stores/redis-connection.ts'
import { RedisLayout, shardOf } from '../../src/stores/redis-layout.ts'
import { openRedisStore } from '../../src/stores/redis.ts'
import { scripts } from '../../src/stores/redis-scripts.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import {
  startCluster,
  startRedis,
  startSentinels,
  until,
  type RedisCluster,
  type RedisSentinels,
  type RedisServer,
} from '../servers/redis-server.ts'
import { cursorOf, env, failureOf, inTimeMs, open, pause, put, recovery, targetOf } from './redis-stage.ts'

describe.skipIf(isSkipped('redis'))('with a replica', () => {
  it('a connection that breaks right after a write, at whatever moment, makes an error and no lost race', async () => {
    const server = await startRedis()
    const replica = await startRedis({ settings: [`replicaof 127.0.0.1 ${server.port}`] })
    try {
      await until(async () => (await server.command('INFO', 'replication')).includes('state=online'))
      const found = await loadRedis()
      /** How many turns of the queue after the next answer to a write its connection breaks. */
      let turns: number | null = null
      const breakAfter = async (client: EventEmitter, count: number): Promise<void> => {
        for (let turn = 0; turn < count; turn += 1) await Promise.resolve()
        client.emit('error', new Error('reset'))
      }
      const library: RedisLibrary = {
        ...found,
        createClient: (options) => {
          const client = found.createClient(options)
          const send = client.sendCommand.bind(client)
          client.sendCommand = (args) => {
            const answer = send(args)
            if (args[1] !== scripts.write.sha || turns === null) return answer
            const count = turns
            turns = null
            return answer.then((reply) => {
              void breakAfter(client as unknown as EventEmitter, count)
              return reply
            })
          }
          return client
        },
      }
      const store = await openRedisStore({ target: targetOf(`${server.url}?wait=1`), env, library })
      const ends = new Set<string>()
      for (let count = 0; count < 30; count += 1) {
        turns = count
        const end = await store.write(`n${count}`, { body: 'x', dueAt: 0 }, 0).then(
          (revision) => (revision === null ? 'a lost race' : 'written'),
          (error: unknown) => (error as { code: string }).code,
        )
        ends.add(end)
        expect((await store.read(`n${count}`)).body).toBe('x')
      }
      await store.close()
      expect([...ends]).not.toContain('a lost race')
      expect([...ends]).toContain('store_unavailable')
    } finally {
      await Promise.all([replica.dispose(), server.dispose()])
    }
  }, 40_000)
})

describe.skipIf(isSkipped('redis'))('behind sentinels', () => {
  let servers: RedisSentinels
  beforeAll(async () => {
    servers = await startSentinels()
  }, 30_000)
  afterAll(async () => await servers.dispose())

  const master = async (): Promise<RedisServer> => {
    const port = await servers.masterPort()
    return servers.servers.find((server) => server.port === port)!
  }
  const online = async (): Promise<boolean> =>
    (await (await master()).command('INFO', 'replication')).includes('state=online')

  it('a frozen master is replaced; when it wakes nobody believes it, and nothing that counted is lost', async () => {
    const notices: string[] = []
    await open(servers.url, ({ en }) => notices.push(en))
    expect(notices.join()).toContain('?wait=1')
    notices.length = 0
    const store = await open(`${servers.url}?wait=1`, ({ en }) => notices.push(en))
    expect(notices.join()).not.toContain('wait')
    await put(store, 'a', 'before')
    const cursor = await cursorOf(store)
    const old = await master()
    old.process().signal('SIGSTOP')
    await until(async () => (await master()).port !== old.port)
    expect(await recovery(store)).toBeLessThan(5_000)
    const { body, revision } = await store.read('a')
    expect([body, countOf(revision)]).toEqual(['before', 1])
    expect(await store.changes(cursor, 10)).toMatchObject({ reset: true })
    // No replica is left that could have the write as well.
    const failure = await failureOf(store.write('a', { body: 'alone', dueAt: 0 }, revision))
    expect(failure).toMatchObject({ code: 'store_unavailable', message: expect.stringContaining('0 of 1 replicas') })
    // Awake, it takes itself for the master for some seconds more.
    old.process().signal('SIGCONT')
    await until(async () => (await old.command('INFO', 'replication')).includes('role:master'))
    const careless = await open(servers.url)
    await put(careless, 'a', 'after')
    expect((await store.read('a')).body).toBe('after')
    const now = await master()
    await old.command('REPLICAOF', '127.0.0.1', String(now.port))
    await until(online)
    expect((await store.read('a')).body).toBe('after')
    await put(store, 'a', 'with a replica')
  }, 40_000)

  it('a master replaced while it lives, which takes writes for seconds more, gets none after a second and a half', async () => {
    await until(online)
    const [store, other] = [await open(servers.url), await open(servers.url)]
    await put(store, 'b', 'before')
    await other.read('b')
    const old = await master()
    await servers.sentinels[0]!.command('SENTINEL', 'FAILOVER', 'mymaster')
    await until(async () => (await master()).port !== old.port)
    await pause(1_500)
    expect(await old.command('INFO', 'replication')).toContain('role:master')
    await put(store, 'b', 'after')
    expect((await other.read('b')).body).toBe('after')
    const entries = new RedisLayout('zhongkong').shardKeys(0)[1]!
    expect(await (await master()).command('HGET', entries, 'b')).toContain('+after')
  }, 40_000)
})

describe.skipIf(isSkipped('redis'))('a Cluster', () => {
  let cluster: RedisCluster
  const layout = new RedisLayout('zhongkong')
  beforeAll(async () => {
    cluster = await startCluster()
  }, 30_000)
  afterAll(async () => await cluster.dispose())

  /** A name that lies in a shard. */
  const nameIn = (shard: number): string =>
    Array.from({ length: 1_000 }, (_, index) => `n${index}`).find((name) => shardOf(name, 16) === shard)!

  it('slots are computed as the servers do', async () => {
    for (const shard of [0, 7, 15]) {
      const key = layout.shardKeys(shard)[0]!
      expect(await cluster.nodes[0]!.command('CLUSTER', 'KEYSLOT', key)).toBe(String(layout.slot(shard)))
    }
  })

  it('scans of hundreds of names give each once and in order, whatever the page', async () => {
    const store = await open(`${cluster.url}?prefix=scans`)
    const names = Array.from({ length: 300 }, (_, index) => `n${String(index).padStart(3, '0')}`)
    // Due in another order than that of names, and several at once.
    const dueOf = (name: string): number => Number(name.slice(1).split('').reverse().join('')) % 97
    await Promise.all(names.map(async (name) => await put(store, name, 'x', dueOf(name))))
    const all = async (limit: number, dueBefore?: number): Promise<string[]> => {
      const found: string[] = []
      for (let after: string | null | undefined; after !== null;) {
        const query = { limit, ...(dueBefore === undefined ? {} : { dueBefore }) }
        const page = await store.scan(after === undefined ? query : { ...query, after })
        found.push(...page.records.map(({ name }) => name))
        after = page.next
      }
      return found
    }
    const byDue = [...names].sort((left, right) => dueOf(left) - dueOf(right) || (left < right ? -1 : 1))
    for (const limit of [7, 40, 1_000]) {
      expect(await all(limit)).toEqual(names)
      expect(await all(limit, 1_000)).toEqual(byDue)
    }
  })

  it('keys are followed while their slot moves, and after it has', async () => {
    const store = await open(cluster.url)
    const late = await open(cluster.url)
    const name = nameIn(3)
    await put(store, name, 'x')
    await late.read(name)
    const slot = layout.slot(3)
    const from = await cluster.ownerOf(slot)
    const to = await cluster.ownerOf((slot + 6_000) % 16_384)
    expect(to.port).not.toBe(from.port)
    const [fromId, toId] = [await from.command('CLUSTER', 'MYID'), await to.command('CLUSTER', 'MYID')]
    await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', fromId)
    await from.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', toId)
    expect((await store.read(name)).body).toBe('x')
    const keys = (await from.command('CLUSTER', 'GETKEYSINSLOT', String(slot), '100')).split('\n')
    await from.command('MIGRATE', '127.0.0.1', String(to.port), '', '0', '2000', 'KEYS', ...keys)
    // The source answers ASK.
    const { body, revision } = await store.read(name)
    expect(body).toBe('x')
    expect(await store.write(name, { body: 'on the way', dueAt: 0 }, revision)).toBe(revision + 1)
    for (const node of [to, from]) await node.command('CLUSTER', 'SETSLOT', String(slot), 'NODE', toId)
    // The source answers MOVED to one who has not asked meanwhile.
    expect(await late.read(name)).toEqual({ body: 'on the way', revision: revision + 1 })
    expect(await store.read(name)).toEqual({ body: 'on the way', revision: revision + 1 })
    expect(await store.write(name, { body: 'there', dueAt: 0 }, revision + 1)).toBe(revision + 2)
  })

  it('a killed master is replaced by its replica; the others serve on meanwhile', async () => {
    const store = await open(cluster.url)
    const shard = 5
    const old = await cluster.ownerOf(layout.slot(shard))
    const elsewhere = Array.from({ length: 16 }, (_, index) => index)
    const owners = await Promise.all(elsewhere.map(async (each) => await cluster.ownerOf(layout.slot(each))))
    const safe = owners.findIndex((owner) => owner.port !== old.port)
    const before = await put(store, nameIn(shard), 'x')
    await put(store, nameIn(safe), 'y')
    await pause(100)
    await old.process().end('SIGKILL')
    expect((await store.read(nameIn(safe))).body).toBe('y')
    expect((await failureOf(store.read(nameIn(shard)))).ms).toBeLessThan(inTimeMs)
    await until(async () => (await store.read(nameIn(shard))).body === 'x')
    expect(await store.write(nameIn(shard), { body: 'z', dueAt: 0 }, before)).toBeNull()
    expect(countOf(await put(store, nameIn(shard), 'z'))).toBe(before + 1)
    const names = (await store.scan({ limit: 1_000 })).records.map(({ name }) => name)
    expect(names).toEqual([...names].sort())
    expect(names).toContain(nameIn(shard))
  }, 40_000)

  it('a URL of the other kind is refused with the right one', async () => {
    const url = `redis://127.0.0.1:${cluster.nodes.find((node) => !node.process().hasEnded())!.port}`
    const failure = await failureOf(open(url))
    expect(failure).toMatchObject({ code: 'config_invalid', message: expect.stringContaining('Cluster') })
  })
})
