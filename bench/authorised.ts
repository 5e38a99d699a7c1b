/**
 * Claim: accounts that authorise a third-party platform are kept fresh, however many there are. A real node with its
 * surfaces and an in-memory store, at the simulated platform, under a virtual clock; each account authorises by a push of
 * its own, and all are looked at once an hour (`test/keeper/authorised-day.ts`). Start and memory on a real machine are
 * measured by `memory-and-start --authorised N`.
 *
 * Options: --accounts N (100000), --hours N (24).
 */
import { parseArgs } from 'node:util'
import { runAuthorisedDay } from '../test/keeper/authorised-day.ts'
import { table } from './figures.ts'
import type { Measure } from './main.ts'

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: { accounts: { type: 'string', default: '100000' }, hours: { type: 'string', default: '24' } },
  })
  const began = performance.now()
  const tell = (text: string): void => void process.stderr.write(`${text}\n`)
  const day = await runAuthorisedDay({ accounts: Number(values.accounts), hours: Number(values.hours), tell })
  const seconds = (performance.now() - began) / 1_000
  if (day.made !== day.accounts || day.lapses > 0 || day.faults.length > 0) process.exitCode = 1
  const row = [
    day.accounts,
    day.hours,
    day.lapses,
    (day.issues / day.accounts).toFixed(2),
    day.issuesMax,
    day.recovered.kept,
    `${((seconds * 1e6) / day.issues).toFixed(0)} us`,
    `${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MB`,
  ]
  const head = [
    'accounts',
    'virtual hours',
    'lapses',
    'tokens each',
    'at most',
    'known to the list',
    'wall time per token',
    'memory',
  ]
  const title = 'A day of authorised accounts (node, store and platform in one process)'
  return { tables: [{ title, text: table(head, [row]) }], numbers: { ...day, faults: day.faults.length, seconds } }
}
