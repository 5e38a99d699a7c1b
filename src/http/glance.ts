/**
 * The quick path: token reads answered from what the keeper holds, without building a Request or a Response. It decides
 * nothing by itself: admission is the gate's, the bytes are those of `token-answer.ts`. Whatever is not plain (a query, a
 * wait, a refusal, a token that is not here) is left to the surfaces; a test keeps the two byte for byte equal.
 */
import type { Snapshot } from '../keeper/keeper.ts'
import { headersOf, type TextAnswer } from './answer.ts'
import { admit, admitTokenboy } from './gate.ts'
import type { Credentials, House, Peer } from './surface.ts'
import { tokenAnswer, tokenboyAnswer } from './token-answer.ts'
import { leftFor } from './told-life.ts'
import { trailHeader } from './trail.ts'

/** An answer as node:http writes it. */
export type Glimpse = {
  readonly status: number
  /** Name after value. */
  readonly headers: string[]
  readonly body: string
}

/** Answers a GET, or null when the surfaces must. `rawHeaders` are name after value, as they came. */
export type Glance = (target: string, rawHeaders: readonly string[], peer: Peer) => Glimpse | null

const v1Path = '/v1/tokens/'
const tokenboyPath = '/token?name='
/** Names that need no decoding, and nothing after them. */
export const plainName = /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,127}$/

export function createGlance(house: House, nextRequestId: (given: string | null) => string): Glance {
  const { keeper, env, meter } = house
  const living = (name: string): { snapshot: Snapshot; leftMs: number } | null => {
    const snapshot = keeper.peek(name)
    if (snapshot === undefined) return null
    const leftMs = keeper.leftMs(snapshot)
    return leftMs > 0 ? { snapshot, leftMs } : null
  }
  return (target, rawHeaders, peer) => {
    const isV1 = target.startsWith(v1Path)
    if (!isV1 && !target.startsWith(tokenboyPath)) return null
    const name = target.slice(isV1 ? v1Path.length : tokenboyPath.length)
    if (!plainName.test(name)) return null
    const startedAt = env.clock.monotonic()
    const seen = seenIn(rawHeaders)
    if (seen === null) return null
    const caller = { credentials: seen, peer }
    if (!isV1 && house.settings().compat.tokenboy === null) return null
    const admission = isV1 ? admit(house, 'read', name, caller) : admitTokenboy(house, name, caller)
    if ('refused' in admission) return null
    const found = living(name)
    if (found === null) return null
    const { snapshot, leftMs } = found
    const { ifNoneMatch } = seen
    const left = leftFor(house, admission.client, leftMs)
    const answer: TextAnswer = isV1
      ? tokenAnswer(snapshot, left, { isStale: keeper.isStale(snapshot), ifNoneMatch })
      : tokenboyAnswer(snapshot, left.toldMs, ifNoneMatch)
    meter.observe(isV1 ? '/v1/tokens/{name}' : '/token', answer.status, (env.clock.monotonic() - startedAt) / 1_000)
    return {
      status: answer.status,
      headers: headersOf(answer, nextRequestId(seen.requestId)),
      body: answer.body ?? '',
    }
  }
}

type Seen = Credentials & { readonly ifNoneMatch: string | null; readonly requestId: string | null }

/** The headers that matter here; null when one came twice, or from a follower, which the surfaces judge. */
export function seenIn(rawHeaders: readonly string[]): Seen | null {
  const seen: { -readonly [Slot in keyof Seen]: Seen[Slot] } = {
    authorization: null,
    host: null,
    origin: null,
    fetchSite: null,
    isForwarded: false,
    ifNoneMatch: null,
    requestId: null,
  }
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const raw = rawHeaders[at] ?? ''
    const slot = slots.get(raw) ?? slots.get(raw.toLowerCase())
    if (slot === undefined) continue
    if (slot === 'isFollower') return null
    if (slot === 'isForwarded') seen.isForwarded = true
    else if (seen[slot] !== null) return null
    else seen[slot] = rawHeaders[at + 1] ?? ''
  }
  return seen
}

const slots: ReadonlyMap<string, keyof Seen | 'isFollower'> = new Map<string, keyof Seen | 'isFollower'>([
  ['authorization', 'authorization'],
  ['host', 'host'],
  ['origin', 'origin'],
  ['sec-fetch-site', 'fetchSite'],
  ['if-none-match', 'ifNoneMatch'],
  ['x-request-id', 'requestId'],
  ['forwarded', 'isForwarded'],
  ['x-forwarded-for', 'isForwarded'],
  ['x-forwarded-host', 'isForwarded'],
  ['x-real-ip', 'isForwarded'],
  ['via', 'isForwarded'],
  [trailHeader, 'isFollower'],
])
