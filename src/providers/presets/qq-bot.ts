/** The access_token of a QQ bot (QQ 机器人): the same until its last minute, then a new one beside it. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { baseUrl, numericIdentifier, secret } from '../setting.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const qqBot = httpPreset({
  kind: 'qq-bot',
  keys: z.strictObject({
    app_id: numericIdentifier('The AppID of the bot.'),
    client_secret: secret('Its AppSecret.'),
    base_url: baseUrl('https://bots.qq.com', 'Where QQ is asked.'),
  }),
  definition: ({ base_url }) => ({
    url: `${base_url}/app/getAppAccessToken`,
    body: { appId: '{{values.app_id}}', clientSecret: '{{values.client_secret}}' },
    error: '/code',
    error_message: '/message',
  }),
  account: ({ app_id }) => app_id,
  semantics: {
    ...sideBySide,
    reissue: 'same-until-window',
    graceMs: 60_000,
    windowMs: 60_000,
    inject: { header: 'authorization', prefix: 'QQBot ' },
    invalidTokenCodes: [11241, 11243, 11244],
  },
  fields: ['access_token', 'expires_in'],
  errors: {
    100007: misconfigured('The AppID is wrong.', 'AppID 不正确。'),
    100016: misconfigured('The AppID or the AppSecret is wrong.', 'AppID 或 AppSecret 不正确。'),
  },
})
