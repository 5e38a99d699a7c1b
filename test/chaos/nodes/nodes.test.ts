/**
 * Three whole nodes on real servers under each kind of blow once: what `npm run chaos` does for as long as it is told to.
 * Redis, PostgreSQL and sentinels side by side, as most of the time is spent waiting for leases to end.
 */
import { describe, expect, test } from 'vitest'
import { isSkipped } from '../../servers/obtain-server.ts'
import type { Plan, StoreKind } from './draw-blows.ts'
import { describeOutcomes, describeViolations, outcomeOf } from './report.ts'
import { runChaos } from './run-chaos.ts'

/** Another one for each run of the tests, printed, and given to `npm run chaos -- --short --seed` to see it again. */
const seed = Math.floor(Math.random() * 1_000_000)

const servers = { redis: 'redis', sentinel: 'redis', postgres: 'postgres', mysql: 'mariadb' } as const
const stores: readonly StoreKind[] = ['redis', 'sentinel', 'postgres']

describe('three nodes, each kind of blow once', () => {
  for (const store of stores) {
    test.skipIf(isSkipped(servers[store])).concurrent(
      `on ${store}: reads go on, one node at a time asks, and what the dead left is taken over`,
      async () => {
        const plan: Plan = { seed, store, nodes: 3, isShort: true, forMs: 0 }
        const run = await runChaos({ plan })
        console.log(`npm run chaos -- --short --store ${store} --seed ${seed}\n${describeOutcomes([outcomeOf(run)])}`)
        if (run.verdict.violations.length > 0) expect.fail(describeViolations(run))
        // That nothing was broken means nothing if nothing happened.
        expect(run.blows).toHaveLength(7)
        expect(run.figures.rotations).toBeGreaterThanOrEqual(10)
        expect(run.figures.reads).toBeGreaterThan(500)
        expect(run.figures.waits).toBeGreaterThan(20)
        expect(run.figures.refreshes).toBeGreaterThan(5)
        // Stopping drains, and ends within ten seconds.
        expect(run.stopMs).toBeLessThan(12_000)
      },
      120_000,
    )
  }
})
