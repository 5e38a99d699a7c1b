/** Writes are told to other processes once they can be seen, and only then. */
import { expect, test } from 'vitest'
import { newEntry } from '../model/entry.ts'
import { realEnv } from '../base/real-env.ts'
import { announced } from './announced.ts'
import { openStore } from './open-store.ts'
import type { EntryStore } from './store.ts'

const env = realEnv()
const change = { entry: newEntry(0), dueAt: 0 }

async function stage() {
  const told: number[] = []
  const hearers = new Set<() => void>()
  const inner = await openStore({ url: 'memory:', encryptionKey: null, env })
  let answered = 0
  const counting: EntryStore = {
    ...announced(inner, { tell: () => undefined, hear: () => () => undefined }),
    write: async (...args) => {
      const revision = await inner.write(...args)
      answered += 1
      return revision
    },
  }
  const store = announced(counting, {
    tell: () => told.push(answered),
    hear: (onTold) => {
      hearers.add(onTold)
      return () => hearers.delete(onTold)
    },
  })
  return { store, told, hearers }
}

test('a write is told after it has been made', async () => {
  const { store, told } = await stage()
  expect(await store.write('a', change, 0)).toBe(1)
  expect(told).toEqual([1])
  await store.close()
})

test('a write that somebody else was faster with is not told, nor one that failed', async () => {
  const { store, told } = await stage()
  expect(await store.write('a', change, 7)).toBeNull()
  await store.close()
  await expect(store.write('a', change, 0)).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(told).toEqual([])
})

test('who watches hears of what others tell until it stops watching', async () => {
  const { store, hearers } = await stage()
  let heard = 0
  const stop = store.watch(() => (heard += 1))
  for (const hearer of hearers) hearer()
  expect(heard).toBe(1)
  stop()
  expect(hearers.size).toBe(0)
  await store.close()
})
