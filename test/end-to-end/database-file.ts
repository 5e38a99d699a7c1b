/** A SQLite file, looked at from outside. */
import { loadSqlite } from '../../src/stores/sqlite-driver.ts'

/** What SQLite itself says of every page and index of the file: `ok`, or what is wrong. */
export async function integrityOf(path: string): Promise<unknown> {
  const Sqlite = await loadSqlite()
  const file = new Sqlite(path)
  try {
    return file.prepare('PRAGMA integrity_check').all()
  } finally {
    file.close()
  }
}

export const whole = [{ integrity_check: 'ok' }]
