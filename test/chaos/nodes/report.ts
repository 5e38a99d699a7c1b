/** What a row of runs came to, for people: at most 80 columns. */
import type { Violation } from './evidence.ts'
import { storeKinds, type StoreKind } from './draw-blows.ts'
import { quantile } from './figures.ts'
import { excerpt } from './history.ts'
import type { ChaosRun } from './run-chaos.ts'

/** Of a run, without its history. */
export type Outcome = Pick<ChaosRun, 'plan' | 'figures' | 'verdict' | 'stopMs'> & { readonly seconds: number }

const violationsShown = 5
const width = 78

export function outcomeOf({ plan, figures, verdict, stopMs, history }: ChaosRun): Outcome {
  return { plan, figures, verdict, stopMs, seconds: (history.lines.at(-1)?.at ?? 0) / 1_000 }
}

/** The first violations, each with what happened around it. */
export function describeViolations({ history, verdict, plan }: ChaosRun): string {
  const rows = verdict.violations
    .slice(0, violationsShown)
    .flatMap((violation) => [
      '',
      describeViolation(violation),
      ...excerpt(history, violation.at, violation.source).map((line) => `  ${line}`),
    ])
  const more = verdict.violations.length - violationsShown
  const head = `${plan.store}, seed ${plan.seed}: ${verdict.violations.length} violations`
  return [head, ...rows, ...(more > 0 ? ['', `and ${more} more`] : [])].join('\n')
}

function describeViolation({ rule, at, text }: Violation): string {
  return `VIOLATION ${rule} at ${(at / 1_000).toFixed(3)} s: ${text}`
}

export function describeOutcomes(outcomes: readonly Outcome[]): string {
  const kinds = storeKinds.filter((kind) => outcomes.some(({ plan }) => plan.store === kind))
  const rows: (readonly [string, (of: readonly Outcome[]) => string])[] = [
    ['runs, minutes', (of) => `${of.length}, ${(sum(of.map(({ seconds }) => seconds)) / 60).toFixed(1)}`],
    ...blowRows(outcomes),
    ['reads', (of) => String(sum(of.map(({ figures }) => figures.reads)))],
    ['  without a token', (of) => String(sum(of.map(({ figures }) => figures.failedReads)))],
    ['waits', (of) => String(sum(of.map(({ figures }) => figures.waits)))],
    ['calls for a refresh', (of) => String(sum(of.map(({ figures }) => figures.refreshes)))],
    ['  that made a new token', (of) => String(sum(of.map(({ figures }) => figures.refreshed)))],
    ['answers that were excused', (of) => excusedShare(of)],
    ...excuseRows(outcomes),
    ['rotations', (of) => String(sum(of.map(({ figures }) => figures.rotations)))],
    ['issues per rotation', (of) => ratio(of)],
    ['takeover p50, max ms', (of) => spreadOf(of, 'takeoverMs', [0.5, 1])],
    ['propagation p50, p99, max ms', (of) => spreadOf(of, 'propagationMs', [0.5, 0.99, 1])],
    ['slowest stop ms', (of) => Math.max(...of.map(({ stopMs }) => stopMs)).toFixed(0)],
    ['violations', (of) => String(sum(of.map(({ verdict }) => verdict.violations.length)))],
  ]
  const cells = rows.map(([name, read]) => [name, ...kinds.map((kind) => read(ofKind(outcomes, kind)))])
  const columns = [0, ...kinds.map((_, index) => index + 1)]
  const all = [['', ...kinds], ...cells]
  const widths = columns.map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const first = Math.min(widths[0] ?? 0, width - sum(widths.slice(1).map((each) => each + 2)))
  return all
    .map(([name = '', ...values]) => {
      const padded = values.map((value, index) => value.padStart((widths[index + 1] ?? 0) + 2))
      return [name.slice(0, first).padEnd(first), ...padded].join('')
    })
    .join('\n')
}

type Row = readonly [string, (of: readonly Outcome[]) => string]

function blowRows(outcomes: readonly Outcome[]): Row[] {
  const kinds = new Set(outcomes.flatMap(({ figures }) => [...figures.blows.keys()]))
  return [...kinds].sort().map((kind) => {
    return [`blow: ${kind}`, (of) => String(sum(of.map(({ figures }) => figures.blows.get(kind) ?? 0)))]
  })
}

function excuseRows(outcomes: readonly Outcome[]): Row[] {
  const excuses = new Set(outcomes.flatMap(({ verdict }) => [...verdict.excused.keys()]))
  return [...excuses].sort().map((excuse) => {
    return [`  ${excuse}`, (of) => String(sum(of.map(({ verdict }) => verdict.excused.get(excuse) ?? 0)))]
  })
}

/** One answer may need several excuses. */
function excusedShare(of: readonly Outcome[]): string {
  const answers = sum(of.map(({ figures: { reads, waits, refreshes } }) => reads + waits + refreshes))
  const excused = sum(of.flatMap(({ verdict }) => [...verdict.excused.values()]))
  return `${((100 * excused) / Math.max(1, answers)).toFixed(1)} %`
}

function ofKind(outcomes: readonly Outcome[], kind: StoreKind): readonly Outcome[] {
  return outcomes.filter(({ plan }) => plan.store === kind)
}

function ratio(of: readonly Outcome[]): string {
  const rotations = sum(of.map(({ figures }) => figures.rotations))
  return rotations === 0 ? '–' : (sum(of.map(({ figures }) => figures.issues)) / rotations).toFixed(3)
}

function spreadOf(of: readonly Outcome[], which: 'takeoverMs' | 'propagationMs', shares: readonly number[]): string {
  const values = of.flatMap(({ figures }) => figures[which])
  return values.length === 0 ? '–' : shares.map((share) => quantile(values, share).toFixed(0)).join(', ')
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0)
}
