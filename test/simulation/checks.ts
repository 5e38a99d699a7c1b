/**
 * The invariants, checked while the run goes on. Numbers are those of the project's reliability notes: I1 validity,
 * I2 one issue in flight, I3 strays healed, I4 versions, I5 no leak, I8 no hot loop, I9 budgets, I10 liveness,
 * I12 honest expiry, I14 reloads, I15 removal, I16 store outage, I17 unknown outcomes, I18 inputs, I20 books,
 * I22 who may read what, I25 snapshots; those of grants are in `grants.ts`.
 *
 * A check has an excuse only where the design has a reason for it, and each says which.
 */
import type { Entry } from '../../src/model/entry.ts'
import type { ZhongkongEvent } from '../../src/model/event.ts'
import { Fates, type Overtaking } from './fates.ts'
import type { FaultKind } from './faults.ts'
import { keys } from './keys.ts'
import type { Flight } from './network.ts'
import type { SimulatedNode } from './node.ts'
import { stepOf, type WriteSeen } from './shared-store.ts'
import { droppable, secrets, type World } from './world.ts'

export type Violation = { readonly invariant: string; readonly at: number; readonly text: string }

/** What a caller got from a read. */
export type Served = {
  readonly name: string
  readonly token: string
  readonly version: number
  readonly expiresIn: number
  readonly stale: boolean
  readonly fields: Readonly<Record<string, unknown>>
  /** What was asked for at least, in seconds; 0 for whatever there is. */
  readonly minTtl: number
}

/** How a read was refused. */
export type RefusedRead = {
  readonly name: string
  /** The process that was asked. */
  readonly process: string | null
  readonly minTtl: number
  readonly status: number
  readonly retryAfter: string | null
}

/** What is known of a source beside its entry. */
class Watch {
  /** The upstream killed or replaced the token though nobody here asked. */
  disturbedAt = -Infinity
  /** Something made a refresh before its time possible: promises made earlier are off. */
  unsettledAt = -Infinity
  /** Something stood in the way of refreshing. */
  hinderedAt = -Infinity
  /** An issue happened outside its lease. */
  lateAt = -Infinity
  /** Since when an attempt has been left without an answer; null when none is. */
  openAt: number | null = null
  /** Tokens that somebody reported while they were current. */
  readonly reported = new Set<string>()
  /** When a person or program last asked for a new token. */
  askedAt = -Infinity
  /** When the store last took a new version. */
  committedAt = -Infinity
  /** When each process last learned that an attempt of its own had ended without an answer. */
  readonly unknownAt = new Map<string, number>()
  removedAt: number | null = null
  /** When it was last made anew after it had been removed. Versions begin again with it. */
  bornAt = -Infinity
  /** Who was asked to put it and has not answered. */
  readonly puts = new Set<{ readonly node: SimulatedNode; readonly process: string | null }>()
  /** Since when no configuration file names it; null while one does. */
  droppedAt: number | null = null
  rowDeletedAt = -Infinity
  /** When each process last could not write an answer at once. */
  readonly uncommittedAt = new Map<string, number>()
  /** When failovers of the store lost what was last written of it. */
  readonly losses: number[] = []
  /** When a failover lost its removal, on which everybody had forgotten it. */
  removalLostAt = -Infinity
  /** Every token that was once committed, by its value. */
  readonly committed = new Set<string>()
  /** The lifetimes told of the last two tokens. */
  lives: readonly number[] = []
  /** A version whose lifetime was once a guess; what was told of it may grow. */
  guessedVersion = 0
  /** The token that another source was last asked with. */
  askedWith: { readonly value: string; readonly at: number } | null = null
  readonly grants: number[] = []
  /** Faults that struck its requests, or a whole node. */
  strikes = 0
  /** When the upstream gave out a new token. */
  readonly issues: number[] = []
  readonly forced: number[] = []
  /** When its platform was last asked whether a token lives. */
  probes: readonly number[] = []

  /** Whether the store has lost its row, or the end of its history. */
  hasForgotten(since: number): boolean {
    return this.rowDeletedAt > since || this.hasLost(since)
  }

  /** Whether a failover lost writes of it since, or a little before: the write itself is older than what it led to. */
  hasLost(since: number): boolean {
    return this.losses.some((at) => at > since - lossMs)
  }
}

/** What a node last served of a source. */
type VersionSeen = {
  readonly version: number
  readonly process: string | null
  /** The instant from which on the versions are counted that it is one of. */
  readonly life: number
}

/** A write that a failover loses, and the answer that says it was made, are at most this far apart, in milliseconds. */
const lossMs = 10_000

/** An attempt was granted and never resolved; said here anew, so that a mutant of the model cannot hide it. */
function isOpen(entry: Entry): boolean {
  return entry.epoch > entry.resolvedEpoch
}

/** The least that is waited after a failure, in milliseconds; said here anew, so that no mutant can lower it. */
function floorMs({ class: kind, count }: NonNullable<Entry['trouble']>): number {
  switch (kind) {
    case 'transient':
    case 'unknown':
    case 'not-sent':
      return Math.max(1_000, Math.min(7_500, 500 * 2 ** (count - 1)))
    case 'permission':
      return 15_000
    case 'configuration':
    case 'needs-authorization':
      return 30_000
    case 'quota':
      return 60_000
  }
}

function healMsOf(name: string): number {
  return probed.has(name) ? healProbedMs : healMs
}

const leaseMs = 15_000
/**
 * For so long after it left a request may be under way: its timeout, and two seconds. It may leave in the last moment of its
 * lease's first five seconds, and each of two nodes may be wrong about the store's clock by its way to the store.
 */
const flightMs = 8_000 - 300
/** The sources whose upstream retires the previous token with each issue. */
const retiring: ReadonlySet<string> = new Set(['classic', 'dynamic'])
const graceMs = 300_000
/** After a refused token was reported, it is gone within this time. */
const healMs = 15_000
/** Where the platform is asked first, whoever was wrong a moment before waits up to a minute to be looked into. */
const healProbedMs = 90_000
/** Sources whose platform can be asked whether a token lives. */
const probed: ReadonlySet<string> = new Set(['classic', 'dynamic', 'stable', 'wecom'])
/** Two probes of a source are two seconds apart; a process that stood still between may be late with one, not with two. */
const probeGapMs = 1_500
/** A token younger than this is not refreshed because of a report: its minimum interval, and the way there. */
const youngMs = 40_000
/** The longest a node that hears the store may go on with what was replaced: a sweep, when the notice was lost. */
const newsMs = 40_000
/** After a late issue that nobody heard of, the token is refreshed once more within this time, if nothing hinders. */
const confirmMs = graceMs / 2
const attemptMs = 8_000
/** Time for everything that may still be under way when a hindrance ends: a back-off, a lease, an attempt. */
const recoverMs = 60_000 + leaseMs + attemptMs
/** Views that nobody has read for this long may be forgotten. */
const idleMs = 1_800_000
const minuteMs = 60_000
const dayMs = 86_400_000
const violationsMax = 20

/** The account and the line of its tokens that each source is given. */
const lines: Readonly<Record<string, readonly [account: string, line: string]>> = {
  classic: ['wxclassic', 'classic'],
  dynamic: ['wxdynamic', 'classic'],
  stable: ['wxstable', 'stable'],
  wecom: ['wwcorp', 'token'],
  ticket: ['wxclassic', 'ticket:jsapi'],
  http: ['shop', 'token'],
}

/** What is asked with whose token: what holds up the one holds up the other. */
const children: Readonly<Record<string, readonly string[]>> = { classic: ['ticket', 'http'] }

export class Checks {
  readonly #world: World
  readonly fates = new Fates()
  readonly violations: Violation[] = []
  readonly #watches = new Map<string, Watch>()
  readonly #versions = new Map<string, VersionSeen>()
  readonly #ends = new Map<string, number>()
  readonly #seenTokens: string[] = []
  /** The end of a run: no more faults, so that everything comes to rest. */
  isQuiet = false
  reads = 0
  issuesTotal = 0
  lateIssues = 0
  refusedReads = 0

  constructor(world: World) {
    this.#world = world
  }

  watch(name: string): Watch {
    const known = this.#watches.get(name)
    if (known !== undefined) return known
    const made = new Watch()
    this.#watches.set(name, made)
    return made
  }

  fail(invariant: string, text: string): void {
    this.#world.trace(() => `VIOLATION ${invariant}: ${text}`)
    if (this.violations.length < violationsMax) this.violations.push({ invariant, at: this.#world.time.now(), text })
  }

  fault(thrown: unknown): void {
    this.fail(
      'I-fault',
      `a background task failed: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`,
    )
  }

  /** A fault struck: a request of one channel, which holds up that source and those made from it, or a whole node. */
  struck(kind: FaultKind, channel?: string): void {
    if (kind === 'notice-lost') return
    const now = this.#world.time.now()
    const names = channel === undefined ? [...this.#watches.keys()] : [channel, ...(children[channel] ?? [])]
    for (const name of names) {
      const watch = this.watch(name)
      watch.unsettledAt = now
      watch.strikes += 1
      watch.hinderedAt = Math.max(watch.hinderedAt, now + (kind === 'refused-quota' ? 600_000 : 0))
    }
  }

  /** A program has said that this token is dead, to a process that may do something about it. */
  reportedDead(node: SimulatedNode, name: string, value: string): void {
    const { time } = this.#world
    const neededMs = healMsOf(name)
    const { process } = node
    const fate = this.fates.of(value)
    const at = time.now()
    // A token so young is not refreshed because of a report.
    if (fate === undefined || at - fate.issuedAt < youngMs) return
    time.after(neededMs, () => {
      // Without the store it could not say so to anybody.
      if (node.process === process && !node.wasCutOff(neededMs)) fate.reportedAt ??= at
    })
  }

  /** A platform is asked whether a token lives; the name of its source. */
  probed(token: string): string {
    const { store, time } = this.#world
    const name = [...probed].find((each) => store.entry(each)?.token?.value === token) ?? 'classic'
    const watch = this.watch(name)
    watch.probes = [...watch.probes.filter((at) => at > time.now() - probeGapMs), time.now()]
    if (watch.probes.length > 2 && !watch.hasForgotten(time.now() - minuteMs))
      this.fail('I28', `${name}: ${watch.probes.length} probes in a moment`)
    return name
  }

  /** From now to an instant, nothing can be expected of any source (or of one). */
  hinder(until: number, name?: string): void {
    const watches = name === undefined ? [...this.#watches.values()] : [this.watch(name)]
    for (const watch of watches) {
      watch.hinderedAt = Math.max(watch.hinderedAt, until)
      watch.unsettledAt = Math.max(watch.unsettledAt, this.#world.time.now())
    }
  }

  disturb(name: string): void {
    this.watch(name).disturbedAt = this.#world.time.now()
    this.watch(name).unsettledAt = this.#world.time.now()
  }

  /** A failover lost what was last written of a name; it was `lost` before. */
  lostWrites(name: string, lost: Entry | null): void {
    const { time, store } = this.#world
    const watch = this.watch(name)
    const held = store.entry(name)
    this.#world.trace(() => `lost: ${name} v${lost?.version ?? 0} e${lost?.epoch ?? 0} is v${held?.version ?? 0} again`)
    watch.losses.push(time.now())
    watch.unsettledAt = time.now()
    watch.strikes += 1
    watch.openAt = held !== null && isOpen(held) && held.lease === null ? time.now() : null
    // What was removed is there again, and what was added is not.
    if (lost === null || held === null) this.hinder(time.now() + 600_000, name)
    if (lost === null) {
      watch.removedAt = null
      watch.removalLostAt = time.now()
      this.forgetVersions(name)
    }
  }

  /** Versions of this source may begin anew. */
  forgetVersions(name: string): void {
    for (const key of this.#versions.keys()) if (key.endsWith(` ${name}`)) this.#versions.delete(key)
    for (const key of this.#ends.keys()) if (key.includes(` ${name} `)) this.#ends.delete(key)
  }

  // ---- what nodes write -----------------------------------------------------------------------------------------

  written({ name, before, after, node }: WriteSeen): void {
    const now = this.#world.time.now()
    const watch = this.watch(name)
    this.#world.trace(
      () =>
        `${node.process ?? '?'} writes ${name}: ${stepOf(before, after, node.process)} v${after?.version ?? 0} e${after?.epoch ?? 0}`,
    )
    if (after !== null && watch.removedAt !== null) {
      // A put that was under way when it was removed is carried out after that.
      if ([...watch.puts].some(({ node: asked, process }) => asked.process === process)) watch.removedAt = null
      else this.fail('I15', `${name}: written anew after it had been removed`)
    }
    if (before === null || after === null) return
    // A revision of before a failover may count once more; whoever knows of the newer version puts that back.
    const isOverwritten = watch.hasLost(now)
    if (after.version < before.version && !isOverwritten)
      this.fail('I4', `${name}: the stored version fell to ${after.version}`)
    if (after.epoch < before.epoch) this.fail('I6', `${name}: the epoch fell to ${after.epoch}`)
    if (after.version > before.version && after.epoch !== before.epoch) {
      this.fail('I2', `${name}: committed without the lease's epoch`)
    }
    const holder = before.lease?.node ?? null
    if (after.version > before.version && after.epoch === before.epoch && before.epoch > 0 && node.process !== null) {
      // A node that still knows more than a store that lost a row or its last writes puts back what was committed once.
      // So does one whose lease was among those, with the answer that came to it, and one that could not write an answer
      // before its lease was over.
      const isKnown =
        after.token === null ||
        watch.committed.has(after.token.value) ||
        watch.hasLost(now - minuteMs) ||
        (watch.uncommittedAt.get(node.process) ?? -Infinity) > now - 3_600_000
      if (holder !== node.process && !isKnown)
        this.fail('I2', `${name}: committed by somebody who does not hold the lease`)
    }
    if (after.token !== null) watch.committed.add(after.token.value)
    if (after.version > before.version) watch.committedAt = now
    if (isOpen(after) && after.lease === null) watch.openAt ??= now
    if (!isOpen(after)) watch.openAt = null
    if (before.token !== null && after.token?.version === before.token.version) {
      // What is overwritten may have been told of a little less life than what was known before.
      if (after.token.expiresAt > before.token.expiresAt && !before.token.isGuessed && !isOverwritten)
        this.fail('I12', `${name}: one version's life grew`)
      if (after.token.value !== before.token.value) this.fail('I25', `${name}: one version, two values`)
    }
    if (after.token?.isGuessed === true) watch.guessedVersion = after.version
    if (after.token !== null && after.token.lifetimeMs !== watch.lives.at(-1))
      watch.lives = [...watch.lives, after.token.lifetimeMs].slice(-2)
    const step = stepOf(before, after, node.process)
    if (step === 'lease') {
      this.#granted(watch, name, before, now)
      this.#believedAfterDeath(name, before, after)
    }
    if (step === 'doubt-reported' && before.token !== null && !this.#isReported(watch, before.token.value)) {
      this.fail('I9', `${name}: doubted though nobody reported this token`)
    }
    if (step === 'leave-open' && after.token !== null && after.trouble?.class === 'unknown' && retiring.has(name)) {
      const cutTo = now + this.#world.store.clockOffset + 303_000
      if (after.token.expiresAt > cutTo) this.fail('I17', `${name}: an unknown outcome left a long life standing`)
      if (after.trouble.count <= 1 && after.nextTry > now + this.#world.store.clockOffset + 4_000) {
        this.fail('I17', `${name}: the next try after an unknown outcome is far away`)
      }
    }
    if (step.startsWith('doubt') || step === 'leave-open') watch.unsettledAt = now
  }

  /** Whoever takes over from a node that died in the middle of an attempt believes the token for its grace only. */
  #believedAfterDeath(name: string, before: Entry, after: Entry): void {
    if (!isOpen(before) || before.lease === null || after.token === null || !retiring.has(name)) return
    if (after.token.expiresAt > before.lease.at + graceMs + 3_000)
      this.fail('I17', `${name}: the attempt of a dead node left a long life standing`)
  }

  #granted(watch: Watch, name: string, entry: Entry, now: number): void {
    const { lease, doubt, trouble, nextTry, token } = entry
    const storeNow = now + this.#world.store.clockOffset
    const mayHurry = doubt?.reason === 'asked' || this.#world.plan.rate.reload > 0
    if (trouble !== null && !mayHurry && storeNow < nextTry - 1_600)
      this.fail('I8', `${name}: did not wait its back-off`)
    if (
      trouble !== null &&
      !mayHurry &&
      // A grant that came with an answer too late to count is tried at once.
      this.#world.grants.changedAt(name) < now - (storeNow - trouble.at) &&
      watch.askedAt < now - 10_000 &&
      // Nor does the next of its few grants wait when one was refused.
      entry.grants?.some(({ refusedAt }) => refusedAt === trouble.at) !== true &&
      storeNow < trouble.at + floorMs(trouble) - 1_600
    )
      this.fail('I8', `${name}: tried again ${Math.round(storeNow - trouble.at)} ms after failure ${trouble.count}`)
    if (lease !== null && lease.until > storeNow + 1_600)
      this.fail('I11', `${name}: a lease was granted over a living one`)
    // Those who want more time than is left may replace a token as often as those who report it, and no more often.
    const youngest = token === null ? 0 : Math.min(30_000, token.lifetimeMs / 4) - 3_000
    if (doubt?.reason === 'wanted' && token !== null && token.issuedAt > storeNow - youngest)
      this.fail('I8', `${name}: a reader's wish replaces a token of ${Math.round(storeNow - token.issuedAt)} ms`)
    const last = watch.grants.at(-1)
    // A node that was paused, or waited long for the store, may be wrong about the store's clock by a second or two.
    const { rate } = this.#world.plan
    const unsure = ['pause', 'pause-with-lease', 'send-late', 'store-slow', 'store-answer-slow'] as const
    const isSure = unsure.every((kind) => rate[kind] === 0)
    if (isSure && last !== undefined && now - last < 150 && !watch.hasLost(last))
      this.fail('I8', `${name}: two attempts within ${now - last} ms`)
    watch.grants.push(now)
    while (watch.grants[0]! < now - dayMs) watch.grants.shift()
    const inMinute = watch.grants.filter((at) => at > now - minuteMs + 2_000).length
    if (inMinute > 20) this.fail('I8', `${name}: ${inMinute} attempts in a minute`)
  }

  // ---- what leaves for the upstreams -----------------------------------------------------------------------------

  leaving(flight: Flight, request: Request, body: string | null): void {
    const { store, time } = this.#world
    const name = flight.channel
    const storeNow = time.now() + store.clockOffset
    const entry = store.entry(name)
    const lease = entry?.lease ?? null
    const watch = this.watch(name)
    const isGranted = lease?.node === flight.process && lease.until >= storeNow - 1_600
    if (entry !== null && !isGranted && !watch.hasLost(time.now())) {
      this.fail('I16', `${name}: a request without a lease`)
    }
    if (entry === null && watch.removedAt !== null && time.now() > watch.removedAt + leaseMs) {
      this.fail('I15', `${name}: a request after the source was removed`)
    }
    const { droppedAt } = watch
    if (droppedAt !== null && time.now() > droppedAt + leaseMs && !flight.node.wasCutOff(minuteMs)) {
      this.fail('I14', `${name}: a request for a source that no configuration names any more`)
    }
    for (const other of this.#world.network.flights) {
      if (other === flight || other.channel !== name || other.channel === 'stable') continue
      // An outside hand that deletes the row takes the lease with it.
      if (watch.rowDeletedAt >= other.leftAt || watch.hasLost(other.leftAt)) continue
      if (time.now() - other.leftAt < flightMs) this.fail('I2', `${name}: two requests in flight`)
    }
    if (body?.includes('"force_refresh":true') === true) {
      const last = watch.forced.at(-1)
      if (last !== undefined && time.now() - last < 28_000 && !watch.hasLost(last))
        this.fail('I9', `${name}: forced twice within 30 s`)
      watch.forced.push(time.now())
      // The row that an outside hand deletes has the day's count in it, and a failover loses some of it.
      const since = Math.max(time.now() - dayMs, watch.rowDeletedAt, watch.losses.at(-1) ?? -Infinity)
      if (watch.forced.filter((at) => at > since).length > 20) this.fail('I9', `${name}: forced too often`)
    }
    this.#checkInput(name, new URL(request.url))
  }

  /** Somebody said that the token was refused; or it ended at the upstream on the way of a request that was made with it. */
  #isReported(watch: Watch, value: string): boolean {
    if (watch.reported.has(value)) return true
    const { askedWith } = watch
    const isOnItsWay = askedWith?.value === value && askedWith.at > this.#world.time.now() - 10_000
    return isOnItsWay && !this.#world.simulator.accepts(value)
  }

  /** A ticket is never asked for with a token that is known to be bad. */
  #checkInput(name: string, url: URL): void {
    const used = url.searchParams.get('access_token')
    const parent = this.#world.store.entry('classic')
    if (used === null || parent?.token == null || (name !== 'ticket' && name !== 'http')) return
    const { doubt, token } = parent
    // News takes a moment to reach the other nodes, or a whole sweep when a notice is lost.
    const unheardMs = this.#world.plan.rate['notice-lost'] > 0 ? 25_000 : 3_000
    // What the upstream refuses, the keeper will report by itself.
    if (!this.#world.simulator.accepts(used)) this.watch('classic').reported.add(used)
    this.watch('classic').askedWith = { value: used, at: this.#world.time.now() }
    const storeNow = this.#world.time.now() + this.#world.store.clockOffset
    const isDoubted = doubt !== null && doubt.at < storeNow - unheardMs && doubt.version === token.version
    if (used === token.value && isDoubted) this.fail('I18', `${name}: asked with a doubted token`)
    const openAt = this.watch('classic').openAt
    const isOpenLong = openAt !== null && openAt < this.#world.time.now() - unheardMs
    if (used === token.value && isOpenLong) this.fail('I18', `${name}: asked with a token in doubt`)
    if (used === token.value && token.expiresAt < storeNow - 2_000)
      this.fail('I18', `${name}: asked with an ended token`)
    // A failover that lost the newest token makes the one before it current again, until a node puts the newest back.
    const isPutBack = this.watch('classic').hasLost(this.#world.time.now() - unheardMs)
    const replacedLongAgo = used !== token.value && token.issuedAt < storeNow - 310_000 && !isPutBack
    if (replacedLongAgo) this.fail('I18', `${name}: asked with a token replaced long ago`)
  }

  issued(flight: Flight): void {
    this.issuesTotal += 1
    const name = flight.channel
    const watch = this.watch(name)
    const now = this.#world.time.now()
    const entry = this.#world.store.entry(name)
    const storeNow = now + this.#world.store.clockOffset
    flight.isLate = entry !== null && (entry.epoch !== flight.epoch || (entry.lease?.until ?? 0) < storeNow)
    const value = this.#latest(name)
    const by = flight.isLate || entry === null ? 'late' : 'us'
    const asker = { process: flight.process, leftAt: flight.leftAt }
    if (value !== null && this.fates.issued(name, value, { at: now, by, asker })) watch.issues.push(now)
    if (!flight.isLate) return
    watch.lateAt = now
    watch.unsettledAt = now
    this.lateIssues += 1
  }

  #latest(name: string): string | null {
    const line = lines[name]
    return line === undefined ? null : this.#world.simulator.latest(...line)
  }

  ended(flight: Flight): void {
    const now = this.#world.time.now()
    const { channel, issuedAt, isLate } = flight
    if (!isLate || issuedAt === null || !retiring.has(channel) || flight.node.process !== flight.process) return
    const learnedAt = flight.givenUpAt ?? now
    this.#world.time.at(Math.max(now, learnedAt) + 10_000, () => {
      // A node that gave up before the request was carried out has marked the entry too early: what was begun then was
      // retired by the late issue. That is healed by refreshing a token once more which followed on a lost answer.
      const { grants } = this.watch(channel)
      const wasTooEarly = grants.some((at) => at >= learnedAt && at <= issuedAt)
      if (!wasTooEarly) this.#strayHealed(flight, now, leaseMs)
      else
        this.#world.time.at(issuedAt + graceMs - 20_000, () =>
          this.#strayHealed(flight, issuedAt, confirmMs + recoverMs),
        )
    })
  }

  #ago(at: number | null): string {
    return at === null ? 'never' : `${Math.round((this.#world.time.now() - at) / 1_000)} s ago`
  }

  /** The token that the store holds is a later one, or somebody is about to see to it. */
  #strayHealed(flight: Flight, since: number, neededMs: number): void {
    const { time, store } = this.#world
    const name = flight.channel
    const watch = this.watch(name)
    if (this.isHindered(name, neededMs + 10_000) || flight.node.process !== flight.process) return
    const entry = store.entry(name)
    if (entry?.token == null || flight.node.isPaused) return
    if (watch.removedAt !== null || flight.issuedAt === null) return
    // A token that was issued after the stray is none that it retired; other late issues have their own ten seconds.
    const isNewer = (this.fates.of(entry.token.value)?.issuedAt ?? -Infinity) > flight.issuedAt
    // A guessed lifetime makes the grace, and with it the time for confirming, shorter than requests may be late.
    const isGuessed = neededMs > leaseMs && watch.guessedVersion >= entry.version - 2
    if (!isNewer && !isGuessed && entry.doubt === null && !isOpen(entry))
      this.fail(
        'I3',
        `${name}: a stray of ${Math.round((time.now() - since) / 1_000)} s was left unhealed (${this.#ago(flight.leftAt)} left, ` +
          `${this.#ago(flight.issuedAt)} issued, ${this.#ago(flight.givenUpAt)} given up)`,
      )
  }

  // ---- what callers see ------------------------------------------------------------------------------------------

  served(node: SimulatedNode, served: Served): void {
    const { simulator, time } = this.#world
    const { name } = served
    const now = time.now()
    this.reads += 1
    this.#world.trace(
      () =>
        `${node.process ?? '?'} serves ${name} v${served.version} for ${served.expiresIn} s${served.stale ? ', stale' : ''}`,
    )
    this.#remember(served.token)
    const until = now + served.expiresIn * 1_000
    this.#servers.set(`${node.process ?? ''} ${name}`, { version: served.version, at: now, until })
    if (served.expiresIn < served.minTtl)
      this.fail('P-min-ttl', `${name}: ${served.minTtl} s were asked for, ${served.expiresIn} s given`)
    this.#servedWhatIsGone(node, name, now)
    const key = `${node.index} ${name}`
    const known = this.#versions.get(key)
    // What a store has lost is still known to the processes that have seen it.
    const hasForgotten = this.watch(name).hasForgotten(now - 7_200_000) && known?.process !== node.process
    // Whoever is out of touch may not have heard yet that it was removed and made anew.
    const { bornAt } = this.watch(name)
    const life = (this.fates.of(served.token)?.issuedAt ?? bornAt) < bornAt ? -Infinity : bornAt
    if (known?.life === life && served.version < known.version && !hasForgotten)
      this.fail('I4', `${name}: node ${node.index} went back from ${known.version} to ${served.version}`)
    if (life < (known?.life ?? -Infinity) && known?.process === node.process)
      this.fail('I4', `${name}: node ${node.index} went back to before it was removed`)
    this.#versions.set(key, { version: served.version, process: node.process, life })
    if (served.expiresIn < 0) this.fail('I12', `${name}: expires_in is ${served.expiresIn}`)
    for (const grant of this.#world.grants.recent)
      if (Object.values(served.fields).includes(grant)) this.fail('I5', `${name}: a caller is told a grant`)
    if (!Object.values(served.fields).includes(served.token)) this.fail('I25', `${name}: fields are of another token`)
    const endKey = `${node.index} ${name} ${served.version} ${node.process ?? ''}`
    const end = now + served.expiresIn * 1_000
    const knownEnd = this.#ends.get(endKey)
    const watch = this.watch(name)
    // A promise that ran out because the replacement is late is made anew; only a running one must not grow.
    const entry = this.#world.store.entry(name)
    const plannedEnd = (entry?.dueAt ?? 0) + graceMs - this.#world.store.clockOffset
    const isOverdue = entry?.version === served.version && plannedEnd < now + 1_000
    const hasRunOut = isOverdue || this.#lapsed.has(endKey) || (knownEnd !== undefined && now > knownEnd - 1_000)
    if (hasRunOut || served.stale) this.#lapsed.add(endKey)
    // What is said to be stale is no promise.
    const mayGrow = watch.guessedVersion === served.version || served.expiresIn <= 5 || served.stale || hasRunOut
    // A clock that ran fast through an outage of the store is put right afterwards. What a failover lost may be fetched
    // and planned anew, a little later.
    const isShifted = this.#world.plan.rate['clock-drift'] > 0 || watch.hasLost(now - 600_000)
    const toleranceMs = isShifted ? 20_000 : 4_000
    if (!mayGrow && knownEnd !== undefined && end > knownEnd + toleranceMs) {
      const grownMs = Math.round(end - knownEnd)
      this.fail('I12', `${name}: expires_in of v${served.version} grew by ${grownMs} ms on node ${node.index}`)
    }
    if (!mayGrow || hasRunOut) this.#ends.set(endKey, hasRunOut ? end : Math.min(end, knownEnd ?? Infinity))
    if (simulator.accepts(served.token)) return
    this.refusedReads += 1
    if (served.stale || this.#isForgivable(node, name, served.token)) return
    const fate = this.fates.of(served.token)
    const why = fate?.overtaken.map(({ at, by }) => `overtaken by ${by} ${Math.round((now - at) / 1_000)} s ago`)
    const story = [...(fate?.killedAt == null ? [] : ['killed']), ...(why ?? ['never issued'])].join(', ')
    this.fail('I1', `${name}: node ${node.index} served a dead token (v${served.version}): ${story || 'ended'}`)
  }

  /** What was removed, or is named by no configuration any more, is served by nobody who can know. */
  #servedWhatIsGone(node: SimulatedNode, name: string, now: number): void {
    const { removedAt, droppedAt } = this.watch(name)
    if (node.wasCutOff(minuteMs)) return
    if (removedAt !== null && now > removedAt + newsMs) this.fail('I15', `${name}: served after it had been removed`)
    if (droppedAt !== null && now > droppedAt + newsMs)
      this.fail('I14', `${name}: served though no configuration names it`)
  }

  /**
   * Whether a token that its upstream refuses may be served, as this node or (null) the store believes in it. That
   * depends on who made it die: nobody here knows what strangers do before a program reports it, but what we did
   * ourselves we must know.
   */
  #isForgivable(node: SimulatedNode | null, name: string, value: string): boolean {
    const { time, store, hasReporters, plan } = this.#world
    const watch = this.watch(name)
    const now = time.now()
    const fate = this.fates.of(value)
    if (fate === undefined) return false
    const isCutOff = node?.wasCutOff(minuteMs) === true
    // Whoever can hear the store knows within a sweep what was committed.
    const current = store.entry(name)?.token ?? null
    const isReplaced = current !== null && current.value !== value
    if (isReplaced && !isCutOff && this.watch(name).committedAt < now - newsMs) return false
    const { overtaken, killedAt, reportedAt } = fate
    if (killedAt !== null || overtaken.some((by) => this.#isUnknown(name, by))) {
      if (!hasReporters || node === null || reportedAt === null) return true
      return now - reportedAt <= healMsOf(name) || isCutOff || this.isHindered(name, recoverMs)
    }
    // One that puts back a row which was deleted knows within a sweep that another one knew more.
    if (isReplaced && watch.rowDeletedAt > now - 7_200_000 && watch.committedAt > now - newsMs) return true
    const [first, second] = overtaken
    // A clock that runs slow while the store is silent stretches every life by a hundredth.
    if (first === undefined) return isCutOff && plan.rate['clock-drift'] > 0
    // Two issues in a row leave no grace. The answer of the first was lost, so the token was in doubt already. Late ones
    // that nobody could hear of are healed by refreshing once more.
    const isLate = overtaken.some(({ by }) => by === 'late')
    const isHealing = this.isHindered(name, isLate ? confirmMs + recoverMs : recoverMs)
    if (second !== undefined) return second.at > now - newsMs || isCutOff || isHealing
    if (isLate) return isHealing || this.watch(name).guessedVersion > 0
    // One of our own within its lease: the grace was known to everybody, and one who is cut off says so. Only a forced
    // issue retires a token where issues do not retire any as a rule, and there nothing is said.
    return !retiring.has(name) && isCutOff
  }

  /** Nobody here can know of an issue: a stranger's, or one whose traces a failover lost before its process died. */
  #isUnknown(name: string, { at, by, asker }: Overtaking): boolean {
    if (by === 'stranger' || asker === null) return true
    if (at < this.watch(name).removalLostAt) return true
    const isAlive = this.#world.nodes.some((node) => node.process === asker.process)
    return !isAlive && this.watch(name).losses.some((lost) => lost > asker.leftAt - lossMs && lost < at + minuteMs)
  }

  /** Versions whose first promise ran out on a node before they were replaced. */
  readonly #lapsed = new Set<string>()

  /** A caller kept a token for as long as it was told to. */
  promised(served: Served, at: number): void {
    const watch = this.watch(served.name)
    // A token in doubt is given for a moment only, and even that is no promise.
    if (served.expiresIn <= 5) return
    // Whoever read within the grace of a replacement that nobody here knew of was given more than there was.
    // News takes a moment to reach the other nodes, or a whole sweep when a notice is lost.
    const newsMs = this.#world.plan.rate['notice-lost'] > 0 ? 25_000 : 2_000
    if (watch.unsettledAt >= at - newsMs || watch.disturbedAt >= at - 310_000 || served.stale) return
    const fate = this.fates.of(served.token)
    const overtaken = fate?.overtaken ?? []
    // A clock that ran slow through an outage of the store sees every end a little late.
    const hasEnded = fate?.killedAt === null && overtaken.length === 0
    if (hasEnded && this.#world.plan.rate['clock-drift'] > 0) return
    if (watch.losses.length > 0 && overtaken.some((by) => this.#isUnknown(served.name, by))) return
    if (!this.#world.simulator.accepts(served.token)) {
      this.fail('I12', `${served.name}: a token promised for ${served.expiresIn} s died earlier`)
    }
  }

  refusedRead(node: SimulatedNode, refused: RefusedRead): void {
    const { name, process, status, minTtl, retryAfter } = refused
    const { store, time } = this.#world
    const token = store.entry(name)?.token ?? null
    if (minTtl > 0 && status === 400) {
      // What a token of this source could have left is worth waiting for. The life is the one that was told, which is the
      // rest of it where the upstream repeats a token that somebody fetched before; this node may know the one before.
      const lives = [token?.lifetimeMs ?? 7_200_000, ...this.watch(name).lives]
      const lifeSeconds = Math.min(...lives) / 1_000
      if (minTtl <= lifeSeconds)
        this.fail('P-min-ttl', `${name}: ${minTtl} s are said to be more than ${lifeSeconds} s`)
    } else if (status !== 503 && status !== 404) {
      this.fail('P-status', `${name}: a read was answered ${status}`)
    }
    if (status === 503 && !(Number(retryAfter) >= 1)) this.fail('P-status', `${name}: 503 without Retry-After`)
    // A source that was taken away is unknown, or looked for in vain.
    const isAway = (name === droppable || name === 'dynamic') && this.isHindered(name, minuteMs)
    if (minTtl > 0 || isAway) return
    const storeNow = time.now() + store.clockOffset
    const watch = this.watch(name)
    const served = this.#servers.get(`${process ?? ''} ${name}`)
    if (token === null && served !== undefined && !watch.hasForgotten(served.at)) {
      this.fail('P1', `${name}: the token that was served is thrown away`)
    }
    if (token === null || token.expiresAt < storeNow + 10_000) return
    // Somebody who waited in vain is refused at the very moment at which the token comes.
    if (watch.committedAt > time.now() - 1_000) return
    // Nor does one who began anew, since somebody had deleted the row, know at once that another node has put it back.
    if (watch.committedAt > time.now() - newsMs && watch.hasForgotten(time.now() - 7_200_000)) return
    if (node.wasCutOff(30_000)) {
      // Without the store, a node has what it has seen, as long as it was read of late.
      if (served?.version !== token.version || served.at < time.now() - idleMs) return
      // What a failover lost, this node may have heard: that an attempt without an answer cut the token's life.
      if (retiring.has(name) && watch.hasLost(time.now() - graceMs - 30_000)) return
      // The lifetime was a guess, and this node has not heard the true one.
      if (watch.guessedVersion === token.version && served.until < time.now()) return
      // An answer that this node waited for in vain may have retired the token, also when that cannot be written.
      const unknownAt = watch.unknownAt.get(process ?? '') ?? -Infinity
      const sentAt = unknownAt - attemptMs
      const isCutHere = unknownAt + store.clockOffset > token.issuedAt && time.now() > sentAt + graceMs - 5_000
      if (isCutHere && (retiring.has(name) || name === 'stable')) return
    }
    this.fail('P1', `${name}: node ${node.index} refused a read (${status}) while the token lives`)
  }

  /** What each process served last of each source. */
  readonly #servers = new Map<string, { readonly version: number; readonly at: number; readonly until: number }>()

  // ---- what the keeper says --------------------------------------------------------------------------------------

  heard(node: SimulatedNode, event: ZhongkongEvent): void {
    this.#world.trace(() => `${node.process ?? '?'} says ${JSON.stringify(event)}`)
    this.noLeak(JSON.stringify(event), `event ${event.type}`)
    // A node that was told to forget a source has nothing to hold against a store that has forgotten it, too.
    if (event.type === 'removed' && this.watch(event.name).hasForgotten(this.#world.time.now() - 7_200_000)) {
      this.#versions.delete(`${node.index} ${event.name}`)
    }
    if (event.type === 'probed' && event.said === 'dead') {
      const token = this.#world.store.entry(event.name)?.token
      if (token?.version === event.version && this.#world.simulator.accepts(token.value))
        this.fail('I28', `${event.name}: a living token was taken for dead`)
    }
    if (event.type === 'uncommitted') {
      this.watch(event.name).uncommittedAt.set(node.process ?? '', this.#world.time.now())
    }
    if (event.type === 'attempted' && event.outcome === 'unknown') {
      this.watch(event.name).unknownAt.set(node.process ?? '', this.#world.time.now())
    }
  }

  noLeak(text: string, where: string): void {
    for (const secret of [...Object.values(secrets), ...Object.values(keys)])
      if (text.includes(secret)) this.fail('I5', `a secret in ${where}`)
    for (const grant of this.#world.grants.recent) if (text.includes(grant)) this.fail('I5', `a grant in ${where}`)
    for (const token of this.#seenTokens) if (text.includes(token)) this.fail('I5', `a token in ${where}`)
  }

  #remember(token: string): void {
    if (this.#seenTokens.at(-1) === token || this.#seenTokens.includes(token)) return
    this.#seenTokens.push(token)
    if (this.#seenTokens.length > 12) this.#seenTokens.shift()
  }

  shortSleep(node: SimulatedNode): void {
    const now = this.#world.time.now()
    this.#shortSleeps = this.#shortSleeps.filter((at) => at > now - 1_000)
    this.#shortSleeps.push(now)
    if (this.#shortSleeps.length > 500) this.fail('I8', `node ${node.index} spins`)
  }

  #shortSleeps: number[] = []

  // ---- now and then, and at the end ------------------------------------------------------------------------------

  /** Every source that nothing hindered lately has a token that its upstream accepts. */
  liveness(names: readonly string[]): void {
    const { store, simulator, time } = this.#world
    for (const name of names) {
      if (this.isHindered(name, recoverMs)) continue
      const watch = this.watch(name)
      if (watch.disturbedAt > time.now() - recoverMs) continue
      const entry = store.entry(name)
      const trouble = entry?.trouble?.class
      if (trouble === 'quota' || trouble === 'permission' || trouble === 'needs-authorization') continue
      const token = entry?.token ?? null
      const storeNow = time.now() + store.clockOffset
      // WeCom repeats the old token to its very end, and we stop serving it a little before.
      const patienceMs = name === 'wecom' ? 8_000 : 0
      if (token === null || token.expiresAt + patienceMs < storeNow) {
        if (!this.#isForceSpent(name)) this.fail('I10', `${name}: not fresh though nothing stands in the way`)
      } else if (token.expiresAt > storeNow && !simulator.accepts(token.value)) {
        if (!this.#isForgivable(null, name, token.value))
          this.fail('I1', `${name}: the store holds a dead token that nobody doubts`)
      }
    }
  }

  /**
   * After a forced attempt without an answer nobody knows which token lives, and believing in none is the safe side.
   * Another forced one ends that; until the upstream allows it, an upstream that repeats its token can say nothing new.
   */
  #isForceSpent(name: string): boolean {
    const now = this.#world.time.now()
    const day = this.watch(name).forced.filter((at) => at > now - dayMs)
    return name === 'stable' && (day.length >= 20 || (day.at(-1) ?? -Infinity) > now - 45_000)
  }

  /** Whether something stood in the way of refreshing a source within the last `withinMs`. */
  isHindered(name: string, withinMs: number): boolean {
    return this.watch(name).hinderedAt > this.#world.time.now() - withinMs
  }

  /** At rest, every request that was sent has been told as one attempt. */
  books(): void {
    for (const node of this.#world.nodes) {
      const books = node.books
      const inFlight = [...this.#world.network.flights].filter(({ process }) => process === node.process).length
      if (books !== null && books.requests !== books.attempted + inFlight) {
        this.fail('I20', `node ${node.index}: ${books.requests} requests, ${books.attempted} attempts`)
      }
    }
    for (const name of this.#world.store.names()) {
      const entry = this.#world.store.entry(name)
      // Where only a person can bring another grant, nothing more is to be learnt of the attempts that had no answer.
      const isOver = entry?.trouble?.class === 'needs-authorization'
      if (entry !== null && entry.lease === null && isOpen(entry) && !isOver) {
        this.fail('I20', `${name}: an attempt is still open at rest`)
      }
    }
  }
}
