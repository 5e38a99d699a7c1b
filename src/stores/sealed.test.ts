/** Sealed entries: what goes in comes out, and nothing else does. Over every store of this version. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { realEnv } from '../base/real-env.ts'
import type { Entry } from '../model/entry.ts'
import { newEntry } from '../model/entry.ts'
import { decodeEntry, encodeEntry } from './entry-codec.ts'
import { keyringFrom } from './keyring.ts'
import { countOf, onLine } from './lined-revision.ts'
import { createMemoryStore } from './memory.ts'
import { sealed } from './sealed.ts'
import { openSqliteStore } from './sqlite.ts'
import type { EntryStore, Store } from './store.ts'

const env = realEnv()
const key = new Uint8Array(32).fill(7)
const otherKey = new Uint8Array(32).fill(8)
const canary = 'CANARY-令牌-0123456789'

/** An entry that uses every field there is. */
const full: Entry = {
  token: {
    value: canary,
    version: 3,
    issuedAt: 1,
    expiresAt: 7_200_001,
    lifetimeMs: 7_200_000,
    isGuessed: true,
    isUnconfirmed: true,
    identity: 'wechat:wx1:stable',
    fields: { access_token: canary, expires_in: 7200, nested: [{ deep: null }, true] },
    askedWith: { weixin: 4 },
  },
  previous: [{ value: `${canary}-old`, version: 2, until: 300_000 }],
  version: 3,
  lease: { node: 'n1', at: 5, until: 15_005, forced: true },
  epoch: 9,
  resolvedEpoch: 8,
  doubt: { reason: 'stray', at: 6, version: 3, repeats: 1 },
  trouble: {
    class: 'quota',
    failure: {
      code: 'upstream_rejected',
      message: 'no more',
      upstream: { errcode: 45009, errmsg: 'reach max api daily quota limit' },
      hint: { en: 'Wait.', zh: '请稍候。' },
    },
    since: 1,
    at: 2,
    count: 3,
    generation: 'g',
  },
  nextTry: 12.5,
  dueAt: 4_800_000,
  budget: { hours: [[472_000, 3]], recent: [1, 2], forced: [1] },
  earlyDeaths: [100],
  conflict: { since: 100, count: 2, sign: 'replaced' },
  suspicion: {
    askedAt: 90,
    version: 3,
    said: 'alive',
    refuted: [
      { kind: 'report', client: 'shop', times: 2, at: 90 },
      { kind: 're-ask', client: null, times: 1, at: 80 },
    ],
  },
  definition: { provider: 'http', url: 'https://api.example.com' },
}

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const kinds: Record<string, () => Promise<Store>> = {
  memory: () => Promise.resolve(createMemoryStore(env)),
  sqlite: async () => {
    const directory = mkdtempSync(join(tmpdir(), 'zhongkong-sealed-'))
    opened.push(() => rmSync(directory, { recursive: true }))
    return await openSqliteStore({ path: join(directory, 'store.db'), env })
  },
}

async function put(store: EntryStore, name: string, entry: Entry | null, dueAt = 0): Promise<number | null> {
  return await store.write(name, { entry, dueAt }, (await store.read(name)).revision)
}

describe.each(Object.keys(kinds))('sealed over %s', (kind) => {
  async function open(): Promise<{ store: Store; entries: EntryStore }> {
    const store = await kinds[kind]!()
    opened.push(() => store.close())
    return { store, entries: sealed(store, keyringFrom(key), env.random) }
  }

  it('an entry comes back as it was written, from read and from scan', async () => {
    const { entries } = await open()
    expect(entries.kind).toBe(kind)
    expect(await entries.read('a')).toEqual({ entry: null, revision: 0 })
    expect(await put(entries, 'a', full, 42)).toBe(1)
    expect(await entries.read('a')).toEqual({ entry: full, revision: 1 })
    const page = await entries.scan({ limit: 5, dueBefore: 43 })
    expect(page).toEqual({ records: [{ name: 'a', entry: full, revision: 1, dueAt: 42 }], next: null, broken: [] })
    expect(await put(entries, 'a', null)).toBe(2)
    expect(await entries.read('a')).toEqual({ entry: null, revision: 2 })
    expect(await entries.write('a', { entry: full, dueAt: 0 }, 1)).toBeNull()
  })

  it('the store sees no secret, only the name of the key', async () => {
    const { store, entries } = await open()
    await put(entries, 'a', full)
    const body = (await store.read('a')).body!
    expect(body).toMatch(/^zk1\.[0-9a-f]{12}\.[\w-]+$/)
    const bytes = Buffer.from(body.split('.')[2]!, 'base64url')
    for (const seen of [body, bytes.toString('utf8'), bytes.toString('latin1')]) {
      expect(seen).not.toContain('CANARY')
      expect(seen).not.toContain('wechat')
    }
  })

  it('no two writes of one entry look alike', async () => {
    const { store, entries } = await open()
    const bodies = new Set<string | null>()
    for (let index = 0; index < 20; index += 1) {
      await put(entries, 'a', full)
      bodies.add((await store.read('a')).body?.split('.')[2]?.slice(0, 16) ?? null)
    }
    expect(bodies.size).toBe(20)
  })

  it('a body put in the place of another source is refused', async () => {
    const { store, entries } = await open()
    await put(entries, 'a', full)
    await store.write('b', { body: (await store.read('a')).body, dueAt: 0 }, 0)
    expect((await store.read('b')).revision).toBe((await store.read('a')).revision)
    await expect(entries.read('b')).rejects.toMatchObject({ code: 'seal_broken' })
  })

  it('an older body of the same source put back is refused', async () => {
    const { store, entries } = await open()
    await put(entries, 'a', full)
    const old = (await store.read('a')).body
    await put(entries, 'a', newEntry(0))
    await store.write('a', { body: old, dueAt: 0 }, 2)
    await expect(entries.read('a')).rejects.toMatchObject({ code: 'seal_broken' })
  })

  it('a scan goes on past records that cannot be opened, and names them', async () => {
    const { store, entries } = await open()
    for (const name of ['a', 'b', 'c', 'd']) await put(entries, name, full)
    await store.write('b', { body: 'garbage', dueAt: 0 }, 1)
    await store.write('d', { body: 'zk1.000000000000.AAAA', dueAt: 0 }, 1)
    const page = await entries.scan({ limit: 10 })
    expect(page.records.map((record) => record.name)).toEqual(['a', 'c'])
    expect(page.broken).toEqual(['b', 'd'])
    await expect(entries.read('b')).rejects.toMatchObject({
      code: 'seal_broken',
      message: expect.stringContaining('b'),
    })
    // It can be written over, once its owner has decided to.
    expect(await entries.write('b', { entry: newEntry(0), dueAt: 0 }, 2)).toBe(3)
    expect((await entries.read('b')).entry).toEqual(newEntry(0))
  })

  it('another key opens nothing; a keyring of both opens all, and seals with the first', async () => {
    const { store, entries } = await open()
    await put(entries, 'a', full)
    const foreign = sealed(store, keyringFrom(otherKey), env.random)
    await expect(foreign.read('a')).rejects.toMatchObject({ code: 'seal_broken' })
    const both = sealed(store, keyringFrom(otherKey, key), env.random)
    expect((await both.read('a')).entry).toEqual(full)
    await put(both, 'a', full)
    expect((await foreign.read('a')).entry).toEqual(full)
    await expect(entries.read('a')).rejects.toMatchObject({ code: 'seal_broken' })
  })

  it('changes, watch, clock and close are those of the store', async () => {
    const { entries } = await open()
    const { cursor } = await entries.changes(null, 1)
    const told = new Promise<void>((resolve) => entries.watch(resolve))
    await put(entries, 'a', full)
    await told
    expect((await entries.changes(cursor, 1)).changed).toEqual([{ name: 'a', revision: 1 }])
    expect(await entries.now()).toBeGreaterThan(1_600_000_000_000)
    await entries.close()
    await expect(entries.read('a')).rejects.toMatchObject({ code: 'store_unavailable' })
  })
})

describe('a sealed body', () => {
  /** Reads a body at the very place for which it was sealed, so that nothing but the body can be wrong. */
  async function readAt(body: string): Promise<unknown> {
    const store = createMemoryStore(env)
    await store.write('a', { body, dueAt: 0 }, 0)
    return await sealed(store, keyringFrom(key), env.random)
      .read('a')
      .catch((error: unknown) => error)
  }

  it('with any byte changed, missing or added is refused, and the error holds none of it', async () => {
    const store = createMemoryStore(env)
    await put(sealed(store, keyringFrom(key), env.random), 'a', full)
    const body = (await store.read('a')).body!
    expect(await readAt(body)).toMatchObject({ entry: full })
    const [format, id, payload] = body.split('.')
    const bytes = Buffer.from(payload!, 'base64url')
    const flipped = Array.from({ length: bytes.length }, (_, index) => {
      const changed = Buffer.from(bytes)
      changed[index]! ^= 1 << (index % 8)
      return changed
    })
    const cut = [0, 1, 12, 27, 28, bytes.length - 1].map((length) => bytes.subarray(0, length))
    for (const changed of [...flipped, ...cut, Buffer.concat([bytes, Buffer.from([0])])]) {
      const bad = `${format}.${id}.${changed.toString('base64url')}`
      const failure = await readAt(bad)
      expect(failure).toMatchObject({ code: 'seal_broken' })
      expect((failure as Error).cause).toBeUndefined()
      if (changed.length > 20) expect((failure as Error).message).not.toContain(bad.slice(20, 36))
    }
    for (const bad of ['', 'zk1', `zk2.${id}.${payload}`, `${body}.`, `zk1..${payload}`, JSON.stringify(full)]) {
      expect(await readAt(bad)).toMatchObject({ code: 'seal_broken' })
    }
  })
})

/** A store as a process has it that has seen so many lines end. */
function lined(store: Store, line: number): Store {
  return {
    kind: store.kind,
    read: async (name) => {
      const { body, revision } = await store.read(name)
      return { body, revision: onLine(line, revision) }
    },
    write: async (name, change, ifRevision) => {
      const revision = await store.write(name, change, countOf(ifRevision))
      return revision === null ? null : onLine(line, revision)
    },
    scan: async (query) => await store.scan(query),
    changes: async (since, limit) => await store.changes(since, limit),
    watch: (onChange) => store.watch(onChange),
    now: async () => await store.now(),
    close: async () => await store.close(),
  }
}

it('a body is opened by every process, also by those that have seen another number of failovers', async () => {
  const store = createMemoryStore(env)
  const [early, late] = [0, 3].map((line) => sealed(lined(store, line), keyringFrom(key), env.random))
  for (const [writer, reader] of [
    [early!, late!],
    [late!, early!],
    [late!, early!],
  ] as const) {
    const { revision } = await writer.read('a')
    await writer.write('a', { entry: full, dueAt: 0 }, revision)
    expect((await reader.read('a')).entry).toEqual(full)
  }
  expect((await late!.read('a')).revision).toBe(onLine(3, 3))
})

/** Every place in a JSON value, its own first. */
function placesIn(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...path, key]))]
}

/** A copy with another value at a place. */
function changedAt(value: unknown, [step, ...rest]: string[], to: unknown): unknown {
  if (step === undefined) return to
  const inner = (value as Record<string, unknown>)[step]
  const changed = changedAt(inner, rest, to)
  return Array.isArray(value)
    ? value.map((each: unknown, index) => (String(index) === step ? changed : each))
    : { ...(value as object), [step]: changed }
}

describe('the text of entries', () => {
  const good = JSON.parse(encodeEntry(full)) as Record<string, unknown>
  /** Inside these anything may stand. */
  const isFree = (path: string[]) => path.slice(0, -1).some((step) => step === 'fields' || step === 'definition')
  const places = placesIn(good).filter((path) => !isFree(path))
  const failureOf = (changed: unknown): Error | null => {
    try {
      decodeEntry(JSON.stringify(changed))
    } catch (error) {
      return error as Error
    }
    return null
  }

  it('with a value of another shape at any place is refused, without telling the value', () => {
    expect(places.length).toBeGreaterThan(50)
    for (const path of places) {
      // No field takes a list of lists of texts; only `fields` and `definition` take any object.
      const failure = failureOf(changedAt(good, path, [[canary]]))
      expect(failure, path.join('.')).not.toBeNull()
      expect(failure!.message).not.toContain('CANARY')
    }
  })

  it('without any one of its fields is refused, but for those that may be absent', () => {
    const fields = places.filter(
      (path) => path.length > 0 && !/^\d+$/.test(path.at(-1)!) && path.at(-2) !== 'askedWith',
    )
    const accepted = fields.filter((path) => failureOf(changedAt(good, path, undefined)) === null)
    expect(accepted).toEqual([
      ['trouble', 'failure', 'upstream'],
      ['trouble', 'failure', 'hint'],
      ['conflict'],
      ['suspicion'],
      ['suspicion', 'said'],
      ['suspicion', 'refuted'],
    ])
  })

  it('any text at all is read or refused, without quoting it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((json) => `{"v":1,"token":${json}}`),
        ),
        (text) => {
          expect(() => decodeEntry(text)).toThrow(/^[\w\s.:[\]-]{1,80}$/)
        },
      ),
      { examples: [['{"v":1.0000000000000002}'], ['{"v":1e300}']] },
    )
  })

  it('an entry that could not be read again is not written', () => {
    expect(() => encodeEntry({ ...newEntry(0), nextTry: Infinity })).toThrow(/nextTry/)
    expect(() => encodeEntry({ ...newEntry(0), dueAt: NaN })).toThrow(/dueAt/)
  })

  it('what a newer node added is kept by an older one; a newer version is refused', () => {
    const newer = JSON.stringify({ ...(JSON.parse(encodeEntry(full)) as object), novelty: { a: 1 } })
    const again = encodeEntry({ ...decodeEntry(newer), version: 4 })
    expect(JSON.parse(again)).toMatchObject({ v: 1, version: 4, novelty: { a: 1 } })
    expect(() => decodeEntry(again.replace('"v":1', '"v":2'))).toThrow(/version 2/)
  })

  it('a key named __proto__ stays a key', () => {
    const entry = decodeEntry(encodeEntry(full).replace('"nested"', '"__proto__"'))
    expect(Object.hasOwn(entry.token!.fields, '__proto__')).toBe(true)
    expect(({} as Record<string, unknown>).deep).toBeUndefined()
  })
})

describe('the keyring', () => {
  it('refuses a key of another length', () => {
    for (const length of [0, 16, 31, 33, 64]) {
      expect(() => keyringFrom(new Uint8Array(length))).toThrow(/32 bytes/)
    }
  })

  it('shows neither the master key nor the sealing key in its id', () => {
    const { sealing } = keyringFrom(key)
    const hex = Buffer.from(sealing.key).toString('hex')
    expect(hex).not.toBe(Buffer.from(key).toString('hex'))
    expect(hex).not.toContain(sealing.id)
    expect(keyringFrom(otherKey).sealing.id).not.toBe(sealing.id)
  })
})
