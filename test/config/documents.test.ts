/** The configuration's schema, its JSON Schema for editors and docs/config.md say the same. */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { isJsonObject, type Json, type JsonObject } from '../../src/base/json.ts'
import { configJsonSchema } from '../../src/config/json-schema.ts'
import { providers, sourceJsonSchema } from '../../src/providers/catalogue.ts'
import { presets } from '../../src/providers/presets/presets.ts'

const schema = configJsonSchema(sourceJsonSchema())
const page = readFileSync(new URL('../../docs/config.md', import.meta.url), 'utf8')

/** Every key that may be written outside of sources, as the page writes it. */
function keysOf(node: JsonObject, path: string): string[] {
  const inner = isJsonObject(node.properties) ? Object.entries(node.properties) : []
  const own = inner.flatMap(([key, value]) => {
    const at = path === '' ? key : `${path}.${key}`
    return isJsonObject(value) ? (at === 'sources' ? [] : [at, ...keysOf(value, at)]) : []
  })
  const additional = isJsonObject(node.additionalProperties) ? keysOf(node.additionalProperties, `${path}.NAME`) : []
  const items = isJsonObject(node.items) ? keysOf(node.items, `${path}[]`) : []
  const either = [node.anyOf, node.oneOf].flatMap((shapes) =>
    Array.isArray(shapes) ? shapes.flatMap((one: Json) => (isJsonObject(one) ? keysOf(one, path) : [])) : [],
  )
  return [...own, ...additional, ...items, ...either]
}

const parts = new Set(['server', 'server.tls', 'clients', 'compat', 'compat.wechat_token_server', 'sinks'])
const keys = [...new Set(keysOf(schema, ''))].filter((key) => !parts.has(key))

describe('docs/config.schema.json', () => {
  // After a change of the schema: npx vitest run test/config -u
  test('it is what the code generates', async () => {
    await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot('../../docs/config.schema.json')
  })
  test('every key has a description', () => {
    const without: string[] = []
    const look = (node: Json, path: string): void => {
      if (Array.isArray(node)) node.forEach((one: Json, index) => look(one, `${path}/${index}`))
      if (!isJsonObject(node)) return
      if (isJsonObject(node.properties)) {
        for (const [key, value] of Object.entries(node.properties)) {
          if (!isJsonObject(value) || typeof value.description !== 'string') without.push(`${path}.${key}`)
        }
      }
      for (const [key, value] of Object.entries(node)) look(value, `${path}.${key}`)
    }
    look(schema, '')
    expect(without).toEqual([])
  })
  test('editors accept what the page shows, and refuse what the loader refuses', () => {
    const validate = new Ajv({ strict: false }).compile(schema)
    for (const [, yaml] of page.matchAll(/```yaml\n([^]*?)```/g)) {
      expect(validate(parse(yaml ?? '')), JSON.stringify(validate.errors)).toBe(true)
    }
    expect(
      validate({
        server: { trusted_network: '${TRUSTED}' },
        sources: { a: { provider: 'wechat', appid: 'x', secret: 's', mode: '${M}' } },
      }),
    ).toBe(true)
    for (const wrong of [
      { serve: {} },
      { server: { workers: 'x' } },
      { sources: { a: { provider: 'nope' } } },
      { sources: { a: { provider: 'wechat', appid: 'x' } } },
    ]) {
      expect(validate(wrong)).toBe(false)
    }
  })
})

/** What a preset takes stands on its own page, which this one leads to. */
function sectionOf(kind: string): string {
  if (!presets.some((preset) => preset.kind === kind)) {
    return new RegExp(`\\n### \`${kind}\`[^]*?(?=\\n##)`).exec(page)?.[0] ?? ''
  }
  expect(page).toContain(`(providers/${kind}.md)`)
  return readFileSync(new URL(`../../docs/providers/${kind}.md`, import.meta.url), 'utf8')
}

describe('docs/config.md', () => {
  test('the keys of the schema are found at all', () => {
    expect(keys).toContain('server.listen')
    expect(keys).toContain('clients.NAME.key')
    expect(keys).toContain('sinks[].mode')
    expect(keys).toContain('compat.tokenboy.allow')
  })
  test.each(keys)('%s is documented in a table', (key) => {
    expect(page).toContain(`\n| \`${key}\` |`)
  })
  test.each(providers.map(({ kind }) => kind))('every key of a %s source is documented', (kind) => {
    const alternatives = isJsonObject(schema.properties) ? JSON.stringify(schema.properties.sources) : ''
    const sources = JSON.parse(alternatives) as {
      additionalProperties: { oneOf: { title: string; properties: Record<string, Json> }[] }
    }
    const own = sources.additionalProperties.oneOf.find(({ title }) => title === kind)?.properties ?? {}
    const section = sectionOf(kind)
    const common = /\n### Keys of every source[^]*?(?=\n###)/.exec(page)?.[0] ?? ''
    const missing = Object.keys(own).filter((key) => !new RegExp(`\\n\\| \`${key}[\`.]`).test(section + common))
    expect(missing).toEqual([])
  })
  test('no key is documented that does not exist', () => {
    const outside = page
      .replace(/\n## `sources`[^]*?(?=\n## )/, '')
      .replace(/\n## What `check`[^]*/, '')
      .replace(/\n## Values[^]*?(?=\n## )/, '')
    const told = [...outside.matchAll(/\n\| `([^`]+)` \|/g)].map(([, key]) => key ?? '')
    expect(told.filter((key) => !keys.includes(key))).toEqual([])
  })
  test('every code of a problem is documented, and no other', () => {
    const door = readFileSync(new URL('../../src/config/config.ts', import.meta.url), 'utf8')
    const union = /export type ConfigIssueCode =([^]*?)\n\n/.exec(door)?.[1] ?? ''
    const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code)
    const section = page.slice(page.indexOf('## What `check` can find'))
    const told = [...section.matchAll(/\n\| `(\w+)` \|/g)].map(([, code]) => code)
    expect(codes.length).toBeGreaterThan(20)
    expect(told).toEqual(codes)
  })
})
