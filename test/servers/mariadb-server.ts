/** A MariaDB server of the tests' own: made anew, started in a second or two, gone with its folder. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync, chownSync } from 'node:fs'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
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

export type MariadbServer = {
  readonly port: number
  /** The URL of a new, empty database, of a name that begins with d and was not there yet. */
  readonly newDatabase: (name?: string) => Promise<string>
  /** Runs SQL as a user who may do everything. */
  readonly byHand: (text: string, database?: string) => Promise<readonly Readonly<Record<string, unknown>>[]>
  readonly start: () => Promise<void>
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
  readonly signal: (signal: NodeJS.Signals) => void
  readonly dispose: () => Promise<void>
}

/** `zk` may do what a store needs, in databases of that name; `admin` everything. */
const users = `
  create user if not exists 'zk'@'%' identified by 'secret';
  grant all on \`d%\`.* to 'zk'@'%';
  create user if not exists 'admin'@'%' identified by 'admin';
  grant all on *.* to 'admin'@'%' with grant option;
`

/** `settings` are arguments of mariadbd. */
export async function startMariadb(settings: readonly string[] = []): Promise<MariadbServer> {
  const programs = obtainServer('mariadb')
  const folder = serverFolder('mariadb')
  const [port = 0] = await freePorts(1)
  const share = shareOf(programs)
  const base = [
    '--no-defaults',
    `--datadir=${join(folder, 'data')}`,
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, 'charsets')}`,
    `--plugin-dir=${folder}`,
    `--tmpdir=${folder}`,
    '--innodb-buffer-pool-size=16M',
    '--innodb-log-file-size=16M',
    '--skip-log-bin',
  ]
  bootstrap(programs, folder, { base, share })
  const initial = join(folder, 'users.sql')
  writeFileSync(initial, users)
  chmodSync(initial, 0o644)
  const args = [
    ...base,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    `--init-file=${initial}`,
    '--skip-name-resolve',
    ...settings,
  ]
  const byHand = async (text: string, database?: string): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const connection = await mysql.createConnection({
      host: '127.0.0.1',
      port,
      user: 'admin',
      password: 'admin',
      multipleStatements: true,
      ...(database === undefined ? {} : { database }),
    })
    try {
      const [rows] = await connection.query(text)
      return rows as readonly Readonly<Record<string, unknown>>[]
    } finally {
      connection.destroy()
    }
  }
  let server: ServerProcess | null = null
  const start = async (): Promise<void> => {
    const started = startProcess({ programs, args, folder, unprivileged: true })
    server = started
    try {
      await untilReady(started, async () => (await byHand('select 1')).length === 1)
    } catch (error) {
      await started.end('SIGKILL')
      throw error
    }
  }
  await start()
  let databases = 0
  return {
    port,
    byHand,
    newDatabase: async (given) => {
      databases += 1
      const name = given ?? `d${databases}`
      await byHand(`create database ${name}`)
      return `mysql://zk:secret@127.0.0.1:${port}/${name}`
    },
    start,
    stop: async (signal = 'SIGTERM') => await server?.end(signal),
    signal: (signal) => server?.signal(signal),
    dispose: async () => {
      await server?.end('SIGKILL')
      removeFolder(folder)
    },
  }
}

function shareOf(programs: ServerPrograms): string {
  const folders = ['usr/share/mysql', 'usr/share/mariadb', 'usr/local/share/mysql', 'opt/homebrew/share/mysql']
  const found = folders.map((each) => join(programs.root, each)).find((each) => existsSync(join(each, 'charsets')))
  if (found === undefined) throw new Error('there is a mariadbd, but not the folder share/mysql that belongs to it')
  return found
}

/** The system's own tables, from the files that come with the server. */
function bootstrap(
  programs: ServerPrograms,
  folder: string,
  { base, share }: { readonly base: readonly string[]; readonly share: string },
): void {
  const file = (name: string): string => {
    const found = ['mysql', 'mariadb']
      .map((prefix) => join(share, `${prefix}_${name}.sql`))
      .find((each) => existsSync(each))
    if (found === undefined) throw new Error(`MariaDB's file ${name}.sql is not there`)
    return readFileSync(found, 'utf8')
  }
  mkdirSync(join(folder, 'data'))
  const { uid, gid } = serverIdentity
  if (uid !== undefined && gid !== undefined) chownSync(join(folder, 'data'), uid, gid)
  const made = spawnSync(programs.program, [...base, '--bootstrap', '--skip-networking'], {
    ...serverIdentity,
    cwd: folder,
    env: { PATH: process.env.PATH, ...programs.environment },
    input: `create database mysql;\nuse mysql;\n${file('system_tables')}\n${file('system_tables_data')}\n`,
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(`mariadbd --bootstrap failed:\n${made.stdout}\n${made.stderr}`)
}
