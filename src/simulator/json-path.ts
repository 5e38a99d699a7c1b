/** Reading and writing a place deep inside a JSON object. Writing makes a new object. */
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'

type Path = readonly string[]

/** The value at `path`; null when there is none. */
export function valueAt(object: JsonObject, path: Path): Json {
  let here: Json = object
  for (const key of path) {
    if (!isJsonObject(here) || !Object.hasOwn(here, key)) return null
    here = here[key] ?? null
  }
  return here
}

/** The object with `value` at `path`; undefined takes the key away. Objects on the way are made. */
export function setAt(object: JsonObject, path: Path, value: Json | undefined): JsonObject {
  const [key, ...rest] = path
  if (key === undefined) return object
  if (rest.length > 0) {
    const inner = object[key] ?? null
    return { ...object, [key]: setAt(isJsonObject(inner) ? inner : {}, rest, value) }
  }
  if (value !== undefined) return { ...object, [key]: value }
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key))
}
