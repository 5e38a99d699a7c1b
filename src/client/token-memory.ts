/**
 * The tokens in memory. How long one lives is counted from the moment of asking, by this machine's own clocks, so it does
 * not matter what time it is at the server. Both clocks are looked at: the monotonic one may stand still while the machine
 * sleeps, and the wall clock may be set back.
 */
import type { TokenAnswer } from '../wire/v1.ts'
import { ZhongkongClientError } from './ask.ts'
import type { World } from './world.ts'

/** A token as callers see it; one object per version and promise. */
export type Token = {
  readonly name: string
  readonly token: string
  readonly version: number
  /** Whole seconds for which the token may be relied upon, counted down at each look. */
  readonly expiresIn: number
  /** The upstream's whole answer. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The token may be dead already; the server says why in its documents. */
  readonly stale: boolean
}

/** What is known of one name. Times are monotonic milliseconds, but for `wallEndsAt`. */
export type Entry = {
  readonly name: string
  token: Token | null
  /** The token as a promise, made once. */
  promise: Promise<Token> | null
  /** The token before this one. */
  previous: string | null
  version: number
  /** Epoch seconds by the server: tells a store that began anew from an answer that is late. */
  issuedAt: number
  tag: string | null
  endsAt: number
  wallEndsAt: number
  /** When the token was asked for that is held. */
  askedAt: number
  /** When to look again by ourselves. */
  lookAt: number
  /** When was last looked whether it is the current one, where nothing is heard. */
  polledAt: number
  usedAt: number
  /** The newest version that was heard of. */
  wanted: number
  isPursued: boolean
  /** The current token was reported; whoever wants one waits for the answer. */
  reporting: Promise<unknown> | null
  failures: number
}

export function newEntry(name: string, now: number): Entry {
  return {
    name,
    token: null,
    promise: null,
    previous: null,
    version: 0,
    issuedAt: 0,
    tag: null,
    endsAt: 0,
    wallEndsAt: 0,
    askedAt: 0,
    lookAt: now,
    polledAt: now,
    usedAt: now,
    wanted: 0,
    isPursued: false,
    reporting: null,
    failures: 0,
  }
}

/** Milliseconds that the token lives; 0 or less when it is over, or there is none. */
export function leftMs({ clock }: World, entry: Entry): number {
  return Math.min(entry.endsAt - clock.monotonic(), entry.wallEndsAt - clock.now())
}

/** A look ahead of the end leaves room for a server that is away: a fifth of what is left, a minute at most. */
const leadMsMax = 60_000

/** An answer that is older than the token before is late, for so long after the end of that; in milliseconds. */
const lateMs = 60_000

/** Takes an answer in, unless it is older than what is held; true when the token is another one than before. */
export function learn(
  world: World,
  entry: Entry,
  body: Readonly<Record<string, unknown>>,
  asked: { at: number; wall: number; tag: string | null },
): boolean {
  const { token, version, expires_in: seconds, issued_at: issuedAt, fields, stale } = body as Partial<TokenAnswer>
  if (typeof token !== 'string' || !Number.isSafeInteger(version) || !(Number(seconds) >= 0)) {
    throw new ZhongkongClientError('bad_answer', 'the answer holds no token')
  }
  const answer = { token, version: Number(version), lifeMs: Number(seconds) * 1_000, issuedAt: Number(issuedAt) || 0 }
  if (isOlder(entry, answer, asked.at) && leftMs(world, entry) > -lateMs) return false
  const isNew = entry.token?.token !== token || entry.version !== answer.version
  entry.askedAt = asked.at
  entry.endsAt = asked.at + answer.lifeMs
  entry.wallEndsAt = asked.wall + answer.lifeMs
  entry.tag = asked.tag
  const lead = Math.min(answer.lifeMs / 5, leadMsMax) * (0.75 + world.random.next() / 2)
  entry.lookAt = Math.max(entry.endsAt - lead, world.clock.monotonic() + 1_000)
  if (!isNew && entry.token?.stale === (stale === true)) return false
  if (entry.token?.token !== token) entry.previous = entry.token?.token ?? null
  if (answer.version < entry.version) entry.wanted = 0
  entry.version = answer.version
  entry.issuedAt = answer.issuedAt
  const made: Token = {
    name: entry.name,
    token,
    version: answer.version,
    // A token that was replaced keeps the end that it had when it came.
    get expiresIn() {
      const left = entry.token === made ? leftMs(world, entry) : asked.at + answer.lifeMs - world.clock.monotonic()
      return Math.max(0, Math.floor(left / 1_000))
    },
    fields: fields ?? {},
    stale: stale === true,
  }
  entry.token = made
  entry.promise = Promise.resolve(made)
  return isNew
}

/** A lower version that was issued later is no older one: the server's store has begun anew. */
function isOlder(
  entry: Entry,
  answer: { readonly version: number; readonly issuedAt: number },
  askedAt: number,
): boolean {
  if (answer.version === entry.version) return askedAt < entry.askedAt
  return answer.version < entry.version && answer.issuedAt <= entry.issuedAt
}
