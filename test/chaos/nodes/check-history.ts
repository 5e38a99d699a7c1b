/**
 * What must hold of a history, whatever blows fell. Nothing here talks to anything: the same history has the same verdict.
 *
 * Each excuse has a reason in the design, is counted, and has a ceiling (`excuses.ts`). All bounds are those that the house
 * states: a lease is the attempt's timeout and seven seconds, and what is published is heard at once.
 */
import { clockMs, isDisturbed, isStrange, ms, type Evidence, type Violation } from './evidence.ts'
import { checkRefreshes } from './check-refreshes.ts'
import { checkRequests, takeoverMarginMs } from './check-requests.ts'
import { Excuses, type Excuse } from './excuses.ts'
import { FirstServed } from './first-served.ts'
import type { History, ReadLine } from './history.ts'
import { Presence } from './presence.ts'
import { requestsOf } from './requests.ts'
import { TokenFates, type Fate } from './token-fates.ts'

export type Verdict = {
  readonly violations: readonly Violation[]
  readonly excused: ReadonlyMap<Excuse, number>
}

/** A token is believed to end up to two seconds early, and an answer may be on its way for a moment. */
const marginMs = 3_000
/** From the second of two issues in a row, which leaves the token before no grace, to everybody's hearing of it. */
const handoverMs = 2_000
/** Who was frozen has read what came meanwhile, and has asked anew where that left a doubt, within this, in milliseconds. */
const healingMs = 3_000
/** A store that does not answer within this, in milliseconds, is taken for one that is away. */
const storeMsMax = 2_000
/** What comes at the end of a wait was looked up this long before it arrived, in milliseconds. */
const arrivalMs = 300
/**
 * A node that has not heard of the store for this long says so of tokens that others may have replaced meanwhile, in
 * milliseconds; it may have heard something up to two seconds before it was cut off.
 */
const silenceMsMax = 45_000 + 500
/** A supervisor gives up a worker after half a minute, by questions that are five seconds apart. */
const hungMsMax = 30_000 + 5_000 + 3_000

export function checkHistory(history: History): Verdict {
  const violations: Violation[] = []
  const excuses = new Excuses()
  const reads = history.lines.filter((line): line is ReadLine => line.type === 'read')
  const evidence: Evidence = {
    history,
    presence: new Presence(history),
    fates: new TokenFates(history),
    served: new FirstServed(history),
    requests: requestsOf(history),
    reads,
    fail: (violation) => violations.push(violation),
    excuse: (excuse) => excuses.count(excuse),
  }
  for (const read of reads) {
    if (read.status === 200) {
      checkDead(evidence, read)
      checkPromise(evidence, read)
      checkNews(evidence, read)
    } else if (read.status !== 304 && (read.refresh === undefined || read.refresh.kind === 'old')) {
      checkFailure(evidence, read)
    }
    if (read.wait !== undefined && (read.status === 200 || read.status === 304)) checkWait(evidence, read, read.wait)
  }
  checkVersions(evidence)
  checkRefreshes(evidence)
  checkRequests(evidence)
  checkHung(evidence)
  for (const text of excuses.tooMany(reads.length)) {
    evidence.fail({ rule: 'excuses', at: history.lines.at(-1)?.at ?? 0, source: null, text })
  }
  violations.sort((left, right) => left.at - right.at)
  return { violations, excused: excuses.counts }
}

/** The instant for which an answer speaks: what was waited for speaks for the end of the wait. */
function judgedAt({ from, at, wait, refresh }: ReadLine): number {
  return wait === undefined && refresh === undefined ? from : Math.max(from, at - arrivalMs)
}

/** No read of a living token fails on a node that lives. */
function checkFailure(evidence: Evidence, read: ReadLine): void {
  if (isStrange(evidence, read)) return
  const { history, presence, fates, served, fail, excuse } = evidence
  const { node, source, at, worker } = read
  const judged = judgedAt(read)
  const since = presence.inTouchSince(node, judged, worker)
  const isSlow = presence.lateMs({ from: judged - storeMsMax, to: at }) >= storeMsMax / 2
  const known = served.knownTo(read, { at: judged, since, newsMs: history.newsMs, isSlow })
  if (known === null) {
    excuse('none: the process had not been told of any token yet')
    return
  }
  const fate = fates.of(known.token)
  const facts = history.sources[source]
  if (fate === undefined || facts === undefined) {
    fail({ rule: 'origin', at, source, text: `node ${node}, ${source}: knows a token that nobody issued` })
    return
  }
  if (fate.diesAt < at + marginMs) {
    excuse('none: the token had ended, and no new one could be had')
    return
  }
  const graceMs = facts.overlapMs ?? Infinity
  if (unanswered(evidence, fate).some((sentAt) => judged > sentAt + graceMs - marginMs)) {
    excuse('none: an attempt without an answer cut the token short')
    return
  }
  // A lease that was taken when the token was due, and an attempt that was lost with its process before it was sent.
  const leasedAt = judged - graceMs
  const span = { from: leasedAt - facts.leaseMs - takeoverMarginMs, to: leasedAt + marginMs }
  const wasDue = facts.dueAgeMsMin !== null && span.to >= fate.issuedAt + facts.dueAgeMsMin
  if (wasDue && isDisturbed(evidence, span)) {
    excuse('none: an attempt may have been lost with its node or with the store, before it was sent')
    return
  }
  const text = `a read failed (${read.failure ?? ''}) though v${known.version} ${known.token} lives`
  fail({ rule: 'read', at, source, text: `node ${node}, ${source}: ${text}` })
}

/** When requests arrived after this token was issued whose answers nobody in the house has ever served. */
function unanswered({ requests, served }: Evidence, { source, issuedAt, id }: Fate): number[] {
  const later = requests.get(source)?.filter((request) => request.at >= issuedAt && request.id !== id) ?? []
  return later.filter(({ token }) => token === null || served.of(source, token) === null).map(({ at }) => at)
}

/** No token is handed out that its upstream has stopped taking, but within the stated bounds. */
function checkDead(evidence: Evidence, read: ReadLine): void {
  const { fates, fail, excuse, history } = evidence
  const { node, source, at, token } = read
  const fate = fates.of(token)
  const told = `node ${node}, ${source}: v${read.version} ${token}`
  if (fate?.source !== source) {
    fail({ rule: 'origin', at, source, text: `${told} was never issued for this source` })
    return
  }
  const isDead = fate.diesAt <= at
  if (isDead === read.accepted && Math.abs(fate.diesAt - at) > clockMs) {
    fail({ rule: 'books', at, source, text: `${told}: the checker and the upstream disagree whether it lives` })
  }
  const judged = judgedAt(read)
  if (fate.diesAt > judged - clockMs) return
  const why = excuseOfDead(evidence, read, fate)
  if (why !== null) {
    excuse(why)
    return
  }
  const endedAt = fate.issuedAt + (history.sources[source]?.lifetimeMs ?? 0)
  const how = endedAt <= judged ? 'had ended' : 'had been retired'
  fail({ rule: 'dead', at, source, text: `${told} ${how} ${ms(judged - fate.diesAt)} ago, and nothing said so` })
}

function excuseOfDead(evidence: Evidence, read: ReadLine, fate: Fate): Excuse | null {
  const { history, presence, served } = evidence
  const { node, source, from, at, worker } = read
  const judged = judgedAt(read)
  if (presence.isStruck(node, { from, to: at })) return 'dead: the process was frozen before it answered'
  const facts = history.sources[source]
  const { overtakenAt, overtakenTwiceAt } = fate
  // Its own end was told with it: no silence excuses that, and no word either.
  if (overtakenAt === null || fate.issuedAt + (facts?.lifetimeMs ?? 0) <= judged - clockMs) return null
  if (read.stale) return 'dead: it was said to be stale'
  const lateMs = presence.lateMs({ from: overtakenTwiceAt ?? overtakenAt, to: at })
  const silence = presence.silence(node, judged, { worker, newsMs: history.newsMs })
  if (silence !== null && judged > silence.atLeastSince + silenceMsMax + lateMs) return null
  const next = served.after(source, read.version)
  const heardMs = history.newsMs + lateMs
  const isWritten = next !== null && next.at <= judged
  // Whoever got it before the node lost touch had told of it.
  const wasUnheard = next === null || next.at > (silence?.since ?? Infinity) - heardMs
  if (silence !== null && wasUnheard) return 'dead: replaced since the node lost touch, which it must notice after 45 s'
  if (isWritten && judged < next.at + heardMs) return 'dead: the news was on its way'
  if (overtakenTwiceAt !== null && judged < overtakenTwiceAt + handoverMs + lateMs) {
    return 'dead: two issues in a row leave no grace'
  }
  if (isWritten) return null
  // Who holds the lease cannot write what it was issued, and until the lease ends nobody else knows that.
  const leaseMs = (facts?.leaseMs ?? 0) + takeoverMarginMs
  if (overtakenTwiceAt !== null && judged < overtakenTwiceAt + leaseMs + lateMs) {
    return 'dead: the second of two answers was not written'
  }
  const couldNot = Array.from({ length: history.nodes }, (_, each) => each).every((each) =>
    presence.isOutOfTouch(each, { from: overtakenAt, to: judged }),
  )
  return couldNot ? 'dead: nobody could write yet' : null
}

/** Who keeps a token for as long as was promised is not caught by a refresh on schedule. */
function checkPromise(evidence: Evidence, read: ReadLine): void {
  const { fates, presence, served, history, fail, excuse } = evidence
  const { source, at, expiresInMs, node, worker } = read
  const fate = fates.of(read.token)
  // Five seconds are told of a token in doubt, and they are no promise.
  if (fate === undefined || read.stale || expiresInMs <= 5_000) return
  const judged = judgedAt(read)
  const endsAt = judged + expiresInMs
  if (fate.diesAt >= endsAt - marginMs) return
  const overtakers = fates.after(fate, endsAt)
  if (overtakers.some((each) => wasAskedFor(evidence, each))) {
    excuse('promise: somebody asked for a new token')
    return
  }
  // Two issues leave no grace. Only one of them was on schedule: the other one's answer was lost.
  const isTwice = fate.overtakenTwiceAt !== null && fate.overtakenTwiceAt <= endsAt
  if (isTwice && overtakers.some(({ token }) => served.of(source, token) === null)) {
    excuse('promise: the answer of one of two issues was lost')
    return
  }
  if (overtakers.some((each) => wasHealed(evidence, each))) {
    excuse('promise: an answer was read late, as its process had been frozen')
    return
  }
  const next = served.after(source, read.version)
  const isUnheard = next === null || judged < next.at + history.newsMs
  if (fate.overtakenAt !== null && fate.overtakenAt <= at && isUnheard) {
    excuse('promise: it had been replaced, and the node was to hear of it')
    return
  }
  const replacedAt = fate.overtakenAt ?? Infinity
  if (replacedAt <= at && presence.isOutOfTouch(node, { from: replacedAt, to: at }, worker)) {
    excuse('promise: it had been replaced, and the node was out of touch')
    return
  }
  const text = `v${read.version} was promised for ${ms(expiresInMs)} and died after ${ms(fate.diesAt - judged)}`
  fail({ rule: 'promise', at, source, text: `node ${node}, ${source}: ${text}` })
}

/** Whether a token was issued while somebody reported the one before it, or wanted another one. */
function wasAskedFor({ reads, history }: Evidence, { source, issuedAt }: Fate): boolean {
  const lastsMs = (history.sources[source]?.leaseMs ?? 0) + takeoverMarginMs
  return reads.some(({ refresh, from, at, source: of }) => {
    return (
      of === source && refresh !== undefined && refresh.kind !== 'old' && from <= issuedAt && issuedAt <= at + lastsMs
    )
  })
}

/**
 * A process that reads an answer when its lease is long over cannot know whether what it was given came before or after what
 * others were given meanwhile: either may have retired the other, and another issue ends that.
 */
function wasHealed({ requests, presence, served }: Evidence, { source, token }: Fate): boolean {
  const all = requests.get(source) ?? []
  const issue = all.find((each) => each.token === token)
  if (issue === undefined || !presence.wasWoken(issue.node, issue.at, healingMs)) return false
  const { node } = issue
  // What had been asked before the process was frozen was answered while it was, and nobody was ever given it.
  return all.some(({ at, endedAt, token: other, node: by }) => {
    const isEarlier = by === node && by !== null && at < issue.at
    if (!isEarlier || other === null || served.of(source, other) !== null) return false
    return presence.isStruck(by, { from: at, to: endedAt }) || presence.isWorkerStruck(by, { from: at, to: endedAt })
  })
}

/** What one node serves, every other one serves within the stated time. */
function checkNews({ history, presence, served, fail, excuse }: Evidence, read: ReadLine): void {
  const { node, source, at, worker } = read
  const judged = judgedAt(read)
  const next = served.after(source, read.version)
  if (next === null) return
  const lateMs = presence.lateMs({ from: next.at, to: at })
  if (judged <= next.at + history.newsMs + 2 * lateMs) return
  if (presence.isOutOfTouch(node, { from: next.at, to: at }, worker)) {
    excuse('news: the node was out of touch')
    return
  }
  if (presence.isOutOfTouch(next.node, { from: next.at, to: at })) {
    excuse('news: the one that served it first could not write it')
    return
  }
  const text = `v${read.version} though node ${next.node} served v${next.version} ${ms(judged - next.at)} before`
  fail({ rule: 'news', at, source, text: `node ${node}, ${source}: ${text}` })
}

/** Who waits is told of a newer version when there is one, of no other, and otherwise waits for as long as it wanted to. */
function checkWait(evidence: Evidence, read: ReadLine, wait: NonNullable<ReadLine['wait']>): void {
  const { history, presence, served, fail, excuse } = evidence
  const { node, source, from, at, version, status, worker } = read
  const told = (text: string): void =>
    fail({
      rule: 'wait',
      at,
      source,
      text: `node ${node}, ${source}: waited for more than v${wait.newerThan}, ${text}`,
    })
  if (presence.isStruck(node, { from, to: at })) {
    excuse('wait: the node was frozen')
    return
  }
  const lateMs = presence.lateMs({ from, to: at })
  const heardMs = history.newsMs + 2 * lateMs
  if (status === 200 && version <= wait.newerThan) {
    const first = served.ofVersion(source, wait.newerThan)
    const isNews = version < wait.newerThan && first !== null && from <= first.at + heardMs
    const isOut = presence.isOutOfTouch(node, { from: first?.at ?? from, to: at }, worker)
    if (isNews) excuse('wait: another worker was to hear of it')
    else if (version < wait.newerThan && isOut) excuse('wait: the node was out of touch')
    else told(`and was given v${version}`)
    return
  }
  if (status === 304 && at - from < wait.forMs - arrivalMs) told(`and was sent away after ${ms(at - from)}`)
  const next = served.after(source, wait.newerThan)
  if (next === null || at <= Math.max(from, next.at) + heardMs) return
  const span = { from: Math.min(from, next.at), to: at }
  const isOut = presence.isOutOfTouch(node, span, worker) || presence.isOutOfTouch(next.node, span)
  if (isOut) excuse('wait: the node was out of touch')
  else told(`and slept on when node ${next.node} served v${next.version}, for ${ms(at - Math.max(from, next.at))}`)
}

/** Versions seen through one process never go back, and one version is one token everywhere. */
function checkVersions({ presence, reads, fail, excuse }: Evidence): void {
  const highest = new Map<string, number>()
  const tokens = new Map<string, ReadLine>()
  /** By the instant of their end, as the floor of a read is what had been answered before it was asked. */
  const begun = reads
    .map((read) => ({ at: read.from, isEnd: false, read }))
    .concat(reads.map((read) => ({ at: read.at, isEnd: true, read })))
    .sort((left, right) => left.at - right.at || Number(left.isEnd) - Number(right.isEnd))
  const floors = new Map<ReadLine, number>()
  for (const { isEnd, read } of begun) {
    const { node, process, worker, source, version, token, status, at } = read
    const key = `${node} ${process} ${worker} ${source}`
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
    if ([other, read].some((each) => presence.isOutOfTouch(each.node, { from: each.at, to: each.at }, each.worker))) {
      excuse('versions: the one that served it first could not write it')
      continue
    }
    const text = `v${version} of ${source} is ${other.token} at node ${other.node} and ${token} at node ${node}`
    fail({ rule: 'versions', at, source, text })
  }
}

/** A worker that is stopped is put out of its place, unless it is woken before. */
function checkHung({ history, presence, fail }: Evidence): void {
  const endsAt = history.lines.at(-1)?.at ?? 0
  for (const line of history.lines) {
    if (line.type !== 'worker' || line.what !== 'stopped') continue
    const { node, pid, at } = line
    const over = history.lines.find((each) => each.type === 'worker' && each.pid === pid && each.at > at)
    const span = { from: at, to: over?.at ?? endsAt }
    const allowedMs = hungMsMax + presence.lateMs(span)
    if (span.to - at <= allowedMs || presence.isStruck(node, span)) continue
    const text = `worker ${pid} of node ${node} hung for ${ms(span.to - at)}, and nobody put another in its place`
    fail({ rule: 'hung', at: span.to, source: null, text })
  }
}
