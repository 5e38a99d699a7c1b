/**
 * What befalls database servers, done to real ones: the store keeps its contract, its deadlines and its data.
 * Each server runs it in a file of its own, side by side with the other.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Env } from '../../src/base/env.ts'
import { realEnv } from '../../src/base/real-env.ts'
import type { Text } from '../../src/base/text.ts'
import { countOf } from '../../src/stores/lined-revision.ts'
import { storeMsMax, type Store } from '../../src/stores/store.ts'
import { startCuttingProxy } from '../servers/cutting-proxy.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { sqlSubjects, urlOf, type SqlSubject } from './sql-subjects.ts'

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function put(store: Store, name: string, body: string): Promise<number | null> {
  return await store.write(name, { body, dueAt: 0 }, (await store.read(name)).revision)
}

function clockOf({ clock }: Env): Env['clock'] {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    sleep: async (ms, signal) => await clock.sleep(ms, signal),
  }
}

/**
 * A clock of what this process could use: a busy machine holds it up, timers of the store and all, which is not the
 * store's doing. Milliseconds, without those by which ticks came late.
 */
function startUsableClock(): () => number {
  const tickMs = 10
  const beganAt = performance.now()
  let lastAt = beganAt
  let heldUpMs = 0
  // A tick is never quite on time.
  const lateMs = (): number => {
    const late = performance.now() - lastAt - tickMs
    return late < tickMs ? 0 : late
  }
  const timer = setInterval(() => {
    heldUpMs += lateMs()
    lastAt = performance.now()
  }, tickMs)
  timer.unref()
  return () => performance.now() - beganAt - heldUpMs - lateMs()
}

/** Milliseconds until `work` succeeds. */
async function untilItWorks(work: () => Promise<unknown>, msMax = 5_000): Promise<number> {
  const beganAt = performance.now()
  for (;;) {
    try {
      await work()
      return performance.now() - beganAt
    } catch (error) {
      if (performance.now() - beganAt > msMax) throw error
    }
  }
}

export function sqlFailures(kind: keyof typeof sqlSubjects): void {
  describe.skipIf(isSkipped(sqlSubjects[kind].server))(`a ${kind} server of our own`, () => {
    let server: SqlSubject
    let url: string
    let env: ReturnType<typeof realEnv>
    let notices: Text[]
    const opened: Store[] = []
    const open = async (where = url): Promise<Store> => {
      const store = await sqlSubjects[kind].open(urlOf(where), env, (notice) => notices.push(notice))
      opened.push(store)
      return store
    }
    const byHand = async (text: string) => await server.byHand(text, url)

    beforeAll(async () => {
      server = await sqlSubjects[kind].start()
    }, 120_000)
    afterAll(async () => await server.dispose())
    beforeEach(async () => {
      url = await server.newDatabase()
      env = realEnv()
      notices = []
    })
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()))
      await env.close()
    })

    it('frozen: every call ends within two seconds, closing too, and all goes on when it wakes', async () => {
      const store = await open()
      const closing = await open()
      await put(store, 'a', '1')
      server.freeze()
      try {
        const usedMs = startUsableClock()
        const calls = [
          () => store.read('a'),
          () => store.write('a', { body: 'frozen', dueAt: 0 }, 1),
          () => store.scan({ limit: 1 }),
          () => store.changes(null, 1),
          () => store.now(),
          ...Array.from({ length: 30 }, () => () => store.read('a')),
        ]
        const ended = await Promise.allSettled(calls.map((call) => call()))
        expect(usedMs()).toBeLessThan(storeMsMax)
        for (const end of ended) expect(end).toMatchObject({ reason: { code: 'store_unavailable' } })
        await closing.close()
        expect(usedMs()).toBeLessThan(storeMsMax + 1_000)
      } finally {
        server.wake()
      }
      await untilItWorks(() => put(store, 'b', 'awake'))
      // The write that nobody got an answer to is there or it is not, but not both.
      const { body, revision } = await store.read('a')
      expect([body, revision]).toEqual(revision === 1 ? ['1', 1] : ['frozen', 2])
    })

    // MariaDB hangs up on who is silent for as long as that, so that a frozen node keeps no lock.
    it.runIf(kind === 'postgres')(
      'a process that is held up does not take the answer that it has not read for silence',
      async () => {
        const store = await open()
        await put(store, 'a', 'x')
        const reading = store.read('a')
        const until = performance.now() + storeMsMax + 500
        while (performance.now() < until);
        expect(await reading).toEqual({ body: 'x', revision: 1 })
      },
    )

    it('restarted: calls fail clearly while it is away, and what was written is there when it is back', async () => {
      const store = await open()
      const other = await open()
      await put(store, 'a', '1')
      let heard = 0
      const stop = other.watch(() => (heard += 1))
      await server.stop()
      const usedMs = startUsableClock()
      await expect(store.read('a')).rejects.toMatchObject({ code: 'store_unavailable' })
      expect(usedMs()).toBeLessThan(storeMsMax)
      await server.start()
      await untilItWorks(() => store.read('a'))
      const { body, revision } = await store.read('a')
      expect([body, countOf(revision)]).toEqual(['1', 1])
      heard = 0
      expect(await put(store, 'a', '2')).toBe(revision + 1)
      await sleep(1_000)
      expect(heard).toBeGreaterThan(0)
      stop()
    })

    it('with its connections killed again and again: no call fails, and no write is done twice', async () => {
      const store = await open()
      const stop = store.watch(() => undefined)
      for (let round = 1; round <= 5; round += 1) {
        await server.killConnections()
        expect(await put(store, 'a', String(round))).toBe(round)
      }
      expect(await store.read('a')).toEqual({ body: '5', revision: 5 })
      stop()
    })

    it('a connection cut before the commit: done again; cut after it: said, and never done twice', async () => {
      const proxy = await startCuttingProxy(server.port)
      try {
        const store = await open(url.replace(/:\d+\//, `:${proxy.port}/`))
        proxy.cutAt('insert into', 'before')
        expect(await store.write('a', { body: '1', dueAt: 0 }, 0)).toBe(1)
        proxy.cutAt(server.commitMessage, 'after')
        await expect(store.write('a', { body: '2', dueAt: 0 }, 1)).rejects.toMatchObject({ code: 'store_unavailable' })
        proxy.cutAt(server.commitMessage, 'before')
        await expect(store.write('b', { body: '1', dueAt: 0 }, 0)).rejects.toMatchObject({ code: 'store_unavailable' })
        proxy.cutAt('select', 'after')
        expect(await store.read('b')).toEqual({ body: null, revision: 0 })
        expect(proxy.cuts()).toBe(4)
        await untilItWorks(async () => expect(await store.read('a')).toEqual({ body: '2', revision: 2 }))
        expect(await store.write('a', { body: '2', dueAt: 0 }, 1)).toBeNull()
      } finally {
        await Promise.all(opened.splice(0).map((each) => each.close()))
        await proxy.close()
      }
    })

    it('a node stopped in the middle of a write holds the others up for a few seconds at most', async () => {
      const store = await open()
      await put(store, 'a', '1')
      const stopped = await sqlSubjects[kind].openSession(urlOf(url))
      let end: () => void = () => undefined
      const writing = stopped.db.transaction().execute(async (db) => {
        await db.selectFrom('zhongkong_meta').selectAll().where('id', '=', 1).forUpdate().execute()
        await new Promise<void>((resolve) => (end = resolve))
        await db.updateTable('zhongkong_meta').set({ sequence: 99 }).where('id', '=', 1).execute()
      })
      await sleep(100)
      expect(await untilItWorks(() => store.write('a', { body: '2', dueAt: 0 }, 1))).toBeLessThan(3_000)
      end()
      await expect(writing).rejects.toThrow()
      expect((await store.read('a')).body).toBe('2')
      stopped.cut()
    })

    it('a write is heard of by another node, soon', async () => {
      const store = await open()
      const other = await open()
      let told: () => void = () => undefined
      const stop = other.watch(() => told())
      await sleep(500)
      const delays: number[] = []
      const rounds = sqlSubjects[kind].pushes ? 20 : 5
      for (let round = 0; round < rounds; round += 1) {
        const heard = new Promise<void>((resolve) => {
          const look = async (): Promise<void> => {
            if ((await other.read('a')).body === String(round)) resolve()
          }
          // A look that is still under way when the store is closed fails, which is nobody's concern.
          told = () => void look().catch(() => undefined)
        })
        await put(store, 'a', String(round))
        const writtenAt = performance.now()
        await heard
        delays.push(performance.now() - writtenAt)
      }
      stop()
      delays.sort((left, right) => left - right)
      // All but the slowest.
      expect(delays.at(-2)).toBeLessThan(sqlSubjects[kind].pushes ? 100 : 1_000)
    })

    it("the clock is the database's, whatever the node's own one shows", async () => {
      const wrong = realEnv()
      const clock = { ...clockOf(wrong), now: () => wrong.clock.now() - 3_600_000 }
      const store = await sqlSubjects[kind].open(urlOf(url), { ...wrong, clock })
      const right = await open()
      expect(Math.abs((await store.now()) - (await right.now()))).toBeLessThan(100)
      expect(Math.abs((await right.now()) - Date.now())).toBeLessThan(1_000)
      await store.close()
      await wrong.close()
    })

    it('made read-only: writes say so at once, reads go on, and writes too when it is over', async () => {
      const store = await open()
      await put(store, 'a', '1')
      await server.setReadOnly(true)
      try {
        const beganAt = performance.now()
        await expect(store.write('a', { body: '2', dueAt: 0 }, 1)).rejects.toMatchObject({ code: 'store_full' })
        expect(performance.now() - beganAt).toBeLessThan(1_000)
        expect(await store.read('a')).toEqual({ body: '1', revision: 1 })
        const late = await open()
        expect(await late.read('a')).toEqual({ body: '1', revision: 1 })
      } finally {
        await server.setReadOnly(false)
      }
      await untilItWorks(() => put(store, 'a', '2'))
      expect(await store.read('a')).toEqual({ body: '2', revision: 2 })
    })

    it('nodes that start together on an empty database make it once', async () => {
      const stores = await Promise.all(Array.from({ length: 6 }, async () => await open()))
      expect(await byHand('select count(*) as count from zhongkong_migrations')).toMatchObject([
        { count: expect.toSatisfy((count) => Number(count) === 1) },
      ])
      expect(new Set(await Promise.all(stores.map(async (store) => (await store.changes(null, 1)).cursor))).size).toBe(
        1,
      )
      const written = await Promise.all(stores.map((store) => store.write('a', { body: 'x', dueAt: 0 }, 0)))
      expect(written.filter((revision) => revision !== null)).toEqual([1])
      expect(notices.filter((notice) => notice.en.includes('lacked'))).toEqual([])
    })

    it('a schema that needs a newer program is refused, at the start and while running', async () => {
      const store = await open()
      await put(store, 'a', '1')
      await byHand('update zhongkong_meta set needs_schema = 99')
      await expect(open()).rejects.toMatchObject({ code: 'store_newer' })
      await expect(store.write('a', { body: '2', dueAt: 0 }, 1)).rejects.toMatchObject({ code: 'store_newer' })
      await expect(store.changes(null, 1)).rejects.toMatchObject({ code: 'store_newer' })
    })

    it('a newer schema that only adds is worked with', async () => {
      await (await open()).close()
      await byHand("insert into zhongkong_migrations values ('0002-more', '2020-01-01T00:00:00.000Z')")
      expect(await put(await open(), 'a', '1')).toBe(1)
    })

    it.each([
      ['the table of entries', 'drop table zhongkong_entries'],
      ['the other table', 'drop table zhongkong_meta'],
      ['both', 'drop table zhongkong_entries, zhongkong_meta'],
      ['the row of the other table', 'delete from zhongkong_meta'],
      ['all tables', 'drop table zhongkong_entries, zhongkong_meta, zhongkong_migrations, zhongkong_tally'],
      ['all rows', 'delete from zhongkong_entries'],
      ['all rows at once', 'truncate table zhongkong_entries'],
      ['one row', "delete from zhongkong_entries where name = 'a'"],
    ])('%s deleted: it goes on, no revision is used twice, and everybody looks anew', async (_, loss) => {
      const store = await open()
      for (const body of ['1', '2', '3']) await put(store, 'a', body)
      await put(store, 'b', '1')
      const { cursor } = await store.changes(null, 1)
      await byHand(loss)
      for (const late of [0, 1, 2]) expect(await store.write('a', { body: 'late', dueAt: 0 }, late)).toBeNull()
      const after = await store.read('a')
      if (after.body === null) expect(after.revision).toBeGreaterThan(3)
      else expect(after).toEqual({ body: '3', revision: 3 })
      expect(await put(store, 'a', 'new')).toBe(after.revision + 1)
      expect(await store.changes(cursor, 5)).toMatchObject({ reset: true })
      expect(notices.at(-1)?.en).toContain('mended')
      const [row] = await byHand('select names from zhongkong_tally')
      const [counted] = await byHand('select count(*) as count from zhongkong_entries')
      expect(Number(row?.names)).toBe(Number(counted?.count))
    })

    it('tables lost under several nodes are made again by one of them', async () => {
      const stores = await Promise.all(Array.from({ length: 6 }, async () => await open()))
      await put(stores[0]!, 'a', '1')
      const mended = () => notices.filter((notice) => notice.en.includes('mended')).length
      for (let round = 1; round <= 3; round += 1) {
        await byHand('drop table zhongkong_entries')
        const read = await Promise.all(stores.map((store) => store.read('a')))
        expect(new Set(read.map(({ revision }) => revision)).size).toBe(1)
        expect(mended()).toBe(2 * round - 1)
        await put(stores[0]!, 'a', '1')
        await byHand('delete from zhongkong_entries')
        await Promise.all(stores.map((store) => store.write('a', { body: 'late', dueAt: 0 }, 1)))
        expect(mended()).toBe(2 * round)
      }
    })

    it('a server set up so that a power cut loses writes is named in the log, once', async () => {
      // The PostgreSQL of the tests is.
      if (kind === 'mariadb') await byHand('set global innodb_flush_log_at_trx_commit = 2')
      const store = await open()
      await Promise.all([store.read('a'), store.read('b')])
      if (kind === 'mariadb') await byHand('set global innodb_flush_log_at_trx_commit = 1')
      expect(notices).toMatchObject([{ en: expect.stringContaining('power cut'), zh: expect.stringContaining('断电') }])
    })

    it('a lost table of the tally and a lost index come back', async () => {
      const store = await open()
      await put(store, 'a', '1')
      await byHand('drop table zhongkong_tally')
      await byHand(`drop index zhongkong_entries_due ${kind === 'mariadb' ? 'on zhongkong_entries' : ''}`)
      expect(await put(store, 'b', '1')).toBe(1)
      expect(notices.at(-1)?.en).toMatch(/zhongkong_entries_due.*zhongkong_tally/)
      expect(await store.read('a')).toEqual({ body: '1', revision: 1 })
    })

    it('another server that took over without the last writes has everything looked at anew', async () => {
      const second = await sqlSubjects[kind].start()
      try {
        await second.newDatabase(new URL(url).pathname.slice(1))
        const other = url.replace(/:(\d+)\//, `:${second.port}/`)
        for (const each of [url, other]) expect(await put(await open(each), 'a', 'x')).toBe(1)
        const store = await open(url.replace(/:(\d+)\//, `:$1,127.0.0.1:${second.port}/`))
        const { cursor } = await store.changes(null, 10)
        expect(await store.changes(cursor, 10)).toMatchObject({ changed: [], reset: false })
        // It was a copy, and has been written by others so often that the cursor lies behind it.
        const [{ identity }] = (await server.byHand('select identity from zhongkong_meta', url)) as [
          { identity: string },
        ]
        await second.byHand(`update zhongkong_meta set identity = '${identity}', sequence = sequence + 100`, other)
        await server.setReadOnly(true)
        await untilItWorks(() => put(store, 'b', 'x'))
        expect(await store.changes(cursor, 10)).toMatchObject({ reset: true })
        // The revision is there, and is that of another write, which somebody else in this process has read.
        expect(await store.write('a', { body: 'y', dueAt: 0 }, 1)).toBeNull()
        const found = await store.read('a')
        expect(await store.write('a', { body: 'y', dueAt: 0 }, 1)).toBeNull()
        expect(await store.write('a', { body: 'y', dueAt: 0 }, found.revision)).toBe(found.revision + 1)
      } finally {
        await server.setReadOnly(false)
        await second.dispose()
      }
    })

    it('a node that only reads leaves a server that was made a copy', async () => {
      const second = await sqlSubjects[kind].start()
      try {
        await second.newDatabase(new URL(url).pathname.slice(1))
        const other = url.replace(/:(\d+)\//, `:${second.port}/`)
        await put(await open(url), 'a', 'old')
        await put(await open(other), 'a', 'new')
        const store = await open(url.replace(/:(\d+)\//, `:$1,127.0.0.1:${second.port}/`))
        const stop = store.watch(() => undefined)
        expect((await store.read('a')).body).toBe('old')
        await server.setReadOnly(true)
        await untilItWorks(async () => expect((await store.read('a')).body).toBe('new'))
        stop()
      } finally {
        await server.setReadOnly(false)
        await second.dispose()
      }
    })

    it('readers that are always busy leave a server that was made a copy behind the one address of several', async () => {
      const second = await sqlSubjects[kind].start()
      const proxy = await startCuttingProxy(server.port)
      let isOver = false
      try {
        await second.newDatabase(new URL(url).pathname.slice(1))
        await put(await open(url), 'a', 'old')
        await put(await open(url.replace(/:\d+\//, `:${second.port}/`)), 'a', 'new')
        const store = await open(url.replace(/:\d+\//, `:${proxy.port}/`))
        const stop = store.watch(() => undefined)
        const bodies = new Set<string | null>()
        const reading = Array.from({ length: 3 }, async () => {
          while (!isOver) bodies.add((await store.read('a').catch(() => ({ body: null }))).body)
        })
        await untilItWorks(async () => {
          await sleep(50)
          expect([...bodies]).toEqual(['old'])
        })
        await server.setReadOnly(true)
        proxy.lead(second.port)
        await untilItWorks(async () => {
          bodies.clear()
          await sleep(100)
          expect([...bodies]).toEqual(['new'])
        }, 10_000)
        isOver = true
        await Promise.all(reading)
        stop()
      } finally {
        isOver = true
        await server.setReadOnly(false)
        await Promise.all(opened.splice(0).map((each) => each.close()))
        await proxy.close()
        await second.dispose()
      }
    })

    it('a copy that is all there is: it is read, and asked for anew every few seconds only', async () => {
      const proxy = await startCuttingProxy(server.port)
      try {
        await put(await open(), 'a', '1')
        await server.setReadOnly(true)
        const store = await open(url.replace(/:\d+\//, `:${proxy.port}/`))
        const stop = store.watch(() => undefined)
        await sleep(500)
        const before = proxy.connections()
        const until = performance.now() + 4_000
        while (performance.now() < until) {
          expect(await store.read('a')).toEqual({ body: '1', revision: 1 })
          await expect(store.write('a', { body: '2', dueAt: 0 }, 1)).rejects.toMatchObject({ code: 'store_full' })
          await sleep(100)
        }
        stop()
        const connections = proxy.connections() - before
        expect(connections).toBeGreaterThan(0)
        expect(connections).toBeLessThan(8)
      } finally {
        await server.setReadOnly(false)
        await Promise.all(opened.splice(0).map((each) => each.close()))
        await proxy.close()
      }
    })

    it('of several servers the writable one is used, and the other one when they change places', async () => {
      const second = await sqlSubjects[kind].start()
      try {
        // A database of the same name on each. They know nothing of each other, as no copy of the first one is at hand.
        await second.newDatabase(new URL(url).pathname.slice(1))
        await server.setReadOnly(true)
        const both = url.replace(/:(\d+)\//, `:$1,127.0.0.1:${second.port}/`)
        const store = await open(both)
        expect(await put(store, 'a', 'on the second')).toBe(1)
        await server.setReadOnly(false)
        await second.setReadOnly(true)
        await untilItWorks(async () => expect(await put(store, 'b', 'on the first')).not.toBeNull())
        for (const handle of [store, await open()]) expect((await handle.read('b')).body).toBe('on the first')
        // Nobody takes writes: that is said, in time.
        await server.setReadOnly(true)
        await expect(store.write('c', { body: 'x', dueAt: 0 }, 0)).rejects.toMatchObject({ code: 'store_full' })
        // One is frozen: the time is enough for the other one.
        await server.setReadOnly(false)
        second.freeze()
        await untilItWorks(() => put(store, 'd', 'x'))
      } finally {
        second.wake()
        await server.setReadOnly(false)
        await second.dispose()
      }
    })
  })
}
