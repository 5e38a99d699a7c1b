/** What a failure of SQLite means for us. */
import { ZhongkongError } from '../base/errors.ts'
import { RowMissing } from './sql-failure.ts'

/**
 * - `busy`: another process holds the lock; try again soon.
 * - `missing`: a table of ours is gone; make it again.
 * - `full`: no room, or not writable. `corrupt`: the file is damaged. `lost`: everything else.
 */
export type SqliteFailure = 'busy' | 'missing' | 'full' | 'corrupt' | 'lost'

/** The file is being put back or replaced at this very moment: try again soon. */
export class FileChanging extends Error {
  constructor() {
    super('the file is just being put back or replaced')
    this.name = 'FileChanging'
  }
}

/** By SQLite's primary result code: https://sqlite.org/rescode.html. */
const byCode: Readonly<Record<number, SqliteFailure>> = {
  5: 'busy',
  6: 'busy',
  8: 'full',
  11: 'corrupt',
  13: 'full',
  15: 'busy',
  26: 'corrupt',
}

/** @photostructure/sqlite leaves the code out when a statement fails while it runs; SQLite's texts are as stable. */
const byText: readonly (readonly [RegExp, SqliteFailure])[] = [
  [/no such table: (main\.)?zhongkong_/, 'missing'],
  [/database (table )?is locked|locking protocol/, 'busy'],
  [/database or disk is full|attempt to write a readonly database/, 'full'],
  [
    /database disk image is malformed|malformed database schema|file is not a database|unsupported file format/,
    'corrupt',
  ],
]

export function judgeSqlite(error: unknown): SqliteFailure {
  if (error instanceof RowMissing) return 'missing'
  if (error instanceof FileChanging) return 'busy'
  const message = error instanceof Error ? error.message : ''
  for (const [pattern, failure] of byText) if (pattern.test(message)) return failure
  const code = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : 0
  return byCode[code & 0xff] ?? 'lost'
}

/** The error that callers see. Its text names the file and SQLite's own words, which hold no data. */
export function sqliteError(error: unknown, path: string): ZhongkongError {
  if (error instanceof ZhongkongError) return error
  const words = error instanceof Error ? error.message : 'unknown failure'
  const isFull = judgeSqlite(error) === 'full'
  return new ZhongkongError(isFull ? 'store_full' : 'store_unavailable', `${path}: ${words}`, { cause: error })
}
