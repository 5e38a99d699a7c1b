/** From the `store` setting to an open store, and the key file of a store that was given no key. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { realEnv } from '../base/real-env.ts'
import { newEntry, type Entry } from '../model/entry.ts'
import { openKeyFile, writeKeyFile } from './key-file.ts'
import { openStore } from './open-store.ts'
import type { EntryStore } from './store.ts'

const env = realEnv()
const opened: EntryStore[] = []
let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zhongkong-open-'))
  path = join(directory, 'store.db')
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
  rmSync(directory, { recursive: true, force: true })
})

async function open(encryptionKey: Uint8Array | null = null, url = `sqlite:${path}`): Promise<EntryStore> {
  const store = await openStore({ url, encryptionKey, env })
  opened.push(store)
  return store
}

const secret = 'CANARY-9f8e7d6c5b4a39281706f5e4d3c2b1a0'
const entry: Entry = { ...newEntry(0), definition: { provider: 'http', secret } }

async function filled(encryptionKey: Uint8Array | null = null): Promise<void> {
  const store = await open(encryptionKey)
  expect(await store.write('a', { entry, dueAt: 0 }, 0)).toBe(1)
  await store.close()
}

async function failureOf(opening: Promise<EntryStore>): Promise<{ code: string; message: string; hint: unknown }> {
  return await opening.then(
    () => expect.unreachable('it opened'),
    (error: unknown) => error as { code: string; message: string; hint: unknown },
  )
}

describe('kinds of stores', () => {
  it('memory: keeps entries for as long as it is open', async () => {
    const store = await open(null, 'memory:')
    expect(store.kind).toBe('memory')
    expect(await store.write('a', { entry, dueAt: 0 }, 0)).toBe(1)
    expect((await store.read('a')).entry).toEqual(entry)
  })

  it('a directory in the place of the file is told with what to write, and left as it was', async () => {
    mkdirSync(path)
    chmodSync(path, 0o755)
    const failure = await failureOf(open())
    expect(failure).toMatchObject({ code: 'config_invalid', message: `store: ${path} is a directory` })
    expect(JSON.stringify(failure.hint)).toContain(`sqlite:${path}/zhongkong.db`)
    expect(statSync(path).mode & 0o777).toBe(0o755)
  })

  it('a path through a file is told with what to do', async () => {
    writeFileSync(path, '')
    const failure = await failureOf(open(null, `sqlite:${path}/deeper/store.db`))
    expect(failure.code).toBe('store_unavailable')
    expect(JSON.stringify(failure.hint)).toMatch(/no directory.*不是目录/)
  })

  it.each(['redis://h', 'postgres://h/d', 'mysql://h/d'])('%s needs a key, as nodes must share one', async (url) => {
    const failure = await failureOf(open(null, url.replace('//h', '//user:hunter2@h')))
    expect(failure).toMatchObject({ code: 'config_invalid', message: expect.stringContaining('encryption_key') })
    expect(JSON.stringify(failure) + failure.message).not.toContain('hunter2')
  })

  it.each(['redis://', 'rediss+nonsense://h', 'postgres://h', 'mysql://h/d?x=1'])(
    '%s is written wrongly, and the message says so without repeating the password',
    async (url) => {
      const failure = await failureOf(open(new Uint8Array(32), url.replace('//', '//user:hunter2@')))
      expect(failure).toMatchObject({ code: 'config_invalid' })
      expect(JSON.stringify(failure) + failure.message).not.toContain('hunter2')
    },
  )

  it.each(['postgres://user:hunter2@127.0.0.1:1/d', 'mysql://user:hunter2@127.0.0.1:1/d'])(
    'a server that is not there is named, but not the password: %s',
    async (url) => {
      const failure = await failureOf(open(new Uint8Array(32), url))
      expect(failure).toMatchObject({ code: 'store_unavailable', message: expect.stringContaining('127.0.0.1') })
      expect(JSON.stringify(failure) + failure.message + inspect(failure)).not.toContain('hunter2')
    },
  )

  it.each(['', 'sqlite', 'sqlite:', 'sqlite::memory:', 'file:x', 'memory:x', './store.db'])(
    '%j is config_invalid',
    async (url) => {
      expect((await failureOf(open(null, url))).code).toBe('config_invalid')
    },
  )
})

describe('the key file', () => {
  it('is made beside the database on the first start, for its owner alone, and used again', async () => {
    await filled()
    expect(statSync(`${path}.key`).mode & 0o777).toBe(0o600)
    const text = readFileSync(`${path}.key`, 'utf8')
    expect(text).toMatch(/^[0-9a-f]{64}\n$/)
    expect((await (await open()).read('a')).entry).toEqual(entry)
    expect(readFileSync(`${path}.key`, 'utf8')).toBe(text)
  })

  it('is never inside the database, and neither is any secret', async () => {
    const store = await open()
    for (let revision = 0; revision < 20; revision += 1) await store.write('a', { entry, dueAt: 0 }, revision)
    const keyText = readFileSync(`${path}.key`, 'utf8').trim()
    const canaries = [secret, keyText, Buffer.from(keyText, 'hex').toString('latin1')].flatMap((each) => [
      each,
      Buffer.from(each, 'latin1').toString('hex'),
      Buffer.from(each, 'latin1').toString('base64').slice(0, 24),
    ])
    const files = readdirSync(directory).filter((file) => !file.endsWith('.key'))
    expect(files).toContain('store.db-wal')
    for (const file of files) {
      // Read by another process: here, closing the file would take SQLite's locks with it.
      const bytes = execFileSync('cat', [join(directory, file)], { maxBuffer: 1e9 }).toString('latin1')
      for (const canary of canaries) expect(bytes.includes(canary), `${file} holds a canary`).toBe(false)
    }
    const log = execFileSync('cat', [`${path}-wal`], { maxBuffer: 1e9 }).toString('latin1')
    expect(log).toContain('zk1.')
  })

  it('missing beside a database with records: no new key is made', async () => {
    await filled()
    rmSync(`${path}.key`)
    const failure = await failureOf(open())
    expect(failure).toMatchObject({ code: 'seal_broken', message: expect.stringContaining(`${path}.key`) })
    expect(failure.hint).toMatchObject({ en: expect.stringContaining('backup'), zh: expect.stringContaining('备份') })
    expect(existsSync(`${path}.key`)).toBe(false)
  })

  it('missing beside a database without records: a new one is made', async () => {
    await (await open()).close()
    rmSync(`${path}.key`)
    await filled()
  })

  it('readable by others is refused, with the command that mends it', async () => {
    await filled()
    execFileSync('chmod', ['640', `${path}.key`])
    const failure = await failureOf(open())
    expect(failure).toMatchObject({ code: 'seal_broken', message: expect.stringContaining(`chmod 600 '${path}.key'`) })
    execFileSync('chmod', ['600', `${path}.key`])
    expect((await (await open()).read('a')).entry).toEqual(entry)
  })

  it.each(['', 'short', 'z'.repeat(64), 'a'.repeat(63), 'a'.repeat(66)])('that holds %j is refused', async (text) => {
    await filled()
    writeFileSync(`${path}.key`, text)
    expect((await failureOf(open())).code).toBe('seal_broken')
    expect(readFileSync(`${path}.key`, 'utf8')).toBe(text)
  })

  it('of another database is noticed at the start', async () => {
    await filled()
    writeFileSync(`${path}.key`, 'ab'.repeat(32))
    expect(await failureOf(open())).toMatchObject({
      code: 'seal_broken',
      message: expect.stringContaining('another encryption key'),
    })
  })

  it('is never written over, so processes that start together agree on the first one', () => {
    const keys = [1, 2].map((byte) => new Uint8Array(32).fill(byte))
    for (const key of keys) writeKeyFile(`${path}.key`, key, env.random)
    expect(openKeyFile(`${path}.key`, { random: env.random, mayCreate: true })).toEqual(keys[0])
    expect(readdirSync(directory)).toEqual(['store.db.key'])
  })

  it('opened by many at once: all agree on one key, and no draft is left', async () => {
    const stores = await Promise.all(Array.from({ length: 8 }, () => open()))
    await stores[0]!.write('a', { entry, dueAt: 0 }, 0)
    for (const store of stores) expect((await store.read('a')).entry).toEqual(entry)
    expect(readdirSync(directory).sort()).toEqual(['store.db', 'store.db-shm', 'store.db-wal', 'store.db.key'])
  })

  it('comes back with the database when both were deleted while in use', async () => {
    const store = await open()
    await store.write('a', { entry, dueAt: 0 }, 0)
    for (const file of readdirSync(directory)) rmSync(join(directory, file))
    expect((await store.read('a')).entry).toEqual(entry)
    await store.close()
    expect((await (await open()).read('a')).entry).toEqual(entry)
  })
})

describe('a given key', () => {
  const given = new Uint8Array(32).fill(1)

  it('makes no key file', async () => {
    await filled(given)
    expect(existsSync(`${path}.key`)).toBe(false)
    expect((await (await open(given)).read('a')).entry).toEqual(entry)
  })

  it('other than the one the store was written with is noticed at the start', async () => {
    await filled(given)
    expect((await failureOf(open(new Uint8Array(32).fill(2)))).code).toBe('seal_broken')
    expect((await failureOf(open(null))).code).toBe('seal_broken')
    expect(existsSync(`${path}.key`)).toBe(false)
  })

  it('takes over from a key file: what that sealed can still be read', async () => {
    await filled()
    const store = await open(given)
    expect((await store.read('a')).entry).toEqual(entry)
    expect(await store.write('a', { entry, dueAt: 0 }, 1)).toBe(2)
    await store.close()
    rmSync(`${path}.key`)
    expect((await (await open(given)).read('a')).entry).toEqual(entry)
  })
})
