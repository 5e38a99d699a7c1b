#!/usr/bin/env node
/** The program `zhongkong`: runs one command, tells its failure on stderr, and ends with its exit code. */
import { commands } from './commands.ts'
import { faultLines } from './fault.ts'
import { packageVersion } from './package-version.ts'
import { exitWith, processIo } from './process-io.ts'
import { runProgram } from './program.ts'

const io = processIo()
io.onReaderGone(() => process.exit(0))
try {
  const code = await runProgram(commands, process.argv.slice(2), io, {
    version: packageVersion(),
    onCommand: (module) => {
      if (module.outlivesReader === true) io.onReaderGone(() => undefined)
    },
  })
  exitWith(code)
} catch (thrown) {
  const { lines, exitCode } = faultLines(thrown, io.language)
  for (const line of lines) io.err(line)
  if (io.environment.ZHONGKONG_DEBUG && thrown instanceof Error) io.err(thrown.stack ?? thrown.message)
  exitWith(exitCode)
}
