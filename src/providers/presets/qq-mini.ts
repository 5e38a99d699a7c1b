/** The access_token of a QQ mini program (QQ 小程序), which behaves as WeChat's classic one does. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const qqMini = httpPreset({
  kind: 'qq-mini',
  keys: z.strictObject({
    appid: identifier('The AppID of the mini program.'),
    secret: secret('Its AppSecret.'),
    base_url: baseUrl('https://api.q.qq.com', 'Where QQ is asked.'),
  }),
  definition: ({ base_url }) => ({
    url: `${base_url}/api/getToken`,
    query: { grant_type: 'client_credential', appid: '{{values.appid}}', secret: '{{values.secret}}' },
  }),
  account: ({ appid }) => appid,
  semantics: {
    ...sideBySide,
    reissue: 'retires-previous',
    graceMs: 300_000,
    inject: { query: 'access_token' },
    invalidTokenCodes: [40001, 40014, 42001],
  },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in', 'errcode', 'errmsg'],
  errors: {
    '-1': { class: 'transient', hint: { en: 'QQ is busy.', zh: 'QQ 系统繁忙。' } },
    40001: misconfigured(
      'The AppSecret is wrong, or belongs to another mini program.',
      'AppSecret 不正确，或不属于该小程序。',
    ),
    40002: misconfigured(
      'Something on the way changes the request: check `base_url` and proxies.',
      '请求在途中被改动：请检查 `base_url` 与代理。',
    ),
    40013: misconfigured('The AppID is wrong.', 'AppID 不正确。'),
  },
})
