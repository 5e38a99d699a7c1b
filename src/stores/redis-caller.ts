/**
 * Carries out a command at the server that it belongs to: opens connections, follows where keys have moved to, and tries
 * again what was surely not done. What may have been done is tried again only when that does no harm.
 */
import type { Clock } from '../base/env.ts'
import type { RedisAddress } from '../base/redis-url.ts'
import { describe, endingBy, RedisLost, RedisRefusal, type RedisConnection } from './redis-connection.ts'
import type { Reply } from './redis-reply.ts'
import type { Connect, RedisTopology } from './redis-topology.ts'

export type Call = {
  readonly slot: number
  /** Writes may have a connection of their own, on which they may wait for replicas. */
  readonly lane: 'main' | 'writes'
  /** Doing it twice is as good as once. */
  readonly isRepeatable: boolean
  /** Monotonic. */
  readonly endsAt: number
  readonly work: (connection: RedisConnection) => Promise<Reply>
}

/** A server that could not be reached is left alone for so long, in milliseconds: calls meanwhile fail at once. */
const restMs = 100
/** How often a call is tried in all, and how long it waits in between, in milliseconds. */
const triesMax = 4
const pauseMs = 60

/** What servers say when a key is elsewhere, or is about to be. */
const moved = new Set(['MOVED', 'ASK', 'READONLY', 'TRYAGAIN', 'CLUSTERDOWN', 'MASTERDOWN'])

export class RedisCaller {
  readonly #clock: Clock
  readonly #connect: Connect
  readonly #topology: RedisTopology
  readonly #lines = new Map<string, ServerLine>()
  #isClosed = false

  constructor(clock: Clock, connect: Connect, topology: RedisTopology) {
    this.#clock = clock
    this.#connect = connect
    this.#topology = topology
  }

  /** Rejects with `RedisLost` or `RedisRefusal` by `call.endsAt`. */
  async call(call: Call): Promise<Reply> {
    let asked: RedisAddress | null = null
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#once(call, asked)
      } catch (error) {
        asked = null
        const isLast = tries === triesMax || this.#isClosed || this.#clock.monotonic() + pauseMs >= call.endsAt
        if (error instanceof RedisRefusal && moved.has(error.code)) {
          this.#topology.forget()
          if (error.code === 'ASK') asked = addressOf(error.message)
          if (isLast) throw error
        } else if (error instanceof RedisLost) {
          this.#topology.forget()
          if (isLast || !(error.isUnsent || call.isRepeatable)) throw error
        } else {
          throw error
        }
      }
      if (asked === null) await this.#clock.sleep(pauseMs * tries)
    }
  }

  /** A connection of its own for messages. */
  async subscribe(channel: string, onMessage: () => void, endsAt: number): Promise<RedisConnection> {
    const connection = await this.#connect(await this.#topology.locate(0, endsAt), endsAt, 'questions')
    try {
      await connection.subscribe(channel, onMessage, endsAt)
      return connection
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  close(): void {
    this.#isClosed = true
    for (const line of this.#lines.values()) line.close()
    this.#topology.close()
  }

  async #once({ slot, lane, endsAt, work }: Call, asked: RedisAddress | null): Promise<Reply> {
    const address = asked ?? (await this.#topology.locate(slot, endsAt))
    const connection = await this.#lineTo(address, lane).connection(endsAt)
    try {
      // Both leave in one tick, so nothing comes between them.
      const asking = asked === null ? null : connection.send(['ASKING'], endsAt)
      asking?.catch(() => undefined)
      return await work(connection)
    } catch (error) {
      // A master that became a replica may have been replaced under the same name: the next connection will find out.
      if (error instanceof RedisRefusal && error.code === 'READONLY') connection.destroy()
      throw error
    }
  }

  #lineTo(address: RedisAddress, lane: Call['lane']): ServerLine {
    const key = `${lane} ${describe(address)}`
    const known = this.#lines.get(key)
    if (known !== undefined) return known
    const open = async (endsAt: number): Promise<RedisConnection> => await this.#connect(address, endsAt, 'scripts')
    const made = new ServerLine(this.#clock, address, open)
    if (this.#isClosed) made.close()
    this.#dropStrangers()
    this.#lines.set(key, made)
    return made
  }

  /** Servers come and go, and the last of those that went are all that is kept: calls may still wait there. */
  #dropStrangers(): void {
    for (const [key, line] of this.#lines) {
      if (line.isBusy || this.#topology.names(line.address)) continue
      this.#lines.delete(key)
      line.close()
    }
  }
}

/** The connection to one server, opened when it is needed, once for all who need it at the same time. */
class ServerLine {
  readonly address: RedisAddress
  readonly #clock: Clock
  readonly #open: (endsAt: number) => Promise<RedisConnection>
  #connection: RedisConnection | null = null
  #opening: Promise<RedisConnection> | null = null
  #failure: { readonly error: unknown; readonly at: number } | null = null
  #isClosed = false

  constructor(clock: Clock, address: RedisAddress, open: (endsAt: number) => Promise<RedisConnection>) {
    this.address = address
    this.#clock = clock
    this.#open = open
  }

  get isBusy(): boolean {
    return this.#opening !== null || this.#connection?.isIdle === false
  }

  async connection(endsAt: number): Promise<RedisConnection> {
    if (this.#isClosed) throw new RedisLost('the store is closed', true)
    if (this.#connection?.isOpen === true) return this.#connection
    const failure = this.#failure
    if (failure !== null && this.#clock.monotonic() < failure.at + restMs) throw failure.error
    this.#opening ??= this.#connect(endsAt).finally(() => (this.#opening = null))
    return await endingBy(this.#clock, endsAt, this.#opening)
  }

  close(): void {
    this.#isClosed = true
    this.#connection?.destroy()
  }

  /** A question of its own, as the answer may have changed while something was awaited. */
  #wasClosed(): boolean {
    return this.#isClosed
  }

  async #connect(endsAt: number): Promise<RedisConnection> {
    try {
      const connection = await this.#open(endsAt)
      this.#failure = null
      this.#connection = connection
      if (this.#wasClosed()) connection.destroy()
      return connection
    } catch (error) {
      this.#failure = { error, at: this.#clock.monotonic() }
      throw error
    }
  }
}

/** `ASK 3999 10.0.0.1:6381` */
function addressOf(message: string): RedisAddress | null {
  const match = /^ASK \d+ (.+):(\d+)$/.exec(message)
  return match?.[1] === undefined ? null : { host: match[1], port: Number(match[2]) }
}
