/** Error codes of WeCom's token and ticket calls, those of service providers included. */
import { addressIn } from '../base/seen-address.ts'
import type { Text } from '../base/text.ts'
import { forbidden, misconfigured, refusedInput, type ErrorRow, type ErrorTable } from './error-table.ts'
import { untilBeijingMidnightMs } from './wechat-errors.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/**
 * WeCom blocks for a minute, an hour, or the rest of the day, by the limit that was passed; the text may say which.
 * Without a word, the block is the one that `otherwiseMs` names.
 */
function blocked(otherwiseMs: number): ErrorRow {
  return {
    class: 'quota',
    waitMs: (now, errmsg) => {
      if (/\bday\b|daily|每天|每日/i.test(errmsg)) return untilBeijingMidnightMs(now)
      if (/\bhour|小时/i.test(errmsg)) return hourMs
      return /\bminute|分钟/i.test(errmsg) ? minuteMs : otherwiseMs
    },
    hint: {
      en: 'WeCom blocks calls that come too often, and addresses that often send a wrong secret, for a minute to a day. Look for other programs that call with this corpid or from this address.',
      zh: '企业微信会对调用过频、或多次使用错误 secret 的 IP 封禁一分钟至一天。请检查是否有其他程序使用同一 corpid 或同一出口 IP 调用。',
    },
  }
}

function needsAuthorization(en: string, zh: string): ErrorRow {
  return { class: 'needs-authorization', hint: { en, zh } }
}

function passing(en: string, zh: string): ErrorRow {
  return { class: 'transient', hint: { en, zh } }
}

function addressHint(errmsg: string): Text {
  const address = addressIn(errmsg)
  return {
    en: `Add ${address ?? 'the address of this server'} to the trusted IP addresses of the app (a change takes a minute to work).`,
    zh: `请把${address === null ? '本服务器的出口 IP ' : ` ${address} `}加入应用的“企业可信IP”（修改约一分钟后生效）。`,
  }
}

const bug = misconfigured(
  'The request lacks a part that WeCom needs. Check the source, and `base_url` if it is set.',
  '请求缺少企业微信所需的参数，请检查来源配置以及 `base_url`。',
)
const wrongSecret = misconfigured(
  'The secret is wrong or belongs to another app or corp. Each app has its own: copy it into `secret`.',
  'secret 不正确，或属于其他应用或企业。每个应用的 secret 各不相同，请填写到 `secret`。',
)
const wrongSuiteSecret = misconfigured('The suite secret is wrong.', '套件 secret（suite_secret）不正确。')

const shared: ErrorTable = {
  '-1': passing('WeCom is busy. It is asked again soon.', '企业微信系统繁忙，很快会重试。'),
  '6000': passing('Two changes met at WeCom. It is asked again soon.', '企业微信数据冲突，很快会重试。'),
  '40013': misconfigured('The corpid is wrong. Copy it from “My company”.', 'corpid 不正确，请从“我的企业”页复制。'),
  '40077': passing('The pre-authorisation code is used up or expired.', '预授权码已使用或已过期。'),
  '40078': needsAuthorization(
    'The authorisation code is no longer valid. Authorise again.',
    '临时授权码已失效，请重新授权。',
  ),
  '40080': wrongSuiteSecret,
  '40082': refusedInput,
  '40083': misconfigured('The suite id is wrong.', '套件 ID（suite_id）不正确。'),
  '40084': needsAuthorization(
    'The permanent code is no longer valid. Authorise again.',
    '永久授权码已失效，请重新授权。',
  ),
  '40085': passing(
    'The suite ticket is too old. The next push brings a new one.',
    'suite_ticket 已失效，等待下一次推送。',
  ),
  '40086': misconfigured('The third-party app id is wrong.', '第三方应用 ID 不正确。'),
  '40091': wrongSecret,
  '41001': bug,
  '41002': bug,
  '41004': bug,
  '41021': bug,
  '41022': bug,
  '41023': bug,
  '41024': bug,
  '41025': bug,
  '42007': passing('The pre-authorisation code has expired. A new one is needed.', '预授权码已过期，需要重新获取。'),
  '42009': refusedInput,
  '45033': { ...passing('Too many calls at the same time.', '并发调用过多。'), waitMs: () => minuteMs },
  '48002': forbidden('The app has no permission for this interface.', '该应用没有此接口的权限。'),
  '48003': needsAuthorization('The corp has not authorised this suite.', '企业尚未授权该套件。'),
  '48004': needsAuthorization('The corp has withdrawn its authorisation.', '企业已取消授权。'),
  '50003': forbidden('The app is disabled. Enable it in the console of WeCom.', '应用已被停用，请在企业微信后台启用。'),
  '60020': { class: 'permission', hint: addressHint },
  '301002': forbidden('The app has no permission for this.', '应用没有相应权限。'),
}

/** `/cgi-bin/gettoken`. Here 40001 says that the secret is wrong; asking on would have our address banned. */
export const wecomTokenErrors: ErrorTable = {
  ...shared,
  '40001': wrongSecret,
  '45009': blocked(minuteMs),
}

/** `/cgi-bin/service/get_suite_token`. A ticket that is refused is of no use; the next push brings another one. */
export const wecomSuiteErrors: ErrorTable = {
  ...shared,
  '40001': wrongSuiteSecret,
  '40085': needsAuthorization(
    'The suite ticket is too old. The next push brings a new one, within ten minutes: see that WeCom reaches the callback.',
    'suite_ticket 已失效。企业微信会在十分钟内推送新的 suite_ticket，请确认其能访问回调地址。',
  ),
  '45009': blocked(minuteMs),
}

/** What is asked with a suite_access_token: `get_pre_auth_code`, `get_permanent_code`, `get_corp_token`. */
export const wecomSuiteCallErrors: ErrorTable = {
  ...shared,
  '40001': refusedInput,
  '40014': refusedInput,
  '42001': refusedInput,
  '45009': blocked(minuteMs),
}

/** `/cgi-bin/corpgroup/corp/gettoken`. */
export const wecomCorpgroupErrors: ErrorTable = wecomSuiteCallErrors

/** `/cgi-bin/get_jsapi_ticket`, `/cgi-bin/ticket/get`. Their limit counts by the hour. */
export const wecomTicketErrors: ErrorTable = {
  ...shared,
  '40001': refusedInput,
  '40014': refusedInput,
  '42001': refusedInput,
  '45009': blocked(hourMs),
}
