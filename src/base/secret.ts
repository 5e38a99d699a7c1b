/** Values that must not be seen: a wrapper that prints as nothing, comparison in constant time, and scrubbing of texts. */
import { createHash, timingSafeEqual } from 'node:crypto'

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
  return createHash('sha256').update(text, 'utf8').digest()
}

/** A short name for a secret value, safe to print: the first eight hex digits of its SHA-256. */
export function fingerprint(value: string): string {
  return sha256(value).toString('hex').slice(0, 8)
}

/** Compares two strings in a time that depends on neither: both are hashed first, so lengths do not matter. */
export function safeEqual(left: string, right: string): boolean {
  return timingSafeEqual(sha256(left), sha256(right))
}

const secretParameter =
  /([?&"'\s](?:[a-z_]*secret|[a-z_]*token|[a-z_]*ticket|appkey|app_key|api_key|key|sign|signature|assertion|password|code)["']?\s*[=:]\s*["']?)[^&\s"'#,}]+/gi

/**
 * Takes secrets out of a text meant for people: every value in `secrets`, and anything that looks like a secret
 * parameter of a URL, form or JSON text. Control characters become spaces and the text is cut to `lengthMax`.
 */
export function scrub(text: string, secrets: readonly string[] = [], lengthMax = 300): string {
  let clean = text
  for (const secret of secrets) {
    if (secret.length < 4) continue
    for (const form of [secret, encodeURIComponent(secret)]) clean = clean.replaceAll(form, shown)
  }
  clean = clean.replace(secretParameter, `$1${shown}`)

  clean = clean.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
  return clean.length > lengthMax ? `${clean.slice(0, lengthMax)}…` : clean
}
