/** Error words of OAuth 2.0 token endpoints (RFC 6749 section 5.2, RFC 8707). */
import { forbidden, misconfigured, type ErrorRow, type ErrorTable } from './error-table.ts'
import { failureHints } from './outcome.ts'

export const oauth2Errors: ErrorTable = {
  invalid_request: misconfigured(
    'The server does not understand the request. Check `params`, `auth` and what its documentation asks for.',
    '服务器不接受该请求，请检查 `params`、`auth` 以及其文档的要求。',
  ),
  invalid_client: misconfigured(
    'The client id, secret or key is wrong, or the server wants another `auth`: `basic`, `body` or `private_key_jwt`.',
    'client_id、client_secret 或私钥不正确，或服务器要求另一种 `auth`：`basic`、`body`、`private_key_jwt`。',
  ),
  invalid_grant: {
    class: 'needs-authorization',
    hint: { en: 'The grant has expired or was revoked. Authorise again.', zh: '授权已过期或被撤销，请重新授权。' },
  },
  unauthorized_client: misconfigured(
    'This client may not use this grant. Allow it at the server.',
    '该客户端未被允许使用此授权方式，请在服务器端开启。',
  ),
  unsupported_grant_type: misconfigured(
    'The server does not know this grant at this address. Check `grant` and `token_url`.',
    '该地址不支持此授权方式，请检查 `grant` 与 `token_url`。',
  ),
  invalid_scope: misconfigured(
    'The server does not grant this scope. Check `scope`.',
    '服务器不授予该 scope，请检查 `scope`。',
  ),
  invalid_target: misconfigured(
    'The server does not know this audience or resource. Check `audience` and `resource`.',
    '服务器不识别该 audience 或 resource，请检查这两项。',
  ),
  access_denied: forbidden('The server denies this client access.', '服务器拒绝该客户端访问。'),
  temporarily_unavailable: {
    class: 'transient',
    hint: { en: 'The server is overloaded for the moment.', zh: '服务器暂时不可用。' },
  },
  server_error: { class: 'transient', hint: { en: 'The server broke down.', zh: '服务器内部错误。' } },
}

/** A refresh token that has ended, was withdrawn, or was used up by a request whose answer was lost. */
export const refusedRefreshToken: ErrorRow = { class: 'needs-authorization', hint: failureHints.needs_authorization }

/** Of a code nothing can be asked again: the person begins anew. */
export const refusedCode: ErrorRow = misconfigured(
  'The code was used before, is too old, or belongs to another address. Begin anew from the link.',
  '授权码已被使用、已过期，或与回调地址不符。请从授权链接重新开始。',
)

/** With jwt_bearer there is nobody who could authorise again: the assertion itself was refused. */
export const refusedAssertion: ErrorRow = misconfigured(
  'The signed assertion was refused. Check the key and `key_id`, who asserts, for whom and to whom; and the clock of this machine, to the second.',
  '签名断言被拒绝。请检查私钥与 `key_id`、签发者、主体与受众；并确认本机时钟准确到秒。',
)
