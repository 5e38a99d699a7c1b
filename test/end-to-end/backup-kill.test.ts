/** `backup` and `restore` as processes that are killed in the middle, and beside a running server. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { wakeAt } from '../../src/model/decide.ts'
import { newEntry, type Entry } from '../../src/model/entry.ts'
import { openStore } from '../../src/stores/open-store.ts'
import { build, zhongkong } from '../cli/spawned.ts'

/** Enough that taking and restoring them lasts long enough to be killed in. */
const count = 6_000

let folder: string

beforeAll(build, 300_000)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zk-backup-kill-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

function entryOf(at: number): Entry {
  const now = Date.now()
  const value = `canary-${at}`
  const token = {
    value,
    version: 1,
    issuedAt: now,
    expiresAt: now + 7_200_000,
    lifetimeMs: 7_200_000,
    isGuessed: false,
    isUnconfirmed: false,
    identity: `wechat:${at}`,
    fields: { access_token: value },
    askedWith: {},
  }
  return { ...newEntry(now), token, version: 1, dueAt: now + 4_800_000 }
}

async function fill(): Promise<void> {
  const env = realEnv()
  const store = await openStore({ url: `sqlite:${join(folder, 'a.db')}`, encryptionKey: null, env })
  for (let from = 0; from < count; from += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_each, at) => {
        const entry = entryOf(from + at)
        return store.write(`s${from + at}`, { entry, dueAt: wakeAt(entry) }, 0)
      }),
    )
  }
  await store.close()
  await env.close()
}

async function size(file: string): Promise<number> {
  const env = realEnv()
  const store = await openStore({ url: `sqlite:${join(folder, file)}`, encryptionKey: null, env })
  let found = 0
  for (let after: string | undefined; ;) {
    const page = await store.scan({ limit: 1_000, ...(after === undefined ? {} : { after }) })
    found += page.records.length
    if (page.next === null) break
    after = page.next
  }
  await store.close()
  await env.close()
  return found
}

const names = async (): Promise<readonly string[]> => await readdir(folder)
const take = ['backup', '--store', 'sqlite:a.db', 'zk.backup']
const bring = ['restore', '--store', 'sqlite:b.db', '--key', 'a.db.key', 'zk.backup']
const run = (args: readonly string[]) => zhongkong(args, { directory: folder })

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const endsAt = performance.now() + 30_000
  while (!(await isTrue())) {
    if (performance.now() > endsAt) throw new Error(`not within 30 seconds: ${isTrue.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('a backup that is killed leaves the last one whole, and no other under its name', async () => {
  await fill()
  expect((await run(take).ended).code).toBe(0)
  const before = await readFile(join(folder, 'zk.backup'))
  const draftOf = async (): Promise<string | undefined> => (await names()).find((each) => each.endsWith('.tmp'))
  const killed = run(take)
  await until(async () => (await draftOf()) !== undefined)
  killed.child.kill('SIGKILL')
  await killed.ended
  const draft = await draftOf()
  // It may have been done in that very moment; then there is a new one, and no draft.
  if (draft !== undefined) {
    expect((await stat(join(folder, draft))).mode & 0o777).toBe(0o600)
    // Not toEqual, which looks at megabytes byte by byte and takes most of a minute.
    expect(before.equals(await readFile(join(folder, 'zk.backup')))).toBe(true)
    expect((await run(['restore', '--store', 'sqlite:a.db', '--dry-run', draft]).ended).code).toBe(1)
  }
  const check = run(['restore', '--store', 'sqlite:a.db', '--dry-run', 'zk.backup'])
  expect((await check.ended).code).toBe(0)
  expect(check.stdout()).toMatch(new RegExp(`whole: ${count} entries`))
}, 120_000)

test('a restore that is killed goes on where it was when it is run again', async () => {
  await fill()
  expect((await run(take).ended).code).toBe(0)
  const killed = run(bring)
  // The log of the new database grows with the first entries that are written.
  await until(async () => ((await stat(join(folder, 'b.db-wal')).catch(() => null))?.size ?? 0) > 400_000)
  killed.child.kill('SIGKILL')
  await killed.ended
  const half = await size('b.db')
  expect(half).toBeGreaterThan(0)
  expect(half).toBeLessThan(count)
  const again = run(bring)
  expect((await again.ended).code).toBe(0)
  expect(again.stdout()).toBe(`${count - half} restored, ${half} the same already (of ${count})\n`)
  expect(await size('b.db')).toBe(count)
}, 120_000)

test('works with the configuration of a running server, which serves what was restored', async () => {
  const settings = {
    server: { listen: '127.0.0.1:0' },
    store: 'sqlite:a.db',
    sources: { weixin: { provider: 'wechat', appid: 'wx1', secret: 's'.repeat(32), base_url: 'http://127.0.0.1:1' } },
  }
  await writeFile(join(folder, 'zhongkong.yaml'), JSON.stringify(settings))
  const server = run(['serve'])
  const [, url = ''] = await server.until(/ready on (http:\S+)/)
  const env = realEnv()
  const store = await openStore({ url: `sqlite:${join(folder, 'elsewhere.db')}`, encryptionKey: null, env })
  const entry = entryOf(1)
  const token = entry.token === null ? null : { ...entry.token, identity: await identityOf() }
  await store.write('weixin', { entry: { ...entry, token }, dueAt: wakeAt(entry) }, 0)
  await store.close()
  await env.close()
  expect((await run(['backup', '--config', 'none.yaml', '--store', 'sqlite:elsewhere.db', 'x']).ended).code).toBe(2)
  await writeFile(join(folder, 'other.yaml'), JSON.stringify({ ...settings, store: 'sqlite:elsewhere.db' }))
  expect((await run(['backup', '-c', 'other.yaml', 'zk.backup']).ended).code).toBe(0)
  const restored = run(['restore', '--key', 'elsewhere.db.key', 'zk.backup'])
  expect((await restored.ended).code).toBe(0)
  const answer = (await (await fetch(`${url}/v1/tokens/weixin`)).json()) as { token: string }
  expect(answer.token).toBe('canary-1')
  expect(await server.stop()).toBe(0)
}, 120_000)

async function identityOf(): Promise<string> {
  const { parseSource } = await import('../../src/providers/catalogue.ts')
  const definition = { provider: 'wechat', appid: 'wx1', secret: 's', base_url: 'http://127.0.0.1:1' }
  const parsed = parseSource('weixin', definition, 'file')
  return parsed.ok ? parsed.source.identity : ''
}
