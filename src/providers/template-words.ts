/** The words of a template: cuts a text into what stands outside of `{{…}}`, and the words inside. */
import type { Text } from '../base/text.ts'

export type Word = {
  readonly kind: 'word' | 'quoted' | 'sign' | 'end'
  readonly text: string
  /** Characters from the beginning of the text, from 1. */
  readonly at: number
}

/** A template that cannot be read. `message` is English; `text` has both languages, with the place. */
export class TemplateError extends Error {
  readonly text: Text
  readonly at: number
  constructor(at: number, what: Text) {
    const text = { en: `Template, character ${at}: ${what.en}`, zh: `模板第 ${at} 个字符处：${what.zh}` }
    super(text.en)
    this.name = 'TemplateError'
    this.text = text
    this.at = at
  }
}

const wordPattern = /[A-Za-z0-9_:@/-]+/y
const spacePattern = /\s*/y
const signs = '().,'

/** Literal texts, and the words of each hole with an `end` at its close. Empty texts are left out. */
export function tokenize(text: string): (string | readonly Word[])[] {
  const parts: (string | readonly Word[])[] = []
  let from = 0
  while (true) {
    const open = text.indexOf('{{', from)
    const literal = text.slice(from, open === -1 ? undefined : open)
    if (literal !== '') parts.push(literal)
    if (open === -1) return parts
    const hole = readHole(text, open)
    parts.push(hole.words)
    from = hole.end
  }
}

function readHole(text: string, open: number): { words: readonly Word[]; end: number } {
  const words: Word[] = []
  let here = open + 2
  while (true) {
    here = endOf(spacePattern, text, here)
    const at = here + 1
    if (here >= text.length)
      throw new TemplateError(open + 1, { en: '"{{" is never closed by "}}"', zh: '"{{" 没有对应的 "}}"' })
    if (text.startsWith('}}', here)) {
      words.push({ kind: 'end', text: '', at })
      return { words, end: here + 2 }
    }
    const character = text.charAt(here)
    if (character === '"' || character === "'") {
      const quoted = readQuoted(text, here)
      words.push({ kind: 'quoted', text: quoted.value, at })
      here = quoted.end
    } else if (signs.includes(character)) {
      words.push({ kind: 'sign', text: character, at })
      here += 1
    } else {
      const end = endOf(wordPattern, text, here)
      if (end === here) throw strange(character, at)
      words.push({ kind: 'word', text: text.slice(here, end), at })
      here = end
    }
  }
}

function endOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from
  return from + (pattern.exec(text)?.[0].length ?? 0)
}

function readQuoted(text: string, open: number): { value: string; end: number } {
  const quote = text.charAt(open)
  let value = ''
  let here = open + 1
  while (here < text.length) {
    const character = text.charAt(here)
    if (character === quote) return { value, end: here + 1 }
    if (character === '\\') {
      here += 1
      const escaped = text.charAt(here)
      if (!['\\', "'", '"'].includes(escaped)) {
        throw new TemplateError(here, { en: 'after \\ only \\, \' or " may stand', zh: '\\ 之后只能是 \\、\' 或 "' })
      }
      value += escaped
    } else {
      value += character
    }
    here += 1
  }
  throw new TemplateError(open + 1, { en: 'this quotation is never closed', zh: '引号没有闭合' })
}

function strange(character: string, at: number): TemplateError {
  return new TemplateError(at, { en: `"${character}" is not expected here`, zh: `此处不应出现 "${character}"` })
}
