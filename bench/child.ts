/**
 * Processes of a measurement, each on a core of its own. A child is one of the programs beside this file, or the
 * command line of zhongkong itself; it is pinned with `taskset` where there is one (Linux), and runs anywhere elsewhere.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { waitedMs } from './quiet.ts'

/** The core of what is measured, and that of everything around it. */
export const cores = { measured: 0, around: 1 } as const

export const canPin =
  process.platform === 'linux' && availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0

export type StartOptions = {
  /** The core that it is pinned to; any, when none is named. */
  readonly core?: number
  /** Options for node itself, such as `--cpu-prof`. */
  readonly node?: readonly string[]
  readonly cwd?: string
}

export type Child = {
  readonly pid: number
  /** Asks a program that answers its parent (see `answerParent`). */
  ask<T>(question: unknown): Promise<T>
  /** The next line on stdout that begins so. */
  line(start: string): Promise<string>
  /** Processor time used so far, in milliseconds; NaN where the system does not tell. */
  cpuMs(): number
  /** How long its main thread was ready to run while something else had its core, in milliseconds. */
  waitedMs(): number
  /** Resident memory, in bytes; NaN where the system does not tell. */
  memoryBytes(): number
  /** Its highest value so far. */
  memoryPeakBytes(): number
  /** Ends it with SIGTERM and waits. */
  stop(): Promise<void>
}

const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

/** Starts a program of this folder: `startProgram('upstream', ['7200'], …)`. */
export function startProgram(name: string, args: readonly string[], options: StartOptions): Child {
  return start([fileURLToPath(new URL(`./${name}.js`, import.meta.url)), ...args], options)
}

/** Starts `zhongkong`. */
export function startZhongkong(args: readonly string[], options: StartOptions): Child {
  return start([fileURLToPath(new URL('../src/cli/main.js', import.meta.url)), ...args], options)
}

function start(script: readonly string[], { core, node = [], cwd }: StartOptions): Child {
  const command = [process.execPath, ...node, ...script]
  const pinned = canPin && core !== undefined ? ['taskset', '-c', String(core), ...command] : command
  const [program = process.execPath, ...rest] = pinned
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...process.env, ZHONGKONG_LOG: 'error' },
    ...(cwd === undefined ? {} : { cwd }),
  })
  alive.add(child)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      alive.delete(child)
      resolve()
    })
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} cannot be started`)
  return {
    pid,
    ask: asker(child),
    line: liner(child),
    cpuMs: () => cpuMsOf(pid),
    waitedMs: () => waitedMs(pid),
    memoryBytes: () => memoryOf(pid, 'VmRSS'),
    memoryPeakBytes: () => memoryOf(pid, 'VmHWM'),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

type Message = { readonly id: number; readonly answer?: unknown; readonly error?: string }

function asker(child: ChildProcess): Child['ask'] {
  const waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (reason: Error) => void }>()
  let last = 0
  child.on('message', (message: Message) => {
    const asked = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.error === undefined) asked?.resolve(message.answer)
    else asked?.reject(new Error(message.error))
  })
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`a process of the measurement ended with ${code}`))
  })
  return async <T>(question: unknown): Promise<T> => {
    last += 1
    const id = last
    const answer = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }))
    child.send({ id, question })
    // Both ends are programs of this folder, compiled together.
    return (await answer) as T
  }
}

function liner(child: ChildProcess): Child['line'] {
  if (child.stdout === null) throw new Error('stdout is piped')
  const lines: string[] = []
  const waiting: { readonly start: string; readonly resolve: (line: string) => void }[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const at = waiting.findIndex(({ start }) => line.startsWith(start))
    if (at === -1) lines.push(line)
    else waiting.splice(at, 1)[0]?.resolve(line)
  })
  return async (start) => {
    const known = lines.find((line) => line.startsWith(start))
    if (known !== undefined) return known
    return await new Promise((resolve, reject) => {
      waiting.push({ start, resolve })
      child.once('exit', (code) => reject(new Error(`ended with ${code} before it said ${start}`)))
    })
  }
}

/** In a program of this folder: answers what the parent asks, until the parent ends. */
export function answerParent(answer: (question: never) => unknown): void {
  process.on('message', (message: { readonly id: number; readonly question: unknown }) => {
    void (async () => {
      try {
        process.send?.({ id: message.id, answer: await answer(message.question as never) })
      } catch (thrown) {
        process.send?.({ id: message.id, error: thrown instanceof Error ? (thrown.stack ?? '') : String(thrown) })
      }
    })()
  })
  process.once('disconnect', () => process.exit(0))
  process.once('SIGTERM', () => process.exit(0))
}

/** All threads of the process, in nanoseconds by the scheduler, which is finer than the 10 ms of `/proc/PID/stat`. */
export function cpuMsOf(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const spent = threads.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]))
    return spent.reduce((sum, each) => sum + each, 0) / 1e6
  } catch {
    return NaN
  }
}

export function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1_024
  } catch {
    return NaN
  }
}
