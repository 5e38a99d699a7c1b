/** The real program as a process of its own: started, listened to, signalled, and never left behind. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'

const program = join(repository, 'dist', 'src', 'cli', 'main.js')

/** Whatever ends the process of the test, none of these outlives it. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export type Ended = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Milliseconds from the start, or from the signal that `stop` sent. */
  readonly tookMs: number
}

export type CliProcess = {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  readonly ended: Promise<Ended>
  /** Sends the signal and waits for the end. A process that has ended is left alone. */
  stop(signal: NodeJS.Signals): Promise<Ended>
}

export type CliOptions = {
  readonly directory: string
  readonly environment?: Readonly<Record<string, string>>
  /** Another script in place of the program. */
  readonly script?: string
}

/** Starts `zhongkong` from the build, with nothing of this process's environment but the way to its tools. */
export function startCli(
  args: readonly string[],
  { directory, environment = {}, script = program }: CliOptions,
): CliProcess {
  if (!existsSync(program)) throw new Error('there is no build: run "npm run build" first ("npm test" does)')
  const startedAt = performance.now()
  const child = spawn(process.execPath, [script, ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH ?? '', LANG: 'C', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const written = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    // `close`, not `exit`: only then has everything it wrote arrived here.
    child.once('close', (code, signal) => {
      running.delete(child)
      resolve({ code, signal, tookMs: performance.now() - startedAt })
    })
  })
  return {
    pid: child.pid ?? 0,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    ended,
    stop: async (signal) => {
      const sentAt = performance.now()
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const { code, signal: by } = await ended
      return { code, signal: by, tookMs: performance.now() - sentAt }
    },
  }
}
