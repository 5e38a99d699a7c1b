/** `npm run simulate`: many seeds of the deterministic simulation. */
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { readOptions, wholeNumber } from '../read-options.ts'
import { addCounts } from './coverage.ts'
import { faultKinds, readPlan, type FaultKind } from './faults.ts'
import { runMutants } from './run-mutants.ts'
import { runSeed, type RunResult } from './run-seed.ts'

type Part = {
  readonly violations: readonly {
    readonly seed: number
    readonly invariant: string
    readonly text: string
    readonly at: number
  }[]
  readonly passed: readonly (readonly [string, number])[]
  readonly died: readonly (readonly [string, number])[]
  readonly faults: readonly (readonly [FaultKind, number])[]
  readonly nodeHours: number
  readonly events: number
  readonly reads: number
  readonly issues: number
  readonly lateIssues: number
  readonly refusedReads: number
}

const usage = `Usage: npm run simulate -- [options]

  --seeds 200 [--from 1] [--nodes 3] [--hours 48] [--workers 2]   exit 0 only without a violation
  --faults crash,answer-lost=0.3 [--ttl 1200]                     just these faults, each with a rate of its own
  --seed 7 --trace                                                replays one seed, line by line
  --mutants [--only M2,M25b]                                      exit 0 only when every mutant is caught
  --quiet, --fail-fast                                            no progress; an end at the first violation`

const values = readOptions(
  {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    nodes: { type: 'string', default: '3' },
    hours: { type: 'string', default: '48' },
    workers: { type: 'string' },
    faults: { type: 'string' },
    ttl: { type: 'string' },
    trace: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    only: { type: 'string' },
    quiet: { type: 'boolean', default: false },
    'fail-fast': { type: 'boolean', default: false },
  },
  usage,
)

const nodes = wholeNumber('nodes', values.nodes, 1)
const hours = wholeNumber('hours', values.hours, 1)
const workersSaid = values.workers === undefined ? undefined : wholeNumber('workers', values.workers, 1)
const ttl = values.ttl === undefined ? undefined : wholeNumber('ttl', values.ttl, 1)
const plan = values.faults === undefined ? undefined : readPlan(values.faults)

async function runOne(seed: number, trace?: (line: string) => void): Promise<RunResult> {
  return await runSeed({
    seed,
    nodes,
    hours,
    isFailFast: values['fail-fast'],
    ...(plan === undefined ? {} : { plan }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(trace === undefined ? {} : { trace }),
  })
}

function partOf(result: RunResult): Part {
  const { coverage, violations, seed, nodeHours, events, reads, issues, lateIssues, refusedReads } = result
  return {
    violations: violations.map((violation) => ({ ...violation, seed })),
    passed: [...coverage.passed],
    died: [...coverage.died],
    faults: [...coverage.faults],
    nodeHours,
    events,
    reads,
    issues,
    lateIssues,
    refusedReads,
  }
}

/** The work of one worker process: seeds as they are sent, one result each. */
function serveParent(): void {
  process.on('message', (seed: number) => {
    void runOne(seed).then((result) => process.send?.(partOf(result)))
  })
}

/** What is still waiting when a run ends is never collected, so a worker process makes way for a new one now and then. */
const seedsPerProcess = 15

async function runMany(first: number, count: number): Promise<number> {
  const startedAt = performance.now()
  const workers = Math.min(workersSaid ?? availableParallelism(), count)
  const total = new Total()
  const last = first + count - 1
  let next = first
  const take = (): number | null => {
    if (next > last || (values['fail-fast'] && total.violations.length > 0)) return null
    next += 1
    return next - 1
  }
  const told = (seed: number, part: Part): void => {
    total.add(part)
    for (const { invariant, text } of part.violations.slice(0, 1)) {
      process.stderr.write(`seed ${String(seed)} ${invariant}: ${text}\n`)
    }
    if (!values.quiet) progress(total, count, startedAt)
  }
  const work = async (): Promise<void> => {
    while (next <= last) {
      await workSeeds(take, told)
      if (values['fail-fast'] && total.violations.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  total.print((performance.now() - startedAt) / 1_000)
  return total.violations.length === 0 ? 0 : 1
}

/** One worker process and the seeds it runs. */
async function workSeeds(take: () => number | null, told: (seed: number, part: Part) => void): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), { env: { ...process.env, ZK_WORKER: '1' } })
  for (let run = 0; run < seedsPerProcess; run += 1) {
    const seed = take()
    if (seed === null) break
    child.send(seed)
    const part = await new Promise<Part>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Part))
      child.once('exit', (code) => reject(new Error(`a worker ended (${String(code)}) in seed ${String(seed)}`)))
    })
    child.removeAllListeners('exit')
    told(seed, part)
  }
  child.removeAllListeners('exit')
  child.disconnect()
}

class Total {
  seeds = 0
  nodeHours = 0
  events = 0
  reads = 0
  issues = 0
  lateIssues = 0
  refusedReads = 0
  readonly passed = new Map<string, number>()
  readonly died = new Map<string, number>()
  readonly faults = new Map<FaultKind, number>()
  readonly violations: Part['violations'][number][] = []

  add(part: Part): void {
    this.seeds += 1
    this.nodeHours += part.nodeHours
    this.events += part.events
    this.reads += part.reads
    this.issues += part.issues
    this.lateIssues += part.lateIssues
    this.refusedReads += part.refusedReads
    addCounts(this.passed, part.passed)
    addCounts(this.died, part.died)
    addCounts(this.faults, part.faults)
    this.violations.push(...part.violations)
  }

  print(seconds: number): void {
    const faults = [...this.faults].sort(([, left], [, right]) => right - left)
    const sum = faults.reduce((count, [, more]) => count + more, 0)
    const points = [...this.passed.keys()].sort()
    const deaths = [...this.died.values()].reduce((count, more) => count + more, 0)
    const never = points.filter((point) => !this.died.has(point))
    console.log('')
    console.log(`seeds            ${this.seeds}`)
    console.log(`virtual hours    ${this.nodeHours / nodes} (${this.nodeHours} node hours, ${nodes} nodes)`)
    console.log(`events           ${this.events}`)
    console.log(`reads checked    ${this.reads} (${this.refusedReads} of a token the upstream refused, all excused)`)
    console.log(`issues           ${this.issues} (${this.lateIssues} outside their lease)`)
    console.log(`faults           ${sum}`)
    for (const [kind, count] of faults) console.log(`  ${kind.padEnd(18)} ${count}`)
    for (const kind of faultKinds.filter((one) => !this.faults.has(one))) console.log(`  ${kind.padEnd(18)} never`)
    console.log(
      `await points     ${points.length}; nodes died ${deaths} times, at ${points.length - never.length} of them`,
    )
    for (const point of never) console.log(`  never died at: ${point} (passed ${this.passed.get(point) ?? 0} times)`)
    console.log(`wall seconds     ${seconds.toFixed(1)}`)
    for (const { seed, invariant, text } of this.violations.slice(0, 20)) {
      console.log(`VIOLATION seed ${seed} ${invariant}: ${text}`)
      console.log(`  replay: npm run simulate -- --seed ${seed} --trace --nodes ${nodes} --hours ${hours}`)
    }
    console.log(this.violations.length === 0 ? 'no violation' : `${this.violations.length} violations`)
  }
}

function progress(total: Total, count: number, startedAt: number): void {
  if (!process.stderr.isTTY && total.seeds % 50 !== 0) return
  const seconds = Math.round((performance.now() - startedAt) / 1_000)
  const end = process.stderr.isTTY ? '\r' : '\n'
  process.stderr.write(`${total.seeds}/${count} seeds, ${total.violations.length} violations, ${seconds} s${end}`)
}

async function replay(seed: number): Promise<number> {
  const startedAt = performance.now()
  const result = await runOne(seed, values.trace ? (line) => console.log(line) : undefined)
  const total = new Total()
  total.add(partOf(result))
  total.print((performance.now() - startedAt) / 1_000)
  console.log(`history ${result.history}`)
  return result.violations.length === 0 ? 0 : 1
}

if (process.env.ZK_WORKER === '1') serveParent()
else if (values.mutants) process.exitCode = await runMutants(values.only, workersSaid)
else if (values.seed !== undefined) process.exitCode = await replay(wholeNumber('seed', values.seed, 0))
else process.exitCode = await runMany(wholeNumber('from', values.from, 0), wholeNumber('seeds', values.seeds, 1))
