/**
 * `npm run fuzz`: many random requests against what platforms may send.
 *
 *   -- --inputs 200000 [--seed 1]   exit 0 only without a fault, and with every request done within 50 ms of CPU
 */
import { parseArgs } from 'node:util'
import { fuzzCallbacks } from './callbacks.ts'

const slowMs = 50

const { values } = parseArgs({
  options: { inputs: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' } },
})
const { inputs, believed, refused, slowestMs, faults } = fuzzCallbacks({
  inputs: Number(values.inputs),
  seed: Number(values.seed),
})
for (const fault of faults.slice(0, 20)) console.log(fault)
const reasons = [...refused].map(([reason, count]) => `${reason} ${count}`).join(', ')
console.log(`${inputs} requests: ${believed} believed, refused: ${reasons}`)
console.log(`${faults.length} faults, the slowest took ${slowestMs.toFixed(1)} ms of CPU (at most ${slowMs})`)
process.exitCode = faults.length === 0 && slowestMs <= slowMs ? 0 : 1
