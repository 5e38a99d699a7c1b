/**
 * A caller says which token was refused, or asks for a new one. A report about a token that is no longer current costs
 * nothing upstream, nor does one about a token of which the platform itself says that it lives (`probe-token.ts`). All other
 * reporters of the current one share one refresh, across the cluster.
 */
import { deadline, until } from '../base/env.ts'
import { safeEqual } from '../base/secret.ts'
import { SingleFlight } from '../base/single-flight.ts'
import { ZhongkongError } from '../base/errors.ts'
import { confirmedAt, decide, refusalOf, tokenOf, wakeAt } from '../model/decide.ts'
import type { Entry } from '../model/entry.ts'
import { doubted } from '../model/settle.ts'
import { youngestMs } from '../model/source.ts'
import { refusedHere, stepFor, type Witness } from '../model/suspicion.ts'
import { hastened, mayHastenAt } from '../model/wish.ts'
import type { KeepFresh } from './keep-fresh.ts'
import type { Reading, RefreshOptions, Refreshed } from './keeper.ts'
import type { Told, TokenProbe } from './probe-token.ts'
import { readToken, readingOf, unavailable } from './read-token.ts'
import type { Tended } from './attempt.ts'
import { lookUp, tell, type Found, type Room } from './room.ts'
import { lookUpOrSprout } from './sprout.ts'
import type { View } from './views.ts'

const waitMsDefault = 8_000
/** While another node refreshes, its result is looked for this often, in milliseconds. */
const lookMs = 200
const racesMax = 20
/** What is to be looked into later may have to wait this often because of others who were looked into. */
const turnsMax = 3

/** Who reports when nobody says who it is. */
const somebody: Witness = { kind: 'report', client: null }

export class CompareAndRefresh {
  readonly #room: Room
  readonly #fresh: KeepFresh
  readonly #probe: TokenProbe
  /** What is being looked into: hints and reports of a source by themselves, as a hint may have to wait for much longer. */
  readonly #followed = new Set<string>()
  /** One refresh for all who wait for the end of the same version. */
  readonly #flights = new SingleFlight<Outcome>()

  constructor(room: Room, fresh: KeepFresh, probe: TokenProbe) {
    this.#room = room
    this.#fresh = fresh
    this.#probe = probe
  }

  async refresh(name: string, options: RefreshOptions): Promise<Refreshed> {
    const { stale } = options
    const known = stale === undefined ? null : this.#replacedHere(name, stale)
    if (known !== null) return { ...known, refreshed: false, reason: 'not_current' }
    const underWay = stale === undefined ? null : this.#underWay(name, stale)
    if (underWay !== null) return await this.#seeThrough(underWay, 'reported', options)
    const found = await lookUpOrSprout(this.#room, name)
    if (found === null) throw new ZhongkongError('not_found', 'no such source')
    this.#room.views.learn(found.source, found.entry, found.revision)
    const token = tokenOf(found.source, found.entry)
    if (token === null && stale === undefined) return await this.#seeThrough(found, 'asked', options)
    if (token === null || (stale !== undefined && !safeEqual(stale, token.value))) {
      const reading = await readToken(this.#room, this.#fresh, name, waitOf(options))
      return { ...reading, refreshed: false, reason: 'not_current' }
    }
    if (this.#isYoung(found, stale === undefined ? (options.minAgeMs ?? 0) : found.source.policy.minIntervalMs)) {
      return { ...this.#servedOrThrow(found, null), refreshed: false, reason: 'recently_refreshed' }
    }
    if (stale === undefined) return await this.#seeThrough(found, 'asked', options)
    return await this.#lookInto(found, options)
  }

  /** A report of the current token: the platform is asked first, where it can be, and a refresh is not due anyway. */
  async #lookInto(found: Found, options: RefreshOptions): Promise<Refreshed> {
    const { clock } = this.#room.env
    const startedAt = clock.monotonic()
    const witness = options.witness ?? somebody
    const { said, until: at } = await this.#ask(found, witness)
    if (said === 'alive') {
      if (at !== null) this.#followLater(found, witness, at)
      const reading = this.#servedOrThrow(found, null)
      // Somebody may have replaced it while the platform was asked.
      const isCurrent = reading.snapshot.version === found.entry.version
      return { ...reading, refreshed: false, reason: isCurrent ? 'alive' : 'not_current' }
    }
    const leftMs = Math.max(1_000, (options.waitMs ?? waitMsDefault) - (clock.monotonic() - startedAt))
    return await this.#seeThrough(found, 'reported', { ...options, waitMs: leftMs })
  }

  async #ask(found: Found, witness: Witness): Promise<Told> {
    if (decide(found.source, found.entry, this.#room.time.now()).act !== 'rest') return { said: 'unclear', until: null }
    // What the platform told this keeper itself leaves nothing to ask.
    return witness.kind === 'input' ? { said: 'dead', until: null } : await this.#probe.ask(found, witness)
  }

  #isYoung({ entry }: Found, minAgeMs: number): boolean {
    const { token } = entry
    if (token === null) return false
    const ageMs = this.#room.time.now() - Math.max(token.issuedAt, confirmedAt(entry))
    return ageMs < youngestMs(minAgeMs, token.lifetimeMs)
  }

  /**
   * Takes a hint that a version may be dead. It is looked into behind the caller's back, if it is worth a probe, and never
   * leads to a refresh unless the platform says so.
   */
  hint(name: string, version: number, witness: Witness): void {
    const view = this.#room.views.get(name)
    if (view?.entry.version !== version || this.#room.stopping.aborted) return
    if (stepFor(view.source, view.entry, witness, this.#room.time.now()).act !== 'probe') return
    this.#follow(name, { version, witness, waitMs: 0 })
  }

  /** A report that was answered by what was known before it: it is looked into as soon as its turn comes. */
  #followLater({ source: { name }, entry: { version } }: Found, witness: Witness, at: number): void {
    this.#follow(name, { version, witness, waitMs: at - this.#room.time.now() })
  }

  #follow(name: string, word: Word): void {
    const key = `${word.witness.kind === 're-ask' ? 'hint' : 'report'} ${name}`
    if (this.#followed.has(key)) return
    this.#followed.add(key)
    this.#room.background(this.#followUp(name, word).finally(() => this.#followed.delete(key)))
  }

  async #followUp(name: string, { version, witness, waitMs }: Word): Promise<void> {
    const { clock } = this.#room.env
    const { stopping, time } = this.#room
    try {
      let pauseMs = waitMs
      for (let turn = 0; turn < turnsMax; turn += 1) {
        await clock.sleep(pauseMs, stopping)
        const found = stopping.aborted ? null : await lookUp(this.#room, name)
        if (found?.entry.version !== version || this.#isYoung(found, found.source.policy.minIntervalMs)) return
        const { said, until: at } = await this.#ask(found, witness)
        const isEnough = said === 'dead' || (said === 'unclear' && witness.kind !== 're-ask')
        if (isEnough) await this.#seeThrough(found, 'reported', { witness })
        if (said !== 'alive' || at === null) return
        pauseMs = at - time.now()
      }
    } catch {
      // The store is away, or the refresh failed; both are told elsewhere.
    }
  }

  /** What is served instead of a token that this node knows to be replaced; the store need not be asked, nor be there. */
  #replacedHere(name: string, stale: string): Reading | null {
    const view = this.#room.views.read(name)
    const isReplaced = view?.entry.previous.some(({ value }) => safeEqual(stale, value)) === true
    return isReplaced && this.#room.time.isTrusted() ? readingOf(this.#room, view) : null
  }

  /** What this node has seen of a source for which the refresh is on its way that a report of this token would begin. */
  #underWay(name: string, stale: string): View | null {
    const view = this.#room.views.read(name)
    const token = view?.entry.token
    if (view === undefined || token == null || !safeEqual(stale, token.value)) return null
    return this.#flights.current(flightKey(view, 'reported')) === undefined ? null : view
  }

  async #seeThrough(found: Found, reason: 'reported' | 'asked', options: RefreshOptions): Promise<Refreshed> {
    const { name } = found.source
    const { version } = found.entry
    const outcome = await this.#flights.join(flightKey(found, reason), () => this.#carryOut(found, reason, options))
    const reading = readingOf(this.#room, this.#room.views.read(name))
    if (reading !== null && reading.snapshot.version !== version) return { ...reading, refreshed: true }
    if (outcome.kind === 'repeated' && reading !== null) return { ...reading, refreshed: false, reason: 'unchanged' }
    throw unavailable(this.#room, found, outcome)
  }

  #servedOrThrow(found: Found, tended: Tended | null): Reading {
    const reading = readingOf(this.#room, this.#room.views.read(found.source.name))
    if (reading === null) throw unavailable(this.#room, found, tended)
    return reading
  }

  /** Marks the version as doubted and sees the refresh through, whoever carries it out. */
  async #carryOut(found: Found, reason: 'reported' | 'asked', options: RefreshOptions): Promise<Outcome> {
    const { name } = found.source
    const version = found.entry.version
    const marked = await this.#mark(found, reason, options.witness?.kind === 'input')
    if (marked !== 'marked') return marked
    const time = deadline(this.#room.env.clock, options.waitMs ?? waitMsDefault)
    try {
      for (;;) {
        const tended = await until(this.#fresh.tendNow(name), time.signal)
        const now = await lookUp(this.#room, name)
        if (now === null) return { kind: 'gone' }
        this.#room.views.learn(now.source, now.entry, now.revision)
        if (now.entry.version !== version || tended.kind === 'blocked') return tended
        if (tended.kind === 'failed') {
          return { ...tended, until: reason === 'asked' ? this.#againAt(now) : now.entry.nextTry }
        }
        if (now.entry.doubt === null) return settledMeanwhile(found.entry, now)
        const isGoingOn = tended.kind === 'repeated' || tended.kind === 'rest' || isShortWait(tended, this.#room)
        if (!isGoingOn) return tended
        await this.#room.env.clock.sleep(lookMs, time.signal)
      }
    } catch (thrown) {
      if (!time.signal.aborted) throw thrown
      return { kind: 'wait', until: this.#room.time.now() + 1_000, because: 'lease' }
    } finally {
      time.done()
    }
  }

  /** When asking after a failure can lead to an attempt: when its wait is over, or may be cut short. */
  #againAt({ source, entry }: Found): number {
    return Math.min(entry.nextTry, mayHastenAt(source, entry, this.#room.time.now()))
  }

  /** Marks the version; or why not: it was replaced while we were marking it, or a wish cannot be granted soon. */
  async #mark(found: Found, reason: 'reported' | 'asked', isProven: boolean): Promise<'marked' | Outcome> {
    const { name } = found.source
    let current: Found | null = found
    for (let race = 0; race < racesMax; race += 1) {
      if (current?.entry.version !== found.entry.version) {
        if (current !== null) this.#room.views.learn(current.source, current.entry, current.revision)
        return { kind: 'rotated', until: 0 }
      }
      const now = this.#room.time.now()
      const { source } = current
      const doubtful = doubted(isProven ? refusedHere(source, current.entry, now) : current.entry, reason, now)
      const marked = reason === 'asked' ? hastened(source, doubtful, now) : doubtful
      const refusal = reason === 'asked' ? refusalOf(source, marked, now) : null
      if (refusal !== null) {
        const isHeld = refusal.because === 'backoff'
        return { kind: 'wait', until: isHeld ? this.#againAt(current) : refusal.until, because: refusal.because }
      }
      if (marked === current.entry) return 'marked'
      const change = { entry: marked, dueAt: wakeAt(marked) }
      const revision = await this.#room.store.write(name, change, current.revision)
      if (revision !== null) {
        this.#room.views.learn(source, marked, revision)
        if (reason === 'reported') tell(this.#room, 'reported', name, { version: marked.version })
        return 'marked'
      }
      current = await lookUp(this.#room, name)
    }
    throw new ZhongkongError('overloaded', 'the entry kept changing while it was being marked')
  }
}

type Outcome = Tended

/** What somebody said of a version, and how long it waits to be looked into. */
type Word = { readonly version: number; readonly witness: Witness; readonly waitMs: number }

function flightKey({ source, entry }: Pick<Found, 'source' | 'entry'>, reason: 'reported' | 'asked'): string {
  return `${reason} ${String(entry.version)} ${source.name}`
}

/**
 * How a wish ended that we did not see through: its attempt failed, or repeated the token. If there was no attempt,
 * another node had found a needed source without a token.
 */
function settledMeanwhile(before: Entry, { source, entry }: Found): Outcome {
  const { trouble } = entry
  const hasFailed = trouble !== null && trouble.at !== before.trouble?.at
  if (hasFailed) return { kind: 'failed', until: entry.nextTry, failure: trouble.failure }
  const [by] = source.needs
  if (entry.epoch === before.epoch && by !== undefined) return { kind: 'blocked', by, failure: null, until: 0 }
  return { kind: 'repeated', until: 0 }
}

/** Another node is at it, or the gap between two attempts is about to end. */
function isShortWait(tended: Tended, room: Room): boolean {
  if (tended.kind !== 'wait') return false
  return tended.because === 'lease' || tended.until - room.time.now() <= 1_500
}

function waitOf(options: RefreshOptions): { readonly waitMs?: number } {
  return options.waitMs === undefined ? {} : { waitMs: options.waitMs }
}
