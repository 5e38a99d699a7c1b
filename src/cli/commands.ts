/** The one list of commands, in the order in which help shows them. */
import type { CommandModule } from './command.ts'
import * as authorize from './commands/authorize.ts'
import * as backup from './commands/backup.ts'
import * as check from './commands/check.ts'
import * as demo from './commands/demo.ts'
import * as get from './commands/get.ts'
import * as importCommand from './commands/import.ts'
import * as key from './commands/key.ts'
import * as recover from './commands/recover.ts'
import * as refresh from './commands/refresh.ts'
import * as restore from './commands/restore.ts'
import * as serve from './commands/serve.ts'
import * as simulate from './commands/simulate.ts'
import * as start from './commands/start.ts'
import * as status from './commands/status.ts'
import * as worker from './commands/worker.ts'

export const commands: readonly CommandModule[] = [
  serve,
  demo,
  simulate,
  check,
  importCommand,
  key,
  get,
  refresh,
  authorize,
  recover,
  status,
  backup,
  restore,
  start,
  worker,
]
