/** Where secrets of the old file go: variables for `.env`, each with a name of its own. */
import type { Words } from './legacy.ts'

/** A value of the new file: a text, or a reference to the environment. */
export type Written = { readonly text: string } | { readonly variable: string }

export class Vault {
  /** Values for `.env`, in order. */
  readonly values = new Map<string, string>()
  /** Variables that the old file took from the environment, without a fallback. */
  readonly expected = new Set<string>()

  /** A secret: always by reference. */
  keep(words: Words, name: readonly string[]): Written {
    if (words.variable !== null) return this.open(words, name)
    const variable = this.#freeName(name)
    this.values.set(variable, words.text ?? '')
    return { variable }
  }

  /** A value that may be seen: written out, unless it came from the environment already. */
  open(words: Words, name: readonly string[]): Written {
    const { text, variable } = words
    if (variable === null) return { text: text ?? '' }
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) return this.keep({ ...words, variable: null }, name)
    if (text === null) this.expected.add(variable)
    else if (!this.values.has(variable)) this.values.set(variable, text)
    return { variable }
  }

  /** WEIXIN_SECRET; a number behind it when that is taken. */
  #freeName(parts: readonly string[]): string {
    const plain = parts
      .join('_')
      .toUpperCase()
      .replace(/[^A-Z0-9]+/g, '_')
      .replace(/^_+|_+$/g, '')
    const base = /^[A-Z]/.test(plain) ? plain : `SECRET_${plain}`
    let name = base
    for (let count = 2; this.values.has(name) || this.expected.has(name); count += 1) name = `${base}_${count}`
    return name
  }
}
