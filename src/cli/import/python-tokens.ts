/** A Python source (2 or 3) as tokens, as far as configuration files need it. Nothing is ever run. */
import type { Text } from '../../base/text.ts'

/** Where something stands; both count from 1. */
export type Place = { readonly line: number; readonly column: number }

export type Token = Place &
  (
    | { readonly kind: 'name' | 'operator'; readonly text: string }
    | { readonly kind: 'number'; readonly value: number }
    | { readonly kind: 'text'; readonly value: string }
    /** A string that holds code (an f-string). */
    | { readonly kind: 'formatted' }
  )

/** A file that cannot be taken over, with the place and the reason. */
export class ImportFault extends Error {
  readonly place: Place
  readonly text: Text

  constructor(place: Place, text: Text) {
    super(text.en)
    this.name = 'ImportFault'
    this.place = { line: place.line, column: place.column }
    this.text = text
  }
}

/** The statements of a file: the tokens between two ends of line that no bracket spans. */
export function pythonStatements(source: string): Token[][] {
  return new Reader(source).statements()
}

const operators = /^(?:\*\*|\/\/|[-+*/%=<>!&|^]=|==|->|[-+*/%=<>!&|^~.,:;@()[\]{}])/
const nameStart = /^[\p{L}_][\p{L}\p{N}_]*/u
const numberLike = /^(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*)?\.?\d[\d_]*\.?(?:[eE][+-]?\d+)?)[lL]?/
const stringStart = /^([A-Za-z]{0,2})('''|"""|'|")/
const closers: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' }

class Reader {
  readonly #source: string
  #at = 0
  #line = 1
  #lineStart = 0
  readonly #open: (Place & { readonly bracket: string })[] = []

  constructor(source: string) {
    this.#source = source
  }

  statements(): Token[][] {
    const statements: Token[][] = []
    let current: Token[] = []
    const end = (): void => {
      if (current.length > 0) statements.push(current)
      current = []
    }
    while (this.#at < this.#source.length) {
      const here = this.#source.charAt(this.#at)
      if (here === '\n') {
        this.#newLine(1)
        if (this.#open.length === 0) end()
      } else if (here === '\\' && /^\\\r?\n/.test(this.#source.slice(this.#at, this.#at + 3))) {
        this.#newLine(this.#source.startsWith('\\\r', this.#at) ? 3 : 2)
      } else if (/\s/.test(here) || here === '\ufeff') {
        this.#at += 1
      } else if (here === '#') {
        const next = this.#source.indexOf('\n', this.#at)
        this.#at = next === -1 ? this.#source.length : next
      } else {
        const token = this.#token()
        if (token.kind === 'operator' && token.text === ';' && this.#open.length === 0) end()
        else current.push(token)
      }
    }
    const unclosed = this.#open.at(-1)
    if (unclosed !== undefined) {
      throw new ImportFault(unclosed, {
        en: `This "${unclosed.bracket}" is not closed.`,
        zh: `此处的 "${unclosed.bracket}" 没有闭合。`,
      })
    }
    end()
    return statements
  }

  #token(): Token {
    const place = this.#place()
    const here = this.#source.slice(this.#at, this.#at + 256)
    const string = stringStart.exec(here)
    if (string !== null && /^(?:[uUbBfF]|[bBuUfF]?[rR]|[rR][bBfF])?$/.test(string[1] ?? '')) {
      return this.#string(place, (string[1] ?? '').toLowerCase(), string[2] ?? '')
    }
    const name = nameStart.exec(here)?.[0]
    if (name !== undefined) return this.#taken(name.length, { ...place, kind: 'name', text: name })
    const number = /^\.?\d/.test(here) ? numberLike.exec(here)?.[0] : undefined
    if (number !== undefined) return this.#taken(number.length, { ...place, kind: 'number', value: numberOf(number) })
    const operator = operators.exec(here)?.[0]
    if (operator === undefined) {
      throw new ImportFault(place, { en: 'This character does not belong here.', zh: '此处不应出现该字符。' })
    }
    this.#bracket(operator, place)
    return this.#taken(operator.length, { ...place, kind: 'operator', text: operator })
  }

  #bracket(operator: string, place: Place): void {
    if ('([{'.includes(operator)) this.#open.push({ ...place, bracket: operator })
    const opener = closers[operator]
    if (opener === undefined) return
    if (this.#open.pop()?.bracket !== opener) {
      throw new ImportFault(place, {
        en: `This "${operator}" closes nothing.`,
        zh: `此处的 "${operator}" 没有对应的开括号。`,
      })
    }
  }

  #string(place: Place, prefix: string, quote: string): Token {
    this.#at += prefix.length + quote.length
    const isLong = quote.length === 3
    let value = ''
    while (!this.#source.startsWith(quote, this.#at)) {
      const here = this.#source.charAt(this.#at)
      if (here === '' || (here === '\n' && !isLong)) {
        throw new ImportFault(place, { en: 'This string is not closed.', zh: '此处的字符串没有闭合。' })
      }
      if (here === '\\') value += this.#escape(prefix.includes('r'))
      else if (here === '\n') value += this.#newLine(1)
      else value += this.#taken(1, here)
    }
    this.#at += quote.length
    return prefix.includes('f') ? { ...place, kind: 'formatted' } : { ...place, kind: 'text', value }
  }

  #escape(isRaw: boolean): string {
    const here = this.#source.slice(this.#at, this.#at + 10)
    if (/^\\\r?\n/.test(here)) {
      const newLine = this.#newLine(here.startsWith('\\\r') ? 3 : 2)
      return isRaw ? `\\${newLine}` : ''
    }
    if (isRaw) return this.#taken(2, here.slice(0, 2))
    const code = /^\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3}))/.exec(here)
    if (code !== null) {
      const [whole, x, u, long, octal] = code
      const point = octal === undefined ? Number.parseInt(x ?? u ?? long ?? '', 16) : Number.parseInt(octal, 8)
      if (point > 0x10ffff) throw new ImportFault(this.#place(), badEscape)
      return this.#taken(whole.length, String.fromCodePoint(point))
    }
    if (/^\\[xuUN]/.test(here)) throw new ImportFault(this.#place(), badEscape)
    const letter = here.charAt(1)
    // Python keeps the backslash of an escape it does not know.
    return this.#taken(2, letters[letter] ?? `\\${letter}`)
  }

  #newLine(length: number): string {
    this.#at += length
    this.#line += 1
    this.#lineStart = this.#at
    return '\n'
  }

  #taken<T>(length: number, value: T): T {
    this.#at += length
    return value
  }

  #place(): Place {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 }
  }
}

const badEscape: Text = { en: 'This backslash sequence is not understood.', zh: '无法识别该反斜杠转义。' }

const letters: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  a: '\u0007',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
}

/** Python 2 writes long integers with an L and octal ones with a leading zero. */
function numberOf(text: string): number {
  const digits = text.replace(/_/g, '').replace(/[lL]$/, '')
  return /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits)
}
