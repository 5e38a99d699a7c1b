/** The options of the commands that prove things: their usage on `--help`, and a line instead of a stack for a wrong one. */
import { parseArgs, type ParseArgsConfig } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O }>>['values']

/** The options that this process was started with. Ends it with 0 after `--help`, with 2 when one is not known. */
export function readOptions<const O extends Options>(options: O, usage: string): Values<O> {
  if (process.argv.includes('--help')) {
    console.log(usage)
    process.exit(0)
  }
  try {
    return parseArgs({ options }).values
  } catch (thrown) {
    return wrongOption(`${thrown instanceof Error ? thrown.message : String(thrown)}\n\n${usage}`)
  }
}

/** A whole number of at least `min`; ends this process with 2 for anything else. */
export function wholeNumber(option: string, text: string, min: number): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(number) && number >= min) return number
  return wrongOption(`--${option} takes a whole number from ${min} on; "${text}" is none`)
}

export function wrongOption(text: string): never {
  console.error(text)
  process.exit(2)
}
