/**
 * Random operations on every store at once, against a model of a dozen lines: all answers must agree at every step. The
 * run counts only if every kind of operation has succeeded at least once.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Store } from '../../src/stores/store.ts'
import { storeKinds, type StartedKind } from './store-kinds.ts'

/** Enough that every kind of operation comes in all its outcomes, a hundred times over. */
const runs = 15

type Write = { readonly name: string; readonly body: string | null; readonly dueAt: number; readonly behind: number }
type Operation =
  | { readonly kind: 'read'; readonly name: string }
  | { readonly kind: 'write'; readonly writes: readonly Write[] }
  | { readonly kind: 'scan'; readonly dueBefore: number | undefined; readonly limit: number }
  | { readonly kind: 'changes'; readonly limit: number }

type Kept = { body: string | null; revision: number; dueAt: number; order: number }

const names = ['a', 'B', 'b/1', 'b-1', 'c']
const name = fc.constantFrom(...names)
const dueAt = fc.integer({ min: -3, max: 6 })
const limit = fc.integer({ min: 1, max: 4 })
const write: fc.Arbitrary<Write> = fc.record({
  name,
  body: fc.option(fc.string({ unit: 'grapheme', maxLength: 8 }), { freq: 4 }),
  dueAt,
  // Mostly the current revision; otherwise one that is too old or too new.
  behind: fc.constantFrom(0, 0, 0, 0, 1, 2, -1),
})
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('read' as const), name }),
  fc.record({ kind: fc.constant('write' as const), writes: fc.array(write, { minLength: 1, maxLength: 5 }) }),
  fc.record({ kind: fc.constant('scan' as const), dueBefore: fc.option(dueAt, { nil: undefined }), limit }),
  fc.record({ kind: fc.constant('changes' as const), limit }),
)

/** What must have happened somewhere in the run, or it proved nothing. */
const seen = new Map<string, number>()
function saw(what: string): void {
  seen.set(what, (seen.get(what) ?? 0) + 1)
}

class Model {
  readonly #kept = new Map<string, Kept>()
  #order = 0
  #followed = 0

  revision(of: string): number {
    return this.#kept.get(of)?.revision ?? 0
  }
  read(of: string) {
    return { body: this.#kept.get(of)?.body ?? null, revision: this.revision(of) }
  }
  write(change: Write, ifRevision: number): number | null {
    if (ifRevision !== this.revision(change.name)) return null
    const { body, dueAt: due } = change
    this.#kept.set(change.name, { body, dueAt: due, revision: ifRevision + 1, order: ++this.#order })
    return ifRevision + 1
  }
  scan(dueBefore: number | undefined) {
    const living = [...this.#kept].flatMap(([of, { body, revision, dueAt: due }]) =>
      body === null || (dueBefore !== undefined && due >= dueBefore) ? [] : [{ name: of, body, revision, dueAt: due }],
    )
    const byName = (left: { name: string }, right: { name: string }) => (left.name < right.name ? -1 : 1)
    return living.sort((left, right) => (dueBefore === undefined ? 0 : left.dueAt - right.dueAt) || byName(left, right))
  }
  follow() {
    const changed = [...this.#kept].filter(([, kept]) => kept.order > this.#followed)
    this.#followed = this.#order
    return changed
      .sort(([, left], [, right]) => left.order - right.order)
      .map(([of, { revision }]) => ({ name: of, revision }))
  }
}

async function scanAll(store: Store, dueBefore: number | undefined, pageLimit: number) {
  const records = []
  for (let after: string | undefined; ;) {
    const query = { limit: pageLimit, ...(dueBefore === undefined ? {} : { dueBefore }) }
    const page = await store.scan(after === undefined ? query : { ...query, after })
    records.push(...page.records)
    if (page.next === null) return records
    saw('a scan of several pages')
    after = page.next
  }
}

async function followAll(store: Store, from: string, pageLimit: number) {
  const changed = []
  for (let since = from; ;) {
    const page = await store.changes(since, pageLimit)
    expect(page.reset).toBe(false)
    changed.push(...page.changed)
    since = page.cursor
    if (!page.more) return { changed, cursor: since }
    saw('a feed of several pages')
  }
}

async function step(model: Model, stores: readonly Store[], cursors: string[], next: Operation): Promise<void> {
  switch (next.kind) {
    case 'read': {
      const expected = model.read(next.name)
      await Promise.all(stores.map(async (store) => expect(await store.read(next.name), store.kind).toEqual(expected)))
      if (expected.body !== null) saw('a read of a body')
      if (expected.body === null && expected.revision > 0) saw('a read of a removed name')
      return
    }
    case 'write': {
      const calls = next.writes.map((change) => {
        const ifRevision = Math.max(0, model.revision(change.name) - change.behind)
        return { change, ifRevision, expected: model.write(change, ifRevision) }
      })
      await Promise.all(
        stores.map(async (store) => {
          const writing = calls.map(({ change, ifRevision }) => store.write(change.name, change, ifRevision))
          expect(await Promise.all(writing), store.kind).toEqual(calls.map((call) => call.expected))
        }),
      )
      for (const { change, expected } of calls) {
        if (expected === null) saw('a refused write')
        else saw(change.body === null ? 'a removal' : 'a write')
      }
      if (new Set(calls.map((call) => call.change.name)).size < calls.length) saw('one name twice in a batch')
      return
    }
    case 'scan': {
      const expected = model.scan(next.dueBefore)
      await Promise.all(
        stores.map(async (store) =>
          expect(await scanAll(store, next.dueBefore, next.limit), store.kind).toEqual(expected),
        ),
      )
      if (expected.length > 0) saw(next.dueBefore === undefined ? 'a scan by name' : 'a scan by due instant')
      return
    }
    case 'changes': {
      const expected = model.follow()
      await Promise.all(
        stores.map(async (store, index) => {
          const { changed, cursor } = await followAll(store, cursors[index]!, next.limit)
          expect(changed, store.kind).toEqual(expected)
          cursors[index] = cursor
        }),
      )
      if (expected.length > 0) saw('a feed')
      return
    }
  }
}

let started: readonly StartedKind[]
beforeAll(async () => {
  started = await Promise.all(storeKinds().map(async (kind) => await kind.start()))
}, 120_000)
afterAll(async () => {
  await Promise.all(started.map((kind) => kind.dispose()))
})

it('all stores answer like the model, and so like each other, at every step', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 60, size: 'max' }), async (operations) => {
      const stores = await Promise.all(started.map(async (kind) => await kind.openEmpty()))
      try {
        const model = new Model()
        const cursors = await Promise.all(stores.map(async (store) => (await store.changes(null, 1)).cursor))
        for (const next of operations) await step(model, stores, cursors, next)
      } finally {
        await Promise.all(stores.map((store) => store.close()))
      }
    }),
    { numRuns: runs, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
  )
  expect([...seen.keys()].sort()).toEqual([
    'a feed',
    'a feed of several pages',
    'a read of a body',
    'a read of a removed name',
    'a refused write',
    'a removal',
    'a scan by due instant',
    'a scan by name',
    'a scan of several pages',
    'a write',
    'one name twice in a batch',
  ])
}, 90_000)
