/** The auth_token of OPPO push (OPPO 推送): signed with SHA-256, a day long, and its answer tells no lifetime. */
import { z } from 'zod'
import { forbidden, misconfigured } from '../error-table.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const oppoPush = httpPreset({
  kind: 'oppo-push',
  keys: z.strictObject({
    app_key: identifier('The AppKey.'),
    master_secret: secret('The MasterSecret, which signs and is never sent.'),
    base_url: baseUrl('https://api.push.oppomobile.com', 'Where OPPO is asked.'),
  }),
  definition: ({ base_url }) => ({
    url: `${base_url}/server/v1/auth`,
    form: {
      app_key: '{{values.app_key}}',
      timestamp: '{{nowMs}}',
      sign: '{{sha256(values.app_key, nowMs, values.master_secret)}}',
    },
    success: { pointer: '/code', equals: 0 },
    token: '/data/auth_token',
    expires_in: 86_400,
    error: '/code',
    error_message: '/message',
  }),
  account: ({ app_key }) => app_key,
  semantics: { ...sideBySide, inject: { header: 'auth_token', prefix: '' }, invalidTokenCodes: [11] },
  api: ({ base_url }) => base_url,
  fields: ['code', 'message', 'data'],
  errors: {
    '-1': { class: 'transient', hint: { en: 'OPPO is busy.', zh: 'OPPO 系统繁忙。' } },
    '-2': {
      class: 'quota',
      waitMs: () => 60_000,
      hint: { en: 'OPPO asks for fewer calls.', zh: 'OPPO 要求降低调用频率。' },
    },
    13: forbidden('OPPO limits this application. See its console.', '该应用被 OPPO 限制调用，请查看其控制台。'),
    14: misconfigured('The AppKey is wrong.', 'AppKey 不正确。'),
    16: misconfigured(
      'The signature is wrong: the MasterSecret is, or the AppServerSecret was written in its place.',
      '签名不正确：MasterSecret 有误，或误填了 AppServerSecret。',
    ),
    19: forbidden('The clock of this machine is off. Set it.', '本机时钟不准，请校准。'),
  },
})
