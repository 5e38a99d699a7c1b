/** Which points a run passed, at which of them a node died, and which faults struck: proof that a run was not idle. */
import type { FaultKind } from './faults.ts'

export class Coverage {
  readonly passed = new Map<string, number>()
  readonly died = new Map<string, number>()
  readonly faults = new Map<FaultKind, number>()

  pass(point: string): void {
    this.passed.set(point, (this.passed.get(point) ?? 0) + 1)
  }

  die(point: string): void {
    this.died.set(point, (this.died.get(point) ?? 0) + 1)
  }

  strike(kind: FaultKind): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1)
  }
}

/** Adds the counts of one map to another. */
export function addCounts<K>(into: Map<K, number>, from: Iterable<readonly [K, number]>): void {
  for (const [key, count] of from) into.set(key, (into.get(key) ?? 0) + count)
}
