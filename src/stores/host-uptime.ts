/**
 * A clock that all processes of one machine share, whatever happens to the wall clock: time since the machine started.
 * It lets a process that starts after the wall clock was set back agree with those that started before.
 */
import { readFileSync } from 'node:fs'

export type HostUptime = {
  /** Names this run of the machine; empty where it cannot be known, and then the uptime means nothing to others. */
  readonly run: string
  /** Milliseconds since the machine started. */
  readonly ms: () => number
}

export function hostUptime(): HostUptime {
  return { run: bootId(), ms: () => Number(process.hrtime.bigint() / 1_000_000n) }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().slice(0, 64)
  } catch {
    // Not Linux. The newest write time in the file is then all there is to go by.
    return ''
  }
}
