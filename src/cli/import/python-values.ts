/**
 * The values that a Python configuration assigns: literals, sums of literals, names assigned before, and
 * `os.environ`. Anything else is a fault with its place, kept until somebody asks for that value.
 */
import type { Text } from '../../base/text.ts'
import { ImportFault, pythonStatements, type Place, type Token } from './python-tokens.ts'

export type PythonValue = { readonly at: Place } & (
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'none' }
  | { readonly kind: 'list'; readonly items: readonly PythonValue[] }
  | { readonly kind: 'dict'; readonly entries: readonly DictEntry[] }
  /** `os.environ['NAME']`, `os.environ.get('NAME', fallback)`, `os.getenv(…)`. */
  | { readonly kind: 'environment'; readonly name: string; readonly fallback: string | null }
  | { readonly kind: 'fault'; readonly text: Text }
)

export type DictEntry = { readonly key: string; readonly value: PythonValue }

/** Nested deeper than this is no configuration; the parser is recursive. */
const depthMax = 50

/** What the module's names are bound to at its end. Blocks, functions and imports are passed over. */
export function pythonAssignments(source: string): ReadonlyMap<string, PythonValue> {
  const names = new Map<string, PythonValue>()
  for (const tokens of pythonStatements(source)) {
    // What is indented belongs to an if, a def or a class, and nobody can tell whether it runs.
    if (tokens[0]?.column === 1) new Statement(tokens, names).run()
  }
  return names
}

class Statement {
  readonly #tokens: readonly Token[]
  readonly #names: Map<string, PythonValue>
  #at = 0

  constructor(tokens: readonly Token[], names: Map<string, PythonValue>) {
    this.#tokens = tokens
    this.#names = names
  }

  /** `a = value`, `a = b = value`, `a: type = value`, `a['key'] = value`. */
  run(): void {
    const targets: Target[] = []
    for (;;) {
      const start = this.#at
      const target = this.#target()
      if (target === null) {
        this.#at = start
        break
      }
      targets.push(target)
    }
    if (targets.length === 0) return
    const value = this.#guarded(() => {
      const result = this.#sum(0)
      const rest = this.#peek()
      // `a = 1, 2` is a tuple, which no setting here is.
      if (rest !== undefined) throw new ImportFault(rest, notLiteral)
      return result
    })
    for (const { name, keys } of targets) {
      const old = this.#names.get(name)
      const next = keys.length === 0 ? value : inserted(old, keys, value)
      if (next !== undefined) this.#names.set(name, next)
    }
  }

  #target(): Target | null {
    const name = this.#peek()
    if (name?.kind !== 'name') return null
    this.#at += 1
    const keys: string[] = []
    while (this.#take('[')) {
      const key = this.#peek()
      this.#at += 1
      if (key?.kind !== 'text' || !this.#take(']')) return null
      keys.push(key.value)
    }
    if (this.#take(':')) while (this.#peek() !== undefined && !this.#is('=')) this.#at += 1
    return this.#take('=') ? { name: name.text, keys } : null
  }

  #guarded(parse: () => PythonValue): PythonValue {
    try {
      return parse()
    } catch (thrown) {
      if (!(thrown instanceof ImportFault)) throw thrown
      return { at: thrown.place, kind: 'fault', text: thrown.text }
    }
  }

  /** Sums of texts or of numbers. */
  #sum(depth: number): PythonValue {
    let left = this.#product(depth)
    for (let sign = this.#sign(['+', '-']); sign !== undefined; sign = this.#sign(['+', '-'])) {
      const right = this.#product(depth)
      left = combined(left, sign, right)
    }
    return left
  }

  #product(depth: number): PythonValue {
    let left = this.#unary(depth)
    while (this.#sign(['*']) !== undefined) left = combined(left, '*', this.#unary(depth))
    return left
  }

  #unary(depth: number): PythonValue {
    const sign = this.#sign(['-', '+'])
    const value = this.#atom(depth)
    if (sign === undefined) return value
    if (value.kind !== 'number') throw new ImportFault(value.at, notLiteral)
    return sign === '-' ? { ...value, value: -value.value } : value
  }

  #atom(depth: number): PythonValue {
    const token = this.#peek()
    if (token === undefined) throw new ImportFault(this.#end(), { en: 'A value is missing here.', zh: '此处缺少值。' })
    if (depth > depthMax) throw new ImportFault(token, { en: 'Nested too deeply.', zh: '嵌套过深。' })
    this.#at += 1
    const at = { line: token.line, column: token.column }
    if (token.kind === 'number') return { at, kind: 'number', value: token.value }
    if (token.kind === 'text') return { at, kind: 'text', value: token.value + this.#moreText() }
    if (token.kind === 'name') return this.#named(token.text, at, depth)
    if (token.kind === 'formatted') throw new ImportFault(at, notLiteral)
    if (token.text === '{') return { at, kind: 'dict', entries: this.#entries(depth) }
    if (token.text === '[') return { at, kind: 'list', items: this.#items(']', depth) }
    if (token.text !== '(') throw new ImportFault(at, notLiteral)
    const items = this.#items(')', depth)
    const [only] = items
    const isTuple = this.#tokens[this.#at - 2]?.kind === 'operator' && this.#isAt(this.#at - 2, ',')
    return items.length === 1 && only !== undefined && !isTuple ? only : { at, kind: 'list', items }
  }

  /** Neighbouring strings are one string. */
  #moreText(): string {
    let more = ''
    for (let next = this.#peek(); next?.kind === 'text'; next = this.#peek()) {
      more += next.value
      this.#at += 1
    }
    if (this.#peek()?.kind === 'formatted') throw new ImportFault(this.#peek() ?? this.#end(), notLiteral)
    return more
  }

  #named(name: string, at: Place, depth: number): PythonValue {
    if (name === 'True' || name === 'False') return { at, kind: 'boolean', value: name === 'True' }
    if (name === 'None') return { at, kind: 'none' }
    if (name === 'os' && this.#take('.')) return this.#environment(at)
    if (name === 'dict' && this.#take('(')) return { at, kind: 'dict', entries: this.#keywords(depth) }
    const known = this.#names.get(name)
    if (known !== undefined && !this.#is('(') && !this.#is('.') && !this.#is('[')) return known
    throw new ImportFault(at, notLiteral)
  }

  #environment(at: Place): PythonValue {
    const word = this.#word()
    const isGet = word === 'getenv' || (word === 'environ' && this.#take('.') && this.#word() === 'get')
    if (isGet && this.#take('(')) {
      const [name, fallback, ...rest] = this.#items(')', 0)
      const isPlain = fallback === undefined || fallback.kind === 'text' || fallback.kind === 'none'
      if (name?.kind !== 'text' || rest.length > 0 || !isPlain) throw new ImportFault(at, notLiteral)
      return { at, kind: 'environment', name: name.value, fallback: fallback?.kind === 'text' ? fallback.value : null }
    }
    if (word === 'environ' && this.#take('[')) {
      const [name, ...rest] = this.#items(']', 0)
      if (name?.kind === 'text' && rest.length === 0)
        return { at, kind: 'environment', name: name.value, fallback: null }
    }
    throw new ImportFault(at, notLiteral)
  }

  #items(close: string, depth: number): PythonValue[] {
    const items: PythonValue[] = []
    while (!this.#take(close)) {
      items.push(this.#sum(depth + 1))
      if (!this.#take(',') && !this.#is(close)) throw new ImportFault(this.#peek() ?? this.#end(), notLiteral)
    }
    return items
  }

  #entries(depth: number): DictEntry[] {
    const entries: DictEntry[] = []
    while (!this.#take('}')) {
      const key = this.#sum(depth + 1)
      if (key.kind !== 'text' && key.kind !== 'number')
        throw new ImportFault(key.at, { en: 'A text is needed as key.', zh: '键应为字符串。' })
      if (!this.#take(':'))
        throw new ImportFault(this.#peek() ?? this.#end(), { en: 'A ":" is missing here.', zh: '此处缺少 ":"。' })
      put(entries, String(key.value), this.#sum(depth + 1))
      if (!this.#take(',') && !this.#is('}')) throw new ImportFault(this.#peek() ?? this.#end(), notLiteral)
    }
    return entries
  }

  #keywords(depth: number): DictEntry[] {
    const entries: DictEntry[] = []
    while (!this.#take(')')) {
      const key = this.#word()
      if (key === '' || !this.#take('=')) throw new ImportFault(this.#peek() ?? this.#end(), notLiteral)
      put(entries, key, this.#sum(depth + 1))
      if (!this.#take(',') && !this.#is(')')) throw new ImportFault(this.#peek() ?? this.#end(), notLiteral)
    }
    return entries
  }

  #word(): string {
    const token = this.#peek()
    if (token?.kind !== 'name') return ''
    this.#at += 1
    return token.text
  }

  #sign(signs: readonly string[]): string | undefined {
    return signs.find((sign) => this.#take(sign))
  }

  #take(operator: string): boolean {
    if (!this.#is(operator)) return false
    this.#at += 1
    return true
  }

  #is(operator: string): boolean {
    return this.#isAt(this.#at, operator)
  }

  #isAt(index: number, operator: string): boolean {
    const token = this.#tokens[index]
    return token?.kind === 'operator' && token.text === operator
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at]
  }

  /** Where the statement ends, for something that is missing there. */
  #end(): Place {
    return this.#tokens.at(-1) ?? { line: 1, column: 1 }
  }
}

type Target = { readonly name: string; readonly keys: readonly string[] }

const notLiteral: Text = {
  en: 'This is not a plain value (text, number, list, dict); import does not run Python.',
  zh: '这不是字面值（字符串、数字、列表、字典）；import 不会执行 Python 代码。',
}

/** A later key of the same name wins, in the place of the first. */
function put(entries: DictEntry[], key: string, value: PythonValue): void {
  const index = entries.findIndex((entry) => entry.key === key)
  if (index === -1) entries.push({ key, value })
  else entries[index] = { key, value }
}

function inserted(
  old: PythonValue | undefined,
  [key, ...rest]: readonly string[],
  value: PythonValue,
): PythonValue | undefined {
  if (key === undefined) return value
  if (old?.kind !== 'dict') return old
  const entries = [...old.entries]
  const inner = entries.find((entry) => entry.key === key)?.value
  const next = rest.length === 0 ? value : inserted(inner, rest, value)
  if (next !== undefined) put(entries, key, next)
  return { ...old, entries }
}

function combined(left: PythonValue, sign: string, right: PythonValue): PythonValue {
  if (sign === '+' && left.kind === 'text' && right.kind === 'text') return { ...left, value: left.value + right.value }
  if (left.kind === 'number' && right.kind === 'number') {
    const value =
      sign === '+' ? left.value + right.value : sign === '-' ? left.value - right.value : left.value * right.value
    return { ...left, value }
  }
  throw new ImportFault(right.at, notLiteral)
}
