/**
 * How the tables of MySQL and MariaDB are made and looked at. Each change of a table is a transaction of its own there,
 * so whoever makes them holds a named lock for as long as the connection lives, and a half-made schema is made whole by
 * whoever comes next.
 */
import { sql, type Kysely } from 'kysely'
import { countNames, createTally, hasTally, lostRows } from './name-tally.ts'
import { MendingElsewhere } from './sql-failure.ts'
import { createMeta, type SchemaDialect, type Tables } from './sql-schema.ts'

/** The name is good for the whole server, so it has the database in it. */
const mendLock = sql`concat('zhongkong:', sha1(database()))`
/** How long to wait for another process that makes the tables, in seconds. */
const mendLockSeconds = 1

export const mysqlSchema: SchemaDialect = {
  present: async (db) => {
    const names = await presentNames(db)
    if (names.has('zhongkong_tally') && !(await hasTally(db))) names.delete('zhongkong_tally')
    return names
  },
  alone: async (db, work) => {
    const { rows } = await sql<{ held: number | null }>`
      select get_lock(${mendLock}, ${mendLockSeconds}) as held
    `.execute(db)
    if (rows[0]?.held !== 1) throw new MendingElsewhere()
    try {
      return await work(db)
    } finally {
      await sql`select release_lock(${mendLock})`.execute(db)
    }
  },
  apart: async (db, work) =>
    await db.transaction().execute(async (transaction) => {
      await transaction.selectFrom('zhongkong_meta').select('id').where('id', '=', 1).forUpdate().execute()
      return await work(transaction)
    }),
  createTables: async (db) => {
    await createEntries(db)
    await createMeta(db)
  },
  extraParts: ['zhongkong_tally'],
  createExtras: async (db) => {
    await createTally(db)
    await mysqlSchema.apart(db, countNames)
  },
  lostRows,
}

async function presentNames(db: Kysely<Tables>): Promise<Set<string>> {
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables
    where table_schema = database() and table_name like 'zhongkong\\_%'
    union
    select index_name as name from information_schema.statistics
    where table_schema = database() and index_name like 'zhongkong\\_%'
  `.execute(db)
  return new Set(rows.map((row) => row.name))
}

/** The order of names is that of their bytes. `create index` has no "if not exists" in MySQL. */
async function createEntries(db: Kysely<Tables>): Promise<void> {
  await sql`
    create table if not exists zhongkong_entries (
      name varchar(190) character set utf8mb4 collate utf8mb4_bin not null primary key,
      body longtext character set utf8mb4 collate utf8mb4_bin,
      revision bigint not null,
      due_at bigint not null,
      changed bigint not null,
      removed integer not null,
      index zhongkong_entries_due (removed, due_at, name),
      index zhongkong_entries_changed (changed)
    )`.execute(db)
  const names = await presentNames(db)
  if (!names.has('zhongkong_entries_due')) {
    await sql`create index zhongkong_entries_due on zhongkong_entries (removed, due_at, name)`.execute(db)
  }
  if (!names.has('zhongkong_entries_changed')) {
    await sql`create index zhongkong_entries_changed on zhongkong_entries (changed)`.execute(db)
  }
}
