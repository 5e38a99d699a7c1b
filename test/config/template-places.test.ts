/** What is wrong inside a template is told at its very letters, however the text around it is written. */
import { describe, expect, test } from 'vitest'
import { parseSource } from '../../src/providers/catalogue.ts'
import { load } from './harness.ts'

const files = { '.env': 'HOST=api.example.com\nEMPTY=' }

/** The rest of the line from where the only problem is told. */
async function pointedAt(value: string): Promise<string> {
  const text = `sources:\n  weixin: { provider: wechat, appid: wx1, secret: "\${HOST}" }\n  x:\n    provider: http\n    url: "http://h/t"\n    headers:\n      X: ${value}\n`
  const { issues } = await load(text, { files, parseSource })
  expect(issues.map(({ path }) => path)).toEqual(['sources.x.headers.X'])
  const [issue] = issues
  return text.split('\n')[(issue?.line ?? 0) - 1]?.slice((issue?.column ?? 0) - 1) ?? ''
}

describe('a problem inside a template is told at its place', () => {
  test.each([
    ['a source that does not exist', '"Bearer {{nobody}}"', 'nobody}}"'],
    ['in single quotes', "'Bearer {{results.nobody.x}}'", "nobody.x}}'"],
    ['without quotes', 'Bearer {{weixin}} {{nobody}}', 'nobody}}'],
    ['behind a reference to the environment', '"${HOST} ${EMPTY}{{weixin}} {{nobody}}"', 'nobody}}"'],
    ['behind an escape', '"\\"\\u0041 {{weixin}} {{nobody}}"', 'nobody}}"'],
    [
      'a field that the answer does not have',
      '"{{weixin}} {{results.weixin.acces_token}}"',
      'results.weixin.acces_token}}"',
    ],
    ['a value that is not there', '"{{weixin}}{{md5(values.key)}}"', 'values.key)}}"'],
    ['a function that does not exist', '"{{weixin}} {{md6(weixin)}}"', 'md6(weixin)}}"'],
    ['a template that is never closed', '"x {{weixin}} {{weixin"', '{{weixin"'],
    ['a text over several lines', '>-\n        Bearer\n        {{nobody}}', 'nobody}}'],
  ])('%s', async (_, value, expected) => {
    expect(await pointedAt(value)).toBe(expected)
  })

  test('or at the beginning of the value where its letters are written otherwise', async () => {
    expect(await pointedAt('"x {\\u007bnobody}}"')).toBe('"x {\\u007bnobody}}"')
    expect(await pointedAt('"x {{\\u006eobody}}"')).toBe('"x {{\\u006eobody}}"')
  })

  test('the caret of the excerpt stands under it', async () => {
    const text = 'sources: { x: { provider: http, url: "http://h/t", headers: { X: "Bearer hunter2 {{nobody}}" } } }'
    const { issues } = await load(text, { parseSource })
    const excerpt = issues.find(({ code }) => code === 'source_unknown')?.excerpt
    expect(excerpt?.text.slice(excerpt.column - 1)).toMatch(/^nobody\}\}/)
    expect(excerpt?.text).not.toContain('hunter2')
  })
})
