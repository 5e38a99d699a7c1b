/** What grants that come by another way than an attempt do to an entry. */
import { leasedUntil, parkedMs, tokenOf } from './decide.ts'
import type { Entry } from './entry.ts'
import type { Issued, IssuedGrant } from './failure.ts'
import {
  grantOf,
  isWithdrawn,
  lacksGrant,
  withAuthorisedGrant,
  withGrant,
  withIssuedGrant,
  withoutGrants,
  type Given,
} from './grant.ts'
import { commit, replaced, type Sent } from './settle.ts'
import type { Source } from './source.ts'
import { withoutWish } from './wish.ts'

/** Platforms say when in whole seconds, cut off; in milliseconds. */
const unitMs = 1_000

/**
 * Takes in a grant from outside: pushed by the platform, or brought by a person who authorised anew. What failed for want
 * of it is tried again at once. The entry itself when it has this one already, or a newer one.
 */
export function granted(source: Source, entry: Entry, given: Given, now: number): Entry {
  const grants = withGrant(source, entry, given, now)
  const [before, after] = [entry.grants?.[0], grants[0]]
  if (after?.value !== given.value || after.at !== given.at) return entry
  const isSame = before?.value === after.value && before.refusedAt === undefined
  const isRefused = before?.refusedAt !== undefined || entry.trouble?.class === 'needs-authorization'
  if (isSame || !(isRefused || entry.token === null)) return { ...entry, grants }
  // Also while the token lives: until it is asked again, the source says that it needs what it has now.
  return { ...entry, grants, nextTry: 0, dueAt: Math.min(entry.dueAt, now) }
}

/**
 * The platform withdrew what was granted, at the instant `at` where it says so: the token is dead, and nobody asks for
 * another one. The entry itself where somebody has authorised anew since: messages may come late, and twice.
 */
export function revoked(source: Source, entry: Entry, at: number | null, now: number): Entry {
  const since = grantOf(source, entry, now)?.at ?? 0
  if (at !== null && since > at + unitMs) return entry
  const failure = source.semantics.grant?.missing ?? { code: 'revoked', message: 'the authorisation was withdrawn' }
  const { generation } = source
  return {
    ...withoutWish(entry),
    token: null,
    // Of two entries with one version, one of which holds no token, nobody could tell which came first.
    version: entry.version + 1,
    grants: withoutGrants(source, entry, at ?? now, now),
    trouble: { class: 'needs-authorization', failure, since: now, at: now, count: 1, generation },
    nextTry: now + parkedMs,
  }
}

/**
 * The platform says that the account is authorised, and not by which grant: what was withdrawn or refused is no reason to
 * wait any more. For upstreams that tell the grant again.
 */
export function reauthorised(source: Source, entry: Entry, now: number): Entry {
  if (!lacksGrant(source, entry, now)) return entry
  const living = (entry.grants ?? []).filter(({ endsAt }) => endsAt === undefined || endsAt > now)
  return { ...entry, grants: living, nextTry: 0 }
}

/**
 * Takes in a token and its grant that a person's authorisation has brought, as a new version. The entry itself when
 * another person's was asked for later, or the platform has withdrawn it since. Where the token was issued later, it stays:
 * the upstream may have retired the one that was brought.
 */
export function authorized(source: Source, entry: Entry, issued: Issued, sent: Sent): Entry {
  const isAsking = leasedUntil(source, entry, sent.now) !== null
  const given = issued.grant === undefined ? null : { ...issued.grant, at: sent.sentAt, since: sent.sentAt }
  const grants = given === null ? (entry.grants ?? []) : withAuthorisedGrant(source, entry, given, sent.now)
  if (given !== null && grants[0]?.value !== given.value) return entry
  if ((tokenOf(source, entry)?.issuedAt ?? 0) > sent.sentAt) {
    const isKnown = entry.trouble === null && entry.grants?.[0]?.value === grants[0]?.value
    return { ...entry, grants, nextTry: 0, dueAt: isKnown ? entry.dueAt : Math.min(entry.dueAt, sent.now) }
  }
  const { entry: settled } = commit(source, { ...entry, token: null, grants }, issued, sent)
  return {
    ...settled,
    previous: replaced(source, entry, sent.now),
    grants,
    // An attempt in the air ends by itself; it was asked with an older grant, and what it brings does not count.
    lease: isAsking ? entry.lease : null,
    resolvedEpoch: isAsking ? entry.resolvedEpoch : settled.resolvedEpoch,
  }
}

/**
 * Keeps a grant whose answer came when its lease was lost: it may be the only one that the upstream takes. One that a
 * person brought, `since` then, is in use from now on.
 */
export function saved(
  source: Source,
  entry: Entry,
  grant: IssuedGrant & Pick<Given, 'since'>,
  sent: Pick<Sent, 'sentAt' | 'now' | 'grant'>,
): Entry {
  if (entry.grants?.some(({ value }) => value === grant.value) === true) return entry
  const given = { ...grant, at: sent.sentAt }
  if (given.since === undefined && isWithdrawn(source, entry)) return entry
  const grants =
    given.since === undefined
      ? withIssuedGrant(source, entry, given, { with: sent.grant, now: sent.now })
      : withAuthorisedGrant(source, entry, given, sent.now)
  return { ...entry, grants, nextTry: lacksGrant(source, entry, sent.now) ? 0 : entry.nextTry }
}
