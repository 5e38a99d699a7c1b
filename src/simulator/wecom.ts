/**
 * WeCom (企业微信): tokens of a corp's apps, their tickets, and an ordinary API that only checks the token. Errors are
 * HTTP 200; three headers mirror the body. A second fetch gives the same token until it has expired.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import { ticketLengths, tokenLengths } from './knobs.ts'
import type { Answer, Call, CallKind, Given, Upstream, Visit } from './upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'wecom'>>

const texts: Readonly<Record<string, string>> = {
  '-1': 'system busy',
  '40001': 'invalid credential',
  '40013': 'invalid corpid',
  '40014': 'invalid access_token',
  '40058': 'invalid Request Parameter',
  '40091': 'invalid secret',
  '41001': 'access_token missing',
  '41002': 'corpid missing',
  '41004': 'corpsecret missing',
  '42001': 'access_token expired',
  '43001': 'require GET method',
  '45009': 'api freq out of limit',
  '45033': 'api concurrent out of limit',
  '48002': 'api forbidden for current app',
  '50003': 'app disabled',
  '60020': 'not allow to access from your ip',
  '301002': 'no permission for this app',
}

const token: ChannelPlan = {
  name: 'token',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'same-until-expiry', ...tokenLengths(knobs) }),
  prefix: '',
  length: 214,
}

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

export function createWecom(world: World): Upstream {
  const bans = new Bans()
  return {
    receive: (visit) => {
      if (visit.path === '/cgi-bin/gettoken') return tokenCall(world, bans, visit)
      return ordinaryCall(world, visit)
    },
  }
}

type Place = { readonly world: World; readonly ip: string }

/** Header values are Latin-1 without line ends; anything else is written as percent signs. */
function headersFor(code: string | number, text: string): Record<string, string> {
  return {
    'content-type': 'application/json; charset=UTF-8',
    'error-code': String(code),
    'error-msg': /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text),
    'x-w-no': '1',
  }
}

function refuse(place: Place, code: string | number, text?: string): Answer {
  const { world, ip } = place
  const hint = `${String(Math.floor(world.clock.now() / 1_000))}_160_${world.hex()}${world.hex()}${world.hex()}${world.hex()}`
  const words = text ?? texts[String(code)] ?? 'simulated error'
  const more = `https://open.work.weixin.qq.com/devtool/query?e=${String(code)}`
  const errmsg = `${words}, hint: [${hint}], from ip: ${ip}, more info at ${more}`
  const body = { errcode: code, errmsg }
  return { status: 200, headers: headersFor(code, errmsg), body, given: null, refusal: code }
}

const goodHeaders = headersFor(0, 'ok')

function accept(body: JsonObject, given: Given | null = null): Answer {
  return { status: 200, headers: goodHeaders, body, given, refusal: null }
}

function callOf(place: Place, kind: CallKind, account: string | null, answer: () => Answer): Call {
  return { account, kind, forced: false, answer, refuse: (code, text) => refuse(place, code, text) }
}

function give(world: World, state: State, plan: ChannelPlan): Answer {
  const now = world.clock.now()
  const asked = world.channel(state, plan).ask(now)
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
    return give(world, state, token)
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
  const owner = world.find('wecom', world.book.get(value)?.channel.account ?? null)
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
    const state = world.find('wecom', judged?.issue.channel.account ?? null)
    if (judged === null || state === null || judged.issue.channel.use !== 'access') return refuseHere(40014)
    if (judged.verdict !== 'alive') return refuseHere(judged.verdict === 'expired' ? 42001 : 40014)
    const { allowList } = world.knobsOf(state)
    if (allowList !== null && !allowList.includes(visit.ip)) return refuseHere(60020)
    if (plan === 'unknown') return refuseHere(40058)
    if (plan !== null) return ticketAnswer(place, state, plan)
    if (isList) return accept({ ip_list: ['101.226.103.*', '101.226.62.*'], errcode: 0, errmsg: 'ok' })
    return accept({ errcode: 0, errmsg: 'ok' })
  })
}

function ticketPlan(visit: Visit): ChannelPlan | 'unknown' | null {
  if (visit.path === '/cgi-bin/get_jsapi_ticket') return corpTicket
  if (visit.path !== '/cgi-bin/ticket/get') return null
  return visit.query.get('type') === 'agent_config' ? appTicket : 'unknown'
}

function ticketAnswer(place: Place, state: State, plan: ChannelPlan): Answer {
  const { world } = place
  const now = world.clock.now()
  const knobs = world.knobsOf(state)
  const first = world.corp(state.account.corpid)[0] ?? state
  const isWithin =
    state.tally('tickets of the app', 'hour').take(now, knobs.appTicketsPerHour) &&
    first.tally('tickets of the corp', 'hour').take(now, knobs.corpTicketsPerHour)
  if (!isWithin) return refuse(place, 45009)
  return give(world, plan === corpTicket ? first : state, plan)
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
