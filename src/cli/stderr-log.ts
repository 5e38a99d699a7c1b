/** The log of the real process. */
import { realClock } from '../base/real-env.ts'
import { createLog, type Log, type LogFields } from '../events/log.ts'
import type { Io } from './command.ts'

/** The log of commands that serve: on stderr, because stdout belongs to what programs read. `base` stands on every line. */
export function stderrLog(io: Io, base?: LogFields): Log {
  const destination = { write: (line: string): void => io.err(line.trimEnd()) }
  const isTerminal = process.stderr.isTTY
  const said = io.environment.ZHONGKONG_LOG
  const level = said === 'debug' || said === 'warn' || said === 'error' || said === 'silent' ? said : 'info'
  return createLog({
    level,
    env: { clock: realClock },
    destination,
    isTerminal,
    ...(base === undefined ? {} : { base }),
  })
}
