/**
 * The store contract over any SQL database, written once. What differs between databases stands in `SqlEngine` (their
 * connections, clocks, failures and ways of telling of changes) and in its `SqlDialect`.
 *
 * All writers take the one row of `zhongkong_meta` first. So writes have one order, the order of commits, and the change
 * feed cannot skip a write that commits late. Group commit makes up for the queueing.
 */
import type { Kysely, RawBuilder, Transaction } from 'kysely'
import type { Clock } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { GroupCommit } from './group-commit.ts'
import { nextLine, onLine } from './lined-revision.ts'
import { countNewNames, lostRows } from './name-tally.ts'
import type { SqlDialect } from './sql-dialect.ts'
import { refuseNewer, type MetaTable, type Tables } from './sql-schema.ts'
import {
  checkChange,
  checkInstant,
  checkLimit,
  checkName,
  checkRevision,
  formatDuePlace,
  parseDuePlace,
} from './store-arguments.ts'
import {
  storeMsMax,
  type Change,
  type Changes,
  type NamedRecord,
  type ScanPage,
  type ScanQuery,
  type Store,
  type StoredRecord,
} from './store.ts'

/** The instant of a write, as it is kept with it. */
export type WriteStamp = Pick<MetaTable, 'written_at' | 'host_run' | 'host_uptime'>

/** The same as SQL, for databases whose own clock makes the stamp. */
export type WriteStampSql = { readonly [K in keyof WriteStamp]: WriteStamp[K] | RawBuilder<WriteStamp[K]> }

/** One kind of SQL database, opened. */
export type SqlEngine = {
  readonly kind: string
  /**
   * Runs work on the database, again when it is busy or had to be mended, and ends by `endsAt` (monotonic). Work must
   * therefore be harmless to repeat from its beginning. Throws only `ZhongkongError`.
   */
  run<T>(work: (db: Kysely<Tables>) => Promise<T>, endsAt: number): Promise<T>
  readonly dialect: SqlDialect
  /** A row that must be there is not: `run` mends that and tries again. */
  rowMissing(): Error
  now(): Promise<number>
  /** The stamp of a write that is about to be committed after one with the stamp `last`. */
  stamp(last: WriteStamp): WriteStampSql
  /** Writes of this process were committed. Throws when the database was taken away meanwhile, so that they may be lost. */
  wrote(): void
  watch(onChange: () => void): () => void
  /** Called once, after everything asked for has ended. */
  close(): Promise<void>
}

export function createSqlStore(engine: SqlEngine, clock: Clock): Store {
  return new SqlStore(engine, clock)
}

type Write = { readonly name: string; readonly change: Change; readonly ifRevision: number }

/** The one row of `zhongkong_meta`, the server that gave it, and the line that it belongs to. */
type Meta = MetaTable & { readonly server: string; readonly line: number }

class SqlStore implements Store {
  readonly kind: string
  readonly #engine: SqlEngine
  readonly #clock: Clock
  readonly #writes: GroupCommit<Write, number | null>
  #closing: Promise<void> | null = null
  /** The line of the last answer (lined-revision.ts), the server that gave it, and the highest write known of. */
  #line = 0
  #server: string | null = null
  #sequence = 0

  constructor(engine: SqlEngine, clock: Clock) {
    this.kind = engine.kind
    this.#engine = engine
    this.#clock = clock
    this.#writes = new GroupCommit(
      () => clock.monotonic(),
      async (batch, since) => await this.#commit(batch, since + storeMsMax),
    )
  }

  async read(name: string): Promise<StoredRecord> {
    checkName(name)
    return await this.#run(async (db) => {
      const row = await db
        .selectFrom('zhongkong_entries')
        .select(['body', 'revision', this.#serverSql()])
        .where('name', '=', name)
        .executeTakeFirst()
      if (row !== undefined) return { body: row.body, revision: onLine(this.#follow(row.server), row.revision) }
      const { line, revision_floor } = await this.#meta(db)
      return { body: null, revision: onLine(line, revision_floor) }
    })
  }

  async write(name: string, change: Change, ifRevision: number): Promise<number | null> {
    checkName(name)
    checkRevision(ifRevision)
    const write = { name, change: checkChange(change), ifRevision }
    this.#assertOpen()
    return await this.#writes.submit(write)
  }

  async scan(query: ScanQuery): Promise<ScanPage<NamedRecord>> {
    const limit = checkLimit(query.limit)
    return await this.#run(async (db) => {
      const rows = await scanQuery(db, query)
        .select(this.#serverSql())
        .limit(limit + 1)
        .execute()
      const records = rows.slice(0, limit).flatMap(({ name, body, revision, due_at, server }) => {
        return body === null ? [] : [{ name, body, revision: onLine(this.#follow(server), revision), dueAt: due_at }]
      })
      const last = rows[limit - 1]
      if (rows.length <= limit || last === undefined) return { records, next: null }
      const next = query.dueBefore === undefined ? last.name : formatDuePlace({ dueAt: last.due_at, name: last.name })
      return { records, next }
    })
  }

  async changes(since: string | null, limit: number): Promise<Changes> {
    checkLimit(limit)
    return await this.#run(async (db) => {
      // The number is read before the rows: what is committed in between comes twice rather than never.
      const { identity, sequence, server, line } = await this.#meta(db)
      const history = `${identity}:${server}:${line}`
      const cursor = `${history}:${sequence}`
      if (since === null) return { changed: [], cursor, more: false, reset: false }
      const from = numberIn(since, history)
      // A cursor ahead of the database comes from before a restored backup.
      if (from === null || from > sequence) return { changed: [], cursor, more: false, reset: true }
      const rows = await db
        .selectFrom('zhongkong_entries')
        .select(['name', 'revision', 'changed'])
        .where('changed', '>', from)
        .orderBy('changed')
        .limit(limit + 1)
        .execute()
      const page = rows.slice(0, limit)
      const end = page.at(-1)?.changed ?? sequence
      const changed = page.map(({ name, revision }) => ({ name, revision: onLine(line, revision) }))
      return { changed, cursor: `${history}:${end}`, more: rows.length > limit, reset: false }
    })
  }

  watch(onChange: () => void): () => void {
    this.#assertOpen()
    return this.#engine.watch(onChange)
  }

  async now(): Promise<number> {
    this.#assertOpen()
    return await this.#engine.now()
  }

  async close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#writes.settled()
      await this.#engine.close()
    })()
    await this.#closing
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new ZhongkongError('store_unavailable', 'the store is closed')
  }

  async #run<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    this.#assertOpen()
    return await this.#engine.run(work, this.#clock.monotonic() + storeMsMax)
  }

  #serverSql() {
    return this.#engine.dialect.server.as('server')
  }

  /**
   * The line of an answer. Another server than that of the answer before took over, and may lack the last writes; so may
   * one that knows of fewer writes than were known of when it was asked: it was started again.
   */
  #follow(server: string, writes: { readonly known: number; readonly found: number } | null = null): number {
    const isOther = this.#server !== null && this.#server !== server
    // Whoever asked before a loss, and is answered after it was noticed, has not found another one.
    if (isOther || (writes !== null && writes.found < Math.min(writes.known, this.#sequence))) {
      this.#line = nextLine(this.#line)
      this.#sequence = 0
    }
    this.#server = server
    this.#sequence = Math.max(this.#sequence, writes?.found ?? 0)
    return this.#line
  }

  async #meta(db: Kysely<Tables>, isLocked = false): Promise<Meta> {
    const query = db.selectFrom('zhongkong_meta').selectAll().select(this.#serverSql()).where('id', '=', 1)
    const known = this.#sequence
    const meta = await (isLocked ? query.forUpdate() : query).executeTakeFirst()
    if (meta === undefined) throw this.#engine.rowMissing()
    refuseNewer(meta)
    return { ...meta, line: this.#follow(meta.server, { known, found: meta.sequence }) }
  }

  async #commit(batch: readonly Write[], endsAt: number): Promise<readonly (number | null)[]> {
    const { results, sequence, line } = await this.#engine.run(
      async (db) => await db.transaction().execute(async (transaction) => await this.#apply(transaction, batch)),
      endsAt,
    )
    if (sequence === null) return results
    this.#engine.wrote()
    if (line === this.#line) this.#sequence = Math.max(this.#sequence, sequence)
    return results
  }

  /**
   * Judges each write of the batch by its own compare-and-swap, in order, then keeps the last state of each name.
   * Earlier writes of the same name in one batch are replaced before anybody could have seen them.
   */
  async #apply(
    db: Transaction<Tables>,
    batch: readonly Write[],
  ): Promise<{ results: (number | null)[]; sequence: number | null; line: number }> {
    // The row that orders all writers.
    const meta = await this.#meta(db, this.#engine.dialect.writeLock === 'row')
    const { line } = meta
    const known = await this.#revisions(db, new Set(batch.map((write) => write.name)))
    const revisions = new Map(known)
    const rows = new Map<string, Tables['zhongkong_entries']>()
    let sequence = meta.sequence
    const results = batch.map(({ name, change, ifRevision }) => {
      const before = revisions.get(name) ?? meta.revision_floor
      if (onLine(line, before) !== ifRevision) return null
      const revision = before + 1
      sequence += 1
      revisions.set(name, revision)
      const removed = change.body === null ? 1 : 0
      rows.set(name, { name, body: change.body, revision, due_at: change.dueAt, changed: sequence, removed })
      return onLine(line, revision)
    })
    if (rows.size === 0) return { results, sequence: null, line }
    const { dialect } = this.#engine
    await dialect.upsert(db, [...rows.values()])
    const added = [...rows.keys()].filter((name) => !known.has(name)).length
    if (dialect.countsNames && added > 0) await countNewNames(db, added)
    await db
      .updateTable('zhongkong_meta')
      .set({ sequence, ...this.#engine.stamp(meta) })
      .where('id', '=', 1)
      .execute()
    await dialect.announce(db)
    return { results, sequence, line }
  }

  /** The revisions of those names that have a row. A name without one must never have had one. */
  async #revisions(db: Transaction<Tables>, names: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
    const known = await db
      .selectFrom('zhongkong_entries')
      .select(['name', 'revision'])
      .where('name', 'in', [...names])
      .execute()
    if (this.#engine.dialect.countsNames && known.length < names.size && (await lostRows(db)) > 0) {
      throw this.#engine.rowMissing()
    }
    return new Map(known.map((row) => [row.name, row.revision]))
  }
}

function scanQuery(db: Kysely<Tables>, query: ScanQuery) {
  const living = db
    .selectFrom('zhongkong_entries')
    .select(['name', 'body', 'revision', 'due_at'])
    .where('removed', '=', 0)
  if (query.dueBefore === undefined) {
    const byName = living.orderBy('name')
    return query.after === undefined ? byName : byName.where('name', '>', query.after)
  }
  const due = living.where('due_at', '<', checkInstant(query.dueBefore)).orderBy('due_at').orderBy('name')
  if (query.after === undefined) return due
  const place = parseDuePlace(query.after)
  return due
    .where('due_at', '>=', place.dueAt)
    .where((eb) => eb.or([eb('due_at', '>', place.dueAt), eb('name', '>', place.name)]))
}

/** The write number in a cursor of this line of writes; null for a cursor of another one. */
function numberIn(cursor: string, line: string): number | null {
  const number = cursor.startsWith(`${line}:`) ? cursor.slice(line.length + 1) : ''
  return /^\d{1,16}$/.test(number) ? Number(number) : null
}
