/**
 * Waits at upstreams that say when they have another token, one wait for each source and node. What is heard makes the
 * source due at once; the token itself is fetched as always, under a lease, by one node.
 *
 * A wait holds no lease: it changes nothing upstream, and a lease of half a minute would keep reports waiting. What it
 * fails with is not told from here either: the source is made due, and the attempt says why.
 */
import { backoffMs } from '../base/backoff.ts'
import { deadline, until } from '../base/env.ts'
import { tokenOf, wakeAt } from '../model/decide.ts'
import type { Source } from '../model/source.ts'
import type { Call, Heard, Held } from '../providers/provider.ts'
import type { KeepFresh } from './keep-fresh.ts'
import { heldOf } from './refresh.ts'
import { lookUp, type Room } from './room.ts'

export type WatchUpstream = (source: Source, call: Call & { readonly held: Held }, waitMs: number) => Promise<Heard>

/** How long one wait at an upstream lasts, in milliseconds. */
const waitMs = 20_000
/** How often it is looked for sources that nobody waits for yet, and for a token to wait with, in milliseconds. */
const lookMs = 1_000
/** The least time from one wait to the next, in milliseconds, should an upstream not let us wait. */
const paceMs = 500
/** Waits at the same time, so many connections; sources beyond that are asked on schedule only. */
const waitsMax = 1_000
/** A single failure may be a restart over there; from the second on the source is made to say what is wrong. */
const failuresMax = 2
const racesMax = 5

/** An upstream that is away is looked for often, so that a rotation meanwhile is not missed for long. */
const failedBackoff = { baseMs: 1_000, capMs: 5_000 }
/** One that refuses goes on refusing until somebody changes something, and may count the wrong keys. */
const refusedBackoff = { baseMs: 5_000, capMs: 60_000 }

export class WatchUpstreams {
  readonly #room: Room
  readonly #fresh: KeepFresh
  readonly #watch: WatchUpstream
  readonly #waiting = new Set<string>()

  constructor(room: Room, fresh: KeepFresh, watch: WatchUpstream) {
    this.#room = room
    this.#fresh = fresh
    this.#watch = watch
  }

  /** Runs until the node stops. */
  async run(): Promise<void> {
    const { env, stopping, background } = this.#room
    while (!stopping.aborted) {
      for (const name of this.#names()) {
        if (this.#waiting.has(name) || this.#waiting.size >= waitsMax) continue
        this.#waiting.add(name)
        background(this.#follow(name).finally(() => this.#waiting.delete(name)))
      }
      await env.clock.sleep(lookMs, stopping)
    }
  }

  /** Those of the configuration, and of the others those that are being read here. */
  *#names(): Generator<string> {
    const { book, views } = this.#room
    for (const source of book.fileSources.values()) if (source.semantics.announces) yield source.name
    for (const name of views.names()) if (views.get(name)?.source.semantics.announces) yield name
  }

  /** Waits for a source, again and again, as long as it announces. */
  async #follow(name: string): Promise<void> {
    const { env, time, stopping } = this.#room
    for (let failures = 0; !stopping.aborted;) {
      const found = await lookUp(this.#room, name).catch(() => 'no store' as const)
      if (found === null) return
      const held = found === 'no store' ? null : heldOf(found.source, found.entry, time.now())
      if (found === 'no store' || held === null) {
        await env.clock.sleep(lookMs, stopping)
        continue
      }
      if (!found.source.semantics.announces) return
      const startedAt = env.clock.monotonic()
      // One that was away is only looked for: its first answer counts, not its next token.
      const wasAway = isAway(found.entry.trouble?.class)
      const heard = await this.#wait(found.source, held, wasAway ? 0 : waitMs)
      if (heard === 'failed' || heard === 'refused') {
        failures += 1
        if (failures >= failuresMax && found.entry.trouble === null) await this.#makeDue(name, held, 'in turn')
        const backoff = heard === 'failed' ? failedBackoff : refusedBackoff
        await env.clock.sleep(backoffMs(failures, backoff, env.random.next()), stopping)
        continue
      }
      failures = 0
      // An upstream that answers again is asked at once, whatever wait its failures have earned it.
      if (heard === 'changed' || wasAway) await this.#makeDue(name, held, 'at once')
      await env.clock.sleep(startedAt + paceMs - env.clock.monotonic(), stopping)
    }
  }

  async #wait(source: Source, held: Held, ms: number): Promise<Heard> {
    const time = deadline(this.#room.env.clock, ms + source.policy.timeoutMs, this.#room.stopping)
    const { proxy } = source.policy
    const call = { env: this.#room.env, signal: time.signal, force: false, inputs: new Map(), held }
    try {
      const heard = this.#watch(source, proxy === undefined ? call : { ...call, proxy }, ms)
      return await until(heard, time.signal)
    } catch {
      return 'failed'
    } finally {
      time.done()
    }
  }

  /** Makes the source due and looks at it, unless its token is another one by now. */
  async #makeDue(name: string, held: Held, when: 'at once' | 'in turn'): Promise<void> {
    try {
      for (let race = 0; race < racesMax; race += 1) {
        const found = await lookUp(this.#room, name)
        if (found === null || tokenOf(found.source, found.entry)?.value !== held.token) return
        const now = this.#room.time.now()
        const { entry, revision } = found
        const dueAt = Math.min(entry.dueAt, now)
        const nextTry = when === 'at once' ? Math.min(entry.nextTry, now) : entry.nextTry
        const due = { ...entry, dueAt, nextTry }
        const isDue = dueAt === entry.dueAt && nextTry === entry.nextTry
        if (!isDue && (await this.#room.store.write(name, { entry: due, dueAt: wakeAt(due) }, revision)) === null)
          continue
        await until(this.#fresh.tendNow(name), this.#room.stopping)
        return
      }
    } catch {
      // The store does not answer, or the node stops. What was heard is heard again by the next wait.
    }
  }
}

/** Failures after which an answer is news. */
function isAway(trouble: string | undefined): boolean {
  return trouble === 'not-sent' || trouble === 'unknown' || trouble === 'transient'
}
