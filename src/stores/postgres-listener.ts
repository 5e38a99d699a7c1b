/**
 * A connection of its own on which PostgreSQL tells of changes. A pooler may swallow the notices, and the connection may
 * be dead without a sign: nothing depends on it, as changes are polled for as well.
 */
import type { DatabaseHost } from '../base/database-url.ts'
import { deadline, until, type Clock } from '../base/env.ts'
import { connectClient, type PostgresClient, type PostgresClientOptions } from './postgres-session.ts'
import { postgresChannel } from './sql-dialect.ts'
import { storeMsMax } from './store.ts'

export type Listening = Omit<PostgresClientOptions, 'host'> & {
  readonly clock: Clock
  readonly onChange: () => void
}

/** How long to wait before the connection is made again, and how often it is looked at, in milliseconds. */
const againMs = 500
const lookMs = 5_000

/** Listens until `signal` aborts, to one host after the other until one is found that is no copy. Never throws. */
export async function listenToPostgres(listening: Listening, signal: AbortSignal): Promise<void> {
  const { clock, url } = listening
  for (let turn = 0; !signal.aborted; turn += 1) {
    try {
      await listenTo(url.hosts[turn % url.hosts.length] ?? url.hosts[0], listening, signal)
    } catch {
      // Polling tells of changes meanwhile.
    }
    await clock.sleep(againMs, signal)
  }
}

async function listenTo(host: DatabaseHost, listening: Listening, signal: AbortSignal): Promise<void> {
  const { clock, onChange } = listening
  const connecting = deadline(clock, storeMsMax, signal)
  const { client, cut } = await connectClient({ ...listening, host }, connecting.signal).finally(connecting.done)
  const ended = new AbortController()
  client.on('end', () => ended.abort())
  client.on('notification', onChange)
  const stop = AbortSignal.any([signal, ended.signal])
  try {
    await ask(client, `listen ${postgresChannel}`, clock, stop)
    // For what was told before anybody listened.
    onChange()
    while (!stop.aborted) {
      // A copy that follows another server passes no notices on, and a frozen server does not answer.
      if ((await ask(client, 'select pg_is_in_recovery() as answer', clock, stop)) === true) return
      await clock.sleep(lookMs, stop)
    }
  } finally {
    cut()
  }
}

async function ask(client: PostgresClient, text: string, clock: Clock, signal: AbortSignal): Promise<unknown> {
  const limit = deadline(clock, storeMsMax, signal)
  const { rows } = await until(client.query(text), limit.signal).finally(limit.done)
  return rows[0]?.answer
}
