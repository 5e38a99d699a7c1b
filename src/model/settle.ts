/**
 * The life of an attempt as changes of the entry: granted, then committed, released, or left open. Pure: the keeper
 * writes each result by compare-and-swap.
 */
import { backoffMs } from '../base/backoff.ts'
import { spend } from './budget.ts'
import { isUnresolved, leasedUntil, tokenOf } from './decide.ts'
import { conflictAfter, deathSign, type Turn } from './conflict.ts'
import { leaseMarginMs, type Doubt, type Entry, type Replaced, type Token } from './entry.ts'
import { dueAtOf, dueAtOfRepeated, expiresAtOf, lifetimeMsOf } from './expiry.ts'
import type { Attempt, Issued, RejectionClass } from './failure.ts'
import { isWithdrawn, lacksGrant, mayUseUp, withIssuedGrant, withRefusal, type Grant } from './grant.ts'
import { graceMsOf, type Source } from './source.ts'
import { withoutWish } from './wish.ts'

const dayMs = 86_400_000
/** Replaced tokens that are remembered, to recognise callers that still hold one. */
const previousMax = 3
const anotherMs = 1_000

/** An issue whose answer is lost may have retired the token that everybody holds. */
export function mayRetire(source: Source, forced: boolean): boolean {
  return forced || source.semantics.reissue === 'retires-previous'
}

/** The token with its believed life cut to `until`. */
function cut(token: Token | null, until: number): Token | null {
  return token === null || token.expiresAt <= until ? token : { ...token, expiresAt: until }
}

export function leaseMsOf(source: Source): number {
  return source.policy.timeoutMs + leaseMarginMs
}

export type Lessee = { readonly node: string; readonly now: number; readonly forced: boolean }

/**
 * Gives the lease to a node: the durable intent to ask, and the debit of the budget. When an earlier holder died
 * between sending and committing, the token it may have retired is believed only as long as its grace lasts.
 */
export function leased(source: Source, entry: Entry, to: Lessee): Entry {
  const { node, now, forced } = to
  const dead = isUnresolved(entry) && leasedUntil(source, entry, now) === null ? entry.lease : null
  const lifetimeMs = entry.token?.lifetimeMs ?? 0
  const token =
    dead !== null && mayRetire(source, dead.forced)
      ? cut(entry.token, dead.at + graceMsOf(source, lifetimeMs))
      : entry.token
  return {
    ...entry,
    token,
    lease: { node, at: now, until: now + leaseMsOf(source), forced },
    epoch: entry.epoch + 1,
    budget: spend(entry.budget, now, forced),
  }
}

/** Gives the lease back unused: nothing was sent, nobody failed. What was in doubt before stays so. */
export function giveBack(entry: Entry): Entry {
  return { ...entry, lease: null, resolvedEpoch: epochAfterNothing(entry) }
}

/** The resolved epoch after an attempt that issued nothing: as many are unanswered as before it. */
function epochAfterNothing(entry: Entry): number {
  return entry.resolvedEpoch + 1
}

export type Sent = {
  readonly sentAt: number
  readonly now: number
  readonly forced: boolean
  readonly chance: number
  readonly askedWith: Readonly<Record<string, number>>
  /** The grant that was asked with; null where none was. */
  readonly grant: string | null
}

export type Committed = {
  readonly entry: Entry
  readonly result: 'rotated' | 'repeated'
  /** What the end of the replaced token says about somebody else who fetches for this account. */
  readonly turn: Turn | null
}

/** Writes an issued token into the entry that granted its lease. */
export function commit(source: Source, entry: Entry, issued: Issued, sent: Sent): Committed {
  const told = lifetimeMsOf(source, issued.lifetimeMs)
  const current = tokenOf(source, entry)
  const ended: Entry = { ...entry, lease: null, resolvedEpoch: entry.epoch }
  // Withdrawn while this attempt was in the air, and with the rest also what it brings.
  if (isWithdrawn(source, entry)) return { result: 'repeated', turn: null, entry: ended }
  const settled: Entry = { ...ended, ...grantsAfter(source, entry, issued, sent), trouble: null, nextTry: 0 }
  if (isOvertaken(source, current, sent)) return { result: 'repeated', turn: null, entry: settled }
  if (current?.value === issued.value) return repeat(source, settled, { current, toldMs: issued.lifetimeMs }, sent)
  const version = entry.version + 1
  const token: Token = {
    value: issued.value,
    version,
    issuedAt: sent.sentAt,
    expiresAt: expiresAtOf(sent.sentAt, told),
    lifetimeMs: told,
    isGuessed: issued.lifetimeMs === null,
    isUnconfirmed: mayComeLate(source, entry, sent.now),
    identity: source.identity,
    fields: issued.fields,
    askedWith: sent.askedWith,
  }
  const isOurs = isUnresolvedBefore(entry) || wasForcedBefore(source, entry, sent.now)
  const sign = isOurs ? null : deathSign(source, entry, { current, now: sent.now, forced: sent.forced })
  const conflict = conflictAfter(settled, sign, sent.now)
  return {
    result: 'rotated',
    turn: conflict.turn,
    entry: {
      ...conflict.entry,
      token,
      version,
      previous: replaced(source, entry, sent.now),
      doubt: doubtAfterRotation(entry.doubt, sent),
      dueAt: Math.min(dueAtOf(source, token, sent.chance), confirmAt(source, token) ?? Infinity),
    },
  }
}

/** A person's authorisation brought a token while this attempt was in the air, and ended what it was asked with. */
function isOvertaken(source: Source, current: Token | null, sent: Sent): boolean {
  return source.semantics.grant !== undefined && current !== null && current.issuedAt > sent.sentAt
}

/** The grants after an answer, as a part of the entry. Where the one that was asked with lives on, they stay. */
function grantsAfter(source: Source, entry: Entry, issued: Issued, sent: Sent): Pick<Entry, 'grants'> {
  if (issued.grant === undefined) return {}
  const given = { ...issued.grant, at: sent.sentAt }
  return { grants: withIssuedGrant(source, entry, given, { with: sent.grant, now: sent.now }) }
}

function repeat(
  source: Source,
  settled: Entry,
  { current, toldMs }: { readonly current: Token; readonly toldMs: number | null },
  sent: Sent,
): Committed {
  const isUnconfirmed = current.isUnconfirmed && sent.now < (confirmAt(source, current) ?? 0)
  const token = { ...repeatedToken(source, current, toldMs, sent.sentAt), isUnconfirmed }
  const dueAt =
    source.semantics.reissue === 'extends'
      ? dueAtOf(source, token, sent.chance)
      : dueAtOfRepeated(source, token, sent.now, sent.chance)
  return {
    result: 'repeated',
    turn: null,
    entry: {
      ...settled,
      token,
      dueAt: Math.min(dueAt, confirmAt(source, token) ?? Infinity),
      doubt: doubtAfterRepeat(source, settled.doubt, sent),
    },
  }
}

/** The life of a token that was given out again: never longer than believed, unless the belief was a guess. */
function repeatedToken(source: Source, current: Token, told: number | null, sentAt: number): Token {
  if (told === null) return current
  const toldMs = lifetimeMsOf(source, told)
  const expiresAt = expiresAtOf(sentAt, toldMs)
  if (source.semantics.reissue === 'extends') return { ...current, expiresAt, lifetimeMs: toldMs, issuedAt: sentAt }
  // The longest life told so far is the nearest to the whole one, by which pauses and windows are scaled.
  if (source.semantics.retold) return { ...current, expiresAt, lifetimeMs: Math.max(current.lifetimeMs, toldMs) }
  if (current.isGuessed) return { ...current, expiresAt, lifetimeMs: toldMs, isGuessed: false }
  return { ...current, expiresAt: Math.min(current.expiresAt, expiresAt) }
}

/** A stray that arrived after this attempt was sent may have retired this token too; every other doubt is settled. */
function doubtAfterRotation(doubt: Doubt | null, sent: Sent): Doubt | null {
  return doubt?.reason === 'stray' && doubt.at > sent.sentAt ? doubt : null
}

/**
 * The upstream insists on the doubted token. Where a forced issue exists, a report leads to one; otherwise the
 * upstream's word stands.
 */
function doubtAfterRepeat(source: Source, doubt: Doubt | null, sent: Sent): Doubt | null {
  if (doubt === null) return null
  if (doubt.at > sent.sentAt) return doubt
  const mayStillForce = source.semantics.limits.force !== undefined && doubt.repeats === 0 && !sent.forced
  return doubt.reason === 'reported' && mayStillForce ? { ...doubt, repeats: 1 } : null
}

/**
 * After a request whose answer never came, the new token is refreshed once more before long: the lost request may be
 * carried out late and retire the very token that was to replace it. Within half the grace nobody is caught by that.
 */
function mayComeLate(source: Source, entry: Entry, now: number): boolean {
  // One that is replaced before it could be confirmed hands the waiting on.
  if (entry.token !== null && now < (confirmAt(source, entry.token) ?? 0)) return true
  // Elsewhere only a forced issue retires a token. One that was not answered may still be on its way although the
  // upstream has repeated its token since, so it is the time that counts.
  if (source.semantics.reissue !== 'retires-previous') return wasForcedBefore(source, entry, now)
  return entry.trouble?.class === 'unknown' || entry.doubt?.reason === 'stray' || isUnresolvedBefore(entry)
}

/** When an unconfirmed token is refreshed once more; null for one that needs no confirmation. */
function confirmAt(source: Source, token: Token): number | null {
  if (!token.isUnconfirmed) return null
  // A lifetime that is a guess says nothing about how late a request may come.
  return token.issuedAt + Math.floor(graceMsOf(source, token.isGuessed ? Infinity : token.lifetimeMs) / 2)
}

/** The tokens that are remembered when the current one is replaced. */
export function replaced(source: Source, entry: Entry, now: number): readonly Replaced[] {
  if (entry.token?.identity !== source.identity) return []
  const { value, version, lifetimeMs } = entry.token
  // Programs cache a token for its nominal life, so that long it is worth recognising.
  const until = Math.max(entry.token.issuedAt + lifetimeMs, now + graceMsOf(source, lifetimeMs))
  return [{ value, version, until }, ...entry.previous].slice(0, previousMax)
}

/** Before the attempt that is being committed, an earlier one had been left without an answer. */
function isUnresolvedBefore(entry: Entry): boolean {
  return entry.epoch - 1 > entry.resolvedEpoch
}

/** Before the attempt that is being committed, another one was forced, and not so long ago that it can't be under way. */
function wasForcedBefore(source: Source, entry: Entry, now: number): boolean {
  const since = now - graceMsOf(source, Infinity)
  return entry.budget.forced.some((at) => at > since && at < (entry.lease?.at ?? now))
}

export type Ended = {
  readonly sentAt: number
  readonly now: number
  readonly forced: boolean
  readonly chance: number
  /** The grant that was asked with; null where none was. */
  readonly grant: string | null
}

/** Writes a failed attempt into the entry that granted its lease. */
export function fail(
  source: Source,
  entry: Entry,
  attempt: Exclude<Attempt, { outcome: 'issued' }>,
  ended: Ended,
): Entry {
  const before = entry.trouble?.generation === source.generation ? entry.trouble : null
  const count = (before?.count ?? 0) + 1
  const grants = grantsAfterRefusal(source, entry, attempt, ended)
  const hasAnother = grants !== undefined && !lacksGrant(source, { ...entry, grants }, ended.now)
  // A grant that was refused ends nothing as long as there is another one to try, and that is tried at once.
  const troubleClass = hasAnother ? 'transient' : attempt.outcome === 'rejected' ? attempt.class : attempt.outcome
  const mayHaveRetired = attempt.outcome === 'unknown' && mayRetire(source, ended.forced)
  const harmful = mayHaveRetired || (attempt.outcome === 'unknown' && mayUseUp(source))
  const token = mayHaveRetired
    ? cut(entry.token, ended.sentAt + graceMsOf(source, entry.token?.lifetimeMs ?? 0))
    : entry.token
  const isPressing = tokenOf(source, entry) === null || harmful || entry.doubt !== null
  const waitMs = hasAnother ? anotherMs : waitMsAfter(troubleClass, count, isPressing, ended.chance)
  const told = attempt.outcome === 'rejected' ? Math.min(attempt.waitMs ?? 0, dayMs) : 0
  return {
    ...entry,
    ...(grants === undefined ? {} : { grants }),
    token,
    lease: null,
    resolvedEpoch: harmful ? entry.resolvedEpoch : epochAfterNothing(entry),
    doubt: withoutWish(entry).doubt,
    nextTry: ended.now + Math.max(waitMs, told),
    trouble: {
      class: troubleClass,
      failure: attempt.failure,
      since: before?.since ?? ended.now,
      at: ended.now,
      count,
      generation: source.generation,
      ...(before?.hurriedAt === undefined ? {} : { hurriedAt: before.hurriedAt }),
    },
  }
}

/** The grants after the upstream refused the one that was asked with; undefined when nothing was said about it. */
function grantsAfterRefusal(
  source: Source,
  entry: Entry,
  attempt: Attempt,
  { grant, now }: Ended,
): readonly Grant[] | undefined {
  const isRefused = attempt.outcome === 'rejected' && attempt.class === 'needs-authorization'
  if (!isRefused || grant === null || source.semantics.grant === undefined) return undefined
  return withRefusal(source, entry, grant, now)
}

/** Milliseconds to the next try. The caps keep a mended upstream from waiting for us, the bases a broken one from us. */
function waitMsAfter(
  troubleClass: RejectionClass | 'unknown' | 'not-sent',
  count: number,
  isPressing: boolean,
  chance: number,
): number {
  switch (troubleClass) {
    case 'transient':
    case 'unknown':
    case 'not-sent':
      return Math.max(1_000, backoffMs(count, { baseMs: 1_000, capMs: isPressing ? 15_000 : 60_000 }, chance))
    case 'permission':
      return backoffMs(count, { baseMs: 30_000, capMs: 60_000 }, chance)
    case 'quota':
      return backoffMs(count, { baseMs: 120_000, capMs: 600_000 }, chance)
    case 'configuration':
      return backoffMs(count, { baseMs: 60_000, capMs: 600_000 }, chance)
    case 'needs-authorization':
      return backoffMs(count, { baseMs: 60_000, capMs: 3_600_000 }, chance)
  }
}

/** Marks an entry whose lease was lost by somebody whose request was answered after all. */
export function stray(source: Source, entry: Entry, now: number): Entry {
  const graceMs = graceMsOf(source, entry.token?.lifetimeMs ?? 0)
  return {
    ...entry,
    token: cut(entry.token, now + Math.max(0, graceMs - source.policy.timeoutMs)),
    doubt: { reason: 'stray', at: now, version: entry.version, repeats: 0 },
  }
}

/** Marks the current version as reported or asked for, unless something at least as pressing is known already. */
export function doubted(entry: Entry, reason: 'reported' | 'asked' | 'wanted', now: number): Entry {
  if (entry.doubt?.reason === 'stray') return entry
  // A reader's wish adds nothing to what was said with more right.
  if (reason === 'wanted' && entry.doubt?.version === entry.version) return entry
  const isKnown = entry.doubt?.version === entry.version
  if (isKnown && (entry.doubt.reason === reason || entry.doubt.reason === 'reported')) return entry
  return { ...entry, doubt: { reason, at: now, version: entry.version, repeats: 0 } }
}
