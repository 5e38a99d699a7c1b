/** The folder for what the store could not take: durable, sealed, and patient with whatever else lies there. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { realEnv } from '../base/real-env.ts'
import { keyringFrom } from './keyring.ts'
import { openSpill } from './spill.ts'
import type { Spilled } from './store.ts'

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
    expect(file + (await readFile(join(folder, file), 'utf8'))).not.toMatch(/refresh|platform|oauth/)
  }
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
})

test('what is sealed with another key, cut short, huge or not ours is left alone', async () => {
  const spill = openSpill({ folder, keyring, random })
  await spill.save('shop', spilled)
  const [file] = await readdir(folder)
  await openSpill({ folder, keyring: keyringFrom(new Uint8Array(32).fill(4)), random }).save('theirs', spilled)
  await writeFile(join(folder, 'cut.spill'), (await readFile(join(folder, file!))).subarray(0, 60))
  await writeFile(join(folder, 'huge.spill'), Buffer.alloc(100_000))
  await writeFile(join(folder, 'notes.txt'), 'hello')
  expect((await spill.left()).map(({ name }) => name)).toEqual(['shop'])
  expect(await readdir(folder)).toHaveLength(5)
})

test('a folder that is a file says so, without the grant', async () => {
  await writeFile(join(parent, 'inner'), '')
  const thrown: unknown = await openSpill({ folder, keyring, random })
    .save('shop', spilled)
    .catch((error: unknown) => error)
  expect(thrown).toMatchObject({ code: 'store_unavailable' })
  expect(String(thrown)).not.toContain('refresh')
})
