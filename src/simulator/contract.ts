/** What a simulator can do: the same over HTTP (its control API) and as methods. */
import type { Fetch, FetchOptions, Random } from '../base/env.ts'
import type { Account, AccountSettings } from './account.ts'
import type { Fault, FaultSettings } from './fault-board.ts'
import type { Counters, JournalEntry } from './journal.ts'
import type { Knobs, PartialKnobs } from './knobs.ts'
import type { Pushed } from './pusher.ts'
import type { RefreshCounters } from './refresh-book.ts'
import type { SimulatorClock } from './world.ts'

export type SimulatorOptions = {
  /** The upstream's own truth about time; every wait is a `sleep` of it. */
  readonly clock: SimulatorClock
  readonly random: Random
  /** Who exists at the start, and again after a reset. Default: `demoAccounts`. */
  readonly accounts?: readonly AccountSettings[]
  /** Knobs at the start. */
  readonly knobs?: PartialKnobs
  /** How pushes reach the addresses that accounts name; without it nothing is pushed. */
  readonly send?: Fetch
  /** How many entries the journal keeps. Default 1000. */
  readonly journalMax?: number
}

/** Where a request comes from. Default address: the header `x-simulator-ip`, otherwise 127.0.0.1. */
export type Origin = FetchOptions & { readonly ip?: string }

/** All values of an account, those of one channel, or one value. */
export type RevokeTarget =
  { readonly account: string; readonly channel?: string | undefined } | { readonly token: string }

export type ChannelView = {
  /** `classic`, `stable`, `token`, `tenant`, `app`, `ticket:jsapi`, `ticket:wx_card`, `ticket:agent_config`. */
  readonly name: string
  readonly token: string
  /** Epoch milliseconds, as told to whoever fetched it. */
  readonly expiresAt: number
  readonly isAlive: boolean
}

export type AccountView = {
  readonly kind: Account['kind']
  readonly id: string
  readonly knobs: Partial<Knobs>
  /** The latest value of each channel that was ever asked. */
  readonly channels: readonly ChannelView[]
}

export type SimulatorState = {
  /** Epoch milliseconds. */
  readonly now: number
  /** As they hold for accounts without their own. */
  readonly knobs: Knobs
  readonly accounts: readonly AccountView[]
  readonly faults: readonly Fault[]
}

/** Methods throw a ZhongkongError: `bad_request` for what they cannot understand, `not_found` for what is not there. */
export type Simulator = {
  /**
   * Answers as the upstreams do, and as the control API under `/_simulator/`. Rejects as a real fetch does: with the
   * signal's reason when that aborts, and with a TypeError (its cause has a `code`) when a fault breaks the connection;
   * whoever puts it behind a socket closes the socket then.
   */
  readonly fetch: (request: Request, origin?: Origin) => Promise<Response>

  /** Adds an account, or replaces the one with that id; one of the same kind keeps its tokens. */
  putAccount(account: AccountSettings): void
  removeAccount(id: string): boolean

  /** Sets the knobs named, for all or for one account. Tokens that were issued keep their end. */
  setKnobs(knobs: PartialKnobs, account?: string): void

  /** Switches a fault on; answers the id by which it is removed. */
  addFault(fault: FaultSettings): string
  removeFault(id: string): boolean
  clearFaults(): void
  faults(): readonly Fault[]

  /** Of one account, or of all together with the visits that named none. */
  counters(account?: string): Counters
  /** Puts every counter at zero and empties the journal. */
  clearCounters(): void
  /** The last issuing calls, oldest first. */
  journal(): readonly JournalEntry[]

  /** Kills values before their time; answers how many lived. */
  revoke(target: RevokeTarget): number
  /**
   * Fetches as a foreigner would who has the same credentials: a new value, with all that does to the one before.
   * Default channel: `classic` for WeChat, `tenant` for Feishu, `token` for others. Uses up no quota.
   */
  rotateByForeigner(account: string, channel?: string): string

  /** A person consents at the OAuth 2.0 server by another way than its page; answers the refresh token. */
  grant(account: string): string
  /** How the refresh tokens of an account fared, and all there were, the newest last. */
  refreshes(account: string): RefreshCounters & { readonly tokens: readonly string[] }
  /** The person withdraws every consent: refresh tokens and what came of them are dead. Answers how many there were. */
  withdraw(account: string): number

  /** Would the upstream take this token (or the browser this ticket) right now? Touches no counter. */
  accepts(token: string): boolean
  /** The latest value of a channel, alive or not; null when none was issued. Channel as in `rotateByForeigner`. */
  latest(account: string, channel?: string): string | null

  /** An organisation installs a third-party app; its platform pushes that. Answers the code that it gives, good once. */
  install(account: string, organisation: string): string
  /** It removes the app: its tokens die, and the platform pushes that. False when it had not installed it. */
  uninstall(account: string, organisation: string): boolean
  /** WeCom: another permanent code takes the place of the one before, which is dead. False as above. */
  resetCode(account: string, organisation: string): boolean
  /** What the app may do there changes; nothing else does. False as above. */
  changeAuth(account: string, organisation: string): boolean
  /** The platform makes a ticket for a third-party app or platform now, and pushes it. Answers it. */
  makeTicket(account: string): string
  /**
   * Pushes what is due now: tickets at their pace, and what happened to accounts since. Whoever owns the time calls it
   * every so often (`zhongkong simulate` does every second); nothing is pushed by itself.
   */
  pushDue(): Promise<Pushed>
  /** An account authorises a third-party platform of WeChat, for the first time or anew; answers the auth_code. */
  authorise(component: string, account: string): string
  /** It withdraws that; false when there was nothing to withdraw. */
  withdrawAuthorisation(component: string, account: string): boolean
  /** It is given another refresh token; the one before is taken for `authorizerGraceSeconds`. */
  rotateRefreshToken(component: string, account: string): void

  state(): SimulatorState
  /** Back to the beginning: the first accounts and knobs, no tokens, faults, counters. */
  reset(): void
}
