/** What a failure of an SQL database means for us, whichever database it is. */
import { ZhongkongError } from '../base/errors.ts'

/**
 * - `busy`: somebody else is in the way, and nothing was done: try again soon.
 * - `lost`: the connection is gone or useless, and nothing was done: try again on another.
 * - `unknown`: the connection was lost while a commit was under way.
 * - `missing`: a table or row of ours is gone: make it again.
 * - `read-only`: this server takes no writes. `full`: it has no room for them.
 * - `refused`: wrong password, no such database, no such right. `other`: everything else.
 */
export type SqlFailure = 'busy' | 'lost' | 'unknown' | 'missing' | 'read-only' | 'full' | 'refused' | 'other'

/** Thrown by our own queries when a row that must be there is not. */
export class RowMissing extends Error {
  constructor() {
    super('a row of zhongkong_meta or zhongkong_entries is missing')
    this.name = 'RowMissing'
  }
}

/** A commit was sent and not answered: it may or may not have happened. */
export class CommitUnknown extends Error {
  constructor(cause: unknown) {
    super('the connection was lost during a commit, which may have happened', { cause })
    this.name = 'CommitUnknown'
  }
}

/** Of several servers none takes writes. */
export class NotWritable extends Error {
  constructor() {
    super('no server of the URL accepts writes')
    this.name = 'NotWritable'
  }
}

/** Another process mends the schema, and takes long over it. */
export class MendingElsewhere extends Error {
  constructor() {
    super('another process is making the tables')
    this.name = 'MendingElsewhere'
  }
}

/** The failures that are our own errors; null for those of a driver. */
export function judgeOwn(error: unknown): SqlFailure | null {
  if (error instanceof RowMissing) return 'missing'
  if (error instanceof CommitUnknown) return 'unknown'
  if (error instanceof NotWritable) return 'read-only'
  if (error instanceof MendingElsewhere) return 'busy'
  return null
}

/** The code that Node gives a failed socket, or a driver its failure: a word, a number, or nothing. */
export function codeOfFailure(error: unknown, key: 'code' | 'errno' | 'severity'): string | number | null {
  if (typeof error !== 'object' || error === null || !(key in error)) return null
  const value: unknown = (error as Readonly<Record<typeof key, unknown>>)[key]
  return typeof value === 'string' || typeof value === 'number' ? value : null
}

/** Failures of the network under a driver, by Node's codes. */
export function isNetworkFailure(error: unknown): boolean {
  return /^(E[A-Z]{3,}|PROTOCOL_CONNECTION_LOST)$/.test(String(codeOfFailure(error, 'code')))
}

/**
 * The error that callers see. The texts of databases name tables, users and hosts, but no values. The driver's own error
 * is not kept as the cause: it carries the statement, which with MySQL holds the values too.
 */
export function sqlError(error: unknown, failure: SqlFailure, place: string): ZhongkongError {
  if (error instanceof ZhongkongError) return error
  const words = wordsOf(error)
  const code = failure === 'full' || failure === 'read-only' ? 'store_full' : 'store_unavailable'
  return new ZhongkongError(code, `${place}: ${words}`)
}

function wordsOf(error: unknown): string {
  // Several addresses were tried, each with an error of its own.
  if (error instanceof AggregateError) return wordsOf(error.errors[0])
  const words = error instanceof Error ? error.message.trim() : ''
  return words === '' ? String(codeOfFailure(error, 'code') ?? 'unknown failure') : words.slice(0, 300)
}
