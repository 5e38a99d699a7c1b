/** Servers set up so that writes may be lost, and servers that do not tell: said once at the start, and how loudly. */
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Notice } from '../../src/stores/store.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { startRedis, type RedisServer } from '../servers/redis-server.ts'
import { env, open as openRedis } from './redis-stage.ts'
import { sqlSubjects, urlOf, type SqlSubject } from './sql-subjects.ts'

const lineOf = ({ en, isCalm }: Notice): string => `${isCalm === true ? 'calm: ' : ''}${en}`

describe.skipIf(isSkipped('redis'))('Redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({ settings: ['appendonly yes', 'appendfsync always'] })
  })
  afterAll(async () => await server.dispose())

  const told = async (url = server.url): Promise<string> => {
    const lines: string[] = []
    await openRedis(url, (notice) => lines.push(lineOf(notice)))
    return lines.join('\n')
  }
  const set = async (name: string, value: string): Promise<string> => await server.command('CONFIG', 'SET', name, value)

  it('tells of each setting by which writes may be lost, once', async () => {
    expect(await told()).toBe('')
    expect(await told(`${server.url}?wait=1`)).toMatch(/^Each write waits for 1 .* 0 are connected.*$/)
    await set('appendfsync', 'no')
    expect(await told()).toMatch(/^Redis leaves it to the system.*appendfsync no.*$/)
    await set('appendonly', 'no')
    expect(await told()).toMatch(/^Redis keeps nothing on disk.*$/)
    await set('save', '3600 1')
    expect(await told()).toMatch(/^Redis writes to disk only now and then.*$/)
    await set('maxmemory-policy', 'allkeys-lru')
    expect(await told()).toMatch(/^Redis has maxmemory-policy allkeys-lru.*\nRedis writes to disk.*$/)
    // What has no time to live is nothing to `volatile-…`: it is refused room, as by noeviction.
    await set('maxmemory-policy', 'volatile-lru')
    expect(await told()).not.toContain('maxmemory')
  })

  it('that lets nobody look is used all the same, and that is said calmly', async () => {
    const rights = ['~{zhongkong:*', '&zhongkong:*', '+@all', '-@dangerous', '+info']
    await server.command('ACL', 'SETUSER', 'tenant', 'on', '>secret', 'resetkeys', 'resetchannels', ...rights)
    for (const appendonly of ['no', 'yes']) {
      await set('appendonly', appendonly)
      expect(await told(server.url.replace('//', '//tenant:secret@'))).toMatch(/^calm: .*CONFIG is forbidden.*$/)
    }
  })
})

describe.skipIf(isSkipped('postgres'))('PostgreSQL', () => {
  let server: SqlSubject
  let url: string
  const byHand = async (text: string) => await server.byHand(text, url)
  beforeAll(async () => {
    server = await sqlSubjects.postgres.start()
  }, 120_000)
  afterAll(async () => await server.dispose())
  beforeEach(async () => {
    url = await server.newDatabase()
  })

  const told = async (where: string): Promise<string> => {
    const lines: string[] = []
    const store = await sqlSubjects.postgres.open(urlOf(where), env, (notice) => lines.push(lineOf(notice)))
    await store.close()
    return lines.join('\n')
  }

  it('whatever synchronous_commit says: a commit of ours waits for the disk, and for standbys if it said so', async () => {
    const name = new URL(url).pathname.slice(1)
    for (const [set, used] of [
      ['off', 'on'],
      ['local', 'on'],
      ['remote_apply', 'remote_apply'],
    ]) {
      await byHand(`alter database ${name} set synchronous_commit = ${set}`)
      const session = await sqlSubjects.postgres.openSession(urlOf(url))
      const rows = await session.db.transaction().execute(async (db) => {
        return (await sql`select current_setting('synchronous_commit') as used`.execute(db)).rows
      })
      session.cut()
      expect(rows).toEqual([{ used }])
    }
  })

  it('tells of writes that are never synced, pages that may tear, and standbys that no commit waits for', async () => {
    // The server of the tests has fsync = off.
    expect(await told(url)).toMatch(/^PostgreSQL runs with fsync = off.*$/)
    await byHand('alter system set full_page_writes = off')
    await byHand('select pg_reload_conf()')
    for (;;) {
      const [row] = await byHand('show full_page_writes')
      if (row?.full_page_writes === 'off') break
    }
    expect(await told(url.replace(/@([^/]+)\//, '@$1,$1/'))).toMatch(
      /fsync = off.*\n.*full_page_writes.*\n.*synchronous_standby_names/,
    )
  })

  it('that hides its standbys is used all the same', async () => {
    await byHand('revoke select on pg_catalog.pg_stat_replication from public')
    await byHand('create role tenant login; grant all on schema public to tenant')
    expect(await told(url.replace('//zk@', '//tenant@'))).toMatch(/^PostgreSQL runs with fsync = off/)
  })
})

describe.skipIf(isSkipped('mariadb'))('MariaDB', () => {
  it('tells of logs that are not synced with each commit', async () => {
    const server = await sqlSubjects.mariadb.start([
      '--log-bin=log',
      '--sync-binlog=0',
      '--innodb-flush-log-at-trx-commit=2',
    ])
    try {
      const url = await server.newDatabase()
      const lines: string[] = []
      const store = await sqlSubjects.mariadb.open(urlOf(url), env, (notice) => lines.push(lineOf(notice)))
      await store.close()
      expect(lines).toEqual([expect.stringContaining('innodb_flush_log'), expect.stringContaining('sync_binlog')])
    } finally {
      await server.dispose()
    }
  }, 60_000)
})
