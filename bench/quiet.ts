/**
 * Figures of a machine that does other things too. Linux counts how long a process was ready to run while something else
 * had its core. Rounds in which that was long are repeated, and if the machine never comes to rest, the quietest count.
 */
import { readFileSync } from 'node:fs'

export type Quiet<T> = {
  readonly rounds: readonly T[]
  /** The share of these rounds in which what was measured waited for its core, on average; NaN where it is not told. */
  readonly waitedShare: number
  /** Rounds that were run, with those that do not count. */
  readonly ran: number
}

/** In a quiet round this share of the time is waited at most. */
const waitedMax = 0.02
/** So many times the wanted rounds are run at most. */
const triesMax = 2

export type Round<T> = { readonly result: T; readonly waitedShare: number }

export async function quietRounds<T>(wanted: number, run: () => Promise<Round<T>>): Promise<Quiet<T>> {
  const all: Round<T>[] = []
  const isQuiet = ({ waitedShare }: Round<T>): boolean => !(waitedShare > waitedMax)
  while (all.filter(isQuiet).length < wanted && all.length < wanted * triesMax) all.push(await run())
  const kept = all.toSorted((left, right) => left.waitedShare - right.waitedShare).slice(0, wanted)
  return {
    rounds: kept.map(({ result }) => result),
    waitedShare: kept.reduce((sum, { waitedShare }) => sum + waitedShare, 0) / kept.length,
    ran: all.length,
  }
}

/** `0.4 %, 9 of 14`, for the tables. */
export function describeQuiet({ rounds, waitedShare, ran }: Quiet<unknown>): string {
  return `${(waitedShare * 100).toFixed(1)} %, ${rounds.length} of ${ran}`
}

/** How long the main thread of a process has waited for its core so far, in milliseconds. */
export function waitedMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6
  } catch {
    return NaN
  }
}
