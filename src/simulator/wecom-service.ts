/** WeCom for service providers: the calls under `/cgi-bin/service`, downstream corps, and the page at which a corp installs a suite. */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import { parseObject, textOf } from './json-body.ts'
import { suiteOf, type Suite } from './suite.ts'
import type { Answer, Call, Visit } from './upstream.ts'
import { accept, callOf, refuse, token, type Place } from './wecom-answer.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type SuiteState = AccountState<AccountOf<'wecom-suite'>>

/** The corp that installs a suite at the page, where the address does not name another one. */
const visitorsCorp = 'ww0000000000000009'

export const suiteToken: ChannelPlan = { ...token, name: 'suite', prefix: 'suite_' }
const corpToken: ChannelPlan = { ...token, name: 'corp' }
const downstreamToken: ChannelPlan = { ...token, name: 'downstream' }

/** Null: it is none of these calls. */
export function serviceCall(world: World, visit: Visit): Promise<Call> | Call | null {
  switch (visit.path) {
    case '/cgi-bin/service/get_provider_token':
      return providerCall(world, visit)
    case '/cgi-bin/service/get_suite_token':
      return suiteCall(world, visit)
    case '/cgi-bin/service/get_pre_auth_code':
    case '/cgi-bin/service/get_permanent_code':
    case '/cgi-bin/service/get_corp_token':
      return withSuiteToken(world, visit)
    case '/cgi-bin/corpgroup/corp/gettoken':
      return downstreamCall(world, visit)
    case '/3rdapp/install':
      return installPage(world, visit)
    default:
      return null
  }
}

async function bodyOf(visit: Visit): Promise<JsonObject | null> {
  return visit.method === 'POST' ? parseObject(await visit.text()) : null
}

async function providerCall(world: World, visit: Visit): Promise<Call> {
  const place = { world, ip: visit.ip }
  const body = await bodyOf(visit)
  const state = world.find('wecom-provider', textOf(body, 'corpid'))
  return callOf(place, 'token', state?.account.id ?? null, () => {
    const known = world.find('wecom-provider', textOf(body, 'corpid'))
    if (known === null) return refuse(place, 40013)
    if (textOf(body, 'provider_secret') !== known.account.secret) return refuse(place, 40001)
    const now = world.clock.now()
    const asked = world.channel(known, token).ask(now)
    const told = { provider_access_token: asked.issue.value, expires_in: secondsLeft(asked.issue.expiresAt, now) }
    return accept(told, { ...asked, tokenAt: ['provider_access_token'], lifetimeAt: ['expires_in'] })
  })
}

async function suiteCall(world: World, visit: Visit): Promise<Call> {
  const place = { world, ip: visit.ip }
  const body = await bodyOf(visit)
  const id = textOf(body, 'suite_id')
  return callOf(place, 'token', world.find('wecom-suite', id)?.account.id ?? null, () => {
    const state = world.find('wecom-suite', id)
    if (id === null || id === '') return refuse(place, 41021)
    if (state === null) return refuse(place, 40083)
    if (textOf(body, 'suite_secret') !== state.account.secret) return refuse(place, 40080)
    if (!suiteOf(world, state).takesTicket(textOf(body, 'suite_ticket'))) return refuse(place, 40085)
    const now = world.clock.now()
    const asked = world.channel(state, suiteToken).ask(now)
    const left = secondsLeft(asked.issue.expiresAt, now)
    const told = { errcode: 0, errmsg: 'ok', suite_access_token: asked.issue.value, expires_in: left }
    return accept(told, { ...asked, tokenAt: ['suite_access_token'], lifetimeAt: ['expires_in'] })
  })
}

async function withSuiteToken(world: World, visit: Visit): Promise<Call> {
  const place = { world, ip: visit.ip }
  const body = await bodyOf(visit)
  const sent = visit.query.get('suite_access_token') ?? ''
  const owner = world.find('wecom-suite', world.book.get(sent)?.channel.account ?? null)
  const kind = visit.path.endsWith('get_pre_auth_code') ? 'api' : 'token'
  return callOf(place, kind, owner?.account.id ?? null, () => {
    if (sent === '') return refuse(place, 41022)
    const judged = world.judge(sent)
    const state = world.find('wecom-suite', judged?.issue.channel.account ?? null)
    if (judged === null || state === null) return refuse(place, 40082)
    const suite = suiteOf(world, state)
    if (suite.organisationOf(judged.issue.channel) !== null) return refuse(place, 40082)
    if (judged.verdict !== 'alive') return refuse(place, judged.verdict === 'expired' ? 42009 : 40082)
    if (kind === 'api') {
      return accept({ errcode: 0, errmsg: 'ok', pre_auth_code: world.mint('preauth_', 48), expires_in: 1_200 })
    }
    if (visit.path.endsWith('get_corp_token')) return corpAnswer(place, suite, body)
    return permanentAnswer(place, suite, body)
  })
}

/** The token of a corp has no errcode beside it. */
function corpAnswer(place: Place, suite: Suite, body: JsonObject | null): Answer {
  const corp = textOf(body, 'auth_corpid')
  const sent = textOf(body, 'permanent_code')
  const code = suite.permanentCode(corp)
  if (corp === null) return refuse(place, 41002)
  if (sent === null || sent === '') return refuse(place, 41025)
  if (code === null) return refuse(place, 48004)
  if (code !== sent) return refuse(place, 40084)
  return corpTokenAnswer(place, suite, corp, {})
}

function permanentAnswer(place: Place, suite: Suite, body: JsonObject | null): Answer {
  const redeemed = suite.redeem(textOf(body, 'auth_code'))
  if (redeemed === null) return refuse(place, 40078)
  const { organisation: corpid, permanentCode } = redeemed
  return corpTokenAnswer(place, suite, corpid, {
    permanent_code: permanentCode,
    auth_corp_info: { corpid, corp_name: 'A corp' },
    auth_info: { agent: [{ agentid: 1_000_001, name: 'An app' }] },
    auth_user_info: { userid: 'canary-admin' },
  })
}

function corpTokenAnswer({ world }: Place, suite: Suite, corp: string, more: JsonObject): Answer {
  const now = world.clock.now()
  const asked = suite.channel(corpToken, corp).ask(now)
  const told = { access_token: asked.issue.value, expires_in: secondsLeft(asked.issue.expiresAt, now), ...more }
  return accept(told, { ...asked, tokenAt: ['access_token'], lifetimeAt: ['expires_in'] })
}

async function downstreamCall(world: World, visit: Visit): Promise<Call> {
  const place = { world, ip: visit.ip }
  const body = await bodyOf(visit)
  const sent = visit.query.get('access_token') ?? ''
  const owner = world.find('wecom', world.book.get(sent)?.channel.account ?? null)
  return callOf(place, 'token', owner?.account.id ?? null, () => {
    if (sent === '') return refuse(place, 41001)
    const judged = world.judge(sent)
    const state = world.find('wecom', judged?.issue.channel.account ?? null)
    if (judged?.verdict !== 'alive' || state === null)
      return refuse(place, judged?.verdict === 'expired' ? 42001 : 40014)
    const corp = textOf(body, 'corpid')
    if (corp === null || corp === '') return refuse(place, 40013)
    const now = world.clock.now()
    const line = `downstream@${corp}/${JSON.stringify([body?.agentid, body?.business_type])}`
    const asked = world.channel(state, { ...downstreamToken, name: line }).ask(now)
    const left = secondsLeft(asked.issue.expiresAt, now)
    const told = { errcode: 0, errmsg: 'ok', access_token: asked.issue.value, expires_in: left }
    return accept(told, { ...asked, tokenAt: ['access_token'], lifetimeAt: ['expires_in'] })
  })
}

/** Whoever opens the page consents at once, for the corp that the address names as `corp`. */
function installPage(world: World, visit: Visit): Call {
  const place = { world, ip: visit.ip }
  const { query } = visit
  const state = (): SuiteState | null => world.find('wecom-suite', query.get('suite_id'))
  return callOf(place, 'api', state()?.account.id ?? null, () => {
    const known = state()
    const back = query.get('redirect_uri') ?? ''
    if (known === null) return refuse(place, 40083)
    if (query.get('pre_auth_code')?.startsWith('preauth_') !== true || !URL.canParse(back)) return refuse(place, 40077)
    const location = new URL(back)
    location.searchParams.set('auth_code', suiteOf(world, known).install(query.get('corp') ?? visitorsCorp))
    location.searchParams.set('expires_in', '1200')
    location.searchParams.set('state', query.get('state') ?? '')
    return { status: 302, headers: { location: location.href }, body: {}, given: null, refusal: null }
  })
}
