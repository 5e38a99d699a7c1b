/** What must hold of the requests that reach the upstream: one at a time, within the budget, and none missing. */
import type { Evidence } from './evidence.ts'
import type { Presence } from './presence.ts'
import type { Request } from './requests.ts'

/** Whoever takes over begins within this after the lease has ended, in milliseconds. */
export const takeoverMarginMs = 2_000
/** One request may be this much longer on its way than another, in milliseconds; instants are the upstream's here. */
const wayMs = 400
/** Two attempts are a second apart by the store's clock. */
const gapMs = 1_000
/** Attempts are so many within a minute. */
const perMinuteMax = 20
const minuteMs = 60_000
/** A request that leaves while its process is frozen arrives when it wakes. */
const wakingMs = 2_000
/** The first wait after an attempt without an answer is about two seconds. */
const wokenRetryMs = 3_000
/** What was granted before the store went away still arrives. */
const underWayMs = 2_500
const noticedMs = 500

export function checkRequests(evidence: Evidence): void {
  for (const [source, requests] of evidence.requests) {
    checkFlights(evidence, source, requests)
    checkBudget(evidence, source, requests)
    checkStoreAway(evidence, source, requests)
    checkSchedule(evidence, source, requests)
  }
}

/** At most one request in flight, across all nodes. */
function checkFlights({ presence, fail }: Evidence, source: string, requests: readonly Request[]): void {
  for (const [index, request] of requests.entries()) {
    const other = requests.slice(0, index).find((earlier) => earlier.endedAt > request.at)
    if (other === undefined || isLate(presence, request) || isLate(presence, other)) continue
    const text = `${source}: #${request.id} arrived while #${other.id} was in flight`
    fail({ rule: 'flights', at: request.at, source, text })
  }
}

/**
 * A process may be frozen in the very moment between its last look at the clock and the departure of its request, which
 * then leaves when it wakes. No clock can prevent that; its answer is a stray, and is healed as one.
 */
function isLate(presence: Presence, { node, at }: Request): boolean {
  return presence.wasWoken(node, at, wakingMs)
}

function checkBudget({ presence, fail }: Evidence, source: string, requests: readonly Request[]): void {
  for (const [index, request] of requests.entries()) {
    const before = requests[index - 1]
    const lateMs = presence.lateMs({ from: before?.at ?? 0, to: request.at })
    const isClose = before !== undefined && request.at - before.at < gapMs - wayMs - lateMs
    if (isClose && !isLate(presence, request) && !isLate(presence, before)) {
      const text = `${source}: #${request.id} arrived ${Math.round(request.at - before.at)} ms after #${before.id}`
      fail({ rule: 'budget', at: request.at, source, text })
    }
    const first = requests[index - perMinuteMax]
    if (first === undefined || isLate(presence, first)) continue
    const heldMs =
      presence.lateMs({ from: first.at, to: first.at }) + presence.lateMs({ from: request.at, to: request.at })
    const spanMs = request.at - first.at
    if (spanMs < minuteMs - wayMs - heldMs) {
      const text = `${source}: ${perMinuteMax + 1} requests within ${Math.round(spanMs)} ms`
      fail({ rule: 'budget', at: request.at, source, text })
    }
  }
}

/** Who cannot write the lease does not ask: a store that fails is not a store that is empty. */
function checkStoreAway({ history, presence, fail }: Evidence, source: string, requests: readonly Request[]): void {
  const all = Array.from({ length: history.nodes }, (_, node) => node)
  for (const { id, node, at } of requests) {
    // A server takes calls for a moment before that is noticed.
    const span = { from: at - underWayMs, to: at + noticedMs }
    const nodes = node === null ? all : [node]
    if (!nodes.every((each) => presence.isWithoutStore(each, span)) || presence.wasWoken(node, at, wakingMs)) continue
    fail({ rule: 'store-away', at, source, text: `${source}: #${id} was sent though the store was out of reach` })
  }
}

/**
 * While one node is well, a source is replaced when it is due, and what was asked for without an answer is asked for
 * anew, at the latest when the lease of the one who asked has ended.
 */
function checkSchedule(evidence: Evidence, source: string, requests: readonly Request[]): void {
  const { history, presence, served, fail } = evidence
  const facts = history.sources[source]
  if (facts?.dueAgeMs == null) return
  const endsAt = history.lines.at(-1)?.at ?? 0
  for (const [index, { id, at, token, wasAbandoned }] of requests.entries()) {
    const wasAnswered = token === null ? !wasAbandoned : served.of(source, token) !== null
    const dueAt = wasAnswered ? at + facts.dueAgeMs : at
    const next = Math.min(requests[index + 1]?.at ?? Infinity, endsAt)
    // Whoever slept with it in hand may find it lost before the others do, and waits before the next try.
    const isSlept = presence.wasWoken(requests[index]?.node ?? null, next, wokenRetryMs)
    const allowedMs = facts.leaseMs + takeoverMarginMs + (isSlept ? wokenRetryMs : 0)
    if (next - dueAt <= allowedMs) continue
    const waitedMs = presence.longestInTouch(history.nodes, { from: dueAt, to: next })
    const lateMs = presence.lateMs({ from: dueAt, to: next })
    if (waitedMs <= allowedMs + lateMs) continue
    const what = wasAnswered ? 'it was due' : `#${id} had no answer`
    const text = `${source}: not asked for, though ${what} and a node was well for ${Math.round(waitedMs)} ms`
    fail({ rule: wasAnswered ? 'schedule' : 'takeover', at: next, source, text })
  }
}
