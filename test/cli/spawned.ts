/** The built program in a process of its own, as people run it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const program = join(root, 'dist', 'src', 'cli', 'main.js')

export type Spawned = {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** The match of the pattern in what was printed so far or comes; rejects when the process ends without it. */
  readonly until: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Exit code and signal. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  /** Sends SIGTERM and waits; the exit code. */
  readonly stop: () => Promise<number | null>
}

export type SpawnOptions = {
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
}

/** Builds what is stale, once for a test file: costs nothing after `npm test` has built. */
export function build(): void {
  execFileSync(process.execPath, [join(root, 'scripts', 'ensure.mjs'), '--build'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

export function zhongkong(args: readonly string[], { environment = {}, directory }: SpawnOptions = {}): Spawned {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: directory ?? root,
    // Nothing of the machine that runs the tests may matter.
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  const listeners = new Set<() => void>()
  const hear = (): void => {
    for (const listener of [...listeners]) listener()
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    hear()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    hear()
  })
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  return {
    child,
    stdout: () => out,
    stderr: () => err,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = pattern.exec(out) ?? pattern.exec(err)
          if (found === null) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        look()
        void ended.then(({ code }) => reject(new Error(`ended (${code}) without ${String(pattern)}:\n${out}\n${err}`)))
      }),
    ended,
    stop: async () => {
      child.kill('SIGTERM')
      return (await ended).code
    },
  }
}
