import { describe, expect, it } from 'vitest'
import { parsePointer, readPath } from './json-pointer.ts'

const at = (value: unknown, pointer: string): unknown =>
  readPath(value, parsePointer(pointer)?.segments ?? ['no pointer'])

describe('a JSON pointer', () => {
  // The examples of RFC 6901, section 5.
  const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'm~n': 8, ' ': 7 }
  it.each([
    ['', document],
    ['/foo', ['bar', 'baz']],
    ['/foo/0', 'bar'],
    ['/', 0],
    ['/a~1b', 1],
    ['/c%d', 2],
    ['/m~0n', 8],
    ['/ ', 7],
    ['/foo/2', undefined],
    ['/foo/-', undefined],
    ['/foo/00', undefined],
    ['/foo/0/length', undefined],
  ])('%j', (pointer, expected) => {
    expect(at(document, pointer)).toEqual(expected)
  })

  it.each(['foo', '/a~', '/a~2'])('%j is none', (text) => {
    expect(parsePointer(text)).toBeNull()
  })

  it.each(['/toString', '/__proto__', '/constructor/name', '/foo/length', '/foo/concat'])(
    '%s finds nothing that the answer itself does not hold',
    (pointer) => {
      expect(at({ foo: [] }, pointer)).toBeUndefined()
    },
  )
})
