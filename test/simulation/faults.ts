/** The faults a run may draw, and how often. Each run draws its own subset, so that rare combinations come up, too. */
import type { Chance } from './chance.ts'

/** Every kind of fault; the name is what reports count. */
export const faultKinds = [
  'crash',
  'crash-in-flight',
  'pause',
  'pause-with-lease',
  'send-late',
  'request-lost',
  'request-late',
  'answer-lost',
  'answer-slow',
  'answer-garbled',
  'answer-5xx',
  'refused-transient',
  'refused-quota',
  'upstream-outage',
  'node-offline',
  'store-slow',
  'store-answer-slow',
  'store-answer-lost',
  'store-outage',
  'store-failover',
  'partition',
  'notice-lost',
  'revoked',
  'foreign-refresh',
  'clock-jump',
  'clock-drift',
  'asked-refresh',
  'false-report',
  'report-flood',
  'wish-flood',
  'status-watch',
  'reload',
  'row-deleted',
  'source-removed',
  'source-dropped',
] as const

export type FaultKind = (typeof faultKinds)[number]

export type FaultPlan = {
  /** Probability per step (a store call, a request) or events per virtual day; 0: not in this run. */
  readonly rate: Readonly<Record<FaultKind, number>>
  readonly names: readonly FaultKind[]
}

/** Usual rates: probabilities for what can happen at every step, events per day and run for the rest. */
const usual: Readonly<Record<FaultKind, number>> = {
  crash: 0.0006,
  'crash-in-flight': 0.01,
  pause: 6,
  'pause-with-lease': 0.03,
  'send-late': 0.04,
  'request-lost': 0.04,
  'request-late': 0.03,
  'answer-lost': 0.05,
  'answer-slow': 0.08,
  'answer-garbled': 0.04,
  'answer-5xx': 0.04,
  'refused-transient': 0.08,
  'refused-quota': 0.01,
  'upstream-outage': 2,
  'node-offline': 2,
  'store-slow': 0.003,
  'store-answer-slow': 0.003,
  'store-answer-lost': 0.0015,
  'store-outage': 1.5,
  'store-failover': 0.003,
  partition: 2,
  'notice-lost': 0.2,
  revoked: 2,
  'foreign-refresh': 2,
  'clock-jump': 3,
  'clock-drift': 1,
  'asked-refresh': 4,
  'false-report': 4,
  'report-flood': 2,
  'wish-flood': 1,
  'status-watch': 0.5,
  reload: 2,
  'row-deleted': 1,
  'source-removed': 1,
  'source-dropped': 0.5,
}

/** Draws which faults a run has, and how hard: about half of them, sometimes none, sometimes all. */
export function drawPlan(chance: Chance): FaultPlan {
  const share = chance.pick([0, 0.25, 0.5, 0.5, 0.75, 1])
  const hardness = chance.pick([0.3, 1, 1, 3])
  const rate = { ...usual }
  const names: FaultKind[] = []
  for (const kind of faultKinds) {
    if (!chance.is(share)) {
      rate[kind] = 0
      continue
    }
    rate[kind] *= hardness
    names.push(kind)
  }
  return { rate, names }
}

/** A plan with just these faults, at their usual rate or at one of their own. */
export function planOf(kinds: readonly FaultKind[], own: Partial<Record<FaultKind, number>> = {}): FaultPlan {
  const rate = { ...usual, ...own }
  for (const kind of faultKinds) if (!kinds.includes(kind)) rate[kind] = 0
  return { rate, names: kinds }
}

/** Reads a plan as the command line writes it: `crash,answer-lost=0.3`, a rate behind each kind that has its own. */
export function readPlan(text: string): FaultPlan {
  const kinds: FaultKind[] = []
  const own: Partial<Record<FaultKind, number>> = {}
  for (const part of text.split(',').filter((each) => each !== 'none')) {
    const [kind = '', rate] = part.split('=')
    if (!isFaultKind(kind)) throw new Error(`there is no fault ${kind}`)
    kinds.push(kind)
    if (rate !== undefined) own[kind] = Number(rate)
  }
  return planOf(kinds, own)
}

function isFaultKind(text: string): text is FaultKind {
  return (faultKinds as readonly string[]).includes(text)
}
