import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { environmentLine, parseEnvironmentFile } from './environment-file.ts'

const read = (text: string): Record<string, string> => Object.fromEntries(parseEnvironmentFile(text).values)

describe('.env', () => {
  test.each([
    ['A=1', { A: '1' }],
    ['A=1\r\nB=2\r\n', { A: '1', B: '2' }],
    ['# c\n\nexport A=1\n  B = 2 ', { A: '1', B: '2' }],
    ['A=x # comment', { A: 'x' }],
    ['A=x#y', { A: 'x#y' }],
    ['A=#', { A: '' }],
    ["A='x # y' # c", { A: 'x # y' }],
    ["A='\\n$B'", { A: '\\n$B' }],
    ['A="x\\ny\\"z\\\\"', { A: 'x\ny"z\\' }],
    ['A="one\ntwo"\nB=3', { A: 'one\ntwo', B: '3' }],
    ["A='one\r\ntwo'\r\nB=3", { A: 'one\r\ntwo', B: '3' }],
    ['A=', { A: '' }],
    ['A=1\nA=2', { A: '2' }],
    ['A=a=b', { A: 'a=b' }],
    ['A=${B}', { A: '${B}' }],
    ['A=密钥', { A: '密钥' }],
  ])('%j is read', (text, expected) => {
    expect(read(text)).toEqual(expected)
    expect(parseEnvironmentFile(text).faults).toEqual([])
  })
  test.each([
    ['A=1\n  nonsense', 2, 3],
    ['1A=2', 1, 1],
    ["A='x", 1, 3],
    ['A="x\\"', 1, 3],
    ["A='x' y", 1, 3],
    ["A='1\n2'\n=x", 3, 1],
  ])('%j is a fault at %i:%i', (text, line, column) => {
    expect(parseEnvironmentFile(text).faults).toEqual([{ line, column }])
  })
  test('a fault on one line does not hide the others', () => {
    expect(read('A=1\n?\nB=2')).toEqual({ A: '1', B: '2' })
  })
  test('any value written as a line reads back the same', () => {
    const texts = fc.string({
      unit: fc.constantFrom("'", '"', '\\', '$', '{', '}', '#', ' ', '\n', '\r', '\t', 'a', 'n', '=', '钥'),
    })
    fc.assert(
      fc.property(texts, (text) => {
        expect(read(`${environmentLine('A', text)}\nB=1`)).toEqual({ A: text, B: '1' })
      }),
    )
  })
})
