/** What the databases say differently when the store writes. How their tables are made stands in `SchemaDialect`. */
import { sql, type RawBuilder, type Transaction } from 'kysely'
import type { EntriesTable, Tables } from './sql-schema.ts'

export type SqlDialect = {
  /** How writers are kept apart: the transaction does it by itself, or the row of `zhongkong_meta` must be locked. */
  readonly writeLock: 'transaction' | 'row'
  /**
   * Which server answers, as SQL, without a colon. Another one after a failover, and maybe after a restart: what nodes
   * know may then be later than what it knows, so they look at everything anew. Where a restart does not show, lost
   * writes do, as their numbers are missing.
   */
  readonly server: RawBuilder<string>
  /** Deleted rows are noticed by counting (name-tally.ts), for want of a trigger. */
  readonly countsNames: boolean
  /** Puts rows in or over. */
  upsert(db: Transaction<Tables>, rows: readonly EntriesTable[]): Promise<void>
  /** Tells other processes of this transaction once it is committed, where the database can. */
  announce(db: Transaction<Tables>): Promise<void>
}

/** Statements stay on this machine, so one for each row costs nothing, and it is compiled only once. */
export const sqliteWrites: SqlDialect = {
  writeLock: 'transaction',
  server: sql<string>`''`,
  countsNames: false,
  upsert: async (db, rows) => {
    for (const row of rows) await upsertOnConflict(db, [row])
  },
  announce: () => Promise.resolve(),
}

/** The name under which PostgreSQL passes notices of changes on. */
export const postgresChannel = 'zhongkong_changed'

export const postgresWrites: SqlDialect = {
  writeLock: 'row',
  server: sql<string>`extract(epoch from pg_postmaster_start_time())::text`,
  countsNames: true,
  upsert: async (db, rows) => {
    for (const part of inParts(rows)) await upsertOnConflict(db, part)
  },
  announce: async (db) => {
    await sql`select pg_notify(${postgresChannel}, '')`.execute(db)
  },
}

export const mysqlWrites: SqlDialect = {
  writeLock: 'row',
  // Servers that replicate each other have numbers of their own; those of a Galera cluster at least names.
  server: sql<string>`concat(@@server_id, '/', @@hostname, '/', @@port)`,
  countsNames: true,
  upsert: async (db, rows) => {
    for (const part of inParts(rows)) {
      await db
        .insertInto('zhongkong_entries')
        .values([...part])
        .onDuplicateKeyUpdate({
          body: sql`values(body)`,
          revision: sql`values(revision)`,
          due_at: sql`values(due_at)`,
          changed: sql`values(changed)`,
          removed: sql`values(removed)`,
        })
        .execute()
    }
  },
  announce: () => Promise.resolve(),
}

async function upsertOnConflict(db: Transaction<Tables>, rows: readonly EntriesTable[]): Promise<void> {
  await db
    .insertInto('zhongkong_entries')
    .values([...rows])
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet((eb) => ({
        body: eb.ref('excluded.body'),
        revision: eb.ref('excluded.revision'),
        due_at: eb.ref('excluded.due_at'),
        changed: eb.ref('excluded.changed'),
        removed: eb.ref('excluded.removed'),
      })),
    )
    .execute()
}

/** Characters in one statement: far below what servers take by default (MariaDB: 16 MiB). */
const partMax = 1_000_000

function inParts(rows: readonly EntriesTable[]): EntriesTable[][] {
  const parts: EntriesTable[][] = []
  let left = 0
  for (const row of rows) {
    const size = row.name.length + (row.body?.length ?? 0)
    if (size > left) {
      parts.push([])
      left = partMax
    }
    parts.at(-1)?.push(row)
    left -= size
  }
  return parts
}
