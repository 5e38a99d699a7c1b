/** The folder for what the store could not take: durable, sealed, and patient with whatever else lies there. */
import type * as Files from 'node:fs/promises'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { realEnv } from '../base/real-env.ts'
import type { Text } from '../base/text.ts'
import { keyringFrom } from './keyring.ts'
import { openSpill } from './spill.ts'
import type { Spilled } from './store.ts'

/** Files that are being read, and the most there were: each takes one of those that a process may have open. */
const reading = vi.hoisted(() => ({ now: 0, most: 0 }))

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof Files>()
  const readFile = async (path: string): Promise<Buffer> => {
    reading.now += 1
    reading.most = Math.max(reading.most, reading.now)
    return await real.readFile(path).finally(() => {
      reading.now -= 1
    })
  }
  return { ...real, readFile }
})

const { random } = realEnv()
const keyring = keyringFrom(new Uint8Array(32).fill(3))
const spilled: Spilled = {
  value: 'refresh-2',
  lifetimeMs: null,
  sentAt: 1_000,
  asked: 'refresh-1',
  identity: 'oauth:a',
}

let parent: string
let folder: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'zk-spill-'))
  folder = join(parent, 'inner', 'spill')
})

afterEach(async () => {
  await rm(parent, { recursive: true })
})

test('nothing is made before something is saved, and nothing is left of what was dropped', async () => {
  const spill = openSpill({ folder, keyring, random })
  expect(await spill.left()).toEqual([])
  await spill.drop('shop')
  await expect(stat(folder)).rejects.toThrow('ENOENT')
  await spill.save('shop', spilled)
  await spill.drop('shop')
  expect(await readdir(folder)).toEqual([])
})

test('what was saved last is found by another process, and none of it can be read', async () => {
  const spill = openSpill({ folder, keyring, random })
  await spill.save('platform/wx1', spilled)
  await spill.save('platform/wx1', { ...spilled, value: 'refresh-3', lifetimeMs: 5_000 })
  await spill.save('other', spilled)
  const left = await openSpill({ folder, keyring, random }).left()
  expect(left.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
    { name: 'other', spilled },
    { name: 'platform/wx1', spilled: { ...spilled, value: 'refresh-3', lifetimeMs: 5_000 } },
  ])
  const files = await readdir(folder)
  expect(files).toHaveLength(2)
  for (const file of files) {
    expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600)
    expect(file + (await readFile(join(folder, file))).toString()).not.toMatch(/refresh|platform|oauth/)
  }
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
})

test('what is sealed with another key, cut short, huge or not ours is left alone, and told of', async () => {
  const notices: Text[] = []
  const spill = openSpill({ folder, keyring, random, onNotice: (notice) => notices.push(notice) })
  await spill.save('shop', spilled)
  const [file] = await readdir(folder)
  expect(await spill.left()).toHaveLength(1)
  expect(notices).toEqual([])
  await openSpill({ folder, keyring: keyringFrom(new Uint8Array(32).fill(4)), random }).save('theirs', spilled)
  await writeFile(join(folder, 'cut.spill'), (await readFile(join(folder, file!))).subarray(0, 60))
  await writeFile(join(folder, 'huge.spill'), Buffer.alloc(100_000))
  await writeFile(join(folder, 'notes.txt'), 'hello')
  expect((await spill.left()).map(({ name }) => name)).toEqual(['shop'])
  expect(await readdir(folder)).toHaveLength(5)
  expect(notices.map(({ en }) => en)).toEqual([expect.stringMatching(/^3 of the files in .* cannot be opened/)])
})

test('what a long outage left is read whole, and never many files at a time', async () => {
  const spill = openSpill({ folder, keyring, random })
  await spill.save('shop', spilled)
  const [file = ''] = await readdir(folder)
  const content = await readFile(join(folder, file))
  for (let at = 0; at < 500; at += 1) await writeFile(join(folder, `${at}.spill`), content)
  reading.most = 0
  expect(await spill.left()).toHaveLength(501)
  expect(reading.most).toBeLessThanOrEqual(64)
})

test('a folder that is a file says so, without the grant', async () => {
  await writeFile(join(parent, 'inner'), '')
  const notices: Text[] = []
  expect(await openSpill({ folder, keyring, random, onNotice: (notice) => notices.push(notice) }).left()).toEqual([])
  expect(notices.map(({ en }) => en)).toEqual([expect.stringContaining('cannot be read (ENOTDIR)')])
  const thrown: unknown = await openSpill({ folder, keyring, random })
    .save('shop', spilled)
    .catch((error: unknown) => error)
  expect(thrown).toMatchObject({ code: 'store_unavailable' })
  expect(String(thrown)).not.toContain('refresh')
})
