import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../base/json.ts'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load-config.ts'
import { parseSource } from '../../providers/catalogue.ts'
import { readLegacy } from './legacy.ts'
import { decodePython } from './python-encoding.ts'
import { ImportFault } from './python-tokens.ts'
import { newFiles, type NewFiles } from './write-config.ts'

const convert = (python: string, language: 'en' | 'zh' = 'en'): NewFiles =>
  newFiles(readLegacy(python), { language, schema: './schema.json', from: 'config.py' })

/** Loads the new files as the server would, with the real catalogue. */
async function loaded(files: NewFiles, environment: Record<string, string> = {}): Promise<Config> {
  const byPath: Record<string, string | null> = { '/x/zhongkong.yaml': files.yaml, '/x/.env': files.environment }
  const { config, issues } = await loadConfig({
    path: '/x/zhongkong.yaml',
    environment,
    parseSource,
    readFile: async (path) => {
      const text = byPath[path] ?? null
      if (text === null) throw Object.assign(new Error('none'), { code: 'ENOENT' })
      return { bytes: new TextEncoder().encode(text), mode: 0o100600 }
    },
  })
  // Some of the files here have no sources, because they are about something else.
  expect(issues.filter(({ code }) => code !== 'no_sources')).toEqual([])
  return config!
}

const definitions = async (
  python: string,
  environment: Record<string, string> = {},
): Promise<Record<string, JsonObject>> => {
  const { sources } = await loaded(convert(python), environment)
  return Object.fromEntries(sources.map(({ name, definition }) => [name, definition]))
}

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../test/fixtures/${name}-config.py`, import.meta.url), 'utf8')

const tokenboy = (sources: string): string => `token_sources = {${sources}}`
const wechatArgs = "'grant_type': 'client_credential', 'appid': 'wx1', 'secret': 'hunter2'"
const source = (url: string, args: string, more = ''): string => `{'url': '${url}', 'args': {${args}}${more}}`

describe('the examples of both programs', () => {
  test.each(['en', 'zh'] as const)('programs that read its Redis go on reading it (%s)', async (language) => {
    const { sinks } = await loaded(
      convert(
        "bindIp = '127.0.0.1'\nredisIp = '127.0.0.1'\nredisPort = 6380\nrequestSecret = 'a-long-secret'\ntokenSources = {}",
        language,
      ),
    )
    const layout = { preset: 'wechat-token-server', prefix: null }
    expect(sinks).toEqual([{ kind: 'redis', sources: ['*'], url: 'redis://127.0.0.1:6380', layout }])
    const odd = convert("redisIp = 'a b'\nrequestSecret = 'a-long-secret'\ntokenSources = {}", language)
    expect((await loaded(odd)).sinks).toEqual([])
  })

  test.each(['en', 'zh'] as const)(
    "TokenBoy's becomes an account and its ticket, on loopback (%s)",
    async (language) => {
      const files = convert(fixture('tokenboy'), language)
      const config = await loaded(files)
      expect(config.server.listen).toBe('127.0.0.1:8888')
      expect(config.compat.tokenboy).toEqual({ allow: [] })
      expect(config.compat.wechatTokenServer).toBeNull()
      expect(config.sources.map(({ definition }) => definition)).toEqual([
        {
          provider: 'wechat',
          appid: 'wx0123456789abcdef',
          secret: '0123456789abcdef0123456789abcdef',
          mode: 'classic',
        },
        { provider: 'wechat-ticket', of: 'weixin', type: 'jsapi' },
      ])
      expect(files.environment).toBe('WEIXIN_SECRET=0123456789abcdef0123456789abcdef\n')
      expect(files.yaml).not.toContain('0123456789abcdef0123456789abcdef')
      expect(files.yaml).toMatch(/# .*0\.0\.0\.0.*\n(.*\n)*.*trusted_network/)
      expect(files.yaml.split('\n')[0]).toBe('# yaml-language-server: $schema=./schema.json')
    },
  )
  test("wechat-token-server's keeps its names, its port and its secret", async () => {
    const files = convert(fixture('wechat-token-server'))
    const config = await loaded(files)
    expect(config.server.listen).toBe('127.0.0.1:12123')
    expect(config.compat.tokenboy).toBeNull()
    expect(config.compat.wechatTokenServer?.secret.reveal()).toBe('a-secret-of-the-callers')
    expect(config.sources.map(({ name, kind, needs }) => [name, kind, needs])).toEqual([
      ['access_token', 'wechat', []],
      ['ticket', 'wechat-ticket', ['access_token']],
    ])
    expect(files.yaml).not.toContain('a-secret-of-the-callers')
    expect(files.yaml).toContain('127.0.0.1:6379')
  })
})

describe('sources', () => {
  test('a host that stands in for the real one becomes base_url, also with a path before it', async () => {
    const found = await definitions(
      tokenboy(
        `'a': ${source('http://127.0.0.1:9/cgi-bin/token', wechatArgs)}, 'b': ${source('http://proxy.lan/wx/cgi-bin/token', wechatArgs)}`,
      ),
    )
    expect(found.a).toMatchObject({ provider: 'wechat', base_url: 'http://127.0.0.1:9' })
    expect(found.b).toMatchObject({ provider: 'wechat', base_url: 'http://proxy.lan/wx' })
  })
  test('the real host is asked over TLS, even if the old file said http', async () => {
    const found = await definitions(tokenboy(`'a': ${source('http://api.weixin.qq.com/cgi-bin/token', wechatArgs)}`))
    expect(found.a?.base_url).toBeUndefined()
  })
  test('parameters in the URL count like those in args', async () => {
    const found = await definitions(
      tokenboy(
        `'a': ${source('https://api.weixin.qq.com/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=hunter2', '')}`,
      ),
    )
    expect(found.a).toEqual({ provider: 'wechat', appid: 'wx1', secret: 'hunter2', mode: 'classic' })
  })
  test("WeCom's calls become WeCom sources", async () => {
    const found = await definitions(
      tokenboy(
        `'corp': ${source('https://qyapi.weixin.qq.com/cgi-bin/gettoken', "'corpid': 'ww1', 'corpsecret': 'hunter2'")},
         'corp_js': ${source('https://qyapi.weixin.qq.com/cgi-bin/get_jsapi_ticket', "'access_token': '{{results.corp.access_token}}'")},
         'app_js': ${source('https://qyapi.weixin.qq.com/cgi-bin/ticket/get', "'access_token': '{{results.corp.access_token}}', 'type': 'agent_config'")}`,
      ),
    )
    expect(found).toEqual({
      corp: { provider: 'wecom', corpid: 'ww1', secret: 'hunter2' },
      corp_js: { provider: 'wecom-ticket', of: 'corp', type: 'jsapi' },
      app_js: { provider: 'wecom-ticket', of: 'corp', type: 'agent_config' },
    })
  })
  test('a call with anything unusual stays the request that it was, and keeps what asking again does', async () => {
    const found = await definitions(
      tokenboy(`'a': ${source('http://proxy.lan/cgi-bin/token', `${wechatArgs}, 'x': 1`)}`),
    )
    expect(found.a).toEqual({
      provider: 'http',
      url: 'http://proxy.lan/cgi-bin/token',
      query: { grant_type: 'client_credential', appid: 'wx1', secret: 'hunter2', x: '1' },
      token: '/access_token',
      reissue: 'retires-previous',
    })
  })
  test('a ticket of a source that is asked another way is no ticket source', async () => {
    const found = await definitions(
      tokenboy(
        `'a': ${source('https://a.example/token', "'key': 'hunter2'")},
         't': ${source('https://api.weixin.qq.com/cgi-bin/ticket/getticket', "'access_token': '{{results.a.data}}', 'type': 'jsapi'")},
         'o': ${source('http://other.lan/cgi-bin/ticket/getticket', "'access_token': '{{results.w.access_token}}', 'type': 'jsapi'")},
         'w': ${source('https://api.weixin.qq.com/cgi-bin/token', wechatArgs)}`,
      ),
    )
    expect(found.a).toMatchObject({ provider: 'http', token: '/data', query: { key: 'hunter2' } })
    expect(found.t).toMatchObject({ provider: 'http', token: '/ticket', query: { access_token: '{{results.a.data}}' } })
    expect(found.o).toMatchObject({ provider: 'http' })
  })
  test('wechat-token-server read the field that a source is named after', async () => {
    const found = await definitions(
      `requestSecret = 'long-enough'\ntokenSources = {'tenant_access_token': ${source('https://a.example/t', "'k': 'v', 'type': 'x'", ", 'method': 'POST'")}, 'foo': ${source('https://api.weixin.qq.com/cgi-bin/token', wechatArgs)}}`,
    )
    expect(found.tenant_access_token).toMatchObject({ provider: 'http', method: 'POST', token: '/tenant_access_token' })
    expect(found.foo).toMatchObject({ provider: 'http', token: '/foo' })
  })
  test('secrets of every kind go to .env, each under a name of its own', () => {
    const files = convert(
      tokenboy(
        `'a-b': ${source('https://a.example/x?api_key=hunter2', "'app_secret': 'hunter3', 'token': 'hunter4', 'sign': 'hunter5', 'id': 'open'")},
         'a_b': ${source('https://a.example/x', "'api_key': 'hunter6'")},
         'u': ${source('https://user:hunter7@a.example/x', '')},
         'd': ${source('https://a.example/x?key=hunter8', "'key': 'hunter9'")}`,
      ),
    )
    expect(
      files.environment
        ?.trim()
        .split('\n')
        .map((line) => line.split('=')[0]),
    ).toEqual(['A_B_API_KEY', 'A_B_APP_SECRET', 'A_B_TOKEN', 'A_B_SIGN', 'A_B_API_KEY_2', 'U_URL', 'D_KEY', 'D_URL'])
    expect(files.yaml).not.toMatch(/hunter\d/)
    expect(files.yaml).toContain('id: open')
  })
  test('what came from the environment still does, with its fallback in .env', async () => {
    const python = tokenboy(
      `'a': {'url': 'https://api.weixin.qq.com/cgi-bin/token', 'args': {'grant_type': 'client_credential', 'appid': os.environ['APPID'], 'secret': os.getenv('SECRET', 'hunter2')}}`,
    )
    expect(convert(python).expected).toEqual(['APPID'])
    expect((await definitions(python, { APPID: 'wx9' })).a).toMatchObject({ appid: 'wx9', secret: 'hunter2' })
    expect((await definitions(python, { APPID: 'wx9', SECRET: 'other' })).a).toMatchObject({ secret: 'other' })
  })
  test('any value comes through unchanged, whatever characters it has', async () => {
    const unit = fc.constantFrom(
      '${a}',
      '$',
      '{',
      '}',
      '"',
      "'",
      '\\',
      '#',
      ':',
      ' ',
      '\n',
      '\t',
      '中',
      '😀',
      '\u2028',
      '\u0085',
      '-',
      'a',
      '1',
      '&',
      '*',
      '!',
      '%',
      '@',
      '`',
      ',',
    )
    const texts = fc.string({ unit, maxLength: 12 }).filter((text) => !text.includes('{{'))
    await fc.assert(
      fc.asyncProperty(texts, texts, async (open, secret) => {
        const python = tokenboy(
          `'a': {'url': 'https://a.example/x', 'args': {'k': ${JSON.stringify(open)}, 'secret': ${JSON.stringify(`x${secret}`)}}}`,
        )
        expect((await definitions(python)).a?.query).toEqual({ k: open, secret: `x${secret}` })
      }),
      { numRuns: 60 },
    )
  })
})

describe('addresses', () => {
  test.each([
    ["'0.0.0.0'", '127.0.0.1:8888', true],
    ["''", '127.0.0.1:8888', true],
    ["'10.0.0.5'", '127.0.0.1:8888', true],
    ["'127.0.0.1'", '127.0.0.1:8888', false],
    ["'localhost'", 'localhost:8888', false],
    ["'::1'", '[::1]:8888', false],
    ["'::'", '127.0.0.1:8888', true],
  ])('%s listens on %s', async (written, listen, isTold) => {
    const files = convert(`bind_ip = ${written}\ntoken_sources = {}`)
    expect((await loaded(files)).server.listen).toBe(listen)
    expect(files.remarks.length > 0).toBe(isTold)
  })
  test('a port written as a text is a port', async () => {
    expect((await loaded(convert("bind_port = '80'\ntoken_sources = {}"))).server.listen).toBe('127.0.0.1:80')
  })
})

describe('what cannot be taken over is told with its place', () => {
  test.each<[string, number, number]>([
    ['x = 1', 1, 1],
    ['token_sources = {}\ntokenSources = {}', 2, 16],
    ['token_sources = load()', 1, 17],
    ['token_sources = []', 1, 17],
    ["token_sources = {'a': 1}", 1, 23],
    ["token_sources = {'a': {}}", 1, 23],
    ["token_sources = {'a': {'url': 'ftp://x'}}", 1, 31],
    ["token_sources = {'a': {'url': 'https://x', 'args': {'k': []}}}", 1, 58],
    ["token_sources = {'a': {'url': 'https://x', 'args': {'k': 'a{{b}}'}}}", 1, 58],
    ["token_sources = {'a b': {'url': 'https://x'}}", 1, 25],
    ['bind_port = 99999\ntoken_sources = {}', 1, 13],
    ['bind_port = f()\ntoken_sources = {}', 1, 13],
  ])('%s', (python, line, column) => {
    try {
      convert(python)
      expect.unreachable()
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(ImportFault)
      expect((thrown as ImportFault).place).toEqual({ line, column })
      expect((thrown as ImportFault).text.zh).toMatch(/[\u4e00-\u9fff]/)
    }
  })
})

describe('encodings', () => {
  test('a file of Python 2 in GBK is read by its coding line', () => {
    const bytes = Uint8Array.from([...Buffer.from("# coding: gbk\na = '"), 0xd6, 0xd0, ...Buffer.from("'")])
    expect(decodePython(bytes)).toContain("'中'")
  })
  test('a file of another encoding than it says, or of none, is told apart', () => {
    expect(decodePython(Buffer.from("# coding: gb2312\na = '中x'"))).not.toBeNull()
    expect(decodePython(Uint8Array.from([0x61, 0xff, 0xfe]))).toBeNull()
    expect(decodePython(Uint8Array.from([0x61, 0]))).toBeNull()
  })
})
