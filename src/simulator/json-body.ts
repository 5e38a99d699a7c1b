/** The JSON bodies that callers send. */
import { isJsonObject, type JsonObject } from '../base/json.ts'

/** The JSON object in a body; null for anything else. */
export function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : null
  } catch {
    return null // Not JSON: the caller's fault, answered as such.
  }
}

/** The text of a key; null when there is none. */
export function textOf(body: JsonObject | null, key: string): string | null {
  const value = body !== null && Object.hasOwn(body, key) ? body[key] : null
  return typeof value === 'string' ? value : null
}
