/**
 * What a node can tell of a source by its entry alone: what another node did shows there, and nowhere else. Facts that
 * leave no trace in an entry (an attempt, a report that cost nothing) are told by the node where they happened.
 */
import type { Entry } from './entry.ts'
import type { KeeperEvent } from './event.ts'
import { isContested } from './conflict.ts'

/** A token that is seen for the first time, and is younger than this, is news; in milliseconds. Sweeps may be late. */
const newsMs = 60_000

/** `at`: wall time of this node; `now`: the store's clock; `toWall` leads from that one to this. */
type Told = { readonly at: number; readonly now: number; readonly toWall: (at: number) => number }

/** The facts by which two entries of one source differ. Before is null where nothing was known. */
export function heard(
  name: string,
  { before, after }: { readonly before: Entry | null; readonly after: Entry },
  { at, now, toWall }: Told,
): readonly KeeperEvent[] {
  const events: KeeperEvent[] = []
  const { token, trouble } = after
  const isNew = before === null ? (token?.issuedAt ?? 0) > now - newsMs : after.version !== before.version
  if (token !== null && isNew) {
    const reason = 'a new token is served here'
    events.push({ type: 'rotated', name, at, version: after.version, expiresAt: toWall(token.expiresAt), reason })
  }
  if (before === null) return events
  if (trouble !== null && (before.trouble === null || isForPeople(before, after))) {
    events.push({ type: 'failing', name, at, class: trouble.class, failure: trouble.failure })
  }
  if (trouble === null && before.trouble !== null) {
    events.push({ type: 'recovered', name, at, failures: before.trouble.count })
  }
  return [...events, ...turnHeard(name, { before, after }, { at, now, toWall })]
}

/** That a person must do something is told whatever was told before. */
function isForPeople(before: Entry, after: Entry): boolean {
  return after.trouble?.class === 'needs-authorization' && before.trouble?.class !== after.trouble.class
}

/** That a conflict began, or is over. */
function turnHeard(
  name: string,
  { before, after }: { readonly before: Entry; readonly after: Entry },
  { at, now, toWall }: Told,
): readonly KeeperEvent[] {
  if (after.conflict !== undefined && isContested(after, now) && !isContested(before, now)) {
    const { count: deaths, sign, since } = after.conflict
    return [{ type: 'conflict', name, at, deaths, sign, since: toWall(since) }]
  }
  const { conflict, earlyDeaths } = before
  // The death that ends a quiet day may begin a row of its own.
  const isOver = after.conflict === undefined || after.conflict.count < (conflict?.count ?? 0)
  if (conflict === undefined || conflict.count < 2 || !isOver) return []
  const lastedMs = Math.round((earlyDeaths.at(-1) ?? conflict.since) - conflict.since)
  return [{ type: 'conflict-over', name, at, deaths: conflict.count, lastedMs }]
}
