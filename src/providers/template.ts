/**
 * Templates: texts with `{{…}}` anywhere inside, parsed once and filled many times. No conditions, no loops; what is put
 * in is never parsed again.
 *
 *     template   = { text | "{{" expression "}}" }
 *     expression = quoted | "nowMs" | "nowS" | call | reference
 *     call       = name "(" [ expression { "," expression } ] ")"
 *     reference  = "results" "." SOURCE "." FIELD { "." FIELD }   a field of that source's whole answer
 *                | "values" "." NAME                              one of the source's own `values`
 *                | SOURCE                                         that source's token
 *     quoted     = "'" … "'" | '"' … '"'                          with \\, \' and \" inside
 *
 * SOURCE, FIELD and NAME are words or quoted; in `results.…` a SOURCE with dots in its name must be quoted.
 * Functions join their arguments first: `md5('a', 'b')` is the digest of `ab`. `hmacSha256(KEY, …)` takes the key first.
 */
import { createHash, createHmac } from 'node:crypto'
import { nearest } from '../base/suggest.ts'
import type { Text } from '../base/text.ts'
import type { Input } from './provider.ts'
import { readPath } from './json-pointer.ts'
import { tokenize, TemplateError, type Word } from './template-words.ts'

/** What templates are filled from. All templates of one request share one scope, and so one instant. */
export type Scope = {
  readonly nowMs: number
  readonly inputs: ReadonlyMap<string, Input>
  readonly values: ReadonlyMap<string, string>
}

/** What a template needs is not there; names what, holds no value. */
export class MissingInput extends Error {
  readonly source: string
  constructor(source: string, field: readonly string[]) {
    super(`the answer of ${source} holds no text at ${field.join('.')}`)
    this.name = 'MissingInput'
    this.source = source
  }
}

type Expression =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'now'; readonly unitMs: number }
  | { readonly kind: 'token'; readonly source: string; readonly index: number }
  | { readonly kind: 'field'; readonly source: string; readonly field: readonly string[]; readonly index: number }
  | { readonly kind: 'value'; readonly name: string; readonly index: number }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly args: readonly Expression[] }

type Part = string | Expression

const hex = (algorithm: string, text: string): string => createHash(algorithm).update(text, 'utf8').digest('hex')

const functions = {
  md5: (args: readonly string[]) => hex('md5', args.join('')),
  sha256: (args: readonly string[]) => hex('sha256', args.join('')),
  hmacSha256: ([key = '', ...rest]: readonly string[]) =>
    createHmac('sha256', key).update(rest.join(''), 'utf8').digest('hex'),
  base64: (args: readonly string[]) => Buffer.from(args.join(''), 'utf8').toString('base64'),
  /** The same text; alone in a JSON string it makes that a number. */
  number: (args: readonly string[]) => args.join(''),
} as const

type FunctionName = keyof typeof functions

const argumentsMin: Record<FunctionName, number> = { md5: 1, sha256: 1, hmacSha256: 2, base64: 1, number: 1 }
const instants: Readonly<Record<string, number>> = { nowMs: 1, nowS: 1_000 }
const nestingMax = 16

/** A parsed template. It may hold secrets as literal text, so it prints as nothing. */
export class Template {
  readonly #written: string
  readonly #parts: readonly Part[]

  private constructor(written: string, parts: readonly Part[]) {
    this.#written = written
    this.#parts = parts
  }

  /** Throws a `TemplateError` that names the place. */
  static parse(text: string): Template {
    return new Template(
      text,
      tokenize(text).map((part) => (typeof part === 'string' ? part : parseHole(part))),
    )
  }

  /** The text with everything put in; `encode` is applied to what is put in, not to the text around it. */
  fill(scope: Scope, encode: (value: string) => string = (value) => value): string {
    return this.#parts.map((part) => (typeof part === 'string' ? part : encode(evaluate(part, scope)))).join('')
  }

  /** The text as it was written; may hold secrets. */
  reveal(): string {
    return this.#written
  }

  /** The literal text before the first `{{`. */
  get prefix(): string {
    const [first] = this.#parts
    return typeof first === 'string' ? first : ''
  }

  get isLiteral(): boolean {
    return this.#parts.every((part) => typeof part === 'string')
  }

  /** The whole template is one `number(…)`. */
  get isNumber(): boolean {
    const [only, ...rest] = this.#parts
    return rest.length === 0 && typeof only === 'object' && only.kind === 'call' && only.name === 'number'
  }

  /** Sources whose token or answer is put in, with the first field used; `index` is where the reference begins, from 0. */
  references(): readonly { source: string; field: string | null; index: number }[] {
    return this.#all().flatMap((part) => {
      if (part.kind === 'token') return [{ source: part.source, field: null, index: part.index }]
      return part.kind === 'field' ? [{ source: part.source, field: part.field[0] ?? null, index: part.index }] : []
    })
  }

  /** Names under `values` that are used; `index` is where the reference begins, from 0. */
  values(): readonly { name: string; index: number }[] {
    return this.#all().flatMap((part) => (part.kind === 'value' ? [{ name: part.name, index: part.index }] : []))
  }

  #all(): readonly Expression[] {
    const inside = (part: Expression): readonly Expression[] =>
      part.kind === 'call' ? [part, ...part.args.flatMap(inside)] : [part]
    return this.#parts.flatMap((part) => (typeof part === 'string' ? [] : inside(part)))
  }

  toString(): string {
    return '[template]'
  }
  toJSON(): string {
    return '[template]'
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[template]'
  }
}

function evaluate(expression: Expression, scope: Scope): string {
  switch (expression.kind) {
    case 'text':
      return expression.text
    case 'now':
      return String(Math.floor(scope.nowMs / expression.unitMs))
    case 'value':
      return scope.values.get(expression.name) ?? ''
    case 'token': {
      const input = scope.inputs.get(expression.source)
      if (input === undefined) throw new MissingInput(expression.source, ['token'])
      return input.token
    }
    case 'field': {
      const found = readPath(scope.inputs.get(expression.source)?.fields, expression.field)
      if (typeof found === 'string') return found
      if (typeof found === 'number' || typeof found === 'boolean') return String(found)
      throw new MissingInput(expression.source, expression.field)
    }
    case 'call':
      return functions[expression.name](expression.args.map((each) => evaluate(each, scope)))
  }
}

/** Reads one hole from left to right; `at` of an error counts characters of the whole text from 1. */
function parseHole(words: readonly Word[]): Expression {
  const reader = new Reader(words)
  const expression = parseExpression(reader, nestingMax)
  const rest = reader.take()
  if (rest.kind !== 'end') throw unexpected(rest)
  return expression
}

class Reader {
  readonly #words: readonly Word[]
  #next = 0
  constructor(words: readonly Word[]) {
    this.#words = words
  }
  peek(): Word {
    return this.#words[this.#next] ?? { kind: 'end', text: '', at: 0 }
  }
  take(): Word {
    const word = this.peek()
    this.#next += 1
    return word
  }
  /** Takes the sign if it stands next. */
  took(sign: string): boolean {
    const word = this.peek()
    if (word.kind !== 'sign' || word.text !== sign) return false
    this.#next += 1
    return true
  }
}

function parseExpression(reader: Reader, nestingLeft: number): Expression {
  const first = reader.take()
  if (first.kind === 'quoted') return { kind: 'text', text: first.text }
  if (first.kind !== 'word') throw unexpected(first)
  if (reader.took('(')) return parseCall(first, reader, nestingLeft)
  const path = [first.text]
  while (reader.took('.')) {
    const segment = reader.take()
    if (segment.kind !== 'word' && segment.kind !== 'quoted') throw unexpected(segment)
    path.push(segment.text)
  }
  return parseReference(first, path)
}

function parseReference(first: Word, path: readonly string[]): Expression {
  const [head = '', second, ...rest] = path
  const index = first.at - 1
  const unitMs = Object.hasOwn(instants, head) ? instants[head] : undefined
  if (second === undefined && unitMs !== undefined) return { kind: 'now', unitMs }
  if (head === 'results' && second !== undefined) {
    if (rest.length > 0) return { kind: 'field', source: second, field: rest, index }
    throw new TemplateError(first.at, {
      en: `name a field: results.${second}.FIELD; for the token itself write {{${second}}}`,
      zh: `请写出字段：results.${second}.字段名；若要令牌本身，请写 {{${second}}}`,
    })
  }
  if (head === 'values' && second !== undefined && rest.length === 0) return { kind: 'value', name: second, index }
  return { kind: 'token', source: path.join('.'), index }
}

function isFunctionName(name: string): name is FunctionName {
  return Object.hasOwn(functions, name)
}

function parseCall(name: Word, reader: Reader, nestingLeft: number): Expression {
  if (nestingLeft === 0) throw new TemplateError(name.at, { en: 'too deeply nested', zh: '嵌套过深' })
  const args: Expression[] = []
  if (!reader.took(')')) {
    do args.push(parseExpression(reader, nestingLeft - 1))
    while (reader.took(','))
    if (!reader.took(')')) throw unexpected(reader.take())
  }
  if (Object.hasOwn(instants, name.text) && args.length === 0) return parseReference(name, [name.text])
  if (!isFunctionName(name.text)) throw unknownFunction(name)
  const least = argumentsMin[name.text]
  if (args.length < least) throw tooFew(name, least)
  return { kind: 'call', name: name.text, args }
}

function unknownFunction({ text, at }: Word): TemplateError {
  const known = [...Object.keys(functions), ...Object.keys(instants)]
  const near = nearest(text, known)
  const message: Text =
    near === null
      ? {
          en: `there is no function ${text}; known: ${known.join(', ')}`,
          zh: `没有函数 ${text}；可用：${known.join('、')}`,
        }
      : { en: `there is no function ${text}; did you mean ${near}?`, zh: `没有函数 ${text}；是否想写 ${near}？` }
  return new TemplateError(at, message)
}

function tooFew({ text, at }: Word, least: number): TemplateError {
  return new TemplateError(at, {
    en: `${text} takes ${least} or more arguments`,
    zh: `${text} 至少需要 ${least} 个参数`,
  })
}

function unexpected(word: Word): TemplateError {
  if (word.kind === 'end') return new TemplateError(word.at, { en: 'something is missing here', zh: '此处缺少内容' })
  return new TemplateError(word.at, { en: `"${word.text}" is not expected here`, zh: `此处不应出现 "${word.text}"` })
}
