/**
 * A stage for the whole program: a folder, the simulated upstreams in this process, `zhongkong` in processes of its own.
 * Everything that is put on it goes with `close`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realEnv } from '../../src/base/real-env.ts'
import { listenPlain } from '../../src/http/listen-plain.ts'
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts'
import { startCli, type CliProcess, type Ended } from './cli-process.ts'

export type Served = CliProcess & {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  /** Milliseconds from the start of the process to the line that says it is ready. */
  readonly readyMs: number
}

export type Upstream = {
  readonly url: string
  readonly simulator: Simulator
  /** Every address that was asked, in order, control excepted. */
  readonly asked: readonly URL[]
  /** Takes no connections any more, like a host that is down. */
  goDown(): Promise<void>
  /** Listens again at the same address. */
  comeBack(): Promise<void>
}

export type ServeOptions = {
  /** In place of the configuration's. */
  readonly store?: string
  readonly environment?: Readonly<Record<string, string>>
  /** At the address of the configuration, which somebody knew before; otherwise on a free port. */
  readonly isListeningAsWritten?: boolean
  /** How long it may take until it is ready, in milliseconds. */
  readonly readyMsMax?: number
}

export type Stage = {
  readonly folder: string
  upstream(options?: Partial<SimulatorOptions>): Promise<Upstream>
  /** Runs a command to its end. */
  run(
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ): Promise<Ended & { readonly stdout: string; readonly stderr: string }>
  /** Starts a command, without waiting for anything. */
  start(args: readonly string[], environment?: Readonly<Record<string, string>>): CliProcess
  /** Writes a configuration; its path. */
  configure(config: object, name?: string): Promise<string>
  /** Starts a server for a configuration file, on a free port, without waiting for anything. */
  launch(path: string, options?: ServeOptions): CliProcess
  /** The same, and waits until it says that it is ready. */
  serve(path: string, options?: ServeOptions): Promise<Served>
  close(): Promise<void>
}

const readyMsMax = 15_000

export async function openStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'zhongkong-'))
  const upstreams: Upstream[] = []
  const processes: CliProcess[] = []
  const start = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): CliProcess => {
    const made = startCli(args, { directory: folder, environment })
    processes.push(made)
    return made
  }
  const launch: Stage['launch'] = (path, { store, environment, isListeningAsWritten } = {}) => {
    const own = store === undefined ? [] : ['--store', store]
    const address = isListeningAsWritten === true ? [] : ['--listen', '127.0.0.1:0']
    return start(['serve', '-c', path, ...address, ...own], environment)
  }
  return {
    folder,
    upstream: async (options) => {
      const upstream = await openUpstream(options)
      upstreams.push(upstream)
      return upstream
    },
    start,
    run: async (args, environment) => {
      const made = start(args, environment)
      const ended = await made.ended
      return { ...ended, stdout: made.stdout(), stderr: made.stderr() }
    },
    configure: async (config, name = 'zhongkong.yaml') => {
      const path = join(folder, name)
      // JSON is YAML.
      await writeFile(path, JSON.stringify(config, null, 2))
      return path
    },
    launch,
    serve: async (path, options) => {
      const startedAt = performance.now()
      const made = launch(path, options)
      const url = await readyUrl(made, options?.readyMsMax ?? readyMsMax)
      return { ...made, url, readyMs: performance.now() - startedAt }
    },
    close: async () => {
      await Promise.all(processes.map((one) => one.stop('SIGKILL')))
      await Promise.all(upstreams.map((one) => one.goDown()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function openUpstream(options: Partial<SimulatorOptions> = {}): Promise<Upstream> {
  const { clock, random } = realEnv()
  const simulator = createSimulator({ clock, random, ...options })
  const asked: URL[] = []
  const receive = (request: Request): Promise<Response> => {
    asked.push(new URL(request.url))
    return simulator.fetch(request)
  }
  let listening: Awaited<ReturnType<typeof listenPlain>> | null = await listenPlain(receive, 0)
  const { url, port } = listening
  return {
    url,
    simulator,
    asked,
    goDown: async () => {
      await listening?.close()
      listening = null
    },
    comeBack: async () => {
      listening ??= await listenPlain(receive, port)
    },
  }
}

async function readyUrl(made: CliProcess, withinMs: number): Promise<string> {
  const endsAt = performance.now() + withinMs
  const over = new AbortController()
  void made.ended.then(() => over.abort())
  while (performance.now() < endsAt) {
    const url = /^zhongkong ready on (\S+)$/m.exec(made.stdout())?.[1]
    if (url !== undefined) return url
    if (over.signal.aborted) break
    await moment(5)
  }
  // Nobody has it in hand any more.
  await made.stop('SIGKILL')
  throw new Error(`the server did not get ready:\n${made.stdout()}\n${made.stderr()}`)
}

/** Real time, because real processes live in it. */
export function moment(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Looks every few milliseconds until `look` gives something, and answers that. Fails after `withinMs`. */
export async function eventually<T>(what: string, withinMs: number, look: () => Promise<T | null>): Promise<T> {
  const endsAt = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== null) return found
    if (performance.now() > endsAt) throw new Error(`within ${withinMs} ms it did not come about that ${what}`)
    await moment(10)
  }
}
