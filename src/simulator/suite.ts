/**
 * What a platform knows of a third-party app (a suite of WeCom or DingTalk, a store app of Feishu): the tickets it pushed,
 * who installed the app, the codes it gave out, and the messages that are still to be pushed.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import type { Channel } from './channel.ts'
import type { PushScheme, PushTarget } from './push.ts'
import type { AccountState, ChannelPlan, World } from './world.ts'

type SuiteKind = 'wecom-suite' | 'dingtalk-suite' | 'feishu-store'
export type SuiteState = AccountState<AccountOf<SuiteKind>>

/** What happens to an app, and its organisations, as its platform tells of it. */
export type SuiteEvent =
  | { readonly type: 'ticket'; readonly ticket: string }
  | { readonly type: 'installed' | 'reset'; readonly organisation: string; readonly code: string }
  | { readonly type: 'changed' | 'removed'; readonly organisation: string }

/** How a platform deals with such apps. */
type Terms = {
  readonly scheme: PushScheme
  readonly everySeconds: number
  /** Milliseconds for which a ticket is good; null until the next one. */
  readonly livesMs: number | null
  /** Null: the platform tells nothing of it. */
  readonly message: (id: string, event: SuiteEvent, now: number, serial: string) => JsonObject | null
}

const terms: Readonly<Record<SuiteKind, Terms>> = {
  'wecom-suite': { scheme: 'wecom', everySeconds: 600, livesMs: 1_800_000, message: wecomMessage },
  'dingtalk-suite': { scheme: 'dingtalk', everySeconds: 18_000, livesMs: null, message: dingtalkMessage },
  'feishu-store': { scheme: 'feishu', everySeconds: 3_600, livesMs: null, message: feishuMessage },
}

/** The real samples have a space before `suite_ticket`. */
function wecomMessage(id: string, event: SuiteEvent, now: number): JsonObject | null {
  const common = { SuiteId: id, TimeStamp: Math.floor(now / 1_000) }
  switch (event.type) {
    case 'ticket':
      return { ...common, InfoType: ' suite_ticket', SuiteTicket: event.ticket }
    case 'installed':
      return { ...common, InfoType: 'create_auth', AuthCode: event.code, State: '' }
    case 'reset':
      return { ...common, InfoType: 'reset_permanent_code', AuthCode: event.code }
    case 'changed':
      return { ...common, InfoType: 'change_auth', AuthCorpId: event.organisation }
    case 'removed':
      return { ...common, InfoType: 'cancel_auth', AuthCorpId: event.organisation }
  }
}

function dingtalkMessage(id: string, event: SuiteEvent, now: number): JsonObject | null {
  const common = { SuiteKey: id, TimeStamp: String(now) }
  switch (event.type) {
    case 'ticket':
      return { ...common, EventType: 'suite_ticket', SuiteTicket: event.ticket }
    case 'installed':
      return { ...common, EventType: 'tmp_auth_code', AuthCode: event.code, AuthCorpId: event.organisation }
    case 'changed':
      return { ...common, EventType: 'change_auth', AuthCorpId: event.organisation }
    case 'removed':
      return { ...common, EventType: 'suite_relieve', AuthCorpId: event.organisation }
    case 'reset':
      return null
  }
}

function feishuMessage(id: string, event: SuiteEvent, now: number, serial: string): JsonObject | null {
  const told = (rest: JsonObject): JsonObject => ({
    ts: (now / 1_000).toFixed(6),
    uuid: serial,
    type: 'event_callback',
    event: { app_id: id, ...rest },
  })
  switch (event.type) {
    case 'ticket':
      return told({ type: 'app_ticket', app_ticket: event.ticket })
    case 'installed':
      return told({ type: 'app_open', tenant_key: event.organisation })
    case 'removed':
      return told({ type: 'app_uninstalled', tenant_key: event.organisation })
    case 'changed':
    case 'reset':
      return null
  }
}

const codeLivesMs = 1_200_000

export class Suite {
  readonly #world: World
  readonly #state: SuiteState
  readonly #terms: Terms
  #tickets: { readonly value: string; readonly endsAt: number }[] = []
  #nextTicketAt = 0
  /** The permanent code of each organisation that has the app installed. */
  readonly #permits = new Map<string, string>()
  readonly #codes = new Map<string, { readonly organisation: string; readonly endsAt: number }>()
  readonly #organisations = new WeakMap<Channel, string>()
  /** Messages that are still to be pushed, oldest first. */
  readonly outbox: JsonObject[] = []

  constructor(world: World, state: SuiteState) {
    this.#world = world
    this.#state = state
    this.#terms = terms[state.account.kind]
  }

  /** Where it is pushed to; null where the account names no address. */
  get target(): PushTarget | null {
    const { callback, id } = this.#state.account
    return callback === undefined ? null : { ...callback, scheme: this.#terms.scheme, receiveId: id }
  }

  /** Makes the ticket that is due, if one is. */
  tick(): void {
    if (this.#world.clock.now() >= this.#nextTicketAt) this.makeTicket()
  }

  /** Makes a ticket now and has it pushed. */
  makeTicket(): string {
    const now = this.#world.clock.now()
    const { livesMs, everySeconds } = this.#terms
    const value = this.#world.mint('ticket@@@', 64)
    const kept = livesMs === null ? [] : this.#tickets.filter(({ endsAt }) => endsAt > now)
    this.#tickets = [...kept, { value, endsAt: livesMs === null ? Infinity : now + livesMs }]
    this.#nextTicketAt = now + (this.#world.knobsOf(this.#state).pushSeconds ?? everySeconds) * 1_000
    this.#tell({ type: 'ticket', ticket: value })
    return value
  }

  takesTicket(value: string | null): boolean {
    const now = this.#world.clock.now()
    return this.#tickets.some((ticket) => ticket.value === value && ticket.endsAt > now)
  }

  /** An organisation installs the app. Answers the code that the platform gives for it, which is good once. */
  install(organisation: string): string {
    this.#permits.set(organisation, this.#world.mint('permanent_', 64))
    const code = this.#codeFor(organisation)
    this.#tell({ type: 'installed', organisation, code })
    return code
  }

  /** An administrator has another permanent code made: the one before is dead. False when nobody installed the app there. */
  reset(organisation: string): boolean {
    if (!this.#permits.has(organisation)) return false
    this.#permits.set(organisation, this.#world.mint('permanent_', 64))
    this.#tell({ type: 'reset', organisation, code: this.#codeFor(organisation) })
    return true
  }

  change(organisation: string): boolean {
    if (!this.#permits.has(organisation)) return false
    this.#tell({ type: 'changed', organisation })
    return true
  }

  /** An organisation removes the app: its tokens die. */
  remove(organisation: string): boolean {
    if (!this.#permits.delete(organisation)) return false
    for (const [name, channel] of this.#state.channels) {
      if (name.endsWith(`@${organisation}`)) channel.revokeAll(this.#world.clock.now())
    }
    this.#tell({ type: 'removed', organisation })
    return true
  }

  /** Takes a code: the organisation and its permanent code, once; null for a code that is none, or was one. */
  redeem(code: string | null): { readonly organisation: string; readonly permanentCode: string } | null {
    const found = code === null ? undefined : this.#codes.get(code)
    if (code === null || found === undefined || found.endsAt <= this.#world.clock.now()) return null
    this.#codes.delete(code)
    const permanentCode = this.#permits.get(found.organisation)
    return permanentCode === undefined ? null : { organisation: found.organisation, permanentCode }
  }

  permanentCode(organisation: string | null): string | null {
    return (organisation === null ? undefined : this.#permits.get(organisation)) ?? null
  }

  /** A line of values of one organisation. */
  channel(plan: ChannelPlan, organisation: string): Channel {
    const channel = this.#world.channel(this.#state, { ...plan, name: `${plan.name}@${organisation}` })
    this.#organisations.set(channel, organisation)
    return channel
  }

  /** Whose a line is; null for the app's own. */
  organisationOf(channel: Channel): string | null {
    return this.#organisations.get(channel) ?? null
  }

  #codeFor(organisation: string): string {
    const code = this.#world.mint('auth_', 64)
    this.#codes.set(code, { organisation, endsAt: this.#world.clock.now() + codeLivesMs })
    return code
  }

  #tell(event: SuiteEvent): void {
    const { id } = this.#state.account
    const message = this.#terms.message(id, event, this.#world.clock.now(), this.#world.hex() + this.#world.hex())
    if (message !== null && this.target !== null) this.outbox.push(message)
  }
}

const suites = new WeakMap<AccountState, Suite>()

/** What the platform knows of an app. */
export function suiteOf(world: World, state: SuiteState): Suite {
  const known = suites.get(state)
  if (known !== undefined) return known
  const made = new Suite(world, state)
  suites.set(state, made)
  return made
}

/** The app of that id, if it is one. */
export function findSuite(world: World, id: string | null): SuiteState | null {
  return world.find('wecom-suite', id) ?? world.find('dingtalk-suite', id) ?? world.find('feishu-store', id)
}
