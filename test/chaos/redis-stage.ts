/** What the tests of Redis in trouble share: stores that are closed after each test, and the words they use. */
import { afterAll, afterEach, expect } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { parseRedisUrl, type RedisTarget } from '../../src/base/redis-url.ts'
import { openRedisStore } from '../../src/stores/redis.ts'
import { storeMsMax, type Notice, type Store } from '../../src/stores/store.ts'
import { until } from '../servers/redis-server.ts'

/** What a call may take that ends in time: the test itself is late on a busy machine. */
export const inTimeMs = storeMsMax + 1_000

export const env = realEnv()
afterAll(async () => await env.close())

const opened: Store[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (store) => await store.close()))
})

export function targetOf(url: string): RedisTarget {
  const parsed = parseRedisUrl(url)
  if ('problem' in parsed) throw new Error(parsed.problem.en)
  return parsed.target
}

export async function open(url: string, onNotice?: (notice: Notice) => void): Promise<Store> {
  const store = await openRedisStore({ target: targetOf(url), env, ...(onNotice === undefined ? {} : { onNotice }) })
  opened.push(store)
  return store
}

export async function put(store: Store, name: string, body: string | null, dueAt = 0): Promise<number> {
  const { revision } = await store.read(name)
  expect(await store.write(name, { body, dueAt }, revision)).toBe(revision + 1)
  return revision + 1
}

/** The code of the failure and how long it took; fails when there is none. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: string; message: string; ms: number }> {
  const start = performance.now()
  return await call.then(
    () => expect.unreachable('the call succeeded'),
    (error: unknown) => ({ ...(error as { code: string }), message: String(error), ms: performance.now() - start }),
  )
}

/** Until the store answers; the milliseconds it took. */
export async function recovery(store: Store): Promise<number> {
  const start = performance.now()
  await until(async () => {
    await store.read('probe')
    return true
  })
  return performance.now() - start
}

export async function cursorOf(store: Store): Promise<string> {
  return (await store.changes(null, 1)).cursor
}

export function told(store: Store): Promise<void> {
  return new Promise((resolve) => store.watch(resolve))
}

export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`nothing within ${ms} ms`)), ms))
  await Promise.race([promise, late])
}

export const pause = async (ms: number): Promise<void> => await new Promise((resolve) => setTimeout(resolve, ms))
