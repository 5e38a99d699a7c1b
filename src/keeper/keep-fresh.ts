/**
 * The loop that keeps sources fresh: a sweep asks the store what will be due soon and what has changed, the due queue
 * wakes each source at its instant, and one flight per source looks at it.
 *
 * The queue holds the near future only, so memory does not grow with the number of sources that exist. Every node
 * sweeps; the lease decides who refreshes.
 */
import { SingleFlight } from '../base/single-flight.ts'
import { ZhongkongError } from '../base/errors.ts'
import { decide, wakeAt } from '../model/decide.ts'
import { DueQueue } from './due-queue.ts'
import type { Refused, Tended } from './attempt.ts'
import { NeededTokens } from './needed-tokens.ts'
import { isSound, tend } from './refresh.ts'
import { lookUp, released, type Found, type Room } from './room.ts'

/** How often the store is asked what changed, in milliseconds, even when nothing was announced. */
const sweepMs = 20_000
/** How often it is asked what will be due, in milliseconds: oftener than any lease lasts, so that none ends unseen. */
const dueMs = 5_000
/** How far ahead the due queue looks, in milliseconds: several times that, so that nothing falls between two. */
const horizonMs = 3 * dueMs
/** Announced changes are read no more often than this, in milliseconds. */
const newsMs = 25
/** While the store does not answer, it is tried again this often, in milliseconds. */
const lostSweepMs = 2_000
const pageSize = 500
/** A queue this long is worked off before more is read into it. */
const queueMax = 20_000
/** Sources that one node refreshes on schedule at the same time. */
const flightsMax = 64
/** Views that nobody read for one to two of these are dropped, in milliseconds. */
const idleMs = 1_800_000
/** How often every source of the configuration is looked up, to mend rows that were deleted by hand, in milliseconds. */
const mendMs = 600_000

export class KeepFresh {
  readonly #room: Room
  readonly #queue = new DueQueue()
  readonly #flights = new SingleFlight<Tended>()
  readonly #needed: NeededTokens
  /** Sources waiting for a token of another one. */
  readonly #blockedBy = new Map<string, Set<string>>()
  readonly #onRefused: (refused: Refused) => Promise<void>
  #scheduled = 0
  #cursor: string | null = null
  #wake = new AbortController()
  #sweepAt = 0
  #dueAt = 0
  #hasNews = false
  #newsAt = 0
  #idleAt: number
  #mendAt: number
  #isReady = false

  constructor(room: Room, onRefused: (refused: Refused) => Promise<void>) {
    this.#room = room
    this.#onRefused = onRefused
    this.#needed = new NeededTokens(room, (name) => this.tendNow(name))
    this.#idleAt = room.env.clock.monotonic() + idleMs
    this.#mendAt = room.env.clock.monotonic() + mendMs
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** Looks at a source now; callers that come meanwhile share the look. */
  tendNow(name: string): Promise<Tended> {
    return this.#flights.join(name, async () => {
      try {
        const tended = await tend(this.#room, name, this.#needed.take)
        this.#after(name, tended)
        return tended
      } catch (thrown) {
        this.#queue.add(name, this.#room.time.now() + 1_000 + 1_000 * this.#room.env.random.next())
        throw thrown
      }
    })
  }

  /** Makes the loop look at a source soon. */
  poke(name: string): void {
    this.#queue.add(name, this.#room.time.now())
    this.#wakeUp()
  }

  /** First look at the store. Throws when it does not answer. */
  async open(): Promise<void> {
    await this.#room.time.look()
    this.#cursor = (await this.#room.store.changes(null, 1)).cursor
  }

  /** Runs until the node stops. */
  async run(): Promise<void> {
    const { clock } = this.#room.env
    const stopWatching = this.#room.store.watch(() => {
      this.#hasNews = true
      this.#wakeUp()
    })
    try {
      this.#room.background(this.adopt([...this.#room.book.fileSources.keys()]))
      while (!this.#room.stopping.aborted) {
        if (this.#wake.signal.aborted) this.#wake = new AbortController()
        if (clock.monotonic() >= this.#sweepAt) await this.#sweep()
        else if (this.#hasNews && clock.monotonic() >= this.#newsAt) await this.#readNews()
        else if (clock.monotonic() >= this.#dueAt) await this.#asked(() => this.#takeDue())
        this.#work()
        const pause = this.#pauseMs(clock.monotonic())
        if (pause > 0 && !this.#wake.signal.aborted) await clock.sleep(Math.max(pause, 1), this.#wake.signal)
      }
    } finally {
      stopWatching()
    }
  }

  /** Until there is something to do, in milliseconds. */
  #pauseMs(now: number): number {
    const nextDue = this.#scheduled >= flightsMax ? null : this.#queue.nextAt()
    const untilDue = nextDue === null ? sweepMs : nextDue - this.#room.time.now()
    const untilNews = this.#hasNews ? this.#newsAt - now : sweepMs
    return Math.min(untilDue, untilNews, this.#sweepAt - now, this.#dueAt - now)
  }

  /** Ends the loop's sleep; used when the node stops, too. */
  #wakeUp(): void {
    // With a reason of ours: without one, each abort makes a DOMException with its stack.
    this.#wake.abort('woken')
  }

  /** Resolves when no flight is in the air. */
  async land(): Promise<void> {
    this.#wakeUp()
    await this.#flights.settled()
  }

  /** Sees to it that sources of the configuration have entries, and takes up those that are due. */
  async adopt(names: readonly string[]): Promise<void> {
    const queue = [...names]
    const worker = async (): Promise<void> => {
      for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
        if (this.#room.stopping.aborted) return
        try {
          const found = await lookUp(this.#room, name).catch(nullIfBroken)
          if (found !== null && isDueSoon(found, this.#room.time.now())) this.poke(name)
        } catch {
          // No store at the moment: the next sweep that succeeds after an outage adopts everything again.
          this.#mendAt = 0
          return
        }
      }
    }
    await Promise.all(Array.from({ length: 32 }, worker))
    this.#isReady = true
  }

  /** Something changed somewhere. Changes that come in quick succession are read together. */
  async #readNews(): Promise<void> {
    this.#newsAt = this.#room.env.clock.monotonic() + newsMs
    await this.#asked(() => this.#takeChanges())
  }

  /** Asks the store something between two sweeps. */
  async #asked(ask: () => Promise<void>): Promise<void> {
    try {
      await ask()
    } catch (thrown) {
      this.#room.outage.begin(thrown)
      this.#sweepAt = this.#room.env.clock.monotonic() + lostSweepMs
    }
  }

  async #sweep(): Promise<void> {
    const { clock } = this.#room.env
    this.#sweepAt = clock.monotonic() + sweepMs
    try {
      await this.#room.time.look()
      await this.#takeChanges()
      await this.#takeDue()
      if (!this.#room.outage.canWrite) await this.#tryToWrite()
      this.#room.outage.answered()
    } catch (thrown) {
      this.#room.outage.begin(thrown)
      this.#sweepAt = clock.monotonic() + lostSweepMs * (0.5 + this.#room.env.random.next() / 2)
      return
    }
    if (clock.monotonic() >= this.#idleAt) {
      this.#idleAt = clock.monotonic() + idleMs
      this.#room.views.forgetIdle()
    }
    if (clock.monotonic() >= this.#mendAt) {
      this.#mendAt = clock.monotonic() + mendMs
      this.#room.background(this.adopt([...this.#room.book.fileSources.keys()]))
    }
  }

  /** Writes an entry as it is. Nothing may be due for long, and until something is written nobody knows that it can be. */
  async #tryToWrite(): Promise<void> {
    for (const name of [...this.#room.book.fileSources.keys(), ...this.#room.views.names()]) {
      const found = await lookUp(this.#room, name).catch(nullIfBroken)
      if (found === null) continue
      const { entry, revision } = found
      await this.#room.store.write(name, { entry, dueAt: wakeAt(entry) }, revision)
      return
    }
  }

  /** What other nodes (and this one) changed: views follow, and sources that wait for a token are woken. */
  async #takeChanges(): Promise<void> {
    this.#hasNews = false
    for (;;) {
      const changes = await this.#room.store.changes(this.#cursor, pageSize)
      const names = changes.reset ? [...this.#room.views.names()] : changes.changed.map(({ name }) => name)
      if (changes.reset) {
        this.#mendAt = 0
        // A store that lost its last writes has older revisions than the views, which would be deaf to it for a while.
        for (const name of names) this.#room.views.rebase(name, 0)
        this.#room.audience.miss()
      }
      const revisions = new Map(changes.changed.map(({ name, revision }) => [name, revision]))
      await Promise.all(names.map((name) => this.#follow(name, revisions.get(name))))
      this.#cursor = changes.cursor
      if (changes.more) continue
      this.#room.time.follow()
      return
    }
  }

  async #follow(name: string, revision: number | undefined): Promise<void> {
    const view = this.#room.views.get(name)
    // A row of the configuration that was deleted by hand is put back when its removal is heard of; while an attempt is
    // in the air, its end does that, with the answer in it.
    const mayBeLost = this.#room.book.fileSources.has(name) && this.#flights.current(name) === undefined
    // A look that is under way may be about to make a view of what was there before.
    const isLookedAt = this.#room.reads.current(name) !== undefined
    const isWanted = view === undefined && this.#room.audience.wants(name)
    const isOfInterest = view !== undefined || this.#blockedBy.has(name) || mayBeLost || isLookedAt || isWanted
    if (!isOfInterest) return
    if (view !== undefined && revision === view.revision) return
    let found = await lookUp(this.#room, name)
    // Looks are shared, and one that was under way when the change was made may have seen what was before it.
    if ((found?.revision ?? 0) < (revision ?? 0)) found = await lookUp(this.#room, name)
    if (found === null) {
      this.#room.views.forget(name)
      if (this.#room.audience.wants(name)) {
        this.#room.audience.hear({ type: 'removed', name, at: this.#room.env.clock.now() })
      }
      return
    }
    // A row that was deleted and put back by another node begins its revisions anew, which would seem older for long.
    if (revision !== undefined && revision < (view?.revision ?? 0)) this.#room.views.rebase(name, 0)
    // What is watched here is held here: the next change is told from this one, and whoever hears of it comes for it.
    if (view !== undefined || isWanted) this.#room.views.learn(found.source, found.entry, found.revision)
    if (isSound(found.source, found.entry, this.#room.time.now())) this.#wakeBlocked(name)
    // Whoever is asking may die over it, and only those who know of its lease are there when that ends.
    const { lease, dueAt } = found.entry
    if (lease === null && dueAt <= this.#room.time.now()) this.poke(name)
    if (lease !== null && lease.node !== this.#room.node) this.#lookAt(name, lease.until + this.#aMoment())
  }

  async #takeDue(): Promise<void> {
    this.#dueAt = this.#room.env.clock.monotonic() + dueMs
    let after: string | undefined
    const dueBefore = this.#room.time.now() + horizonMs
    while (this.#queue.size < queueMax) {
      const page = await this.#room.store.scan({
        dueBefore,
        limit: pageSize,
        ...(after === undefined ? {} : { after }),
      })
      for (const { name, entry, dueAt } of page.records) {
        // Whether its definition can be read is seen when its time has come.
        if (entry.definition === null && !this.#room.book.fileSources.has(name)) continue
        this.#queue.add(name, released(this.#room, entry) === entry ? dueAt : this.#room.time.now())
      }
      if (page.next === null) return
      after = page.next
    }
    // There is more: come back as soon as some of it is done.
    this.#dueAt = this.#room.env.clock.monotonic() + 1_000
  }

  /** Starts what is due, as far as there is room. */
  #work(): void {
    const now = this.#room.time.now()
    while (this.#scheduled < flightsMax && !this.#room.stopping.aborted) {
      const name = this.#queue.take(now)
      if (name === null) return
      this.#scheduled += 1
      const flight = this.tendNow(name)
        .then(
          () => undefined,
          () => undefined,
        )
        .finally(() => {
          this.#scheduled -= 1
          this.#wakeUp()
        })
      this.#room.background(flight)
    }
  }

  #after(name: string, tended: Tended): void {
    if (tended.kind === 'gone') return
    const now = this.#room.time.now()
    if (tended.kind === 'blocked') {
      const blocked = this.#blockedBy.get(tended.by) ?? new Set()
      this.#blockedBy.set(tended.by, blocked.add(name))
    }
    if (tended.kind === 'rotated') this.#wakeBlocked(name)
    if (tended.kind === 'failed' && tended.refused !== undefined) {
      this.#room.background(this.#onRefused(tended.refused))
    }
    const isLeased = tended.kind === 'wait' && tended.because === 'lease'
    this.#lookAt(name, Math.max(tended.until + (isLeased ? this.#aMoment() : 0), now + 1))
  }

  /** Several nodes wait for one lease; a little chance keeps them from asking in the same instant. In milliseconds. */
  #aMoment(): number {
    return 300 * this.#room.env.random.next()
  }

  /** What is far away is left to the sweeps. */
  #lookAt(name: string, at: number): void {
    if (at > this.#room.time.now() + horizonMs) return
    this.#queue.add(name, at)
    this.#wakeUp()
  }

  #wakeBlocked(name: string): void {
    const blocked = this.#blockedBy.get(name)
    if (blocked === undefined) return
    this.#blockedBy.delete(name)
    for (const waiting of blocked) this.poke(waiting)
  }
}

/** One record that cannot be opened holds up nobody else; whoever reads it is told. */
function nullIfBroken(thrown: unknown): null {
  if (thrown instanceof ZhongkongError && thrown.code === 'seal_broken') return null
  throw thrown
}

function isDueSoon({ source, entry }: Found, now: number): boolean {
  const decision = decide(source, entry, now)
  return decision.act === 'refresh' || decision.until <= now + horizonMs
}
