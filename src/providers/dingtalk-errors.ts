/** Error codes of DingTalk's token and ticket calls: numbers on the old stack, words on the new one. */
import { addressIn } from '../base/seen-address.ts'
import type { Text } from '../base/text.ts'
import { forbidden, misconfigured, refusedInput, type ErrorRow, type ErrorTable } from './error-table.ts'

const minuteMs = 60_000

/** An address that called too often gets nothing but a page for this long, in milliseconds. */
export const banMs = 5 * minuteMs

export const banHint: Text = {
  en: 'DingTalk has banned this address for five minutes, for more than 10 000 calls within twenty seconds. Look for programs behind this address that call too often.',
  zh: '本出口 IP 在 20 秒内的调用超过 1 万次，已被钉钉封禁五分钟。请检查同一出口 IP 下是否有调用过于频繁的程序。',
}

const blocked: ErrorRow = {
  class: 'quota',
  waitMs: () => minuteMs,
  hint: {
    en: 'DingTalk refuses calls for a while because there were too many. Look for other programs that use this app or this address.',
    zh: '调用过于频繁，钉钉暂时拒绝请求。请检查是否有其他程序使用同一应用或同一出口 IP 调用。',
  },
}

/** Limits that count by the second, of the app or of all its callers; their names all begin like this. */
export const qpsLimitPrefix = 'Forbidden.AccessDenied.QpsLimit'
export const qpsLimit: ErrorRow = {
  class: 'transient',
  hint: { en: 'Too many calls within a second. It is asked again soon.', zh: '一秒内调用过于频繁，很快会重试。' },
}

const busy: ErrorRow = {
  class: 'transient',
  hint: { en: 'DingTalk is busy. It is asked again soon.', zh: '钉钉系统繁忙，很快会重试。' },
}

const wrongSecret = misconfigured(
  'The app key or its secret is wrong. Copy both from the credentials page of the app (Client ID and Client Secret).',
  'AppKey 或 AppSecret 不正确，请从应用的“凭证与基础信息”页复制（Client ID 与 Client Secret）。',
)
const bug = misconfigured(
  'The request lacks a part that DingTalk needs. Check the source, and `stack` and `base_url` if they are set.',
  '请求缺少钉钉所需的参数，请检查来源配置以及 `stack`、`base_url`。',
)
const noPermission = forbidden(
  'The app has no permission for this interface. Apply for it in the console of DingTalk.',
  '该应用没有此接口的权限，请在钉钉开放平台申请。',
)

const addressRefused: ErrorRow = { class: 'permission', hint: addressHint }

function addressHint(errmsg: string): Text {
  const address = addressIn(errmsg)
  return {
    en: `Add ${address ?? 'the address of this server'} to the server addresses of the app (its security settings).`,
    zh: `请把${address === null ? '本服务器的出口 IP ' : ` ${address} `}加入应用的“服务器出口IP”（安全设置）。`,
  }
}

const shared: ErrorTable = {
  '-1': busy,
  '40035': bug,
  '40089': wrongSecret,
  '40096': wrongSecret,
  '41001': bug,
  '60011': noPermission,
  '60020': addressRefused,
  ...Object.fromEntries(
    // Of an app, of a corp, of an address, for one interface or for all: the numbers say which.
    [...Array.from({ length: 14 }, (_, at) => 90_001 + at), 90_018].map((code) => [String(code), blocked]),
  ),
  invalidClientIdOrSecret: wrongSecret,
  ServiceUnavailable: busy,
  'AuthenticationFailed.MissingParameter': bug,
  'Forbidden.AccessDenied.AccessTokenPermissionDenied': noPermission,
  'Forbidden.AccessDenied.IpNotInWhiteList': addressRefused,
}

/** `GET /gettoken`, `POST /v1.0/oauth2/accessToken`. */
export const dingtalkTokenErrors: ErrorTable = shared

/** `GET /get_jsapi_ticket`, `POST /v1.0/oauth2/jsapiTickets`: the first ones say that the access token is bad. */
export const dingtalkTicketErrors: ErrorTable = {
  ...shared,
  '40000': refusedInput,
  '40001': refusedInput,
  '40014': refusedInput,
  '42001': refusedInput,
  InvalidAuthentication: refusedInput,
}

const wrongSuite = misconfigured(
  'The suite key or its secret is wrong. Copy both from the page of the third-party app.',
  'SuiteKey 或 SuiteSecret 不正确，请从第三方应用的详情页复制。',
)

/**
 * `POST /v1.0/oauth2/suiteAccessToken`, `POST /service/get_suite_token`. Of the numbers of the old stack only those of apps
 * are documented; these are WeCom's for the same calls.
 */
export const dingtalkSuiteErrors: ErrorTable = {
  ...shared,
  '40080': wrongSuite,
  '40083': wrongSuite,
  '40085': ticketRefused(),
  invalidSuiteKey: wrongSuite,
  invalidSuiteSecret: wrongSuite,
  invalidSuiteTicket: ticketRefused(),
}

/** `POST /v1.0/oauth2/corpAccessToken`, `POST /service/get_corp_token`: the ticket is that of the suite. */
export const dingtalkCorpErrors: ErrorTable = {
  ...dingtalkSuiteErrors,
  '40085': refusedInput,
  invalidSuiteTicket: refusedInput,
}

function ticketRefused(): ErrorRow {
  return {
    class: 'needs-authorization',
    hint: {
      en: 'DingTalk has pushed a newer suite ticket that never came here. The next one comes within five hours: see that DingTalk reaches the callback.',
      zh: '钉钉已推送更新的 suite_ticket，但本服务未收到。下一次推送在五小时内，请确认钉钉能访问回调地址。',
    },
  }
}
