/** What all simulated upstreams stand on: the accounts with all that is known of them, the tokens, the journal. */
import type { Clock, Random } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Account, AccountOf } from './account.ts'
import { Channel, type Issue, type Terms, type TokenBook, type Verdict } from './channel.ts'
import type { Journal } from './journal.ts'
import { defaultKnobs, type Knobs } from './knobs.ts'
import { Tally, type Period } from './tally.ts'
import type { CallKind } from './upstream.ts'

export type SimulatorClock = Pick<Clock, 'now' | 'monotonic' | 'sleep'>

const accountsMax = 200_000
/** Letters at the end of each value that make it unlike all others, whatever chance gives. */
const serialLength = 6

export class AccountState<A extends Account = Account> {
  account: A
  readonly channels = new Map<string, Channel>()
  /** Addresses the administrator has agreed to. */
  readonly confirmed = new Set<string>()
  lastForcedAt: number | null = null
  /** Refused until then for having called too often. */
  blockedUntil = 0
  readonly #tallies = new Map<string, Tally>()

  constructor(account: A) {
    this.account = account
  }

  tally(name: string, period: Period): Tally {
    const key = `${name} by ${period}`
    const known = this.#tallies.get(key)
    if (known !== undefined) return known
    const made = new Tally(period)
    this.#tallies.set(key, made)
    return made
  }
}

export type ChannelTerms = (knobs: Knobs) => Terms
export type ChannelPlan = {
  readonly name: string
  readonly kind: CallKind
  readonly use: 'access' | 'ticket'
  readonly terms: ChannelTerms
  /** The beginning and whole length of its values. */
  readonly prefix: string
  readonly length: number
}

export class World {
  readonly clock: SimulatorClock
  readonly journal: Journal
  readonly book: TokenBook = new Map<string, Issue>()
  readonly random: Random
  readonly #states = new Map<string, AccountState>()
  readonly #corps = new Map<string, AccountState<AccountOf<'wecom'>>[]>()
  #resolved = new WeakMap<AccountState, Knobs>()
  #knobs: Knobs = defaultKnobs
  #serial = 0

  constructor(clock: SimulatorClock, random: Random, journal: Journal) {
    this.clock = clock
    this.random = random
    this.journal = journal
  }

  put(account: Account): void {
    const known = this.#states.get(account.id)
    if (known?.account.kind === account.kind) {
      this.#leaveCorp(known)
      known.account = account
      this.#resolved.delete(known)
      this.#joinCorp(known)
      return
    }
    if (known === undefined && this.#states.size >= accountsMax) {
      throw new ZhongkongError('overloaded', `the simulator holds at most ${accountsMax} accounts`)
    }
    this.remove(account.id)
    const made = new AccountState(account)
    this.#states.set(account.id, made)
    this.#joinCorp(made)
  }

  remove(id: string): boolean {
    const state = this.#states.get(id)
    if (state === undefined) return false
    for (const channel of state.channels.values()) channel.drop()
    this.#leaveCorp(state)
    this.journal.clear(id)
    return this.#states.delete(id)
  }

  state(id: string): AccountState | undefined {
    return this.#states.get(id)
  }

  /** The account of that id, if it is of that kind. */
  find<K extends Account['kind']>(kind: K, id: string | null): AccountState<AccountOf<K>> | null {
    const state = id === null ? undefined : this.#states.get(id)
    return state !== undefined && isOf(state, kind) ? state : null
  }

  /** The apps of a WeCom corp, the oldest first; none: there is no such corp. */
  corp(corpid: string): readonly AccountState<AccountOf<'wecom'>>[] {
    return this.#corps.get(corpid) ?? []
  }

  states(): IterableIterator<AccountState> {
    return this.#states.values()
  }

  get knobs(): Knobs {
    return this.#knobs
  }

  /** Null takes them back to their defaults. */
  setKnobs(knobs: Partial<Knobs> | null): void {
    this.#knobs = knobs === null ? defaultKnobs : { ...this.#knobs, ...knobs }
    this.#resolved = new WeakMap()
  }

  /** The knobs as they hold for one account. */
  knobsOf(state: AccountState): Knobs {
    const known = this.#resolved.get(state)
    if (known !== undefined) return known
    const made = { ...this.#knobs, ...state.account.knobs }
    this.#resolved.set(state, made)
    return made
  }

  channel(state: AccountState, plan: ChannelPlan): Channel {
    const known = state.channels.get(plan.name)
    if (known !== undefined) return known
    const account = state.account.id
    const made = new Channel({
      account,
      use: plan.use,
      book: this.book,
      terms: () => plan.terms(this.knobsOf(state)),
      mint: () =>
        this.mint(plan.prefix, (plan.use === 'access' ? this.knobsOf(state).tokenLength : null) ?? plan.length),
      onForeign: (at) => this.journal.recordForeign(at, account, plan.kind),
    })
    state.channels.set(plan.name, made)
    return made
  }

  /** The token if it was issued and is not forgotten, with what it is worth now. */
  judge(value: string): { readonly issue: Issue; readonly verdict: Verdict } | null {
    const issue = this.book.get(value)
    if (issue === undefined) return null
    return { issue, verdict: issue.channel.verdict(issue, this.clock.now()) }
  }

  /** A new value: `prefix`, chance, and a serial number, in URL-safe letters. */
  mint(prefix: string, length: number): string {
    this.#serial += 1
    const letters = Math.max(8, length - prefix.length - serialLength)
    const bytes = this.random.bytes(Math.ceil((letters * 3) / 4))
    const chance = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url').slice(0, letters)
    return prefix + chance + this.#serial.toString(36).padStart(serialLength, '0')
  }

  /** Eight hex digits of chance, as request ids are made of. */
  hex(): string {
    return Math.floor(this.random.next() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0')
  }

  /** Chance, uniform in [0, 1). */
  chance(): number {
    return this.random.next()
  }

  #joinCorp(state: AccountState): void {
    if (!isOf(state, 'wecom')) return
    const apps = this.#corps.get(state.account.corpid)
    if (apps === undefined) this.#corps.set(state.account.corpid, [state])
    else apps.push(state)
  }

  #leaveCorp(state: AccountState): void {
    if (!isOf(state, 'wecom')) return
    const { corpid } = state.account
    const apps = (this.#corps.get(corpid) ?? []).filter((app) => app !== state)
    if (apps.length === 0) this.#corps.delete(corpid)
    else this.#corps.set(corpid, apps)
  }
}

function isOf<K extends Account['kind']>(state: AccountState, kind: K): state is AccountState<AccountOf<K>> {
  return state.account.kind === kind
}

/** Whole seconds until `expiresAt`, as upstreams tell them. */
export function secondsLeft(expiresAt: number, now: number): number {
  return Math.max(0, Math.floor((expiresAt - now) / 1_000))
}
