/**
 * The store contract as tests: `storeConformance` is run for every kind of store. What only one kind promises stands in
 * that kind's own tests.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import type { Change, Store } from '../../src/stores/store.ts'

export type StoreSubject = {
  /** A store with nothing in it. */
  readonly store: Store
  /** Another handle on the same data; absent for stores that cannot be shared. */
  readonly openSecond?: () => Promise<Store>
  /** Ends what the subject holds beside the stores, which the suite closes. */
  readonly dispose: () => Promise<void>
}

const some = (body: string | null, dueAt = 0): Change => ({ body, dueAt })

/** Writes on top of whatever is there. */
async function put(store: Store, name: string, change: Change): Promise<number> {
  const { revision } = await store.read(name)
  const written = await store.write(name, change, revision)
  expect(written).toBe(revision + 1)
  return written!
}

async function allNames(store: Store, dueBefore: number | undefined, limit: number): Promise<string[]> {
  const names: string[] = []
  for (let after: string | undefined; ;) {
    const page = await store.scan({
      limit,
      ...(dueBefore === undefined ? {} : { dueBefore }),
      ...(after === undefined ? {} : { after }),
    })
    expect(page.records.length).toBeLessThanOrEqual(limit)
    names.push(...page.records.map((record) => record.name))
    if (page.next === null) return names
    after = page.next
  }
}

/** Follows the feed from a cursor to its end. */
async function follow(store: Store, since: string, limit = 1_000): Promise<{ names: string[]; cursor: string }> {
  const names: string[] = []
  for (let cursor = since; ;) {
    const page = await store.changes(cursor, limit)
    expect(page.reset).toBe(false)
    expect(page.changed.length).toBeLessThanOrEqual(limit)
    names.push(...page.changed.map((change) => change.name))
    cursor = page.cursor
    if (!page.more) return { names, cursor }
  }
}

async function startOfFeed(store: Store): Promise<string> {
  return (await store.changes(null, 1)).cursor
}

function within(ms: number, promise: Promise<void>): Promise<void> {
  return Promise.race([
    promise,
    new Promise<void>((_, reject) => setTimeout(() => reject(new Error(`nothing within ${ms} ms`)), ms)),
  ])
}

export function storeConformance(kind: string, setUp: () => Promise<StoreSubject>): void {
  describe(`the store contract holds for ${kind}`, () => {
    let subject: StoreSubject
    let store: Store
    const opened: Store[] = []
    const second = async (): Promise<Store> => {
      const other = (await subject.openSecond?.()) ?? store
      opened.push(other)
      return other
    }
    beforeEach(async () => {
      subject = await setUp()
      store = subject.store
      opened.push(store)
    })
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((each) => each.close()))
      await subject.dispose()
    })

    describe('records', () => {
      it('a name never written has no body and revision 0', async () => {
        expect(await store.read('a')).toEqual({ body: null, revision: 0 })
      })

      it('a write is read back whole, whatever text it holds', async () => {
        const body = `令牌 🀄 "quotes" \\ \n ${'x'.repeat(100_000)}`
        expect(await store.write('a/b:c@d.e', some(body), 0)).toBe(1)
        expect(await store.read('a/b:c@d.e')).toEqual({ body, revision: 1 })
      })

      it('each successful write raises the revision by exactly one, removals and writes after them too', async () => {
        expect(await store.write('a', some('1'), 0)).toBe(1)
        expect(await store.write('a', some('2'), 1)).toBe(2)
        expect(await store.write('a', some(null), 2)).toBe(3)
        expect(await store.read('a')).toEqual({ body: null, revision: 3 })
        expect(await store.write('a', some(null), 3)).toBe(4)
        expect(await store.write('a', some('5'), 4)).toBe(5)
        expect(await store.read('a')).toEqual({ body: '5', revision: 5 })
      })

      it('removing a name that was never written counts as a write', async () => {
        expect(await store.write('a', some(null), 0)).toBe(1)
        expect(await store.read('a')).toEqual({ body: null, revision: 1 })
      })

      it('a write with another revision answers null and changes nothing', async () => {
        await put(store, 'a', some('first', 5))
        const cursor = await startOfFeed(store)
        for (const revision of [0, 2, 99]) expect(await store.write('a', some('late', 9), revision)).toBeNull()
        expect(await store.write('never', some('late'), 7)).toBeNull()
        expect(await store.read('a')).toEqual({ body: 'first', revision: 1 })
        expect(await store.read('never')).toEqual({ body: null, revision: 0 })
        expect((await store.scan({ limit: 10 })).records).toEqual([{ name: 'a', body: 'first', revision: 1, dueAt: 5 }])
        expect((await follow(store, cursor)).names).toEqual([])
      })

      it('names differ by case', async () => {
        await put(store, 'a', some('lower'))
        expect(await store.read('A')).toEqual({ body: null, revision: 0 })
      })

      it('of many writers with one revision exactly one wins', async () => {
        const other = await second()
        const writers = Array.from({ length: 40 }, (_, index) =>
          (index % 2 === 0 ? store : other).write('a', some(String(index)), 0),
        )
        const results = await Promise.all(writers)
        expect(results.filter((result) => result !== null)).toEqual([1])
        expect(await store.read('a')).toEqual({ body: String(results.indexOf(1)), revision: 1 })
      })

      it('writes of one name issued together are judged one after the other', async () => {
        const results = await Promise.all([
          store.write('a', some('1'), 0),
          store.write('a', some('2'), 1),
          store.write('a', some('lost'), 1),
          store.write('a', some('3'), 2),
        ])
        expect(results).toEqual([1, 2, null, 3])
        expect(await store.read('a')).toEqual({ body: '3', revision: 3 })
      })

      it('counting by compare-and-swap on two handles at once loses no count', async () => {
        const other = await second()
        const count = async (handle: Store): Promise<void> => {
          for (let done = 0; done < 25;) {
            const { body, revision } = await handle.read('count')
            if ((await handle.write('count', some(String(Number(body ?? 0) + 1)), revision)) !== null) done += 1
          }
        }
        await Promise.all([count(store), count(other), count(store), count(other)])
        expect(await store.read('count')).toEqual({ body: '100', revision: 100 })
      })

      it('what one handle has written, another reads at once', async () => {
        const other = await second()
        await put(store, 'a', some('x'))
        expect(await other.read('a')).toEqual({ body: 'x', revision: 1 })
      })
    })

    describe('scan', () => {
      it('gives the living records by name, in pages that end', async () => {
        for (const name of ['b', 'a', 'd', 'B', 'c', '_', 'a/b']) await put(store, name, some(`body of ${name}`))
        await put(store, 'd', some(null))
        for (const limit of [1, 2, 3, 6, 7, 1_000]) {
          expect(await allNames(store, undefined, limit)).toEqual(['B', '_', 'a', 'a/b', 'b', 'c'])
        }
        const { records } = await store.scan({ limit: 1, after: 'a/b' })
        expect(records).toEqual([{ name: 'b', body: 'body of b', revision: 1, dueAt: 0 }])
      })

      it('gives those due before an instant by (dueAt, name), in pages that end', async () => {
        const due = { e: 30, a: 20, b: 20, d: 10, c: 20, late: 40, f: -5 }
        for (const [name, dueAt] of Object.entries(due)) await put(store, name, some('x', dueAt))
        await put(store, 'removed', some('x', 1))
        await put(store, 'removed', some(null, 1))
        for (const limit of [1, 2, 3, 1_000]) {
          expect(await allNames(store, 40, limit)).toEqual(['f', 'd', 'a', 'b', 'c', 'e'])
        }
        expect(await allNames(store, 20, 10)).toEqual(['f', 'd'])
        expect((await store.scan({ dueBefore: 0, limit: 5 })).records).toEqual([
          { name: 'f', body: 'x', revision: 1, dueAt: -5 },
        ])
      })

      it('follows the due instant of the latest write', async () => {
        await put(store, 'a', some('x', 10))
        await put(store, 'a', some('x', 100))
        expect(await allNames(store, 50, 10)).toEqual([])
        expect(await allNames(store, 101, 10)).toEqual(['a'])
      })

      it('keeps a record that is never due', async () => {
        await put(store, 'a', some('x', Infinity))
        expect(await allNames(store, Date.now() * 1_000, 10)).toEqual([])
        expect(await allNames(store, undefined, 10)).toEqual(['a'])
      })

      it('gives an empty, last page when there is nothing', async () => {
        expect(await store.scan({ limit: 10 })).toEqual({ records: [], next: null })
        expect(await store.scan({ limit: 10, dueBefore: 1e15 })).toEqual({ records: [], next: null })
      })
    })

    describe('changes', () => {
      it('without a cursor it gives only a cursor for now', async () => {
        await put(store, 'a', some('x'))
        const first = await store.changes(null, 10)
        expect(first).toMatchObject({ changed: [], more: false, reset: false })
        expect(await follow(store, first.cursor)).toMatchObject({ names: [] })
      })

      it('gives every name changed after a cursor with its revision, removed ones too, in order', async () => {
        await put(store, 'old', some('x'))
        const cursor = await startOfFeed(store)
        for (const name of ['b', 'a', 'c']) await put(store, name, some('x'))
        await put(store, 'b', some('y'))
        await put(store, 'old', some(null))
        const { changed } = await store.changes(cursor, 10)
        expect(changed).toEqual([
          { name: 'a', revision: 1 },
          { name: 'c', revision: 1 },
          { name: 'b', revision: 2 },
          { name: 'old', revision: 2 },
        ])
      })

      it('gives long lists in pages, and nothing twice after the last', async () => {
        const cursor = await startOfFeed(store)
        const names = Array.from({ length: 25 }, (_, index) => `n${index}`)
        await Promise.all(names.map((name) => store.write(name, some('x'), 0)))
        const followed = await follow(store, cursor, 4)
        expect([...followed.names].sort()).toEqual([...names].sort())
        expect((await follow(store, followed.cursor)).names).toEqual([])
      })

      it('still knows of a change after thousands of others', async () => {
        await put(store, 'early', some('x'))
        const cursor = await startOfFeed(store)
        await put(store, 'changed', some('x'))
        for (let round = 0; round < 30; round += 1) {
          const { revision } = await store.read('busy')
          const writes = Array.from({ length: 100 }, (_, index) => store.write('busy', some('x'), revision + index))
          expect((await Promise.all(writes)).at(-1)).toBe(revision + 100)
        }
        expect((await store.changes(cursor, 5)).changed).toEqual([
          { name: 'changed', revision: 1 },
          { name: 'busy', revision: 3_000 },
        ])
      })

      it('skips no write that is made while the feed is followed by another handle', async () => {
        const other = await second()
        let cursor = await startOfFeed(other)
        const heard = new Set<string>()
        const names = Array.from({ length: 150 }, (_, index) => `n${index}`)
        const written = { all: false }
        const writing = Promise.all(names.map(async (name) => await store.write(name, some('x'), 0))).then(() => {
          written.all = true
        })
        // One look begins after all is written: what it does not bring never comes.
        for (let isLast = false; !isLast;) {
          isLast = written.all
          const followed = await follow(other, cursor, 7)
          followed.names.forEach((name) => heard.add(name))
          cursor = followed.cursor
          await new Promise((resolve) => setImmediate(resolve))
        }
        await writing
        expect(heard.size).toBe(names.length)
      })

      it('answers a cursor that it cannot honour with a reset and one that it can', async () => {
        await put(store, 'a', some('x'))
        for (const cursor of ['', 'nonsense', '1:2:3', '999999999', `${await startOfFeed(store)}9`]) {
          const answer = await store.changes(cursor, 10)
          expect(answer).toMatchObject({ changed: [], more: false, reset: true })
          expect(await follow(store, answer.cursor)).toMatchObject({ names: [] })
        }
      })
    })

    describe('watch', () => {
      it('tells of a write by this handle soon', async () => {
        const told = new Promise<void>((resolve) => store.watch(resolve))
        await put(store, 'a', some('x'))
        await within(1_500, told)
      })

      it('tells of a write by another handle within about a second', async () => {
        const other = await second()
        const told = new Promise<void>((resolve) => other.watch(resolve))
        await new Promise((resolve) => setTimeout(resolve, 50))
        await put(store, 'a', some('x'))
        await within(1_500, told)
      })

      it('tells every watcher, and none that has stopped', async () => {
        let stopped = 0
        const stop = store.watch(() => (stopped += 1))
        const others = [0, 1].map(() => new Promise<void>((resolve) => store.watch(resolve)))
        stop()
        stop()
        await put(store, 'a', some('x'))
        await within(
          1_500,
          Promise.all(others).then(() => undefined),
        )
        expect(stopped).toBe(0)
      })
    })

    describe('clock and end', () => {
      it('has a clock in whole milliseconds that never goes back, on which handles agree', async () => {
        const other = await second()
        let last = 0
        for (let look = 0; look < 20; look += 1) {
          const instant = await (look % 2 === 0 ? store : other).now()
          expect(Number.isInteger(instant)).toBe(true)
          expect(instant).toBeGreaterThanOrEqual(last - 5)
          last = instant
        }
      })

      it('closes twice without complaint, and refuses everything after', async () => {
        await put(store, 'a', some('x'))
        await store.close()
        await store.close()
        const calls = [
          () => store.read('a'),
          () => store.write('a', some('y'), 1),
          () => store.scan({ limit: 1 }),
          () => store.changes(null, 1),
          () => store.now(),
        ]
        for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'store_unavailable' })
        expect(() => store.watch(() => undefined)).toThrow(ZhongkongError)
      })

      it('finishes writes that were asked for before the close', async () => {
        const other = await second()
        const writing = store.write('a', some('x'), 0)
        await store.close()
        expect(await writing).toBe(1)
        if (other !== store) expect(await other.read('a')).toEqual({ body: 'x', revision: 1 })
      })

      it('refuses senseless calls before touching anything', async () => {
        const calls = [
          () => store.read(''),
          () => store.read('line\nbreak'),
          () => store.write('x'.repeat(191), some('x'), 0),
          () => store.write('a', some('x'), -1),
          () => store.write('a', some('x'), 0.5),
          () => store.write('a', some('x', NaN), 0),
          () => store.scan({ limit: 0 }),
          () => store.scan({ limit: 1_001 }),
          () => store.scan({ limit: 1, dueBefore: 1, after: 'not a place' }),
          () => store.changes(null, 0),
        ]
        for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'internal' })
        expect(await allNames(store, undefined, 10)).toEqual([])
      })
    })
  })
}
