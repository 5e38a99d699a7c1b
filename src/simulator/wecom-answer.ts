/** How WeCom answers: errors are HTTP 200, and three headers mirror the body. */
import type { JsonObject } from '../base/json.ts'
import { tokenLengths } from './knobs.ts'
import type { Answer, Call, CallKind, Given } from './upstream.ts'
import type { ChannelPlan, World } from './world.ts'

const texts: Readonly<Record<string, string>> = {
  '-1': 'system busy',
  '40001': 'invalid credential',
  '40013': 'invalid corpid',
  '40014': 'invalid access_token',
  '40058': 'invalid Request Parameter',
  '40077': 'invalid pre_auth_code',
  '40078': 'invalid auth_code',
  '40080': 'invalid suite_secret',
  '40082': 'invalid suite_access_token or provider_access_token',
  '40083': 'invalid suite_id',
  '40084': 'invalid permanent_code',
  '40085': 'invalid suite_ticket',
  '40091': 'invalid secret',
  '41001': 'access_token missing',
  '41002': 'corpid missing',
  '41004': 'corpsecret missing',
  '41021': 'suite_id missing',
  '41022': 'suite_access_token missing',
  '41025': 'permanent_code missing',
  '42001': 'access_token expired',
  '42009': 'suite_access_token expired',
  '43001': 'require GET method',
  '45009': 'api freq out of limit',
  '45033': 'api concurrent out of limit',
  '48002': 'api forbidden for current app',
  '48004': 'invalid suite authorization relation',
  '50003': 'app disabled',
  '60020': 'not allow to access from your ip',
  '301002': 'no permission for this app',
}

export const token: ChannelPlan = {
  name: 'token',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'same-until-expiry', ...tokenLengths(knobs) }),
  prefix: '',
  length: 214,
}

export type Place = { readonly world: World; readonly ip: string }

/** Header values are Latin-1 without line ends; anything else is written as percent signs. */
function headersFor(code: string | number, text: string): Record<string, string> {
  return {
    'content-type': 'application/json; charset=UTF-8',
    'error-code': String(code),
    'error-msg': /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text),
    'x-w-no': '1',
  }
}

export function refuse(place: Place, code: string | number, text?: string): Answer {
  const { world, ip } = place
  const hint = `${String(Math.floor(world.clock.now() / 1_000))}_160_${world.hex()}${world.hex()}${world.hex()}${world.hex()}`
  const words = text ?? texts[String(code)] ?? 'simulated error'
  const more = `https://open.work.weixin.qq.com/devtool/query?e=${String(code)}`
  const errmsg = `${words}, hint: [${hint}], from ip: ${ip}, more info at ${more}`
  const body = { errcode: code, errmsg }
  return { status: 200, headers: headersFor(code, errmsg), body, given: null, refusal: code }
}

const goodHeaders = headersFor(0, 'ok')

export function accept(body: JsonObject, given: Given | null = null): Answer {
  return { status: 200, headers: goodHeaders, body, given, refusal: null }
}

export function callOf(place: Place, kind: CallKind, account: string | null, answer: () => Answer): Call {
  return { account, kind, forced: false, answer, refuse: (code, text) => refuse(place, code, text) }
}
