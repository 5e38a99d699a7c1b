/**
 * The tables of the SQL stores, and how they come to be there and stay there.
 *
 * Every migration may run again on a database in which it has run: `mendSchema` makes a deleted table anew by forgetting
 * which migrations ran and running them all. A migration that an older zhongkong cannot live with raises `needs_schema`,
 * and older ones then refuse the database; all others only add, and older ones work on beside them.
 *
 * **Revisions after a loss.** A revision of a name must not be used twice, or a slow writer could overwrite what it never
 * saw. Revisions live in the rows, so when rows are lost, `revision_floor` takes over: names without a row are read with
 * that revision. It is 0 in a healthy database. After a loss it is set above every revision that can have been used:
 * a revision is never higher than the number of writes, and nobody writes a thousand times a second since 1970, so
 * the time in epoch milliseconds will do.
 */
import { Migrator, sql, type Kysely, type Migration } from 'kysely'
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

export type Tables = {
  zhongkong_entries: EntriesTable
  zhongkong_meta: MetaTable
  zhongkong_migrations: { name: string }
}

/** The number of the schema this program writes. */
const schemaNumber = 1

/** Tables, indexes and triggers that must be there. */
const parts = ['zhongkong_entries', 'zhongkong_meta', 'zhongkong_entries_due', 'zhongkong_entries_changed'] as const

/** What a database brings to its schema beyond what kysely knows. */
export type SchemaDialect = {
  /** The names of all tables, indexes and triggers that begin with `zhongkong_`. */
  present(db: Kysely<Tables>): Promise<ReadonlySet<string>>
  /** A trigger by which rows deleted by hand are kept as removed names; its name is among `extraParts`. */
  createExtras(db: Kysely<Tables>): Promise<void>
  readonly extraParts: readonly string[]
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
  const present = await options.dialect.present(db)
  const recorded = present.has('zhongkong_migrations')
    ? (await db.selectFrom('zhongkong_migrations').select('name').execute()).map((row) => row.name)
    : []
  const meta = present.has('zhongkong_meta') ? await readMeta(db) : undefined
  if (meta !== undefined) refuseNewer(meta)
  const wanted = [...parts, ...options.dialect.extraParts]
  const missing = wanted.filter((part) => !present.has(part))
  const ours = Object.keys(migrations(options, 0))
  if (missing.length === 0 && meta !== undefined && ours.every((name) => recorded.includes(name))) return []

  const wasUsed =
    options.wasUsed || recorded.length > 0 || present.has('zhongkong_entries') || present.has('zhongkong_meta')
  const lost = wasUsed
    ? [...missing, ...(present.has('zhongkong_meta') && meta === undefined ? ['its only row'] : [])]
    : []
  const lostRevisions = wasUsed && (missing.includes('zhongkong_entries') || meta === undefined)
  const floor = lostRevisions ? Math.max(options.now, meta?.sequence ?? 0, await highestChange(db, present)) + 1 : 0
  await migrate(db, options, { floor, recorded, again: missing.length > 0 || meta === undefined })
  return lost
}

async function readMeta(db: Kysely<Tables>): Promise<MetaTable | undefined> {
  return await db.selectFrom('zhongkong_meta').selectAll().where('id', '=', 1).executeTakeFirst()
}

function refuseNewer(meta: MetaTable): void {
  if (meta.needs_schema <= schemaNumber) return
  throw new ZhongkongError(
    'store_newer',
    `the database needs schema ${meta.needs_schema}; this zhongkong knows schema ${schemaNumber}`,
  )
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

async function migrate(
  db: Kysely<Tables>,
  options: MendOptions,
  plan: { readonly floor: number; readonly recorded: readonly string[]; readonly again: boolean },
): Promise<void> {
  const ours = migrations(options, plan.floor)
  if (plan.again && plan.recorded.length > 0) {
    await db.deleteFrom('zhongkong_migrations').where('name', 'in', Object.keys(ours)).execute()
  }
  // Migrations of a newer zhongkong that only add stay recorded: kysely must not take them for damage.
  const newer = plan.recorded.filter((name) => !(name in ours))
  const nothing: Migration = { up: () => Promise.resolve() }
  const provider = {
    getMigrations: () => Promise.resolve({ ...ours, ...Object.fromEntries(newer.map((name) => [name, nothing])) }),
  }
  const migrator = new Migrator({
    db,
    provider,
    migrationTableName: 'zhongkong_migrations',
    migrationLockTableName: 'zhongkong_migrations_lock',
    allowUnorderedMigrations: true,
  })
  const { error } = await migrator.migrateToLatest()
  if (error instanceof Error) throw error
  if (error !== undefined) throw new Error('a migration failed', { cause: error })
}

/** All migrations, by number. Each says everything with "if not exists", because it may run again. */
function migrations(options: MendOptions, floor: number): Readonly<Record<string, Migration>> {
  return {
    '0001-entries': {
      up: async (db: Kysely<Tables>) => {
        await createEntries(db)
        await createMeta(db)
        await options.dialect.createExtras(db)
        await startMeta(db, options.identity, floor)
      },
    },
  }
}

async function createEntries(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('zhongkong_entries')
    .ifNotExists()
    .addColumn('name', 'varchar(190)', (column) => column.primaryKey().notNull())
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

async function createMeta(db: Kysely<Tables>): Promise<void> {
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
  extraParts: ['zhongkong_entries_deleted'],
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
