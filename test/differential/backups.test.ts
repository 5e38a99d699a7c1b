/** A backup of any kind of store comes back whole in any other: one round through all of them, on real servers. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBackup, BackupWriter } from '../../src/cli/backup/backup-format.ts'
import { restoreEntry } from '../../src/cli/backup/restore-entry.ts'
import { takeBackup } from '../../src/cli/backup/take-backup.ts'
import { wakeAt } from '../../src/model/decide.ts'
import { newEntry, type Entry } from '../../src/model/entry.ts'
import { keyringFrom, type Keyring } from '../../src/stores/keyring.ts'
import { sealed } from '../../src/stores/sealed.ts'
import type { EntryStore } from '../../src/stores/store.ts'
import { seededRandom } from '../simulator/stage.ts'
import { storeKinds, type StartedKind } from './store-kinds.ts'

let started: readonly StartedKind[]

beforeAll(async () => {
  started = await Promise.all(storeKinds().map((kind) => kind.start()))
}, 180_000)

afterAll(async () => {
  await Promise.all(started.map((kind) => kind.dispose()))
})

const now = Date.UTC(2026, 0, 5)

function entryOf(at: number): Entry {
  const value = `token-${at}-${'x'.repeat(at % 700)}`
  const token = {
    value,
    version: at + 1,
    issuedAt: now + at,
    expiresAt: now + 7_200_000 + at,
    lifetimeMs: 7_200_000,
    isGuessed: at % 2 === 0,
    isUnconfirmed: false,
    identity: `wechat:wx${at}`,
    fields: { access_token: value, text: '中文\n"', deep: { list: [1, null, true] } },
    askedWith: {},
  }
  const definition = at % 10 === 0 ? { provider: 'wechat', appid: `wx${at}` } : null
  return { ...newEntry(now + at, definition), token, version: at + 1, epoch: at, resolvedEpoch: at }
}

async function copy(from: EntryStore, to: EntryStore, keyring: Keyring): Promise<number> {
  const writer = new BackupWriter(keyring.sealing, { id: 'one', madeAt: await from.now() })
  const broken: string[] = []
  const { count } = await readBackup(takeBackup(from, writer, broken), [keyring], async (kept) => {
    expect(await restoreEntry(to, kept, false)).toBe('restored')
  })
  expect(broken).toEqual([])
  return count
}

async function all(store: EntryStore): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>()
  for (let after: string | undefined; ;) {
    const page = await store.scan({ limit: 100, ...(after === undefined ? {} : { after }) })
    for (const { name, entry } of page.records) found.set(name, entry)
    if (page.next === null) return found
    after = page.next
  }
}

test('from kind to kind, each sealed with a key of its own, nothing is lost and nothing changes', async () => {
  const random = seededRandom(7)
  const open = async (kind: StartedKind, at: number): Promise<EntryStore> =>
    sealed(await kind.openEmpty(), keyringFrom(new Uint8Array(32).fill(at)), random)
  const stores = await Promise.all([...started, ...started.slice(0, 1)].map(open))
  const [first] = stores
  const entries = new Map(
    Array.from({ length: 640 }, (_each, at) => [`team/s${String(at).padStart(4, '0')}`, entryOf(at)]),
  )
  for (const [name, entry] of entries) await first?.write(name, { entry, dueAt: wakeAt(entry) }, 0)
  for (const [at, from] of stores.entries()) {
    const to = stores[at + 1]
    if (to === undefined) continue
    expect(await copy(from, to, keyringFrom(new Uint8Array(32).fill(99)))).toBe(entries.size)
    expect(await all(to)).toEqual(entries)
    const due = await to.scan({ dueBefore: now + 5, limit: 100 })
    expect(due.records.map(({ name }) => name)).toEqual([...entries.keys()].slice(0, 5))
  }
  await Promise.all(stores.map((store) => store.close()))
}, 120_000)
