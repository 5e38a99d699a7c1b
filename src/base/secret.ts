/** Values that must not be seen: a wrapper that prints as nothing, comparison in constant time, and scrubbing of texts. */
import { hash, timingSafeEqual } from 'node:crypto'

const shown = '[secret]'

/** A secret string. Printing, JSON and inspection show `[secret]`; only `reveal()` gives the value. */
export class Secret {
  readonly #value: string
  constructor(value: string) {
    this.#value = value
  }
  reveal(): string {
    return this.#value
  }
  toString(): string {
    return shown
  }
  toJSON(): string {
    return shown
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return shown
  }
}

export function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

/** A short name for a secret value, safe to print: the first eight hex digits of its SHA-256. */
export function fingerprint(value: string): string {
  return sha256(value).toString('hex').slice(0, 8)
}

/** Compares two strings in a time that depends on neither: both are hashed first, so lengths do not matter. */
export function safeEqual(left: string, right: string): boolean {
  return timingSafeEqual(sha256(left), sha256(right))
}

/** Names of parameters that hold secrets, however they are written: `access_token`, `clientSecret`, `X-Api-Key`. */
const secretName =
  '[a-z0-9_-]*(?:secret|token|ticket|password|signature|assertion|(?:app|api|aes|access|private)[_-]?key)|sign'
/** Names too common for a sentence, which are secrets in a URL or form only. */
const secretInUrl = 'code|key'
/** A value in quotes, which may be escaped once, or up to the next delimiter. */
const secretValue = String.raw`(?:\\+"(?:[^"\\]|\\+[^"\\])*|"(?:[^"\\]|\\.)*|'(?:[^'\\]|\\.)*|(?:[^&\s"'#,;}\\]|[,;](?=[^\s"']))+)`

const secretParameter = new RegExp(
  String.raw`((?<![a-z0-9_-])(?:${secretName})\\*["']?\s*[=:]\s*|[?&](?:${secretInUrl})=)(?!\[secret\])(${secretValue})`,
  'gi',
)
const bearer = /\b(bearer\s+)[\w.~+/=-]{16,}/gi

const control = /[\u0000-\u001f\u007f-\u009f]+/g

/**
 * Takes secrets out of a text meant for people: every value in `secrets`, and anything that looks like a secret
 * parameter of a URL, form or JSON text. Control characters become spaces and the text is cut to `lengthMax`.
 */
export function scrub(text: string, secrets: readonly string[] = [], lengthMax = 300): string {
  let clean = text.replace(control, ' ')
  // The longest first: where one is the beginning of another, the rest of that must not be left standing.
  for (const form of secrets.flatMap(formsOf).toSorted((left, right) => right.length - left.length)) {
    clean = clean.replaceAll(form, shown)
  }
  clean = clean.replace(secretParameter, (_match, name: string, value: string) => {
    const quote = /^\\*["']/.exec(value)?.[0] ?? ''
    return `${name}${quote}${shown}`
  })
  clean = clean.replace(bearer, `$1${shown}`)
  return clean.length > lengthMax ? `${clean.slice(0, lengthMax)}…` : clean
}

/** The ways in which a secret may stand in a text: as it is, inside JSON, in a URL or a form. */
function formsOf(secret: string): string[] {
  const plain = secret.replace(control, ' ')
  if (plain.length < 4) return []
  const form = new URLSearchParams({ '': secret }).toString().slice(1)
  const uri = form.replaceAll('+', '%20').replace(/%(21|27|28|29|7E)/g, (code) => decodeURIComponent(code))
  const percent = [form, uri].flatMap((each) => [each, each.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())])
  return [...new Set([plain, JSON.stringify(secret).slice(1, -1), ...percent])]
}
