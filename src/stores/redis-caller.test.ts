/** Connections to the servers of a Redis store, over a topology that changes. */
import { expect, it } from 'vitest'
import { realEnv } from '../base/real-env.ts'
import type { RedisAddress } from '../base/redis-url.ts'
import { RedisCaller } from './redis-caller.ts'
import type { RedisConnection } from './redis-connection.ts'

const { clock } = realEnv()

/** A topology of one master, which moves from port to port. */
function stage() {
  let master = 0
  const open = new Map<number, { isOpen: boolean; isIdle: boolean; destroy(): void }>()
  const caller = new RedisCaller(
    clock,
    async ({ port }) => {
      const connection = { isOpen: true, isIdle: true, destroy: () => void open.delete(port) }
      open.set(port, connection)
      return await Promise.resolve(connection as unknown as RedisConnection)
    },
    {
      locate: async () => await Promise.resolve<RedisAddress>({ host: 'redis', port: master }),
      names: ({ port }) => port === master,
      forget: () => undefined,
      close: () => undefined,
    },
  )
  return {
    caller,
    open,
    callAt: async (port: number): Promise<void> => {
      master = port
      const endsAt = clock.monotonic() + 1_000
      const work = async (): Promise<string> => await Promise.resolve('')
      await caller.call({ slot: 0, lane: 'main', isRepeatable: true, endsAt, work })
    },
  }
}

it('a server that the topology names no more is left, once nothing waits for its answers', async () => {
  const { open, callAt, caller } = stage()
  for (const port of [1, 2]) await callAt(port)
  expect([...open.keys()]).toEqual([2])
  open.get(2)!.isIdle = false
  await callAt(3)
  expect([...open.keys()]).toEqual([2, 3])
  open.get(2)!.isIdle = true
  await callAt(4)
  expect([...open.keys()]).toEqual([4])
  for (const port of [1, 2, 4]) await callAt(port)
  expect([...open.keys()]).toEqual([4])
  caller.close()
  expect(open.size).toBe(0)
})
