/** `npm run fuzz`: many random requests against what platforms may send. */
import { readOptions, wholeNumber } from '../read-options.ts'
import { fuzzCallbacks } from './callbacks.ts'

const slowMs = 50

const usage = `Usage: npm run fuzz -- [--inputs 200000] [--seed 1]

Exit 0 only without a fault, and with every request done within ${slowMs} ms of CPU.`

const values = readOptions(
  { inputs: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' } },
  usage,
)
const { inputs, believed, refused, slowestMs, faults } = fuzzCallbacks({
  inputs: wholeNumber('inputs', values.inputs, 1),
  seed: wholeNumber('seed', values.seed, 0),
})
for (const fault of faults.slice(0, 20)) console.log(fault)
const reasons = [...refused].map(([reason, count]) => `${reason} ${count}`).join(', ')
console.log(`${inputs} requests: ${believed} believed, refused: ${reasons}`)
console.log(`${faults.length} faults, the slowest took ${slowestMs.toFixed(1)} ms of CPU (at most ${slowMs})`)
process.exitCode = faults.length === 0 && slowestMs <= slowMs ? 0 : 1
