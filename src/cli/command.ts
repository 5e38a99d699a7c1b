/** What every file in `commands/` exports, so that knowing one is knowing all. */
import type { Language, Text } from '../base/text.ts'

/** The terminal and the process, as a command sees them. */
export type Io = {
  readonly out: (line: string) => void
  readonly err: (line: string) => void
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly directory: string
  readonly language: Language
  readonly isTerminal: boolean
  readonly columns: number
  /** Aborts on the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** Runs `handler` on SIGHUP; the answer stops that. */
  readonly onHangup: (handler: () => void) => () => void
}

export type CommandOption = {
  /** As commander writes them: `-c, --config <file>`, `--json`. */
  readonly flags: string
  readonly summary: Text
  readonly defaultValue?: string
}

export type CommandArgument = { readonly name: string; readonly summary: Text; readonly required: boolean }

export type CommandInput = {
  /** Positional arguments in order; an optional one that was left out is undefined. */
  readonly args: readonly (string | undefined)[]
  /** Options by camel-cased long name; a flag is true. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>
}

export type CommandModule = {
  readonly name: string
  readonly summary: Text
  /** Left out of the list of commands. */
  readonly isInternal?: boolean
  /** Goes on when nobody reads its output any more, as a server must; other commands end then. */
  readonly outlivesReader?: boolean
  /** Lines under the help of this command: examples, what it reads from the environment. */
  readonly notes?: Text
  readonly args: readonly CommandArgument[]
  readonly options: readonly CommandOption[]
  /** Exit code: 0 ok, 1 failed, 2 wrong usage or configuration. */
  readonly run: (input: CommandInput, io: Io) => Promise<number>
}
