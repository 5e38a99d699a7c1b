/** What a run took: reads, rotations, how soon a dead node's work is taken over, and how soon all nodes serve the new. */
import { FirstServed } from './first-served.ts'
import type { History, ReadLine } from './history.ts'
import { Presence } from './presence.ts'
import { requestsOf } from './requests.ts'

export type Figures = {
  readonly reads: number
  readonly failedReads: number
  /** Long polls, and calls for a refresh; and how many of those were told of a new token. */
  readonly waits: number
  readonly refreshes: number
  readonly refreshed: number
  /** Versions that somebody was given, beside the first of each source. */
  readonly rotations: number
  /** New tokens that the upstream made, likewise. */
  readonly issues: number
  readonly requests: number
  /** From the death of a process to the next request for a source that it had been asking for, in milliseconds. */
  readonly takeoverMs: readonly number[]
  /** From the first node's serving a version to each other one's, while all were well, in milliseconds. */
  readonly propagationMs: readonly number[]
  readonly blows: ReadonlyMap<string, number>
}

export function figuresOf(history: History): Figures {
  const answers = history.lines.filter((line): line is ReadLine => line.type === 'read')
  const reads = answers.filter(({ wait, refresh }) => wait === undefined && refresh === undefined)
  const refreshes = answers.flatMap(({ refresh }) => (refresh === undefined ? [] : [refresh]))
  const served = new FirstServed(history)
  const requests = [...requestsOf(history).values()]
  const sources = Object.keys(history.sources)
  const versions = sources.map((source) => served.versions(source).length)
  const issues = requests.map((own) => own.filter(({ token }) => token !== null).length)
  const beyondFirst = (counts: readonly number[]): number => counts.reduce((sum, one) => sum + Math.max(0, one - 1), 0)
  const blows = new Map<string, number>()
  for (const line of history.lines) {
    if (line.type === 'blow') blows.set(line.kind, (blows.get(line.kind) ?? 0) + 1)
  }
  return {
    reads: reads.length,
    failedReads: reads.filter(({ status }) => status !== 200).length,
    waits: answers.filter(({ wait }) => wait !== undefined).length,
    refreshes: refreshes.length,
    refreshed: refreshes.filter(({ refreshed }) => refreshed).length,
    rotations: beyondFirst(versions),
    issues: beyondFirst(issues),
    requests: requests.flat().length,
    takeoverMs: takeovers(history, served),
    propagationMs: propagation(history, served),
    blows,
  }
}

/** A process that has just sent its answer on may still die before it is written. */
const commitMs = 300

function takeovers(history: History, served: FirstServed): number[] {
  const presence = new Presence(history)
  const strikes = history.lines.filter((line) => {
    return line.type === 'node' && (line.what === 'killed' || line.what === 'stopped')
  })
  return [...requestsOf(history)].flatMap(([source, requests]) =>
    requests.flatMap((request, index) => {
      const { node, at, endedAt, token } = request
      const strike = strikes.find((line) => {
        return line.type === 'node' && line.node === node && line.at >= at && line.at < endedAt + commitMs
      })
      const next = requests[index + 1]
      const wasTold = token !== null && served.of(source, token) !== null
      if (strike === undefined || next === undefined || wasTold) return []
      // Nobody takes over without a store.
      const span = { from: strike.at, to: next.at }
      const isOneWell = Array.from({ length: history.nodes }, (_, other) => presence.isWell(other, span)).some(Boolean)
      return isOneWell ? [next.at - strike.at] : []
    }),
  )
}

function propagation(history: History, served: FirstServed): number[] {
  const presence = new Presence(history)
  const nodes = Array.from({ length: history.nodes }, (_, node) => node)
  const endsAt = history.lines.at(-1)?.at ?? 0
  /** Each node's reads of a source, in order of time. */
  const readsOf = new Map<string, ReadLine[]>()
  for (const line of history.lines) {
    if (line.type !== 'read' || line.status !== 200) continue
    const key = `${line.source} ${line.node}`
    const known = readsOf.get(key)
    if (known === undefined) readsOf.set(key, [line])
    else known.push(line)
  }
  return Object.keys(history.sources).flatMap((source) =>
    served.versions(source).flatMap(({ version, at, node: first }) => {
      const span = { from: at, to: at + 2_000 }
      const isCalm = nodes.every((node) => !presence.isOutOfTouch(node, span) && presence.process(node, span) !== null)
      if (!isCalm || version === 1 || span.to > endsAt) return []
      return nodes
        .filter((node) => node !== first)
        .flatMap((node) => {
          const seen = readsOf.get(`${source} ${node}`)?.find((read) => read.at >= at && read.version >= version)
          return seen === undefined ? [] : [seen.at - at]
        })
    }),
  )
}

/** The value that a share of all does not exceed; NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
}
