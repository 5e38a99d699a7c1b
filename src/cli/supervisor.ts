/**
 * A server of several workers. The supervisor opens no store and serves nobody: it reads the configuration and gives every
 * worker the same bytes of it, puts a new worker in the place of one that died or hangs, and passes on what they tell each
 * other.
 */
import { removeStaleSocket, readPair } from '../http/listen.ts'
import type { Serving } from './serving.ts'
import { readConfig } from './config-file.ts'
import { recordingFiles, type ConfigFiles } from './config-snapshot.ts'
import { Crew } from './crew.ts'
import { withPort } from './listen-address.ts'
import { aborted } from './pause.ts'
import type { Pulse } from './pulse.ts'
import { logBeginning, reload, stopping, watchConfig } from './reloading.ts'
import { stderrLog } from './stderr-log.ts'

export type Supervising = Serving & {
  /** The files that `config` was read from. */
  readonly files: ConfigFiles
  /** When a worker that keeps silent is given up; after half a minute by default. */
  readonly pulse?: Pulse
}

/** Runs until `io.signal` aborts, or until no worker can serve; answers the exit code. */
export async function supervise({ config, files, place, io, warnings, port, pulse }: Supervising): Promise<number> {
  const log = stderrLog(io)
  logBeginning(config, warnings, { log, io })
  const reloads = await watchConfig(place, io)
  const { tls, listen, workers } = config.server
  const address = withPort(listen, port)
  // Each worker would take the socket of its sibling for one that somebody else answers at.
  if (address.startsWith('unix:')) await removeStaleSocket(address.slice('unix:'.length))
  const start = { place, first: files, latest: files, address }
  const crew = new Crew({ size: workers, start, log, ...(pulse === undefined ? {} : { pulse }) })
  const ended = aborted(io.signal).then(() => 0)
  const begun = await Promise.race([crew.open(), crew.failed, ended])
  let exitCode = begun
  if (typeof begun === 'string') {
    io.out(`zhongkong ready on ${begun}`)
    let current = config
    reloads.start(async () => {
      const { files: latest, readFile } = recordingFiles()
      const apply = async (): Promise<void> => {
        // Whatever could fail in a worker fails here, before the first of them takes anything.
        if (tls !== null) await readPair(tls, async (path) => (await readFile(path, Infinity)).bytes)
        crew.reload(latest)
      }
      current = await reload(current, { read: () => readConfig(place, io, readFile), apply, io, log })
    })
    exitCode = await Promise.race([crew.failed, ended])
  }
  reloads.stop()
  if (exitCode === 0) log.info(stopping)
  await crew.stop()
  return Number(exitCode)
}
