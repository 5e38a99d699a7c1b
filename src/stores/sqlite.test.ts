/** What SQLite promises beyond the store contract: it mends itself, and it never silently begins empty. */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock, Env } from '../base/env.ts'
import { realEnv } from '../base/real-env.ts'
import type { Text } from '../base/text.ts'
import { loadSqlite, type SqliteDatabase, type SqliteLibrary } from './sqlite-driver.ts'
import { openSqliteStore, type SqliteOptions } from './sqlite.ts'
import type { Store } from './store.ts'

const real = realEnv()
let directory: string
let path: string
let notices: Text[]
const opened: { close(): unknown }[] = []
let sqlite: SqliteLibrary

beforeEach(async () => {
  sqlite = await loadSqlite()
  directory = mkdtempSync(join(tmpdir(), 'zhongkong-sqlite-'))
  path = join(directory, 'data', 'store.db')
  notices = []
})
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
  rmSync(directory, { recursive: true, force: true })
})

async function open(options: Partial<SqliteOptions> = {}): Promise<Store> {
  const store = await openSqliteStore({ path, env: real, onNotice: (notice) => notices.push(notice), ...options })
  opened.push(store)
  return store
}

/** A hand with an SQL tool. */
function byHand(sql: string, file = path): void {
  const database = new sqlite(file)
  database.exec('PRAGMA busy_timeout = 2000')
  database.exec(sql)
  database.close()
}

async function put(store: Store, name: string, body: string | null): Promise<number | null> {
  return await store.write(name, { body, dueAt: 0 }, (await store.read(name)).revision)
}

/** Fills a store, closes it, and leaves the one file as another process would find it: no connection here knows it. */
async function filledAndClosed(): Promise<void> {
  const store = await open()
  await Promise.all(Array.from({ length: 200 }, (_, index) => put(store, `n${index}`, 'x'.repeat(500))))
  await store.close()
  copyFileSync(path, `${path}.copy`)
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  renameSync(`${path}.copy`, path)
}

function sleep(ms: number): Promise<void> {
  return real.clock.sleep(ms)
}

describe('files', () => {
  it('are made with their directory, for their owner alone', async () => {
    const store = await open()
    await put(store, 'a', 'x')
    expect(statSync(join(directory, 'data')).mode & 0o777).toBe(0o700)
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(path + suffix).mode & 0o777).toBe(0o600)
  })

  it('an existing file that others may read is closed to them', async () => {
    await filledAndClosed()
    execFileSync('chmod', ['644', path])
    await open()
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('every connection commits durably: write-ahead log, synchronous FULL', async () => {
    const { library, databases } = recorded()
    await open({ library })
    const pragma = (name: string) => Object.values(databases[0]!.prepare(`PRAGMA ${name}`).all()[0]!)[0] as unknown
    expect([pragma('journal_mode'), pragma('synchronous')]).toEqual(['wal', 2])
  })

  it('a place where no file can be is store_unavailable', async () => {
    writeFileSync(join(directory, 'data'), 'a file, not a directory')
    await expect(open()).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  it('data outlives the process that wrote it', async () => {
    await filledAndClosed()
    expect(await (await open()).read('n7')).toEqual({ body: 'x'.repeat(500), revision: 1 })
    expect(notices).toEqual([])
  })
})

describe('a damaged file', () => {
  const damages: Record<string, () => void> = {
    garbage: () => writeFileSync(path, Buffer.alloc(8_192, 'garbage')),
    'garbage shorter than a header': () => writeFileSync(path, 'oops'),
    'cut in the middle': () => writeFileSync(path, readFileSync(path).subarray(0, 3 * 4_096 + 100)),
    'flipped bytes in the header': () => flip(0, 8),
    'flipped bytes in the page of the schema': () => flip(100, 8),
    'flipped bytes in the head of a table page': () => flip(4_096, 8),
    'a zeroed page': () => flip(5 * 4_096, 4_096, () => 0),
  }
  const flip = (from: number, length: number, to = (byte: number) => byte ^ 0xff): void => {
    const bytes = readFileSync(path)
    for (let index = from; index < from + length; index += 1) bytes[index] = to(bytes[index]!)
    writeFileSync(path, bytes)
  }

  it.each(Object.keys(damages))('%s is set aside, and the store does not start, again and again', async (damage) => {
    await filledAndClosed()
    damages[damage]!()
    const bytes = readFileSync(path)
    await expect(open()).rejects.toMatchObject({ code: 'store_corrupt' })
    const aside = readdirSync(join(directory, 'data')).find((file) => /^store\.db\.corrupt-[\dTZ-]+$/.test(file))!
    expect(readFileSync(join(directory, 'data', aside)).equals(bytes)).toBe(true)
    for (let again = 0; again < 2; again += 1) {
      await expect(open()).rejects.toMatchObject({ code: 'store_corrupt' })
      expect(existsSync(path)).toBe(false)
    }
  })

  it('the message names the command that allows a new start, and the command does so', async () => {
    await filledAndClosed()
    damages.garbage!()
    await open().catch(() => undefined)
    const refusal: unknown = await open().catch((error: unknown) => error)
    const { message, hint } = refusal as { message: string; hint: Text }
    const command = /run: (rm '.*')/.exec(message)![1]!
    expect(hint.en).toContain(command)
    expect(hint.zh).toContain(command)
    expect(readFileSync(`${path}.quarantined`, 'utf8')).toContain(command)
    execFileSync('sh', ['-c', command])
    const store = await open()
    expect(await put(store, 'a', 'x')).toBe(1)
  })

  it('its log files go with it', async () => {
    await filledAndClosed()
    writeFileSync(path, Buffer.alloc(8_192, 'garbage'))
    writeFileSync(`${path}-wal`, 'log')
    await open().catch(() => undefined)
    const log = readdirSync(join(directory, 'data')).find((file) => /\.corrupt-[\dTZ-]+-wal$/.test(file))!
    expect(readFileSync(join(directory, 'data', log), 'utf8')).toBe('log')
  })

  it('an empty file is no damage but a beginning', async () => {
    await filledAndClosed()
    writeFileSync(path, '')
    expect(await (await open()).read('n1')).toEqual({ body: null, revision: 0 })
  })

  it('damage while running is confirmed, set aside, and every later call refused until somebody decides', async () => {
    const store = await open()
    await Promise.all(Array.from({ length: 50 }, (_, index) => put(store, `n${index}`, 'x'.repeat(500))))
    byHand('PRAGMA wal_checkpoint(TRUNCATE)')
    // From outside: in this process, closing the file would take SQLite's locks with it.
    const size = statSync(path).size - 4_096
    execFileSync('sh', [
      '-c',
      `head -c ${size} /dev/zero | tr '\\0' 'g' | dd of='${path}' bs=4096 seek=1 conv=notrunc 2>/dev/null`,
    ])
    byHand('PRAGMA user_version = 1')
    await expect(store.read('n1')).rejects.toMatchObject({ code: 'store_corrupt' })
    await expect(put(store, 'n1', 'y')).rejects.toMatchObject({ code: 'store_corrupt' })
    expect(existsSync(`${path}.quarantined`)).toBe(true)
    rmSync(`${path}.quarantined`)
    // A revision that was used before the loss is not used again.
    expect((await store.read('n1')).revision).toBeGreaterThan(1)
    expect(await put(store, 'n1', 'y')).not.toBeNull()
  })

  it('a false alarm is cleared by a second look', async () => {
    const { library, fail } = recorded()
    const store = await open({ library })
    await put(store, 'a', 'x')
    fail(new Error('database disk image is malformed'), 1)
    expect(await store.read('a')).toEqual({ body: 'x', revision: 1 })
    expect(existsSync(`${path}.quarantined`)).toBe(false)
  })
})

describe('mending while it runs', () => {
  const losses: Record<string, string> = {
    'the table of entries': 'drop table zhongkong_entries',
    'the other table': 'drop table zhongkong_meta',
    'both tables': 'drop table zhongkong_entries; drop table zhongkong_meta',
    'the row of the other table': 'delete from zhongkong_meta',
    'all tables, those of the migrations too':
      'drop table zhongkong_entries; drop table zhongkong_meta; drop table zhongkong_migrations',
  }

  it.each(Object.keys(losses))('%s deleted: every operation goes on, and no revision is used twice', async (loss) => {
    const operations: ((store: Store) => Promise<unknown>)[] = [
      (store) => store.read('a'),
      (store) => store.write('b', { body: 'x', dueAt: 0 }, 0),
      (store) => store.scan({ limit: 5 }),
      (store) => store.scan({ limit: 5, dueBefore: 5 }),
      (store) => store.changes(null, 5),
      (store) => store.now(),
    ]
    for (const operation of operations) {
      const store = await open()
      for (let revision = 0; revision < 3; revision += 1) await put(store, 'a', `body ${revision}`)
      const before = (await store.read('a')).revision
      const { cursor } = await store.changes(null, 1)
      byHand(losses[loss]!)
      await operation(store)
      const after = await store.read('a')
      if (after.body === null) expect(after.revision).toBeGreaterThan(before)
      else expect(after).toEqual({ body: 'body 2', revision: before })
      expect(await store.write('a', { body: 'late', dueAt: 0 }, before - 1)).toBeNull()
      expect(await put(store, 'a', 'new')).toBe(after.revision + 1)
      expect(await store.changes(cursor, 5)).toMatchObject({ reset: true })
      expect(notices.at(-1)?.en).toContain('made again')
      await store.close()
    }
  })

  it('losses while nobody had it open are mended at the next start', async () => {
    await filledAndClosed()
    byHand('drop table zhongkong_entries; drop index if exists zhongkong_entries_due')
    const store = await open()
    expect((await store.read('n1')).revision).toBeGreaterThan(1)
    expect(notices).toHaveLength(1)
  })

  it('set back to before its last writes: what was learnt of them counts for nothing, and everybody looks anew', async () => {
    const store = await open()
    for (const body of ['1', 'lost']) await put(store, 'a', body)
    const learnt = await store.read('a')
    const { cursor } = await store.changes(null, 1)
    byHand("update zhongkong_meta set sequence = 1; update zhongkong_entries set body = 'other'")
    // Somebody else in this process reads first.
    const { changed, reset } = await store.changes(cursor, 5)
    expect([changed, reset]).toEqual([[], true])
    const found = await store.read('a')
    expect(found.body).toBe('other')
    expect(found.revision).toBeGreaterThan(learnt.revision)
    expect(await store.write('a', { body: 'over it', dueAt: 0 }, learnt.revision)).toBeNull()
    expect((await store.scan({ limit: 1 })).records).toMatchObject([{ body: 'other', revision: found.revision }])
    expect(await store.write('a', { body: 'knowingly', dueAt: 0 }, found.revision)).toBe(found.revision + 1)
    expect(await store.write('new', { body: 'x', dueAt: 0 }, 0)).toBe((await store.read('new')).revision)
    expect((await store.changes((await store.changes(null, 1)).cursor, 5)).reset).toBe(false)
  })

  it('a row deleted by hand reads as removed, with the next revision, and shows in the feed', async () => {
    const store = await open()
    await put(store, 'a', '1')
    await put(store, 'b', '1')
    const { cursor } = await store.changes(null, 1)
    byHand("delete from zhongkong_entries where name = 'a'")
    expect(await store.read('a')).toEqual({ body: null, revision: 2 })
    expect((await store.changes(cursor, 5)).changed).toEqual([{ name: 'a', revision: 2 }])
    byHand('delete from zhongkong_entries')
    expect(await store.read('b')).toEqual({ body: null, revision: 2 })
    expect(await store.write('a', { body: 'late', dueAt: 0 }, 1)).toBeNull()
  })

  it('a lost index or trigger comes back while somebody watches', async () => {
    const store = await open()
    const stop = store.watch(() => undefined)
    await put(store, 'a', '1')
    byHand(
      'drop index zhongkong_entries_due; drop index zhongkong_entries_changed; drop trigger zhongkong_entries_deleted',
    )
    await sleep(600)
    stop()
    byHand("delete from zhongkong_entries where name = 'a'")
    expect(await store.read('a')).toEqual({ body: null, revision: 2 })
    expect(notices.at(-1)?.en).toContain('zhongkong_entries_due')
    expect(await put(store, 'b', 'x')).toBe(1)
  })
})

describe('files taken away while it runs', () => {
  it.each([
    ['the database', ['']],
    ['the database and its log', ['', '-wal', '-shm']],
    ['the log', ['-wal']],
  ])('%s deleted: nothing is lost, and it is said', async (_, suffixes) => {
    const store = await open()
    await put(store, 'a', 'x')
    const { cursor } = await store.changes(null, 1)
    for (const suffix of suffixes) rmSync(path + suffix)
    expect(await store.read('a')).toEqual({ body: 'x', revision: 1 })
    expect(await put(store, 'a', 'y')).toBe(2)
    expect((await store.changes(cursor, 5)).changed).toEqual([{ name: 'a', revision: 2 }])
    expect(notices).toHaveLength(1)
    const other = await open()
    expect(await other.read('a')).toEqual({ body: 'y', revision: 2 })
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('the database deleted but not its log: the log of the old one is not played into the new one', async () => {
    const store = await open()
    const names = Array.from({ length: 300 }, (_, index) => `n${index}`)
    await Promise.all(names.map((name) => put(store, name, 'x'.repeat(2_000))))
    await Promise.all(names.map((name) => put(store, name, name)))
    byHand('PRAGMA wal_checkpoint(TRUNCATE)')
    for (const name of ['n0', 'n150', 'n299']) await put(store, name, 'last')
    rmSync(path)
    expect((await store.scan({ limit: 1_000 })).records).toHaveLength(300)
    const other = await open()
    for (const handle of [store, other]) {
      for (const name of names) {
        const isLast = ['n0', 'n150', 'n299'].includes(name)
        expect(await handle.read(name)).toEqual(isLast ? { body: 'last', revision: 3 } : { body: name, revision: 2 })
      }
    }
  })

  it('the whole directory deleted: it is put back', async () => {
    const store = await open()
    await put(store, 'a', 'x')
    rmSync(join(directory, 'data'), { recursive: true })
    expect(await put(store, 'a', 'y')).toBe(2)
    expect(readdirSync(join(directory, 'data')).sort()).toEqual(['store.db', 'store.db-shm', 'store.db-wal'])
  })

  it('several handles notice, and agree on one file', async () => {
    const stores = [await open(), await open(), await open()]
    await put(stores[0]!, 'a', 'x')
    rmSync(path)
    await Promise.all(stores.map((store) => put(store, 'a', 'y')))
    const revision = (await stores[0]!.read('a')).revision
    for (const store of stores) expect(await store.read('a')).toEqual({ body: 'y', revision })
  })

  it('watchers notice it without anybody calling', async () => {
    const store = await open()
    await put(store, 'a', 'x')
    const told = new Promise<void>((resolve) => store.watch(resolve))
    rmSync(path)
    await told
    expect(existsSync(path)).toBe(true)
  })

  it('a file deleted in the very moment of a commit: the write is not acknowledged, as it may be lost', async () => {
    const { library, hooks } = recorded()
    const store = await open({ library })
    await put(store, 'a', 'x')
    hooks.afterExec = (sql) => {
      if (sql !== 'COMMIT') return
      hooks.afterExec = () => undefined
      rmSync(path)
    }
    await expect(put(store, 'a', 'y')).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await store.read('a')).toEqual({ body: 'y', revision: 2 })
  })

  it('a backup put in its place is used, and the feed says so', async () => {
    await filledAndClosed()
    const backup = join(directory, 'backup.db')
    copyFileSync(path, backup)
    const store = await open()
    await put(store, 'n1', 'newer')
    const { cursor } = await store.changes(null, 1)
    renameSync(backup, path)
    for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true })
    expect(await store.read('n1')).toEqual({ body: 'x'.repeat(500), revision: 1 })
    expect(await store.changes(cursor, 5)).toMatchObject({ reset: true })
    expect(notices[0]?.en).toContain('replaced')
  })
})

describe('a store that cannot be written', () => {
  it('a full disk is store_full: reads go on, and so do writes when there is room again', async () => {
    const { library, databases } = recorded()
    const store = await open({ library })
    await put(store, 'a', 'x')
    databases[0]!.exec('PRAGMA max_page_count = 1')
    await expect(put(store, 'b', 'x'.repeat(100_000))).rejects.toMatchObject({ code: 'store_full' })
    expect(await store.read('a')).toEqual({ body: 'x', revision: 1 })
    expect(await store.read('b')).toEqual({ body: null, revision: 0 })
    databases[0]!.exec('PRAGMA max_page_count = 100000')
    expect(await put(store, 'b', 'x'.repeat(100_000))).toBe(1)
  })

  it.each([
    ['disk I/O error', 'store_unavailable'],
    ['attempt to write a readonly database', 'store_full'],
    ['database or disk is full', 'store_full'],
    ['unable to open database file', 'store_unavailable'],
  ])('"%s" is %s, and nothing is left behind', async (words, code) => {
    const { library, fail } = recorded()
    const store = await open({ library })
    await put(store, 'a', 'x')
    fail(new Error(words), 1, /^COMMIT/)
    await expect(put(store, 'a', 'y')).rejects.toMatchObject({ code })
    expect(await put(store, 'a', 'z')).toBe(2)
  })

  it('a lock held by another process is waited for, and the event loop runs on', async () => {
    const store = await open()
    await put(store, 'a', 'x')
    const holder = new sqlite(path)
    opened.push(holder)
    holder.exec('BEGIN IMMEDIATE')
    let longest = 0
    let last = performance.now()
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    const writing = put(store, 'a', 'y')
    await sleep(400)
    expect(await store.read('a')).toEqual({ body: 'x', revision: 1 })
    holder.exec('ROLLBACK')
    expect(await writing).toBe(2)
    clearInterval(ticking)
    expect(longest).toBeLessThan(200)
  })

  it('a lock held for too long is store_unavailable within about two seconds, for every waiting write', async () => {
    const store = await open()
    const holder = new sqlite(path)
    opened.push(holder)
    holder.exec('BEGIN IMMEDIATE')
    const start = performance.now()
    const first = put(store, 'a', 'x')
    const second = sleep(300).then(() => put(store, 'b', 'x'))
    await expect(first).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(performance.now() - start).toBeLessThan(2_800)
    await expect(second).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(performance.now() - start).toBeLessThan(3_100)
    holder.exec('ROLLBACK')
    expect(await put(store, 'b', 'x')).toBe(1)
    expect(await store.read('a')).toEqual({ body: null, revision: 0 })
  })
})

describe('versions', () => {
  it('a database that needs a newer zhongkong is refused', async () => {
    await filledAndClosed()
    byHand('update zhongkong_meta set needs_schema = 99')
    await expect(open()).rejects.toMatchObject({ code: 'store_newer' })
  })

  it('a newer schema that only adds is worked with, and stays', async () => {
    await filledAndClosed()
    byHand(
      "insert into zhongkong_migrations values ('0002-more', '2020-01-01T00:00:00.000Z'); drop table zhongkong_meta",
    )
    const store = await open()
    expect(await put(store, 'n1', 'y')).toBe(2)
    const reader = new sqlite(path)
    opened.push(reader)
    expect(reader.prepare('select name from zhongkong_migrations order by name').all()).toMatchObject([
      { name: '0001-entries' },
      { name: '0002-more' },
    ])
  })
})

describe('the clock', () => {
  const start = 1_700_000_000_000
  function world(): { env: Env; wall: number; monotonic: number } {
    const state = { wall: start, monotonic: 0, env: real as Env }
    const clock: Clock = {
      now: () => state.wall,
      monotonic: () => state.monotonic,
      sleep: (ms, signal) => real.clock.sleep(ms, signal),
    }
    state.env = { ...real, clock }
    return state
  }

  it('does not follow a wall clock that goes back, also not over a restart', async () => {
    const first = world()
    const store = await open({ env: first.env, uptime: { run: '', ms: () => 0 } })
    first.wall = first.monotonic = 0
    first.wall = start + 60_000
    first.monotonic = 60_000
    expect(await store.now()).toBe(start + 60_000)
    first.wall = start - 3_600_000
    first.monotonic = 61_000
    expect(await store.now()).toBe(start + 61_000)
    await put(store, 'a', 'x')
    await store.close()
    const second = world()
    second.wall = start - 3_600_000
    const again = await open({ env: second.env, uptime: { run: '', ms: () => 0 } })
    expect(await again.now()).toBe(start + 61_000)
    second.monotonic = 500
    expect(await again.now()).toBe(start + 61_500)
  })

  it('processes of one machine agree although the wall clock was set back between their starts', async () => {
    let uptime = 5_000
    const host = { run: 'boot', ms: () => uptime }
    const first = world()
    const store = await open({ env: first.env, uptime: host })
    await put(store, 'a', 'x')
    uptime += 600_000
    first.monotonic += 600_000
    first.wall -= 3_600_000
    const second = world()
    second.wall = first.wall
    const other = await open({ env: second.env, uptime: host })
    expect(await store.now()).toBe(start + 600_000)
    expect(await other.now()).toBe(start + 600_000)
  })
})

/** A SQLite library whose connections can be reached and made to fail. */
function recorded(): {
  library: SqliteLibrary
  databases: SqliteDatabase[]
  fail: (error: Error, times: number, on?: RegExp) => void
  hooks: { afterExec: (sql: string) => void }
} {
  const databases: SqliteDatabase[] = []
  let left = 0
  let failure = new Error()
  let pattern = /./
  const hooks: { afterExec: (sql: string) => void } = { afterExec: () => undefined }
  const attempt = (sql: string): void => {
    if (left === 0 || !pattern.test(sql)) return
    left -= 1
    throw failure
  }
  class Recorded {
    readonly #inner: SqliteDatabase
    constructor(file: string) {
      this.#inner = new sqlite(file)
      databases.push(this.#inner)
    }
    prepare(sql: string) {
      const statement = this.#inner.prepare(sql)
      const all = (...parameters: unknown[]): unknown[] => {
        attempt(sql)
        return statement.all(...parameters)
      }
      return { all, run: statement.run.bind(statement), columns: statement.columns.bind(statement) }
    }
    exec(sql: string): void {
      attempt(sql)
      this.#inner.exec(sql)
      hooks.afterExec(sql)
    }
    close(): void {
      this.#inner.close()
    }
  }
  const fail = (error: Error, times: number, on = /./): void => {
    failure = error
    left = times
    pattern = on
  }
  return { library: Recorded, databases, fail, hooks }
}
