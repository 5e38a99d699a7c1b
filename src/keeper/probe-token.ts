/**
 * Asks the platform whether a token lives: one question for all who say at a time that it is dead, on all nodes. That it is
 * asked is written before, so it is agreed upon, and a store that cannot be written costs no question; the answer is written
 * after it for the others. A node that dies in between costs them four seconds.
 */
import { deadline, until } from '../base/env.ts'
import { SingleFlight } from '../base/single-flight.ts'
import { wakeAt } from '../model/decide.ts'
import type { Entry, Refuted } from '../model/entry.ts'
import type { Source } from '../model/source.ts'
import { answered, asked, probeMsMax, probeWaitMs, stepFor, type Said, type Witness } from '../model/suspicion.ts'
import type { Call } from '../providers/provider.ts'
import { lookUp, tell, type Found, type Room } from './room.ts'

/** Asks the platform about a token; undefined where it cannot be asked. */
export type ProbeToken = (source: Source, call: Call, token: string) => Promise<Said | undefined>

/** Whoever came while the question was on its way may know of a death that the answer does not: it is asked again then, in milliseconds. */
const joinedMs = 10_000
/** While another node asks, its answer is looked for this often, in milliseconds. */
const lookMs = 200
/** What is known. `until` is null where the platform was asked because of this word, else when it is to be asked. */
export type Told = { readonly said: Said; readonly until: number | null }

/** A question that was agreed upon longer ago than this is not sent any more, in milliseconds. */
const lateMs = 2_000
const roundsMax = 10 + probeWaitMs / lookMs
const racesMax = 20

export class TokenProbe {
  readonly #room: Room
  readonly #probe: ProbeToken
  readonly #flights = new SingleFlight<Said>()
  /** Who waits for the answer of each flight. */
  readonly #witnesses = new Map<string, Map<string, Witness>>()

  constructor(room: Room, probe: ProbeToken) {
    this.#room = room
    this.#probe = probe
  }

  /** Looks into a witness's word about the current token. Throws what the store throws. */
  async ask(found: Found, witness: Witness): Promise<Told> {
    const key = `${found.entry.version} ${found.source.name}`
    const isFirst = this.#flights.current(key) === undefined
    const now = this.#room.time.now()
    if (isFirst) {
      const step = stepFor(found.source, found.entry, witness, now)
      if (step.act === 'take') return { said: step.said, until: step.until }
      this.#witnesses.set(key, new Map())
    }
    this.#witnesses.get(key)?.set(`${witness.kind} ${witness.client ?? ''}`, witness)
    const said = await this.#flights.join(key, () => this.#look(found, witness, key))
    return { said, until: isFirst ? null : now + joinedMs }
  }

  async #look(found: Found, witness: Witness, key: string): Promise<Said> {
    let current: Found | null = found
    try {
      for (let round = 0; round < roundsMax; round += 1) {
        // Whoever asked looks again: what is current now is another matter.
        if (current?.entry.version !== found.entry.version) return 'unclear'
        const step = stepFor(current.source, current.entry, witness, this.#room.time.now())
        if (step.act === 'take') return step.said
        if (step.act === 'wait') await this.#room.env.clock.sleep(lookMs, this.#room.stopping)
        else {
          const intent = asked(current.entry, this.#room.time.now())
          const startedAt = this.#room.env.clock.monotonic()
          const revision = await this.#write(current, intent)
          // By now somebody else may have taken this for a node that died, and asked.
          if (this.#room.env.clock.monotonic() - startedAt > lateMs) return 'unclear'
          if (revision !== null) return await this.#question({ ...current, entry: intent, revision }, key)
        }
        if (this.#room.stopping.aborted) return 'unclear'
        current = await lookUp(this.#room, found.source.name)
      }
      return 'unclear'
    } finally {
      this.#witnesses.delete(key)
    }
  }

  async #question(found: Found, key: string): Promise<Said> {
    const { clock } = this.#room.env
    const { name } = found.source
    const startedAt = clock.monotonic()
    const said = await this.#send(found)
    const { version } = found.entry
    tell(this.#room, 'probed', name, { version, said, tookMs: Math.round(clock.monotonic() - startedAt) })
    const told = await this.#keep(found, said, [...(this.#witnesses.get(key)?.values() ?? [])])
    for (const { client, times } of told) tell(this.#room, 'false-reports', name, { client, times })
    return said
  }

  async #send({ source, entry: { token } }: Found): Promise<Said> {
    if (token === null) return 'unclear'
    const { env, stopping } = this.#room
    const time = deadline(env.clock, Math.min(probeMsMax, source.policy.timeoutMs), stopping)
    const proxy = source.policy.proxy === undefined ? {} : { proxy: source.policy.proxy }
    try {
      const call: Call = { env, signal: time.signal, force: false, inputs: new Map(), ...proxy }
      return (await until(this.#probe(source, call, token.value), time.signal)) ?? 'unclear'
    } catch {
      // No answer in time, or a provider that broke: nothing is known.
      return 'unclear'
    } finally {
      time.done()
    }
  }

  /** Writes the answer for the other nodes. Answers who is to be told of: nobody, if it could not be written. */
  async #keep(found: Found, said: Said, witnesses: readonly Witness[]): Promise<readonly Refuted[]> {
    let current: Found | null = found
    try {
      for (let race = 0; race < racesMax && current !== null; race += 1) {
        const { entry } = current
        const isOurs = entry.version === found.entry.version && entry.suspicion?.said === undefined
        if (!isOurs || entry.suspicion?.askedAt !== found.entry.suspicion?.askedAt) return []
        const next = answered(entry, said, witnesses, this.#room.time.now())
        if ((await this.#write(current, next.entry)) !== null) return next.told
        current = await lookUp(this.#room, found.source.name)
      }
    } catch {
      // No store at the moment. What the platform said holds all the same, for those who wait here.
    }
    return []
  }

  async #write({ source, revision }: Found, entry: Entry): Promise<number | null> {
    const { store, views } = this.#room
    const written = await store.write(source.name, { entry, dueAt: wakeAt(entry) }, revision)
    if (written !== null && views.has(source.name)) views.learn(source, entry, written)
    return written
  }
}
