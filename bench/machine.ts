/** On what a figure was measured, and how busy that was: to be written down beside the figure. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { canPin } from './child.ts'

export type Machine = {
  readonly at: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  readonly pinned: boolean
  /** Load averages over 1, 5 and 15 minutes when the measurement began. */
  readonly load: readonly number[]
}

export function machine(): Machine {
  return {
    at: new Date().toISOString(),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    pinned: canPin,
    load: loadavg().map((each) => Math.round(each * 100) / 100),
  }
}

export function describeMachine(on: Machine): string {
  const pins = on.pinned ? 'pinned to one core each' : 'NOT pinned to cores'
  const busy = (on.load[0] ?? 0) > 0.5 ? ' (busy: expect noise)' : ''
  return `Node ${on.node}, ${on.cpu}, ${on.cores} cores, ${on.memoryGb} GB, ${on.system}; processes ${pins}; load before ${on.load.join(', ')}${busy}; ${on.at}`
}

/**
 * Watches what everything else on the machine uses; the answer tells its share of all cores since then. Ask when the
 * processes of the measurement have ended, so that they are not counted as others. NaN where the system does not tell.
 */
export function watchOthers(): () => number {
  const before = usage()
  return () => {
    const after = usage()
    return (after.busy - before.busy - (after.own - before.own)) / (after.all - before.all)
  }
}

type Usage = { readonly busy: number; readonly all: number; readonly own: number }

/** In the ticks of /proc: of all cores together, and of this process with its ended children. */
function usage(): Usage {
  try {
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, ...rest] = numbers('/proc/stat', /^cpu +(.*)/)
    const [irq = 0, softIrq = 0, steal = 0] = rest
    const busy = user + nice + system + irq + softIrq + steal
    // Behind the name in brackets, the third field of the line comes first; times are the 14th to the 17th.
    const own = numbers('/proc/self/stat', /\) \S+ (.*)/).slice(10, 14)
    return { busy, all: busy + idle + wait, own: own.reduce((sum, each) => sum + each, 0) }
  } catch {
    return { busy: NaN, all: NaN, own: NaN }
  }
}

function numbers(path: string, pattern: RegExp): readonly number[] {
  return (pattern.exec(readFileSync(path, 'utf8'))?.[1] ?? '').trim().split(/ +/).map(Number)
}
