/** A server program in a process of its own: free ports, a folder of its own, and an end by its pid. */
import { spawn, type ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerPrograms } from './obtain-server.ts'

/** Whom servers that refuse root run as: nobody, when the tests run as root. */
export const serverIdentity: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** A folder in the system's temp folder that servers may write, whoever they run as. */
export function serverFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `zhongkong-${name}-`))
  if (serverIdentity.uid !== undefined && serverIdentity.gid !== undefined) {
    chownSync(folder, serverIdentity.uid, serverIdentity.gid)
  }
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** Ports of 127.0.0.1 that were free a moment ago, below those that the system gives to outgoing connections. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

export type ServerProcess = {
  readonly pid: number
  /** What it printed so far. */
  readonly output: () => string
  readonly hasEnded: () => boolean
  /** Sends a signal; SIGSTOP and SIGCONT freeze and wake it. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Ends it, frozen or not: by SIGTERM, or by `signal`, and by SIGKILL after five seconds. */
  readonly end: (signal?: NodeJS.Signals) => Promise<void>
}

export type StartOptions = {
  readonly programs: ServerPrograms
  /** Another program than the first one. */
  readonly program?: string
  readonly args: readonly string[]
  readonly folder: string
  /** Runs as `serverIdentity`, for servers that refuse root. */
  readonly unprivileged?: boolean
  readonly environment?: Readonly<Record<string, string>>
}

const running = new Set<ChildProcess>()
function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** The test process ends, by itself or by a signal: no server outlives it. */
process.on('exit', killAll)
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killAll()
    // Whoever else listens decides what comes next; when nobody does, the signal does what it would have done.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  })
}

export function startProcess(options: StartOptions): ServerProcess {
  const { programs, args, folder } = options
  const child = spawn(options.program ?? programs.program, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, LC_ALL: 'C', ...programs.environment, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.unprivileged === true ? serverIdentity : {}),
  })
  running.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-20_000)))
  }
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      output += error.message
      running.delete(child)
      resolve()
    })
    child.once('close', () => {
      running.delete(child)
      resolve()
    })
  })
  return {
    pid: child.pid ?? -1,
    output: () => output,
    hasEnded: () => !running.has(child),
    signal: (signal) => void child.kill(signal),
    end: async (signal = 'SIGTERM') => {
      if (!running.has(child)) return
      child.kill(signal)
      // A frozen process hears nothing but SIGKILL until it is woken.
      if (signal !== 'SIGKILL') child.kill('SIGCONT')
      const kill = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await ended
      clearTimeout(kill)
    },
  }
}

/** Waits until `isReady` answers true; throws with what the server printed when it ended or took too long. */
export async function untilReady(
  server: ServerProcess,
  isReady: () => Promise<boolean>,
  msMax = 15_000,
): Promise<void> {
  const endsAt = performance.now() + msMax
  while (!(await isReady().catch(() => false))) {
    if (server.hasEnded()) throw new Error(`the server ended:\n${server.output()}`)
    if (performance.now() > endsAt) throw new Error(`the server is not ready after ${msMax} ms:\n${server.output()}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
