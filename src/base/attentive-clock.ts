/**
 * A clock for those who wait for answers. A process that is held up (by a burst of work, or because it was frozen) finds
 * its timers run out and its answers unread at the same moment, and timers come first: the other side would be taken for
 * silent though it has long spoken.
 *
 * Not for attempts at an upstream. Their end is the end of a lease, and a request that has not left by then never may.
 */
import type { Clock, Env } from './env.ts'

/** A sleep that ends later than this was held up, in milliseconds. */
const lateMs = 50
/** What has arrived is heard of within this, in milliseconds. */
const listenMs = 100
/** So often is listened anew when that was held up as well. */
const timesMax = 10

/** The same, but for its sleeps: one that ends late goes on for as long as it takes to hear what arrived meanwhile. */
export function attentive(env: Env): Env {
  const { clock } = env
  const sleep: Clock['sleep'] = async (ms, signal) => {
    let isLate = await sleepsLate(clock, ms, signal)
    for (let times = 0; isLate && times < timesMax && signal?.aborted !== true; times += 1) {
      isLate = await sleepsLate(clock, listenMs, signal)
    }
  }
  return { ...env, clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep } }
}

/** Sleeps; true when that took much longer than it should have. */
async function sleepsLate(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  const startedAt = clock.monotonic()
  await clock.sleep(ms, signal)
  return clock.monotonic() - startedAt > Math.max(0, ms) + lateMs
}
