/**
 * Watches over grants that platforms push: a ticket that does not come is noticed before what was got with it has ended.
 *
 * After twice its pace the silence is told, once, by one of all nodes; and the platform is asked to push again, where it can
 * be asked, as it is when there is no grant that is any good. Both are agreed upon by a write of the entry: whoever makes
 * it, tells or asks, and while the store cannot be written nobody does. A node that dies between the two costs one silence
 * its telling, or ten minutes until the platform is asked.
 */
import { deadline, until } from '../base/env.ts'
import { wakeAt } from '../model/decide.ts'
import type { Silence } from '../model/entry.ts'
import type { Attempt, Failure } from '../model/failure.ts'
import { lacksGrant } from '../model/grant.ts'
import type { Source } from '../model/source.ts'
import type { Call } from '../providers/provider.ts'
import { lookUp, tell, type Found, type Room } from './room.ts'

/** Null when the platform was asked, undefined where it cannot be. */
export type AskForPush = (
  source: Source,
  call: Call,
) => Promise<Exclude<Attempt, { outcome: 'issued' }> | null | undefined>

/** How often the grants are looked at, in milliseconds. */
const lookMs = 60_000
/** A refusal is looked into when it has been written, in milliseconds. */
const heedMs = 1_000
/** A platform is asked to push no more often than this, in milliseconds. */
const askAgainMs = 600_000
/** A push that is this many times its pace away is late. */
const lateAfter = 2
const racesMax = 5

export class WatchGrants {
  readonly #room: Room
  readonly #askForPush: AskForPush
  /** Since when this node has known a source, by the store's clock: silence of before says nothing about the platform. */
  readonly #since = new Map<string, number>()
  /** Kinds whose platform cannot be asked. */
  readonly #mute = new Set<string>()
  #wake = new AbortController()
  #isHeeding = false

  constructor(room: Room, askForPush: AskForPush) {
    this.#room = room
    this.#askForPush = askForPush
  }

  /** The platform refused a source, perhaps for its grant: it is looked at soon. */
  heed(name: string): void {
    if (!isPushed(this.#room.book.find(name))) return
    this.#isHeeding = true
    this.#wake.abort('woken')
  }

  /** Runs until the node stops. */
  async run(): Promise<void> {
    const { clock } = this.#room.env
    const { stopping } = this.#room
    while (!stopping.aborted) {
      await this.#lookAtAll()
      this.#wake = new AbortController()
      const signal = AbortSignal.any([this.#wake.signal, stopping])
      if (!this.#isHeeding) await clock.sleep(lookMs, signal)
      if (!this.#isHeeding) continue
      this.#isHeeding = false
      await clock.sleep(heedMs, stopping)
    }
  }

  async #lookAtAll(): Promise<void> {
    // Of many sources that were added while running, the definitions come and go; what was met once is looked at again.
    const met = this.#room.book.known().filter(isPushed)
    for (const name of new Set([...met.map((source) => source.name), ...this.#since.keys()])) {
      if (this.#room.stopping.aborted) return
      try {
        await this.#look(name)
      } catch {
        // No store at the moment, which is told elsewhere; what cannot be agreed upon is not done.
      }
    }
  }

  async #look(name: string): Promise<void> {
    for (let race = 0; race < racesMax; race += 1) {
      const found = await lookUp(this.#room, name)
      if (found === null || !isPushed(found.source)) {
        this.#since.delete(name)
        return
      }
      const now = this.#room.time.now()
      const newest = found.entry.grants?.find(({ identity }) => identity === found.source.identity)
      const given = newest?.at ?? 0
      const since = this.#since.get(name) ?? now
      this.#since.set(name, since)
      const lateMs = now - Math.max(given, since)
      const pace = found.source.semantics.grant?.pushedEveryMs ?? Infinity
      const isLate = lateMs > lateAfter * pace
      const tells = isLate && found.entry.silence?.toldOf !== given
      // A newer one was pushed, perhaps, and never came here.
      const isRefused = newest?.refusedAt !== undefined
      const asks = (isLate || isRefused || lacksGrant(found.source, found.entry, now)) && this.#mayAsk(found, now)
      if (!tells && !asks) return
      const silence: Silence = {
        ...found.entry.silence,
        ...(tells ? { toldOf: given } : {}),
        ...(asks ? { askedAt: now } : {}),
      }
      if (!(await this.#write(found, silence))) continue
      if (tells) tell(this.#room, 'push-late', name, { lateMs: Math.round(now - (given === 0 ? since : given)) })
      if (asks) await this.#ask(found.source)
      return
    }
  }

  #mayAsk({ source, entry }: Found, now: number): boolean {
    const askedAt = entry.silence?.askedAt
    return !this.#mute.has(source.kind) && (askedAt === undefined || Math.abs(now - askedAt) >= askAgainMs)
  }

  async #write({ source, entry, revision }: Found, silence: Silence): Promise<boolean> {
    const { store, views } = this.#room
    const changed = { ...entry, silence }
    const written = await store.write(source.name, { entry: changed, dueAt: wakeAt(changed) }, revision)
    if (written !== null && views.has(source.name)) views.learn(source, changed, written)
    return written !== null
  }

  async #ask(source: Source): Promise<void> {
    const { env, stopping } = this.#room
    const time = deadline(env.clock, source.policy.timeoutMs, stopping)
    const proxy = source.policy.proxy === undefined ? {} : { proxy: source.policy.proxy }
    try {
      const call: Call = { env, signal: time.signal, force: false, inputs: new Map(), ...proxy }
      const answer = await until(this.#askForPush(source, call), time.signal)
      if (answer === undefined) this.#mute.add(source.kind)
      else tell(this.#room, 'push-asked', source.name, { failure: answer?.failure ?? null })
    } catch {
      if (!stopping.aborted) tell(this.#room, 'push-asked', source.name, { failure: noAnswer })
    } finally {
      time.done()
    }
  }
}

const noAnswer: Failure = { code: 'upstream_timeout', message: 'no answer in time' }

function isPushed(source: Source | undefined): boolean {
  return source?.semantics.grant?.pushedEveryMs !== undefined
}
