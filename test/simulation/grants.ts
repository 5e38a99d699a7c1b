/**
 * Refresh tokens that rotate with every use, at an upstream that takes a used one again for a while, or not at all: what
 * the world knows of them, and what must hold.
 *
 * - G1: a token is committed in one write with the grant that came with it.
 * - G2: an older grant never takes the place of a newer one that is good.
 * - G3: nobody is asked with an older grant than the best one in the store.
 * - G4: a lost grant is told as `needs-authorization`, never silently.
 * - G5: a grant whose answer was heard by a process that lived on, with a store that kept it, is not lost.
 *
 * So a grant is lost only where an answer was (a request took longer than the grace to be repeated), or its process, or
 * what the store had of it when no living node knew better.
 */
import type { Entry } from '../../src/model/entry.ts'
import type { Flight } from './network.ts'
import type { WriteSeen } from './shared-store.ts'
import { secrets, type World } from './world.ts'

/** The source, and the client that it is at the upstream. */
const rotating = 'oauth'
const client = 'client'

/** A refused grant is told by then, once those before it were tried, too. */
const tellMs = 90_000
/** What is written takes so long to be seen by who was about to ask, in milliseconds. */
const settleMs = 5_000

/** What became of a refresh token when it was used. */
type Use = { readonly next: string; readonly flights: Flight[] }

export class Grants {
  readonly #world: World
  /** Refresh tokens in order of issue. */
  readonly #order = new Map<string, number>()
  readonly #cameWith = new Map<string, string>()
  readonly #uses = new Map<string, Use>()
  #changedAt = -Infinity
  #isCalled = false
  /** The one in the configuration. */
  readonly seed: string
  losses = 0

  constructor(world: World) {
    this.#world = world
    this.seed = world.simulator.grant(client)
    this.#know(this.seed)
  }

  #know(value: string): void {
    if (!this.#order.has(value)) this.#order.set(value, this.#order.size)
  }

  #orderOf(value: string | undefined): number {
    return value === undefined ? -1 : (this.#order.get(value) ?? -1)
  }

  /** When the store last took another grant of a source. */
  changedAt(name: string): number {
    return name === rotating ? this.#changedAt : -Infinity
  }

  /** Every refresh token there is now or was of late, for those who look for leaks. */
  get recent(): readonly string[] {
    return [...this.#order.keys()].slice(-8)
  }

  // ---- on the way ------------------------------------------------------------------------------------------------

  leaving(flight: Flight, body: string | null): void {
    const used = new URLSearchParams(body ?? '').get('refresh_token') ?? ''
    const { store, time, checks } = this.#world
    const entry = store.entry(rotating)
    const isOwn = entry !== null && entry.lease?.node === flight.process && entry.epoch === flight.epoch
    if (!isOwn || this.#changedAt > time.now() - settleMs || checks.watch(rotating).hasForgotten(time.now() - settleMs))
      return
    const [best] = goodGrants(entry)
    if (this.#orderOf(best?.value) > this.#orderOf(used)) {
      checks.fail('G3', `asked with grant ${this.#orderOf(used)}, and ${this.#orderOf(best?.value)} is in the store`)
    }
  }

  /** The upstream has answered; nobody has heard it yet. */
  async answered(flight: Flight, body: string | null, response: Response): Promise<void> {
    const used = new URLSearchParams(body ?? '').get('refresh_token') ?? ''
    const answer = (await response.clone().json()) as Readonly<Record<string, unknown>>
    const { access_token: token, refresh_token: next, error } = answer
    if (typeof token === 'string' && typeof next === 'string') {
      this.#know(next)
      this.#cameWith.set(token, next)
      const use = this.#uses.get(used) ?? { next, flights: [] }
      use.flights.push(flight)
      this.#uses.set(used, use)
    }
    if (error === 'invalid_grant') this.#refused(flight, used)
  }

  #refused(flight: Flight, used: string): void {
    const { checks, time } = this.#world
    const use = this.#uses.get(used)
    this.#world.trace(() => `grant ${this.#orderOf(used)} is refused`)
    if (use === undefined) {
      checks.fail('G3', `grant ${this.#orderOf(used)} is refused, and was never used`)
      return
    }
    if (flight.givenUpAt !== null || flight.node.process !== flight.process) return
    const heard = use.flights.find((each) => this.#isHeard(each))
    if (heard !== undefined && !this.#isKept(use.next))
      checks.fail('G5', `grant ${this.#orderOf(use.next)} was heard and lost`)
    time.after(tellMs, () => this.#isTold(flight))
  }

  /** The answer reached a process that has lived ever since, and could tell the store. */
  #isHeard({ heardAt, givenUpAt, node, process, leftAt }: Flight): boolean {
    const { time, checks } = this.#world
    if (heardAt === null || givenUpAt !== null || node.process !== process) return false
    const sinceMs = time.now() - heardAt
    return sinceMs > settleMs && !node.wasCutOff(sinceMs + settleMs) && !checks.watch(rotating).hasForgotten(leftAt)
  }

  #isKept(value: string): boolean {
    const grants = this.#world.store.entry(rotating)?.grants ?? []
    return grants.some((grant) => this.#orderOf(grant.value) >= this.#orderOf(value))
  }

  /** Nothing that the entry holds is good, so a person is called for; and comes. */
  #isTold(flight: Flight): void {
    const { checks, store } = this.#world
    if (checks.isHindered(rotating, tellMs) || flight.node.wasCutOff(tellMs)) return
    const entry = store.entry(rotating)
    if (entry === null || goodGrants(entry).some(({ value }) => !this.#uses.has(value))) return
    this.losses += 1
    if (entry.trouble?.class !== 'needs-authorization') checks.fail('G4', 'a grant is lost, and nobody is told')
  }

  // ---- what nodes write ------------------------------------------------------------------------------------------

  written({ name, before, after, node }: WriteSeen): void {
    if (name !== rotating || after === null) return
    const { checks, time } = this.#world
    const [current, former] = [after.grants?.[0], before?.grants?.[0]]
    if (current?.value !== former?.value) this.#changedAt = time.now()
    const came = after.token?.value === before?.token?.value ? undefined : this.#cameWith.get(after.token?.value ?? '')
    if (came !== undefined && this.#orderOf(current?.value) < this.#orderOf(came)) {
      checks.fail(
        'G1',
        `a token is committed with grant ${this.#orderOf(current?.value)}, and came with ${this.#orderOf(came)}`,
      )
    }
    const isOlder = this.#orderOf(current?.value) < this.#orderOf(former?.value)
    if (isOlder && former?.refusedAt === undefined) {
      checks.fail(
        'G2',
        `${node.process ?? '?'} puts grant ${this.#orderOf(current?.value)} before ${this.#orderOf(former?.value)}`,
      )
    }
    if (after.trouble?.class === 'needs-authorization') this.#call()
  }

  // ---- people ----------------------------------------------------------------------------------------------------

  /** Somebody hears that the source needs a person, and comes after a while. */
  #call(): void {
    if (this.#isCalled) return
    this.#isCalled = true
    const { time, chance } = this.#world
    time.after(chance.between(60_000, 1_800_000), () => {
      this.#isCalled = false
      void this.#authorise().catch((error: unknown) => this.#world.checks.fault(error))
    })
  }

  async #authorise(): Promise<void> {
    const { store, simulator, nodes, chance, checks } = this.#world
    if (store.entry(rotating)?.trouble?.class !== 'needs-authorization') return
    const alive = nodes.filter((node) => node.keeper !== null && !node.isPaused)
    // The node may die while it writes: whoever still needs a person calls again.
    this.#call()
    if (alive.length === 0) return
    const form = new URLSearchParams({
      client_id: client,
      client_secret: secrets.oauth,
      grant_type: 'refresh_token',
      refresh_token: simulator.grant(client),
    })
    const response = await simulator.fetch(
      new Request('http://wechat.test/oauth2/token', { method: 'POST', body: form }),
    )
    const { refresh_token: value, ...fields } = (await response.json()) as Record<string, string | number>
    const [grant, token] = [String(value), String(fields.access_token)]
    this.#know(grant)
    this.#cameWith.set(token, grant)
    checks.watch(rotating).committed.add(token)
    const lifetimeMs = Number(fields.expires_in) * 1_000
    const issued = { value: token, lifetimeMs, fields, grant: { value: grant, lifetimeMs: null } }
    // Without a store at the moment, they come again.
    await chance
      .pick(alive)
      .keeper?.authorize(rotating, { issued, sentAgoMs: 0 })
      .catch(() => undefined)
  }
}

function goodGrants(entry: Entry | null): NonNullable<Entry['grants']> {
  return (entry?.grants ?? []).filter(({ refusedAt }) => refusedAt === undefined)
}
