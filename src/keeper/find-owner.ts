/**
 * Whose a token is that this node has never served: another node, or this one before it was restarted, has given it out.
 * The store cannot be asked for a token, so all of it is looked through, seldom, for all who ask meanwhile; what was seen
 * is remembered for a while. A look takes at most a twentieth of the time, however many unknown tokens come.
 */
import { SingleFlight } from '../base/single-flight.ts'
import { lookUp, type Room } from './room.ts'
import type { View } from './views.ts'

/** Entries that one look goes through. In larger stores a token is known where it was given out. */
const entriesMax = 20_000
const pageMax = 500
/** The shortest time between two looks, in milliseconds. */
const gapMsMin = 500
const restPerLook = 20
/** Somebody who would have to wait longer for the next look is told that the token is unknown, in milliseconds. */
const waitMsMax = 2_000

export class FindOwner {
  readonly #room: Room
  readonly #looks = new SingleFlight<void>()
  /** Names by token, as the last look saw them. */
  #seen = new Map<string, string>()
  #nextLookAt = -Infinity

  constructor(room: Room) {
    this.#room = room
  }

  /** The view of the source that issued the token, current or lately replaced; undefined when nobody here did. */
  async find(token: string): Promise<View | undefined> {
    const { views } = this.#room
    const known = views.ownerOf(token)
    if (known !== undefined || token === '') return known
    if (!this.#seen.has(token)) await this.#looks.join('', () => this.#look())
    const name = views.ownerOf(token)?.source.name ?? this.#seen.get(token)
    if (name === undefined) return undefined
    const found = await lookUp(this.#room, name)
    if (found !== null) views.learn(found.source, found.entry, found.revision)
    return views.ownerOf(token)
  }

  async #look(): Promise<void> {
    const { clock } = this.#room.env
    const waitMs = this.#nextLookAt - clock.monotonic()
    if (waitMs > waitMsMax) return
    if (waitMs > 0) await clock.sleep(waitMs, this.#room.stopping)
    const startedAt = clock.monotonic()
    try {
      this.#seen = await this.#tokens()
    } finally {
      const tookMs = clock.monotonic() - startedAt
      this.#nextLookAt = startedAt + Math.max(gapMsMin, tookMs * restPerLook)
    }
  }

  async #tokens(): Promise<Map<string, string>> {
    const seen = new Map<string, string>()
    const now = this.#room.time.now()
    let after: string | undefined
    for (let entries = 0; entries < entriesMax && !this.#room.stopping.aborted;) {
      const page = await this.#room.store.scan({ limit: pageMax, ...(after === undefined ? {} : { after }) })
      for (const { name, entry } of page.records) {
        for (const { value, until } of entry.previous) if (until > now) seen.set(value, name)
        if (entry.token !== null) seen.set(entry.token.value, name)
      }
      entries += page.records.length
      if (page.next === null) break
      after = page.next
    }
    return seen
  }
}
