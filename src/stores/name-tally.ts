/**
 * How a loss of rows is noticed where no trigger can see it: a row of its own counts the names ever written. No row of
 * an entry is ever deleted by a store, so fewer rows than that were deleted by somebody's hand or tool. Triggers would
 * tell at once, but MySQL grants them to few, and TRUNCATE passes them by.
 *
 * Before a name without a row is judged, the rows are counted. So a revision is not used twice, however the rows went.
 */
import { sql, type Kysely } from 'kysely'
import type { Tables } from './sql-schema.ts'

/** One statement, so that both numbers are of one instant. */
export async function lostRows(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ lost: number | null }>`
    select (select names from zhongkong_tally where id = 1) - (select count(*) from zhongkong_entries) as lost
  `.execute(db)
  return Math.max(0, rows[0]?.lost ?? 0)
}

/** In the transaction that puts the rows in. */
export async function countNewNames(db: Kysely<Tables>, count: number): Promise<void> {
  await db
    .updateTable('zhongkong_tally')
    .set((eb) => ({ names: eb('names', '+', count) }))
    .where('id', '=', 1)
    .execute()
}

/** With all writers waiting. */
export async function countNames(db: Kysely<Tables>): Promise<void> {
  await db.deleteFrom('zhongkong_tally').execute()
  await sql`insert into zhongkong_tally (id, names) select 1, count(*) from zhongkong_entries`.execute(db)
}

export async function createTally(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('zhongkong_tally')
    .ifNotExists()
    .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('names', 'bigint', (column) => column.notNull())
    .execute()
}

/** Without its row the table is as good as missing. */
export async function hasTally(db: Kysely<Tables>): Promise<boolean> {
  return (await db.selectFrom('zhongkong_tally').select('names').where('id', '=', 1).executeTakeFirst()) !== undefined
}
