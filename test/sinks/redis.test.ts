/** Redis sinks on real servers, read as the programs read that they are for. */
import { afterEach, describe, expect, test } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { openSink } from '../../src/events/sinks/redis.ts'
import type { Sink, SinkToken } from '../../src/events/sinks/sink.ts'
import { laidOut, type SinkLayout } from '../../src/model/sink-layout.ts'
import type { Source } from '../../src/model/source.ts'
import { parseSource } from '../../src/providers/catalogue.ts'
import { openSinkScripts } from '../../src/stores/redis-sink-scripts.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { startCluster, startRedis, startSentinels, type RedisServer } from '../servers/redis-server.ts'

const closes: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close()
})

function sourceOf(name: string, definition: Readonly<Record<string, string>>): Source {
  const parsed = parseSource(name, definition, 'file', () => undefined)
  if (!parsed.ok) throw new Error('the definition is wrong')
  return parsed.source
}

const sources = [
  sourceOf('access_token', { provider: 'wechat', appid: 'wx1', secret: 'secret-of-wx1' }),
  sourceOf('ticket', { provider: 'wechat-ticket', of: 'access_token' }),
  sourceOf('corp', { provider: 'wecom', corpid: 'ww1', secret: 'secret-of-ww1' }),
]
const above = (source: Source): Source[] => sources.filter(({ name }) => name === source.needs[0])
const named = (name: string | undefined): Source | undefined => sources.find((source) => source.name === name)

function open(url: string, layout: SinkLayout): Sink {
  const env = realEnv()
  const sink = openSink(
    { kind: 'redis', sources: ['*'], url, layout },
    {
      env,
      describe: (name) => {
        const source = named(name)
        return Promise.resolve(source === undefined ? undefined : laidOut(source, above(source)))
      },
      openRedis: (at) => openSinkScripts(at, env),
    },
  )
  closes.push(
    () => env.close(),
    () => sink.close(),
  )
  return sink
}

async function server(options: Parameters<typeof startRedis>[0] = {}): Promise<RedisServer> {
  const started = await startRedis(options)
  closes.push(() => started.dispose())
  return started
}

const preset = (name: 'wechat-token-server' | 'wxjava' | 'wechatpy' | 'silenceper' | 'powerwechat'): SinkLayout => ({
  preset: name,
  prefix: null,
})

function token(version: number, lifeMs = 7_200_000, issuedAt = Date.now()): SinkToken {
  return { token: `token-${version}`, version, issuedAt, expiresAt: issuedAt + lifeMs, fields: {} }
}

const never = new AbortController().signal

async function fill(redis: RedisServer, layout: SinkLayout): Promise<void> {
  const sink = open(redis.url, layout)
  for (const { name } of sources) {
    const outcome = await sink.put(name, { ...token(1), token: `value of ${name}` }, never).catch(String)
    expect(['written', 'Error: the layout has no key for a source of kind wecom']).toContain(outcome)
  }
}

describe.skipIf(isSkipped('redis'))('read as by', () => {
  test('wechat-token-server: GET access_token and GET ticket, with a TTL', async () => {
    const redis = await server()
    await fill(redis, preset('wechat-token-server'))
    for (const key of ['access_token', 'ticket']) {
      expect(await redis.command('GET', key)).toBe(`value of ${key}`)
      const left = Number(await redis.command('TTL', key))
      expect(left).toBeGreaterThan(7_190)
      expect(left).toBeLessThanOrEqual(7_200)
    }
  })

  test('WxJava: a plain text that counts as over when less than two seconds are left', async () => {
    const redis = await server()
    await fill(redis, preset('wxjava'))
    const read = async (key: string): Promise<string | null> =>
      Number(await redis.command('TTL', key)) < 2 ? null : await redis.command('GET', key)
    expect(await read('wx:access_token:wx1')).toBe('value of access_token')
    expect(await read('wx:ticket:key:wx1:jsapi')).toBe('value of ticket')
    expect(await read('wechat_cp_access_token_key:ww1')).toBe('value of corp')
  })

  test('wechatpy: JSON, and an end in seconds that lies a minute ahead', async () => {
    const redis = await server()
    await fill(redis, preset('wechatpy'))
    const session = async (key: string): Promise<unknown> => {
      const text = await redis.command('GET', `wechatpy:${key}`)
      return text === '' ? null : JSON.parse(text)
    }
    expect(await session('wx1_access_token')).toBe('value of access_token')
    expect(await session('wx1_jsapi_ticket')).toBe('value of ticket')
    expect(await session('ww1_secret-of-_access_token')).toBe('value of corp')
    for (const key of ['wx1_access_token_expires_at', 'wx1_jsapi_ticket_expires_at']) {
      const end = await session(key)
      expect(Number(end) - Date.now() / 1_000).toBeGreaterThan(60)
      expect(Number.isInteger(end)).toBe(true)
    }
  })

  test('silenceper/wechat: the text under its key, as long as it is there', async () => {
    const redis = await server()
    await fill(redis, preset('silenceper'))
    const get = (key: string): Promise<string> => redis.command('GET', key)
    expect(await get('gowechat_officialaccount__access_token_wx1')).toBe('value of access_token')
    expect(await get('gowechat_officialaccount__stable_access_token_wx1')).toBe('value of access_token')
    expect(await get('gowechat_officialaccount__jsapi_ticket_wx1')).toBe('value of ticket')
    expect(await get('gowechat_work__access_token_ww1')).toBe('value of corp')
    // Its own margin of 1 500 s would leave a gap until the next refresh.
    expect(Number(await redis.command('TTL', 'gowechat_work__access_token_ww1'))).toBeGreaterThan(7_190)
  })

  test('PowerWeChat: an object with token and lifetime, the lifetime a number', async () => {
    const redis = await server()
    await fill(redis, preset('powerwechat'))
    const keys = (await redis.command('KEYS', 'powerwechat.*')).split('\n').toSorted()
    expect(keys).toHaveLength(3)
    const ofCorp = await Promise.all(keys.map(async (key) => JSON.parse(await redis.command('GET', key)) as object))
    expect(ofCorp).toContainEqual({ access_token: 'value of corp', expires_in: 7_200 })
    expect(ofCorp).toContainEqual({ errcode: 0, errmsg: 'ok', ticket: 'value of ticket', expires_in: 7_200 })
  })
})

describe.skipIf(isSkipped('redis'))('a key', () => {
  test('never outlives its token, nor do its companions stay for ever', async () => {
    const redis = await server()
    const sink = open(redis.url, preset('wxjava'))
    await sink.put('access_token', token(1, 1_500), never)
    expect(Number(await redis.command('PTTL', 'wx:access_token:wx1'))).toBeLessThanOrEqual(1_500)
    await expect.poll(() => redis.command('EXISTS', 'wx:access_token:wx1'), { timeout: 4_000 }).toBe('0')
    for (const key of (await redis.command('KEYS', '*')).split('\n')) {
      expect(Number(await redis.command('TTL', key))).toBeGreaterThan(0)
    }
    // What is over is not written at all.
    expect(await sink.put('access_token', token(2, 0), never)).toBe('unchanged')
    expect(await redis.command('EXISTS', 'wx:access_token:wx1')).toBe('0')
  })

  test('is left alone when it is right, and put back when somebody changed, deleted or unbound it', async () => {
    const redis = await server()
    const sink = open(redis.url, preset('wxjava'))
    const one = token(1)
    const key = 'wx:access_token:wx1'
    expect(await sink.put('access_token', one, never)).toBe('written')
    expect(await sink.put('access_token', one, never)).toBe('unchanged')
    const spoils = [
      ['SET', key, 'what an SDK fetched for itself', 'EX', '7000'],
      ['DEL', key],
      ['PERSIST', key],
      ['EXPIRE', key, '10'],
      ['FLUSHALL'],
    ]
    for (const spoil of spoils) {
      await redis.command(...spoil)
      expect(await sink.put('access_token', one, never), spoil.join(' ')).toBe('written')
      expect(await redis.command('GET', key)).toBe('token-1')
      expect(Number(await redis.command('TTL', key))).toBeGreaterThan(7_100)
    }
  })

  test('goes with its source when we wrote it, and stays when we did not', async () => {
    const redis = await server()
    const sink = open(redis.url, preset('wechatpy'))
    await sink.put('access_token', token(1), never)
    await redis.command('SET', 'bystander', 'x')
    await sink.remove('access_token', never)
    expect(await redis.command('KEYS', '*')).toBe('bystander')
    await sink.remove('ticket', never)
    // Somebody else's key under our name, without a companion.
    await sink.put('access_token', token(2), never)
    await redis.command('DEL', 'zhongkong:sink:{wechatpy:wx1_access_token}')
    await sink.remove('access_token', never)
    expect(await redis.command('GET', 'wechatpy:wx1_access_token')).toBe('"token-2"')
  })

  test('of another type gives way, a companion does not, and the failure holds no token', async () => {
    const redis = await server()
    await redis.command('RPUSH', 'wx:access_token:wx1', 'a list')
    const sink = open(redis.url, preset('wxjava'))
    await sink.put('access_token', token(1), never)
    // A list in the place of the companion is no version either.
    expect(await redis.command('GET', 'wx:access_token:wx1')).toBe('token-1')
    await redis.command('DEL', 'zhongkong:sink:{wx:access_token:wx1}')
    await redis.command('RPUSH', 'zhongkong:sink:{wx:access_token:wx1}', 'a list')
    const failure = await sink.put('access_token', token(2), never).catch(String)
    expect(failure).toMatch(/WRONGTYPE|ERR/)
    expect(failure).not.toContain('token-2')
  })
})

describe.skipIf(isSkipped('redis'))('two nodes', () => {
  test('that write the same key at once never take it back to an older version', async () => {
    const redis = await server()
    const nodes = [open(redis.url, preset('wechatpy')), open(redis.url, preset('wechatpy'))]
    const begin = Date.now()
    let highest = 0
    let isOver = false
    const watching = (async () => {
      while (!isOver) {
        const text = await redis.command('GET', 'wechatpy:wx1_access_token')
        const version = text === '' ? 0 : Number(text.slice('"token-'.length, -1))
        expect(version).toBeGreaterThanOrEqual(highest)
        highest = version
      }
    })()
    const outcomes: string[] = []
    for (let turn = 0; turn < 40; turn += 1) {
      const versions = Array.from({ length: 10 }, (_, index) => turn * 5 + ((index * 7) % 10))
      await Promise.all(
        versions.map(async (version, index) => {
          const of = token(version + 1, 7_200_000, begin + version * 1_000)
          outcomes.push(await nodes[index % 2]!.put('access_token', of, never))
        }),
      )
    }
    isOver = true
    await watching
    expect(await redis.command('GET', 'wechatpy:wx1_access_token')).toBe(`"token-${39 * 5 + 10}"`)
    expect(new Set(outcomes)).toContain('older')
  })

  test('take a lower version that was issued later for newer: the store was made anew', async () => {
    const redis = await server()
    const sink = open(redis.url, preset('wxjava'))
    await sink.put('access_token', token(50, 7_200_000, Date.now() - 5_000), never)
    expect(await sink.put('access_token', token(1), never)).toBe('written')
  })
})

describe.skipIf(isSkipped('redis'))('the server', () => {
  test('may want TLS and a password; a wrong one is told without it', async () => {
    const redis = await server({ tls: true, password: 'pass-of-redis' })
    const [scheme, rest] = redis.url.split('://')
    await open(`${scheme}://:pass-of-redis@${rest}`, preset('wxjava')).put('access_token', token(1), never)
    expect(await redis.command('GET', 'wx:access_token:wx1')).toBe('token-1')
    const wrong = open(`${scheme}://:wrong-password@${rest}`, preset('wxjava'))
    const failure = await wrong.put('access_token', token(2), never).catch(String)
    expect(failure).toMatch(/refuses this user/)
    expect(failure).not.toMatch(/wrong-password|token-2/)
    expect(wrong.to).toBe(`127.0.0.1:${redis.port}`)
  })

  test('may give its user no more than docs/sinks.md says', async () => {
    const redis = await server()
    const rights = '~wx:* ~zhongkong:sink:* +get +set +del +pttl +eval +evalsha'
    await redis.command('ACL', 'SETUSER', 'filler', 'on', '>pass-of-filler', ...rights.split(' '))
    const url = redis.url.replace('redis://', 'redis://filler:pass-of-filler@')
    const sink = open(url, preset('wxjava'))
    expect(await sink.put('access_token', token(1), never)).toBe('written')
    expect(await sink.put('access_token', token(2), never)).toBe('written')
    await sink.remove('access_token', never)
    expect(await redis.command('KEYS', '*')).toBe('')
    await expect(open(url, preset('wechatpy')).put('access_token', token(1), never)).rejects.toThrow(/refuses/)
  })

  test('that is gone, frozen or full is told in time, and works again without us doing anything', async () => {
    const redis = await server()
    const sink = open(redis.url, preset('wxjava'))
    await sink.put('access_token', token(1), never)
    redis.process().signal('SIGSTOP')
    const before = performance.now()
    await expect(sink.put('access_token', token(2), never)).rejects.toThrow(/did not answer in time/)
    expect(performance.now() - before).toBeLessThan(7_000)
    redis.process().signal('SIGCONT')
    expect(await sink.put('access_token', token(3), never)).toBe('written')
    await redis.process().end('SIGKILL')
    await expect(sink.put('access_token', token(4), never)).rejects.toThrow(/ECONN/)
    await redis.start()
    expect(await sink.put('access_token', token(4), never)).toBe('written')
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    await expect(sink.put('access_token', token(5), never)).rejects.toThrow(/all the memory/)
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    expect(await sink.put('access_token', token(5), never)).toBe('written')
  }, 30_000)

  test('may be a Cluster: a token and its end live in different slots', async () => {
    const cluster = await startCluster()
    closes.push(() => cluster.dispose())
    const sink = open(cluster.url, preset('wechatpy'))
    expect(await sink.put('access_token', token(2), never)).toBe('written')
    expect(await sink.put('access_token', token(1, 7_200_000, Date.now() - 10_000), never)).toBe('older')
    const found = await Promise.all(cluster.nodes.slice(0, 3).map((node) => node.command('KEYS', 'wechatpy:*')))
    expect(
      found
        .flatMap((keys) => keys.split('\n'))
        .filter(Boolean)
        .toSorted(),
    ).toEqual(['wechatpy:wx1_access_token', 'wechatpy:wx1_access_token_expires_at'])
    await sink.remove('access_token', never)
    const left = await Promise.all(cluster.nodes.slice(0, 3).map((node) => node.command('KEYS', '*')))
    expect(left.join('')).toBe('')
  }, 60_000)

  test('may be watched by sentinels: what is written after a failover is on the new master, and what was lost is put back', async () => {
    const servers = await startSentinels()
    closes.push(() => servers.dispose())
    const master = async (): Promise<RedisServer> => {
      const port = await servers.masterPort()
      return servers.servers.find((each) => each.port === port)!
    }
    const sink = open(servers.url, preset('wxjava'))
    const put = async (version: number): Promise<string> => await sink.put('access_token', token(version), never)
    expect(await put(1)).toBe('written')
    const old = await master()
    await old.process().end('SIGKILL')
    // Nobody is the master for a second or two, and that is told; then whoever tries again finds the new one.
    const until = Date.now() + 20_000
    let said = ''
    while (said !== 'written' && Date.now() < until) said = await put(2).catch(() => 'not yet')
    expect(said).toBe('written')
    const now = await master()
    expect(now.port).not.toBe(old.port)
    expect(await now.command('GET', 'wx:access_token:wx1')).toBe('token-2')
    await now.command('DEL', 'wx:access_token:wx1')
    expect(await put(2)).toBe('written')
    expect(await now.command('GET', 'wx:access_token:wx1')).toBe('token-2')
  }, 60_000)
})
