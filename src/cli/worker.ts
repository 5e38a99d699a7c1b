/**
 * One worker's life: a whole node, which listens where its siblings do. It reads no files of the configuration: it is
 * given them, so that all workers understand the same. It ends when it is told to, by a signal of its own, and, as Node
 * has it for the workers of a cluster, when its supervisor is gone.
 */
import type { SiblingNotice, Siblings } from '../siblings.ts'
import type { Config } from '../config/config.ts'
import { logFault, type Log } from '../events/log.ts'
import type { Io } from './command.ts'
import { inForce } from './config-change.ts'
import { readConfig, type ConfigPlace } from './config-file.ts'
import { replayedFiles, type ConfigFiles } from './config-snapshot.ts'
import { aborted } from './pause.ts'
import { runNode } from './running-node.ts'
import { stderrLog } from './stderr-log.ts'
import type { FromWorker, ToWorker, WorkerStart } from './worker-messages.ts'

/** Runs until it is told to end; answers the exit code. */
export async function work(io: Io): Promise<number> {
  // A terminal that closes hangs up on the whole group; what follows from it is the supervisor's to say.
  io.onHangup(() => undefined)
  const channel = openChannel()
  const ending = aborted(AbortSignal.any([io.signal, channel.stopping]))
  const start = await Promise.race([channel.start, ending])
  if (start === undefined) return 0
  const log = stderrLog(io, { worker: start.worker })
  const read = (files: ConfigFiles): Promise<Config> => understood(files, { place: start.place, io })
  const first = await read(start.first)
  let files = start.latest
  const running = await runNode(inForce(first, await read(files)), {
    io,
    log,
    address: start.address,
    shared: {
      siblings: siblingsOver(channel, start.worker),
      readPem: async (path) => (await replayedFiles(files)(path, Infinity)).bytes,
    },
  })
  channel.answerCounts(() => running.node.ownMetrics())
  channel.onReload(async (latest) => {
    files = latest
    await running.apply(inForce(first, await read(latest)))
  }, log)
  channel.send({ kind: 'ready', url: running.url })
  await ending
  await running.stop()
  return 0
}

/** The supervisor has judged these very bytes already. */
async function understood(
  files: ConfigFiles,
  { place, io }: { readonly place: ConfigPlace; readonly io: Io },
): Promise<Config> {
  const { config } = await readConfig(place, io, replayedFiles(files))
  if (config === null) throw new Error('the supervisor and this worker do not understand the configuration alike')
  return config
}

type Channel = {
  readonly start: Promise<WorkerStart>
  readonly stopping: AbortSignal
  readonly send: (message: FromWorker) => void
  readonly hear: (listener: (notice: SiblingNotice) => void) => () => void
  readonly gather: (text: string) => Promise<string>
  readonly answerCounts: (count: () => Promise<string>) => void
  /** One after the other, the newest only. A worker that fails to take what the others took ends, and is replaced. */
  readonly onReload: (apply: (files: ConfigFiles) => Promise<void>, log: Log) => void
}

/** Without a supervisor there is nobody to tell; this process is about to end. */
function send(message: FromWorker): void {
  process.send?.(message, undefined, undefined, () => undefined)
}

function openChannel(): Channel {
  const stop = new AbortController()
  const listeners = new Set<(notice: SiblingNotice) => void>()
  const gathering = new Map<number, (text: string) => void>()
  let gathered = 0
  let count = (): Promise<string> => Promise.resolve('')
  let wanted: ConfigFiles | null = null
  let reload = (): void => undefined
  const start = new Promise<WorkerStart>((resolve) => {
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'start') resolve(message.start)
      else if (message.kind === 'stop') stop.abort()
      else if (message.kind === 'ping') send({ kind: 'pong' })
      else if (message.kind === 'notice') for (const listener of [...listeners]) listener(message.notice)
      else if (message.kind === 'count') void count().then((text) => send({ kind: 'count', text }))
      else if (message.kind === 'reload') {
        wanted = message.files
        reload()
      } else {
        gathering.get(message.id)?.(message.text)
        gathering.delete(message.id)
      }
    })
  })
  send({ kind: 'hello' })
  return {
    start,
    stopping: stop.signal,
    send,
    hear: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    gather: (text) =>
      new Promise((resolve) => {
        gathered += 1
        gathering.set(gathered, resolve)
        send({ kind: 'metrics', id: gathered, text })
      }),
    answerCounts: (answer) => (count = answer),
    onReload: (apply, log) => {
      let isRunning = false
      const runAll = async (): Promise<void> => {
        if (isRunning) return
        isRunning = true
        for (let files = wanted; files !== null; files = wanted) {
          wanted = null
          await apply(files)
        }
        isRunning = false
      }
      reload = () =>
        void runAll().catch((thrown: unknown) => {
          logFault(log, thrown, { where: 'a reload' })
          stop.abort()
        })
      reload()
    },
  }
}

function siblingsOver(channel: Channel, worker: number): Siblings {
  let isTelling = false
  return {
    writesSinks: worker === 1,
    tell: (notice) => {
      if (!('name' in notice) || notice.name !== null) {
        channel.send({ kind: 'notice', notice })
        return
      }
      // Writes that come together are told together.
      if (isTelling) return
      isTelling = true
      setImmediate(() => {
        isTelling = false
        channel.send({ kind: 'notice', notice })
      })
    },
    hear: channel.hear,
    addMetrics: channel.gather,
  }
}
