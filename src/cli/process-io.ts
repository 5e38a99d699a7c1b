/** The real process as commands see it: its streams, its terminal and its signals. */
import { languageOf } from './language.ts'
import type { Io } from './command.ts'

/**
 * npm and some terminals send one Ctrl-C twice: to the whole process group, and forwarded. Only a signal this many
 * milliseconds after the first is a person who does not want to wait.
 */
const impatienceMs = 500

export type ProcessIo = Io & {
  /** Called when the reader of our output has gone (`| head`). */
  onReaderGone: (handler: () => void) => void
}

/** The process's own Io. It listens to signals from now on. */
export function processIo(): ProcessIo {
  const stopping = new AbortController()
  let readerGone = (): void => undefined
  let firstSignalAt: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstSignalAt === undefined) {
      firstSignalAt = performance.now()
      stopping.abort()
    } else if (performance.now() - firstSignalAt >= impatienceMs) {
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // Without a listener a broken pipe is an uncaught exception, and a server would die with the program that read its logs.
  process.stdout.on('error', () => readerGone())
  process.stderr.on('error', () => undefined)
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    environment: process.env,
    directory: process.cwd(),
    language: languageOf(process.env),
    isTerminal: process.stdout.isTTY,
    columns: columnsOf(process.env.COLUMNS),
    signal: stopping.signal,
    onHangup: (handler) => {
      process.on('SIGHUP', handler)
      return () => process.off('SIGHUP', handler)
    },
    onReaderGone: (handler) => {
      readerGone = handler
    },
  }
}

function columnsOf(said: string | undefined): number {
  const fromTerminal = process.stdout.isTTY ? process.stdout.columns : 0
  const columns = fromTerminal > 0 ? fromTerminal : Number(said)
  return Number.isInteger(columns) && columns >= 40 ? columns : 80
}

/** Ends the process once everything written has been handed over. */
export function exitWith(code: number): void {
  process.exitCode = code
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
}
