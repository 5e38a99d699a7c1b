/**
 * The ends an attempt may have, and the words for what went wrong. Every word carries what a person can do about it;
 * docs/providers/README.md lists them.
 */
import type { Text } from '../base/text.ts'
import type { Failed, Failure, RejectionClass } from '../model/failure.ts'

export const failureHints = {
  not_started: {
    en: 'The time for this attempt was over before anything was sent. Nothing is lost; it is tried again.',
    zh: '本次请求在发出之前时间已用完。没有任何影响，稍后会重试。',
  },
  upstream_unreachable: {
    en: 'No connection could be made. Check DNS, the network, the firewall and the proxy of this node.',
    zh: '无法建立连接。请检查本节点的 DNS、网络、防火墙与代理设置。',
  },
  upstream_tls: {
    en: 'The upstream did not prove who it is, so nothing was sent. Check its certificate, the host name and any proxy on the way.',
    zh: '未能验证上游的身份，因此没有发送任何内容。请检查其证书、主机名以及途经的代理。',
  },
  upstream_timeout: {
    en: 'No whole answer came in time. Check the network to the upstream, or raise `timeout`.',
    zh: '在规定时间内没有收到完整的应答。请检查到上游的网络，或调大 `timeout`。',
  },
  stopped: {
    en: 'The attempt was stopped before its answer came.',
    zh: '请求在收到应答之前被中止。',
  },
  upstream_cut: {
    en: 'The connection broke before the whole answer was there. It is tried again soon.',
    zh: '连接在应答收完之前中断。很快会重试。',
  },
  upstream_too_large: {
    en: 'The answer is far larger than any token answer. Check that the address is that of the token API.',
    zh: '应答远大于正常的令牌应答。请确认地址是令牌接口的地址。',
  },
  upstream_not_json: {
    en: 'The answer is no JSON object. A gateway, login page or firewall may have answered in the place of the upstream.',
    zh: '应答不是 JSON 对象，可能是网关、登录页或防火墙代替上游作了应答。',
  },
  upstream_status: {
    en: 'The upstream answered with an HTTP error. Its status page or its operator may know more.',
    zh: '上游返回了 HTTP 错误，可查看其状态页或联系其运维方。',
  },
  upstream_busy: {
    en: 'The upstream asks for fewer calls. It is asked again when it allows.',
    zh: '上游要求降低调用频率，到允许的时间会再次请求。',
  },
  unexpected_redirect: {
    en: 'Redirects are never followed, because the request carries secrets. Write the final address into the configuration.',
    zh: '请求中带有密钥，因此不会跟随重定向。请在配置中写入最终的地址。',
  },
  upstream_behind: {
    en: 'The zhongkong that is followed is about to have a newer token, or this node of it has not heard of it yet.',
    zh: '被跟随的 zhongkong 即将换上新令牌，或应答的节点尚未得知新令牌。',
  },
  upstream_rejected: {
    en: 'The upstream refused. Its own words say why.',
    zh: '上游拒绝了请求，原因见其返回信息。',
  },
  discovery_failed: {
    en: 'Where the token endpoint is, the issuer did not say in a form that can be trusted. Check `issuer`, letter by letter, or write `token_url`.',
    zh: '未能从 issuer 可信地得知令牌接口的地址。请逐字核对 `issuer`，或直接填写 `token_url`。',
  },
  refresh_token_missing: {
    en: 'The server gave a token and no refresh token, so it would end for good. Ask for one: many servers want the scope `offline_access`, Google `authorization_params: { access_type: offline, prompt: consent }`. A server that gives one only the first time: `rotation: never`.',
    zh: '服务器只给了令牌而没有 refresh_token，令牌到期后将无法续期。请申请它：多数服务器要求 scope 含 `offline_access`，Google 需 `authorization_params: { access_type: offline, prompt: consent }`。若服务器只在首次授权时给出，请写 `rotation: never`。',
  },
  needs_authorization: {
    en: 'A person must authorise: `zhongkong authorize NAME`, or open /authorize/NAME on this server. Without `authorization_url`, write another `refresh_token` into the configuration.',
    zh: '需要有人授权：执行 `zhongkong authorize 名称`，或在浏览器打开本服务器的 /authorize/名称。若未配置 `authorization_url`，请在配置中写入新的 `refresh_token`。',
  },
  token_unusable: {
    en: 'The answer holds no usable token where one was expected. For an `http` source, check `token`.',
    zh: '应答中应有令牌的位置没有可用的令牌。若是 `http` 来源，请检查 `token`。',
  },
  input_missing: {
    en: 'Another source’s answer does not hold what this source is asked with. Check the template.',
    zh: '另一来源的应答中没有本来源所需的内容，请检查模板。',
  },
  ticket_missing: {
    en: 'The platform pushes it to /callback/NAME. See that the callback is saved at the platform and reaches this server; GET /v1/callbacks/NAME tells what came.',
    zh: '该票据由平台推送到 /callback/NAME。请确认已在平台保存回调地址且平台能访问本服务；GET /v1/callbacks/NAME 可查看已收到的推送。',
  },
  authorization_missing: {
    en: 'An administrator of the organisation has to install the app (again). The source goes on by itself then.',
    zh: '需要由该企业（组织）的管理员（重新）安装应用，之后来源会自动恢复。',
  },
  grant_missing: {
    en: 'What this source is asked with has not been given yet.',
    zh: '尚未获得本来源请求所需的凭据。',
  },
  grant_not_told: {
    en: 'The platform did not tell the lost refresh token again. It is asked again soon.',
    zh: '未能从平台重新取得丢失的 refresh token，稍后会重试。',
  },
  request_invalid: {
    en: 'With the values of now the request cannot be sent. Check the templates in the URL and the headers.',
    zh: '代入当前值后无法构成合法的请求，请检查 URL 与请求头中的模板。',
  },
} as const satisfies Record<string, Text>

export type FailureCode = keyof typeof failureHints

export type Rejection = {
  readonly class: RejectionClass
  readonly code: FailureCode
  readonly message: string
  readonly upstream?: { readonly errcode: string | number; readonly errmsg: string }
  readonly hint?: Text | undefined
  readonly waitMs?: number | undefined
  readonly refusedInput?: string | undefined
}

/** The upstream understood and refused, or we could not even form the request: nothing was issued. */
export function rejected(rejection: Rejection): Failed {
  const { code, message, upstream, hint = failureHints[code], waitMs, refusedInput } = rejection
  const failure: Failure = upstream === undefined ? { code, message, hint } : { code, message, upstream, hint }
  return {
    outcome: 'rejected',
    class: rejection.class,
    failure,
    ...(waitMs === undefined ? {} : { waitMs }),
    ...(refusedInput === undefined ? {} : { refusedInput }),
  }
}

/** The upstream may have issued; we never learned. */
export function unknown(code: FailureCode, message: string): Failed {
  return { outcome: 'unknown', failure: { code, message, hint: failureHints[code] } }
}

/** No byte of the request reached the upstream. */
export function notSent(code: FailureCode, message: string): Failed {
  return { outcome: 'not-sent', failure: { code, message, hint: failureHints[code] } }
}
