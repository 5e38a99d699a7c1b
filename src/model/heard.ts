/**
 * What a node can tell of a source by its entry alone: what another node did shows there, and nowhere else. Facts that
 * leave no trace in an entry (an attempt, a report that cost nothing) are told by the node where they happened.
 */
import type { Entry } from './entry.ts'
import type { KeeperEvent } from './event.ts'
import { isContested } from './settle.ts'

/** A token that is seen for the first time, and is younger than this, is news; in milliseconds. Sweeps may be late. */
const newsMs = 60_000

/** `at` and `expiresAt`: wall time of this node; `now`: the store's clock. */
type Told = { readonly at: number; readonly now: number; readonly expiresAt: number }

/** The facts by which two entries of one source differ. Before is null where nothing was known. */
export function heard(
  name: string,
  { before, after }: { readonly before: Entry | null; readonly after: Entry },
  { at, now, expiresAt }: Told,
): readonly KeeperEvent[] {
  const events: KeeperEvent[] = []
  const { token, trouble } = after
  const isNew = before === null ? (token?.issuedAt ?? 0) > now - newsMs : after.version !== before.version
  if (token !== null && isNew) {
    const reason = 'a new token is served here'
    events.push({ type: 'rotated', name, at, version: after.version, expiresAt, reason })
  }
  if (before === null) return events
  if (trouble !== null && (before.trouble === null || isForPeople(before, after))) {
    events.push({ type: 'failing', name, at, class: trouble.class, failure: trouble.failure })
  }
  if (trouble === null && before.trouble !== null) {
    events.push({ type: 'recovered', name, at, failures: before.trouble.count })
  }
  if (isContested(after, now) && !isContested(before, now)) {
    events.push({ type: 'conflict', name, at, deaths: after.earlyDeaths.length })
  }
  return events
}

/** That a person must do something is told whatever was told before. */
function isForPeople(before: Entry, after: Entry): boolean {
  return after.trouble?.class === 'needs-authorization' && before.trouble?.class !== after.trouble.class
}
