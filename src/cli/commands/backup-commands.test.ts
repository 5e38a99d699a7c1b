/** `backup` and `restore` over real SQLite files: round trips, every kind of bad file, and stores that went on meanwhile. */
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fakeIo, type FakeIo } from '../../../test/cli/fake-io.ts'
import type { Env } from '../../base/env.ts'
import { realEnv } from '../../base/real-env.ts'
import { wakeAt } from '../../model/decide.ts'
import { newEntry, type Entry, type Token } from '../../model/entry.ts'
import { openStore } from '../../stores/open-store.ts'
import type { EntryStore } from '../../stores/store.ts'
import { runProgram } from '../program.ts'
import type { CommandModule } from '../command.ts'
import { faultLines } from '../fault.ts'
import * as backup from './backup.ts'
import * as restore from './restore.ts'

const now = Date.UTC(2026, 0, 5)

let folder: string
let env: Env & { close: () => Promise<void> }

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zk-backup-'))
  env = realEnv()
})

afterEach(async () => {
  await env.close()
  await rm(folder, { recursive: true, force: true })
})

function entryOf(name: string, version: number, changes: Partial<Token> = {}): Entry {
  const value = `canary-${name}-${version}`
  const token: Token = {
    value,
    version,
    issuedAt: now + version,
    expiresAt: now + 7_200_000,
    lifetimeMs: 7_200_000,
    isGuessed: false,
    isUnconfirmed: false,
    identity: `wechat:${name}`,
    fields: { access_token: value, expires_in: 7200, text: '中文\nline' },
    askedWith: {},
    ...changes,
  }
  return { ...newEntry(now), token, version, epoch: version, resolvedEpoch: version, dueAt: now + 4_800_000 }
}

async function withStore<T>(file: string, work: (store: EntryStore) => Promise<T>): Promise<T> {
  const store = await openStore({ url: `sqlite:${join(folder, file)}`, encryptionKey: null, env })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

async function put(store: EntryStore, name: string, entry: Entry | null): Promise<void> {
  const { revision } = await store.read(name)
  expect(await store.write(name, { entry, dueAt: entry === null ? 0 : wakeAt(entry) }, revision)).not.toBeNull()
}

async function fill(file: string, entries: Readonly<Record<string, Entry>>): Promise<void> {
  await withStore(file, async (store) => {
    await Promise.all(Object.entries(entries).map(([name, entry]) => put(store, name, entry)))
  })
}

async function all(file: string): Promise<Record<string, Entry>> {
  return await withStore(file, async (store) => {
    const { records } = await store.scan({ limit: 1_000 })
    return Object.fromEntries(records.map(({ name, entry }) => [name, entry]))
  })
}

type Ran = { readonly code: number; readonly io: FakeIo }

async function run(module: CommandModule, args: readonly string[], changes: Partial<FakeIo> = {}): Promise<Ran> {
  const io = fakeIo({ directory: folder, ...changes })
  try {
    return { code: await runProgram([module], [module.name, ...args], io, { version: '0' }), io }
  } catch (thrown) {
    const { lines, exitCode } = faultLines(thrown, io.language)
    for (const line of lines) io.err(line)
    return { code: exitCode, io }
  }
}

const take = (file: string, to = 'zk.backup', ...more: string[]): Promise<Ran> =>
  run(backup, ['--store', `sqlite:${file}`, to, ...more])
const bring = (file: string, from = 'zk.backup', ...more: string[]): Promise<Ran> =>
  run(restore, ['--store', `sqlite:${file}`, '--key', 'a.db.key', from, ...more])
const path = (name: string): string => join(folder, name)

describe('a backup', () => {
  test('brings everything into another store with another key, leases left out', async () => {
    const definition = { provider: 'wechat', secret: 'canary-definition' }
    const leased = {
      ...entryOf('leased', 3),
      epoch: 4,
      lease: { node: 'n', at: now, until: now + 15_000, forced: false },
    }
    const entries = { weixin: entryOf('weixin', 7), 'team/a': entryOf('a', 1), leased }
    await fill('a.db', { ...entries, added: { ...entryOf('added', 2), definition } })
    expect((await take('a.db')).io.outLines).toEqual(['4 entries backed up into zk.backup'])
    const { code, io } = await bring('b.db')
    expect([code, io.outLines]).toEqual([0, ['4 restored (of 4)']])
    expect(await all('b.db')).toEqual({
      ...entries,
      leased: { ...leased, lease: null },
      added: { ...entryOf('added', 2), definition },
    })
    expect(await readFile(path('a.db.key'), 'utf8')).not.toBe(await readFile(path('b.db.key'), 'utf8'))
    const again = await bring('b.db')
    expect(again.io.outLines).toEqual(['0 restored, 4 the same already (of 4)'])
  })

  test('is a file for its owner, in which neither names nor tokens can be read', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 7) })
    await take('a.db')
    expect((await stat(path('zk.backup'))).mode & 0o777).toBe(0o600)
    const text = await readFile(path('zk.backup'), 'utf8')
    expect(text).not.toMatch(/canary|weixin/)
    expect(Buffer.from(text, 'base64url').toString('latin1')).not.toMatch(/canary|weixin/)
    expect((await readdir(folder)).filter((each) => each.endsWith('.tmp'))).toEqual([])
  })

  test('replaces an older backup, and nothing else', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 7) })
    await take('a.db')
    expect((await take('a.db')).code).toBe(0)
    const refused = await take('a.db', 'a.db')
    expect([refused.code, refused.io.errLines[0]]).toEqual([2, 'error: a.db is there already, and is no backup'])
    expect(Object.keys(await all('a.db'))).toEqual(['weixin'])
  })

  test('holds what changed while it was taken', async () => {
    const many = Object.fromEntries(Array.from({ length: 600 }, (_each, at) => [`s${at}`, entryOf(`s${at}`, 1)]))
    await fill('a.db', many)
    await withStore('a.db', async (store) => {
      const { takeBackup } = await import('../backup/take-backup.ts')
      const { BackupWriter, readBackup } = await import('../backup/backup-format.ts')
      const { keyringFrom } = await import('../../stores/keyring.ts')
      const ring = keyringFrom(new Uint8Array(32).fill(9))
      const lines: string[] = []
      for await (const line of takeBackup(store, new BackupWriter(ring.sealing, { id: 'x', madeAt: 0 }), [])) {
        lines.push(line)
        if (lines.length === 100) {
          // One that was read already, and a new one before the place that the scan has reached.
          await put(store, 's0', entryOf('s0', 2))
          await put(store, 'a-new-one', entryOf('a-new-one', 1))
        }
      }
      const seen = new Map<string, number>()
      await readBackup(toAsync(lines), [ring], ({ name, entry }) => {
        seen.set(name, entry.version)
        return Promise.resolve()
      })
      expect([seen.size, seen.get('s0'), seen.get('a-new-one')]).toEqual([601, 2, 1])
    })
  })

  test('goes through a pipe, and comes back through one', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 7) })
    const stdout = new PassThrough()
    const io = fakeIo({ directory: folder })
    const input = { args: ['-'], options: { store: 'sqlite:a.db', key: 'a.db.key' } }
    expect(await backup.runBackup(input, io, { env, stdout })).toBe(0)
    stdout.end()
    expect([io.outLines, io.errLines]).toEqual([[], ['1 entry backed up']])
    const back = { ...input, options: { ...input.options, store: 'sqlite:b.db' } }
    expect(await restore.runRestore(back, io, { env, stdin: stdout, folder })).toBe(0)
    expect((await all('b.db')).weixin).toEqual(entryOf('weixin', 7))
    expect((await readdir(folder)).filter((each) => each.endsWith('.tmp'))).toEqual([])
  })

  test('is not printed on a terminal, and not taken of a store in memory', async () => {
    const stdout = Object.assign(new PassThrough(), { isTTY: true })
    const taken = backup.runBackup({ args: ['-'], options: {} }, fakeIo(), { env, stdout })
    await expect(taken).rejects.toMatchObject({ exitCode: 2 })
    expect((await run(backup, ['--store', 'memory', 'x'])).code).toBe(2)
  })

  test('is not taken of a database that is not there, which would replace a good one by nothing', async () => {
    const { code, io } = await take('slip.db')
    expect([code, io.errLines[0]]).toEqual([1, `error: there is no database at ${path('slip.db')}`])
    expect(await readdir(folder)).toEqual([])
  })

  test('says which records it could not open, and is not called a success', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 7), zebra: entryOf('zebra', 1) })
    const { openSqliteStore } = await import('../../stores/sqlite.ts')
    const raw = await openSqliteStore({ path: path('a.db'), env, onNotice: () => undefined })
    const { body, revision } = await raw.read('zebra')
    await raw.write('zebra', { body, dueAt: 0 }, revision)
    await raw.close()
    const { code, io } = await take('a.db')
    expect([code, io.errLines]).toEqual([1, ['1 could not be opened, and are not in the backup: zebra']])
    expect((await bring('b.db')).io.outLines).toEqual(['1 restored (of 1)'])
  })
})

async function* toAsync(lines: readonly string[]): AsyncGenerator<string> {
  for (const line of lines) yield await Promise.resolve(line)
}

describe('a bad backup changes nothing', () => {
  beforeEach(async () => {
    await fill('a.db', Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, entryOf(name, 5)])))
    await take('a.db')
    await fill('b.db', { a: entryOf('a', 1) })
  })

  const rewritten = async (change: (lines: string[]) => string[]): Promise<Ran> => {
    const lines = (await readFile(path('zk.backup'), 'utf8')).trimEnd().split('\n')
    await writeFile(path('zk.backup'), `${change(lines).join('\n')}\n`)
    return await bring('b.db')
  }
  const flipped = (line: string): string => `${line.startsWith('A') ? 'B' : 'A'}${line.slice(1)}`

  const cases: readonly (readonly [string, (lines: string[]) => string[], RegExp])[] = [
    ['without its end', (lines) => lines.slice(0, -1), /cut short: it ends after 4 entries/],
    ['without a line', (lines) => lines.toSpliced(2, 1), /damaged: line 3/],
    ['without its last entry', (lines) => lines.toSpliced(4, 1), /damaged: line 5/],
    ['with a line twice', (lines) => lines.toSpliced(2, 0, lines[2] ?? ''), /damaged: line 4/],
    [
      'with two lines in each other’s place',
      (lines) => lines.with(1, lines[2] ?? '').with(2, lines[1] ?? ''),
      /line 2/,
    ],
    ['with a changed line', (lines) => lines.with(3, flipped(lines[3] ?? '')), /damaged: line 4/],
    ['with a changed end', (lines) => lines.with(5, `end ${flipped((lines[5] ?? '').slice(4))}`), /damaged: line 6/],
    ['with something after its end', (lines) => [...lines, lines[1] ?? ''], /damaged: line 7/],
    ['with padding', (lines) => lines.with(1, `${lines[1] ?? ''}=`), /damaged: line 2/],
    ['with another date', (lines) => lines.with(0, (lines[0] ?? '').replace(/"madeAt":\d/, '"madeAt":3')), /line 2/],
    ['with a broken first line', (lines) => lines.with(0, (lines[0] ?? '').slice(0, 40)), /damaged: line 1/],
    ['of a later format', (lines) => lines.with(0, (lines[0] ?? '').replace(':1,', ':2,')), /a newer zhongkong/],
    ['that is empty', () => [], /no backup of zhongkong/],
    ['that is something else', () => ['hello'], /no backup of zhongkong/],
    ['with a line without end', () => ['x'.repeat(5_000_000)], /no backup of zhongkong/],
  ]

  test.each(cases)('%s', async (_what, change, message) => {
    const { code, io } = await rewritten(change)
    expect(code).toBe(1)
    expect(io.errLines.join(' ')).toMatch(message)
    expect(await all('b.db')).toEqual({ a: entryOf('a', 1) })
  })

  test('cut at any byte of its last lines', async () => {
    const bytes = await readFile(path('zk.backup'))
    for (let length = bytes.length - 2; length > bytes.length - 900; length -= 41) {
      await writeFile(path('cut.backup'), bytes.subarray(0, length))
      expect((await bring('b.db', 'cut.backup')).code).toBe(1)
    }
    expect(await all('b.db')).toEqual({ a: entryOf('a', 1) })
  })

  test('of another key, which is asked for by name', async () => {
    const { code, io } = await run(restore, ['--store', 'sqlite:b.db', 'zk.backup'])
    expect([code, io.errLines.join(' ')]).toEqual([1, expect.stringMatching(/made with another key.*--key FILE/)])
    await writeFile(path('other.key'), `${'1'.repeat(64)}\n`)
    expect((await run(restore, ['--store', 'sqlite:b.db', '--key', 'other.key', 'zk.backup'])).code).toBe(1)
    await writeFile(path('no.key'), 'canary-not-a-key')
    const wrong = await run(restore, ['--store', 'sqlite:b.db', '--key', 'no.key', 'zk.backup'])
    expect([wrong.code, wrong.io.errLines.join(' ')]).toEqual([2, expect.not.stringContaining('canary')])
    expect(await all('b.db')).toEqual({ a: entryOf('a', 1) })
  })

  test('that is not there', async () => {
    const { code, io } = await bring('b.db', 'gone.backup')
    expect([code, io.errLines[0]]).toEqual([1, 'error: gone.backup cannot be read (ENOENT)'])
  })

  test('and a good one is only looked at by --dry-run', async () => {
    const { code, io } = await bring('b.db', 'zk.backup', '--dry-run')
    expect([code, io.outLines[0]]).toEqual([0, expect.stringMatching(/^the backup is whole: 4 entries, made at 20/)])
    expect(await all('b.db')).toEqual({ a: entryOf('a', 1) })
  })

  test('and the reader’s language is spoken', async () => {
    await appendFile(path('zk.backup'), 'x\n')
    const { io } = await run(restore, ['--store', 'sqlite:a.db', 'zk.backup'], { language: 'zh' })
    expect(io.errLines).toEqual([
      '错误：备份已损坏：第 7 行被改动，或不属于此处',
      '  没有恢复任何内容，请使用另一份备份。',
    ])
  })
})

describe('a store that has gone on', () => {
  test('keeps what is newer, and takes what it lacks or has in an older version', async () => {
    await fill('a.db', { older: entryOf('older', 5), newer: entryOf('newer', 5), lacking: entryOf('lacking', 5) })
    await take('a.db')
    await fill('b.db', { older: entryOf('older', 4), newer: entryOf('newer', 6), own: entryOf('own', 1) })
    expect((await bring('b.db')).io.outLines).toEqual(['2 restored, 1 newer in the store, which stay (of 3)'])
    const after = await all('b.db')
    expect(after.older?.token?.value).toBe('canary-older-5')
    expect(after.newer).toEqual(entryOf('newer', 6))
    expect(after.lacking).toEqual(entryOf('lacking', 5))
    expect(after.own).toEqual(entryOf('own', 1))
  })

  test('that began anew keeps a token that was issued later, above the versions of the backup', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 50) })
    await take('a.db')
    await fill('b.db', { weixin: entryOf('weixin', 2, { issuedAt: now + 3_600_000 }) })
    expect((await bring('b.db')).io.outLines).toEqual(['0 restored, 1 newer in the store, which stay (of 1)'])
    expect((await all('b.db')).weixin).toMatchObject({ version: 51, token: { value: 'canary-weixin-2', version: 51 } })
  })

  test('with another token under the same version keeps its own: a version has one token', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 5, { value: 'one', issuedAt: now + 99 }) })
    await take('a.db')
    await fill('b.db', { weixin: entryOf('weixin', 5, { value: 'two' }) })
    await bring('b.db')
    expect((await all('b.db')).weixin).toMatchObject({ version: 5, token: { value: 'two' } })
  })

  test('is overruled by --force, and its versions still go up', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 5) })
    await take('a.db')
    const leased = { ...entryOf('weixin', 9), epoch: 10, lease: { node: 'n', at: now, until: now + 9, forced: false } }
    await fill('b.db', { weixin: leased })
    expect((await bring('b.db', 'zk.backup', '--force')).io.outLines).toEqual(['1 restored (of 1)'])
    expect((await all('b.db')).weixin).toMatchObject({
      version: 10,
      token: { value: 'canary-weixin-5', version: 10 },
      epoch: 10,
      lease: leased.lease,
    })
  })

  test('takes back a source that was removed', async () => {
    await fill('a.db', { weixin: entryOf('weixin', 5) })
    await take('a.db')
    await withStore('a.db', (store) => put(store, 'weixin', null))
    expect((await bring('a.db')).io.outLines).toEqual(['1 restored (of 1)'])
    expect((await all('a.db')).weixin).toEqual(entryOf('weixin', 5))
  })
})

describe('stopping', () => {
  test('leaves no file of a backup, and what was restored', async () => {
    await fill('a.db', Object.fromEntries(Array.from({ length: 50 }, (_each, at) => [`s${at}`, entryOf(`s${at}`, 1)])))
    await take('a.db')
    const before = await readFile(path('zk.backup'))
    const stopped = AbortSignal.abort()
    expect((await run(backup, ['--store', 'sqlite:a.db', 'zk.backup'], { signal: stopped })).code).toBe(1)
    expect(await readFile(path('zk.backup'))).toEqual(before)
    expect((await readdir(folder)).filter((each) => each.endsWith('.tmp'))).toEqual([])
    expect(
      (await run(restore, ['--store', 'sqlite:b.db', '--key', 'a.db.key', 'zk.backup'], { signal: stopped })).code,
    ).toBe(1)
  })
})
