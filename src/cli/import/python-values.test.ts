import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ImportFault } from './python-tokens.ts'
import { pythonAssignments, type PythonValue } from './python-values.ts'

/** The value as plain JSON; an environment variable as `$NAME|fallback`, a fault as `!line:column`. */
function plain(value: PythonValue | undefined): unknown {
  if (value === undefined) return undefined
  switch (value.kind) {
    case 'none':
      return null
    case 'list':
      return value.items.map(plain)
    case 'dict':
      return Object.fromEntries(value.entries.map((entry) => [entry.key, plain(entry.value)]))
    case 'environment':
      return `$${value.name}|${String(value.fallback)}`
    case 'fault':
      return `!${value.at.line}:${value.at.column}`
    case 'text':
    case 'number':
    case 'boolean':
      return value.value
  }
}

const read = (source: string, name = 'a'): unknown => plain(pythonAssignments(source).get(name))

describe('literals', () => {
  test.each<[string, unknown]>([
    ["a = 'x'", 'x'],
    ['a = "x"', 'x'],
    ["a = '''one\ntwo'''", 'one\ntwo'],
    ['a = """q"q"""', 'q"q'],
    ["a = u'中'", '中'],
    ["a = b'x'", 'x'],
    ["a = r'\\n\\'x'", "\\n\\'x"],
    ["a = '\\n\\t\\\\\\'\\x41\\u4e2d\\U0001F600\\101\\0'", "\n\t\\'A中😀A\0"],
    ["a = '\\d'", '\\d'],
    ["a = 'x' \"y\" 'z'", 'xyz'],
    ["a = ('x'\n  'y')", 'xy'],
    ["a = 'x' + 'y'", 'xy'],
    ["a = 'x\\\ny'", 'xy'],
    ["a = 'x' \\\n  'y'", 'xy'],
    ['a = 1', 1],
    ['a = -1.5e3', -1500],
    ['a = 0x1F', 31],
    ['a = 0o17', 15],
    ['a = 017', 15],
    ['a = 7_200', 7200],
    ['a = 7200L', 7200],
    ['a = 60 * 60 * 2 - 200', 7000],
    ['a = True', true],
    ['a = None', null],
    ['a = [1, [2], ]', [1, [2]]],
    ['a = ()', []],
    ['a = (1)', 1],
    ['a = (1,)', [1]],
    ["a = {'x': {'y': [1, 2,],},}", { x: { y: [1, 2] } }],
    ["a = {1: 'x'}", { '1': 'x' }],
    ["a = {'x': 1, 'x': 2}", { x: 2 }],
    ["a = dict(x='1', y={})", { x: '1', y: {} }],
    ["b = 'x'\na = {'k': b}", { k: 'x' }],
    ["a = b = 'x'", 'x'],
    ["a: str = 'x'", 'x'],
    ["a: Dict[str, int] = {'x': 1}", { x: 1 }],
    ["a = {}\na['x'] = {'y': 1}\na['x']['z'] = 2", { x: { y: 1, z: 2 } }],
    ['a = 1; b = 2', 1],
    ["a = 1 # 'not closed", 1],
    ["a = {  # comment\n 'x': 1, # more\n}", { x: 1 }],
    ["# -*- coding: utf-8 -*-\r\nimport os\r\na = 'x'\r\n", 'x'],
    ["a = os.environ['NAME']", '$NAME|null'],
    ["a = os.environ.get('NAME')", '$NAME|null'],
    ["a = os.environ.get('NAME', 'd')", '$NAME|d'],
    ["a = os.getenv('NAME', None)", '$NAME|null'],
  ])('%s', (source, expected) => {
    expect(read(source)).toEqual(expected)
  })
  test('functions, classes, blocks, prints and imports are passed over', () => {
    const source = `"""doc"""\nfrom x import y\nprint "hello"\nprint('x')\ndef f(x=1):\n    a = 'inner'\n    return {'a': 1}\nif True:\n    a = 'maybe'\nclass C: pass\n@d\nasync def g(): pass\na = 'outer'\n`
    expect(read(source)).toBe('outer')
  })
})

describe('what is not literal', () => {
  test.each<[string, string]>([
    ['a = f()', '!1:5'],
    ["a = open('x').read()", '!1:5'],
    ["a = {'x': 1,\n  'y': f(2)}", '!2:8'],
    ["a = f'{x}'", '!1:5'],
    ["a = 'x' f'{x}'", '!1:9'],
    ["a = 'x' % 1", '!1:9'],
    ["a = 'x'.upper()", '!1:8'],
    ['a = [x for x in y]', '!1:6'],
    ['a = 1 if b else 2', '!1:7'],
    ["a = 'x' + 1", '!1:11'],
    ['a = 1, 2', '!1:6'],
    ['a =', '!1:3'],
    ["a = {'x' 1}", '!1:10'],
    ['a = {None: 1}', '!1:6'],
    [`a = ${'['.repeat(60)}${']'.repeat(60)}`, '!1:56'],
    ["a = os.environ['A' + x]", '!1:22'],
    ["a = os.environ.get('NAME', 3)", '!1:5'],
  ])('%s is a fault at its place, and only for who asks', (source, expected) => {
    expect(read(source)).toBe(expected)
    expect(read(`${source}\nb = 1`, 'b')).toBe(1)
  })
  test.each<[string, number, number]>([
    ["a = 'x", 1, 5],
    ["a = '''x\ny", 1, 5],
    ['a = {\n  [1}', 2, 5],
    ['a = (1', 1, 5],
    ['a = 1]', 1, 6],
    ["a = '\\x4'", 1, 6],
    ["a = '\\N{BULLET}'", 1, 6],
    ["a = '\\Uffffffff'", 1, 6],
    ['a = ?', 1, 5],
  ])('%s is no Python, and the place is told', (source, line, column) => {
    expect(() => pythonAssignments(source)).toThrow(ImportFault)
    try {
      pythonAssignments(source)
    } catch (thrown) {
      expect((thrown as ImportFault).place).toEqual({ line, column })
    }
  })
  test('no input makes it throw anything but a fault with a place, or take for ever', () => {
    const pieces = fc.constantFrom(
      "'",
      '"',
      "'''",
      '\\',
      '\n',
      '{',
      '}',
      '[',
      ']',
      '(',
      ')',
      ',',
      ':',
      '=',
      'a',
      'os',
      '.',
      'environ',
      'get',
      '#',
      ' ',
      '1',
      '+',
      '-',
      'f',
      'u',
      '🀄',
      '\0',
      '@',
      'dict',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        try {
          pythonAssignments(parts.join(''))
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(ImportFault)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
