/**
 * The entry: everything a store keeps of one source, and the pure functions that turn one entry into the next.
 *
 * All instants are epoch milliseconds of the store's own clock. The life of an attempt, told once:
 *
 *   lease ─► entry holds a lease and `epoch` is raised: the durable intent to ask the upstream.
 *   settle ─► the attempt's end is written: committed (`resolvedEpoch = epoch`), released after a clean refusal
 *             (likewise), or left open after an unknown outcome (`resolvedEpoch` stays behind).
 *
 * So `epoch > resolvedEpoch` without a living lease means that somebody may have been given a token that we never
 * learned of: the entry is in doubt and is refreshed at once. What lies between the two is the number of such attempts;
 * only a commit settles those of before.
 */
import type { JsonObject } from '../base/json.ts'
import { departMsMax, mergedBudget, type Budget } from './budget.ts'
import { mergedGrants, type Grant } from './grant.ts'
import type { Failure, RejectionClass } from './failure.ts'

export type Token = {
  readonly value: string
  /** What callers see: +1 for each new value. */
  readonly version: number
  readonly issuedAt: number
  readonly expiresAt: number
  /** Life as told when it was issued, in milliseconds; scales grace, window and minimum interval. */
  readonly lifetimeMs: number
  /** The upstream did not say how long it lives; the lifetime is the fallback. */
  readonly isGuessed: boolean
  /** An earlier request without an answer may yet be carried out and retire this token; it is replaced before long. */
  readonly isUnconfirmed: boolean
  /** The upstream account this token belongs to. */
  readonly identity: string
  /** The upstream's whole answer, with the token in it. */
  readonly fields: JsonObject
  /** Versions of the needed sources' tokens that this one was asked with. */
  readonly askedWith: Readonly<Record<string, number>>
}

/** A token that was replaced, kept to recognise callers that still hold it. */
export type Replaced = { readonly value: string; readonly version: number; readonly until: number }

export type Lease = {
  readonly node: string
  readonly at: number
  readonly until: number
  /** The attempt it covers is a forced one. */
  readonly forced: boolean
}

/**
 * Why the current token is not trusted.
 * `reported`: somebody said that version `version` was refused. `stray`: an answer arrived after its lease was lost.
 * `asked`: a person or program asked for a new token now. `wanted`: a reader wants more time than the token has left.
 */
export type Doubt = {
  readonly reason: 'reported' | 'stray' | 'asked' | 'wanted'
  readonly at: number
  readonly version: number
  /** How often the upstream has since repeated the doubted token. */
  readonly repeats: number
}

export type Trouble = {
  readonly class: RejectionClass | 'unknown' | 'not-sent'
  readonly failure: Failure
  /** When the first failure of this row happened. */
  readonly since: number
  readonly at: number
  /** Failures in a row. */
  readonly count: number
  /** The generation of the source that failed: trouble of another generation is forgotten. */
  readonly generation: string
  /** When somebody who asked last cut short the wait of this row; absent while nobody has. */
  readonly hurriedAt?: number
}

/** A platform that should push a grant and does not. */
export type Silence = {
  /** When the grant was given after which no other came, and that was told; 0 where none ever came. */
  readonly toldOf?: number
  /** When the platform was last asked to push. */
  readonly askedAt?: number
}

/**
 * What a witness was found to have said wrongly. `client` is a name of the configuration; null for callers without a key,
 * and where the witness is none of them.
 */
export type Refuted = {
  readonly kind: WitnessKind
  readonly client: string | null
  /** In a row: the platform said each time that the token lives. */
  readonly times: number
  readonly at: number
}

/** Who says that a token is dead (model/suspicion.ts). */
export type WitnessKind = 'report' | 'gateway' | 'input' | 're-ask'

/** The last look into somebody's word that the token is dead: all nodes share it, so together they ask no oftener than one. */
export type Suspicion = {
  /** When the platform was asked. */
  readonly askedAt: number
  /** About which version. */
  readonly version: number
  /** What it said; absent while its answer is awaited. */
  readonly said?: Said
  /** Witnesses that were wrong lately, the latest last. */
  readonly refuted?: readonly Refuted[]
}

/** What a platform says of a token: `unclear` is everything that is neither a clear yes nor a clear no. */
export type Said = 'alive' | 'dead' | 'unclear'

/**
 * By what an early death shows. `refused`: the platform refused the token. `replaced`: it gives out another one although
 * ours had time left and nobody here asked it to.
 */
export type Sign = 'refused' | 'replaced'

/** A row of early deaths, of which no two that follow each other are more than a day apart. */
export type Conflict = {
  readonly since: number
  readonly count: number
  /** Of the last one. */
  readonly sign: Sign
}

export type Entry = {
  readonly token: Token | null
  readonly previous: readonly Replaced[]
  /** The highest version ever given out, so that versions never go back, whatever happens to `token`. */
  readonly version: number
  readonly lease: Lease | null
  readonly epoch: number
  readonly resolvedEpoch: number
  readonly doubt: Doubt | null
  readonly trouble: Trouble | null
  /** No attempt before this instant. */
  readonly nextTry: number
  /** When the next refresh is due; carries its jitter, rolled once. */
  readonly dueAt: number
  readonly budget: Budget
  /** What cannot be asked for again, the one in use first; absent where nothing was ever granted. */
  readonly grants?: readonly Grant[]
  /** What was done about a platform that does not push the source's grant; absent while nothing was. */
  readonly silence?: Silence
  /** Instants at which a token died before its time though nobody here replaced it; the last ten. */
  readonly earlyDeaths: readonly number[]
  /** The row that the last of them ends; absent while there is none. */
  readonly conflict?: Conflict
  /** Absent while nobody's word has been looked into. */
  readonly suspicion?: Suspicion
  /** The definition of a source that was added while running; null for one from the configuration file. */
  readonly definition: JsonObject | null
}

/** The part of the lease in which no attempt may still be running, in milliseconds: room for clock drift and the commit. */
export const leaseSafetyMs = 2_000
/** A lease lasts this much longer than the attempt it covers, in milliseconds. */
export const leaseMarginMs = departMsMax + leaseSafetyMs

/** Attempts whose end nobody knows; the one that a lease covers is not among them. */
export function unansweredIn(entry: Entry): number {
  const ended = entry.lease === null ? entry.epoch : entry.epoch - 1
  return ended - entry.resolvedEpoch
}

/** An entry about which nothing is known yet. */
export function newEntry(now: number, definition: JsonObject | null = null): Entry {
  return {
    token: null,
    previous: [],
    version: 0,
    lease: null,
    epoch: 0,
    resolvedEpoch: 0,
    doubt: null,
    trouble: null,
    nextTry: 0,
    dueAt: now,
    budget: { hours: [], recent: [], forced: [] },
    earlyDeaths: [],
    definition,
  }
}

/**
 * Whether a stored entry has a history that ends before what a node knows: its version is lower, it gave the same version
 * to another token, or it has not heard of an attempt or a grant. Who is asking at the moment is left in peace.
 */
export function isBehind(entry: Entry, known: Entry): boolean {
  return hasLostAttempts(entry, known) || hasLostGrant(entry, known)
}

function hasLostAttempts(entry: Entry, known: Entry): boolean {
  if (entry.version !== known.version) return entry.version < known.version
  return isOfAnotherToken(entry, known) || (entry.lease === null && entry.epoch < known.epoch)
}

function hasLostGrant(entry: Entry, known: Entry): boolean {
  return (known.grants?.[0]?.at ?? 0) > (entry.grants?.[0]?.at ?? 0)
}

function isOfAnotherToken(entry: Entry, known: Entry): boolean {
  return known.token !== null && entry.token?.value !== known.token.value
}

/**
 * An entry whose store lost its history (a row deleted by hand, a restored backup, a failover), brought up to what this
 * node knows: versions never go back, and the token that was issued later is the one that counts.
 */
export function lifted(entry: Entry, known: Entry): Entry {
  const grants = mergedGrants(entry.grants ?? [], known.grants ?? [])
  const raised = hasLostAttempts(entry, known) ? liftedToken(entry, known) : entry
  if (raised === entry && !hasLostGrant(entry, known)) return entry
  return grants.length === 0 ? raised : { ...raised, grants }
}

function liftedToken(entry: Entry, known: Entry): Entry {
  if (entry.version === known.version && !isOfAnotherToken(entry, known)) return remembering(entry, known)
  // A version without a token is that of a withdrawal.
  const knownAt = known.token?.issuedAt ?? known.grants?.[0]?.refusedAt ?? -Infinity
  const isNewer = entry.token !== null && entry.token.issuedAt > knownAt
  if (!isNewer) return overtaken(entry, known)
  const version = known.version + 1
  const doubt = entry.doubt?.version === entry.version ? { ...entry.doubt, version } : entry.doubt
  return { ...entry, token: { ...entry.token, version }, version, doubt }
}

/** An entry that gets back the attempts this node knows of. One of them, or of its own, may have retired the token. */
function remembering(entry: Entry, known: Entry): Entry {
  const isShorter = (entry.token?.expiresAt ?? Infinity) < (known.token?.expiresAt ?? -Infinity)
  return {
    ...entry,
    token: isShorter ? entry.token : known.token,
    lease: known.lease,
    // The epoch is that of the lease, so it is the other end that makes room for the attempts of both.
    epoch: known.epoch,
    resolvedEpoch: known.resolvedEpoch - unansweredIn(entry),
    doubt: entry.doubt ?? known.doubt,
    trouble: later(entry.trouble, known.trouble),
    // Whoever granted anew in the other history ended the wait of this one.
    nextTry: hasLostGrant(known, entry) ? entry.nextTry : Math.max(entry.nextTry, known.nextTry),
    dueAt: Math.min(entry.dueAt, known.dueAt),
    budget: mergedBudget(entry.budget, known.budget),
  }
}

/** What was found out last is what is wrong now: a refused grant, say, where a lost answer was the trouble before. */
function later(left: Trouble | null, right: Trouble | null): Trouble | null {
  return (right?.at ?? -Infinity) > (left?.at ?? -Infinity) ? right : left
}

/** An entry that gets back the token this node knows. What was to be done about the older token is done. */
function overtaken(entry: Entry, known: Entry): Entry {
  const { lease } = entry
  // The store kept the beginning of an attempt and lost its end, which this node has seen.
  const isOver = lease !== null && known.resolvedEpoch >= entry.epoch && known.budget.recent.includes(lease.at)
  // One version has one value, and this one has been given to another token by somebody.
  const version = entry.version === known.version && entry.token !== null ? known.version + 1 : known.version
  return {
    ...entry,
    token: known.token === null ? null : { ...known.token, version },
    previous: known.previous,
    version,
    dueAt: known.dueAt,
    doubt: entry.doubt?.reason === 'stray' ? entry.doubt : known.doubt,
    lease: isOver ? null : lease,
    // Attempts that were made for the token it gets back, and have no answer, are unanswered still.
    resolvedEpoch: (isOver ? entry.epoch : entry.resolvedEpoch) - unansweredIn(known),
    budget: mergedBudget(entry.budget, known.budget),
  }
}
