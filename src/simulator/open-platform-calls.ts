/**
 * The calls of WeChat's Open Platform: those of a third-party platform under `/cgi-bin/component/`, and the ordinary API with
 * the token of an account that authorised it.
 */
import type { JsonObject } from '../base/json.ts'
import { parseObject, textOf } from './json-body.ts'
import { componentPlan, openPlatformOf, type ComponentState, type OpenPlatform } from './open-platform.ts'
import type { Answer, Call, CallKind, Given, Upstream, Visit } from './upstream.ts'
import { accept, callOf, refuse, ticket, ticketTypes, tokenShape } from './wechat.ts'
import { secondsLeft, type World } from './world.ts'

const listMax = 500

/** One call on its way: the platform it is about, as its body says, and what is in that. */
type Asked = {
  readonly world: World
  readonly state: ComponentState
  readonly platform: OpenPlatform
  readonly body: JsonObject
}

type Api = {
  readonly kind: CallKind
  /** Asked with the platform's token; without it, with its secret under this name. */
  readonly secretKey?: string
  readonly answer: (asked: Asked) => Answer
}

const apis: Readonly<Record<string, Api>> = {
  api_component_token: { kind: 'token', secretKey: 'component_appsecret', answer: componentToken },
  api_start_push_ticket: { kind: 'api', secretKey: 'component_secret', answer: startPushing },
  api_create_preauthcode: { kind: 'api', answer: preAuthCode },
  api_query_auth: { kind: 'token', answer: queryAuth },
  api_authorizer_token: { kind: 'token', answer: authorizerToken },
  api_get_authorizer_list: { kind: 'api', answer: authorizerList },
  api_get_authorizer_info: { kind: 'api', answer: authorizerInfo },
}

export function createOpenPlatform(world: World): Upstream {
  return {
    receive: (visit) =>
      visit.path.startsWith('/cgi-bin/component/') ? componentCall(world, visit) : ordinaryCall(world, visit),
  }
}

async function componentCall(world: World, visit: Visit): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const name = visit.path.slice('/cgi-bin/component/'.length)
  const api = Object.hasOwn(apis, name) ? apis[name] : undefined
  const appid = textOf(body, 'component_appid')
  const account = world.find('wechat-component', appid)?.account.id ?? null
  return callOf(world, api?.kind ?? 'api', account, () => {
    if (visit.method !== 'POST') return refuse(world, 43002)
    if (body === null) return refuse(world, 47001)
    const state = world.find('wechat-component', appid)
    if (state === null) return refuse(world, 40013)
    const refusal =
      api?.secretKey === undefined
        ? refuseToken(world, visit, state)
        : refuseSecret(world, state, textOf(body, api.secretKey))
    if (refusal !== null) return refusal
    return api === undefined
      ? accept({ errcode: 0, errmsg: 'ok' })
      : api.answer({ world, state, platform: openPlatformOf(world, state), body })
  })
}

function refuseSecret(world: World, { account }: ComponentState, secret: string | null): Answer | null {
  if (secret === null || secret === '') return refuse(world, 41004)
  return secret === account.secret ? null : refuse(world, 40125)
}

/** Old documents call the parameter `component_access_token`, new ones `access_token`. */
function refuseToken(world: World, { query }: Visit, state: ComponentState): Answer | null {
  const token = query.get('component_access_token') ?? query.get('access_token') ?? ''
  if (token === '') return refuse(world, 41001)
  const judged = world.judge(token)
  if (judged === null) return refuse(world, tokenShape.test(token) ? 40001 : 40014)
  if (judged.issue.channel !== state.channels.get(componentPlan.name)) return refuse(world, 61014)
  return judged.verdict === 'alive' ? null : refuse(world, judged.verdict === 'expired' ? 42001 : 40001)
}

function componentToken({ world, state, platform, body }: Asked): Answer {
  const verdict = platform.judgeTicket(textOf(body, 'component_verify_ticket'))
  if (verdict !== 'good') return refuse(world, verdict === 'expired' ? 61005 : 61006)
  const now = world.clock.now()
  const asked = world.channel(state, componentPlan).ask(now)
  const given = { ...asked, tokenAt: ['component_access_token'], lifetimeAt: ['expires_in'] }
  const { value, expiresAt } = asked.issue
  return accept({ component_access_token: value, expires_in: secondsLeft(expiresAt, now) }, given)
}

function startPushing({ platform }: Asked): Answer {
  platform.startPushing()
  return accept({ errcode: 0, errmsg: 'ok' })
}

function preAuthCode({ platform }: Asked): Answer {
  const { code, livesMs } = platform.makePreAuthCode()
  return accept({ pre_auth_code: code, expires_in: livesMs / 1_000 })
}

function queryAuth({ world, platform, body }: Asked): Answer {
  const found = platform.redeem(textOf(body, 'authorization_code'))
  if (found === 'invalid' || found === 'expired') return refuse(world, found === 'expired' ? 61010 : 61009)
  const given = issue(world, platform, found.appid, ['authorization_info'])
  const func_info = [1, 2, 3].map((id) => ({ funcscope_category: { id } }))
  const info = { authorizer_appid: found.appid, ...tokenBody(world, platform, found.appid, given), func_info }
  return accept({ authorization_info: info }, given)
}

function authorizerToken({ world, platform, body }: Asked): Answer {
  const appid = textOf(body, 'authorizer_appid') ?? ''
  if (platform.refreshToken(appid) === null) return refuse(world, 61003)
  if (!platform.useRefreshToken(appid, textOf(body, 'authorizer_refresh_token'))) return refuse(world, 61023)
  const given = issue(world, platform, appid, [])
  return accept(tokenBody(world, platform, appid, given), given)
}

function issue(world: World, platform: OpenPlatform, appid: string, at: readonly string[]): Given {
  const asked = platform.channel(appid).ask(world.clock.now())
  return { ...asked, tokenAt: [...at, 'authorizer_access_token'], lifetimeAt: [...at, 'expires_in'] }
}

function tokenBody(
  world: World,
  platform: OpenPlatform,
  appid: string,
  { issue: { value, expiresAt } }: Given,
): JsonObject {
  return {
    authorizer_access_token: value,
    expires_in: secondsLeft(expiresAt, world.clock.now()),
    authorizer_refresh_token: platform.refreshToken(appid) ?? '',
  }
}

function authorizerList({ world, platform, body: { offset, count } }: Asked): Answer {
  if (typeof offset !== 'number' || typeof count !== 'number' || count > listMax) return refuse(world, 47001)
  const { total, list } = platform.list(offset, count)
  return accept({ total_count: total, list })
}

function authorizerInfo({ world, platform, body }: Asked): Answer {
  const appid = textOf(body, 'authorizer_appid')
  const refreshToken = platform.refreshToken(appid)
  if (appid === null || refreshToken === null) return refuse(world, 61003)
  return accept({
    authorizer_info: { nick_name: appid, service_type_info: { id: 2 }, verify_type_info: { id: 0 } },
    authorization_info: { authorizer_appid: appid, authorizer_refresh_token: refreshToken, func_info: [] },
  })
}

/** What an account may do with its token: tickets, and the ordinary API. */
function ordinaryCall(world: World, visit: Visit): Call {
  const token = visit.query.get('access_token') ?? ''
  const account = world.book.get(token)?.channel.account ?? null
  const isTicket = visit.path === '/cgi-bin/ticket/getticket'
  return callOf(world, isTicket ? 'ticket' : 'api', account, () => {
    const judged = world.judge(token)
    const state = world.find('wechat-component', judged?.issue.channel.account ?? null)
    if (judged === null || state === null || judged.issue.channel.use !== 'access') return refuse(world, 40001)
    const platform = openPlatformOf(world, state)
    const appid = platform.ownerOf(judged.issue.channel)
    if (appid === null) return refuse(world, 61015)
    if (judged.verdict !== 'alive') return refuse(world, judged.verdict === 'expired' ? 42001 : 40001)
    if (!isTicket) return accept({ errcode: 0, errmsg: 'ok' })
    const type = visit.query.get('type') ?? ''
    if (!ticketTypes.includes(type)) return refuse(world, 40097)
    const now = world.clock.now()
    const asked = platform.channel(appid, ticket(type)).ask(now)
    const given = { ...asked, tokenAt: ['ticket'], lifetimeAt: ['expires_in'] }
    const { value, expiresAt } = asked.issue
    return accept({ errcode: 0, errmsg: 'ok', ticket: value, expires_in: secondsLeft(expiresAt, now) }, given)
  })
}
