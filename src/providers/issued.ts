/** From the fields of a good answer to an issued token: what counts as a token, and how long it is believed to live. */
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import { lifetimeMsMax } from '../model/semantics.ts'
import { unknown } from './outcome.ts'

/** A token goes into URLs and headers, so it is visible ASCII, and nothing but it. */
const usableToken = /^[\x21-\x7e]{1,4096}$/

/**
 * An issued token; or `unknown`, when the answer looks good but holds none where one should be: the upstream may well
 * have issued one. `place` names the field.
 */
export function issued(value: unknown, place: string, lifetimeMs: number | null, fields: JsonObject): Attempt {
  if (typeof value === 'string' && usableToken.test(value)) {
    return { outcome: 'issued', issued: { value, lifetimeMs, fields } }
  }
  return unknown('token_unusable', `the answer holds no usable token at ${place} (${described(value)})`)
}

function described(value: unknown): string {
  if (value === undefined) return 'nothing is there'
  if (value === null) return 'null'
  if (typeof value !== 'string') return Array.isArray(value) ? 'a list' : `${article(typeof value)} ${typeof value}`
  return value === '' ? 'an empty text' : `a text of ${value.length} characters, too long or with unprintable ones`
}

function article(word: string): string {
  return /^[aeiou]/.test(word) ? 'an' : 'a'
}

/**
 * A lifetime told as a number or numeric text, in milliseconds; null when it is unusable. Ten years is the most
 * that is believed.
 */
export function lifetimeMsOf(value: unknown, unit: 's' | 'ms' = 's'): number | null {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string' || !(unit === 's' ? /^\d{1,10}$/ : /^\d{1,13}$/).test(text)) return null
  const ms = Number(text) * (unit === 's' ? 1_000 : 1)
  return ms > 0 ? Math.min(ms, lifetimeMsMax) : null
}

/** Below this a number counts seconds since 1970, from it on milliseconds (as seconds it would be the year 5138). */
const epochMsFrom = 100_000_000_000

/** A lifetime told as an instant (ISO 8601 with a zone, epoch seconds, epoch ms), in milliseconds from `sentAt`. */
export function lifetimeMsUntil(value: unknown, sentAt: number): number | null {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string') return null
  if (/^\d{9,14}$/.test(text)) {
    const number = Number(text)
    const left = (number < epochMsFrom ? number * 1_000 : number) - sentAt
    // A number beyond ten years is no instant but something else, such as the digits of a date.
    return left > 0 && left <= lifetimeMsMax ? left : null
  }
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/.test(text)) return null
  const left = Date.parse(text) - sentAt
  return left > 0 ? Math.min(left, lifetimeMsMax) : null
}
