/**
 * Entries as text: versioned JSON, read by a narrow parser. Keys it does not know are kept at the top level, so that an
 * older node does not drop what a newer one wrote beside it.
 */
import { isJsonObject, type JsonObject } from '../base/json.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { Budget } from '../model/budget.ts'
import type {
  Conflict,
  Doubt,
  Entry,
  Lease,
  Refuted,
  Replaced,
  Silence,
  Suspicion,
  Token,
  Trouble,
} from '../model/entry.ts'
import type { Failure } from '../model/failure.ts'
import type { Grant } from '../model/grant.ts'

/** Raised only when an older program could misread an entry. */
const version = 1

/** Throws `internal` for an entry that could not be read again, such as one with an infinite instant. */
export function encodeEntry(entry: Entry): string {
  const text = JSON.stringify({ v: version, ...entry })
  try {
    decodeEntry(text)
  } catch (error) {
    throw new ZhongkongError(
      'internal',
      `an entry cannot be written: ${error instanceof Error ? error.message : 'unknown'}`,
    )
  }
  return text
}

/** Throws `store_newer` for a newer version, and a plain Error, which names places but no values, for anything else. */
export function decodeEntry(text: string): Entry {
  const json = parseJson(text)
  if (!isJsonObject(json)) throw new Error('not an object')
  if (typeof json.v === 'number' && Number.isSafeInteger(json.v) && json.v > version) {
    throw new ZhongkongError('store_newer', `an entry has version ${json.v}; this zhongkong reads version ${version}`)
  }
  const { v, ...rest } = json
  if (v !== version) throw new Error('v: not a version')
  return { ...rest, ...parseEntry(rest, 'entry') }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The words of JSON.parse quote the text, so they are not passed on.
    throw new Error('not JSON')
  }
}

/** Answers the value as what it was found to be, or throws an Error that names `path`. */
type Parse<T> = (value: unknown, path: string) => T

/** A field that may be absent. */
type Optional<T> = { readonly optional: Parse<T> }

type Fields<T> = {
  readonly [K in keyof T]-?: object extends Pick<T, K> ? Optional<Exclude<T[K], undefined>> : Parse<T[K]>
}

function object<T extends object>(fields: Fields<T>): Parse<T> {
  const entries = Object.entries<Parse<unknown> | Optional<unknown>>(fields)
  return (value, path) => {
    if (!isJsonObject(value)) throw new Error(`${path}: not an object`)
    const result: Record<string, unknown> = {}
    for (const [key, field] of entries) {
      const found = Object.hasOwn(value, key) ? value[key] : undefined
      if (typeof field === 'function') result[key] = field(found, `${path}.${key}`)
      else if (found !== undefined) result[key] = field.optional(found, `${path}.${key}`)
    }
    // The parse boundary: every field of T was just read by its own parser.
    return result as T
  }
}

function guarded<T>(what: string, holds: (value: unknown) => value is T): Parse<T> {
  return (value, path) => {
    if (holds(value)) return value
    throw new Error(`${path}: not ${what}`)
  }
}

function list<T>(item: Parse<T>): Parse<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new Error(`${path}: not a list`)
    return value.map((each, index) => item(each, `${path}[${index}]`))
  }
}

function orNull<T>(parse: Parse<T>): Parse<T | null> {
  return (value, path) => (value === null ? null : parse(value, path))
}

function oneOf<const T extends string>(...words: readonly T[]): Parse<T> {
  return guarded(words.join(' or '), (value): value is T => words.some((word) => word === value))
}

const text = guarded('a text', (value) => typeof value === 'string')
const number = guarded('a number', (value): value is number => typeof value === 'number' && Number.isFinite(value))
const flag = guarded('true or false', (value) => typeof value === 'boolean')
const json: Parse<JsonObject> = guarded('an object', isJsonObject)

const numbersByName: Parse<Readonly<Record<string, number>>> = (value, path) => {
  const found = json(value, path)
  return Object.fromEntries(Object.entries(found).map(([name, each]) => [name, number(each, `${path}.${name}`)]))
}

const pair: Parse<readonly [number, number]> = (value, path) => {
  const [first, second, ...rest] = list(number)(value, path)
  if (first === undefined || second === undefined || rest.length > 0) throw new Error(`${path}: not a pair`)
  return [first, second]
}

const token = object<Token>({
  value: text,
  version: number,
  issuedAt: number,
  expiresAt: number,
  lifetimeMs: number,
  isGuessed: flag,
  isUnconfirmed: flag,
  identity: text,
  fields: json,
  askedWith: numbersByName,
})

const grant = object<Grant>({
  value: text,
  at: number,
  endsAt: { optional: number },
  identity: text,
  seed: { optional: text },
  since: { optional: number },
  replacedAt: { optional: number },
  refusedAt: { optional: number },
})

const replaced = object<Replaced>({ value: text, version: number, until: number })
const lease = object<Lease>({ node: text, at: number, until: number, forced: flag })

const doubt = object<Doubt>({
  reason: oneOf('reported', 'stray', 'asked', 'wanted'),
  at: number,
  version: number,
  repeats: number,
})

const errcode: Parse<string | number> = guarded(
  'a text or a number',
  (value): value is string | number => typeof value === 'string' || typeof value === 'number',
)

const failure = object<Failure>({
  code: text,
  message: text,
  upstream: { optional: object<NonNullable<Failure['upstream']>>({ errcode, errmsg: text }) },
  hint: { optional: object<Text>({ en: text, zh: text }) },
})

const trouble = object<Trouble>({
  class: oneOf('transient', 'quota', 'configuration', 'permission', 'needs-authorization', 'unknown', 'not-sent'),
  failure,
  since: number,
  at: number,
  count: number,
  generation: text,
  hurriedAt: { optional: number },
})

const budget = object<Budget>({ hours: list(pair), recent: list(number), forced: list(number) })

const silence = object<Silence>({ toldOf: { optional: number }, askedAt: { optional: number } })

const conflict = object<Conflict>({ since: number, count: number, sign: oneOf('refused', 'replaced') })

const refuted = object<Refuted>({
  kind: oneOf('report', 'gateway', 'input', 're-ask'),
  client: orNull(text),
  times: number,
  at: number,
})

const suspicion = object<Suspicion>({
  askedAt: number,
  version: number,
  said: { optional: oneOf('alive', 'dead', 'unclear') },
  refuted: { optional: list(refuted) },
})

const parseEntry = object<Entry>({
  token: orNull(token),
  previous: list(replaced),
  version: number,
  lease: orNull(lease),
  epoch: number,
  resolvedEpoch: number,
  doubt: orNull(doubt),
  trouble: orNull(trouble),
  nextTry: number,
  dueAt: number,
  budget,
  grants: { optional: list(grant) },
  silence: { optional: silence },
  earlyDeaths: list(number),
  conflict: { optional: conflict },
  suspicion: { optional: suspicion },
  definition: orNull(json),
})
