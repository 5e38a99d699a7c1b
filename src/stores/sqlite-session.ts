/** One open connection to the database file, checked for damage as it was opened. */
import { Kysely } from 'kysely'
import type { Tables } from './sql-schema.ts'
import { configureDatabase, sqliteDialect, type SqliteDatabase, type SqliteLibrary } from './sqlite-driver.ts'
import { judgeSqlite } from './sqlite-failure.ts'
import { identifyFiles, prepareFile, quarantine, type FileIdentity } from './sqlite-file.ts'

export type SqliteSession = {
  readonly database: SqliteDatabase
  readonly db: Kysely<Tables>
  /** The files it has open. */
  files: FileIdentity
  /** SQLite's counter of changes to the schema, as of the last look at the schema. */
  schemaVersion: number
  readSchemaVersion(): number
  /** Changes when another connection has committed. */
  readDataVersion(): number
  /** Moves the log into the database, as far as other processes allow. */
  saveLog(): void
  close(): Promise<void>
}

/**
 * Opens the file. A damaged one is set aside, and `store_corrupt` is thrown. The thorough check also reads the indexes;
 * the quick one takes some 50 ms for 70 MB.
 */
export function openSession(library: SqliteLibrary, path: string, check: 'quick' | 'thorough'): SqliteSession {
  prepareFile(path)
  const files = identifyFiles(path)
  let database: SqliteDatabase | null = null
  try {
    database = new library(path)
    configureDatabase(database, path)
    checkDatabase(database, check)
    return sessionOf(database, files)
  } catch (error) {
    // It is moved before it is closed, so that closing neither writes to it nor deletes its log.
    const isDamaged = judgeSqlite(error) === 'corrupt'
    const refusal = isDamaged ? quarantine(path, files, error instanceof Error ? error.message : 'damage') : error
    database?.close()
    throw refusal
  }
}

function checkDatabase(database: SqliteDatabase, check: 'quick' | 'thorough'): void {
  const pragma = check === 'quick' ? 'quick_check' : 'integrity_check'
  const found: unknown = database.prepare(`PRAGMA ${pragma}(1)`).all()[0]
  if (JSON.stringify(found) !== `{"${pragma}":"ok"}`) {
    throw new Error(`database disk image is malformed: ${JSON.stringify(found)}`)
  }
}

function sessionOf(database: SqliteDatabase, files: FileIdentity): SqliteSession {
  const db = new Kysely<Tables>({ dialect: sqliteDialect(database) })
  const schema = database.prepare('PRAGMA schema_version')
  const data = database.prepare('PRAGMA data_version')
  return {
    database,
    db,
    files,
    schemaVersion: 0,
    readSchemaVersion: () => Number(Object.values(schema.all()[0] ?? {})[0]),
    readDataVersion: () => Number(Object.values(data.all()[0] ?? {})[0]),
    saveLog: () => database.exec('PRAGMA wal_checkpoint(TRUNCATE)'),
    close: async () => {
      await db.destroy()
      database.close()
    },
  }
}
