import { describe, expect, test } from 'vitest'
import { callRule, compileRules } from './call-rules.ts'

const may = (allow: string[] | null, deny: string[], call: string): boolean => {
  const [method = '', path = ''] = call.split(' ')
  return compileRules({ allow, deny })(method, path)
}

describe('rules about calls', () => {
  test('without any, everything may be called; what is denied is denied although it is allowed', () => {
    expect(may(null, [], 'POST /any/thing')).toBe(true)
    expect(may([], [], 'GET /')).toBe(false)
    expect(may(['*'], ['/a/*'], 'GET /a/b')).toBe(false)
    expect(may(['*'], ['/a/*'], 'GET /b')).toBe(true)
  })

  test('a method before a path holds for that method only', () => {
    expect(may(['GET /a/*'], [], 'GET /a/b')).toBe(true)
    expect(may(['GET /a/*'], [], 'POST /a/b')).toBe(false)
    expect(may(null, ['DELETE *'], 'DELETE /a')).toBe(false)
    expect(may(null, ['DELETE *'], 'GET /a')).toBe(true)
  })

  test('a path with a space in it is no method', () => {
    const rules = compileRules({ allow: ['/a b/*'], deny: [] })
    expect(rules('GET', '/a b/c')).toBe(true)
    expect(rules('/a', 'b/c')).toBe(false)
  })

  test('what is denied cannot be had by letter case, path parameters or a slash at the end; what is allowed is exact', () => {
    for (const path of ['/Menu/Create', '/menu;a=b/create', '/menu/create/', '/menu/create;x']) {
      expect(may(null, ['/menu/create'], `GET ${path}`)).toBe(false)
    }
    expect(may(['/menu/get'], [], 'GET /MENU/get')).toBe(false)
  })

  test('a rule begins with a slash, or is a star; there may be a method', () => {
    for (const good of ['/', '*', '/a/*', 'GET /a', 'POST *']) expect(callRule.test(good)).toBe(true)
    for (const bad of ['', 'a', 'get /a', '/a?b', 'GET', 'GET  /a', 'https://x/a'])
      expect(callRule.test(bad)).toBe(false)
  })
})
