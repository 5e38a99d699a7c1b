/**
 * `${NAME}` and `${NAME:-default}` in a text; `$${` writes a literal `${`. What a reference brings in is never looked at
 * again, so a value from outside cannot name another one. As in a shell, `:-` also replaces an empty value.
 */

export type Lookup = (name: string) => string | undefined

export type Fault = {
  readonly kind: 'unset' | 'malformed'
  /** The variable's name; empty when it cannot be told. */
  readonly name: string
  /** Where the reference begins in the text. */
  readonly index: number
}

export type Interpolated = {
  readonly value: string
  readonly faults: readonly Fault[]
  /** At least one reference was there, whether or not it could be resolved. */
  readonly referred: boolean
  /** A reference fell back to its written default. */
  readonly defaulted: boolean
}

const opening = /\$?\$\{/g
const reference = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/

/** Resolves every reference in `text`; those that cannot be resolved are left out and reported. */
export function interpolate(text: string, lookup: Lookup): Interpolated {
  const faults: Fault[] = []
  let value = ''
  let referred = false
  let defaulted = false
  let from = 0
  opening.lastIndex = 0
  for (let match = opening.exec(text); match !== null; match = opening.exec(text)) {
    value += text.slice(from, match.index)
    from = opening.lastIndex
    if (match[0] === '$${') {
      value += '${'
      continue
    }
    referred = true
    const whole = reference.exec(text.slice(match.index))
    const name = whole?.[1]
    if (whole === null || name === undefined) {
      faults.push({ kind: 'malformed', name: '', index: match.index })
      continue
    }
    from = match.index + whole[0].length
    opening.lastIndex = from
    const found = lookup(name)
    const fallback = whole[2]
    if (fallback !== undefined && (found === undefined || found === '')) {
      defaulted = true
      value += fallback
    } else if (found === undefined) {
      faults.push({ kind: 'unset', name, index: match.index })
    } else {
      value += found
    }
  }
  return { value: value + text.slice(from), faults, referred, defaulted }
}

/** The text that interpolation turns back into `text`. */
export function escapeReferences(text: string): string {
  return text.replaceAll('${', () => '$${')
}
