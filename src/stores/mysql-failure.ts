/** What a failure of MySQL or MariaDB means, by its number. */
import { codeOfFailure, isNetworkFailure, type SqlFailure } from './sql-failure.ts'

const byNumber: Readonly<Record<number, SqlFailure>> = {
  // Too many connections, of all or of this user; a lock taking too long, a deadlock; two making one table or row.
  1040: 'busy',
  1203: 'busy',
  1226: 'busy',
  1205: 'busy',
  1213: 'busy',
  1050: 'busy',
  1061: 'busy',
  1062: 'busy',
  1412: 'busy',
  // A statement taking too long (MySQL, MariaDB), or ended by somebody.
  1317: 'busy',
  1969: 'busy',
  3024: 'busy',
  // Shutting down; the connection was ended by somebody, or had been idle for too long.
  1053: 'lost',
  1927: 'lost',
  4031: 'lost',
  1290: 'read-only',
  1792: 'read-only',
  1836: 'read-only',
  1146: 'missing',
  // Disk full, in its several words.
  1021: 'full',
  1026: 'full',
  1114: 'full',
  1044: 'refused',
  1045: 'refused',
  1049: 'refused',
  1142: 'refused',
}

/** A general failure of the storage engine, whose text has the system's own number: 28 is a full disk. */
const storageFailed = 1030

export function judgeMysql(error: unknown): SqlFailure {
  const number = Number(codeOfFailure(error, 'errno') ?? 0)
  const known = byNumber[number]
  if (known !== undefined) return known
  if (number === storageFailed && /\b28\b/.test(error instanceof Error ? error.message : '')) return 'full'
  if (isNetworkFailure(error) || error instanceof AggregateError) return 'lost'
  // The driver's own words about a connection that is over have no number.
  return number === 0 && /clos|connect|tls|handshake|timeout/i.test(String(error)) ? 'lost' : 'other'
}

/** True when the server itself says that the commit did not happen. A statement that was ended leaves it open. */
export function isCommitRefused(error: unknown): boolean {
  const failure = judgeMysql(error)
  const number = Number(codeOfFailure(error, 'errno') ?? 0)
  return number === 1205 || number === 1213 || failure === 'read-only' || failure === 'full'
}
