/**
 * The invariants, checked while the run goes on. Numbers are those of the project's reliability notes: I1 validity,
 * I2 one issue in flight, I3 strays healed, I4 versions, I5 no leak, I8 no hot loop, I9 budgets, I10 liveness,
 * I12 honest expiry, I15 removal, I16 store outage, I17 unknown outcomes, I18 inputs, I20 books, I25 snapshots.
 */
import type { Entry } from '../../src/model/entry.ts'
import type { ZhongkongEvent } from '../../src/model/event.ts'
import type { FaultKind } from './faults.ts'
import type { Flight } from './network.ts'
import type { SimulatedNode } from './node.ts'
import { stepOf, type WriteSeen } from './shared-store.ts'
import { secrets, type World } from './world.ts'

export type Violation = { readonly invariant: string; readonly at: number; readonly text: string }

/** What a caller got from a read. */
export type Served = {
  readonly name: string
  readonly token: string
  readonly version: number
  readonly expiresIn: number
  readonly stale: boolean
  readonly fields: Readonly<Record<string, unknown>>
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
  /** Issues outside their lease since the last commit; the second one retires two tokens at once. */
  lates = 0
  /** The same, and the process that could have told of it is dead. */
  orphanedAt = -Infinity
  /** Since when an attempt has been left without an answer; null when none is. */
  openAt: number | null = null
  /** Tokens that somebody reported while they were current. */
  readonly reported = new Set<string>()
  /** Since when refused tokens are being served; null when they are not. */
  incidentAt: number | null = null
  removedAt: number | null = null
  rowDeletedAt = -Infinity
  /** A version whose lifetime was once a guess; what was told of it may grow. */
  guessedVersion = 0
  readonly grants: number[] = []
  readonly issues: number[] = []
  readonly forced: number[] = []
}

/** An attempt was granted and never resolved; said here anew, so that a mutant of the model cannot hide it. */
function isOpen(entry: Entry): boolean {
  return entry.epoch > entry.resolvedEpoch
}

const leaseMs = 15_000
/** The sources whose upstream retires the previous token with each issue. */
const retiring: ReadonlySet<string> = new Set(['classic', 'dynamic'])
/** After a refused token was reported, it is gone within this time. */
const healMs = 15_000
/** Time for everything that may still be under way when a hindrance ends: a back-off, a lease, an attempt. */
const recoverMs = 60_000 + leaseMs + 8_000
const minuteMs = 60_000
const dayMs = 86_400_000
const violationsMax = 20

export class Checks {
  readonly #world: World
  readonly violations: Violation[] = []
  readonly #watches = new Map<string, Watch>()
  readonly #versions = new Map<string, number>()
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

  /** A fault struck somewhere; the sources it may hold up are told apart by the callers below. */
  struck(kind: FaultKind): void {
    const everywhere: readonly FaultKind[] = [
      'crash',
      'pause-with-lease',
      'store-slow',
      'store-answer-lost',
      'send-late',
      'row-deleted',
    ]
    const onAnyAttempt: readonly FaultKind[] = [
      'request-lost',
      'request-late',
      'answer-lost',
      'answer-slow',
      'answer-garbled',
      'answer-5xx',
      'refused-transient',
      'refused-quota',
    ]
    if (everywhere.includes(kind) || onAnyAttempt.includes(kind)) {
      for (const watch of this.#watches.values()) {
        watch.unsettledAt = this.#world.time.now()
        watch.hinderedAt = Math.max(watch.hinderedAt, this.#world.time.now() + (kind === 'refused-quota' ? 600_000 : 0))
      }
    }
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
        `${node.process ?? '?'} writes ${name}: ${stepOf(before, after)} v${after?.version ?? 0} e${after?.epoch ?? 0}`,
    )
    if (before === null || after === null) return
    if (after.version < before.version) this.fail('I4', `${name}: the stored version fell to ${after.version}`)
    if (after.epoch < before.epoch) this.fail('I6', `${name}: the epoch fell to ${after.epoch}`)
    if (after.version > before.version && after.epoch !== before.epoch) {
      this.fail('I2', `${name}: committed without the lease's epoch`)
    }
    const holder = before.lease?.node ?? null
    if (after.version > before.version && after.epoch === before.epoch && before.epoch > 0 && node.process !== null) {
      const isOurs = holder === node.process || after.token?.value === before.token?.value
      // A node that still knows more than a store that lost a row puts it back.
      if (!isOurs && watch.rowDeletedAt < now - 7_200_000)
        this.fail('I2', `${name}: committed by somebody who does not hold the lease`)
    }
    if (after.version > before.version) watch.lates = 0
    if (isOpen(after) && after.lease === null) watch.openAt ??= now
    if (!isOpen(after)) watch.openAt = null
    if (before.token !== null && after.token?.version === before.token.version) {
      if (after.token.expiresAt > before.token.expiresAt && !before.token.isGuessed)
        this.fail('I12', `${name}: one version's life grew`)
      if (after.token.value !== before.token.value) this.fail('I25', `${name}: one version, two values`)
    }
    if (after.token?.isGuessed === true) watch.guessedVersion = after.version
    const step = stepOf(before, after)
    if (step === 'lease') this.#granted(watch, name, before, now)
    if (step === 'doubt-reported' && before.token !== null && !watch.reported.has(before.token.value)) {
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

  #granted(watch: Watch, name: string, { lease, doubt, trouble, nextTry }: Entry, now: number): void {
    const storeNow = now + this.#world.store.clockOffset
    const mayHurry = doubt?.reason === 'asked' || this.#world.plan.rate.reload > 0
    if (trouble !== null && !mayHurry && storeNow < nextTry - 1_600)
      this.fail('I8', `${name}: did not wait its back-off`)
    if (lease !== null && lease.until > storeNow + 1_600)
      this.fail('I11', `${name}: a lease was granted over a living one`)
    const last = watch.grants.at(-1)
    // A node that was paused, or waited long for the store, may be wrong about the store's clock by a second or two.
    const { rate } = this.#world.plan
    const isSure = rate.pause + rate['pause-with-lease'] + rate['send-late'] + rate['store-slow'] === 0
    if (isSure && last !== undefined && now - last < 150)
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
    if (entry !== null && (lease?.node !== flight.process || lease.until < storeNow - 1_600)) {
      this.fail('I16', `${name}: a request without a lease`)
    }
    if (entry === null && watch.removedAt !== null && time.now() > watch.removedAt + leaseMs) {
      this.fail('I15', `${name}: a request after the source was removed`)
    }
    for (const other of this.#world.network.flights) {
      if (other === flight || other.channel !== name || other.channel === 'stable') continue
      if (time.now() - other.leftAt < 8_000) this.fail('I2', `${name}: two requests in flight`)
    }
    if (body?.includes('"force_refresh":true') === true) {
      const last = watch.forced.at(-1)
      if (last !== undefined && time.now() - last < 28_000) this.fail('I9', `${name}: forced twice within 30 s`)
      watch.forced.push(time.now())
      if (watch.forced.filter((at) => at > time.now() - dayMs).length > 20) this.fail('I9', `${name}: forced too often`)
    }
    this.#checkInput(name, new URL(request.url))
  }

  /** A ticket is never asked for with a token that is known to be bad. */
  #checkInput(name: string, url: URL): void {
    const used = url.searchParams.get('access_token')
    const parent = this.#world.store.entry('classic')
    if (used === null || parent?.token == null || (name !== 'ticket' && name !== 'http')) return
    const { doubt, token } = parent
    // What the upstream refuses here, the keeper will report by itself.
    if (!this.#world.simulator.accepts(used)) this.watch('classic').reported.add(used)
    const storeNow = this.#world.time.now() + this.#world.store.clockOffset
    const isDoubted = doubt !== null && doubt.at < storeNow - 3_000 && doubt.version === token.version
    if (used === token.value && isDoubted) this.fail('I18', `${name}: asked with a doubted token`)
    const openAt = this.watch('classic').openAt
    const isOpenLong = openAt !== null && openAt < this.#world.time.now() - 3_000
    if (used === token.value && isOpenLong) this.fail('I18', `${name}: asked with a token in doubt`)
    if (used === token.value && token.expiresAt < storeNow - 2_000)
      this.fail('I18', `${name}: asked with an ended token`)
    const replacedLongAgo = used !== token.value && token.issuedAt < storeNow - 310_000
    if (replacedLongAgo) this.fail('I18', `${name}: asked with a token replaced long ago`)
  }

  issued(flight: Flight): void {
    this.issuesTotal += 1
    const name = flight.channel
    const watch = this.watch(name)
    const now = this.#world.time.now()
    watch.issues.push(now)
    const entry = this.#world.store.entry(name)
    const storeNow = now + this.#world.store.clockOffset
    const isLate = entry !== null && (entry.epoch !== flight.epoch || (entry.lease?.until ?? 0) < storeNow)
    if (!isLate) return
    watch.lateAt = now
    watch.lates += 1
    if (watch.lates > 1) watch.orphanedAt = now
    watch.unsettledAt = now
    this.lateIssues += 1
  }

  ended(flight: Flight): void {
    const now = this.#world.time.now()
    const watch = this.watch(flight.channel)
    const isLate = watch.lateAt >= flight.leftAt
    if (isLate && flight.node.process !== flight.process) watch.orphanedAt = now
    if (!isLate || flight.issuedAt === null || flight.node.process !== flight.process) return
    if (!retiring.has(flight.channel)) return
    this.#world.time.at(now + 10_000, () => this.#strayHealed(flight, now))
  }

  #strayHealed(flight: Flight, since: number): void {
    const { time, store, simulator } = this.#world
    const name = flight.channel
    if (this.#isHindered(name, time.now() - since + 15_000) || flight.node.process !== flight.process) return
    const entry = store.entry(name)
    if (entry?.token == null || flight.node.isPaused) return
    // Among many faults, the confirmation within half the grace is what heals; with few, the mark must, at once.
    const isConfirming = entry.token.isUnconfirmed && this.#world.plan.names.length > 3
    const isHealing = entry.doubt !== null || isOpen(entry) || isConfirming
    // A guessed lifetime makes the grace, and with it the time for confirming, shorter than requests may be late.
    const isDisturbed = this.watch(name).disturbedAt > since - 60_000 || this.#world.plan.rate['answer-garbled'] > 0
    const latest = simulator.latest(name === 'classic' ? 'wxclassic' : 'wxdynamic', 'classic')
    if (latest !== entry.token.value && !isHealing && !isDisturbed)
      this.fail('I3', `${name}: a stray was left unhealed`)
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
    this.#servers.set(`${node.process ?? ''} ${name}`, served.version)
    const key = `${node.index} ${name}`
    const known = this.#versions.get(key) ?? 0
    const hasLostRow = this.watch(name).rowDeletedAt > now - 7_200_000
    if (served.version < known && !hasLostRow)
      this.fail('I4', `${name}: node ${node.index} went back from ${known} to ${served.version}`)
    this.#versions.set(key, served.version)
    if (served.expiresIn < 0) this.fail('I12', `${name}: expires_in is ${served.expiresIn}`)
    if (!Object.values(served.fields).includes(served.token)) this.fail('I25', `${name}: fields are of another token`)
    const endKey = `${node.index} ${name} ${served.version} ${node.process ?? ''}`
    const end = now + served.expiresIn * 1_000
    const knownEnd = this.#ends.get(endKey)
    const watch = this.watch(name)
    // A promise that ran out because the replacement is late is made anew; only a running one must not grow.
    const hasRunOut = this.#lapsed.has(endKey) || (knownEnd !== undefined && now > knownEnd - 1_000)
    if (hasRunOut || served.stale) this.#lapsed.add(endKey)
    const mayGrow = watch.guessedVersion === served.version || served.expiresIn <= 5 || hasRunOut
    // A clock that ran fast through an outage of the store is put right afterwards.
    const toleranceMs = this.#world.plan.rate['clock-drift'] > 0 ? 20_000 : 4_000
    if (!mayGrow && knownEnd !== undefined && end > knownEnd + toleranceMs) {
      const grownMs = Math.round(end - knownEnd)
      this.fail('I12', `${name}: expires_in of v${served.version} grew by ${grownMs} ms on node ${node.index}`)
    }
    if (!mayGrow || hasRunOut) this.#ends.set(endKey, hasRunOut ? end : Math.min(end, knownEnd ?? Infinity))
    if (simulator.accepts(served.token)) {
      if (watch.incidentAt !== null && !served.stale) watch.incidentAt = null
      return
    }
    this.refusedReads += 1
    if (served.stale) return
    watch.incidentAt ??= now
    if (this.#isExcused(name, watch, now)) return
    this.fail(
      'I1',
      `${name}: node ${node.index} served a dead token (v${served.version}), incident of ${now - watch.incidentAt} ms`,
    )
  }

  /**
   * A refused token may be served only for a reason that nobody here could know of, or while it is in doubt, and no
   * longer than a report takes to heal it, provided that somebody reports and nothing stands in the way.
   */
  #isExcused(name: string, watch: Watch, now: number): boolean {
    const entry = this.#world.store.entry(name)
    if (entry !== null && (entry.doubt !== null || isOpen(entry))) return true
    const age = now - (watch.incidentAt ?? now)
    const unknowable = watch.disturbedAt > now - 7_200_000 || watch.orphanedAt > now - 7_200_000
    if (unknowable && !this.#world.hasReporters) return true
    const isHealing = age <= healMs || this.#isHindered(name, age + healMs)
    return isHealing && (unknowable || watch.unsettledAt > now - 330_000)
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
    if (!this.#world.simulator.accepts(served.token)) {
      this.fail('I12', `${served.name}: a token promised for ${served.expiresIn} s died earlier`)
    }
  }

  refusedRead(node: SimulatedNode, name: string, status: number): void {
    if (status !== 503 && status !== 404) this.fail('P-status', `${name}: a read was answered ${status}`)
    const { store, time } = this.#world
    const token = store.entry(name)?.token ?? null
    const isAlive = token !== null && token.expiresAt > time.now() + store.clockOffset + 10_000
    const isCutOff = store.isDown || node.isPartitioned || this.#isHindered(name, 30_000)
    // An outcome that nobody learned cuts the life of what it may have retired, also when that cannot be written.
    if (isCutOff && retiring.has(name)) return
    if (isAlive && (!isCutOff || this.#servers.get(`${node.process ?? ''} ${name}`) === token.version)) {
      this.fail('P1', `${name}: node ${node.index} refused a read (${status}) while the token lives`)
    }
  }

  /** The version that each process served last of each source. */
  readonly #servers = new Map<string, number>()

  // ---- what the keeper says --------------------------------------------------------------------------------------

  heard(node: SimulatedNode, event: ZhongkongEvent): void {
    this.#world.trace(() => `${node.process ?? '?'} says ${JSON.stringify(event)}`)
    this.noLeak(JSON.stringify(event), `event ${event.type}`)
  }

  noLeak(text: string, where: string): void {
    for (const secret of Object.values(secrets)) if (text.includes(secret)) this.fail('I5', `a secret in ${where}`)
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
      if (this.#isHindered(name, recoverMs)) continue
      const watch = this.watch(name)
      if (watch.disturbedAt > time.now() - recoverMs || watch.lateAt > time.now() - 330_000) continue
      const entry = store.entry(name)
      const trouble = entry?.trouble?.class
      if (trouble === 'quota' || trouble === 'permission') continue
      const token = entry?.token ?? null
      // WeCom repeats the old token to its very end, and we stop serving it a little before.
      const patienceMs = name === 'wecom' ? 8_000 : 0
      // After a forced attempt without an answer nobody knows which token lives: believing in none is the safe side.
      const isCut = token !== null && token.expiresAt + 10_000 < token.issuedAt + token.lifetimeMs
      if (isCut && name === 'stable') continue
      if (token === null || token.expiresAt + patienceMs < time.now() + store.clockOffset) {
        this.fail('I10', `${name}: not fresh though nothing stands in the way`)
      } else if (
        token.expiresAt > time.now() + store.clockOffset &&
        !simulator.accepts(token.value) &&
        watch.incidentAt === null &&
        watch.disturbedAt < time.now() - 7_200_000
      ) {
        this.fail('I1', `${name}: the store holds a dead token that nobody doubts`)
      }
    }
  }

  #isHindered(name: string, withinMs: number): boolean {
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
      if (entry !== null && entry.lease === null && isOpen(entry)) {
        this.fail('I20', `${name}: an attempt is still open at rest`)
      }
    }
  }
}
