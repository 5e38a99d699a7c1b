/**
 * WeCom (企业微信): tokens of a corp's apps, their tickets, and an ordinary API that only checks the token. Errors are
 * HTTP 200; three headers mirror the body. A second fetch gives the same token until it has expired.
 */
import type { AccountOf } from './account.ts'
import type { Channel } from './channel.ts'
import { ticketLengths } from './knobs.ts'
import { suiteOf } from './suite.ts'
import type { Answer, Call, Upstream, Visit } from './upstream.ts'
import { accept, callOf, refuse, token, type Place } from './wecom-answer.ts'
import { serviceCall, suiteToken } from './wecom-service.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'wecom'>>
/** Whose a token is: an app of a corp, or a suite that a corp installed. */
type Holder = AccountState<AccountOf<'wecom' | 'wecom-suite'>>

const ticket = (name: string): ChannelPlan => ({
  name,
  kind: 'ticket',
  use: 'ticket',
  terms: (knobs) => ({ reissue: knobs.ticketReissue ?? 'same-until-expiry', ...ticketLengths(knobs) }),
  prefix: '',
  length: 86,
})
/** The jsapi ticket belongs to the whole corp, and is kept with its oldest app. */
const corpTicket = ticket('ticket:jsapi')
const appTicket = ticket('ticket:agent_config')

/** What can be rotated or looked at by name. */
export const wecomPlans: readonly ChannelPlan[] = [token, corpTicket, appTicket]
export const wecomProviderPlans: readonly ChannelPlan[] = [token]
export const wecomSuitePlans: readonly ChannelPlan[] = [suiteToken]

export function createWecom(world: World): Upstream {
  const bans = new Bans()
  return {
    receive: (visit) => {
      if (visit.path === '/cgi-bin/gettoken') return tokenCall(world, bans, visit)
      return serviceCall(world, visit) ?? ordinaryCall(world, visit)
    },
  }
}

function give(world: World, channel: Channel, plan: ChannelPlan): Answer {
  const now = world.clock.now()
  const asked = channel.ask(now)
  const field = plan.use === 'ticket' ? 'ticket' : 'access_token'
  const body = {
    errcode: 0,
    errmsg: 'ok',
    [field]: asked.issue.value,
    expires_in: secondsLeft(asked.issue.expiresAt, now),
  }
  return accept(body, { ...asked, tokenAt: [field], lifetimeAt: ['expires_in'] })
}

function tokenCall(world: World, bans: Bans, visit: Visit): Call {
  const place = { world, ip: visit.ip }
  const corpid = visit.query.get('corpid') ?? ''
  const secret = visit.query.get('corpsecret') ?? ''
  const apps = world.corp(corpid)
  const app = apps.find((state) => state.account.secret === secret) ?? null
  // A wrong secret still counts as a call of the corp's first app: somebody has to be billed for it.
  const account = (app ?? apps[0])?.account.id ?? null
  return callOf(place, 'token', account, () => {
    const now = world.clock.now()
    if (bans.isBanned(visit.ip, now)) return refuse(place, 45009)
    const code = tokenFault(world, visit, corpid, secret)
    if (code !== null) {
      const state = account === null ? undefined : world.state(account)
      const max = (state === undefined ? world.knobs : world.knobsOf(state)).wrongCallsPerHour
      bans.wrong(visit.ip, now, max)
      return refuse(place, code)
    }
    const state = world.corp(corpid).find((known) => known.account.secret === secret)
    if (state === undefined) return refuse(place, 40001)
    if (!mayCall(world, state, now)) return refuse(place, 45009)
    return give(world, world.channel(state, token), token)
  })
}

/** The order is that of observed answers: nothing at all is a missing secret, an unknown corp comes before any secret. */
function tokenFault(world: World, visit: Visit, corpid: string, secret: string): number | null {
  if (visit.method !== 'GET') return 43001
  if (corpid === '') return secret === '' ? 41004 : 41002
  const apps = world.corp(corpid)
  if (apps.length === 0) return 40013
  if (secret === '') return 41004
  return apps.some((state) => state.account.secret === secret) ? null : 40001
}

/** Over the limit of a minute the corp is blocked for sixty seconds, not only for the rest of the minute. */
function mayCall(world: World, state: State, now: number): boolean {
  const first = world.corp(state.account.corpid)[0] ?? state
  if (now < first.blockedUntil) return false
  if (first.tally('gettoken', 'minute').take(now, world.knobsOf(first).corpPerMinute)) return true
  first.blockedUntil = now + 60_000
  return false
}

function ordinaryCall(world: World, visit: Visit): Call {
  const place = { world, ip: visit.ip }
  const value = visit.query.get('access_token') ?? ''
  const owner = holderOf(world, world.book.get(value)?.channel)
  const plan = ticketPlan(visit)
  const kind = plan === null ? 'api' : 'ticket'
  const isList = visit.path === '/cgi-bin/getcallbackip' || visit.path === '/cgi-bin/get_api_domain_ip'
  const refuseHere = (code: string | number): Answer => {
    const answer = refuse(place, code)
    return isList ? { ...answer, body: { ip_list: [], ...answer.body } } : answer
  }
  return callOf(place, kind, owner?.account.id ?? null, () => {
    if (value === '') return refuseHere(41001)
    const judged = world.judge(value)
    const state = holderOf(world, judged?.issue.channel)
    if (judged === null || state === null || judged.issue.channel.use !== 'access') return refuseHere(40014)
    if (judged.verdict !== 'alive') return refuseHere(judged.verdict === 'expired' ? 42001 : 40014)
    const { allowList } = world.knobsOf(state)
    if (allowList !== null && !allowList.includes(visit.ip)) return refuseHere(60020)
    if (plan === 'unknown') return refuseHere(40058)
    if (plan !== null) return ticketAnswer(place, state, judged.issue.channel, plan)
    if (isList) return accept({ ip_list: ['101.226.103.*', '101.226.62.*'], errcode: 0, errmsg: 'ok' })
    return accept({ errcode: 0, errmsg: 'ok' })
  })
}

function ticketPlan(visit: Visit): ChannelPlan | 'unknown' | null {
  if (visit.path === '/cgi-bin/get_jsapi_ticket') return corpTicket
  if (visit.path !== '/cgi-bin/ticket/get') return null
  return visit.query.get('type') === 'agent_config' ? appTicket : 'unknown'
}

/** The token of a suite itself opens the calls for suites only. */
function holderOf(world: World, channel: Channel | undefined): Holder | null {
  const account = channel?.account ?? null
  const suite = world.find('wecom-suite', account)
  if (channel === undefined || suite === null) return world.find('wecom', account)
  return suiteOf(world, suite).organisationOf(channel) === null ? null : suite
}

function ticketAnswer(place: Place, holder: Holder, sent: Channel, plan: ChannelPlan): Answer {
  const { world } = place
  const suite = world.find('wecom-suite', holder.account.id)
  if (suite !== null) {
    const known = suiteOf(world, suite)
    return give(world, known.channel(plan, known.organisationOf(sent) ?? ''), plan)
  }
  const state = world.find('wecom', holder.account.id)
  if (state === null) return refuse(place, 40014)
  const now = world.clock.now()
  const knobs = world.knobsOf(state)
  const first = world.corp(state.account.corpid)[0] ?? state
  const isWithin =
    state.tally('tickets of the app', 'hour').take(now, knobs.appTicketsPerHour) &&
    first.tally('tickets of the corp', 'hour').take(now, knobs.corpTicketsPerHour)
  if (!isWithin) return refuse(place, 45009)
  return give(world, world.channel(plan === corpTicket ? first : state, plan), plan)
}

/** Addresses that called gettoken wrongly too often. */
class Bans {
  readonly #seen = new Map<string, { hour: number; wrong: number; bannedUntil: number }>()

  isBanned(ip: string, now: number): boolean {
    const seen = this.#seen.get(ip)
    return seen !== undefined && now < seen.bannedUntil
  }

  wrong(ip: string, now: number, max: number): void {
    const hour = Math.floor(now / 3_600_000)
    const seen = this.#seen.get(ip)
    const wrong = seen?.hour === hour ? seen.wrong + 1 : 1
    this.#seen.delete(ip)
    this.#seen.set(ip, { hour, wrong, bannedUntil: wrong >= max ? now + 3_600_000 : 0 })
    const oldest = this.#seen.keys().next()
    if (this.#seen.size > 1_000 && oldest.done !== true) this.#seen.delete(oldest.value)
  }
}
