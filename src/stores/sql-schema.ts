/**
 * The tables of the SQL stores, and how they come to be there and stay there.
 *
 * Every migration may run again on a database in which it has run: `mendSchema` makes a deleted table anew by running
 * them all. One process does so at a time; the others find it done. A migration that an older zhongkong cannot live with
 * raises `needs_schema`, and older ones then refuse the database; all others only add, and older ones work on beside them.
 *
 * **Revisions after a loss.** A revision of a name must not be used twice, or a slow writer could overwrite what it never
 * saw. Revisions live in the rows, so when rows are lost, `revision_floor` takes over: names without a row are read with
 * that revision. It is 0 in a healthy database. After a loss it is set above every revision that can have been used:
 * a revision is never higher than the number of writes, and nobody writes a thousand times a second since 1970, so
 * the time in epoch milliseconds will do.
 */
import { sql, type Expression, type Kysely } from 'kysely'
import { ZhongkongError } from '../base/errors.ts'

/** One row per name ever written; a removed name keeps its row, without a body. */
export type EntriesTable = {
  name: string
  body: string | null
  revision: number
  due_at: number
  /** The number of the write that made it: the order of the change feed. */
  changed: number
  removed: 0 | 1
}

/** One row, `id` 1, which every write updates: that is what makes the order of writes the order of commits. */
export type MetaTable = {
  id: number
  /** Names this database among others: a cursor of another one is void. */
  identity: string
  /** The number of the last write. */
  sequence: number
  revision_floor: number
  /** The store's time of the last write, and the machine's run and uptime at that instant (see host-uptime.ts). */
  written_at: number
  host_run: string
  host_uptime: number
  /** The number of the oldest schema whose programs may use this database. */
  needs_schema: number
}

/** One row, `id` 1; only where no trigger notices deleted rows (see name-tally.ts). */
export type TallyTable = { id: number; names: number }

export type Tables = {
  zhongkong_entries: EntriesTable
  zhongkong_meta: MetaTable
  zhongkong_tally: TallyTable
  zhongkong_migrations: { name: string; timestamp: string }
}

/** The number of the schema this program writes. */
const schemaNumber = 1

/** Tables, indexes and triggers that must be there. */
const parts = ['zhongkong_entries', 'zhongkong_meta', 'zhongkong_entries_due', 'zhongkong_entries_changed'] as const

/** What a database brings to its schema beyond what all have in common. */
export type SchemaDialect = {
  /** The names of all tables, indexes and triggers that begin with `zhongkong_`. */
  present(db: Kysely<Tables>): Promise<ReadonlySet<string>>
  /** Runs work while no other process mends. Throws when another one takes too long over it. */
  alone<T>(db: Kysely<Tables>, work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /** Runs work, from within `alone`, in a transaction and with all writers waiting. */
  apart<T>(db: Kysely<Tables>, work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /** Both tables, those that are missing, with the indexes of the entries. */
  createTables(db: Kysely<Tables>): Promise<void>
  /** What there is beside them, by which rows deleted by hand are noticed; the names are in `extraParts`. */
  createExtras(db: Kysely<Tables>): Promise<void>
  readonly extraParts: readonly string[]
  /** How many rows were deleted by hand and are not yet made up for; for databases where no trigger does that. */
  lostRows(db: Kysely<Tables>): Promise<number>
}

export type MendOptions = {
  readonly dialect: SchemaDialect
  /** A new identity for the database, should it need one. */
  readonly identity: string
  readonly now: number
  /** This process has used the database before: whatever is missing now was lost. */
  readonly wasUsed: boolean
}

/** Makes whatever is missing. Answers what was lost: empty for a new database, and for one that was whole. */
export async function mendSchema(db: Kysely<Tables>, options: MendOptions): Promise<readonly string[]> {
  if (isWhole(await look(db, options.dialect))) return []
  return await options.dialect.alone(db, async (alone) => {
    // Whoever had the lock before may have done it all.
    const found = await look(alone, options.dialect)
    return isWhole(found) ? [] : await mend(alone, options, found)
  })
}

/** Throws `store_newer` for a database that this program cannot live with. */
export function refuseNewer(meta: Pick<MetaTable, 'needs_schema'>): void {
  if (meta.needs_schema <= schemaNumber) return
  throw new ZhongkongError(
    'store_newer',
    `the database needs schema ${meta.needs_schema}; this zhongkong knows schema ${schemaNumber}`,
  )
}

type Found = {
  readonly present: ReadonlySet<string>
  readonly missing: readonly string[]
  /** The migrations that ran. */
  readonly recorded: readonly string[]
  readonly meta: MetaTable | undefined
  readonly lostRows: number
}

async function look(db: Kysely<Tables>, dialect: SchemaDialect): Promise<Found> {
  const present = await dialect.present(db)
  const recorded = present.has('zhongkong_migrations')
    ? (await db.selectFrom('zhongkong_migrations').select('name').execute()).map((row) => row.name)
    : []
  const meta = present.has('zhongkong_meta') ? await readMeta(db) : undefined
  if (meta !== undefined) refuseNewer(meta)
  const missing = [...parts, ...dialect.extraParts].filter((part) => !present.has(part))
  return { present, missing, recorded, meta, lostRows: missing.length === 0 ? await dialect.lostRows(db) : 0 }
}

function isWhole({ missing, recorded, meta, lostRows }: Found): boolean {
  const hasRun = Object.keys(migrations).every((name) => recorded.includes(name))
  return missing.length === 0 && meta !== undefined && hasRun && lostRows === 0
}

async function mend(db: Kysely<Tables>, options: MendOptions, found: Found): Promise<readonly string[]> {
  const { present, missing, recorded, meta } = found
  const wasUsed =
    options.wasUsed || recorded.length > 0 || present.has('zhongkong_entries') || present.has('zhongkong_meta')
  const lost = wasUsed
    ? [
        ...missing,
        ...(present.has('zhongkong_meta') && meta === undefined ? ['its only row'] : []),
        ...(found.lostRows > 0 ? [`${found.lostRows} rows of zhongkong_entries`] : []),
      ]
    : []
  const lostRevisions = wasUsed && (missing.includes('zhongkong_entries') || meta === undefined || found.lostRows > 0)
  const floor = lostRevisions ? Math.max(options.now, meta?.sequence ?? 0, await highestChange(db, present)) + 1 : 0
  const again = missing.length > 0 || meta === undefined
  const start = async (): Promise<void> =>
    await options.dialect.apart(db, async (apart) => await startMeta(apart, options.identity, floor))
  // Where tables are made outside a transaction, nobody may find an empty one beside the floor of before.
  if (meta !== undefined) await start()
  await createMigrations(db)
  for (const [name, run] of Object.entries(migrations)) {
    if (recorded.includes(name) && !again) continue
    await run(db, options.dialect)
    await recordMigration(db, name, options.now)
  }
  if (meta === undefined) await start()
  await options.dialect.createExtras(db)
  return lost
}

async function readMeta(db: Kysely<Tables>): Promise<MetaTable | undefined> {
  return await db.selectFrom('zhongkong_meta').selectAll().where('id', '=', 1).executeTakeFirst()
}

async function highestChange(db: Kysely<Tables>, present: ReadonlySet<string>): Promise<number> {
  if (!present.has('zhongkong_entries')) return 0
  const row = await db
    .selectFrom('zhongkong_entries')
    .select('changed')
    .orderBy('changed', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.changed ?? 0
}

/** All migrations, by number. Each says everything with "if not exists", because it may run again. */
const migrations: Readonly<Record<string, (db: Kysely<Tables>, dialect: SchemaDialect) => Promise<void>>> = {
  '0001-entries': async (db, dialect) => await dialect.createTables(db),
}

async function createMigrations(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('zhongkong_migrations')
    .ifNotExists()
    .addColumn('name', 'varchar(190)', (column) => column.primaryKey().notNull())
    .addColumn('timestamp', 'varchar(64)', (column) => column.notNull())
    .execute()
}

async function recordMigration(db: Kysely<Tables>, name: string, now: number): Promise<void> {
  await db.deleteFrom('zhongkong_migrations').where('name', '=', name).execute()
  await db
    .insertInto('zhongkong_migrations')
    .values({ name, timestamp: new Date(now).toISOString() })
    .execute()
}

/** The tables as SQLite and PostgreSQL take them. `name` is the type of names: its order must be that of their bytes. */
export async function createTables(db: Kysely<Tables>, name: Expression<unknown>): Promise<void> {
  await createEntries(db, name)
  await createMeta(db)
}

async function createEntries(db: Kysely<Tables>, name: Expression<unknown>): Promise<void> {
  await db.schema
    .createTable('zhongkong_entries')
    .ifNotExists()
    .addColumn('name', name, (column) => column.primaryKey().notNull())
    .addColumn('body', 'text')
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addColumn('due_at', 'bigint', (column) => column.notNull())
    .addColumn('changed', 'bigint', (column) => column.notNull())
    .addColumn('removed', 'integer', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('zhongkong_entries_due')
    .ifNotExists()
    .on('zhongkong_entries')
    .columns(['removed', 'due_at', 'name'])
    .execute()
  await db.schema
    .createIndex('zhongkong_entries_changed')
    .ifNotExists()
    .on('zhongkong_entries')
    .column('changed')
    .execute()
}

export async function createMeta(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('zhongkong_meta')
    .ifNotExists()
    .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('identity', 'varchar(64)', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('revision_floor', 'bigint', (column) => column.notNull())
    .addColumn('written_at', 'bigint', (column) => column.notNull())
    .addColumn('host_run', 'varchar(64)', (column) => column.notNull())
    .addColumn('host_uptime', 'bigint', (column) => column.notNull())
    .addColumn('needs_schema', 'integer', (column) => column.notNull())
    .execute()
}

/**
 * Makes the row where it is missing, and raises it above what was lost. A raised row is another database: all cursors
 * end. It never goes down, as another process may have mended, and written, a moment ago.
 */
async function startMeta(db: Kysely<Tables>, identity: string, floor: number): Promise<void> {
  const row = await readMeta(db)
  if (row === undefined) {
    const fresh = { written_at: 0, host_run: '', host_uptime: 0, needs_schema: 1 }
    await db
      .insertInto('zhongkong_meta')
      .values({ id: 1, identity, sequence: floor, revision_floor: floor, ...fresh })
      .execute()
  } else if (floor > 0) {
    const raised = Math.max(floor, row.sequence + 1)
    await db
      .updateTable('zhongkong_meta')
      .set({ identity, sequence: raised, revision_floor: raised })
      .where('id', '=', 1)
      .execute()
  }
}

/**
 * SQLite's part. No row is ever deleted by a store, so a deletion is somebody's hand or tool: the trigger turns it into
 * the removal of that name, with the next revision and a place in the change feed. Dropping the table is not seen by it.
 */
export const sqliteSchema: SchemaDialect = {
  present: async (db) => {
    const { rows } = await sql<{
      name: string
    }>`select name from sqlite_master where name like 'zhongkong~_%' escape '~'`.execute(db)
    return new Set(rows.map((row) => row.name))
  },
  alone: async (db, work) => await db.transaction().execute(work),
  apart: async (db, work) => await work(db),
  createTables: async (db) => await createTables(db, sql`varchar(190)`),
  extraParts: ['zhongkong_entries_deleted'],
  lostRows: () => Promise.resolve(0),
  createExtras: async (db) => {
    await sql`
      create trigger if not exists zhongkong_entries_deleted after delete on zhongkong_entries begin
        update zhongkong_meta set sequence = sequence + 1 where id = 1;
        insert into zhongkong_entries (name, body, revision, due_at, changed, removed) values (
          old.name, null, old.revision + 1, 0,
          coalesce((select sequence from zhongkong_meta where id = 1), old.changed + 1), 1
        );
      end`.execute(db)
  },
}
