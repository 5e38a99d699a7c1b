/**
 * Hears of changes: by the message that each write publishes, and by looking every half second, so that a message that
 * is lost delays nothing for longer. Runs only while somebody wants to know.
 */
import type { Clock } from '../base/env.ts'
import type { RedisConnection } from './redis-connection.ts'
import { storeMsMax } from './store.ts'
import { Watchers } from './watchers.ts'

export type WatchSource = {
  /** A text that differs after every change. */
  readonly look: () => Promise<string>
  readonly subscribe: (onMessage: () => void, endsAt: number) => Promise<RedisConnection>
}

/** How often is looked, in milliseconds. */
const lookMs = 500
/** Messages may be tried again this long after they could not be had, in milliseconds. */
const subscribeRestMs = 1_000
/** A subscription that says nothing for so long is asked whether it still lives, in milliseconds. */
const pingMs = 2_000

export class RedisWatch {
  readonly #clock: Clock
  readonly #source: WatchSource
  readonly #watchers = new Watchers()
  #running: { readonly stop: AbortController; readonly ended: Promise<unknown> } | null = null

  constructor(clock: Clock, source: WatchSource) {
    this.#clock = clock
    this.#source = source
  }

  add(onChange: () => void): () => void {
    const remove = this.#watchers.add(onChange)
    if (this.#running === null) {
      const stop = new AbortController()
      this.#running = { stop, ended: Promise.all([this.#lookAgainAndAgain(stop.signal), this.#listen(stop.signal)]) }
    }
    return () => {
      remove()
      if (this.#watchers.size === 0) this.#stop()
    }
  }

  notify(): void {
    this.#watchers.notify()
  }

  async close(): Promise<void> {
    this.#watchers.clear()
    const ended = this.#running?.ended
    this.#stop()
    await ended
  }

  #stop(): void {
    this.#running?.stop.abort('done')
    this.#running = null
  }

  async #lookAgainAndAgain(signal: AbortSignal): Promise<void> {
    let seen: string | null = null
    while (!signal.aborted) {
      try {
        const found = await this.#source.look()
        if (seen !== null && seen !== found) this.#watchers.notify()
        seen = found
      } catch {
        // Redis is away, and whoever calls it is told so. The first look after its return tells the watchers.
      }
      await this.#clock.sleep(lookMs, signal)
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const connection = await this.#subscribe()
      if (connection !== null) await this.#keepAlive(connection, signal)
      connection?.destroy()
      await this.#clock.sleep(subscribeRestMs, signal)
    }
  }

  /** Ends with the connection or with the signal. A connection that was cut without a word shows it only in use. */
  async #keepAlive(connection: RedisConnection, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#clock.sleep(pingMs, signal)
      if (signal.aborted || !connection.isOpen) return
      try {
        await connection.send(['PING'], this.#clock.monotonic() + storeMsMax / 2)
      } catch {
        return
      }
    }
  }

  async #subscribe(): Promise<RedisConnection | null> {
    try {
      const connection = await this.#source.subscribe(
        () => this.#watchers.notify(),
        this.#clock.monotonic() + storeMsMax,
      )
      // Whatever was published before is not heard.
      this.#watchers.notify()
      return connection
    } catch {
      return null
    }
  }
}
