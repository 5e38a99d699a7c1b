/**
 * Hears of rotations: one stream for all names, opened again whenever it ends, and tried again now and then where
 * somebody on the way holds it back. Whether it hears at the moment is what the others ask it.
 */
import type { EventAnswer, StreamReset, StreamStart } from '../wire/v1.ts'
import { readEvents, type Reading } from './event-stream.ts'
import type { Server } from './ask.ts'
import { unlessAborted, type Closing } from './closing.ts'
import { backoffMs, type World } from './world.ts'

export type Heard = {
  /** A stream begins, or begins anew after a gap. */
  onStart(start: StreamStart & Partial<StreamReset>): void
  onEvent(event: EventAnswer): void
  /** Hearing began or ended; `why` is a word for people. */
  onChange(isHearing: boolean, why: string): void
}

/** A proxy that passes things on does so well within this time, in milliseconds. */
const greetingMs = 5_000
/** Longer lists of names do not fit into a request: then everything is heard. */
const namesLengthMax = 4_000

export class Ear {
  readonly #world: World
  readonly #server: Server
  readonly #heard: Heard
  readonly #closing: Closing
  readonly #names: () => readonly string[]
  readonly #reading: Reading = { lastEventId: '', retryMs: 1_000 }
  /** Null is everything. */
  #asked: readonly string[] | null = []
  #current = new AbortController()
  #failures = 0
  isHearing = false

  constructor(world: World, server: Server, closing: Closing, parts: { heard: Heard; names: () => readonly string[] }) {
    this.#world = world
    this.#server = server
    this.#closing = closing
    this.#heard = parts.heard
    this.#names = parts.names
  }

  /** Another name is of interest. The stream is asked for anew, together with names that come in the next moment. */
  async include(name: string): Promise<void> {
    if (this.#isAsked(name)) return
    await this.#closing.sleep(this.#world, 20)
    if (!this.#isAsked(name)) this.#current.abort('names')
  }

  #isAsked(name: string): boolean {
    return this.#asked?.includes(name) !== false
  }

  async run(): Promise<void> {
    while (!this.#closing.isClosed) {
      const { signal } = this.#renew()
      const why = await this.#listen(this.#current)
      if (this.isHearing) this.#failures = 0
      // For more names there is no gap worth telling of.
      if (signal.reason === 'names') continue
      if (this.isHearing) this.#heard.onChange((this.isHearing = false), why)
      const pause = this.#failures === 0 ? this.#reading.retryMs * this.#world.random.next() : this.#pauseMs(why)
      this.#failures += 1
      // A wait for a server that is away is short; what is refused or held back is so for long.
      // What was silent has ended its own signal; the pause is ended by another name.
      await this.#world.clock.sleep(pause, this.#renew().signal)
    }
  }

  #renew(): AbortController {
    this.#closing.done(this.#current)
    return (this.#current = this.#closing.begin())
  }

  #pauseMs(why: string): number {
    const isLasting = why === 'held back' || why.startsWith('HTTP 4')
    return backoffMs(this.#world, this.#failures, isLasting ? 5_000 : 500, isLasting ? 60_000 : 15_000)
  }

  /** One connection; answers why it ended. */
  async #listen(current: AbortController): Promise<string> {
    const { clock } = this.#world
    const { signal } = current
    let aliveUntil = clock.monotonic() + 2 * greetingMs
    let patienceMs = greetingMs
    let why = 'ended'
    const ended = new AbortController()
    const guard = async (): Promise<void> => {
      while (!signal.aborted && !ended.signal.aborted) {
        const left = aliveUntil - clock.monotonic()
        if (left <= 0) current.abort('silent')
        else await clock.sleep(left, ended.signal)
      }
    }
    void guard()
    const names = this.#names()
    const filter = names.map(encodeURIComponent).join(',')
    const isListed = filter.length <= namesLengthMax
    this.#asked = isListed ? names : null
    try {
      const { lastEventId } = this.#reading
      const headers = {
        ...this.#server.headers,
        accept: 'text/event-stream',
        ...(lastEventId && { 'last-event-id': lastEventId }),
      }
      const url = `${this.#server.url}/v1/events${isListed ? `?names=${filter}` : ''}`
      const request = new Request(url, { headers, signal, redirect: 'manual', cache: 'no-store' })
      const response = await unlessAborted(signal, this.#world.fetch(request))
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
      if (!response.ok || isStream !== true || response.body === null) {
        await response.body?.cancel()
        return `HTTP ${response.status}`
      }
      aliveUntil = clock.monotonic() + patienceMs
      await readEvents(response.body, this.#reading, {
        signal,
        onBytes: () => (aliveUntil = clock.monotonic() + patienceMs),
        onEvent: ({ type, data }) => {
          const told = JSON.parse(data) as unknown
          if (type !== 'hello' && type !== 'reset') {
            this.#heard.onEvent(told as EventAnswer)
            return
          }
          const start = told as StreamStart
          // A heartbeat may be late, but not by a whole one.
          patienceMs = start.heartbeat * 2_000
          aliveUntil = clock.monotonic() + patienceMs
          if (!this.isHearing) this.#heard.onChange((this.isHearing = true), type)
          this.#heard.onStart(start)
        },
      })
    } catch {
      why = 'unreachable'
    } finally {
      ended.abort()
    }
    // Reading may end in either way when we give up.
    return signal.reason !== 'silent' ? why : patienceMs > greetingMs ? 'silent' : 'held back'
  }
}
