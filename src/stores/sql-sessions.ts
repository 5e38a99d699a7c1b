/**
 * The connections to an SQL server: a few, each used by one call at a time, opened when they are needed. They are made to
 * the first host that can be written, beginning with the one that was it the last time.
 */
import type { Kysely } from 'kysely'
import type { DatabaseHost } from '../base/database-url.ts'
import { deadline, until, type Clock } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import { NotWritable } from './sql-failure.ts'
import type { Tables } from './sql-schema.ts'

/** One connection. */
export type SqlSession = {
  readonly db: Kysely<Tables>
  /** When it was made. False for a copy that only follows, and for a server that was told to take no writes. */
  readonly isWritable: boolean
  /** What people should know of the server's settings. */
  readonly warnings: readonly Text[]
  /** False once the connection is known to be gone. */
  isUsable(): boolean
  /** Ends it at once, whatever is under way; that fails. */
  cut(): void
  /** Takes leave of the server. Call it when nothing is under way. */
  end(): Promise<void>
}

export type SqlSessionsOptions = {
  readonly clock: Clock
  readonly hosts: readonly DatabaseHost[]
  /** A connection that nobody wanted for so long is taken leave of, in milliseconds. */
  readonly idleMsMax: number
  readonly connect: (host: DatabaseHost, signal: AbortSignal) => Promise<SqlSession>
}

/** Connections of one node. Writes take one after the other, so all but one are for readers. */
const sessionsMax = 8
/** More than this never waits for a connection. */
const waitingMax = 20_000
/** A farewell takes no longer, in milliseconds. */
const farewellMsMax = 300
/** One address may lead to several servers. So long a connection to a copy is used before another is made, in milliseconds. */
const copyMsMax = 3_000

export class SqlSessions {
  readonly #clock: Clock
  readonly #hosts: readonly DatabaseHost[]
  readonly #idleMsMax: number
  readonly #connect: SqlSessionsOptions['connect']
  /** Free ones, the last used last. */
  #idle: { readonly session: SqlSession; readonly since: number }[] = []
  #places = sessionsMax
  #waiting: (() => void)[] = []
  #first = 0
  /** Raised when connections made until now are of no use any more; those in use are cut when they are given back. */
  #era = 0
  readonly #made = new WeakMap<SqlSession, { readonly era: number; readonly at: number }>()

  constructor(options: SqlSessionsOptions) {
    this.#clock = options.clock
    this.#hosts = options.hosts
    this.#idleMsMax = options.idleMsMax
    this.#connect = options.connect
  }

  get hasSeveralHosts(): boolean {
    return this.#hosts.length > 1
  }

  /** A connection for one call, by `endsAt` (monotonic) at the latest; `release` or `discard` must follow. */
  async acquire(signal: AbortSignal, endsAt: number): Promise<SqlSession> {
    await this.#takePlace(signal)
    try {
      return this.#takeIdle() ?? (await this.open(signal, endsAt))
    } catch (error) {
      this.#givePlace()
      throw error
    }
  }

  release(session: SqlSession): void {
    if (this.#isOfUse(session)) this.#idle.push({ session, since: this.#clock.monotonic() })
    else session.cut()
    for (let oldest = this.#idle[0]; oldest !== undefined; oldest = this.#idle[0]) {
      if (this.#clock.monotonic() - oldest.since <= this.#idleMsMax) break
      this.#idle.shift()
      void this.#farewell(oldest.session)
    }
    this.#givePlace()
  }

  discard(session: SqlSession): void {
    session.cut()
    this.#givePlace()
  }

  /** The server that they lead to is not the one to talk to any more. */
  leave(): void {
    this.#era += 1
    for (const { session } of this.#idle.splice(0)) session.cut()
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map(async ({ session }) => await this.#farewell(session)))
  }

  /** A connection that is not counted, to be ended by whoever asked for it. */
  async open(signal: AbortSignal, endsAt: number): Promise<SqlSession> {
    let failure: unknown = new ZhongkongError('internal', 'a database without a host')
    const first = this.#first
    for (let tried = 0; tried < this.#hosts.length; tried += 1) {
      const index = (first + tried) % this.#hosts.length
      const host = this.#hosts[index]
      if (host === undefined) break
      // A host that does not answer leaves the others their share of the time.
      const share = (endsAt - this.#clock.monotonic()) / (this.#hosts.length - tried)
      const limit = deadline(this.#clock, Math.max(0, share), signal)
      try {
        const session = await this.#connect(host, limit.signal)
        if (session.isWritable || !this.hasSeveralHosts) {
          if (this.#first !== index) this.leave()
          this.#first = index
          this.#made.set(session, { era: this.#era, at: this.#clock.monotonic() })
          return session
        }
        session.cut()
        failure = new NotWritable()
      } catch (error) {
        if (signal.aborted) throw error
        if (!(failure instanceof NotWritable)) failure = error
      } finally {
        limit.done()
      }
    }
    throw failure
  }

  #takeIdle(): SqlSession | null {
    for (;;) {
      const session = this.#idle.pop()?.session
      if (session === undefined) return null
      if (this.#isOfUse(session)) return session
      session.cut()
    }
  }

  #isOfUse(session: SqlSession): boolean {
    const made = this.#made.get(session)
    if (made?.era !== this.#era || !session.isUsable()) return false
    return session.isWritable || this.#clock.monotonic() - made.at < copyMsMax
  }

  async #takePlace(signal: AbortSignal): Promise<void> {
    if (this.#places > 0) {
      this.#places -= 1
      return
    }
    if (this.#waiting.length >= waitingMax) {
      throw new ZhongkongError('store_unavailable', `${waitingMax} calls already wait for the store`)
    }
    let given: () => void = () => undefined
    const turn = new Promise<void>((resolve) => {
      given = resolve
      this.#waiting.push(given)
    })
    try {
      await until(turn, signal)
    } catch (error) {
      const place = this.#waiting.indexOf(given)
      if (place === -1) this.#givePlace()
      else this.#waiting.splice(place, 1)
      throw error
    }
  }

  #givePlace(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#places += 1
    else next()
  }

  async #farewell(session: SqlSession): Promise<void> {
    const limit = deadline(this.#clock, farewellMsMax)
    try {
      await until(session.end(), limit.signal)
    } catch {
      // It is gone already, or too slow to say so.
    } finally {
      limit.done()
      session.cut()
    }
  }
}
