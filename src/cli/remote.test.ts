import { afterEach, describe, expect, it } from 'vitest'
import { cannedServer, type Canned, type CannedServer } from '../../test/cli/canned-server.ts'
import { fakeIo, type FakeIo } from '../../test/cli/fake-io.ts'
import type { SourceAnswer } from '../wire/v1.ts'
import type { CommandModule } from './command.ts'
import * as get from './commands/get.ts'
import * as refresh from './commands/refresh.ts'
import * as status from './commands/status.ts'
import { faultLines } from './fault.ts'
import { widthOf } from './terminal.ts'

const servers: CannedServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

type Answer = Parameters<typeof cannedServer>[0]

async function serverThat(
  answer: Answer,
  environment: Record<string, string> = {},
): Promise<{ server: CannedServer; io: FakeIo }> {
  const server = await cannedServer(answer)
  servers.push(server)
  return { server, io: fakeIo({ environment: { ZHONGKONG_URL: server.url, ...environment } }) }
}

async function told(command: CommandModule, io: FakeIo, language: 'en' | 'zh' = 'en'): Promise<readonly string[]> {
  const input = { args: ['weixin'], options: {} }
  return await command.run(input, io).then(
    () => [],
    (thrown: unknown) => {
      const { lines, exitCode } = faultLines(thrown, language)
      return [...lines, `exit ${exitCode}`]
    },
  )
}

const token = (version: number): Canned => ({
  headers: { etag: `"${version}"` },
  body: { name: 'weixin', token: `token-${version}`, version, expires_in: 7200 },
})

describe('get', () => {
  it('prints the token alone', async () => {
    const { io, server } = await serverThat(() => token(3))
    expect(await get.run({ args: ['weixin'], options: {} }, io)).toBe(0)
    expect(io.outLines).toEqual(['token-3'])
    expect(server.asked).toEqual(['GET /v1/tokens/weixin'])
  })

  it('sends the key and the language, and the name whatever is in it', async () => {
    const { io, server } = await serverThat(() => token(3), { ZHONGKONG_KEY: 'zk_test' })
    await get.run({ args: ['a/b?c'], options: { minTtl: '60' } }, io)
    expect(server.asked).toEqual(['GET /v1/tokens/a%2Fb%3Fc?min_ttl=60'])
    expect(server.requests[0]?.headers).toMatchObject({ authorization: 'Bearer zk_test', 'accept-language': 'en' })
  })

  it('keeps a path in ZHONGKONG_URL, for a server behind a proxy', async () => {
    const { io, server } = await serverThat(() => token(3))
    const environment = { ZHONGKONG_URL: `${server.url}/tokens/` }
    await get.run({ args: ['weixin'], options: {} }, { ...io, environment })
    expect(server.asked).toEqual(['GET /tokens/v1/tokens/weixin'])
  })

  it('watches: each new token once, over pauses and a lost connection, until it is stopped', async () => {
    const answers = [token(1), { status: 304 }, token(2), null, token(3)]
    const { io, server } = await serverThat((count) => {
      const answer = answers[count]
      if (answer === undefined) io.stop()
      return answer ?? null
    })
    expect(await get.run({ args: ['weixin'], options: { watch: true } }, io)).toBe(0)
    expect(io.outLines).toEqual(['token-1', 'token-2', 'token-3'])
    expect(io.errLines[0]).toMatch(/^error: cannot reach the server/)
    expect(server.requests[1]?.headers['if-none-match']).toBe('"1"')
    expect(server.asked[1]).toBe('GET /v1/tokens/weixin?wait=30')
  })

  it('refuses a --min-ttl that is no number, with exit code 2', async () => {
    const { io, server } = await serverThat(() => token(1))
    await expect(get.run({ args: ['weixin'], options: { minTtl: '5m' } }, io)).rejects.toMatchObject({ exitCode: 2 })
    expect(server.asked).toEqual([])
  })
})

describe('refresh', () => {
  it('says that there is a new token, and how long it lives', async () => {
    const { io } = await serverThat(() => ({ body: { refreshed: true, version: 4, expires_in: 7199 } }))
    await refresh.run({ args: ['weixin'], options: {} }, io)
    expect(io.outLines).toEqual(['weixin: refreshed; version 4, 1h 59m left'])
  })

  it('says why there is none', async () => {
    const body = { refreshed: false, reason: 'not_current', version: 4, expires_in: 60 }
    const { io, server } = await serverThat(() => ({ body }))
    await refresh.run({ args: ['weixin'], options: { stale: 'old' } }, { ...io, language: 'zh' })
    expect(io.outLines).toEqual(['weixin：未刷新，该令牌此前已被替换；当前版本 4，剩余 1m'])
    expect(server.asked).toEqual(['POST /v1/tokens/weixin/refresh'])
  })
})

describe('a refusal is told with what to do', () => {
  const problem = (code: string, more: object = {}): object => ({ code, detail: 'what happened', ...more })

  it.each([
    [401, 'unauthorized', {}, '  This server wants a key: ZHONGKONG_KEY=zk_… (make one with "zhongkong key new").'],
    [401, 'unauthorized', { ZHONGKONG_KEY: 'zk_x' }, '  The key in ZHONGKONG_KEY is not one of this server.'],
    [
      403,
      'forbidden',
      {},
      '  The source may not exist, or this key may not do that: see "clients:" in zhongkong.yaml.',
    ],
    [
      404,
      'not_found',
      {},
      '  The source may not exist, or this key may not do that: see "clients:" in zhongkong.yaml.',
    ],
  ])('%i %s', async (code, word, environment, advice) => {
    const { io } = await serverThat(() => ({ status: code, body: problem(word) }), environment)
    expect(await told(get, io)).toEqual([`error: what happened (${code} ${word})`, advice, 'exit 1'])
  })

  it('503: the hint of the server, the upstream’s words, and when to try again', async () => {
    const upstream = { errcode: 40164, errmsg: 'invalid ip' }
    const body = problem('token_unavailable', { hint: 'Add 1.2.3.4 to the list.', upstream })
    const { io } = await serverThat(() => ({ status: 503, headers: { 'retry-after': '7' }, body }))
    expect(await told(get, io)).toEqual([
      'error: what happened [40164 invalid ip] (503 token_unavailable)',
      '  Add 1.2.3.4 to the list.',
      '  Worth trying again in 7 s.',
      'exit 1',
    ])
    expect((await told(get, io, 'zh'))[2]).toBe('  7 秒后可重试。')
  })

  it('503 in Chinese: the hint leads, as what the server details is English', async () => {
    const upstream = { errcode: 40164, errmsg: 'invalid ip' }
    const body = problem('token_unavailable', { hint: '请把 1.2.3.4 加入白名单。', upstream })
    const { io } = await serverThat(() => ({ status: 503, body }))
    expect(await told(get, io, 'zh')).toEqual([
      '错误：请把 1.2.3.4 加入白名单 [40164 invalid ip]（503 token_unavailable）',
      '  what happened',
      'exit 1',
    ])
  })

  it('403: what the server says of the missing right is said once', async () => {
    const { io } = await serverThat(() => ({ status: 403, body: problem('forbidden', { hint: 'Give it the right.' }) }))
    expect(await told(get, io)).toEqual(['error: what happened (403 forbidden)', '  Give it the right.', 'exit 1'])
  })

  it('nobody there', async () => {
    const { io, server } = await serverThat(() => token(1))
    await server.close()
    const lines = await told(get, io)
    expect(lines[0]).toBe(`error: cannot reach the server at ${server.url} (ECONNREFUSED)`)
    expect(lines[1]).toContain('zhongkong serve')
  })

  it.each([
    ['a web page', { body: '<html>hello</html>' }],
    ['a web page with an error', { status: 502, body: '<html>bad gateway</html>' }],
    ['JSON of something else', { body: { hello: 1 } }],
    ['a list', { body: [] }],
    ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' }],
  ])('something else there: %s', async (_, canned) => {
    const { io } = await serverThat(() => canned)
    for (const command of [get, refresh, status]) {
      expect((await told(command, io))[0]).toMatch(/does not answer as zhongkong does/)
    }
  })

  it('an address that is none, with exit code 2', async () => {
    const io = fakeIo({ environment: { ZHONGKONG_URL: 'localhost:8888' } })
    const lines = await told(get, io)
    expect(lines[0]).toBe('error: ZHONGKONG_URL is "localhost:8888", which is no http(s) address')
    expect(lines.at(-1)).toBe('exit 2')
  })
})

const source = (changes: Partial<SourceAnswer>): SourceAnswer => ({
  name: 'weixin',
  provider: 'wechat',
  origin: 'file',
  needs: [],
  state: 'fresh',
  reason: 'nothing to do',
  version: 12,
  expires_in: 7_140,
  issued_at: 1,
  next_refresh_in: 4_500,
  attempts_today: 3,
  daily_limit: 2_000,
  trouble: null,
  conflict: false,
  ...changes,
})

const failing = source({
  name: 'corp',
  state: 'failing',
  expires_in: null,
  version: 0,
  next_refresh_in: 8,
  trouble: {
    class: 'permission',
    code: 'upstream_rejected',
    message: 'the upstream refused: 60020 not allow to access from your ip, from ip: 203.0.113.9',
    upstream: { errcode: 60020, errmsg: 'not allow to access from your ip, from ip: 203.0.113.9, more info at …' },
    hint: '请在企业微信管理后台的应用详情里，把 203.0.113.9 加入企业可信 IP，然后等待自动重试即可。',
    count: 5,
    since: 1,
  },
})

describe('status', () => {
  it('is a table in which the eye finds what it looks for', () => {
    expect(status.statusLines([source({}), failing], 'en', 80).slice(0, 3)).toEqual([
      'SOURCE  STATE    LEFT    NEXT    VER  LAST ERROR',
      'weixin  fresh    1h 59m  1h 15m  12   -',
      'corp    failing  -       8s      -    60020 not allow to access from your ip, f…',
    ])
  })

  it.each(['en', 'zh'] as const)('fits 80 columns, failures explained in full below (%s)', (language) => {
    const long = source({ name: 'platform/wx0123456789abcdef/authorizer', conflict: true })
    const lines = status.statusLines([source({}), failing, long], language, 80)
    expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(80)
    expect(lines.join('')).toContain('企业可信 IP')
  })

  it('tells how often and since when tokens died early, and what to do', () => {
    const conflict_signs = { sign: 'refused', deaths: 4, since: 0, last: 3_600, hint: '请找到该程序。' } as const
    const contested = source({ conflict: true, conflict_signs })
    const english = status.statusLines([contested], 'en', 120).join('\n')
    expect(english).toContain(
      '4 times since 1970-01-01T00:00 UTC, last at 1970-01-01T01:00 UTC; the platform refused them.',
    )
    const chinese = status.statusLines([contested], 'zh', 80)
    expect(chinese.join('')).toContain('共 4 次')
    expect(chinese.at(-1)).toBe('  请找到该程序。')
    expect(Math.max(...chinese.map(widthOf))).toBeLessThanOrEqual(80)
  })

  it('is Chinese for who reads Chinese, where the upstream said nothing itself', () => {
    const trouble = {
      class: 'not-sent' as const,
      code: 'upstream_unreachable',
      message: 'no connection (ECONNREFUSED)',
      hint: '无法建立连接。',
      count: 3,
      since: 0,
    }
    const lines = status.statusLines([source({ state: 'failing', trouble })], 'zh', 80)
    expect(lines[1]).toMatch(/失败 .*无法建立连接。$/)
    expect(lines.slice(3)).toEqual(['weixin（连续失败 3 次）', '  无法建立连接。', '  no connection (ECONNREFUSED)'])
  })

  it('reads all pages, and does not go round for ever on a server that gives the same one again', async () => {
    const pages = [
      { sources: [source({})], next: 'weixin' },
      { sources: [failing], next: 'weixin' },
    ]
    const { io, server } = await serverThat((count) => ({ body: pages[Math.min(count, 1)] }))
    await status.run({ args: [], options: { json: true } }, io)
    expect(server.asked).toEqual(['GET /v1/sources', 'GET /v1/sources?after=weixin'])
    expect(JSON.parse(io.outLines[0] ?? '')).toMatchObject({ sources: [{ name: 'weixin' }, { name: 'corp' }] })
  })

  it('shows a state of a newer server as it comes', () => {
    const odd = source({ state: 'hibernating' as 'fresh' })
    expect(status.statusLines([odd], 'zh', 80)[1]).toContain('hibernating')
  })

  it('cannot be made to play with the terminal by names and messages', () => {
    const evil = source({ name: 'a\u001b[2J', conflict: true })
    expect(status.statusLines([evil], 'en', 80).join('')).not.toContain('\u001b')
  })
})
