/** How PostgreSQL's tables are made and looked at. All of it may happen in one transaction, so it does. */
import { sql } from 'kysely'
import { countNames, createTally, hasTally, lostRows } from './name-tally.ts'
import { createTables, type SchemaDialect } from './sql-schema.ts'

/** Any number that is the same in all nodes. The lock ends with the transaction, as a pooler would have it. */
const mendLock = 7_249_106_530_118

export const postgresSchema: SchemaDialect = {
  present: async (db) => {
    const { rows } = await sql<{ name: string }>`
      select relname as name from pg_catalog.pg_class
      where relname like 'zhongkong\\_%' and relkind in ('r', 'p', 'i', 'I') and pg_catalog.pg_table_is_visible(oid)
    `.execute(db)
    const names = new Set(rows.map((row) => row.name))
    if (names.has('zhongkong_tally') && !(await hasTally(db))) names.delete('zhongkong_tally')
    return names
  },
  alone: async (db, work) =>
    await db.transaction().execute(async (transaction) => {
      await sql`select pg_advisory_xact_lock(${mendLock}::bigint)`.execute(transaction)
      return await work(transaction)
    }),
  apart: async (db, work) => {
    await db.selectFrom('zhongkong_meta').select('id').where('id', '=', 1).forUpdate().execute()
    return await work(db)
  },
  // The order of names is that of their bytes, whatever the database's language.
  createTables: async (db) => await createTables(db, sql`varchar(190) collate "C"`),
  extraParts: ['zhongkong_tally'],
  createExtras: async (db) => {
    await createTally(db)
    await postgresSchema.apart(db, countNames)
  },
  lostRows,
}
