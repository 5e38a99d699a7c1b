/**
 * The bytes of a token read, for the surfaces and for the quick path alike. All of an answer but the seconds left is
 * constant for a snapshot, so it is made once per snapshot and kept as long as that lives. Only while a token is in doubt
 * does its end move with every read.
 */
import { createHmac } from 'node:crypto'
import type { Snapshot } from '../keeper/keeper.ts'
import type { Json, JsonObject } from '../base/json.ts'
import type { RefreshAnswer } from '../wire/v1.ts'
import { jsonType, olderType, type TextAnswer } from './answer.ts'

/** A text that differs from read to read in one number only. */
type Split = { readonly head: string; readonly tail: string }

type Prepared = {
  readonly tag: string
  /** Epoch seconds, as they stand in `v1` and `v1Stale`. */
  readonly expiresAt: number
  readonly v1: Split
  readonly v1Stale: Split
  readonly older: Split
}

const prepared = new WeakMap<Snapshot, Prepared>()

function prepare(snapshot: Snapshot): Prepared {
  const known = prepared.get(snapshot)
  if (known !== undefined) return known
  const expiresAt = endOf(snapshot)
  const made = {
    tag: tagOf(snapshot),
    expiresAt,
    v1: splitV1(snapshot, expiresAt, {}),
    v1Stale: splitV1(snapshot, expiresAt, { stale: true }),
    older: splitOlder(snapshot),
  }
  prepared.set(snapshot, made)
  return made
}

/**
 * The entity tag: the version, and eight hex digits that differ should a version number ever be given out anew (a store
 * that was lost). They are keyed by the token, so every node says the same tag, and they tell nothing about it.
 */
export function tagOf(snapshot: Snapshot): string {
  const seal = createHmac('sha256', snapshot.token).update(`${snapshot.name} ${snapshot.version}`).digest('hex')
  return `"${snapshot.version}-${seal.slice(0, 8)}"`
}

/** Longer If-None-Match headers than this are not looked at. */
const conditionLengthMax = 1_024

/** Whether an If-None-Match header names this snapshot: by its tag, by its bare version, or by `*`. */
export function isKnownToCaller(snapshot: Snapshot, ifNoneMatch: string | null): boolean {
  if (ifNoneMatch === null || ifNoneMatch.length > conditionLengthMax) return false
  const { tag } = prepare(snapshot)
  const version = `"${snapshot.version}"`
  return ifNoneMatch.split(',').some((part) => {
    const given = part.trim().replace(/^W\//, '')
    return given === tag || given === version || given === '*'
  })
}

/**
 * What is left of a token and what the caller is told of that, in milliseconds, and the wall clock by which it is told, in
 * epoch milliseconds.
 */
export type Left = { readonly leftMs: number; readonly toldMs: number; readonly now: number }

/** `GET /v1/tokens/{name}`: the whole answer, or 304 when the caller has this version. */
export function tokenAnswer(
  snapshot: Snapshot,
  left: Left,
  options: { readonly isStale: boolean; readonly ifNoneMatch: string | null },
): TextAnswer {
  const { tag, expiresAt, v1, v1Stale } = prepare(snapshot)
  const headers = ['ETag', tag]
  if (options.ifNoneMatch !== null && isKnownToCaller(snapshot, options.ifNoneMatch)) return notModified(tag)
  const latest = latestEnd(left)
  const prepared = options.isStale ? v1Stale : v1
  const { head, tail } =
    expiresAt <= latest ? prepared : splitV1(snapshot, latest, options.isStale ? { stale: true } : {})
  return { status: 200, type: jsonType, body: `${head}${secondsOf(left.toldMs)}${tail}`, headers }
}

/** `POST /v1/tokens/{name}/refresh`. */
export function refreshAnswer(
  snapshot: Snapshot,
  left: Left,
  outcome: Pick<RefreshAnswer, 'refreshed' | 'reason' | 'stale'>,
): TextAnswer {
  const { tag, expiresAt } = prepare(snapshot)
  const { head, tail } = splitV1(snapshot, Math.min(expiresAt, latestEnd(left)), outcome)
  const headers = ['ETag', tag]
  return { status: 200, type: jsonType, body: `${head}${secondsOf(left.toldMs)}${tail}`, headers }
}

/** TokenBoy's `GET /token`: the upstream's own object as Python writes it, with the seconds that are left. */
export function tokenboyAnswer(snapshot: Snapshot, toldMs: number, ifNoneMatch: string | null): TextAnswer {
  const { tag, older } = prepare(snapshot)
  const seconds = secondsOf(toldMs)
  const ownTag = `${tag.slice(0, -1)}-${seconds}"`
  if (ifNoneMatch !== null && ifNoneMatch.length <= conditionLengthMax) {
    const isKnown = ifNoneMatch.split(',').some((part) => part.trim().replace(/^W\//, '') === ownTag)
    if (isKnown) return notModified(ownTag)
  }
  return { status: 200, type: olderType, body: `${older.head}${seconds}${older.tail}`, headers: ['ETag', ownTag] }
}

function notModified(tag: string): TextAnswer {
  return { status: 304, type: null, body: null, headers: ['ETag', tag] }
}

/** Whole seconds, rounded down: never promise more than there is. */
export function secondsOf(leftMs: number): number {
  return Math.max(0, Math.floor(leftMs / 1_000))
}

/**
 * `expires_at` of a snapshot: the last whole second before its end. `expires_in` is rounded down, so the second after that
 * would be later than `expires_in` from now for half of those who read.
 */
function endOf({ expiresAt }: Snapshot): number {
  return Math.ceil(expiresAt / 1_000) - 1
}

/** The latest `expires_at` beside an `expires_in`. While a token is in doubt, little is promised of what is left. */
function latestEnd({ leftMs, toldMs, now }: Left): number {
  return Math.floor(now / 1_000) + secondsOf(Math.min(leftMs, toldMs))
}

function splitV1(
  snapshot: Snapshot,
  expiresAt: number,
  more: JsonObject | Pick<RefreshAnswer, 'refreshed' | 'reason' | 'stale'>,
): Split {
  const before = JSON.stringify({ name: snapshot.name, token: snapshot.token })
  const after = JSON.stringify({
    expires_at: expiresAt,
    issued_at: Math.floor(snapshot.issuedAt / 1_000),
    version: snapshot.version,
    fields: snapshot.fields,
    ...more,
  })
  return { head: `${before.slice(0, -1)},"expires_in":`, tail: `,${after.slice(1)}` }
}

function splitOlder(snapshot: Snapshot): Split {
  const pairs = Object.entries(snapshot.fields).filter(([key]) => key !== 'expires_in')
  const at = Object.keys(snapshot.fields).indexOf('expires_in')
  const place = at === -1 ? pairs.length : at
  const written = pairs.map(([key, value]) => `${pythonJson(key)}: ${pythonJson(value)}`)
  const before = written.slice(0, place).map((pair) => `${pair}, `)
  const after = written.slice(place).map((pair) => `, ${pair}`)
  return { head: `{${before.join('')}"expires_in": `, tail: `${after.join('')}}` }
}

/**
 * JSON as Python's `json.dumps` writes it: a space after each comma and colon, everything outside printable ASCII
 * escaped. `<` is escaped as well, because these answers go out as text/html.
 */
export function pythonJson(value: Json): string {
  if (typeof value === 'string') return escaped(JSON.stringify(value))
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  const pairs = Object.entries(value).map(([key, inner]) => `${pythonJson(key)}: ${pythonJson(inner)}`)
  return `{${pairs.join(', ')}}`
}

function escaped(text: string): string {
  return text.replace(/[^\x20-\x3b\x3d-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
