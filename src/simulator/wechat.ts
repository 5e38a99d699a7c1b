/**
 * WeChat official accounts and mini programs: classic and stable tokens, tickets, and an ordinary API that only checks
 * the token. Every error is HTTP 200 with an errcode, and the order of the checks is the platform's.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import type { Reissue } from './channel.ts'
import { parseObject, textOf } from './json-body.ts'
import { ticketLengths, tokenLengths, type Knobs } from './knobs.ts'
import { downloadSize, isUpload, readUpload, uploadBody } from './media.ts'
import type { Answer, Call, CallKind, Given, Upstream, Visit } from './upstream.ts'
import { wechatTexts } from './wechat-texts.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'wechat'>>

const headers = { 'content-type': 'application/json; encoding=utf-8' }
export const tokenShape = /^\d+_[\w-]{16,8000}$/
export const ticketTypes = ['jsapi', 'wx_card', '2']

const plan = (name: string, kind: CallKind, prefix: string, reissue: Reissue): ChannelPlan => ({
  name,
  kind,
  use: 'access',
  terms: (knobs) => ({ reissue, ...tokenLengths(knobs) }),
  prefix,
  length: 119,
})
const classic = plan('classic', 'token', '70_', 'retires-previous')
const stable = plan('stable', 'stable_token', '71_', 'same-until-window')

/** A ticket is undocumented in what a second fetch gives; like most observers we say: the same, until its window. */
export const ticket = (type: string): ChannelPlan => ({
  name: `ticket:${type}`,
  kind: 'ticket',
  use: 'ticket',
  terms: (knobs) => ({ reissue: knobs.ticketReissue ?? 'same-until-window', ...ticketLengths(knobs) }),
  prefix: '',
  length: 86,
})

/** What can be rotated or looked at by name. */
export const wechatPlans: readonly ChannelPlan[] = [classic, stable, ...ticketTypes.map(ticket)]

export function createWechat(world: World): Upstream {
  return {
    receive: (visit) => {
      switch (visit.path) {
        case '/cgi-bin/token':
          return classicCall(world, visit)
        case '/cgi-bin/stable_token':
          return stableCall(world, visit)
        case '/cgi-bin/clear_quota/v2':
          return clearBySecret(world, visit)
        default:
          return ordinaryCall(world, visit)
      }
    },
  }
}

export function refuse(world: World, code: string | number, text?: string): Answer {
  const words = text ?? wechatTexts[String(code)] ?? 'simulated error'
  const errmsg = `${words} rid: ${world.hex()}-${world.hex()}-${world.hex()}`
  return { status: 200, headers, body: { errcode: code, errmsg }, given: null, refusal: code }
}

export function accept(body: JsonObject, given: Given | null = null): Answer {
  return { status: 200, headers, body, given, refusal: null }
}

export function callOf(world: World, kind: CallKind, account: string | null, answer: () => Answer): Call {
  return { account, kind, forced: false, answer, refuse: (code, text) => refuse(world, code, text) }
}

type Claim = {
  readonly appid: string | null
  readonly secret: string | null
}

type TokenClaim = Claim & { readonly grantType: string | null; readonly ip: string }

/** Who asks, or the refusal. A missing value and an empty one are the same. */
function recognise(world: World, claim: Claim): State | Answer {
  if (claim.appid === null || claim.appid === '') return refuse(world, 41002)
  const state = world.find('wechat', claim.appid)
  if (state === null) return refuse(world, 40013)
  if (claim.secret === null || claim.secret === '') return refuse(world, 41004)
  if (claim.secret !== state.account.secret) return refuse(world, 40125)
  return state
}

/** Who may fetch a token, or the refusal. */
function admit(world: World, claim: TokenClaim): State | Answer {
  const state = recognise(world, claim)
  if (isAnswer(state)) return state
  if (claim.grantType !== 'client_credential') return refuse(world, 40002)
  const knobs = world.knobsOf(state)
  if (state.account.type === 'official' && knobs.allowList !== null && !knobs.allowList.includes(claim.ip)) {
    return refuse(world, 40164, `invalid ip ${claim.ip} ipv6 ::ffff:${claim.ip}, not in whitelist`)
  }
  if (knobs.riskConfirmation && !state.confirmed.has(claim.ip) && state.confirmed.size < 1_000) {
    state.confirmed.add(claim.ip)
    return refuse(world, 89503)
  }
  return state
}

const isAnswer = (value: State | Answer): value is Answer => 'status' in value

function issue(world: World, state: State, plan: ChannelPlan, force = false): Given {
  const given = world.channel(state, plan).ask(world.clock.now(), force)
  const tokenAt = [plan.use === 'ticket' ? 'ticket' : 'access_token']
  return { ...given, tokenAt, lifetimeAt: ['expires_in'] }
}

function tokenBody(world: World, given: Given): JsonObject {
  return { access_token: given.issue.value, expires_in: secondsLeft(given.issue.expiresAt, world.clock.now()) }
}

function classicCall(world: World, visit: Visit): Call {
  const appid = visit.query.get('appid')
  return callOf(world, 'token', world.find('wechat', appid)?.account.id ?? null, () => {
    if (visit.method !== 'GET') return refuse(world, 43001)
    const secret = visit.query.get('secret')
    const state = admit(world, { appid, secret, grantType: visit.query.get('grant_type'), ip: visit.ip })
    if (isAnswer(state)) return state
    if (!state.tally('classic', 'day').take(world.clock.now(), world.knobsOf(state).classicPerDay)) {
      return refuse(world, 45009, wechatTexts['classic quota'])
    }
    const given = issue(world, state, classic)
    return accept(tokenBody(world, given), given)
  })
}

async function stableCall(world: World, visit: Visit): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const appid = textOf(body, 'appid')
  const forced = body?.force_refresh === true
  const call = callOf(world, 'stable_token', world.find('wechat', appid)?.account.id ?? null, () => {
    if (visit.method !== 'POST') return refuse(world, 43002)
    if (body === null) return refuse(world, 47001)
    const state = admit(world, {
      appid,
      secret: textOf(body, 'secret'),
      grantType: textOf(body, 'grant_type'),
      ip: visit.ip,
    })
    if (isAnswer(state)) return state
    return stableAnswer(world, state, forced)
  })
  return { ...call, forced }
}

function stableAnswer(world: World, state: State, forced: boolean): Answer {
  const now = world.clock.now()
  const knobs = world.knobsOf(state)
  if (!state.tally('stable', 'minute').take(now, knobs.stablePerMinute)) return refuse(world, 45011)
  if (!state.tally('stable', 'day').take(now, knobs.stablePerDay)) return refuse(world, 45009)
  let force = forced
  if (forced && isTooSoon(state, knobs, now)) {
    if (knobs.forceTooSoon === 'refuse') return refuse(world, 45011)
    force = false
  }
  if (force) {
    if (!state.tally('force', 'day').take(now, knobs.forcePerDay)) return refuse(world, 45009)
    state.lastForcedAt = now
  }
  const given = issue(world, state, stable, force)
  return accept(tokenBody(world, given), given)
}

function isTooSoon(state: State, knobs: Knobs, now: number): boolean {
  return state.lastForcedAt !== null && now - state.lastForcedAt < knobs.forceGapSeconds * 1_000
}

/** Everything that carries an access_token; the token is looked for in the query only. */
function ordinaryCall(world: World, visit: Visit): Call | Promise<Call> {
  const token = visit.query.get('access_token') ?? ''
  const owner = world.find('wechat', world.book.get(token)?.channel.account ?? null)
  const kind = visit.path === '/cgi-bin/ticket/getticket' ? 'ticket' : 'api'
  const account = owner?.account.id ?? null
  // A token that is no good is refused before the media is there.
  if (isUpload(visit) && world.judge(token)?.verdict === 'alive') {
    return readUpload(visit).then((upload) =>
      callOf(world, kind, account, () => {
        const answer = ordinaryAnswer(world, visit, token, null)
        return answer.refusal === null ? accept(uploadBody(upload, world.clock.now())) : answer
      }),
    )
  }
  if (!readsBody(visit)) return callOf(world, kind, account, () => ordinaryAnswer(world, visit, token, null))
  return visit
    .text()
    .then((text) => callOf(world, kind, account, () => ordinaryAnswer(world, visit, token, parseObject(text))))
}

function readsBody(visit: Visit): boolean {
  return visit.path === '/cgi-bin/clear_quota' || visit.path === '/cgi-bin/openapi/quota/get'
}

function ordinaryAnswer(world: World, visit: Visit, token: string, body: JsonObject | null): Answer {
  if (token === '') return refuse(world, 41001)
  const judged = world.judge(token)
  const state = world.find('wechat', judged?.issue.channel.account ?? null)
  if (judged === null || state === null || judged.issue.channel.use !== 'access') {
    return refuse(world, tokenShape.test(token) ? 40001 : 40014)
  }
  if (judged.verdict !== 'alive') return refuse(world, judged.verdict === 'expired' ? 42001 : 40001)
  switch (visit.path) {
    case '/cgi-bin/ticket/getticket':
      return ticketAnswer(world, state, visit.query.get('type') ?? '')
    case '/cgi-bin/clear_quota':
      if (visit.method !== 'POST') return refuse(world, 43002)
      if (body === null) return refuse(world, 47001)
      return body.appid === state.account.id ? clearQuota(world, state) : refuse(world, 40013)
    case '/cgi-bin/openapi/quota/get':
      return visit.method === 'POST' ? quotaAnswer(world, state, textOf(body, 'cgi_path')) : refuse(world, 43002)
    case '/cgi-bin/getcallbackip':
    case '/cgi-bin/get_api_domain_ip':
      return accept({ ip_list: ['101.226.103.0/25', '101.89.47.18'] })
    case '/cgi-bin/user/get':
      return accept({ total: 1, count: 1, data: { openid: ['oSimulated0000000000000000001'] }, next_openid: '' })
    default: {
      const mediaBytes = downloadSize(visit)
      const body = accept({ errcode: 0, errmsg: 'ok' })
      return mediaBytes === null ? body : { ...body, mediaBytes }
    }
  }
}

function ticketAnswer(world: World, state: State, type: string): Answer {
  if (!ticketTypes.includes(type)) return refuse(world, 40097)
  const given = issue(world, state, ticket(type))
  const left = secondsLeft(given.issue.expiresAt, world.clock.now())
  return accept({ errcode: 0, errmsg: 'ok', ticket: given.issue.value, expires_in: left }, given)
}

async function clearBySecret(world: World, visit: Visit): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const appid = visit.query.get('appid') ?? textOf(body, 'appid')
  const secret = visit.query.get('appsecret') ?? textOf(body, 'appsecret')
  return callOf(world, 'api', world.find('wechat', appid)?.account.id ?? null, () => {
    if (visit.method !== 'POST') return refuse(world, 43002)
    const state = recognise(world, { appid, secret })
    return isAnswer(state) ? state : clearQuota(world, state)
  })
}

/** Both ways of clearing share one allowance. */
function clearQuota(world: World, state: State): Answer {
  if (!state.tally('clear_quota', 'month').take(world.clock.now(), world.knobsOf(state).clearQuotaPerMonth)) {
    return refuse(world, 48006)
  }
  for (const [name, period] of [
    ['classic', 'day'],
    ['stable', 'day'],
    ['force', 'day'],
  ] as const) {
    state.tally(name, period).clear()
  }
  return accept({ errcode: 0, errmsg: 'ok' })
}

function quotaAnswer(world: World, state: State, path: string | null): Answer {
  const knobs = world.knobsOf(state)
  const counted = {
    '/cgi-bin/token': { tally: state.tally('classic', 'day'), limit: knobs.classicPerDay },
    '/cgi-bin/stable_token': { tally: state.tally('stable', 'day'), limit: knobs.stablePerDay },
  }[path ?? '']
  if (counted === undefined) return refuse(world, 76021)
  const used = counted.tally.count(world.clock.now())
  const quota = { daily_limit: counted.limit, used, remain: Math.max(0, counted.limit - used) }
  return accept({ errcode: 0, errmsg: 'ok', quota })
}
