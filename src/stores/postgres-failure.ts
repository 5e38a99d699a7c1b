/** What a failure of PostgreSQL means, by its SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
import { codeOfFailure, isNetworkFailure, type SqlFailure } from './sql-failure.ts'

const byCode: Readonly<Record<string, SqlFailure>> = {
  // Serialization, deadlock, lock or statement taking too long, two making one table, too many connections.
  '40001': 'busy',
  '40P01': 'busy',
  '55P03': 'busy',
  '57014': 'busy',
  '23505': 'busy',
  '42P07': 'busy',
  '53300': 'busy',
  // Shutting down, crashed, starting up; a transaction that was idle for too long was ended.
  '57P01': 'lost',
  '57P02': 'lost',
  '57P03': 'lost',
  '57P05': 'lost',
  '25P03': 'lost',
  '25P04': 'lost',
  '25006': 'read-only',
  '42P01': 'missing',
  '53100': 'full',
  '42501': 'refused',
  '3D000': 'refused',
  '3F000': 'refused',
}

export function judgePostgres(error: unknown): SqlFailure {
  const code = String(codeOfFailure(error, 'code') ?? '')
  const known = byCode[code]
  if (known !== undefined) return known
  if (code.startsWith('08') || isNetworkFailure(error)) return 'lost'
  if (code.startsWith('28')) return 'refused'
  if (error instanceof AggregateError) return 'lost'
  // The driver gives its own failures no code; they are all about the connection.
  return code === '' && /connection|timeout|not queryable|closed/i.test(textOf(error)) ? 'lost' : 'other'
}

/** True when the server itself says that the commit did not happen. All else leaves it open. */
export function isCommitRefused(error: unknown): boolean {
  return codeOfFailure(error, 'severity') === 'ERROR' || codeOfFailure(error, 'code') === '25P03'
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : ''
}
