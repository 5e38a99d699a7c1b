/**
 * When a sink is called: with the newest value of each source, as soon as it takes it.
 *
 * Only the name of a source waits, never a token: what is delivered is read at the last moment, so that nothing that came
 * meanwhile is missed and nothing old is kept. A source waits once, however often it rotates. What fails is tried again,
 * more and more rarely; when sources fail one after the other, the other side is taken to be away, and one of them at a
 * time tries whether it is back. More names than `pendingMax` are not kept: all sources are gone through instead
 * (`patrol.ts`). None of this is waited for by anybody who reads or refreshes tokens.
 */
import { backoffMs } from '../../base/backoff.ts'
import type { Matcher } from '../../model/glob.ts'
import type { SinkStatus } from '../../model/sink.ts'
import { SinkRecord, type RecordOptions } from './record.ts'
import { isOlder, SinkRefusal, writtenOf, type Sink, type SinkToken, type Written } from './sink.ts'

export type DeliveryOptions = RecordOptions & {
  readonly sink: Sink
  readonly matches: Matcher
  /** The newest token of a source; null while there is none. Rejects while the store cannot say. */
  readonly read: (name: string) => Promise<SinkToken | null>
}

type Wanted = 'current' | 'absent'

/** A source that waits. `at`: not before, monotonic. */
type Waiting = {
  wanted: Wanted
  readonly failures: number
  /** The version that could not be delivered; null when none was tried. */
  readonly failedVersion: number | null
  readonly at: number
}

const retry = { baseMs: 500, capMs: 30_000 }
/** Without the store, nobody knows what to deliver; it is asked again after this time, in milliseconds. */
const readAgainMs = 1_000
/** Names that wait at most. */
const pendingMax = 20_000
/** Sources whose last delivery is remembered. */
const rememberedMax = 10_000
/** So many sources that fail one after the other say that the other side is away. */
const awayAfter = 3
/** How long closing waits for deliveries under way, in milliseconds: a hanging network disk must not keep us. */
const closeMsMax = 3_000
/** The news that a source is gone is given up after so many failures: nothing else would ever end it. */
const removalTriesMax = 60

type Remembered = Written & { readonly isRefused: boolean }

export class Delivery {
  readonly #options: DeliveryOptions
  readonly #record: SinkRecord
  readonly #ready = new Map<string, Waiting>()
  readonly #later = new Map<string, Waiting>()
  readonly #running = new Set<string>()
  readonly #remembered = new Map<string, Remembered>()
  /** Sources that failed since the last success of any; no more than tell that the other side is away. */
  readonly #failedInRow = new Set<string>()
  readonly #closing = new AbortController()
  #wake = new AbortController()
  #isSweepWanted = false
  #laterAt = Infinity
  #probeAt = 0
  #onIdle: (() => void)[] = []
  readonly #ended: Promise<void>

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#record = new SinkRecord(options)
    this.#ended = this.#run()
  }

  /** Notes that a source has another token, or is gone. Quick, and never throws. */
  touch(name: string, wanted: Wanted): void {
    if (this.#closing.signal.aborted || !this.#options.matches(name)) return
    const waiting = this.#ready.get(name) ?? this.#later.get(name)
    if (waiting !== undefined) {
      waiting.wanted = wanted
      return
    }
    if (wanted === 'current' && this.backlog >= pendingMax) {
      this.#isSweepWanted = true
      return
    }
    this.#ready.set(name, { wanted, failures: 0, failedVersion: null, at: 0 })
    this.#wake.abort()
  }

  /** Sources that wait. */
  get backlog(): number {
    return this.#ready.size + this.#later.size
  }

  /** Whether all sources should be gone through; asking ends the wish. */
  takeSweepWish(): boolean {
    const wish = this.#isSweepWanted
    this.#isSweepWanted = false
    return wish
  }

  status(): SinkStatus {
    return this.#record.status(this.#options.sink.to, this.backlog + this.#running.size)
  }

  /** Resolves when nothing waits, what fails included. */
  async settled(): Promise<void> {
    if (this.backlog + this.#running.size === 0) return
    await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  /** No new deliveries; those under way end, or are left after a bounded time. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#wake.abort()
    const waited = new AbortController()
    await Promise.race([this.#ended, this.#options.env.clock.sleep(closeMsMax, waited.signal)])
    waited.abort()
    this.#options.sink.close()
  }

  async #run(): Promise<void> {
    const { clock } = this.#options.env
    const underWay = new Set<Promise<void>>()
    // Nothing happens in the tick of the constructor.
    await Promise.resolve()
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController()
      this.#moveDue(clock.monotonic())
      for (let next = this.#next(); next !== null; next = this.#next()) {
        const [name, waiting] = next
        const work = this.#deliver(name, waiting).finally(() => {
          this.#running.delete(name)
          underWay.delete(work)
          this.#wake.abort()
        })
        underWay.add(work)
      }
      if (this.backlog + this.#running.size === 0) this.#tellIdle()
      // A try under way wakes us when it ends.
      const isProbing = this.#isAway && this.#ready.size > 0 && this.#running.size === 0
      const at = Math.min(this.#laterAt, isProbing ? this.#probeAt : Infinity)
      await clock.sleep(Math.max(0, at - clock.monotonic()), this.#wake.signal)
    }
    await Promise.all(underWay)
    // What waits is found again by whoever begins next.
    this.#ready.clear()
    this.#later.clear()
    this.#tellIdle()
  }

  #tellIdle(): void {
    const told = this.#onIdle
    this.#onIdle = []
    for (const resolve of told) resolve()
  }

  get #isAway(): boolean {
    return this.#failedInRow.size >= awayAfter
  }

  #moveDue(now: number): void {
    if (now < this.#laterAt) return
    this.#laterAt = Infinity
    for (const [name, waiting] of this.#later) {
      if (waiting.at > now) {
        this.#laterAt = Math.min(this.#laterAt, waiting.at)
        continue
      }
      this.#later.delete(name)
      this.#ready.set(name, waiting)
    }
  }

  /** The next source to deliver now, taken out of those that wait. */
  #next(): [string, Waiting] | null {
    if (this.#closing.signal.aborted) return null
    const isAway = this.#isAway
    if (this.#running.size >= (isAway ? 1 : this.#options.sink.lanes)) return null
    if (isAway && this.#options.env.clock.monotonic() < this.#probeAt) return null
    let next: [string, Waiting] | null = null
    for (const [name, waiting] of this.#ready) {
      if (this.#running.has(name)) continue
      if (next === null || waiting.failures < next[1].failures) next = [name, waiting]
      // The one that failed least says most of whether the other side is back: sources that never get through must not
      // hold up the others, one try after the other.
      if (!isAway || next[1].failures === 0) break
    }
    if (next === null) return null
    this.#ready.delete(next[0])
    this.#running.add(next[0])
    return next
  }

  /** Never rejects. */
  async #deliver(name: string, waiting: Waiting): Promise<void> {
    const { sink } = this.#options
    let token: SinkToken | null = null
    try {
      if (waiting.wanted === 'absent') {
        await sink.remove(name, this.#closing.signal)
        this.#remembered.delete(name)
        this.#succeeded(name)
        return
      }
      const read = await this.#read(name, waiting)
      if (read === undefined) return
      token = read
      this.#settleEarlier(name, waiting, token)
      if (token === null || this.#isDone(name, token)) {
        this.#untrouble(name)
        return
      }
      const outcome = await sink.put(name, token, this.#closing.signal)
      if (outcome !== 'older') this.#remember(name, { ...writtenOf(token), isRefused: false })
      if (outcome === 'written') this.#record.wrote()
      this.#succeeded(name)
    } catch (thrown) {
      if (this.#closing.signal.aborted) return
      const version = token?.version ?? null
      const isOver = waiting.wanted === 'absent' && waiting.failures >= removalTriesMax
      if (!(thrown instanceof SinkRefusal) && !isOver) {
        this.#failed(name, { waiting, version, message: messageOf(thrown) })
        return
      }
      if (token !== null) this.#remember(name, { ...writtenOf(token), isRefused: true })
      this.#record.drop(name, { version, reason: 'refused', message: messageOf(thrown) })
      this.#untrouble(name)
    }
  }

  /** Undefined when the store cannot say: the source waits again, and the sink is not to blame. */
  async #read(name: string, waiting: Waiting): Promise<SinkToken | null | undefined> {
    try {
      return await this.#options.read(name)
    } catch {
      this.#wait(name, waiting, { ...waiting, at: this.#options.env.clock.monotonic() + readAgainMs })
      return undefined
    }
  }

  /** What was delivered, refused, or is behind what was delivered, is not delivered (again). */
  #isDone(name: string, token: SinkToken): boolean {
    const remembered = this.#remembered.get(name)
    if (remembered === undefined) return false
    const written = writtenOf(token)
    if (isOlder(written, remembered)) return true
    const isSame = written.version === remembered.version && written.issuedAtSeconds === remembered.issuedAtSeconds
    return isSame && (remembered.isRefused || this.#options.sink.recheckMs === null)
  }

  #remember(name: string, remembered: Remembered): void {
    this.#remembered.delete(name)
    this.#remembered.set(name, remembered)
    if (this.#remembered.size <= rememberedMax) return
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest)
      return
    }
  }

  /** Where each version is a message of its own, one that failed and is not the newest any more is lost. */
  #settleEarlier(name: string, { failedVersion }: Waiting, token: SinkToken | null): void {
    if (failedVersion === null || this.#options.sink.recheckMs !== null) return
    if (token === null) this.#record.drop(name, { version: failedVersion, reason: 'expired' })
    else if (token.version !== failedVersion) {
      this.#record.drop(name, { version: failedVersion, reason: 'superseded' })
    }
  }

  #wait(name: string, waiting: Waiting, later: Omit<Waiting, 'wanted'>): void {
    // It may have been touched while it was under way.
    const wanted = this.#ready.get(name)?.wanted ?? waiting.wanted
    this.#ready.delete(name)
    this.#later.set(name, { ...later, wanted })
    this.#laterAt = Math.min(this.#laterAt, later.at)
  }

  #failed(
    name: string,
    {
      waiting,
      version,
      message,
    }: { readonly waiting: Waiting; readonly version: number | null; readonly message: string },
  ): void {
    const { env } = this.#options
    const failures = waiting.failures + 1
    this.#record.failed(name, message)
    if (this.#failedInRow.size < awayAfter) this.#failedInRow.add(name)
    const now = env.clock.monotonic()
    const chance = env.random.next()
    if (this.#isAway) this.#probeAt = now + backoffMs(this.#record.failures - awayAfter + 1, retry, chance)
    this.#wait(name, waiting, { failures, failedVersion: version, at: now + backoffMs(failures, retry, chance) })
  }

  #succeeded(name: string): void {
    // It is not away: whoever waits behind the failed tries goes at once.
    this.#failedInRow.clear()
    this.#record.worked()
    this.#untrouble(name)
  }

  #untrouble(name: string): void {
    // What was away may have lost what it had.
    if (this.#record.settle(name) && this.#options.sink.recheckMs !== null) this.#isSweepWanted = true
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : 'it failed'
}
