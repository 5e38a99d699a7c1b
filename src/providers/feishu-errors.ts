/** Error codes of Feishu's and Lark's token and ticket calls. */
import { forbidden, misconfigured, refusedInput, type ErrorRow, type ErrorTable } from './error-table.ts'

const minuteMs = 60_000

/** The header `x-ogw-ratelimit-reset` says when the limit begins anew; without it, a minute is long enough. */
const tooOften: ErrorRow = {
  class: 'quota',
  waitMs: () => minuteMs,
  hint: {
    en: 'Too many calls. Look for other programs that call with this app.',
    zh: '调用过于频繁，请检查是否有其他程序使用同一应用调用。',
  },
}

/** Which of two codes means the id and which the secret is told differently, so both name both. */
const wrongApp = misconfigured(
  'There is no such app here, or its secret is wrong. Copy both from the credentials page of the app; an app of Lark needs `region: lark`.',
  '没有这个应用，或 App Secret 不正确。请从应用的“凭证与基础信息”页复制；Lark 的应用需要 `region: lark`。',
)
const noPermission = forbidden(
  'The app has no permission for this interface. Add the scope in the developer console and publish a version.',
  '该应用没有此接口的权限，请在开发者后台申请权限并发布版本。',
)

const shared: ErrorTable = {
  '99991400': tooOften,
  '99991672': noPermission,
  '99991679': noPermission,
}

/** `POST /open-apis/auth/v3/…/internal`. */
export const feishuTokenErrors: ErrorTable = {
  ...shared,
  '10003': misconfigured(
    'The app id does not look like one, or something on the way changed the request. Check `app_id`, and `base_url` if it is set.',
    'app_id 的格式不正确，或请求在途中被改动。请检查 `app_id` 以及 `base_url`。',
  ),
  '10014': wrongApp,
  '10015': wrongApp,
}

/** `POST /open-apis/jssdk/ticket/get`. */
export const feishuTicketErrors: ErrorTable = {
  ...shared,
  '99991661': misconfigured('No access token was sent. Check `of`.', '请求中没有 access token，请检查 `of`。'),
  '99991663': refusedInput,
  '99991664': refusedInput,
  '99991671': refusedInput,
}

/** `POST /open-apis/auth/v3/app_access_token` of a store app, and `app_ticket/resend`. */
export const feishuStoreErrors: ErrorTable = {
  ...feishuTokenErrors,
  '10012': {
    class: 'needs-authorization',
    hint: {
      en: 'The app ticket is no longer valid. The platform is asked to push another one: see that it reaches the callback.',
      zh: 'app_ticket 已失效，已请平台重新推送。请确认平台能访问回调地址。',
    },
  },
  '10016': misconfigured(
    'This app is no store app: the platform pushes no ticket for it. Use the kind `feishu`.',
    '该应用不是商店应用，平台不会推送 app_ticket。请改用 `feishu`。',
  ),
}

/** `POST /open-apis/auth/v3/tenant_access_token` of a store app, asked with its app_access_token. */
export const feishuTenantErrors: ErrorTable = {
  ...shared,
  '10003': misconfigured(
    'The tenant key does not look like one, or something on the way changed the request. Check `tenant_key`, and `base_url` if it is set.',
    'tenant_key 的格式不正确，或请求在途中被改动。请检查 `tenant_key` 以及 `base_url`。',
  ),
  '10012': refusedInput,
  '99991663': refusedInput,
  '99991664': refusedInput,
  '99991671': refusedInput,
}
