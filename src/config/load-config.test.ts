import { describe, expect, test } from 'vitest'
import { brief, configPath, directory, load, type FakeFile } from '../../test/config/harness.ts'
import type { Config } from './config.ts'
import { parseSource } from '../providers/catalogue.ts'
import { formatIssues } from './format-issues.ts'
import { configBytesMax, loadConfig } from './load-config.ts'

const hex = '00112233445566778899aabbccddeeff00112233445566778899aabbccddee0f'
const keyHash = `sha256:${hex}`

async function configOf(text: string, options: Parameters<typeof load>[1] = {}): Promise<Config> {
  const { config, issues } = await load(text, options)
  expect(issues.filter(({ code }) => code !== 'no_sources').map(brief)).toEqual([])
  return config!
}

/** Most of these files have no sources because that is not what they are about. */
async function issuesOf(text: string | Uint8Array, options: Parameters<typeof load>[1] = {}): Promise<string[]> {
  const { issues } = await load(text, options)
  return issues.filter(({ code }) => code !== 'no_sources').map(brief)
}

describe('a good configuration', () => {
  test('an empty file is a configuration with every default', async () => {
    expect(await configOf('')).toEqual({
      path: configPath,
      server: { listen: '127.0.0.1:8888', tls: null, trustedNetwork: false, workers: 1 },
      encryptionKey: null,
      store: `sqlite:${directory}/data/zhongkong.db`,
      spill: `${directory}/data/zhongkong.db.spill`,
      sources: [],
      clients: [],
      compat: { tokenboy: null, wechatTokenServer: null },
      sinks: [],
    })
  })
  test('grants that the store cannot take have a folder of their own, unless there is nothing to outlive', async () => {
    const key = 'encryption_key: "${KEY}"'
    expect(await configOf('store: "memory:"')).toMatchObject({ spill: null })
    expect(await configOf(`store: redis://127.0.0.1\n${key}`, { environment: { KEY: hex } })).toMatchObject({
      spill: `${directory}/data/zhongkong.spill`,
    })
    expect(await configOf('spill: ../other')).toMatchObject({ spill: `${directory.replace(/[^/]+$/, '')}other` })
  })
  test('every key of the file reaches the configuration', async () => {
    const config = await configOf(
      `
server: { listen: "0.0.0.0:9000", trusted_network: true, tls: { cert: tls.crt, key: tls.key }, workers: 3 }
encryption_key: "\${KEY}"
store: sqlite:/var/lib/zk.db
sources:
  weixin: { provider: wechat, appid: wx1, secret: "\${SECRET}", mode: stable }
  ticket: { provider: wechat-ticket, of: weixin, type: jsapi }
clients:
  shop: { key: "${keyHash.toUpperCase().replace('SHA', 'sha')}", read: [weixin, "*"], refresh: [weixin], gateway: [ticket] }
compat:
  tokenboy: { allow: [10.0.0.0/8, "fd00::1"] }
  wechat_token_server: { secret: "\${SECRET}" }
sinks:
  - { kind: file, path: "out/{name}.json", sources: [weixin], format: plain, mode: 0640 }
alerts: []
`,
      {
        environment: { KEY: hex, SECRET: 'hunter2-hunter2' },
        files: { 'tls.crt': '-----BEGIN CERTIFICATE-----', 'tls.key': '-----BEGIN EC PRIVATE KEY-----' },
      },
    )
    expect(config).toMatchObject({
      server: {
        listen: '0.0.0.0:9000',
        trustedNetwork: true,
        tls: { cert: `${directory}/tls.crt`, key: `${directory}/tls.key` },
        workers: 3,
      },
      encryptionKey: new Uint8Array(Buffer.from(hex, 'hex')),
      store: 'sqlite:/var/lib/zk.db',
      clients: [
        { name: 'shop', keyHash: hex, read: ['weixin', '*'], refresh: ['weixin'], gateway: ['ticket'], admin: false },
      ],
      compat: { tokenboy: { allow: ['10.0.0.0/8', 'fd00::1/128'] } },
      sinks: [
        { kind: 'file', path: `${directory}/out/{name}.json`, sources: ['weixin'], format: 'plain', mode: 0o640 },
      ],
    })
    expect(config.compat.wechatTokenServer?.secret.reveal()).toBe('hunter2-hunter2')
    expect(config.sources.map(({ name, definition }) => [name, definition.secret])).toEqual([
      ['weixin', 'hunter2-hunter2'],
      ['ticket', undefined],
    ])
  })
  test('a client’s gateway may be a list, or sources with rules for the calls', async () => {
    const rules = 'sources: [weixin], allow: ["GET /a/*"], deny: [/a/b], per_second: 2.5'
    const { clients } = await configOf(
      `sources: { weixin: { provider: wechat, appid: wx1, secret: "\${S}" } }
clients: { a: { key: "${keyHash}", gateway: { ${rules} } } }`,
      { environment: { S: 'x' } },
    )
    expect(clients).toMatchObject([
      { gateway: ['weixin'], calls: { allow: ['GET /a/*'], deny: ['/a/b'], perSecond: 2.5 } },
    ])
  })
  test('anchors and merge keys work, and a key of its own wins over a merged one', async () => {
    const config = await configOf(
      `
sources:
  a: &base { provider: wechat, appid: wx1, secret: "\${S}", mode: stable }
  b: { <<: *base, appid: wx2 }
  c: { appid: wx3, <<: [*base] }
`,
      { environment: { S: 'x' } },
    )
    expect(config.sources.map(({ definition }) => [definition.appid, definition.secret])).toEqual([
      ['wx1', 'x'],
      ['wx2', 'x'],
      ['wx3', 'x'],
    ])
  })
  test('sections whose contents are commented out count as absent', async () => {
    await configOf('server:\nsources:\n  # none yet\nclients:\n')
  })
  test('an unquoted reference may stand for a number or a boolean, where one is wanted', async () => {
    const config = await configOf(
      `
server:
  listen: \${HOST}:\${PORT}
  trusted_network: \${TRUSTED}
sources:
  a:
    provider: wechat
    appid: \${APPID}
    secret: \${SECRET}
    timeout: \${TIMEOUT}
clients:
  a:
    key: ${keyHash}
    admin: \${ADMIN:-true}
`,
      { environment: { HOST: '10.0.0.5', PORT: '80', TRUSTED: 'true', APPID: '123', SECRET: '456', TIMEOUT: '9' } },
    )
    expect(config.server).toMatchObject({ listen: '10.0.0.5:80', trustedNetwork: true })
    expect(config.sources[0]?.definition).toMatchObject({ appid: '123', secret: '456', timeout: 9 })
    expect(config.clients[0]?.admin).toBe(true)
  })
  test.each(['[::1]:80', 'localhost:0', '127.3.2.1:1', 'unix:/run/zk.sock', '[::ffff:127.0.0.1]:80'])(
    '%s needs no clients, as only this machine can reach it',
    async (listen) => {
      expect((await configOf(`server: { listen: "${listen}" }`)).server.listen).toBe(listen)
    },
  )
  test('a windows file, with byte order mark and CRLF, is read like any other', async () => {
    expect(await issuesOf('\ufeffserver:\r\n  listn: x\r\n')).toEqual(['2:3 key_unknown server.listn'])
  })
})

describe('references and secret files', () => {
  const source = 'sources: { a: { provider: wechat, appid: x, secret: "${S}" } }'
  const secretOf = async (text: string, options: Parameters<typeof load>[1]): Promise<unknown> =>
    (await load(text, options)).config?.sources[0]?.definition.secret
  test('the .env file beside the configuration is read, and the environment wins over it', async () => {
    const files = { '.env': 'S=from-file' }
    expect(await secretOf(source, { files })).toBe('from-file')
    expect(await secretOf(source, { files, environment: { S: 'from-environment' } })).toBe('from-environment')
  })
  test('a secret file gives its text without the end of line', async () => {
    const text = source.replace('${S}', 'file:${DIR}/s')
    const files = { 'keys/s': 'hunter2\r\n' }
    expect(await secretOf(text, { files, environment: { DIR: 'keys' } })).toBe('hunter2')
  })
  test('a value that comes from the environment is no path, whatever it looks like', async () => {
    expect(await secretOf(source, { environment: { S: 'file:/etc/passwd' } })).toBe('file:/etc/passwd')
  })
  test('a file with a reference in it is not resolved again', async () => {
    expect(await secretOf(source.replace('${S}', 'file:s'), { files: { s: '${HOME}' } })).toBe('${HOME}')
  })
  test.each<[string, FakeFile | undefined, string]>([
    ['missing', undefined, '1:54 secret_file_unreadable sources.a.secret'],
    ['empty', '\n', '1:54 secret_file_unreadable sources.a.secret'],
    ['not a text', new Uint8Array([255, 0]), '1:54 secret_file_unreadable sources.a.secret'],
    ['too large', 'x'.repeat(70_000), '1:54 secret_file_unreadable sources.a.secret'],
    ['open to others', { text: 'x', mode: 0o100644 }, '1:54 warning secret_file_open sources.a.secret'],
  ])('a secret file that is %s is told', async (_, file, expected) => {
    const files = file === undefined ? {} : { s: file }
    expect(await issuesOf(source.replace('${S}', 'file:s'), { files })).toEqual([expected])
  })
  test('secrets that an orchestrator mounts are open to their container, and that is right', async () => {
    const files = { '/run/secrets/s': { text: 'x', mode: 0o100444 } }
    expect(await issuesOf(source.replace('${S}', 'file:/run/secrets/s'), { files })).toEqual([])
  })
  test('a .env file with a broken line and open to others is told twice, in its own place', async () => {
    const files = { '.env': { text: 'S=1\nnonsense', mode: 0o100644 } }
    expect(await issuesOf(source, { files })).toEqual(['.env:1:1 warning env_file_open', '.env:2:1 env_file_syntax'])
  })
})

describe('what is wrong is told at its place', () => {
  const source = (rest: string): string => `sources:\n  a: { provider: wechat, appid: x, secret: "\${S}" }\n${rest}`
  test.each<[string, string[]]>([
    // Syntax.
    ['a: [1', ['1:6 yaml_syntax']],
    ['server:\n\tlisten: x', ['2:1 yaml_syntax']],
    ['a: b: c', ['1:4 yaml_syntax']],
    ['store: @x', ['1:8 yaml_syntax']],
    ['store: "x', ['1:10 yaml_syntax']],
    ['store: !foo x', ['1:8 yaml_syntax']],
    ['store: memory\n---\nstore: x', ['2:1 yaml_syntax']],
    ['- a', ['1:1 value_type']],
    ['just words', ['1:1 value_type']],
    ['store: memory\nstore: memory', ['2:1 yaml_duplicate_key store']],
    ['store: *nope', ['1:8 yaml_bad_alias store']],
    ['sources: &a { x: *a }', ['1:18 yaml_bad_alias sources.x']],
    ['? [a]\n: 1', ['1:3 yaml_bad_key']],
    ['__proto__: 1', ['1:1 yaml_bad_key']],
    // Templates and references without quotes.
    [
      source('  t: { provider: http, url: "http://h", query: { x: {{a}} } }'),
      ['3:53 yaml_bad_value sources.t.query.x'],
    ],
    [source('  t:\n    provider: http\n    url: {{a}}/x'), ['5:10 yaml_syntax']],
    [source('  t: { provider: http, url: http://h?x={{a}} }'), ['3:40 yaml_syntax']],
    ['store: memory\nsinks: [{ kind: file, path: out/{name}.json }]', ['2:33 yaml_syntax']],
    ['encryption_key: memory\nserver: { listen: ${HOST}:80 }', ['2:20 yaml_syntax']],
    ['store: "{{a}}" "b" # {{c}}', ['1:16 yaml_syntax']],
    ['store: .inf', ['1:8 yaml_bad_value store']],
    ['sources: { a: { <<: 1 } }', ['1:15 yaml_bad_value sources.a']],
    // Shape.
    ['serve: {}', ['1:1 key_unknown serve']],
    ['server: { lisen: "127.0.0.1:1" }', ['1:11 key_unknown server.lisen']],
    ['server: 8888', ['1:9 value_type server']],
    ['server: { listen: 8888 }', ['1:19 value_type server.listen']],
    ['server: { tls: { cert: a } }', ['1:11 key_missing server.tls.key']],
    ['server: { workers: 0 }', ['1:20 value_invalid server.workers']],
    ['server: { workers: 65 }', ['1:20 value_invalid server.workers']],
    ['server: { workers: 2 }\nstore: memory', ['2:8 value_invalid store']],
    ['server: { workers: 1.5 }', ['1:20 value_type server.workers']],
    ['clients: { a: {} }', ['1:12 key_missing clients.a.key']],
    [
      'clients: { a: { key: "sha256:00", read: x } }',
      ['1:22 value_invalid clients.a.key', '1:41 value_type clients.a.read'],
    ],
    ['sources: { a: 3 }', ['1:15 value_type sources.a']],
    ['sources: [a]', ['1:10 value_type sources']],
    ['sinks: [{ kind: file, path: "{name}", format: xml }]', ['1:47 value_invalid sinks.0.format']],
    // References.
    ['store: "sqlite:${NOPE}"', ['1:16 reference_unset store']],
    ['store: sqlite:a${', ['1:16 reference_bad store']],
    ['store: "\\u0073qlite:${NOPE}"', ['1:8 reference_unset store']],
    ['server: { listen: "${A}${B}" }', ['1:20 reference_unset server.listen', '1:24 reference_unset server.listen']],
    // The server.
    ['server: { listen: nonsense }', ['1:19 value_invalid server.listen']],
    ['server: { listen: "127.0.0.1:99999" }', ['1:19 value_invalid server.listen']],
    ['server: { listen: "999.0.0.1:80" }', ['1:19 value_invalid server.listen']],
    ['server: { listen: "::1:80" }', ['1:19 value_invalid server.listen']],
    ['server: { listen: "unix:" }', ['1:19 value_invalid server.listen']],
    [
      'server: { listen: "0.0.0.0:1" }',
      ['1:19 exposed_without_clients server.listen', '1:19 exposed_without_tls server.listen'],
    ],
    ['server: { listen: "[::]:1", trusted_network: true }', ['1:19 exposed_without_clients server.listen']],
    [
      `server: { listen: "db.lan:1" }\nclients: { a: { key: "${keyHash}", admin: true } }`,
      ['1:19 exposed_without_tls server.listen'],
    ],
    ['server: { public_url: "https://x.test/tokens/" }', []],
    ['server: { public_url: "http://127.0.0.1:8888" }', []],
    ['server: { public_url: "http://tokens.lan" }', ['1:23 value_invalid server.public_url']],
    ['server: { public_url: "http://tokens.lan", trusted_network: true }', []],
    ...['x.test', 'ftp://x.test', 'https://u@x.test', 'https://x.test?a=1', 'https://x.test#a', 'https://'].map(
      (text): [string, string[]] => [`server: { public_url: "${text}" }`, ['1:23 value_invalid server.public_url']],
    ),
    [
      'server: { tls: { cert: nope, key: nope } }',
      ['1:24 secret_file_unreadable server.tls.cert', '1:35 secret_file_unreadable server.tls.key'],
    ],
    // Keys and stores.
    ['encryption_key: "${S}"', ['1:17 value_invalid encryption_key']],
    [`encryption_key: "\${ZERO}"`, ['1:17 value_invalid encryption_key']],
    [`encryption_key: ${hex}`, ['1:17 warning secret_literal encryption_key']],
    ['store: "postgres://zk:${S}@db/tokens"', ['1:8 key_missing store']],
    [`store: "postgres://zk:\${S}@db,db2/tokens?sslmode=require"\nencryption_key: "\${KEY}"`, []],
    [`store: "mysql://zk:\${S}@db/tokens"\nencryption_key: "\${KEY}"`, []],
    [`store: "mysql://zk:\${S}@db"\nencryption_key: "\${KEY}"`, ['1:8 value_invalid store']],
    ['store: mongodb://db/tokens', ['1:8 value_invalid store']],
    ['store: redis://localhost/0', ['1:8 key_missing store']],
    [`store: redis+cluster://a,b\nencryption_key: "\${KEY}"`, []],
    ['store: redis+sentinel://a,b', ['1:8 value_invalid store']],
    ['store: redis://a,b', ['1:8 value_invalid store']],
    ['store: "sqlite:"', ['1:8 value_invalid store']],
    ['store: ":memory:"', ['1:8 value_invalid store']],
    // Sources.
    [source('  "a b": { provider: wechat, appid: x, secret: "${S}" }'), ['3:3 source_name sources.a b']],
    [source('  b: { provider: wechta }'), ['3:18 source_invalid sources.b.provider']],
    [
      source('  b: { provider: wechat, appid: 1, secret: "${S}", x: 1 }'),
      ['3:33 source_invalid sources.b.appid', '3:55 source_invalid sources.b.x'],
    ],
    [source('  t: { provider: wechat-ticket, of: b }'), ['3:37 source_unknown sources.t.of']],
    [
      source('  t: { provider: http, url: "http://h", query: { x: 1, y: "{{results.b.access_token}}" } }'),
      ['3:70 source_unknown sources.t.query.y'],
    ],
    [source('  t: { provider: wechat-ticket, of: t }'), ['3:37 source_cycle sources.t.of']],
    [
      'sources:\n  c: { provider: http, url: "http://h", query: { k: "{{a}}" } }\n  a: { provider: http, url: "http://h", query: { k: "{{b}}" } }\n  b: { provider: wechat-ticket, of: a }',
      ['3:56 source_cycle sources.a.query.k'],
    ],
    [
      `sources:\n${Array.from({ length: 10 }, (_, i) => `  s${i}: { provider: http, url: "http://h${i === 9 ? '' : `/{{s${i + 1}}}`}" }`).join('\n')}`,
      ['3:42 source_too_deep sources.s1.url'],
    ],
    [source('  b: { provider: wechat, appid: x, secret: hunter2 }'), ['3:44 warning secret_literal sources.b.secret']],
    [
      source('  b: { provider: dingtalk, appkey: x, secret: hunter2 }'),
      ['3:47 warning secret_literal sources.b.secret'],
    ],
    [
      source('  b: { provider: http, url: "http://h", query: { appkey: hunter2 } }'),
      ['3:58 warning secret_literal sources.b.query.appkey'],
    ],
    [
      source('  b: { provider: wechat, appid: x, secret: "${NO:-hunter2}" }'),
      ['3:45 warning secret_literal sources.b.secret'],
    ],
    [
      source('  b: { provider: http, url: "http://h", headers: { x-api-key: hunter2 } }'),
      ['3:63 warning secret_literal sources.b.headers.x-api-key'],
    ],
    [source('  b: { provider: http, url: "http://u:hunter2@h" }'), ['3:30 warning secret_literal sources.b.url']],
    [source('  b: { provider: http, url: "http://u:${S}@h/?secret=${S}&type=x" }'), []],
    [
      source('  b: { provider: http, url: "http://h/?appid=x&secret=hunter2" }'),
      ['3:30 warning secret_literal sources.b.url'],
    ],
    [source('  b: { provider: http, url: "http://h", headers: { authorization: "Bearer ${S}" } }'), []],
    [
      source('  b: { provider: http, url: "http://h", headers: { authorization: "Basic hunter2hunter2${S}" } }'),
      ['3:68 warning secret_literal sources.b.headers.authorization'],
    ],
    ...[
      'postgres://zk:hunter2@db/tokens',
      'postgres://zk:hunter2@${HOST}/tokens',
      'postgres://zk:${NO:-hunter2}@db/tokens',
      'postgres://zk@db/tokens?listen=postgres%3A%2F%2Fzk%3Ahunter2%40db%2Ftokens',
      'mysql://zk:hunter2@db/tokens',
      'redis://:hunter2@db',
      'redis://:hunter2/@db',
      'redis+sentinel://db/mymaster?sentinel_password=hunter2',
    ].map((url): [string, string[]] => [
      `store: "${url}"\nencryption_key: "\${KEY}"`,
      ['1:9 warning secret_literal store'],
    ]),
    ...['postgres://zk@db:5432/tokens', 'redis://zk:${S}@db', 'redis+sentinel://db/m?sentinel_password=${S}'].map(
      (url): [string, string[]] => [`store: "${url}"\nencryption_key: "\${KEY}"`, []],
    ),
    // Clients.
    [`clients: { "a b": { key: "${keyHash}", admin: true } }`, ['1:12 value_invalid clients.a b']],
    [
      `clients:\n  a: { key: "${keyHash}", admin: true }\n  b: { key: "${keyHash}", admin: true }`,
      ['3:13 client_key_shared clients.b.key'],
    ],
    [
      source(`clients: { a: { key: "${keyHash}", read: [a, b_*] } }`),
      [`3:${36 + keyHash.length} warning glob_without_match clients.a.read.1`],
    ],
    [`clients: { a: { key: "${keyHash}" } }`, ['1:12 warning value_invalid clients.a']],
    // Older surfaces, sinks, alerts.
    ['compat: { tokenboy: 3 }', ['1:21 value_type compat.tokenboy']],
    ['compat: { tokenboy: { alow: [] } }', ['1:23 key_unknown compat.tokenboy.alow']],
    [
      'compat: { tokenboy: { allow: [10.0.0.0/33, x, "1.1.1.1"] } }',
      ['1:31 value_invalid compat.tokenboy.allow.0', '1:44 value_invalid compat.tokenboy.allow.1'],
    ],
    [
      'compat: { tokenboy: { allow: [10.0.0.0/33, 5] } }',
      ['1:31 value_invalid compat.tokenboy.allow.0', '1:44 value_type compat.tokenboy.allow.1'],
    ],
    [
      'server: { listen: "0.0.0.0:1", trusted_network: true }\ncompat: { tokenboy: true }',
      ['1:19 exposed_without_clients server.listen', '2:21 exposed_tokenboy compat.tokenboy'],
    ],
    [
      `server: { listen: "0.0.0.0:1", trusted_network: true }\nclients: { a: { key: "${keyHash}", admin: true } }\ncompat: { tokenboy: { allow: [0.0.0.0/0] } }`,
      ['3:31 warning exposed_tokenboy compat.tokenboy.allow.0'],
    ],
    [
      'compat: { wechat_token_server: { secret: "${SHORT}" } }',
      ['1:42 warning secret_short compat.wechat_token_server.secret'],
    ],
    [
      'compat: { wechat_token_server: { secret: "" } }',
      ['1:42 warning secret_short compat.wechat_token_server.secret'],
    ],
    [
      `server: { listen: "0.0.0.0:1", trusted_network: true }\nclients: { a: { key: "${keyHash}", admin: true } }\ncompat: { wechat_token_server: { secret: "" } }`,
      ['3:42 exposed_secret compat.wechat_token_server.secret'],
    ],
    [
      'sinks: [{ kind: redis, url: x }, { kind: file, path: "{name}", mode: 0999 }]',
      ['1:9 key_missing sinks.0.preset', '1:29 value_invalid sinks.0.url', '1:70 value_invalid sinks.1.mode'],
    ],
    ['sinks: [{ kind: redis, preset: wxjava, url: "redis://10.0.0.5" }]', ['1:45 warning exposed_sink sinks.0.url']],
    ['sinks: [{ kind: redis, preset: wxjava, url: "redis://10.0.0.5" }]\nserver: { trusted_network: true }', []],
    ['sinks: [{ kind: redis, preset: wxjava, url: "rediss://10.0.0.5" }]', []],
    ['sinks: [{ kind: redis, preset: wxjav, url: "redis://localhost" }]', ['1:32 value_invalid sinks.0.preset']],
    [
      'sinks: [{ kind: redis, url: "redis://localhost", preset: wxjava, key: "k:{name}" }]',
      ['1:71 value_invalid sinks.0.key'],
    ],
    ['sinks: [{ kind: redis, url: "redis://localhost", key: "k:{token}" }]', ['1:55 value_invalid sinks.0.key']],
    ['sinks: [{ kind: redis, url: "redis://localhost", key: "{k}:{name}" }]', ['1:55 value_invalid sinks.0.key']],
    [
      'sinks: [{ kind: redis, url: "redis://localhost", key: "k:{name}", prefix: a }]',
      ['1:67 value_invalid sinks.0.prefix'],
    ],
    [
      'sinks: [{ kind: redis, url: "redis://u:hunter2-hunter2@localhost", key: "k:{name}" }]',
      ['1:30 warning secret_literal sinks.0.url'],
    ],
    [
      'sinks: [{ kind: redis, url: "redis://localhost", key: k }]\nsources: { a: { provider: wechat, appid: wx1, secret: "${S}" }, b: { provider: wechat, appid: wx2, secret: "${S}" } }',
      ['1:9 value_invalid sinks.0.sources'],
    ],
    [
      'sinks: [{ kind: redis, url: "redis://localhost", preset: silenceper }]\nsources: { h: { provider: http, url: "https://x.test/t" } }',
      ['1:9 warning value_invalid sinks.0.sources'],
    ],
    [
      'sinks: [{ kind: redis, url: "redis://localhost", preset: silenceper, sources: [h] }]\nsources: { h: { provider: http, url: "https://x.test/t" } }',
      ['1:70 value_invalid sinks.0.sources'],
    ],
    [
      'sinks: [{ kind: redis, url: "redis://localhost", preset: wechat-token-server }]\nsources: { h: { provider: http, url: "https://x.test/t" } }',
      ['1:58 warning value_invalid sinks.0.preset'],
    ],
    ['sinks: [{ kind: webhook, url: "https://x.test/h" }]', ['1:9 key_missing sinks.0.secret']],
    ['sinks: [{ kind: webhook, url: "ftp://x.test/h", secret: "${LONG}" }]', ['1:31 value_invalid sinks.0.url']],
    [
      'sinks: [{ kind: webhook, url: "https://x.test/h", secret: hunter2-hunter2-hunter2 }]',
      ['1:59 warning secret_literal sinks.0.secret'],
    ],
    [
      'sinks: [{ kind: webhook, url: "https://x.test/h", secret: "${SHORT}" }]',
      ['1:59 warning secret_short sinks.0.secret'],
    ],
    ['sinks: [{ kind: webhook, url: "http://x.test/h", secret: "${LONG}" }]', []],
    [
      'sinks: [{ kind: webhook, url: "http://x.test/h", secret: "${LONG}", include_token: true }]',
      ['1:31 exposed_sink sinks.0.url'],
    ],
    ['sinks: [{ kind: webhook, url: "http://127.0.0.1:9/h", secret: "${LONG}", include_token: true }]', []],
    [
      'sinks: [{ kind: webhook, url: "https://x.test/h", secret: "${LONG}", timeout: 2h }]',
      ['1:79 value_invalid sinks.0.timeout'],
    ],
    ['sinks: [{ kind: kubernetes }]', []],
    [
      'sinks: [{ kind: kubernetes, secret_name: Tokens }]',
      ['1:42 value_invalid sinks.0.secret_name', '1:42 value_invalid sinks.0.secret_name'],
    ],
    ['sinks: [{ kind: kubernetes, server: "http://10.0.0.1" }]', ['1:37 exposed_sink sinks.0.server']],
    ['sinks: [{ kind: kubernetes, namespace: "a/../b" }]', ['1:40 value_invalid sinks.0.namespace']],
    [
      'sinks: [{ kind: file, path: "{name}", name: a }, { kind: kubernetes, name: a }]',
      ['1:76 value_invalid sinks.1.name'],
    ],
    ['sinks: [{ kind: file, path: "{name}", owner: "a b" }]', ['1:46 value_invalid sinks.0.owner']],
    ['sinks: [{ kind: file, path: "{name}", url: x }]', ['1:39 key_unknown sinks.0.url']],
    ['sinks: [{ kind: fil, path: x }]', ['1:17 value_invalid sinks.0.kind']],
    ['sinks: [{ kind: file, path: all.json }]', ['1:29 value_invalid sinks.0.path']],
    ['sinks: [{ kind: file, path: "{name}", mode: 644 }]', ['1:45 warning secret_file_open sinks.0.mode']],
    ['alerts: [{ kind: wecom-robot }]', ['1:1 not_in_this_version alerts']],
  ])('%s', async (text, expected) => {
    const { config, issues } = await load(text, {
      environment: {
        S: 'hunter2-hunter2',
        HOST: 'db',
        KEY: hex,
        SHORT: 'short',
        LONG: 'l'.repeat(20),
        ZERO: '0'.repeat(64),
      },
    })
    expect(issues.filter(({ code }) => code !== 'no_sources').map(brief)).toEqual(expected)
    expect(config === null).toBe(issues.some(({ severity }) => severity === 'error'))
    for (const { message, fix } of issues) {
      expect(message.en).not.toBe('')
      expect(message.zh).toMatch(/[\u4e00-\u9fff]|^(unknown|not|no) /)
      if (fix !== null) expect(fix.zh).not.toBe('')
    }
  })
  test('a password on the command line is told as such, and store may come from a file', async () => {
    const key = 'encryption_key: "${KEY}"'
    const environment = { KEY: hex }
    const store = 'redis://:hunter2@db'
    const said = await load(`store: memory\n${key}`, { environment, overrides: { store } })
    expect(said.issues.filter(({ path }) => path === 'store')).toMatchObject([
      {
        file: '--store',
        code: 'secret_literal',
        severity: 'warning',
        message: { zh: expect.stringContaining('命令行') },
      },
    ])
    expect(JSON.stringify(said.issues)).not.toContain('hunter2')
    const written = await load(`store: "file:url"\n${key}`, { environment, files: { url: `${store}\n` } })
    expect(written.config?.store).toBe(store)
    expect(written.issues.map(({ code }) => code)).toEqual(['no_sources'])
  })
  test('everything wrong is told at once, not only the first', async () => {
    const text =
      'server: { listen: x, y: 1 }\nstore: z\nclients: { a: {} }\nsinks: [{}]\nalerts: [1]\nsources: { b: 1, c: { provider: q } }'
    expect(await issuesOf(text)).toEqual([
      '1:19 value_invalid server.listen',
      '1:22 key_unknown server.y',
      '2:8 value_invalid store',
      '3:12 key_missing clients.a.key',
      '4:9 key_missing sinks.0.kind',
      '5:1 not_in_this_version alerts',
      '6:15 value_type sources.b',
      '6:33 source_invalid sources.c.provider',
    ])
  })
  test('braces without quotes are told as such, with the line and what to write', async () => {
    for (const line of ['    query: { x: {{results.a.token}} }', '    url: {{a}}/x']) {
      const { issues } = await load(source(`  t:\n    provider: http\n${line}`), { environment: { S: 'x' } })
      expect(issues).toHaveLength(1)
      expect(issues[0]?.message.en).toMatch(/braces.*no quotes/)
      expect(issues[0]?.fix).toMatchObject({
        en: expect.stringContaining('"{{weixin}}"'),
        zh: expect.stringContaining('引号'),
      })
      const shown = issues[0]?.excerpt
      expect(shown?.text.slice(shown.column - 1)).toMatch(/^\{\{(results\.a\.token|a)\}\}/)
    }
  })
  test.each([
    ['', '1:1'],
    ['# nothing yet\n', '1:1'],
    ['server:\nsources:\n', '2:1'],
    [`clients: { shop: { key: "${keyHash}", read: ["*"] } }`, '1:1'],
  ])('a file without sources (%j) is valid, and says how to add one', async (text, place) => {
    const { config, issues } = await load(text)
    expect(config).not.toBeNull()
    expect(issues.map(brief)).toEqual([`${place} warning no_sources sources`])
    expect(issues[0]?.fix).toMatchObject({
      en: expect.stringContaining('provider: wechat'),
      zh: expect.stringContaining('PUT'),
    })
    expect(issues[0]?.excerpt?.text).not.toBe('')
  })
  test('no sources are no news to whoever adds them over HTTP, nor beside an error', async () => {
    const admin = `clients: { ops: { key: "${keyHash}", admin: true } }`
    for (const text of [admin, 'source: {}', 'sources: { a: 3 }']) {
      expect((await load(text)).issues.map(({ code }) => code)).not.toContain('no_sources')
    }
  })
  test('a key that other programs call differently gets a suggestion too', async () => {
    const { issues } = await load('sinks: [{ type: file, path: "{name}" }]')
    expect(issues.find(({ code }) => code === 'key_unknown')?.fix?.en).toBe('Did you mean "kind"?')
  })
  test('a mistyped word gets a suggestion, in both languages', async () => {
    const { issues } = await load('servr: {}\nsources: { weixin: { provider: wechat-ticket, of: wexin } }')
    expect(issues.map(({ fix }) => fix)).toMatchObject([
      { en: 'Did you mean "server"?', zh: '是否想写 "server"？' },
      { en: 'Did you mean "weixin"?', zh: '是否想写 "weixin"？' },
    ])
  })
  test('what the command line says is judged as its own place', async () => {
    const text = 'server: { listen: "127.0.0.1:1" }\nstore: "memory:"'
    expect(await issuesOf(text, { overrides: { listen: '0.0.0.0:1', store: 'redis://u:hunter2@h' } })).toEqual([
      '--listen:1:1 exposed_without_clients server.listen',
      '--listen:1:1 exposed_without_tls server.listen',
      '--store:1:1 key_missing store',
      '--store:1:1 warning secret_literal store',
    ])
    const { config } = await load(text, { overrides: { listen: '[::1]:7', store: 'sqlite:x.db' } })
    expect(config).toMatchObject({ server: { listen: '[::1]:7' }, store: `sqlite:${directory}/x.db` })
  })
})

describe('hostile files', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['no text', new Uint8Array([0x73, 0, 0x74]), '1:1 file_not_text'],
    ['not UTF-8', new Uint8Array([0x61, 0x3a, 0xff]), '1:1 file_not_text'],
    ['too large', new Uint8Array(configBytesMax + 1).fill(32), '1:1 file_too_large'],
    ['nested without end', '['.repeat(20_000), 'yaml_too_deep'],
    ['nested too deeply', `a: ${'['.repeat(70)}${']'.repeat(70)}`, '1:68 yaml_too_deep'],
  ])('a file that is %s is refused with its reason', async (_, text, expected) => {
    expect((await issuesOf(text)).join('\n')).toContain(expected)
  })
  test('a bomb of aliases is refused before it unfolds', async () => {
    const rows = Array.from(
      { length: 12 },
      (_, i) =>
        `  x${i}: &x${i} [${Array(10)
          .fill(i === 0 ? 'lol' : `*x${i - 1}`)
          .join(', ')}]`,
    )
    const began = performance.now()
    expect(await issuesOf(`sources:\n${rows.join('\n')}`)).toContainEqual(expect.stringMatching(/yaml_bad_alias/))
    expect(performance.now() - began).toBeLessThan(5_000)
  })
  test('a bomb of merge keys is refused before it unfolds', async () => {
    const rows = Array.from(
      { length: 25 },
      (_, i) => `  x${i}: &x${i} { ${i === 0 ? 'a: 1' : `<<: [*x${i - 1}, *x${i - 1}]`} }`,
    )
    expect(await issuesOf(`sources:\n${rows.join('\n')}`)).toContainEqual(expect.stringMatching(/yaml_bad_alias/))
  })
  test('ten megabytes of rubbish end in an answer', async () => {
    expect((await issuesOf(`store: ${'x'.repeat(10_000_000)}`))[0]).toBe('1:8 value_invalid store')
  })
  test('a missing file is told with what to do', async () => {
    const { config, issues } = await loadConfig({
      path: 'nowhere.yaml',
      environment: {},
      parseSource: () => ({ ok: false, issues: [] }),
      readFile: async () => await Promise.reject(Object.assign(new Error('no'), { code: 'ENOENT' })),
    })
    expect(config).toBeNull()
    expect(issues).toMatchObject([{ code: 'file_unreadable', file: 'nowhere.yaml', line: 1, column: 1 }])
  })
  test('ten thousand sources load in seconds', async () => {
    const rows = Array.from(
      { length: 10_000 },
      (_, i) => `  s${i}: { provider: wechat, appid: wx${i}, secret: "\${S}" }`,
    )
    const config = await configOf(`sources:\n${rows.join('\n')}`, { environment: { S: 'x' } })
    expect(config.sources).toHaveLength(10_000)
  }, 20_000)
})

describe('secrets stay out of issues', () => {
  const canary = 'canary5f4dcc3b5aa7'
  test.each([
    `sources: { a: { provider: wechat, appid: x, secert: ${canary} } }`,
    `sources: { a: { provider: wechat, appid: x, secret: ${canary}, x: { y: ${canary} } } }`,
    `sources: { a: { provider: ${canary} } }`,
    `encryption_key: ${canary}`,
    `encryption_key: "\${CANARY}"`,
    `encryption_key: [${canary}]`,
    `clients: { a: { key: ${canary} } }`,
    `clients: { a: { kye: ${canary}, read: ${canary} } }`,
    `compat: { wechat_token_server: ${canary} }`,
    `compat: { wechat_token_server: { sekret: "${canary}" } }`,
    `secret: ${canary}\n bad: "indent`,
    `secret: "${canary}`,
    `secret: ${canary}: x`,
    `secret:${canary}`,
    `store: mysql://root:${canary}@db`,
    `store: postgres://root:${canary}@db/d?x=${canary}`,
    `store: redis://root:${canary}@db`,
    `store: redis://root:${canary}@a,b`,
    `store: redis+sentinel://h?sentinel_password=${canary}`,
    `store: redis://h?${canary}=1`,
    `store: "\${CANARY}"`,
    `server: { listen: "\${CANARY}" }`,
    `sources:\n  a:\n    secret: |\n      ${canary}\n    x: y: z`,
    `sources:\n  a:\n    headers:\n      - ${canary}\n    secret: file:\${CANARY_DIR}/x`,
    `sources: { a: "\${X:-${canary}}" }`,
    `sinks: [{ kind: redis, password: ${canary} }, ${canary}]`,
    `alerts: [{ url: ${canary} }]`,
    `# ${canary}\nstore: x # ${canary}`,
  ])('%s', async (text) => {
    const { issues } = await load(text, {
      environment: { CANARY: canary, CANARY_DIR: '/nowhere' },
      files: { '.env': `${canary} =` },
    })
    expect(issues.length).toBeGreaterThan(0)
    const told = JSON.stringify(issues) + formatIssues(issues, 'en') + formatIssues(issues, 'zh')
    expect(told).not.toContain(canary)
  })
})

describe('the block for people', () => {
  test('it shows the place, the line with a caret, the problem and the fix', async () => {
    const { issues } = await load('server:\n  lisen: 127.0.0.1:1\n')
    expect(formatIssues(issues, 'en').split('\n')).toEqual([
      `${configPath}:2:3 error server.lisen`,
      '  2 |   lisen: ***',
      '    |   ^',
      '  There is no key "lisen" here.',
      '  fix: Did you mean "listen"?',
    ])
    expect(formatIssues(issues, 'zh').split('\n').slice(-2)).toEqual([
      '  此处没有名为 "lisen" 的键。',
      '  解决办法：是否想写 "listen"？',
    ])
  })

  test('two sources that begin with one refresh token are told apart', async () => {
    const definition = (scope: string, refreshToken: string): string =>
      `{ provider: oauth2, token_url: "https://a.test/t", client_id: a, client_secret: "\${S}", scope: ${scope}, grant: refresh_token, refresh_token: "\${${refreshToken}}" }`
    const environment = { S: 'secret', R1: 'canary-refresh-1', R2: 'canary-refresh-2' }
    const text = (second: string): string =>
      `sources:\n  one: ${definition('read', 'R1')}\n  two: ${definition('write', second)}\n`
    expect(await issuesOf(text('R2'), { environment, parseSource })).toEqual([])
    expect(await issuesOf(text('R1'), { environment, parseSource })).toEqual(['3:3 source_invalid sources.two'])
    const { issues } = await load(text('R1'), { environment, parseSource })
    expect(JSON.stringify(issues)).not.toContain('canary')
  })
})
