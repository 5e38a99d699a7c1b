/**
 * One node of a run: the real keeper and HTTP surfaces, in a world where every wait, store call and request may be the
 * last thing the process does. A crashed process simply never hears an answer again; a paused one hears it late.
 */
import type { Env } from '../../src/base/env.ts'
import { createBus } from '../../src/events/bus.ts'
import { createAccess } from '../../src/access/access.ts'
import { createHandler, type Handler } from '../../src/http/server.ts'
import type { Keeper } from '../../src/keeper/keeper.ts'
import { openKeeper } from '../../src/keeper/open-keeper.ts'
import type { ZhongkongEvent } from '../../src/model/event.ts'
import { issue, parseSource, probe } from '../../src/providers/catalogue.ts'
import type { FaultKind } from './faults.ts'
import { clients } from './keys.ts'
import { storeLost, storeOf } from './shared-store.ts'
import { probePath } from './network.ts'
import type { World } from './world.ts'

/** Never settles: what a dead process waits for. */
const never = new Promise<never>(() => undefined)

type Life = { readonly node: string; isOver: boolean; attempted: number; requests: number }

export class SimulatedNode {
  readonly index: number
  readonly #world: World
  #life: Life | null = null
  #lives = 0
  #pausedUntil = 0
  keeper: Keeper | null = null
  handler: Handler | null = null
  wallOffset = 0
  #rate = 1
  /** The monotonic clock at the instant since which it has run at its present rate. */
  #steady = { at: 0, reading: 0 }
  isOffline = false
  isPartitioned = false
  /** When the store last failed this node, kept it waiting, or the node itself stood still. */
  #cutOffAt = -Infinity

  constructor(world: World, index: number) {
    this.#world = world
    this.index = index
    this.wallOffset = world.chance.between(-3_600_000, 3_600_000)
  }

  reconnect(): void {
    this.isOffline = false
    this.isPartitioned = false
  }

  /** How fast this node's monotonic clock runs, from now on. */
  setRate(rate: number): void {
    this.#steady = { at: this.#world.time.now(), reading: this.#monotonic() }
    this.#rate = rate
  }

  #monotonic(): number {
    return this.#steady.reading + (this.#world.time.now() - this.#steady.at) * this.#rate
  }

  /** Whether this node may have missed what others wrote within the last `ms`. */
  wasCutOff(ms: number): boolean {
    const isNow = this.isPartitioned || this.#world.store.isDown || this.isPaused
    return isNow || this.#cutOffAt > this.#world.time.now() - ms
  }

  #cutOffUntil(at: number): void {
    this.#cutOffAt = Math.max(this.#cutOffAt, at)
  }

  get isPaused(): boolean {
    return this.#pausedUntil > this.#world.time.now()
  }

  /** The name of the running process. */
  get process(): string | null {
    return this.#life?.node ?? null
  }

  async start(): Promise<void> {
    this.#lives += 1
    const life: Life = { node: `n${this.index}.${this.#lives}`, isOver: false, attempted: 0, requests: 0 }
    this.#life = life
    const env = this.#env(life)
    const bus = createBus((thrown) => this.#world.checks.fail('P-fault', `a listener threw: ${String(thrown)}`))
    bus.on((event) => this.#hear(life, event))
    const { sources } = this.#world
    try {
      const keeper = await openKeeper({
        env,
        store: storeOf(this.#world, this, (label, effect) => this.#storeCall(life, label, effect)),
        node: life.node,
        sources,
        parseSource,
        issue,
        probe,
        emit: bus.emit,
        onFault: (thrown) => this.#world.checks.fault(thrown),
      })
      if (life.isOver) return
      this.keeper = keeper
      // The file was changed while this process was starting: it hears of that as of any other change.
      if (sources !== this.#world.sources) void keeper.replaceSources(this.#world.sources)
      this.handler = createHandler({
        keeper,
        access: createAccess(clients),
        compat: { tokenboy: { allow: [] }, wechatTokenServer: null },
        env,
        metrics: {
          observe: () => undefined,
          countCallback: () => undefined,
          countCall: () => undefined,
          countLimit: () => undefined,
          watching: () => undefined,
          expose: () => Promise.resolve({ type: 'text/plain', text: '' }),
        },
        version: 'simulated',
        onFault: (thrown) => this.#world.checks.fault(thrown),
      })
    } catch {
      // The store did not answer at start; the process ends and its supervisor starts it again.
      if (!life.isOver) this.crash()
    }
  }

  /** Ends the process between two instants. It starts again after a while. */
  crash(): void {
    if (this.#life === null) return
    this.#life.isOver = true
    this.#life = null
    this.keeper = null
    this.handler = null
    for (const watcher of this.#world.store.watchers) {
      if (watcher.node === this) this.#world.store.watchers.delete(watcher)
    }
    this.#world.time.after(this.#world.chance.between(500, 60_000), () => void this.start())
  }

  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#world.time.now() + ms)
    this.#cutOffUntil(this.#pausedUntil)
  }

  /** Runs `go` in this process at an instant: later if it is paused, never if it has died. */
  deliver(life: Life, at: number, go: () => void): () => void {
    let cancel: () => void = () => undefined
    const arrive = (): void => {
      if (life.isOver) return
      if (this.#pausedUntil > this.#world.time.now()) cancel = this.#world.time.at(this.#pausedUntil, arrive)
      else go()
    }
    cancel = this.#world.time.at(at, arrive)
    return () => cancel()
  }

  /** A message to the process as it is now; nothing when it is dead. */
  notify(at: number, go: () => void): void {
    if (this.#life !== null) this.deliver(this.#life, at, go)
  }

  #env(life: Life): Env {
    const { time, chance } = this.#world
    this.#steady = { at: time.now(), reading: 0 }
    return {
      clock: {
        now: () => time.now() + this.wallOffset,
        monotonic: () => this.#monotonic(),
        sleep: (ms, signal) => this.#sleep(life, ms, signal),
      },
      random: chance,
      fetch: (request) => this.#fetch(life, request),
    }
  }

  async #sleep(life: Life, ms: number, signal?: AbortSignal): Promise<void> {
    if (life.isOver) return await never
    if (signal?.aborted) return
    // As setTimeout does: at least a millisecond, and what is no number fires at once.
    const bounded = Math.min(Math.max(Number.isFinite(ms) ? ms : 1, 1), 60_000)
    if (ms < 1 && ms >= 0) this.#world.checks.shortSleep(this)
    await new Promise<void>((resolve) => {
      const cancel = this.deliver(life, this.#world.time.now() + bounded / this.#rate, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = (): void => {
        cancel()
        resolve()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** One call to the store: on its way there, done, on its way back; each leg may be the last. */
  async #storeCall<T>(life: Life, label: string, effect: () => T): Promise<T> {
    if (life.isOver) return await never
    const world = this.#world
    if (this.#dies(`store ${label} before`)) return await never
    const thereMs = this.#isSlow('store-slow') ? world.chance.between(200, 1_500) : world.chance.between(0.2, 3)
    const backMs = this.#isSlow('store-answer-slow') ? world.chance.between(200, 8_000) : 0
    const isLost = this.#strikes('store-answer-lost')
    return await new Promise<T>((resolve, reject) => {
      const lose = (ms: number): void => {
        this.#cutOffUntil(world.time.now() + ms)
        this.deliver(life, world.time.now() + ms, () => reject(storeLost()))
      }
      world.time.after(thereMs, () => {
        if (world.store.isDown || this.isPartitioned) {
          lose(this.isPartitioned ? 1_900 : 5)
          return
        }
        const result = effect()
        if (!life.isOver && this.#dies(`store ${label} after`)) return
        // The lease runs while its holder sleeps.
        if (label === 'write:lease' && this.#strikes('pause-with-lease'))
          this.pause(world.chance.between(3_000, 60_000))
        if (isLost) lose(1_900)
        else if (backMs > 0) this.deliver(life, world.time.now() + backMs, () => resolve(result))
        else if (this.isPaused || world.chance.is(0.2)) {
          this.deliver(life, world.time.now() + world.chance.between(0.2, 3), () => resolve(result))
        } else if (!life.isOver) resolve(result)
      })
    })
  }

  /** Whether one leg of a store call takes long. */
  #isSlow(kind: 'store-slow' | 'store-answer-slow'): boolean {
    if (!this.#strikes(kind)) return false
    this.#cutOffUntil(this.#world.time.now() + 10_000)
    return true
  }

  async #fetch(life: Life, request: Request): Promise<Response> {
    if (life.isOver) return await never
    const label = `request ${new URL(request.url).pathname}`
    const isProbe = new URL(request.url).pathname.endsWith(probePath)
    if (!isProbe) life.requests += 1
    const trip = isProbe ? this.#world.network.probe(this, request) : this.#world.network.send(this, request)
    // When the process dies, nobody is left to hear how the request ended.
    trip.catch(() => undefined)
    if (this.#dies(`${label} after sending`)) return await never
    return await new Promise<Response>((resolve, reject) => {
      const onAbort = (): void => reject(request.signal.reason as Error)
      request.signal.addEventListener('abort', onAbort, { once: true })
      trip.then(
        (response) => this.deliver(life, this.#world.time.now(), () => this.#land(label, () => resolve(response))),
        (error: unknown) =>
          this.deliver(life, this.#world.time.now(), () =>
            this.#land(label, () => reject(error instanceof Error ? error : new Error('unknown'))),
          ),
      )
    })
  }

  #land(label: string, go: () => void): void {
    if (!this.#dies(`${label} answered`)) go()
  }

  #hear(life: Life, event: ZhongkongEvent): void {
    if (event.type === 'attempted') life.attempted += 1
    this.#world.checks.heard(this, event)
    if (event.type === 'rotated') this.#world.onRotated(this, event.name)
  }

  /** The books of a process that is still running: requests sent, attempts told. */
  get books(): { requests: number; attempted: number } | null {
    return this.#life === null ? null : { requests: this.#life.requests, attempted: this.#life.attempted }
  }

  /** The worst moment to die: the upstream has issued, and nobody will ever know. */
  mayDieInFlight(path: string): void {
    this.#dies(`request ${path} issued`, 'crash-in-flight')
  }

  /** Whether this is where the process dies. */
  #dies(point: string, kind: 'crash' | 'crash-in-flight' = 'crash'): boolean {
    this.#world.coverage.pass(point)
    if (!this.#strikes(kind)) return false
    this.#world.coverage.die(point)
    this.#world.trace(() => `${this.process ?? '?'} dies at ${point}`)
    this.crash()
    return true
  }

  #strikes(kind: FaultKind): boolean {
    return this.#world.strikes(kind)
  }
}
