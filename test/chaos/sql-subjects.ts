/** PostgreSQL and MariaDB as one: what the tests of faults do to a server, said in each one's own way. */
import mysql from 'mysql2'
import pg from 'pg'
import { parseDatabaseUrl, type DatabaseUrl } from '../../src/base/database-url.ts'
import type { Env } from '../../src/base/env.ts'
import type { Text } from '../../src/base/text.ts'
import { openMysqlStore } from '../../src/stores/mysql.ts'
import { openMysqlSession, type MysqlLibrary } from '../../src/stores/mysql-session.ts'
import { openPostgresSession, type PostgresLibrary } from '../../src/stores/postgres-session.ts'
import { openPostgresStore } from '../../src/stores/postgres.ts'
import type { SqlSession } from '../../src/stores/sql-sessions.ts'
import type { Store } from '../../src/stores/store.ts'
import { startMariadb } from '../servers/mariadb-server.ts'
import type { ServerKind } from '../servers/obtain-server.ts'
import { startPostgres } from '../servers/postgres-server.ts'

type Rows = readonly Readonly<Record<string, unknown>>[]

export type SqlSubject = {
  readonly port: number
  /** The message by which a transaction is committed, as it passes to the server. */
  readonly commitMessage: string
  readonly newDatabase: (name?: string) => Promise<string>
  /** Runs SQL in the database of a URL. */
  readonly byHand: (text: string, url: string) => Promise<Rows>
  readonly freeze: () => void
  readonly wake: () => void
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
  readonly dispose: () => Promise<void>
  /** Ends all connections of stores, as an administrator would. */
  readonly killConnections: () => Promise<void>
  readonly setReadOnly: (isReadOnly: boolean) => Promise<void>
}

export type SqlSubjectKind = {
  readonly server: ServerKind
  readonly start: (settings?: readonly string[]) => Promise<SqlSubject>
  /** One connection as a store has it. */
  readonly openSession: (url: DatabaseUrl) => Promise<SqlSession>
  /** Changes are told by the server, not only polled for. */
  readonly pushes: boolean
  readonly open: (url: DatabaseUrl, env: Env, onNotice?: (notice: Text) => void) => Promise<Store>
}

export function urlOf(text: string): DatabaseUrl {
  const answer = parseDatabaseUrl(text)
  if (!answer.ok) throw new Error(answer.why.en)
  return answer.url
}

export const sqlSubjects: Readonly<Record<'postgres' | 'mariadb', SqlSubjectKind>> = {
  postgres: {
    server: 'postgres',
    pushes: true,
    openSession: async (url) => {
      const library = pg as unknown as PostgresLibrary
      return await openPostgresSession({ library, url, tls: null, host: url.hosts[0] }, new AbortController().signal)
    },
    start: async (settings) => {
      const server = await startPostgres(settings)
      return {
        ...server,
        // The length comes first, the text ends with a zero.
        commitMessage: '\0\0\0\x0bcommit\0',
        freeze: () => server.signalAll('SIGSTOP'),
        wake: () => server.signalAll('SIGCONT'),
        stop: async () => await server.stop(),
        killConnections: async () => {
          await server.byHand(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'zhongkong'",
          )
        },
        setReadOnly: async (isReadOnly) => {
          await server.byHand(`alter system set default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`)
          await server.byHand('select pg_reload_conf()')
          // The server reads its settings when it comes to it.
          const shown = isReadOnly ? 'on' : 'off'
          for (;;) {
            const [row] = await server.byHand('show default_transaction_read_only')
            if (row?.default_transaction_read_only === shown) return
          }
        },
      }
    },
    open: async (url, env, onNotice) =>
      await openPostgresStore({ url, env, ...(onNotice === undefined ? {} : { onNotice }) }),
  },
  mariadb: {
    server: 'mariadb',
    pushes: false,
    openSession: async (url) => {
      const library = mysql as unknown as MysqlLibrary
      return await openMysqlSession({ library, url, ssl: null, host: url.hosts[0] }, new AbortController().signal)
    },
    start: async (settings) => {
      const server = await startMariadb(settings)
      return {
        ...server,
        commitMessage: '\x03commit',
        byHand: async (text, url) => await server.byHand(text, new URL(url).pathname.slice(1)),
        freeze: () => server.signal('SIGSTOP'),
        wake: () => server.signal('SIGCONT'),
        stop: async () => await server.stop(),
        killConnections: async () => {
          const found = await server.byHand("select id from information_schema.processlist where user = 'zk'")
          for (const { id } of found) await server.byHand(`kill ${Number(id)}`).catch(() => undefined)
        },
        setReadOnly: async (isReadOnly) => {
          await server.byHand(`set global read_only = ${isReadOnly ? 1 : 0}`)
        },
      }
    },
    open: async (url, env, onNotice) =>
      await openMysqlStore({ url, env, ...(onNotice === undefined ? {} : { onNotice }) }),
  },
}
