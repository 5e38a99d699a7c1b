/**
 * A grant: what an upstream gives once and cannot be asked for again. A refresh token, a permanent code, a pushed ticket.
 *
 * It stands in the entry before it is used, and beside the token that came with it, so one write holds both. Nothing
 * older replaces it. Those it replaced are kept for a day, and so is one that came with an answer too late to count: when
 * the upstream refuses the one in use, they are tried before a person is asked.
 */
import type { Source } from './source.ts'

export type Grant = {
  /** What is sent to the upstream. */
  readonly value: string
  /** When the upstream gave it; a later one counts. 0 for one that was written into the configuration. */
  readonly at: number
  /** It is of no use from then on; absent where the upstream does not say. */
  readonly endsAt?: number
  /** The account it is for: the source's identity. */
  readonly identity: string
  /** The digest of the grant that the configuration held when this one came: another one there is newer than this. */
  readonly seed?: string
  /** When a person authorised; kept by the grants that come in its place. Absent where none did. */
  readonly since?: number
  /** When another one took its place; absent for the one in use. */
  readonly replacedAt?: number
  /** When the upstream refused it. */
  readonly refusedAt?: number
}

/** Whatever keeps grants: the entry. The one in use comes first. */
type Holding = { readonly grants?: readonly Grant[] }

/** A grant as an upstream or a person hands it over. */
export type Given = {
  readonly value: string
  readonly at: number
  readonly lifetimeMs?: number | null
  /** It comes from a person who authorised then, or from a grant that did. */
  readonly since?: number | undefined
}

/** A grant that was replaced is kept this long, in milliseconds. */
const keptMs = 86_400_000
/** And no more than these besides the one in use. */
const sparesMax = 3

/** Asking may use a grant up: of an attempt without an answer nobody knows which grant the upstream takes next. */
export function mayUseUp(source: Source): boolean {
  const { grant } = source.semantics
  return grant !== undefined && grant.rotates !== 'never'
}

/** The grants of the account that the source names now, the one in use first. */
function grantsOf(source: Source, entry: Holding): readonly Grant[] {
  const kept = (entry.grants ?? []).filter(({ identity }) => identity === source.identity)
  if (source.seed === null || kept[0]?.seed === source.seed.digest) return kept
  const written = kept.find(({ at, seed }) => at === 0 && seed === source.seed?.digest)
  return [written ?? seeded(source, source.seed), ...kept.filter((grant) => grant !== written)]
}

/**
 * The grants of an entry, with those of the account of now replaced. A configuration that names another account, perhaps by
 * mistake, takes nothing from the one before: its grants are kept as long as any that were replaced.
 */
function withOwn(source: Source, entry: Holding, own: readonly Grant[], now: number): readonly Grant[] {
  const others = (entry.grants ?? [])
    .filter(({ identity }) => identity !== source.identity)
    .map((grant) => ({ ...grant, replacedAt: grant.replacedAt ?? now }))
    .filter(({ replacedAt }) => replacedAt > now - keptMs)
  return [...own, ...others.slice(0, 1 + sparesMax)]
}

function seeded(source: Source, seed: NonNullable<Source['seed']>): Grant {
  return { value: seed.value.reveal(), at: 0, identity: source.identity, seed: seed.digest }
}

/**
 * The grant to ask with: the first that was not refused, or else the one that was refused last, since upstreams have
 * refused good ones. Null when there is none that has not ended.
 */
export function grantOf(source: Source, entry: Holding, now: number): Grant | null {
  const living = grantsOf(source, entry).filter(({ endsAt }) => endsAt === undefined || endsAt > now)
  return living.find(({ refusedAt }) => refusedAt === undefined) ?? living[0] ?? null
}

/** When a person last authorised the account that the source names, by the store's clock; null where none did. */
export function authorizedAt(source: Source, entry: Holding): number | null {
  return grantsOf(source, entry)[0]?.since ?? null
}

/** Whether asking is of no use before somebody grants anew. A grant that was lost may be told again, and one that ended not. */
export function mustWaitForGrant(source: Source, entry: Holding, now: number): boolean {
  const { grant } = source.semantics
  if (grant === undefined || grantOf(source, entry, now) !== null) return false
  return grant.isRecoverable !== true || grantsOf(source, entry).length > 0
}

/** Whether a source cannot be asked, or only in vain, until somebody grants it anew. */
export function lacksGrant(source: Source, entry: Holding, now: number): boolean {
  if (source.semantics.grant === undefined) return false
  const grant = grantOf(source, entry, now)
  return grant === null || grant.refusedAt !== undefined
}

/** The grants of an entry with one more, which is in use from now on; an older one than that in use changes nothing. */
export function withGrant(source: Source, entry: Holding, given: Given, now: number): readonly Grant[] {
  return withOwn(source, entry, ownWith(source, grantsOf(source, entry), given, now), now)
}

function ownWith(source: Source, grants: readonly Grant[], given: Given, now: number): readonly Grant[] {
  const [current] = grants
  if (lastWord(current, given) > given.at) return grants
  // One that is handed over again after it was refused is good again.
  if (current?.value === given.value) return [made(source, given), ...grants.slice(1)]
  return trimmed([made(source, given), ...replacedBy(given, grants, now)], now)
}

/**
 * The grants of an entry with one that a person has just brought. What refreshes have brought meanwhile comes from an
 * authorisation of before, and is no newer by that; another person's, or a withdrawal, is.
 */
export function withAuthorisedGrant(source: Source, entry: Holding, given: Given, now: number): readonly Grant[] {
  const [current] = grantsOf(source, entry)
  const isEarlier = current !== undefined && !isWithdrawn(source, entry) && (current.since ?? 0) <= given.at
  return withGrant(source, entry, isEarlier ? { ...given, at: Math.max(given.at, current.at) } : given, now)
}

/**
 * When the last was said about the grant in use. That the upstream refused it says something of this one only, and by our
 * clock: another one may have been given since, by a clock that is a little behind. That it was withdrawn ends all before.
 */
function lastWord(current: Grant | undefined, given: Given): number {
  if (current === undefined) return 0
  const { at, refusedAt = 0, value } = current
  return value === given.value || isEndedByRefusal(current) ? Math.max(at, refusedAt) : at
}

/**
 * The grants of an entry with one that came with an answer. It counts if the one that was asked with is still in use, or
 * the one in use was refused; otherwise somebody has handed over another one meanwhile, and it is kept beside that.
 */
export function withIssuedGrant(
  source: Source,
  entry: Holding,
  issued: Given,
  asked: { readonly with: string | null; readonly now: number },
): readonly Grant[] {
  const grants = grantsOf(source, entry)
  const given = { ...issued, since: grants.find(({ value }) => value === asked.with)?.since }
  const current = grantOf(source, entry, asked.now)
  const counts = current === null || [asked.with, given.value].includes(current.value) || isRefused(current)
  const others = replacedBy(given, grants, asked.now)
  const [first, ...rest] = grants
  const own =
    counts || first === undefined
      ? [made(source, { ...given, at: Math.max(given.at, first?.at ?? 0) }), ...others]
      : [first, { ...made(source, given), replacedAt: asked.now }, ...rest]
  return withOwn(source, entry, trimmed(own, asked.now), asked.now)
}

/** The grants of an entry of which the upstream refused one. */
export function withRefusal(source: Source, entry: Holding, value: string, now: number): readonly Grant[] {
  const own = grantsOf(source, entry).map((grant) => (grant.value === value ? { ...grant, refusedAt: now } : grant))
  return withOwn(source, entry, own, now)
}

/** What two histories of one entry know: the grant that came last is in use, none is lost, and neither is a refusal. */
export function mergedGrants(left: readonly Grant[], right: readonly Grant[]): readonly Grant[] {
  const said = ({ at, refusedAt = 0 }: Grant): number => Math.max(at, refusedAt)
  const newest = new Map<string, Grant>()
  for (const grant of [...left, ...right]) {
    const known = newest.get(grant.value)
    const isLater = known === undefined || said(grant) > said(known)
    if (isLater || (isRefused(grant) && said(grant) === said(known))) newest.set(grant.value, grant)
  }
  const all = [...newest.values()]
  const [first, ...rest] = all.toSorted((a, b) => b.at - a.at || Number(isRefused(a)) - Number(isRefused(b)))
  if (first === undefined) return []
  return [
    inUse(first),
    ...rest.map((grant) => ({ ...grant, replacedAt: grant.replacedAt ?? first.at })).slice(0, sparesMax),
  ]
}

/** A grant without what is said of those that were replaced. */
function inUse(grant: Grant): Grant {
  const { replacedAt, ...kept } = grant
  return replacedAt === undefined ? grant : kept
}

function isRefused({ refusedAt }: Grant): boolean {
  return refusedAt !== undefined
}

/** The grants of an entry after the platform said that they were withdrawn at `at`: what was given since is good. */
export function withoutGrants(source: Source, entry: Holding, at: number, now: number): readonly Grant[] {
  const own = grantsOf(source, entry).map((grant) => {
    const endedAt = Math.min(now, Math.max(at, grant.at))
    return { ...grant, refusedAt: endedAt, endsAt: endedAt }
  })
  return withOwn(source, entry, own, now)
}

/** Whether the platform has withdrawn what was granted, and nobody has granted anew. */
export function isWithdrawn(source: Source, entry: Holding): boolean {
  const [current] = grantsOf(source, entry)
  return current !== undefined && isEndedByRefusal(current)
}

function isEndedByRefusal({ refusedAt, endsAt }: Grant): boolean {
  return refusedAt !== undefined && endsAt === refusedAt
}

function made(source: Source, { value, at, lifetimeMs, since }: Given): Grant {
  const seed = source.seed === null ? {} : { seed: source.seed.digest }
  const end = lifetimeMs == null ? {} : { endsAt: at + lifetimeMs }
  return { value, at, identity: source.identity, ...seed, ...end, ...(since === undefined ? {} : { since }) }
}

function replacedBy(given: Given, grants: readonly Grant[], now: number): readonly Grant[] {
  return grants
    .filter(({ value }) => value !== given.value)
    .map((grant) => ({ ...grant, replacedAt: grant.replacedAt ?? now }))
}

function trimmed([first, ...rest]: readonly Grant[], now: number): readonly Grant[] {
  if (first === undefined) return []
  const spares = rest.filter(({ replacedAt }) => replacedAt === undefined || replacedAt > now - keptMs)
  return [inUse(first), ...spares.slice(0, sparesMax)]
}
