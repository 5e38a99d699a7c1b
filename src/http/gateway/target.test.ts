import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parametersOf, readTarget, withToken } from './target.ts'

describe('the token in a query', () => {
  test.each([
    ['', 't=N'],
    ['a=1', 'a=1&t=N'],
    ['t=old&a=1', 't=N&a=1'],
    ['a&t=x&b=%2F&t=y', 'a&t=N&b=%2F'],
    ['%74=x', 't=N'],
    ['a=1&&b', 'a=1&&b&t=N'],
  ])('%s becomes %s', (query, expected) => {
    expect(withToken(query, 't', 'N')).toBe(expected)
  })

  test('whatever the query, there is one token, and the rest is as it was', () => {
    const part = fc.oneof(
      fc.constant('t=old'),
      fc.constant('t'),
      fc.string({ unit: fc.constantFrom('a', '=', '%', '2', 'F', '+') }),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.string({ minLength: 1 }), (parts, token) => {
        const query = withToken(parts.join('&'), 't', token)
        const put = parametersOf(query).filter(({ name }) => name === 't')
        expect(put.map(({ value }) => value)).toEqual([token])
        const rest = (text: string): string[] =>
          parametersOf(text)
            .filter(({ name }) => name !== 't')
            .map(({ written }) => written)
        expect(rest(query)).toEqual(rest(parts.join('&')))
      }),
    )
  })
})

test('whatever is taken for a path has no dot segment, however often an upstream decodes it', () => {
  const piece = fc.constantFrom('/', '.', '..', '%2e', '%2E', '%252e', '%2f', '%5c', ';', 'a', '%25', '\\', '%00', '~')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const target = readTarget(`/${pieces.join('')}`)
      if (target === null) return
      let path = target.path
      for (let round = 0; round < 3; round += 1) {
        expect(path.split(/[/\\]/).some((segment) => /^\.{1,2}(?:;|$)/.test(segment))).toBe(false)
        try {
          path = decodeURIComponent(path)
        } catch {
          return
        }
      }
    }),
    { numRuns: 2_000 },
  )
})
