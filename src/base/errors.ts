/**
 * One error class, one table of codes. A code says who owns the failure and whether trying again helps; the text tells
 * the reader what to do. `docs/errors.md` lists them all, and a test keeps the two equal.
 */
import type { Text } from './text.ts'

export type Owner = 'caller' | 'config' | 'upstream' | 'us'
export type Retry = 'never' | 'backoff' | 'after'

type Row = { readonly status: number; readonly owner: Owner; readonly retry: Retry; readonly text: Text }

const rows = {
  bad_request: {
    status: 400,
    owner: 'caller',
    retry: 'never',
    text: { en: 'The request is not understood. See the detail.', zh: '请求无法理解，详见 detail。' },
  },
  min_ttl_too_long: {
    status: 400,
    owner: 'caller',
    retry: 'never',
    text: {
      en: 'No token of this source ever has that much time left. Ask for a smaller min_ttl.',
      zh: '该来源的令牌不可能剩余这么长的时间，请减小 min_ttl。',
    },
  },
  unauthorized: {
    status: 401,
    owner: 'caller',
    retry: 'never',
    text: {
      en: 'Send a valid API key as "Authorization: Bearer KEY".',
      zh: '请用请求头 "Authorization: Bearer KEY" 提供有效的 API 密钥。',
    },
  },
  forbidden: {
    status: 403,
    owner: 'caller',
    retry: 'never',
    text: { en: 'This key may not do that.', zh: '该密钥没有此操作的权限。' },
  },
  not_found: {
    status: 404,
    owner: 'caller',
    retry: 'never',
    text: {
      en: 'There is no such thing here, or this key may not see it.',
      zh: '不存在，或该密钥无权查看。',
    },
  },
  method_not_allowed: {
    status: 405,
    owner: 'caller',
    retry: 'never',
    text: { en: 'This address does not take that method.', zh: '该地址不支持此请求方法。' },
  },
  conflict: {
    status: 409,
    owner: 'caller',
    retry: 'never',
    text: { en: 'That contradicts what is there. See the detail.', zh: '与现有内容冲突，详见 detail。' },
  },
  payload_too_large: {
    status: 413,
    owner: 'caller',
    retry: 'never',
    text: { en: 'The body is too large.', zh: '请求体过大。' },
  },
  unsupported_media_type: {
    status: 415,
    owner: 'caller',
    retry: 'never',
    text: {
      en: 'Send the body as JSON, with "Content-Type: application/json".',
      zh: '请以 JSON 发送请求体，并带上 "Content-Type: application/json"。',
    },
  },
  too_many_attempts: {
    status: 429,
    owner: 'caller',
    retry: 'after',
    text: {
      en: 'Too many wrong keys came from this address. Wait, then use a valid one.',
      zh: '该地址多次使用无效密钥，请稍候再使用有效密钥。',
    },
  },
  call_denied: {
    status: 403,
    owner: 'caller',
    retry: 'never',
    text: {
      en: 'The gateway may not make this call: `allow` or `deny` of the client or the source speaks against it, or it would fetch a token.',
      zh: '网关不允许此调用：被客户端或来源的 `allow`、`deny` 拒绝，或该地址会获取令牌。',
    },
  },
  rate_limited: {
    status: 429,
    owner: 'caller',
    retry: 'after',
    text: {
      en: 'More calls in a second than `per_second` of the client or the source allows.',
      zh: '每秒调用次数超过客户端或来源的 `per_second` 限制。',
    },
  },
  no_gateway: {
    status: 501,
    owner: 'config',
    retry: 'never',
    text: {
      en: 'Calls are not passed on for this source: it has no address for them, or they are switched off. See `gateway` of the source.',
      zh: '该来源不转发调用：没有配置转发地址，或已关闭。请查看来源的 `gateway` 配置。',
    },
  },
  config_invalid: {
    status: 500,
    owner: 'config',
    retry: 'never',
    text: { en: 'The configuration is not valid.', zh: '配置无效。' },
  },
  config_unreadable: {
    status: 500,
    owner: 'config',
    retry: 'never',
    text: { en: 'The configuration cannot be read.', zh: '无法读取配置。' },
  },
  dependency_missing: {
    status: 500,
    owner: 'config',
    retry: 'never',
    text: { en: 'A package that this setting needs is not installed.', zh: '此设置所需的软件包没有安装。' },
  },
  loop_detected: {
    status: 508,
    owner: 'config',
    retry: 'never',
    text: {
      en: 'These zhongkong follow each other in a circle: none of them fetches this token. Let one name the real upstream.',
      zh: '多个 zhongkong 互相跟随形成了环路，没有一个真正获取该令牌。请让其中一个配置真实的上游。',
    },
  },
  token_unavailable: {
    status: 503,
    owner: 'upstream',
    retry: 'after',
    text: {
      en: 'There is no valid token at the moment. See the detail and the hint.',
      zh: '目前没有有效的令牌，详见 detail 与 hint。',
    },
  },
  upstream_unreachable: {
    status: 502,
    owner: 'upstream',
    retry: 'backoff',
    text: {
      en: 'There is no connection to the upstream. Nothing was carried out.',
      zh: '无法连接上游，请求未被执行。',
    },
  },
  upstream_cut: {
    status: 502,
    owner: 'upstream',
    retry: 'never',
    text: {
      en: 'The upstream broke the connection before it answered. The call may have been carried out.',
      zh: '上游在应答之前断开了连接，调用可能已被执行。',
    },
  },
  upstream_silent: {
    status: 504,
    owner: 'upstream',
    retry: 'never',
    text: {
      en: 'The upstream did not answer in time. The call may have been carried out.',
      zh: '上游没有及时应答，调用可能已被执行。',
    },
  },
  authorization_refused: {
    status: 502,
    owner: 'upstream',
    retry: 'never',
    text: {
      en: 'The platform did not accept this authorisation. Begin anew from its link; the detail says why.',
      zh: '平台未接受此次授权，请从授权链接重新开始；原因见 detail。',
    },
  },
  budget_spent: {
    status: 503,
    owner: 'us',
    retry: 'after',
    text: {
      en: 'The upstream may not be asked again yet: its quota is kept. The current token stays in use.',
      zh: '为保护上游配额，暂时不能再次请求；继续使用当前令牌。',
    },
  },
  store_unavailable: {
    status: 503,
    owner: 'us',
    retry: 'backoff',
    text: { en: 'The store does not answer.', zh: '存储没有响应。' },
  },
  store_full: {
    status: 503,
    owner: 'us',
    retry: 'backoff',
    text: { en: 'The store cannot be written: it is full or read-only.', zh: '存储无法写入：空间已满或只读。' },
  },
  store_corrupt: {
    status: 500,
    owner: 'us',
    retry: 'never',
    text: { en: 'The store file is damaged and was set aside.', zh: '存储文件已损坏，已隔离保存。' },
  },
  store_newer: {
    status: 500,
    owner: 'us',
    retry: 'never',
    text: {
      en: 'The store was written by a newer zhongkong. Upgrade this node.',
      zh: '存储由更新版本的 zhongkong 写入，请升级本节点。',
    },
  },
  seal_broken: {
    status: 500,
    owner: 'us',
    retry: 'never',
    text: {
      en: 'A stored record cannot be decrypted: the encryption key is another one, or the record was changed.',
      zh: '存储的记录无法解密：加密密钥不一致，或记录被改动。',
    },
  },
  overloaded: {
    status: 503,
    owner: 'us',
    retry: 'backoff',
    text: { en: 'Too much at once. Try again in a moment.', zh: '请求过多，请稍后再试。' },
  },
  closed: {
    status: 503,
    owner: 'us',
    retry: 'backoff',
    text: { en: 'This node is stopping.', zh: '本节点正在停止。' },
  },
  internal: {
    status: 500,
    owner: 'us',
    retry: 'backoff',
    text: { en: 'Something broke inside. The log has more.', zh: '内部错误，详见日志。' },
  },
} as const satisfies Record<string, Row>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, Row>> = rows

export type ErrorOptions = {
  readonly cause?: unknown
  /** Seconds after which trying again makes sense. */
  readonly retryAfterSeconds?: number
  /** The upstream's own words, scrubbed. */
  readonly upstream?: { readonly errcode: string | number; readonly errmsg: string }
  readonly hint?: Text
}

/** The only error thrown across rooms. `message` is for people and holds no secret; `code` is for programs. */
export class ZhongkongError extends Error {
  readonly code: ErrorCode
  readonly retryAfterSeconds: number | undefined
  readonly upstream: ErrorOptions['upstream']
  readonly hint: Text | undefined

  constructor(code: ErrorCode, detail: string, options: ErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ZhongkongError'
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
    this.upstream = options.upstream
    this.hint = options.hint
  }

  get status(): number {
    return errorTable[this.code].status
  }

  get owner(): Owner {
    return errorTable[this.code].owner
  }
}

/** Wraps anything thrown as a ZhongkongError, `internal` unless it is one already. */
export function asZhongkongError(thrown: unknown): ZhongkongError {
  if (thrown instanceof ZhongkongError) return thrown
  return new ZhongkongError('internal', 'unexpected failure', { cause: thrown })
}

/** Whether it was the store that failed, which may pass: the same call may succeed later. */
export function isOfStore(thrown: unknown): boolean {
  return thrown instanceof ZhongkongError && thrown.code.startsWith('store_')
}
