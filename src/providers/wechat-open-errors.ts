/** Error codes of WeChat's Open Platform: the calls of a third-party platform and of the accounts that authorised it. */
import { forbidden, misconfigured, refusedInput, type ErrorRow, type ErrorTable } from './error-table.ts'
import { unregisteredAddress, untilBeijingMidnightMs, wechatSharedErrors } from './wechat-errors.ts'

/** What must be done at the account, and what follows by itself when it is done. */
function authoriseAnew(en: string, zh: string): ErrorRow {
  return { class: 'needs-authorization', hint: { en, zh } }
}

const ticketRefused = authoriseAnew(
  'WeChat does not take the pushed ticket. The next one comes within ten minutes: check that /callback/NAME is reached by WeChat, and GET /v1/callbacks/NAME for what it sent.',
  '微信不接受已推送的 ticket。下一个会在十分钟内推送：请确认微信能访问 /callback/来源名称，并用 GET /v1/callbacks/来源名称 查看收到的内容。',
)

const shared: ErrorTable = {
  ...wechatSharedErrors,
  '40013': misconfigured(
    'The appid is wrong. Copy it from the console of the Open Platform.',
    'appid 不正确，请从开放平台后台复制。',
  ),
  '45009': {
    class: 'quota',
    waitMs: (now) => untilBeijingMidnightMs(now),
    hint: {
      en: 'The calls of today are used up; the quota begins anew at 00:00 in Beijing. Look for other programs that use this platform.',
      zh: '今日调用次数已用完，北京时间零点重新计数。请检查是否有其他程序在使用该第三方平台。',
    },
  },
  '45035': unregisteredAddress,
  '47001': misconfigured(
    'WeChat did not understand the request. A proxy at `base_url` may change it.',
    '微信无法解析请求，`base_url` 处的代理可能改动了内容。',
  ),
  '61000': misconfigured(
    'This is no third-party platform of the kind that may call this.',
    '该第三方平台的类型不能调用此接口。',
  ),
  '61001': misconfigured('The type of the platform and the appid do not match.', '平台类型与 appid 不匹配。'),
  '61002': misconfigured('The platform lacks this service.', '该第三方平台没有此项服务。'),
  '61011': misconfigured(
    'WeChat does not know this platform. Check `appid` of the wechat-component source.',
    '微信不认识该第三方平台，请检查 wechat-component 来源的 `appid`。',
  ),
  '61017': forbidden('The account has not granted this set of permissions.', '该账号未授予此权限集。'),
  '61028': forbidden(
    'The third-party platform is not published yet. Publish it.',
    '第三方平台尚未发布，请先全网发布。',
  ),
}

const wrongSecret = misconfigured(
  'The AppSecret of the third-party platform is wrong or was reset. Write the current one into `secret`.',
  '第三方平台的 AppSecret 不正确或已被重置，请在 `secret` 中填写当前的 AppSecret。',
)

/** `api_component_token`, `api_start_push_ticket`. Here 40001 says that the secret is wrong. */
export const componentTokenErrors: ErrorTable = {
  ...shared,
  '40001': wrongSecret,
  '40125': wrongSecret,
  '41004': wrongSecret,
  '61005': ticketRefused,
  '61006': ticketRefused,
}

const invalidCode = authoriseAnew(
  'The code was used already, or is too old. If the account does not work, begin the authorisation anew.',
  '授权码已被使用或已过期。如果该账号尚不可用，请重新发起授权。',
)

/** Every call that is asked with the component_access_token. */
export const componentCallErrors: ErrorTable = {
  ...shared,
  '40001': refusedInput,
  '40014': refusedInput,
  '42001': refusedInput,
  '42006': refusedInput,
  '42007': authoriseAnew(
    'The administrator changed the password, which ended the authorisation. Let the account authorise again.',
    '管理员修改了密码，授权因此失效，请让该账号重新授权。',
  ),
  '61003': authoriseAnew(
    'The account does not authorise this platform (any more). Let its administrator authorise again.',
    '该账号未授权（或已取消授权）此第三方平台，请让其管理员重新授权。',
  ),
  '61009': invalidCode,
  '61010': invalidCode,
  '61023': authoriseAnew(
    'WeChat does not take the refresh token, nor tells another one. Let the account authorise again.',
    '微信不接受该 refresh token，也没有返回新的。请让该账号重新授权。',
  ),
}
