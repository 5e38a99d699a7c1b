/**
 * Reading: a look at what this node holds. Upstream and store are asked only when there is nothing to serve, or when
 * the caller wants more time than is left; then the caller joins the flight for a bounded time.
 */
import { deadline, until } from '../base/env.ts'
import { ZhongkongError, type ErrorOptions } from '../base/errors.ts'
import { confirmedAt, decide, refusalOf, tokenOf, wakeAt } from '../model/decide.ts'
import { mayBeDead, promiseMsMax, windowMsOf } from '../model/expiry.ts'
import type { Token } from '../model/entry.ts'
import type { Failure } from '../model/failure.ts'
import { doubted } from '../model/settle.ts'
import { graceMsOf, minIntervalMsOf, type Source } from '../model/source.ts'
import type { KeepFresh } from './keep-fresh.ts'
import type { GetOptions, Reading, Snapshot } from './keeper.ts'
import { missingOf, type Tended } from './attempt.ts'
import type { Found, Room } from './room.ts'
import { lookUpOrSprout } from './sprout.ts'
import type { View } from './views.ts'

const waitMsDefault = 5_000
/** While another node refreshes, its result is looked for this often, in milliseconds. */
const lookMs = 200

/** A reader who finds nothing waits for what comes within this time, in milliseconds. */
const shortMs = 3_000

/** The view's token as a reading, if there is time left on it. */
export function readingOf(room: Room, view: View | undefined): Reading | null {
  if (view?.snapshot == null) return null
  const leftMs = Math.min(view.until - room.time.now(), view.capMs)
  return leftMs > 0 ? { snapshot: view.snapshot, leftMs, stale: isStale(room, view.snapshot) } : null
}

/** A sweep may be late; a silence shorter than this says nothing, in milliseconds. */
const behindMsMin = 45_000

/**
 * True when the token may be dead although it is served: two attempts in a row were left without an answer, or the store
 * has been silent for so long that others may have replaced it and its grace is over.
 */
export function isStale(room: Room, snapshot: Snapshot): boolean {
  const view = room.views.get(snapshot.name)
  if (view?.source.semantics.reissue !== 'retires-previous') return false
  if (mayBeDead(view.source, view.entry)) return true
  const behindMs = room.time.behindMs()
  return behindMs >= behindMsMin && behindMs > 0.8 * graceMsOf(view.source, view.entry.token?.lifetimeMs ?? 0)
}

export async function readToken(room: Room, fresh: KeepFresh, name: string, options: GetOptions): Promise<Reading> {
  const minTtlMs = options.minTtlMs ?? 0
  if (!(minTtlMs >= 0)) throw new ZhongkongError('bad_request', 'min_ttl must be a number that is not negative')
  const known = room.views.get(name)
  const enough = (reading: Reading | null): reading is Reading => reading !== null && reading.leftMs >= minTtlMs
  if (room.time.isTrusted()) {
    const reading = readingOf(room, room.views.read(name))
    if (enough(reading)) return reading
  }
  if (known !== undefined) refuseTooLong(known.source, tokenOf(known.source, known.entry), minTtlMs)
  const time = deadline(room.env.clock, options.waitMs ?? waitMsDefault, options.signal)
  try {
    await trustTime(room)
    return await readSlowly(room, fresh, name, { minTtlMs, signal: time.signal })
  } finally {
    time.done()
  }
}

/** After a suspension or a stepped clock, the store's clock is looked at before anything is answered. */
async function trustTime(room: Room): Promise<void> {
  if (room.time.isTrusted()) return
  await room.time.look().catch(() => undefined)
}

async function readSlowly(
  room: Room,
  fresh: KeepFresh,
  name: string,
  { minTtlMs, signal }: { readonly minTtlMs: number; readonly signal: AbortSignal },
): Promise<Reading> {
  const isServed = (): boolean => (readingOf(room, room.views.get(name))?.leftMs ?? -1) >= minTtlMs
  for (;;) {
    if (room.stopping.aborted) throw new ZhongkongError('closed', 'this node is stopping')
    const found = await look(room, name, minTtlMs)
    if ('reading' in found) return found.reading
    const tended = await join(room, name, { flight: fresh.tendNow(name), signal, isServed })
    const view = room.views.read(name)
    const reading = readingOf(room, view)
    if (reading !== null && reading.leftMs >= minTtlMs) return reading
    // There is a token now, though not a long one: what can be said of it is said by another look.
    if (tended?.kind === 'rotated' && reading !== null && !signal.aborted) continue
    if (tended !== null && !isWorthWaiting(tended, room.time.now())) throw unavailable(room, found.found, tended)
    if (signal.aborted) throw unavailable(room, found.found, tended)
    await pause(room, name, signal)
  }
}

/** Something is about to happen: another node is at it, a short pause ends, the upstream is about to give a new token. */
function isWorthWaiting(tended: Tended, now: number): boolean {
  if (tended.kind === 'wait' && tended.because === 'lease') return true
  return 'until' in tended && tended.until - now <= shortMs
}

type Look = { readonly reading: Reading } | { readonly found: Found }

/** Looks into the store. A living token is enough, unless more time is wanted than it has. */
async function look(room: Room, name: string, minTtlMs: number): Promise<Look> {
  let found: Found | null
  try {
    found = await lookUpOrSprout(room, name)
  } catch (thrown) {
    const reading = readingOf(room, room.views.read(name))
    if (reading !== null && reading.leftMs >= minTtlMs) return { reading }
    throw thrown
  }
  if (found === null) throw new ZhongkongError('not_found', 'no such source')
  const view = room.views.learn(found.source, found.entry, found.revision)
  room.views.read(name)
  const reading = readingOf(room, view)
  if (reading === null) return { found }
  if (reading.leftMs >= minTtlMs) return { reading }
  return { found: await wantMore(room, found, minTtlMs, reading.leftMs) }
}

/** The upstream gives out the current token again until it is over, or nearly so. */
function repeats({ semantics }: Source): boolean {
  return semantics.reissue === 'same-until-window' || semantics.reissue === 'same-until-expiry'
}

/** No token lives that long: said whatever is left of this one, and whether or not it could be refreshed. */
function refuseTooLong(source: Source, token: Token | null, minTtlMs: number): void {
  if (token === null || token.isGuessed) return
  // Who repeats a token tells the rest of its life, so the first answer may say less than a whole life.
  const lifetimeMs = Math.max(token.lifetimeMs, repeats(source) ? source.semantics.fallbackTtlMs : 0)
  if (minTtlMs <= lifetimeMs) return
  const seconds = Math.floor(lifetimeMs / 1_000)
  throw new ZhongkongError('min_ttl_too_long', `tokens of this source live for ${seconds} s`)
}

/**
 * A living token with less time than wanted: marks it for a refresh if one can bring more, otherwise says when to come
 * again.
 */
async function wantMore(room: Room, found: Found, minTtlMs: number, leftMs: number): Promise<Found> {
  const { source, entry, revision } = found
  refuseTooLong(source, entry.token, minTtlMs)
  const lifetimeMs = entry.token?.lifetimeMs ?? source.semantics.fallbackTtlMs
  const window = source.semantics.reissue === 'same-until-window' ? windowMsOf(source, lifetimeMs) : 0
  if (repeats(source) && leftMs > window) {
    throw new ZhongkongError('token_unavailable', 'the upstream repeats the current token until it is nearly over', {
      retryAfterSeconds: Math.max(1, Math.ceil((leftMs - window) / 1_000)),
    })
  }
  const now = room.time.now()
  if (decide(source, entry, now).act !== 'rest') return found
  // Whoever may read must not be able to replace everybody's token more often than those who may report it.
  // An unconfirmed token would only hand its waiting on to the next one, and no more could be promised of that.
  const intervalEndsAt = Math.max(entry.token?.issuedAt ?? 0, confirmedAt(entry)) + minIntervalMsOf(source, lifetimeMs)
  const againAt = entry.token?.isUnconfirmed === true ? entry.dueAt : intervalEndsAt
  const longestMs = againAt > now ? leftMs : promiseMsMax(source, lifetimeMs)
  if (minTtlMs > longestMs) {
    const seconds = Math.floor(longestMs / 1_000)
    const until = againAt > now ? againAt : entry.dueAt
    throw new ZhongkongError('token_unavailable', `no more than ${seconds} s can be promised now`, {
      retryAfterSeconds: Math.max(1, Math.ceil((until - now) / 1_000)),
    })
  }
  const asked = doubted(entry, 'wanted', now)
  const refusal = refusalOf(source, asked, now)
  if (refusal !== null) {
    throw unavailable(room, found, { kind: 'wait', until: refusal.until, because: refusal.because })
  }
  const written = await room.store.write(source.name, { entry: asked, dueAt: wakeAt(asked) }, revision)
  return written === null ? found : { source, entry: asked, revision: written }
}

type Joined = {
  readonly flight: Promise<Tended>
  readonly signal: AbortSignal
  readonly isServed: () => boolean
}

/**
 * Joins the look at a source, as long as the caller wants to wait. Null when the caller's time was over first, or when
 * there is enough to serve all the same: another node may put back a row that was lost while our request hangs.
 */
async function join(room: Room, name: string, { flight, signal, isServed }: Joined): Promise<Tended | null> {
  const over = new AbortController()
  const end = (): void => over.abort('over')
  let forget = (): void => undefined
  const watch = (): void => {
    forget = room.views.onChange(name, () => (isServed() ? end() : watch()))
  }
  watch()
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    return await until(flight, over.signal)
  } catch (thrown) {
    if (over.signal.aborted) return null
    throw thrown
  } finally {
    signal.removeEventListener('abort', end)
    forget()
  }
}

async function pause(room: Room, name: string, signal: AbortSignal): Promise<void> {
  const changed = new AbortController()
  const onAbort = (): void => changed.abort()
  const forget = room.views.onChange(name, onAbort)
  signal.addEventListener('abort', onAbort, { once: true })
  await room.env.clock.sleep(lookMs, changed.signal)
  signal.removeEventListener('abort', onAbort)
  forget()
}

/** The error of a reader who gets nothing: what stands in the way, and when to come again. */
export function unavailable(room: Room, found: Found, tended: Tended | null): ZhongkongError {
  const view = room.views.get(found.source.name)
  const trouble = view?.entry.trouble ?? found.entry.trouble
  const now = room.time.now()
  const at = tended !== null && 'until' in tended ? tended.until : now + 1_000
  const retryAfterSeconds = Math.max(1, Math.ceil((at - now) / 1_000))
  if (tended?.kind === 'wait' && tended.because === 'budget') {
    return new ZhongkongError('budget_spent', 'the budget of this source is used up for now', { retryAfterSeconds })
  }
  if (tended?.kind === 'blocked') {
    const why = tended.failure === null ? '' : `: ${tended.failure.message}`
    return new ZhongkongError('token_unavailable', `waiting for a token of ${tended.by}${why}`, {
      retryAfterSeconds,
      ...wordsOf(tended.failure),
    })
  }
  const failure = tended?.kind === 'failed' ? tended.failure : (trouble?.failure ?? missingOf(found.source, tended))
  const pending = found.entry.token === null ? 'the first token is still being fetched' : 'no new token has come yet'
  const detail = failure === null ? pending : failure.message
  return new ZhongkongError('token_unavailable', detail, { retryAfterSeconds, ...wordsOf(failure) })
}

function wordsOf(failure: Failure | null): Pick<ErrorOptions, 'upstream' | 'hint'> {
  if (failure === null) return {}
  return {
    ...(failure.upstream === undefined ? {} : { upstream: failure.upstream }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  }
}

/** Waits for a version other than `version`; null when the time is over first. */
export async function nextToken(
  room: Room,
  fresh: KeepFresh,
  name: string,
  options: { readonly version: number; readonly waitMs: number; readonly signal?: AbortSignal },
): Promise<Reading | null> {
  const time = deadline(room.env.clock, options.waitMs, options.signal)
  try {
    for (;;) {
      const reading = await readToken(room, fresh, name, { waitMs: options.waitMs, signal: time.signal })
      if (reading.snapshot.version !== options.version) return reading
      if (time.signal.aborted || room.stopping.aborted) return null
      if (room.views.get(name)?.snapshot !== reading.snapshot) continue
      const changed = new AbortController()
      const wake = (): void => changed.abort()
      const forget = room.views.onChange(name, wake)
      time.signal.addEventListener('abort', wake, { once: true })
      room.stopping.addEventListener('abort', wake, { once: true })
      await room.env.clock.sleep(reading.leftMs, changed.signal)
      time.signal.removeEventListener('abort', wake)
      room.stopping.removeEventListener('abort', wake)
      forget()
    }
  } finally {
    time.done()
  }
}
