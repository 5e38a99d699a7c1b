/**
 * DingTalk (钉钉): the token of an app and its jsapi ticket by both stacks, and an ordinary API of either that only checks
 * the token. The old stack refuses with HTTP 200 and a number, the new one with HTTP 4xx and a word. A second fetch gives
 * the same token with a whole life before it.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import { parseObject, textOf } from './json-body.ts'
import { ticketLengths, tokenLengths } from './knobs.ts'
import type { Answer, Call, CallKind, Given, Upstream, Visit } from './upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'dingtalk'>>
type Code = string | number

const headers = { 'content-type': 'application/json;charset=utf-8' }

const texts: Readonly<Record<string, string>> = {
  '-1': '系统繁忙',
  '40000': 'access_token为空',
  '40001': '获取access_token时Secret错误，或者access_token无效',
  '40014': '不合法的access_token',
  '40035': '缺少参数 corpid or appkey',
  '40089': '不合法的corpid或corpsecret',
  '40096': '不合法的appKey或appSecret',
  '41001': '缺少access_token',
  '42001': 'access_token超时',
  '43001': '需要GET请求',
  '60011': '没有调用该接口的权限',
  '60020': '访问ip不在白名单之中',
  '90018': '您的服务器调用钉钉开放平台所有接口的请求都被暂时禁用了',
  MissingappKey: 'appKey is mandatory for this action.',
  MissingappSecret: 'appSecret is mandatory for this action.',
  Missingbody: 'body is mandatory for this action.',
  invalidClientIdOrSecret: '无效的clientId或者clientSecret',
  InvalidAuthentication: '不合法的access_token',
  'InvalidAction.NotFound': 'Specified api is not found, please check your url and method.',
  'AuthenticationFailed.MissingParameter': 'x-acs-dingtalk-access-token is mandatory for this action.',
  'Forbidden.AccessDenied.AccessTokenPermissionDenied': '应用尚未开通所需的权限',
  'Forbidden.AccessDenied.IpNotInWhiteList': '访问ip不在白名单之中',
  'Forbidden.AccessDenied.QpsLimitForApi': '当前接口的QPS超限',
  ServiceUnavailable: 'The request has failed due to a temporary failure of the server.',
}

/** What the old stack's gateway refuses is wrapped in 88. */
const wrapped: readonly Code[] = [40000, 40001, 40014, 42001, 60011, 60020]

/** Not a code of either stack, but what both say to an address that is banned. */
const banCode = 1111
const ban = { status: banCode, wait: 5, source: 'x5', punish: 'deny' }

const token: ChannelPlan = {
  name: 'token',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'extends', ...tokenLengths(knobs) }),
  prefix: '',
  length: 32,
}

/** The platform has said different things of a second fetch; we say: the same ticket. */
const ticket: ChannelPlan = {
  name: 'ticket:jsapi',
  kind: 'ticket',
  use: 'ticket',
  terms: (knobs) => ({ reissue: knobs.ticketReissue ?? 'same-until-expiry', ...ticketLengths(knobs) }),
  prefix: '',
  length: 64,
}

/** What can be rotated or looked at by name. Both stacks give out the same. */
export const dingtalkPlans: readonly ChannelPlan[] = [token, ticket]

/** How a stack names things, and how it refuses. */
type Dialect = {
  readonly fields: Readonly<Record<'token' | 'ticket' | 'life', string>>
  readonly success: JsonObject
  readonly codes: Readonly<Record<'unknown' | 'expired' | 'missing' | 'address', Code>>
  readonly refuse: (world: World, code: Code, text?: string) => Answer
  readonly sent: (visit: Visit) => string
}

const old: Dialect = {
  fields: { token: 'access_token', ticket: 'ticket', life: 'expires_in' },
  success: { errcode: 0, errmsg: 'ok' },
  codes: { unknown: 40014, expired: 42001, missing: 41001, address: 60020 },
  refuse: refuseOld,
  sent: (visit) => visit.query.get('access_token') ?? '',
}

const modern: Dialect = {
  fields: { token: 'accessToken', ticket: 'jsapiTicket', life: 'expireIn' },
  success: {},
  codes: {
    unknown: 'InvalidAuthentication',
    expired: 'InvalidAuthentication',
    missing: 'AuthenticationFailed.MissingParameter',
    address: 'Forbidden.AccessDenied.IpNotInWhiteList',
  },
  refuse: refuseModern,
  sent: (visit) => visit.headers.get('x-acs-dingtalk-access-token') ?? '',
}

export function createDingtalk(world: World): Upstream {
  return {
    receive: (visit) => {
      switch (visit.path) {
        case '/gettoken':
          return oldTokenCall(world, visit)
        case '/v1.0/oauth2/accessToken':
          return modernTokenCall(world, visit)
        case '/get_jsapi_ticket':
          return checkedCall(world, old, visit, 'ticket')
        case '/v1.0/oauth2/jsapiTickets':
          return checkedCall(world, modern, visit, 'ticket')
        default:
          return checkedCall(world, /^\/v\d+\.\d+\//.test(visit.path) ? modern : old, visit, 'api')
      }
    },
  }
}

function requestId(world: World): string {
  return world.hex() + world.hex()
}

function refuseOld(world: World, code: Code, text?: string): Answer {
  const words = text ?? texts[String(code)] ?? 'simulated error'
  const body = wrapped.includes(code)
    ? {
        errcode: 88,
        sub_code: String(code),
        sub_msg: words,
        errmsg: `ding talk error[subcode=${String(code)},submsg=${words}]`,
        request_id: requestId(world),
      }
    : { errcode: code, errmsg: words }
  return { status: 200, headers, body: code === banCode ? ban : body, given: null, refusal: code }
}

function refuseModern(world: World, code: Code, text?: string): Answer {
  const message = text ?? texts[String(code)] ?? 'simulated error'
  const body = { code: String(code), requestid: requestId(world), message }
  const isBan = code === banCode
  return { status: isBan ? 200 : statusOf(String(code)), headers, body: isBan ? ban : body, given: null, refusal: code }
}

function statusOf(code: string): number {
  if (code.startsWith('Forbidden.')) return 403
  if (code === 'ServiceUnavailable') return 503
  if (code === 'InvalidAction.NotFound') return 404
  return code === 'unknownError' || code === 'server.error' ? 500 : 400
}

function callOf(
  world: World,
  dialect: Dialect,
  whose: { kind: CallKind; account: string | null },
  answer: () => Answer,
): Call {
  return { ...whose, forced: false, answer, refuse: (code, text) => dialect.refuse(world, code, text) }
}

function give(world: World, dialect: Dialect, state: State, plan: ChannelPlan): Answer {
  const now = world.clock.now()
  const asked = world.channel(state, plan).ask(now)
  const { fields, success } = dialect
  const field = plan.use === 'ticket' ? fields.ticket : fields.token
  const body = { ...success, [field]: asked.issue.value, [fields.life]: secondsLeft(asked.issue.expiresAt, now) }
  const given: Given = { ...asked, tokenAt: [field], lifetimeAt: [fields.life] }
  return { status: 200, headers, body, given, refusal: null }
}

function oldTokenCall(world: World, visit: Visit): Call {
  const appkey = visit.query.get('appkey') ?? ''
  const state = world.find('dingtalk', appkey)
  // Here a wrong secret is no wrong token: the refusal is not wrapped.
  return callOf(world, old, { kind: 'token', account: state?.account.id ?? null }, () => {
    if (visit.method !== 'GET') return refuseOld(world, 43001)
    if (appkey === '') return refuseOld(world, visit.query.has('corpid') ? 40089 : 40035)
    const known = world.find('dingtalk', appkey)
    if (known?.account.secret !== visit.query.get('appsecret')) return refuseOld(world, 40096)
    return give(world, old, known, token)
  })
}

async function modernTokenCall(world: World, visit: Visit): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const appKey = textOf(body, 'appKey')
  const account = world.find('dingtalk', appKey)?.account.id ?? null
  return callOf(world, modern, { kind: 'token', account }, () => {
    if (visit.method !== 'POST') return refuseModern(world, 'InvalidAction.NotFound')
    if (body === null) return refuseModern(world, 'Missingbody')
    const appSecret = textOf(body, 'appSecret')
    if (appKey === null) return refuseModern(world, 'MissingappKey')
    if (appSecret === null) return refuseModern(world, 'MissingappSecret')
    const known = world.find('dingtalk', appKey)
    if (known?.account.secret !== appSecret) return refuseModern(world, 'invalidClientIdOrSecret')
    return give(world, modern, known, token)
  })
}

/** Everything that carries a token: the ticket, and the ordinary API. */
function checkedCall(world: World, dialect: Dialect, visit: Visit, kind: 'ticket' | 'api'): Call {
  const value = dialect.sent(visit)
  const owner = world.find('dingtalk', world.book.get(value)?.channel.account ?? null)
  return callOf(world, dialect, { kind, account: owner?.account.id ?? null }, () => {
    const { codes } = dialect
    const isBlank = dialect === old && visit.query.has('access_token')
    if (value === '') return dialect.refuse(world, isBlank ? 40000 : codes.missing)
    const judged = world.judge(value)
    const state = world.find('dingtalk', judged?.issue.channel.account ?? null)
    if (judged === null || state === null || judged.issue.channel.use !== 'access') {
      return dialect.refuse(world, codes.unknown)
    }
    if (judged.verdict !== 'alive') {
      return dialect.refuse(world, judged.verdict === 'expired' ? codes.expired : codes.unknown)
    }
    const { allowList } = world.knobsOf(state)
    if (allowList !== null && !allowList.includes(visit.ip)) {
      const words = `${texts[String(codes.address)] ?? ''},request ip=${visit.ip} appKey(${state.account.id})`
      return dialect.refuse(world, codes.address, words)
    }
    if (kind === 'api') return { status: 200, headers, body: dialect.success, given: null, refusal: null }
    return give(world, dialect, state, ticket)
  })
}
