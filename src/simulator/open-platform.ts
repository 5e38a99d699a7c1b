/**
 * What WeChat's Open Platform knows of a third-party platform: the tickets it pushed, the accounts that authorised it with
 * their refresh tokens, the codes it gave out, and the messages that are still to be pushed.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import type { Channel } from './channel.ts'
import { tokenLengths } from './knobs.ts'
import type { PushTarget } from './push.ts'
import type { AccountState, ChannelPlan, World } from './world.ts'

export type ComponentState = AccountState<AccountOf<'wechat-component'>>

const ticketEverySeconds = 600
const ticketLivesMs = 43_200_000
const preAuthCodeLivesMs = 1_800_000
const authCodeLivesMs = 3_600_000
/** Codes that nobody took are forgotten, the oldest first. */
const codesMax = 10_000

export const componentPlan: ChannelPlan = {
  name: 'component',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'retires-previous', ...tokenLengths(knobs) }),
  prefix: '73_',
  length: 119,
}

const authorizerPlan: ChannelPlan = { ...componentPlan, name: 'token', prefix: '74_' }

/** An account that authorised the platform. */
type Authorised = {
  readonly at: number
  refreshToken: string
  /** The one before, while it is still taken. */
  before: { readonly value: string; readonly until: number } | null
}

export class OpenPlatform {
  readonly #world: World
  readonly #state: ComponentState
  /** Ends by ticket, the newest last. */
  readonly #tickets = new Map<string, number>()
  #nextTicketAt = 0
  #isPushing: boolean
  readonly #authorised = new Map<string, Authorised>()
  readonly #preAuthCodes = new Map<string, number>()
  readonly #authCodes = new Map<string, { readonly appid: string; readonly endsAt: number }>()
  readonly #owners = new WeakMap<Channel, string>()
  /** Messages that are still to be pushed, oldest first. */
  readonly outbox: JsonObject[] = []

  constructor(world: World, state: ComponentState) {
    this.#world = world
    this.#state = state
    this.#isPushing = state.account.pushing
  }

  /** Where it is pushed to; null where the account names no address. */
  get target(): PushTarget | null {
    const { callback, id } = this.#state.account
    return callback === undefined ? null : { ...callback, scheme: 'wechat', receiveId: id }
  }

  startPushing(): void {
    if (this.#isPushing) return
    this.#isPushing = true
    this.#nextTicketAt = 0
  }

  /** Makes the ticket that is due, if one is. */
  tick(): void {
    if (this.#isPushing && this.#world.clock.now() >= this.#nextTicketAt) this.makeTicket()
  }

  /** Makes a ticket now and has it pushed. */
  makeTicket(): string {
    const now = this.#world.clock.now()
    const value = this.#world.mint('ticket@@@', 95)
    for (const [known, endsAt] of this.#tickets) if (endsAt + ticketLivesMs < now) this.#tickets.delete(known)
    this.#tickets.set(value, now + ticketLivesMs)
    const every = this.#world.knobsOf(this.#state).pushSeconds ?? ticketEverySeconds
    this.#nextTicketAt = now + every * 1_000
    this.#tell('component_verify_ticket', { ComponentVerifyTicket: value })
    return value
  }

  judgeTicket(value: string | null): 'good' | 'expired' | 'invalid' {
    const endsAt = value === null ? undefined : this.#tickets.get(value)
    if (endsAt === undefined) return 'invalid'
    return endsAt > this.#world.clock.now() ? 'good' : 'expired'
  }

  makePreAuthCode(): { readonly code: string; readonly livesMs: number } {
    const code = this.#world.mint('preauthcode@@@', 80)
    keep(this.#preAuthCodes, code, this.#world.clock.now() + preAuthCodeLivesMs)
    return { code, livesMs: preAuthCodeLivesMs }
  }

  isPreAuthCode(code: string | null): boolean {
    return (this.#preAuthCodes.get(code ?? '') ?? 0) > this.#world.clock.now()
  }

  /**
   * An administrator authorises the platform, for the first time or again: tokens and refresh tokens of before are dead.
   * Answers the code, which is good once. A pre_auth_code is used up by it.
   */
  authorise(appid: string, preAuthCode = ''): { readonly code: string; readonly livesMs: number } {
    const now = this.#world.clock.now()
    const isNew = !this.#authorised.has(appid)
    this.channel(appid).revokeAll(now)
    this.#authorised.set(appid, { at: now, refreshToken: this.#mintRefreshToken(), before: null })
    this.#preAuthCodes.delete(preAuthCode)
    const code = this.#world.mint('queryauthcode@@@', 80)
    keep(this.#authCodes, code, { appid, endsAt: now + authCodeLivesMs })
    this.#tell(isNew ? 'authorized' : 'updateauthorized', {
      AuthorizerAppid: appid,
      AuthorizationCode: code,
      AuthorizationCodeExpiredTime: Math.floor((now + authCodeLivesMs) / 1_000),
      PreAuthCode: preAuthCode,
    })
    return { code, livesMs: authCodeLivesMs }
  }

  /** An administrator withdraws the authorisation. False when there was none. */
  withdraw(appid: string): boolean {
    if (!this.#authorised.delete(appid)) return false
    this.channel(appid).revokeAll(this.#world.clock.now())
    this.#tell('unauthorized', { AuthorizerAppid: appid })
    return true
  }

  /** Takes a code, once: whose it is, or why it is not taken. */
  redeem(code: string | null): { readonly appid: string } | 'invalid' | 'expired' {
    const found = this.#authCodes.get(code ?? '')
    if (found === undefined) return 'invalid'
    if (found.endsAt <= this.#world.clock.now()) return 'expired'
    this.#authCodes.delete(code ?? '')
    return { appid: found.appid }
  }

  refreshToken(appid: string | null): string | null {
    return this.#authorised.get(appid ?? '')?.refreshToken ?? null
  }

  /** Whether an account's refresh token is taken; where they rotate, asking with it makes another one. */
  useRefreshToken(appid: string, value: string | null): boolean {
    const known = this.#authorised.get(appid)
    const now = this.#world.clock.now()
    if (known === undefined || value === null) return false
    const isBefore = known.before?.value === value && now <= known.before.until
    if (value !== known.refreshToken && !isBefore) return false
    if (!isBefore && this.#world.knobsOf(this.#state).authorizerRotates) this.rotate(appid)
    return true
  }

  /** Another refresh token for an account; the one before is taken for as long as the knobs say. */
  rotate(appid: string): void {
    const known = this.#authorised.get(appid)
    if (known === undefined) return
    const graceMs = this.#world.knobsOf(this.#state).authorizerGraceSeconds * 1_000
    known.before = { value: known.refreshToken, until: this.#world.clock.now() + graceMs }
    known.refreshToken = this.#mintRefreshToken()
  }

  /** A part of all accounts, in the order in which they authorised. */
  list(offset: number, count: number): { readonly total: number; readonly list: JsonObject[] } {
    const part = [...this.#authorised].slice(offset, offset + count)
    const list = part.map(([appid, { refreshToken, at }]) => ({
      authorizer_appid: appid,
      refresh_token: refreshToken,
      auth_time: Math.floor(at / 1_000),
    }))
    return { total: this.#authorised.size, list }
  }

  /** A line of values of one account. */
  channel(appid: string, plan: ChannelPlan = authorizerPlan): Channel {
    const channel = this.#world.channel(this.#state, { ...plan, name: `${plan.name}@${appid}` })
    this.#owners.set(channel, appid)
    return channel
  }

  /** Whose a line is; null for the platform's own. */
  ownerOf(channel: Channel): string | null {
    return this.#owners.get(channel) ?? null
  }

  #mintRefreshToken(): string {
    return this.#world.mint('refreshtoken@@@', 58)
  }

  #tell(type: string, rest: JsonObject): void {
    if (this.target === null) return
    const CreateTime = Math.floor(this.#world.clock.now() / 1_000)
    this.outbox.push({ AppId: this.#state.account.id, CreateTime, InfoType: type, ...rest })
  }
}

function keep<T>(codes: Map<string, T>, code: string, value: T): void {
  codes.set(code, value)
  for (const oldest of codes.keys()) if (codes.size > codesMax) codes.delete(oldest)
}

const platforms = new WeakMap<AccountState, OpenPlatform>()

/** What WeChat knows of a third-party platform. */
export function openPlatformOf(world: World, state: ComponentState): OpenPlatform {
  const known = platforms.get(state)
  if (known !== undefined) return known
  const made = new OpenPlatform(world, state)
  platforms.set(state, made)
  return made
}
