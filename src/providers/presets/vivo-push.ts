/** The authToken of vivo push (vivo 推送): signed with MD5, a day long, and its answer tells no lifetime. */
import { z } from 'zod'
import { forbidden, misconfigured } from '../error-table.ts'
import { baseUrl, identifier, numericIdentifier, secret } from '../setting.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const vivoPush = httpPreset({
  kind: 'vivo-push',
  keys: z.strictObject({
    app_id: numericIdentifier('The appId.'),
    app_key: identifier('The appKey.'),
    app_secret: secret('The appSecret, which signs and is never sent.'),
    base_url: baseUrl('https://api-push.vivo.com.cn', 'Where vivo is asked.'),
  }),
  definition: ({ base_url }) => ({
    url: `${base_url}/message/auth`,
    body: {
      appId: '{{number(values.app_id)}}',
      appKey: '{{values.app_key}}',
      timestamp: '{{number(nowMs)}}',
      sign: '{{md5(values.app_id, values.app_key, nowMs, values.app_secret)}}',
    },
    success: { pointer: '/result', equals: 0 },
    token: '/authToken',
    expires_in: 86_400,
    error: '/result',
    error_message: '/desc',
  }),
  account: ({ app_id }) => app_id,
  semantics: {
    ...sideBySide,
    limits: { perDay: 10_000 },
    inject: { header: 'authToken', prefix: '' },
    invalidTokenCodes: [10_000],
  },
  api: ({ base_url }) => base_url,
  fields: ['result', 'desc', 'authToken'],
  errors: {
    10200: misconfigured('The appId is missing.', '缺少 appId。'),
    10201: misconfigured('The appKey is missing.', '缺少 appKey。'),
    10202: misconfigured('The appKey is wrong.', 'appKey 不正确。'),
    10205: misconfigured('The appId is wrong.', 'appId 不正确。'),
    10206: misconfigured('The signature is wrong, and so the appSecret is.', '签名不正确，即 appSecret 不正确。'),
    10207: forbidden(
      'The clock of this machine is more than ten minutes off. Set it.',
      '本机时钟偏差超过十分钟，请校准。',
    ),
    10250: {
      class: 'quota',
      waitMs: () => 3_600_000,
      hint: {
        en: 'The calls of the day are used up. Another program may be asking for the same application.',
        zh: '当日调用次数已用完，可能有其他程序在为同一应用获取令牌。',
      },
    },
  },
})
