/**
 * `npm run bench -- NAME [options]`: runs one measurement, and prints a table for people and a line of JSON for programs.
 * Each file of a measurement says what it measures and which options it takes.
 */
import { describeMachine, machine } from './machine.ts'

/** What a measurement answers. */
export type Measured = {
  readonly tables: readonly { readonly title: string; readonly text: string }[]
  /** The same and more, as numbers. */
  readonly numbers: unknown
}

export type Measure = (args: readonly string[]) => Promise<Measured>

const measurements: Readonly<Record<string, () => Promise<{ readonly measure: Measure }>>> = {
  reads: () => import('./reads.ts'),
  refreshes: () => import('./refreshes.ts'),
  'memory-and-start': () => import('./memory-and-start.ts'),
  authorised: () => import('./authorised.ts'),
  embedded: () => import('./embedded.ts'),
  shared: () => import('./shared.ts'),
  gateway: () => import('./gateway.ts'),
  watchers: () => import('./watchers.ts'),
  client: () => import('./client.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const load = measurements[name]
if (load === undefined) {
  console.error(`Choose one: npm run bench -- ${Object.keys(measurements).join(' | ')}`)
  process.exit(2)
}
const on = machine()
console.log(`${name}: ${describeMachine(on)}\n`)
const { measure } = await load()
const { tables, numbers } = await measure(args)
for (const { title, text } of tables) console.log(`${title}\n\n${text}\n`)
console.log(JSON.stringify({ name, args, machine: on, numbers }))
process.exit()
