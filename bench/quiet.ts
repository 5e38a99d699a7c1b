/**
 * Figures of a machine that does other things too. Each round is watched: what share of all cores did programs use that
 * are no part of the measurement? Noisy rounds are repeated, and if the machine never comes to rest, the quietest count.
 */
import { readFileSync } from 'node:fs'
import type { Child } from './child.ts'

export type Quiet<T> = {
  readonly rounds: readonly T[]
  /** What others used of all cores during these rounds, on average. */
  readonly othersShare: number
  /** Rounds that were run, with those that do not count. */
  readonly ran: number
}

export type Plan = {
  readonly wanted: number
  /** Processes of the measurement that live through the rounds; those that end within one are known by themselves. */
  readonly children?: readonly Child[]
}

/** Others may use this share of all cores in a quiet round. */
const othersMax = 0.04
/** So many times the wanted rounds are run at most. */
const triesMax = 5

export async function quietRounds<T>({ wanted, children = [] }: Plan, run: () => Promise<T>): Promise<Quiet<T>> {
  const all: { readonly result: T; readonly others: number }[] = []
  const isQuiet = ({ others }: { readonly others: number }): boolean => !(others > othersMax)
  while (all.filter(isQuiet).length < wanted && all.length < wanted * triesMax) {
    const before = usage(children)
    const result = await run()
    all.push({ result, others: othersSince(before, usage(children)) })
  }
  const kept = all.toSorted((left, right) => left.others - right.others).slice(0, wanted)
  return {
    rounds: kept.map(({ result }) => result),
    othersShare: kept.reduce((sum, { others }) => sum + others, 0) / kept.length,
    ran: all.length,
  }
}

/** `others 3 %, 9 of 14 rounds`, for the tables. */
export function describeQuiet({ rounds, othersShare, ran }: Quiet<unknown>): string {
  return `${(othersShare * 100).toFixed(0)} %, ${rounds.length} of ${ran}`
}

/** In ticks of /proc, of which there are a hundred in a second, over all cores. */
type Usage = { readonly busy: number; readonly all: number; readonly own: number }

function othersSince(before: Usage, after: Usage): number {
  return Math.max(0, (after.busy - before.busy - (after.own - before.own)) / (after.all - before.all))
}

function usage(children: readonly Child[]): Usage {
  try {
    // Interrupts are left out of the busy time: those of a measurement's own network traffic belong to no process.
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, steal = 0] = numbers(
      '/proc/stat',
      /^cpu +(.*)/,
    )
    const busy = user + nice + system + steal
    // Behind the name in brackets, the third field of the line comes first; the 14th to the 17th are times, the last two
    // of them those of children that have ended.
    const own = numbers('/proc/self/stat', /\) (\S .*)/).slice(11, 15)
    const living = children.reduce((sum, child) => sum + child.cpuMs() / 10, 0)
    return { busy, all: busy + idle + wait + irq + softIrq, own: own.reduce((sum, each) => sum + each, living) }
  } catch {
    return { busy: NaN, all: NaN, own: NaN }
  }
}

function numbers(path: string, pattern: RegExp): readonly number[] {
  return (pattern.exec(readFileSync(path, 'utf8'))?.[1] ?? '').trim().split(/ +/).map(Number)
}
