/**
 * `npm run chaos`: whole nodes on real servers, struck again and again, and their history checked.
 * A row of runs of a few minutes each, the stores in turn. Seeds count up from the first one, and each run says its own.
 */
import { readOptions, wholeNumber, wrongOption } from '../../read-options.ts'
import { drawBlows, storeKinds, type Blow, type Plan, type StoreKind } from './draw-blows.ts'
import { describeOutcomes, describeViolations, outcomeOf, type Outcome } from './report.ts'
import { runChaos } from './run-chaos.ts'

const usage = `Usage: npm run chaos -- [options]

  --minutes 10 [--seed 1] [--store redis,sentinel,postgres]   exit 0 only without a violation; mysql too
  --short                                                     each kind of blow once, as in npm test
  --logs                                                      what the nodes logged in a run with a violation, too`

const values = readOptions(
  {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    store: { type: 'string', default: 'redis,sentinel,postgres' },
    short: { type: 'boolean', default: false },
    logs: { type: 'boolean', default: false },
  },
  usage,
)

/** A run is long enough for a minute without a store and everything else, and its history is small enough to keep. */
const runMsMax = 240_000
const nodes = 3

const stores = values.store.split(',').map((name): StoreKind => {
  const kind = storeKinds.find((each) => each === name)
  if (kind === undefined) return wrongOption(`--store takes ${storeKinds.join(', ')}; ${name} is none of them`)
  return kind
})
const minutes = Number(values.minutes)
if (!(minutes > 0)) wrongOption('--minutes takes a number above 0')
const firstSeed =
  values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : wholeNumber('seed', values.seed, 0)

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopping.abort()
    // Everything that was started is killed when this process ends.
    process.exit(130)
  })
}

const outcomes: Outcome[] = []
const endsAt = performance.now() + minutes * 60_000
for (let turn = 0; turn === 0 || performance.now() < endsAt; turn += 1) {
  if (values.short && turn >= stores.length) break
  const store = stores[turn % stores.length] ?? 'redis'
  const leftMs = endsAt - performance.now()
  const forMs = Math.max(60_000, Math.min(runMsMax, leftMs / Math.max(1, stores.length - turn)))
  const plan: Plan = { seed: firstSeed + turn, store, nodes, isShort: values.short, forMs }
  const count = drawBlows(plan).length
  const mode = values.short ? '--short' : `--minutes ${(forMs / 60_000).toFixed(1)}`
  console.log(`${store}, ${count} blows: npm run chaos -- --store ${store} --seed ${plan.seed} ${mode}`)
  const run = await runChaos({ plan, onBlow: progress(count), signal: stopping.signal })
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  outcomes.push(outcomeOf(run))
  if (run.verdict.violations.length === 0) continue
  console.log(describeViolations(run))
  if (values.logs) for (let node = 0; node < nodes; node += 1) console.log(`\nnode ${node}:\n${run.logs(node)}`)
}
const violations = outcomes.reduce((total, { verdict }) => total + verdict.violations.length, 0)
console.log(`\n${describeOutcomes(outcomes)}`)
console.log(violations === 0 ? '\nno violation' : `\n${violations} violations`)
process.exit(violations === 0 ? 0 : 1)

function progress(count: number): (blow: Blow) => void {
  let struck = 0
  return ({ kind }) => {
    struck += 1
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${struck}/${count} ${kind}`)
  }
}
