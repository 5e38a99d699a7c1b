/**
 * Goes through all sources, so that a sink ends with the newest value of each whatever was missed: what was committed
 * before this process began or by a node that died, what the sink's side lost, what was too much to remember. A round
 * takes its time: it reads a page when the one before was delivered, and after the first round a page a second.
 */
import type { Clock } from '../../base/env.ts'
import type { Delivery } from './delivery.ts'

export type Page = { readonly names: readonly string[]; readonly next: string | null }

export type PatrolOptions = {
  readonly delivery: Pick<Delivery, 'touch' | 'backlog' | 'takeSweepWish'>
  /** As of a sink. */
  readonly recheckMs: number | null
  readonly list: (after: string | undefined) => Promise<Page>
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** How long to wait for a store that is away before it is looked through again, in milliseconds. */
const lookAgainMs = 5_000
/** A page waits while more sources than this do, and looks again after so many milliseconds. */
const backlogMax = 400
const backlogMs = 100
const pageMs = 1_000
/** How often a wish for a round is looked for, in milliseconds. */
const wishMs = 1_000

/** Runs until the signal aborts. */
export async function patrol(options: PatrolOptions): Promise<void> {
  const { delivery, recheckMs, clock, signal } = options
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const againAt = clock.monotonic() + (recheckMs ?? Infinity)
    await round(options, isFirst ? 0 : pageMs)
    for (;;) {
      const leftMs = againAt - clock.monotonic()
      if (isOver(signal) || leftMs <= 0 || delivery.takeSweepWish()) break
      await clock.sleep(Math.min(wishMs, leftMs), signal)
    }
  }
}

async function round({ delivery, list, clock, signal }: PatrolOptions, pauseMs: number): Promise<void> {
  for (let after: string | undefined; !signal.aborted;) {
    try {
      const page = await list(after)
      for (const name of page.names) delivery.touch(name, 'current')
      if (page.next === null) return
      after = page.next
    } catch {
      // The store is away; where we were is where we go on.
      await clock.sleep(lookAgainMs, signal)
    }
    if (pauseMs > 0) await clock.sleep(pauseMs, signal)
    while (delivery.backlog > backlogMax && !isOver(signal)) await clock.sleep(backlogMs, signal)
  }
}

/** A question of its own, as the answer may have changed while something was awaited. */
function isOver({ aborted }: AbortSignal): boolean {
  return aborted
}
