/** A PostgreSQL server of the tests' own: made anew, started in a fraction of a second, gone with its folder. */
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { obtainServer, type ServerPrograms } from './obtain-server.ts'
import {
  freePorts,
  removeFolder,
  serverFolder,
  serverIdentity,
  startProcess,
  untilReady,
  type ServerProcess,
} from './server-process.ts'

export type PostgresServer = {
  readonly port: number
  /** The folder of its data. */
  readonly cluster: string
  /** `postgres://…/NAME`, for a database that exists. */
  readonly url: (database?: string) => string
  /** The URL of a new, empty database, of a name that was not there yet. */
  readonly newDatabase: (name?: string) => Promise<string>
  /** Runs SQL as the superuser, in the database of a URL. */
  readonly byHand: (text: string, url?: string) => Promise<readonly Readonly<Record<string, unknown>>[]>
  readonly start: () => Promise<void>
  /** SIGINT: connections are cut, and what is committed is kept. SIGQUIT: as by a crash. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
  /** Freezes or wakes the server with all its processes. */
  readonly signalAll: (signal: 'SIGSTOP' | 'SIGCONT') => void
  readonly dispose: () => Promise<void>
}

export type PostgresOrigin = {
  /** A port that is known to be free; one is looked for otherwise. */
  readonly port?: number
  /** Begins as a streaming standby of this server, as a copy of it. */
  readonly standbyOf?: PostgresServer
}

/** `settings` are lines of postgresql.conf. */
export async function startPostgres(
  settings: readonly string[] = [],
  { port: given, standbyOf }: PostgresOrigin = {},
): Promise<PostgresServer> {
  const programs = obtainServer('postgres')
  const folder = serverFolder('postgres')
  const cluster = join(folder, 'data')
  const port = given ?? (await freePorts(1))[0] ?? 0
  if (standbyOf === undefined) initialize(programs, folder, cluster)
  else await copy(standbyOf, cluster)
  // Only the power cut, which no test can make, is left out by fsync = off.
  const all = [`port = ${port}`, `unix_socket_directories = ''`, 'max_connections = 60', 'fsync = off']
  appendFileSync(join(cluster, 'postgresql.conf'), [...all, ...settings, ''].join('\n'))
  let server: ServerProcess | null = null
  const start = async (): Promise<void> => {
    server = startProcess({ programs, args: ['-D', cluster], folder, unprivileged: true })
    const started = server
    // A standby says `ready to accept read-only connections`.
    await untilReady(started, () => Promise.resolve(/ready to accept .*connections/.test(started.output())))
    await untilReady(started, async () => await isOpen(port))
  }
  const stop = async (signal: NodeJS.Signals = 'SIGINT'): Promise<void> => await server?.end(signal)
  await start()
  const url = (database = 'postgres'): string => `postgres://zk@127.0.0.1:${port}/${database}`
  const byHand = async (text: string, where = url()): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const client = new pg.Client(where)
    client.on('error', () => undefined)
    await client.connect()
    try {
      const { rows } = await client.query<Readonly<Record<string, unknown>>>(text)
      return rows
    } finally {
      await client.end()
    }
  }
  let databases = 0
  return {
    port,
    cluster,
    url,
    byHand,
    newDatabase: async (given) => {
      databases += 1
      const name = given ?? `d${databases}`
      await byHand(`create database ${name}`)
      return url(name)
    },
    start,
    stop,
    signalAll: (signal) => signalFamily(server?.pid ?? -1, signal),
    dispose: async () => {
      // A test that failed may have left it frozen, and its children do not end with it.
      signalFamily(server?.pid ?? -1, 'SIGCONT')
      // Nothing of it is needed any more.
      await stop('SIGQUIT')
      removeFolder(folder)
    },
  }
}

function initialize(programs: ServerPrograms, folder: string, cluster: string): void {
  const initdb = programs.beside('initdb')
  if (initdb === null) throw new Error('there is a postgres, but no initdb beside it')
  const made = spawnSync(
    initdb,
    ['-D', cluster, '-U', 'zk', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    { ...serverIdentity, cwd: folder, env: { PATH: process.env.PATH, ...programs.environment }, encoding: 'utf8' },
  )
  if (made.status !== 0) throw new Error(`initdb failed:\n${made.stdout}\n${made.stderr}`)
}

/** By the server's own low-level backup: `pg_basebackup` does not come with every package that has a server. */
async function copy(server: PostgresServer, cluster: string): Promise<void> {
  const client = new pg.Client(server.url())
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<{ version: number }>(
      "select current_setting('server_version_num')::int as version",
    )
    const isOld = (rows[0]?.version ?? 0) < 150_000
    await client.query(isOld ? "select pg_start_backup('copy', true, false)" : "select pg_backup_start('copy', true)")
    execFileSync('cp', ['-a', server.cluster, cluster], { stdio: 'pipe' })
    const stop = isOld ? 'pg_stop_backup(false, false)' : 'pg_backup_stop(false)'
    const label = (await client.query<{ labelfile: string }>(`select labelfile from ${stop}`)).rows[0]?.labelfile ?? ''
    give(join(cluster, 'backup_label'), label)
  } finally {
    await client.end()
  }
  rmSync(join(cluster, 'postmaster.pid'), { force: true })
  give(join(cluster, 'standby.signal'), '')
  const from = `primary_conninfo = 'host=127.0.0.1 port=${server.port} user=zk'`
  // Nobody follows the copy yet, so nobody is waited for when it takes over.
  appendFileSync(join(cluster, 'postgresql.auto.conf'), `${from}\nsynchronous_standby_names = ''\n`)
}

/** A file that the server may read and remove. */
function give(path: string, content: string): void {
  writeFileSync(path, content, { mode: 0o600 })
  const { uid, gid } = serverIdentity
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid)
}

async function isOpen(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** The parent first, so that it makes no further children while they are found. */
function signalFamily(pid: number, signal: NodeJS.Signals): void {
  if (pid < 0) return
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended, and its children with it.
    return
  }
  const listed = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).stdout
  for (const line of listed.split('\n')) {
    const [child, parent] = line.trim().split(/\s+/).map(Number)
    if (parent !== pid || child === undefined) continue
    try {
      process.kill(child, signal)
    } catch {
      // It has ended since.
    }
  }
}
