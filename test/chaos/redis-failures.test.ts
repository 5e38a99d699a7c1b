/** The store on a Redis that freezes, dies, forgets or fills up: real servers, real faults. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Text } from '../../src/base/text.ts'
import { countOf } from '../../src/stores/lined-revision.ts'
import { RedisLayout } from '../../src/stores/redis-layout.ts'
import { loadRedis } from '../../src/stores/redis-connection.ts'
import { openRedisStore } from '../../src/stores/redis.ts'
import { storeMsMax } from '../../src/stores/store.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { startRedis, until, type RedisServer } from '../servers/redis-server.ts'
import {
  cursorOf,
  env,
  failureOf,
  inTimeMs,
  open,
  pause,
  put,
  recovery,
  targetOf,
  told,
  within,
} from './redis-stage.ts'

describe.skipIf(isSkipped('redis'))('one server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({ settings: ['appendonly yes', 'appendfsync always'] })
  })
  afterAll(async () => await server.dispose())
  beforeEach(async () => {
    // A test that failed may have left it frozen or dead.
    server.process().signal('SIGCONT')
    if (server.process().hasEnded()) await server.start()
    await server.command('FLUSHALL')
  })

  it('a frozen server: every call ends within two seconds, and what was given up is not written later', async () => {
    const store = await open(server.url)
    const other = await open(server.url)
    await put(store, 'a', 'before')
    server.process().signal('SIGSTOP')
    const failures = await Promise.all([
      failureOf(store.read('a')),
      failureOf(store.write('a', { body: 'given up', dueAt: 0 }, 1)),
      failureOf(store.scan({ limit: 10 })),
      failureOf(store.changes(null, 10)),
      failureOf(store.now()),
    ])
    for (const { code, ms } of failures) {
      expect(code).toBe('store_unavailable')
      expect(ms).toBeLessThan(inTimeMs)
    }
    // A connection has to be opened now, and the frozen server takes it without a word.
    expect((await failureOf(store.read('a'))).ms).toBeLessThan(inTimeMs)
    server.process().signal('SIGCONT')
    expect(await recovery(store)).toBeLessThan(5_000)
    await recovery(other)
    await pause(200)
    expect(await other.read('a')).toEqual({ body: 'before', revision: 1 })
  })

  it('calls that come one after the other to a frozen server end in time as well, each by its own clock', async () => {
    const store = await open(server.url)
    server.process().signal('SIGSTOP')
    const calls: Promise<{ code: string; ms: number }>[] = []
    for (let count = 0; count < 12; count += 1) {
      calls.push(failureOf(store.read(`n${count}`)))
      await pause(250)
    }
    for (const { code, ms } of await Promise.all(calls)) {
      expect(code).toBe('store_unavailable')
      expect(ms).toBeLessThan(inTimeMs)
    }
    server.process().signal('SIGCONT')
    await recovery(store)
  })

  it('a short freeze costs time and nothing else', async () => {
    const store = await open(server.url)
    await put(store, 'a', 'x')
    server.process().signal('SIGSTOP')
    const reading = store.read('a')
    const writing = store.write('a', { body: 'y', dueAt: 0 }, 1)
    await pause(300)
    server.process().signal('SIGCONT')
    expect(await reading).toEqual({ body: 'x', revision: 1 })
    expect(await writing).toBe(2)
  })

  it('a process that is held up does not take the answer that it has not read for silence', async () => {
    const store = await open(server.url)
    await put(store, 'a', 'x')
    const reading = store.read('a')
    const until = performance.now() + storeMsMax + 500
    while (performance.now() < until);
    expect(await reading).toEqual({ body: 'x', revision: 1 })
  })

  it('a killed server: calls fail at once; started again it is used again, with all that was answered', async () => {
    const store = await open(server.url)
    await put(store, 'a', 'kept')
    const cursor = await cursorOf(store)
    await server.process().end('SIGKILL')
    const failure = await failureOf(store.read('a'))
    expect(failure.code).toBe('store_unavailable')
    expect(failure.ms).toBeLessThan(1_000)
    const hears = told(store)
    await server.start()
    expect(await recovery(store)).toBeLessThan(5_000)
    expect(await (await open(server.url)).read('a')).toEqual({ body: 'kept', revision: 1 })
    expect((await store.read('a')).body).toBe('kept')
    // It may have lost its last writes, whatever its settings say.
    expect(await store.changes(cursor, 10)).toMatchObject({ reset: true, changed: [] })
    await within(2_000, hears)
  })

  it('a server emptied under us: revisions go on above all that were used, and cursors are reset', async () => {
    const notices: string[] = []
    const store = await open(server.url, ({ en }) => notices.push(en))
    for (let count = 0; count < 3; count += 1) await put(store, 'a', `value ${count}`)
    const cursor = await cursorOf(store)
    await server.command('FLUSHALL')
    expect(await store.changes(cursor, 10)).toMatchObject({ reset: true })
    const { body, revision } = await store.read('a')
    expect(body).toBeNull()
    expect(countOf(revision)).toBeGreaterThan(3)
    expect(countOf((await store.read('never')).revision)).toBeGreaterThan(3)
    expect(await store.write('a', { body: 'new', dueAt: 0 }, revision)).toBe(revision + 1)
    expect(notices.join()).toContain('lost keys')
    const fresh = await open(server.url)
    expect(await fresh.read('a')).toEqual({ body: 'new', revision: countOf(revision) + 1 })
  })

  it('a revision learnt before the loss is worth nothing, also when somebody has reached it again', async () => {
    const store = await open(server.url)
    for (let count = 0; count < 3; count += 1) await put(store, 'a', 'old')
    await server.command('FLUSHALL')
    const stranger = await open(server.url)
    for (let count = 0; count < 3; count += 1) await put(stranger, 'a', 'of the stranger')
    expect(await stranger.read('a')).toEqual({ body: 'of the stranger', revision: 3 })
    expect(await store.write('a', { body: 'over it', dueAt: 0 }, 3)).toBeNull()
    // Also when another call has meanwhile noticed the loss.
    expect(await store.write('a', { body: 'over it', dueAt: 0 }, 3)).toBeNull()
    const found = await store.read('a')
    expect(found.body).toBe('of the stranger')
    // Nor because somebody else in this process has read it.
    expect(await store.write('a', { body: 'over it', dueAt: 0 }, 3)).toBeNull()
    for (const { revision } of (await store.scan({ limit: 1 })).records) expect(revision).toBe(found.revision)
    expect(await store.write('a', { body: 'knowingly', dueAt: 0 }, found.revision)).toBe(found.revision + 1)
  })

  it('a lost index is made again, and lost rows are noticed', async () => {
    const store = await open(server.url)
    const names = ['a', 'b', 'c']
    for (const [index, name] of names.entries()) await put(store, name, 'x', index)
    await put(store, 'gone', null)
    const [shard = '', entries = '', due = '', byName = '', log = ''] = new RedisLayout('zhongkong').shardKeys(0)
    for (const index of [due, byName, log, shard]) {
      await server.command('DEL', index)
      expect((await store.scan({ dueBefore: 10, limit: 10 })).records.map(({ name }) => name)).toEqual(names)
      expect((await store.scan({ limit: 10 })).records.map(({ name }) => name)).toEqual(names)
      expect(countOf((await store.read('gone')).revision)).toBe(1)
    }
    await server.command('HDEL', entries, 'b')
    const { body, revision } = await store.read('b')
    expect(body).toBeNull()
    expect(countOf(revision)).toBeGreaterThan(1)
    expect((await store.scan({ dueBefore: 10, limit: 10 })).records.map(({ name }) => name)).toEqual(['a', 'c'])
  })

  it('a full server: writes say store_full, reads and the clock go on, and room ends it', async () => {
    const store = await open(server.url)
    await put(store, 'a', 'x')
    await server.command('CONFIG', 'SET', 'maxmemory', '1')
    try {
      expect((await failureOf(store.write('a', { body: 'y', dueAt: 0 }, 1))).code).toBe('store_full')
      expect(await store.read('a')).toEqual({ body: 'x', revision: 1 })
      await pause(150)
      expect(await store.now()).toBeGreaterThan(0)
      expect((await store.scan({ limit: 5 })).records).toHaveLength(1)
    } finally {
      await server.command('CONFIG', 'SET', 'maxmemory', '0')
    }
    expect(await store.write('a', { body: 'y', dueAt: 0 }, 1)).toBe(2)
  })

  it('a server made a replica under us takes nothing and tells nothing, until it is a master again', async () => {
    const store = await open(server.url)
    await put(store, 'a', 'x')
    const master = await startRedis()
    try {
      await server.command('REPLICAOF', '127.0.0.1', String(master.port))
      await until(async () => (await server.command('INFO', 'replication')).includes('master_link_status:up'))
      const failure = await failureOf(store.write('a', { body: 'y', dueAt: 0 }, 1))
      expect(failure).toMatchObject({ code: 'store_full', message: expect.stringContaining('replica') })
      expect(failure.ms).toBeLessThan(2_000)
      expect((await failureOf(store.read('a'))).code).toBe('store_full')
      expect((await failureOf(open(server.url))).code).toBe('store_full')
      await server.command('REPLICAOF', 'NO', 'ONE')
      await recovery(store)
      expect((await store.read('a')).body).toBeNull()
    } finally {
      await master.dispose()
    }
  })

  it('flushed scripts and cut connections are nobody’s concern', async () => {
    const store = await open(server.url)
    const revision = await put(store, 'a', 'x')
    await server.command('SCRIPT', 'FLUSH')
    expect(await store.read('a')).toEqual({ body: 'x', revision })
    expect(await store.write('a', { body: 'y', dueAt: 0 }, revision)).toBe(revision + 1)
    await server.command('CLIENT', 'KILL', 'TYPE', 'normal')
    expect(await store.read('a')).toEqual({ body: 'y', revision: revision + 1 })
  })

  it('a connection cut before the answer: a read is made again, a write is not, as it may have happened', async () => {
    const store = await open(server.url)
    await put(store, 'a', 'x')
    await server.command('CLIENT', 'PAUSE', '600', 'WRITE')
    const reading = store.read('a')
    const writing = failureOf(store.write('a', { body: 'y', dueAt: 0 }, 1))
    await pause(100)
    await server.command('CLIENT', 'KILL', 'TYPE', 'normal')
    expect((await writing).code).toBe('store_unavailable')
    expect(await reading).toEqual({ body: 'x', revision: 1 })
  })

  it('without any message, a change is told within a second and a half', async () => {
    await server.command('ACL', 'SETUSER', 'mute', 'on', '>p@ss:w/rd', '~*', 'resetchannels', '+@all')
    const url = server.url.replace('//', '//mute:p%40ss%3Aw%2Frd@')
    const [store, other] = [await open(url), await open(url)]
    const heard = { times: 0 }
    other.watch(() => (heard.times += 1))
    await pause(800)
    heard.times = 0
    await put(store, 'a', 'x')
    await within(
      1_500,
      until(async () => heard.times > 0),
    )
    expect(await server.command('PUBSUB', 'NUMSUB', 'zhongkong:changed')).toContain('0')
  })

  it('a message is told in less time than a look takes', async () => {
    const [store, other] = [await open(server.url), await open(server.url)]
    let heard: (() => void) | null = null
    other.watch(() => heard?.())
    await until(async () => (await server.command('PUBSUB', 'NUMSUB', 'zhongkong:changed')).includes('1'))
    const times: number[] = []
    for (let round = 0; round < 10; round += 1) {
      await pause(20)
      const telling = new Promise<void>((resolve) => (heard = resolve))
      const start = performance.now()
      await put(store, 'a', `x${round}`)
      await telling
      times.push(performance.now() - start)
    }
    expect(times.sort((left, right) => left - right)[5]).toBeLessThan(100)
    // The subscription is asked whether it lives every two seconds, and outlives that.
    await pause(2_200)
    expect(await server.command('PUBSUB', 'NUMSUB', 'zhongkong:changed')).toContain('1')
    expect(await server.command('CLIENT', 'LIST', 'TYPE', 'pubsub')).toContain('cmd=ping')
  })

  it('a wrong password is told with a hint and without the password', async () => {
    await server.command('ACL', 'SETUSER', 'somebody', 'on', '>right', '~*', '&*', '+@all')
    const failure = await failureOf(open(server.url.replace('//', '//somebody:hunter2@')))
    expect(failure).toMatchObject({ code: 'store_unavailable', message: expect.stringContaining('password') })
    expect(JSON.stringify(failure)).not.toContain('hunter2')
  })

  it('a user without INFO and CONFIG can use the store, and is told what could not be checked', async () => {
    const rights = ['~{zhongkong:*', '&zhongkong:*', '+@all', '-@dangerous', '+info']
    await server.command('ACL', 'SETUSER', 'tenant', 'on', '>secret', 'resetkeys', 'resetchannels', ...rights)
    await server.command('CONFIG', 'SET', 'appendonly', 'no')
    const notices: string[] = []
    try {
      const store = await open(server.url.replace('//', '//tenant:secret@'), ({ en }) => notices.push(en))
      await put(store, 'a', 'x')
      expect(await store.now()).toBeGreaterThan(0)
    } finally {
      await server.command('CONFIG', 'SET', 'appendonly', 'yes')
    }
    expect(notices.join()).toContain('does not tell whether it saves')
  })

  it('a server that evicts keys is refused', async () => {
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await server.command('CONFIG', 'SET', 'maxmemory', '100mb')
    try {
      const failure = await failureOf(open(server.url))
      expect(failure).toMatchObject({ code: 'config_invalid', message: expect.stringContaining('allkeys-lru') })
    } finally {
      await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      await server.command('CONFIG', 'SET', 'maxmemory', '0')
    }
  })

  it('the clock does not go back when the server’s does, and all nodes stay agreed', async () => {
    const [store, other] = [await open(server.url), await open(server.url)]
    const first = await store.now()
    const clock = new RedisLayout('zhongkong').clockKey
    // As if a server ten minutes ahead had told the time until now.
    await server.command('HSET', clock, 'at', String(first + 600_000))
    const second = await other.now()
    expect(second).toBeGreaterThan(first + 600_000)
    expect(Math.abs((await store.now()) - second)).toBeLessThan(1_000)
    // A loss of the clock's key is made good by whoever has seen the time.
    await server.command('DEL', clock)
    const third = await other.now()
    expect(third).toBeGreaterThanOrEqual(second)
    const start = performance.now()
    await pause(50)
    const passed = (await store.now()) - third
    expect(passed).toBeGreaterThanOrEqual(45)
    expect(passed).toBeLessThan(performance.now() - start + 200)
  })

  it('a store of another layout is refused', async () => {
    await open(server.url)
    await server.command('HSET', new RedisLayout('zhongkong').metaKey, 'layout', '2')
    expect((await failureOf(open(server.url))).code).toBe('store_newer')
  })
})

describe.skipIf(isSkipped('redis'))('with TLS', () => {
  it('a server is used whose authority is given, and refused when it is not', async () => {
    const server = await startRedis({ tls: true })
    try {
      const store = await open(server.url)
      await put(store, 'a', 'x')
      const failure = await failureOf(open(server.url.replace(/\?.*/, '')))
      expect(failure.code).toBe('store_unavailable')
      expect(failure.message).toMatch(/CERT|certificate/i)
      expect((await failureOf(open(`${server.url}x`))).code).toBe('config_unreadable')
    } finally {
      await server.dispose()
    }
  })
})

it('trying again and again to reach a server costs next to nothing', async () => {
  const { createClient } = await loadRedis()
  const clients = [1, 2, 3].map((each) => createClient({ socket: { port: each }, RESP: 2 }))
  expect(new Set(clients.map((client) => client.constructor)).size).toBe(1)
})

describe('without the library', () => {
  it('the failure says which command installs it', async () => {
    vi.doMock('@redis/client', () => {
      throw new Error('not installed')
    })
    const failure = await openRedisStore({ target: targetOf('redis://127.0.0.1'), env }).then(
      () => expect.unreachable('it opened'),
      (error: unknown) => error as { code: string; hint: Text },
    )
    vi.doUnmock('@redis/client')
    expect(failure.code).toBe('dependency_missing')
    expect(failure.hint.en).toContain('npm install @redis/client')
  })
})
