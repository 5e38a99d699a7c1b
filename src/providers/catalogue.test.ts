import { Ajv2020 } from 'ajv/dist/2020.js'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { source } from '../../test/providers/scripted.ts'
import type { JsonObject } from '../base/json.ts'
import type { DefinitionIssue, Siblings } from '../model/definition.ts'
import { parseSource, providers, sourceJsonSchema } from './catalogue.ts'
import { settingKeys } from './source-json-schema.ts'
import { failureHints } from './outcome.ts'

const wechat = { provider: 'wechat', appid: 'wx1', secret: 'canary-secret' }
const http = { provider: 'http', url: 'https://api.test/token' }
const oauth2 = {
  provider: 'oauth2',
  token_url: 'https://as.test/token',
  client_id: 'a',
  client_secret: 'canary-secret',
}
const wecom = { provider: 'wecom', corpid: 'ww1', secret: 'canary-secret' }

function issues(definition: JsonObject, siblings?: Siblings): readonly DefinitionIssue[] {
  const parsed = parseSource('x', definition, 'file', siblings)
  return parsed.ok ? [] : parsed.issues
}
const among =
  (definitions: Readonly<Record<string, JsonObject>>): Siblings =>
  (name) =>
    Object.hasOwn(definitions, name) ? definitions[name] : undefined

const base64Key = 'A'.repeat(43)

describe('a definition', () => {
  it('with the least that is needed gets the defaults', () => {
    const { policy, callback, needs, credential, origin, kind } = source(wechat)
    expect({ policy, callback, needs, origin, kind }).toEqual({
      policy: { minIntervalMs: 30_000, timeoutMs: 8_000 },
      callback: null,
      needs: [],
      origin: 'file',
      kind: 'wechat',
    })
    expect([credential?.account, credential?.secret.reveal()]).toEqual(['wx1', 'canary-secret'])
  })

  it('may say how it is refreshed, in seconds or with a unit', () => {
    const policy = {
      refresh_before: '10m',
      min_interval: 5,
      daily_limit: 100,
      overlap: '1h',
      timeout: '2.5s',
      proxy: 'http://u:p@10.0.0.2:3128',
    }
    expect(source({ ...wechat, ...policy }).policy).toEqual({
      refreshBeforeMs: 600_000,
      minIntervalMs: 5_000,
      dailyLimit: 100,
      overlapMs: 3_600_000,
      timeoutMs: 2_500,
      proxy: 'http://u:p@10.0.0.2:3128',
    })
  })

  it('may have a callback', () => {
    const callback = { token: 'canary-token', encoding_aes_key: base64Key, forward: ['http://10.0.0.5/wx'], max_age: 0 }
    const parsed = source({ ...wecom, callback }).callback
    const everything = { types: null, events: null, accounts: null }
    expect(parsed).toMatchObject({ scheme: 'wecom', receiveIds: [wecom.corpid], maxAgeSeconds: 0 })
    expect(parsed?.forward).toEqual([{ to: 'http://10.0.0.5/wx', ...everything }])
    expect([parsed?.token.reveal(), parsed?.aesKey?.reveal()]).toEqual(['canary-token', base64Key])
  })

  it('may forward by type, event and account', () => {
    const forward = [{ to: 'https://a.example', types: ['text'], events: ['subscribe'], appids: ['wx2'] }, 'http://b']
    const { forward: parsed } = source({ ...wechat, callback: { token: 't', forward } }).callback!
    expect(parsed).toEqual([
      { to: 'https://a.example', types: ['text'], events: ['subscribe'], accounts: ['wx2'] },
      { to: 'http://b', types: null, events: null, accounts: null },
    ])
  })

  it('keeps its secrets from being printed', () => {
    const values = { s: 'canary-value' }
    const everything = [
      source({ ...wechat, callback: { token: 'canary-token' } }),
      source(wecom),
      source(oauth2),
      source({ ...http, values, query: { secret: 'canary-query', sign: "{{md5('canary', values.s)}}" } }),
    ].map(({ settings, identity, callback, generation, credential }) => ({
      settings,
      identity,
      callback,
      generation,
      credential,
    }))
    expect(JSON.stringify(everything) + inspect(everything, { depth: 12 })).not.toContain('canary')
  })

  it('has a generation of its own that does not hang on the order of its keys', () => {
    const { provider, appid, secret } = wechat
    expect(source({ secret, appid, provider }).generation).toBe(source(wechat).generation)
    expect(source({ ...wechat, secret: 'other' }).generation).not.toBe(source(wechat).generation)
    expect(source({ ...wechat, timeout: 7 }).generation).not.toBe(source(wechat).generation)
  })
})

describe('a mistake', () => {
  it.each<[string, JsonObject, string, RegExp, RegExp | null]>([
    ['no provider', {}, '', /names its `provider`/, /wechat-ticket/],
    ['an unknown provider', { provider: 'wechta' }, 'provider', /no provider "wechta"/, /"wechat"/],
    ['a provider of Object', { provider: 'constructor' }, 'provider', /no provider/, /Known/],
    ['a mistyped key', { ...wechat, secert: 'x' }, 'secert', /no key "secert"/, /"secret"/],
    ['a mistyped policy key', { ...wechat, refresh_befor: 1 }, 'refresh_befor', /no key/, /"refresh_before"/],
    ['a key with a hyphen', { ...wechat, 'base-url': 'https://x' }, 'base-url', /no key/, /"base_url"/],
    ['a missing key', { provider: 'wechat', appid: 'wx1' }, 'secret', /"secret" is missing/, /Add/],
    ['an empty secret', { ...wechat, secret: '' }, 'secret', /not be empty/, null],
    ['a number for a text', { ...wechat, appid: 5 }, 'appid', /a text/, null],
    ['a space in an appid', { ...wechat, appid: 'wx 1' }, 'appid', /visible ASCII/, null],
    ['a mode that is none', { ...wechat, mode: 'stabel' }, 'mode', /stable or classic/, /"stable"/],
    ['a base_url that is none', { ...wechat, base_url: 'api.weixin.qq.com' }, 'base_url', /https/, null],
    ['a base_url with a password', { ...wechat, base_url: 'https://u:p@x' }, 'base_url', /password/, null],
    ['a base_url with a query', { ...wechat, base_url: 'https://x?a=b' }, 'base_url', /query/, null],
    ['a timeout too long', { ...wechat, timeout: '5m' }, 'timeout', /from 0.1 to 60 seconds/, null],
    ['a duration that is none', { ...wechat, overlap: 'soon' }, 'overlap', /duration/, null],
    ['a limit of nothing', { ...wechat, daily_limit: 0 }, 'daily_limit', /1 or more/, null],
    ['a proxy that is none', { ...wechat, proxy: 'socks5://x' }, 'proxy', /HTTP proxy/, null],
    [
      'a callback on a ticket',
      { provider: 'wechat-ticket', of: 'a', callback: { token: 't' } },
      'callback',
      /does not call back/,
      /Move/,
    ],
    ['a callback without a token', { ...wechat, callback: {} }, 'callback.token', /missing/, /Add/],
    [
      'a callback with a short key',
      { ...wechat, callback: { token: 't', encoding_aes_key: 'x' } },
      'callback.encoding_aes_key',
      /43/,
      null,
    ],
    [
      'a mistyped key in a callback',
      { ...wechat, callback: { token: 't', forword: [] } },
      'callback.forword',
      /no key/,
      /"forward"/,
    ],
    [
      'a WeCom callback without a key',
      { ...wecom, callback: { token: 't' } },
      'callback.encoding_aes_key',
      /missing/,
      /Add/,
    ],
    [
      'a mistyped filter',
      { ...wechat, callback: { token: 't', forward: ['http://a', { to: 'http://b', event: ['x'] }] } },
      'callback.forward.1.event',
      /no key/,
      null,
    ],
    [
      'a receiver that is no address',
      { ...wechat, callback: { token: 't', forward: ['10.0.0.5/wx'] } },
      'callback.forward.0',
      /https/,
      null,
    ],
    [
      'a receiver with a password',
      { ...wechat, callback: { token: 't', forward: [{ to: 'http://u:p@a/' }] } },
      'callback.forward.0.to',
      /password/,
      null,
    ],
    ['a template never closed', { ...http, query: { a: 'x{{weixin' } }, 'query.a', /character 2/, null],
    ['a template deep in a body', { ...http, body: { a: [{ b: '{{}}' }] } }, 'body.a.0.b', /character 3/, null],
    ['a template for the host', { ...http, url: 'https://{{weixin}}/x' }, 'url', /host must be written out/, null],
    [
      'a template that ends the host',
      { ...http, url: 'https://api.test{{weixin}}/x' },
      'url',
      /host must be written out/,
      null,
    ],
    ['a template before the host', { ...http, url: '{{weixin}}' }, 'url', /https/, null],
    ['a value that is not there', { ...http, query: { a: '{{values.key}}' } }, 'query.a', /no value "key"/, null],
    ['a pointer without a slash', { ...http, token: 'access_token' }, 'token', /JSON pointer/, null],
    ['GET with a body', { ...http, method: 'GET', body: { a: 1 } }, 'body', /GET sends no body/, null],
    ['a body and a form', { ...http, body: { a: 1 }, form: { a: 1 } }, 'form', /either/, null],
    [
      'a header with a line break in its name',
      { ...http, headers: { 'a\nb': 'x' } },
      'headers.a\nb',
      /no header name/,
      null,
    ],
    ['a Host header', { ...http, headers: { Host: 'x' } }, 'headers.Host', /connection itself/, null],
    ['an address with a fragment', { ...http, url: 'https://api.test/#x' }, 'url', /fragment/, null],
    ['a grant that is not there', { ...oauth2, grant: 'password' }, 'grant', /client_credentials/, null],
    [
      'a parameter with a key of its own',
      { ...oauth2, params: { scope: 'x' } },
      'params.scope',
      /one level higher/,
      null,
    ],
  ])('%s is told with its place, in both languages', (_, definition, path, message, fix) => {
    const [first, ...rest] = issues(definition)
    expect([first?.path.join('.'), rest]).toEqual([path, []])
    expect(first?.message.en).toMatch(message)
    expect(first?.message.en).toMatch(/^[A-Z"].*\.$/s)
    expect(first?.message.zh).toMatch(/[\u4e00-\u9fff].*。$/s)
    if (fix === null) expect(first?.fix).toBeNull()
    else expect(first?.fix?.en).toMatch(fix)
  })

  it('does not hide another one', () => {
    const paths = issues({ provider: 'wechat', mode: 'x', timeout: 'y', colour: 1 }).map(({ path }) => path.join('.'))
    expect(paths.toSorted()).toEqual(['appid', 'colour', 'mode', 'secret', 'timeout'])
  })

  it('never tells a secret', () => {
    const wrong = { ...wechat, secret: { canary: 'canary' }, callback: { token: 't', encoding_aes_key: 'canary' } }
    expect(JSON.stringify(issues(wrong))).not.toContain('canary')
  })
})

describe('other sources', () => {
  const siblings = among({
    weixin: { ...wechat, base_url: 'http://127.0.0.1:1/wechat', proxy: 'http://10.0.0.2:1' },
    plain: wechat,
    corp: wecom,
    jsticket: { provider: 'wechat-ticket', of: 'weixin' },
    circle: { ...http, query: { a: '{{circle}} {{weixin}}' } },
    anything: http,
  })
  const ticket = (more: JsonObject): JsonObject => ({ provider: 'wechat-ticket', of: 'weixin', ...more })

  it('lend a ticket the host and the proxy that their token came from', () => {
    const parsed = source(ticket({}), siblings)
    expect([parsed.settings, parsed.policy.proxy]).toEqual([
      expect.objectContaining({ base_url: 'http://127.0.0.1:1/wechat' }),
      'http://10.0.0.2:1',
    ])
    expect(source(ticket({ of: 'plain' }), siblings).settings).toHaveProperty('base_url', 'https://api.weixin.qq.com')
    expect(source(ticket({ base_url: 'https://own' }), siblings).settings).toHaveProperty('base_url', 'https://own')
  })

  it('make another ticket of it when their account is another one', () => {
    expect(source(ticket({}), siblings).identity).toContain('wx1')
    const other = among({ weixin: { ...wechat, appid: 'wx2' } })
    expect(source(ticket({}), other).identity).not.toBe(source(ticket({}), among({ weixin: wechat })).identity)
    expect(source(ticket({ of: 'circle' }), siblings).identity.length).toBeLessThan(1_000)
  })

  it('must be of a kind that the ticket can be asked with', () => {
    expect(issues(ticket({ of: 'corp' }), siblings)).toMatchObject([
      { path: ['of'], message: { en: expect.stringContaining('kind wecom;') } },
    ])
    expect(issues(ticket({ of: 'jsticket' }), siblings)).toHaveLength(1)
    expect(issues(ticket({ of: 'anything' }), siblings)).toEqual([])
  })

  it('are known by the fields of their answers', () => {
    const query = (template: string): JsonObject => ({ ...http, query: { a: template } })
    expect(issues(query('{{results.weixin.acess_token}}'), siblings)).toMatchObject([
      {
        path: ['query', 'a'],
        message: { en: expect.stringContaining('no field "acess_token"') },
        fix: { en: 'Did you mean "access_token"?' },
      },
    ])
    for (const fine of [
      '{{results.weixin.access_token}}',
      '{{results.anything.whatever}}',
      '{{results.nobody.x}}',
      '{{weixin}}',
    ]) {
      expect(issues(query(fine), siblings)).toEqual([])
    }
  })

  it('are needed once each, in order of first use', () => {
    const query = { a: '{{b}} {{results.a.x}}', b: "{{md5(c, '{{d}}', b)}}" }
    expect(source({ ...http, query, headers: { x: '{{e}}' } }).needs).toEqual(['b', 'a', 'c', 'e'])
  })
})

describe('the JSON Schema', () => {
  const validate = new Ajv2020({ strict: false }).compile(sourceJsonSchema())

  it.each<[JsonObject, boolean]>([
    [wechat, true],
    [{ ...wechat, callback: { token: 't' }, timeout: '5s' }, true],
    [{ provider: 'wechat-ticket', of: 'a' }, true],
    [{ ...http, query: { a: 1 }, body: { a: ['{{x}}'] }, expires_in: 60, inject: { header: 'a' } }, true],
    [oauth2, true],
    [{ ...wechat, secert: 'x' }, false],
    [{ provider: 'wechat', appid: 'wx1' }, false],
    [{ provider: 'wechat-ticket', of: 'a', callback: { token: 't' } }, false],
    [{ provider: 'nobody' }, false],
    [{ ...oauth2, auth: 'x' }, false],
  ])('judges %j as the catalogue does', (definition, isGood) => {
    expect(validate(definition)).toBe(isGood)
    expect(issues(definition).length === 0).toBe(isGood)
  })

  it('describes every key of every kind', () => {
    const { oneOf } = sourceJsonSchema() as { oneOf: { properties: Record<string, { description?: string }> }[] }
    const bare = oneOf.flatMap(({ properties }) =>
      Object.entries(properties).flatMap(([key, { description }]) =>
        description === undefined || description === '' ? [key] : [],
      ),
    )
    expect(bare).toEqual([])
  })
})

describe('docs/providers', () => {
  const page = (name: string): string =>
    readFileSync(join(import.meta.dirname, '../../docs/providers', `${name}.md`), 'utf8')

  it.each(providers.map((provider) => [provider.kind, provider] as const))(
    '%s has a page that tells every key',
    (kind, provider) => {
      const text = page(kind)
      expect(settingKeys(provider).filter((key) => !text.includes(`\`${key}\``))).toEqual([])
    },
  )

  it('lists every word for a failure', () => {
    const text = page('README')
    expect(Object.keys(failureHints).filter((code) => !text.includes(`\`${code}\``))).toEqual([])
  })
})
