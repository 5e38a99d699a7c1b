/** Error codes of another zhongkong (its docs/errors.md), as a follower takes them. */
import { forbidden, misconfigured, type ErrorTable } from './error-table.ts'

export const zhongkongErrors: ErrorTable = {
  unauthorized: misconfigured(
    'The zhongkong at `url` does not take this key. Check `key`, and `clients:` there.',
    '`url` 处的 zhongkong 不接受该密钥。请检查 `key` 以及对方的 `clients:`。',
  ),
  forbidden: forbidden(
    'The key may not do that at the zhongkong that is followed. To pass on that a token was refused, it needs `refresh` for this source there.',
    '该密钥在被跟随的 zhongkong 处没有此权限。要转达“令牌被拒绝”，需要在对方为该来源授予 `refresh`。',
  ),
  not_found: misconfigured(
    'There is no such source at the zhongkong that is followed, or the key may not read it. Check `name`, and `read` there.',
    '被跟随的 zhongkong 没有该来源，或该密钥无权读取。请检查 `name` 以及对方的 `read`。',
  ),
  loop_detected: misconfigured(
    'Zhongkong follow each other in a circle, or this one follows itself: none fetches the token. Let one of them name the real upstream.',
    '多个 zhongkong 互相跟随成环，或跟随了自己，没有一个真正获取令牌。请让其中一个配置真实的上游。',
  ),
  bad_request: misconfigured(
    'The zhongkong at `url` does not understand the request: it may be another program, or far older or newer.',
    '`url` 处的 zhongkong 无法理解请求：可能不是 zhongkong，或版本相差过大。',
  ),
  token_unavailable: {
    class: 'transient',
    hint: {
      en: 'The zhongkong that is followed has no token itself. Its `zhongkong status` says why.',
      zh: '被跟随的 zhongkong 自身没有令牌，请在对方运行 `zhongkong status` 查看原因。',
    },
  },
}
