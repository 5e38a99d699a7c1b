/** How DingTalk's two stacks name things and refuse: the old one with HTTP 200 and a number, the new one with HTTP 4xx and a word. */
import type { JsonObject } from '../base/json.ts'
import { tokenLengths } from './knobs.ts'
import type { Answer, Call, CallKind, Visit } from './upstream.ts'
import type { ChannelPlan, World } from './world.ts'

export type Code = string | number

export const headers = { 'content-type': 'application/json;charset=utf-8' }

export const texts: Readonly<Record<string, string>> = {
  '-1': '系统繁忙',
  '40000': 'access_token为空',
  '40001': '获取access_token时Secret错误，或者access_token无效',
  '40014': '不合法的access_token',
  '40035': '缺少参数 corpid or appkey',
  '40080': '不合法的suiteSecret',
  '40083': '不合法的suiteKey',
  '40085': '不合法的suiteTicket',
  '40089': '不合法的corpid或corpsecret',
  '40096': '不合法的appKey或appSecret',
  '40103': '企业未授权该应用',
  '41001': '缺少access_token',
  '42001': 'access_token超时',
  '43001': '需要GET请求',
  '60011': '没有调用该接口的权限',
  '60020': '访问ip不在白名单之中',
  '90018': '您的服务器调用钉钉开放平台所有接口的请求都被暂时禁用了',
  MissingappKey: 'appKey is mandatory for this action.',
  MissingappSecret: 'appSecret is mandatory for this action.',
  Missingbody: 'body is mandatory for this action.',
  invalidSuiteKey: '无效的suiteKey',
  invalidSuiteSecret: '无效的suiteSecret',
  invalidSuiteTicket: '无效的suiteTicket',
  invalidAuthCorpId: '企业未授权该应用',
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

export const token: ChannelPlan = {
  name: 'token',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'extends', ...tokenLengths(knobs) }),
  prefix: '',
  length: 32,
}

/** How a stack names things, and how it refuses. */
export type Dialect = {
  readonly fields: Readonly<Record<'token' | 'ticket' | 'life', string>>
  readonly success: JsonObject
  readonly codes: Readonly<Record<'unknown' | 'expired' | 'missing' | 'address', Code>>
  readonly refuse: (world: World, code: Code, text?: string) => Answer
  readonly sent: (visit: Visit) => string
}

export const old: Dialect = {
  fields: { token: 'access_token', ticket: 'ticket', life: 'expires_in' },
  success: { errcode: 0, errmsg: 'ok' },
  codes: { unknown: 40014, expired: 42001, missing: 41001, address: 60020 },
  refuse: refuseOld,
  sent: (visit) => visit.query.get('access_token') ?? '',
}

export const modern: Dialect = {
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

function requestId(world: World): string {
  return world.hex() + world.hex()
}

export function refuseOld(world: World, code: Code, text?: string): Answer {
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

export function refuseModern(world: World, code: Code, text?: string): Answer {
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

export function callOf(
  world: World,
  dialect: Dialect,
  whose: { kind: CallKind; account: string | null },
  answer: () => Answer,
): Call {
  return { ...whose, forced: false, answer, refuse: (code, text) => dialect.refuse(world, code, text) }
}
