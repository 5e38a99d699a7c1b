/** A server's life: open, listen, say so, reload when told, drain and end. */
import type { Config, ConfigIssue } from '../config/config.ts'
import type { Io } from './command.ts'
import { readConfig, type ConfigPlace } from './config-file.ts'
import { withPort } from './listen-address.ts'
import { aborted } from './pause.ts'
import { logBeginning, reload, stopping, watchConfig } from './reloading.ts'
import { runNode } from './running-node.ts'
import { stderrLog } from './stderr-log.ts'

export type Serving = {
  readonly config: Config
  /** Where the configuration is read again. */
  readonly place: ConfigPlace
  readonly io: Io
  /** What was found in the configuration and is no error; goes to the log. */
  readonly warnings: readonly ConfigIssue[]
  /** Instead of the configuration's port. */
  readonly port?: number
}

/** Runs until `io.signal` aborts; answers the exit code. */
export async function serve({ config, place, io, warnings, port }: Serving): Promise<number> {
  const log = stderrLog(io)
  logBeginning(config, warnings, { log, io })
  // Watching begins before the keeper opens: a change meanwhile is seen.
  const reloads = await watchConfig(place, io)
  const running = await runNode(config, { io, log, address: withPort(config.server.listen, port) })
  io.out(`zhongkong ready on ${running.url}`)
  let current = config
  reloads.start(async () => {
    current = await reload(current, { read: () => readConfig(place, io), apply: running.apply, io, log })
  })
  await aborted(io.signal)
  reloads.stop()
  log.info(stopping)
  await running.stop()
  return 0
}
