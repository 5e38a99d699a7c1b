/**
 * What must hold of a history, whatever blows fell. Nothing here talks to anything: the same history has the same verdict.
 *
 * Each excuse has a reason in the design, and is counted. All bounds are those that the house states: a lease is the
 * attempt's timeout and seven seconds, and what is published is heard at once.
 */
import { checkRequests, takeoverMarginMs } from './check-requests.ts'
import { FirstServed } from './first-served.ts'
import type { History, ReadLine } from './history.ts'
import { Presence } from './presence.ts'
import { requestsOf, type Request } from './requests.ts'
import { TokenFates, type Fate } from './token-fates.ts'

export type Violation = {
  readonly rule: string
  readonly at: number
  readonly source: string | null
  readonly text: string
}

export type Verdict = {
  readonly violations: readonly Violation[]
  /** Reads that got no token from a process that was there, and why that may be. */
  readonly excusedFailures: ReadonlyMap<string, number>
  /** Tokens that the upstream no longer took when they were handed out, and why that may be. */
  readonly excusedDead: ReadonlyMap<string, number>
}

/** What every rule looks at. */
export type Evidence = {
  readonly history: History
  readonly presence: Presence
  readonly fates: TokenFates
  readonly served: FirstServed
  readonly requests: ReadonlyMap<string, readonly Request[]>
  readonly fail: (violation: Violation) => void
}

/** A token is believed to end up to two seconds early, and an answer may be on its way for a moment. */
const marginMs = 3_000
/** From the second of two issues in a row, which leaves the token before no grace, to everybody's hearing of it. */
const handoverMs = 2_000
/** The upstream's clock and the watcher's differ by less, in milliseconds. */
const clockMs = 50

export function checkHistory(history: History): Verdict {
  const violations: Violation[] = []
  const evidence: Evidence = {
    history,
    presence: new Presence(history),
    fates: new TokenFates(history),
    served: new FirstServed(history),
    requests: requestsOf(history),
    fail: (violation) => violations.push(violation),
  }
  const reads = history.lines.filter((line): line is ReadLine => line.type === 'read')
  const excusedFailures = new Map<string, number>()
  const excusedDead = new Map<string, number>()
  for (const read of reads) {
    if (read.status === 200) {
      count(excusedDead, checkDead(evidence, read))
      checkPromise(evidence, read)
      checkNews(evidence, read)
    } else {
      count(excusedFailures, checkFailure(evidence, read))
    }
  }
  checkVersions(evidence, reads)
  checkRequests(evidence)
  violations.sort((left, right) => left.at - right.at)
  return { violations, excusedFailures, excusedDead }
}

function count(counts: Map<string, number>, excuse: string | null): void {
  if (excuse !== null) counts.set(excuse, (counts.get(excuse) ?? 0) + 1)
}

/** No read of a living token fails on a node that lives. Answers the excuse. */
function checkFailure(evidence: Evidence, read: ReadLine): string | null {
  const { history, presence, fates, served, fail } = evidence
  const { node, source, from, at } = read
  const span = { from: from - clockMs, to: at + clockMs }
  if (presence.isStruck(node, span)) return 'the process was killed or frozen meanwhile'
  const refuse = (rule: string, text: string): null => {
    fail({ rule, at, source, text: `node ${node}, ${source}: ${text}` })
    return null
  }
  if (read.saysNotWhen === true) return refuse('answer', 'refused without saying when to come again')
  if (read.status !== 503) return refuse('answer', `answered ${read.status} ${read.failure ?? ''}`)
  const known = served.knownTo(read, presence.inTouchSince(node, from), history.newsMs)
  if (known === null) return 'it had not been told of any token yet'
  const fate = fates.of(known.token)
  if (fate === undefined) return refuse('origin', 'knows a token that nobody issued')
  const facts = history.sources[source]
  if (facts === undefined) return null
  if (fate.diesAt < at + marginMs) return 'the token had ended'
  const graceMs = facts.overlapMs ?? Infinity
  const cut = unanswered(evidence, fate).find((sentAt) => from > sentAt + graceMs - marginMs)
  if (cut !== undefined) return 'an attempt without an answer cut the token short'
  return refuse('read', `a read failed (${read.failure ?? ''}) though v${known.version} ${known.token} lives`)
}

/** When requests arrived after this token was issued whose answers nobody in the house has ever served. */
function unanswered({ requests, served }: Evidence, { source, issuedAt, id }: Fate): number[] {
  const later = requests.get(source)?.filter((request) => request.at >= issuedAt && request.id !== id) ?? []
  return later.filter(({ token }) => token === null || served.of(source, token) === null).map(({ at }) => at)
}

/** No token is handed out that its upstream has stopped taking, but within the stated bounds. Answers the excuse. */
function checkDead({ history, presence, fates, served, fail }: Evidence, read: ReadLine): string | null {
  const { node, source, from, at, token } = read
  const fate = fates.of(token)
  const told = `node ${node}, ${source}: v${read.version} ${token}`
  if (fate?.source !== source) {
    fail({ rule: 'origin', at, source, text: `${told} was never issued for this source` })
    return null
  }
  const isDead = fate.diesAt <= at
  if (isDead === read.accepted && Math.abs(fate.diesAt - at) > clockMs) {
    fail({ rule: 'books', at, source, text: `${told}: the checker and the upstream disagree whether it lives` })
  }
  if (fate.diesAt > from - clockMs) return null
  if (presence.isStruck(node, { from, to: at })) return 'the process was frozen before it answered'
  if (read.stale) return 'it was said to be stale'
  const { overtakenAt, overtakenTwiceAt } = fate
  const next = served.after(source, read.version)
  if (overtakenAt === null) {
    fail({ rule: 'dead', at, source, text: `${told} had ended ${ms(from - fate.diesAt)} ago` })
    return null
  }
  const lateMs = presence.lateMs({ from: overtakenTwiceAt ?? overtakenAt, to: at })
  const touch = presence.inTouchSince(node, from)
  if (touch === null || from < touch + history.newsMs) return 'the node was out of touch with the store'
  const isWritten = next !== null && next.at <= from
  if (isWritten && from < next.at + history.newsMs + lateMs) return 'the news was on its way'
  if (overtakenTwiceAt !== null && from < overtakenTwiceAt + handoverMs + lateMs) return 'two issues in a row'
  // Who holds the lease cannot write what it was issued, and until the lease ends nobody else knows that.
  const leaseMs = (history.sources[source]?.leaseMs ?? 0) + takeoverMarginMs
  const isHeld = !isWritten && overtakenTwiceAt !== null && from < overtakenTwiceAt + leaseMs + lateMs
  if (isHeld) return 'the second of two answers was not written'
  if (!isWritten && presence.isOutOfTouch(node, { from: overtakenAt, to: from })) return 'nobody could write yet'
  fail({ rule: 'dead', at, source, text: `${told} had been dead for ${ms(from - fate.diesAt)}` })
  return null
}

/** Who keeps a token for as long as was promised is not caught by a refresh on schedule. */
function checkPromise({ fates, presence, served, history, fail }: Evidence, read: ReadLine): void {
  const { source, from, at, expiresInMs, node } = read
  const fate = fates.of(read.token)
  // Five seconds are told of a token in doubt, and they are no promise.
  if (fate === undefined || read.stale || expiresInMs <= 5_000 || read.waited === true) return
  if (fate.diesAt >= from + expiresInMs - marginMs) return
  // Two issues leave no grace. Only one of them was on schedule: the other one's answer was lost.
  if (fate.overtakenTwiceAt !== null && fate.overtakenTwiceAt <= from + expiresInMs) return
  // It had been replaced already, and this node was still to hear of it.
  const next = served.after(source, read.version)
  const isUnheard = next === null || from < next.at + history.newsMs
  if (fate.overtakenAt !== null && fate.overtakenAt <= at && isUnheard) return
  if (presence.isOutOfTouch(node, { from: fate.issuedAt, to: at })) return
  const text = `node ${node}, ${source}: v${read.version} was promised for ${ms(expiresInMs)} and died after ${ms(fate.diesAt - from)}`
  fail({ rule: 'promise', at, source, text })
}

/** What one node serves, every other one serves within the stated time. */
function checkNews({ history, presence, served, fail }: Evidence, read: ReadLine): void {
  const { node, source, from, at } = read
  const next = served.after(source, read.version)
  if (next === null || read.waited === true) return
  const lateMs = presence.lateMs({ from: next.at, to: at })
  if (from <= next.at + history.newsMs + 2 * lateMs) return
  if (presence.isOutOfTouch(node, { from: next.at, to: at })) return
  // The one that served it first may have been the only one to know: it could not write it.
  if (presence.isOutOfTouch(next.node, { from: next.at, to: at })) return
  const text = `node ${node}, ${source}: v${read.version} though node ${next.node} served v${next.version} ${ms(from - next.at)} before`
  fail({ rule: 'news', at, source, text })
}

/** Versions seen through one process never go back, and one version is one token everywhere. */
function checkVersions({ presence, fail }: Evidence, reads: readonly ReadLine[]): void {
  const highest = new Map<string, number>()
  const tokens = new Map<string, ReadLine>()
  /** By the instant of their end, as the floor of a read is what had been answered before it was asked. */
  const begun = reads
    .map((read) => ({ at: read.from, isEnd: false, read }))
    .concat(reads.map((read) => ({ at: read.at, isEnd: true, read })))
    .sort((left, right) => left.at - right.at || Number(left.isEnd) - Number(right.isEnd))
  const floors = new Map<ReadLine, number>()
  for (const { isEnd, read } of begun) {
    const { node, process, source, version, token, status, at } = read
    const key = `${node} ${process} ${source}`
    if (!isEnd) {
      floors.set(read, highest.get(key) ?? 0)
      continue
    }
    if (status !== 200) continue
    const floor = floors.get(read) ?? 0
    if (version < floor) {
      fail({ rule: 'versions', at, source, text: `node ${node}, ${source}: v${version} after v${floor}` })
    }
    highest.set(key, Math.max(highest.get(key) ?? 0, version))
    const other = tokens.get(`${source} ${version}`)
    if (other === undefined) tokens.set(`${source} ${version}`, read)
    if (other === undefined || other.token === token) continue
    tokens.set(`${source} ${version}`, read)
    // A node that could not write what it was issued served it alone, and may have been killed with it.
    const alone = [other, read].some((each) => presence.isOutOfTouch(each.node, { from: each.at, to: each.at }))
    if (alone) continue
    const text = `v${version} of ${source} is ${other.token} at node ${other.node} and ${token} at node ${node}`
    fail({ rule: 'versions', at, source, text })
  }
}

export function ms(value: number): string {
  return `${Math.round(value)} ms`
}
