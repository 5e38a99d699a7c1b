/**
 * What must hold of calls for a refresh: what they say is true, they fail only where something stands in the way, and the
 * upstream is asked for nothing that nobody called for.
 */
import { isDisturbed, isStrange, ms, type Evidence } from './evidence.ts'
import { takeoverMarginMs } from './check-requests.ts'
import type { ReadLine, RefreshTold } from './history.ts'
import type { Request } from './requests.ts'

/** An attempt may wait a moment for the one before, and the news of a new token takes its way. */
const slackMs = 3_000

export function checkRefreshes(evidence: Evidence): void {
  for (const line of evidence.reads) {
    if (line.refresh === undefined) continue
    if (line.status === 200) checkAnswer(evidence, line, line.refresh)
    else if (line.refresh.kind !== 'old') checkRefusal(evidence, line)
  }
  for (const [source, requests] of evidence.requests) checkNeed(evidence, source, requests)
}

/** What was said of it, against what the upstream's book says. */
function checkAnswer(evidence: Evidence, line: ReadLine, refresh: RefreshTold): void {
  const { fates, history, presence, fail } = evidence
  const { node, source, from, at, version, token } = line
  const told = (text: string): void =>
    fail({ rule: 'refresh', at, source, text: `node ${node}, ${source}: ${refresh.kind} v${refresh.version}: ${text}` })
  const isOther = token !== refresh.token
  if (version < refresh.version) told(`was answered with v${version}`)
  if (refresh.refreshed) {
    if (refresh.kind === 'old') told('a report of a token that was replaced long before cost a refresh')
    if (!isOther || version <= refresh.version) told(`was said to be refreshed, and the token is v${version} still`)
    return
  }
  switch (refresh.reason) {
    case 'not_current':
      if (!isOther) told('was said to be replaced, and is what was answered')
      return
    case 'recently_refreshed': {
      const ageMs = from - (fates.of(token)?.issuedAt ?? -Infinity)
      const youngMs = (history.sources[source]?.minIntervalMs ?? 0) + slackMs + presence.lateMs({ from, to: at })
      if (isOther) told('was kept as young, and another one was answered')
      // What an upstream gives again is young again.
      if (ageMs > youngMs && history.sources[source]?.dueAgeMs !== null) told(`was kept as young at ${ms(ageMs)}`)
      return
    }
    case 'alive': {
      // It may have died since the platform was asked, which is done again within a quarter of a life at most.
      const staleMs = (history.sources[source]?.lifetimeMs ?? 0) / 4 + slackMs + presence.lateMs({ from, to: at })
      if (isOther) told('was said to live, and another one was answered')
      else if ((fates.of(token)?.diesAt ?? Infinity) < from - staleMs) told('was said to live, and had died')
      return
    }
    case 'unchanged':
      if (history.sources[source]?.dueAgeMs !== null) told('its upstream never gives the same token twice')
      return
    default:
      told(`nothing was refreshed, and no reason was given but “${refresh.reason}”`)
  }
}

/** A call that is refused, though all nodes are well and no attempt is lost. */
function checkRefusal(evidence: Evidence, line: ReadLine): void {
  if (isStrange(evidence, line)) return
  const { history, requests, served, fail, excuse } = evidence
  const { node, source, from, at } = line
  const leaseMs = (history.sources[source]?.leaseMs ?? 0) + takeoverMarginMs
  // Whoever was struck meanwhile, or a lease before, may hold the lease that everybody waits for.
  const span = { from: from - leaseMs, to: at }
  const isLost = requests
    .get(source)
    ?.some((request) => request.at > span.from && request.at < at && isUnserved(served, source, request, at))
  // A stable token is forced anew so many times a day only, and so far apart.
  const isKept = history.sources[source]?.dueAgeMs === null && line.failure === 'budget_spent'
  if (isKept) excuse('refresh: the budget of forced issues was spent')
  else if (isDisturbed(evidence, span) || isLost === true)
    excuse('refresh: somebody was out of touch, or an attempt had no answer')
  else
    fail({ rule: 'refresh', at, source, text: `node ${node}, ${source}: refused (${line.failure ?? ''}) for nothing` })
}

/** Whether nobody had been given what was issued to a request, at an instant. */
function isUnserved(served: Evidence['served'], source: string, { token }: Request, at: number): boolean {
  const first = token === null ? null : served.of(source, token)
  return first === null || first.at > at
}

/**
 * Each request to the upstream has its cause: there is no token, it is due, an earlier answer was lost, or somebody called
 * for it. One call is the cause of one request, and many calls may be the cause of the same one.
 */
function checkNeed(evidence: Evidence, source: string, requests: readonly Request[]): void {
  const { history, reads, served, fail, excuse } = evidence
  const facts = history.sources[source]
  if (facts?.dueAgeMsMin == null) return
  const calls = reads.filter(
    ({ refresh, source: of }) => of === source && refresh !== undefined && refresh.kind !== 'old',
  )
  const spent = new Set<ReadLine>()
  for (const [index, request] of requests.entries()) {
    const before = requests.slice(0, index)
    const newest = before.findLast(({ token }) => token !== null)
    const ageMs = newest === undefined ? Infinity : request.at - newest.at
    const isDue = ageMs >= facts.dueAgeMsMin - slackMs / 3
    const healingMs = 2 * (facts.leaseMs + takeoverMarginMs)
    const isHealing = before.some(
      (each) => each.at > request.at - healingMs && isUnserved(served, source, each, request.at),
    )
    if (isDue || isHealing) continue
    const call = calls.find((each) => {
      return !spent.has(each) && each.from <= request.at && request.at <= each.at + facts.leaseMs + takeoverMarginMs
    })
    if (call !== undefined) {
      spent.add(call)
      continue
    }
    // What stands in the store of an attempt is not seen here: it is made good, and then confirmed, as one without an answer.
    const span = { from: (newest?.at ?? 0) - healingMs, to: request.at }
    if (isDisturbed(evidence, span)) {
      excuse('needless: an attempt may have been lost with its node or with the store, before it was sent')
      continue
    }
    const text = `${source}: #${request.id} was sent ${ms(ageMs)} after the last one, and nobody called for it`
    fail({ rule: 'needless', at: request.at, source, text })
  }
}
