/** On what a figure was measured, and how busy that was: to be written down beside the figure. */
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
