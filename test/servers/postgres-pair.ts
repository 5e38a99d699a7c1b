/**
 * A PostgreSQL server with a standby that every commit waits for, and what an operator does when it fails: the standby is
 * promoted, the old primary is ended, and later made anew as the standby of the new one.
 */
import { startPostgres, type PostgresServer } from './postgres-server.ts'
import { until } from './redis-server.ts'

export type PostgresPair = {
  /** The ports of both, which they keep whatever becomes of them. */
  readonly ports: readonly [number, number]
  readonly primary: () => PostgresServer
  /** Kills the primary or lets it hang, and promotes the standby; resolves when that takes writes. */
  readonly failOver: (how: 'killed' | 'hung') => Promise<void>
  /** Ends the old primary and makes it a standby; resolves when commits wait for it. */
  readonly repair: () => Promise<void>
  readonly dispose: () => Promise<void>
}

const settings = ['wal_keep_size = 256MB', 'wal_receiver_timeout = 5s', 'wal_retrieve_retry_interval = 200ms']

export async function startPostgresPair(): Promise<PostgresPair> {
  let primary = await startPostgres(settings)
  let standby = await startPostgres(settings, { standbyOf: primary })
  const ports = [primary.port, standby.port] as const
  const waitFor = async (names: '*' | ''): Promise<void> => {
    await primary.byHand(`alter system set synchronous_standby_names = '${names}'`)
    await primary.byHand('select pg_reload_conf()')
  }
  const untilFollowed = async (): Promise<void> => {
    await waitFor('*')
    await until(
      async () => (await primary.byHand("select 1 from pg_stat_replication where sync_state = 'sync'")).length > 0,
    )
  }
  await untilFollowed()
  return {
    ports,
    primary: () => primary,
    failOver: async (how) => {
      if (how === 'killed') await primary.stop('SIGQUIT')
      else primary.signalAll('SIGSTOP')
      ;[primary, standby] = [standby, primary]
      await primary.byHand('select pg_promote(true, 30)')
      await until(async () => (await primary.byHand('select pg_is_in_recovery() as is_copy'))[0]?.is_copy === false)
    },
    repair: async () => {
      const { port } = standby
      // It must never serve again as it is: it may hold commits that nobody else has.
      await standby.dispose()
      standby = await startPostgres(settings, { port, standbyOf: primary })
      await untilFollowed()
    },
    dispose: async () => {
      await Promise.all([primary.dispose(), standby.dispose()])
    },
  }
}
