import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { escapeReferences, interpolate } from './interpolate.ts'

const values: Record<string, string> = { NAME: 'value', EMPTY: '', NESTED: '${NAME}', DOLLAR: '$&$1$$' }
const lookup = (name: string): string | undefined => (Object.hasOwn(values, name) ? values[name] : undefined)
const value = (text: string): string => interpolate(text, lookup).value

describe('references', () => {
  test.each([
    ['${NAME}', 'value'],
    ['a${NAME}b${NAME}c', 'avaluebvaluec'],
    ['${NOPE:-fallback}', 'fallback'],
    ['${NAME:-fallback}', 'value'],
    ['${EMPTY:-fallback}', 'fallback'],
    ['${EMPTY}', ''],
    ['${NOPE:-}', ''],
    ['${NOPE:-a:-b}', 'a:-b'],
    ['$NAME', '$NAME'],
    ['$', '$'],
    ['{{results.a.b}}', '{{results.a.b}}'],
    ['${DOLLAR}', '$&$1$$'],
  ])('%s becomes %s', (text, expected) => {
    expect(value(text)).toBe(expected)
    expect(interpolate(text, lookup).faults).toEqual([])
  })
  test('$${ writes the two characters themselves', () => {
    expect(value('$${NAME} and ${NAME}')).toBe('${NAME} and value')
  })
  test('what a reference brings in is never resolved again', () => {
    expect(value('${NESTED}')).toBe('${NAME}')
    expect(value('${NOPE:-$}{NAME}')).toBe('${NAME}')
  })
  test('an unset variable is a fault at its own place', () => {
    expect(interpolate('ab ${NOPE} ${GONE}', lookup).faults).toEqual([
      { kind: 'unset', name: 'NOPE', index: 3 },
      { kind: 'unset', name: 'GONE', index: 11 },
    ])
  })
  test.each(['${', '${}', '${NAME', '${1A}', '${NAME-x}', '${NAME:?x}', '${ NAME }', '${NA ME}'])(
    '%s is malformed and told so',
    (text) => {
      expect(interpolate(text, lookup).faults).toMatchObject([{ kind: 'malformed', index: 0 }])
    },
  )
  test('names of the prototype of objects are not variables', () => {
    expect(
      interpolate('${constructor}', (name) => (Object.hasOwn(values, name) ? values[name] : undefined)).faults,
    ).toHaveLength(1)
  })
  test('any text survives escaping and interpolation', () => {
    const texts = fc.string({ unit: fc.constantFrom('$', '{', '}', 'N', ':', '-', '測', ' ') })
    fc.assert(
      fc.property(texts, (text) => {
        expect(value(escapeReferences(text))).toBe(text)
      }),
    )
  })
})
