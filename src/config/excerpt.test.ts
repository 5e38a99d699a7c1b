import { describe, expect, test } from 'vitest'
import { excerptOf } from './excerpt.ts'

const shown = (line: string, hint: string | null = null): string => excerptOf(line, 1, hint).text

describe('what a line shows', () => {
  test.each([
    ['  secret: hunter2', '  secret: ***'],
    ['  secert: hunter2', '  secert: ***'],
    ['  secret: "hun ter2" # old: hunter1', '  secret: ***'],
    ["  - 'hunter2'", '  - ***'],
    [
      '  a: { provider: wechat, appid: wx1, secret: x, mode: stable }',
      '  a: { provider: wechat, appid: wx1, secret: ***, mode: stable }',
    ],
    ['  secret: "${WEIXIN_SECRET}"', '  secret: "${WEIXIN_SECRET}"'],
    ['  secret: ${WEIXIN_SECRET:-hunter2}', '  secret: ${WEIXIN_SECRET:-***}'],
    ['  secret: file:/run/secrets/x', '  secret: file:/run/secrets/x'],
    ['store: mysql://root:hunter2@db/x', 'store: mysql://***@db/x'],
    ['store: redis://:canary/5f?@canary@db/0', 'store: redis://***@db/0'],
    ['  url: https://a.example/t?key=hunter2', '  url: https://a.example/t?***'],
    ['  listen: 0.0.0.0:8888', '  listen: 0.0.0.0:8888'],
    ['  mode: 5f4dcc3b5aa765d61d8327deb882cf99', '  mode: ***'],
    ['5f4dcc3b5aa765d61d8327deb882cf99', '***'],
    ['5f4dcc3b5aa765d61d8327deb882cf99: x', '***'],
    ['  "secret" : hunter2', '  "secret" : ***'],
    ['secret:hunter2', '***'],
    ['secret: "hunter2', 'secret: ***'],
    ['key: {token: hunter2', 'key: {token: ***'],
    ['  workers: 2', '  workers: 2'],
    ['<<: *base', '<<: *base'],
    ['sinks: file', 'sinks: file'],
    ['  x: "Bearer {{results.a.token}}"', '  x: "***{{results.a.token}}"'],
    ["  secret: 'hunter2{{a}}hunter3'", "  secret: '***{{a}}***'"],
    ['  x: {{results.a.token}}', '  x: {{results.a.token}}'],
    ['  x: { y: Bearer {{a}}, z: hunter2 }', '  x: { y: ***{{a}}, z: *** }'],
    ['  x: "{{md5(\'hunter2\')}}"', '  x: ***'],
    ['  url: "https://u:hunter2{{a}}@h/?k=hunter2"', '  url: "***{{a}}***"'],
  ])('%s', (line, expected) => {
    expect(shown(line)).toBe(expected)
  })
  test("a list's item is shown when the list's own key may be", () => {
    expect(shown('  - weixin', 'read')).toBe('  - weixin')
    expect(shown('  - weixin', 'secret')).toBe('  - ***')
  })
  test('the caret stays under its character when something before it was masked', () => {
    const line = 'a: { secret: hunter2hunter2, modee: x }'
    const { text, column } = excerptOf(line, line.indexOf('modee') + 1, null)
    expect(text.slice(column - 1)).toMatch(/^modee/)
  })
  test('a caret inside a masked value stands at its beginning', () => {
    expect(excerptOf('a: hunter2', 7, null)).toEqual({ text: 'a: ***', column: 4 })
  })
  test('a caret inside a template stays there when what is around it was masked', () => {
    const line = '  x: "Bearer hunter2 {{nobody}}"'
    const { text, column } = excerptOf(line, line.indexOf('nobody') + 1, null)
    expect(text.slice(column - 1)).toBe('nobody}}"')
  })
  test('a very long line is cut around the caret', () => {
    const line = `{ ${'a: 1, '.repeat(300)}modee: x`
    const { text, column } = excerptOf(line, 903, null)
    expect(text.length).toBeLessThan(210)
    expect(text.slice(column - 1)).toMatch(/^a: 1/)
  })
})
