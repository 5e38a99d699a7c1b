/** Error codes of WeChat's token and ticket calls (Official Accounts and Mini Programs). */
import { addressIn } from '../base/seen-address.ts'
import { forbidden, misconfigured, refusedInput, type ErrorRow, type ErrorTable } from './error-table.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
/** Beijing keeps UTC+8 the whole year. */
const beijingOffsetMs = 8 * hourMs
/** This long after midnight the quota may not have been counted anew yet, or our clock is ahead: look again soon. */
const turnMs = 10 * minuteMs

/** Milliseconds until daily quotas begin anew, at 00:00 in Beijing; a minute more, for clocks that disagree. */
export function untilBeijingMidnightMs(now: number): number {
  const intoDay = (now + beijingOffsetMs) % dayMs
  return intoDay < turnMs ? minuteMs : dayMs - intoDay + minuteMs
}

const wrongSecret = misconfigured(
  'The AppSecret is wrong, was reset, or belongs to another appid. Write the current one into `secret`.',
  'AppSecret 不正确、已被重置，或不属于该 appid。请在 `secret` 中填写当前的 AppSecret。',
)

/** Names the address that the platform wants to have in its list; in Chinese with the spaces that it needs around it. */
function addressRow(en: (address: string) => string, zh: (address: string) => string): ErrorRow {
  return {
    class: 'permission',
    hint: (errmsg) => {
      const address = addressIn(errmsg)
      return address === null
        ? { en: en('the address of this server'), zh: zh('本服务器的出口 IP ') }
        : { en: en(address), zh: zh(` ${address} `) }
    },
  }
}

/** The address of this server is not in the list of the third-party platform. */
export const unregisteredAddress = addressRow(
  (address) => `Register ${address} in the IP allow-list of the third-party platform.`,
  (address) => `请把${address}登记到第三方平台的 IP 白名单。`,
)

const waitForMs = (row: ErrorRow, ms: number): ErrorRow => ({ ...row, waitMs: () => ms })

/** Codes that mean the same at every call. */
export const wechatSharedErrors: ErrorTable = {
  '-1': {
    class: 'transient',
    hint: { en: 'WeChat is busy. It is asked again soon.', zh: '微信系统繁忙，很快会重试。' },
  },
  '40164': addressRow(
    (address) => `Add ${address} to the IP allow-list of the account (the platform saw this address).`,
    (address) => `请把${address}加入该账号的 IP 白名单（这是平台看到的地址）。`,
  ),
  '45009': {
    class: 'quota',
    waitMs: (now) => untilBeijingMidnightMs(now),
    hint: {
      en: 'The calls of today are used up; the quota begins anew at 00:00 in Beijing. Clear it at the platform, or use `mode: stable`, whose limits are far higher. Something else may be fetching tokens for this account.',
      zh: '今日调用次数已用完，北京时间零点重新计数。可在平台清零，或改用额度高得多的 `mode: stable`。也可能有别的程序在为该账号获取令牌。',
    },
  },
  '45011': {
    class: 'quota',
    waitMs: () => minuteMs,
    hint: { en: 'Too many calls within a minute.', zh: '一分钟内调用过于频繁。' },
  },
  '48001': forbidden(
    'The account has no permission for this interface. Check its type and verification at the platform.',
    '该账号没有此接口的权限，请在平台确认账号类型与认证状态。',
  ),
  '48004': forbidden('The platform has blocked this interface for the account.', '该账号的此接口已被平台封禁。'),
  '50002': forbidden('The platform has limited this account.', '该账号已被平台限制。'),
  '50004': forbidden(
    'The platform has forbidden this account to fetch tokens, as a penalty. See the notices in its console.',
    '平台因处罚禁止该账号获取令牌，请查看后台通知。',
  ),
  '50007': forbidden(
    'The account is frozen. Unfreeze it in the console of the platform.',
    '账号已被冻结，请在平台后台解冻。',
  ),
  '61004': unregisteredAddress,
  '61007': forbidden(
    'The authorisation does not cover this interface. Authorise again with more permissions.',
    '授权范围不包含此接口，请重新授权并勾选相应权限。',
  ),
  '42007': {
    class: 'needs-authorization',
    hint: { en: 'The authorisation was withdrawn. Authorise again.', zh: '授权已失效，请重新授权。' },
  },
}

const confirmation = forbidden(
  'The administrator of the account must confirm this server’s IP address (a message was sent to them).',
  '需要账号管理员确认本服务器的 IP（平台已向管理员发送消息）。',
)
const refusedByAdministrator = forbidden(
  'The administrator of the account refused this server’s IP address. Ask them to approve it.',
  '账号管理员拒绝了本服务器的 IP，请联系管理员批准。',
)

/** `/cgi-bin/token` and `/cgi-bin/stable_token`. Here 40001 says that the secret is wrong: asking again is no use. */
export const wechatTokenErrors: ErrorTable = {
  ...wechatSharedErrors,
  '40001': wrongSecret,
  '40002': misconfigured(
    'The platform did not understand the grant type. Check `base_url`.',
    '平台不识别 grant_type，请检查 `base_url`。',
  ),
  '40013': misconfigured(
    'The appid is wrong. Copy it from the console of the platform.',
    'appid 不正确，请从平台后台复制。',
  ),
  '40125': wrongSecret,
  '40243': misconfigured(
    'The AppSecret is frozen. Unfreeze it in the console of the platform, then reload this configuration.',
    'AppSecret 已被冻结，请在平台后台解冻后重新加载配置。',
  ),
  '41002': misconfigured('The appid is missing. Check `appid`.', '缺少 appid，请检查 `appid`。'),
  '41004': misconfigured('The AppSecret is missing. Check `secret`.', '缺少 AppSecret，请检查 `secret`。'),
  '43002': misconfigured(
    'The platform wants a POST. A proxy at `base_url` may have changed the method.',
    '平台要求使用 POST，`base_url` 处的代理可能改变了请求方法。',
  ),
  '89501': forbidden(
    'Another IP address of this account waits for its administrator’s confirmation. Confirm that one first.',
    '该账号另有 IP 正在等待管理员确认，请先处理。',
  ),
  '89503': confirmation,
  '89506': waitForMs(refusedByAdministrator, dayMs),
  '89507': waitForMs(refusedByAdministrator, hourMs),
}

/** `/cgi-bin/ticket/getticket`. Here 40001 says that the access token is bad. */
export const wechatTicketErrors: ErrorTable = {
  ...wechatSharedErrors,
  '40001': refusedInput,
  '40014': refusedInput,
  '42001': refusedInput,
  '40097': misconfigured(
    'The platform does not know this ticket type. Check `type`.',
    '平台不支持该类型的票据，请检查 `type`。',
  ),
  '41001': misconfigured('No access token was sent. Check `of`.', '请求中没有 access_token，请检查 `of`。'),
}
