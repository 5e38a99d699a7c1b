/** The access_token of a Kuaishou mini program (快手小程序); old and new ones work side by side. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const kuaishou = httpPreset({
  kind: 'kuaishou',
  keys: z.strictObject({
    app_id: identifier('The AppId of the mini program.'),
    app_secret: secret('Its AppSecret.'),
    base_url: baseUrl('https://open.kuaishou.com', 'Where Kuaishou is asked.'),
  }),
  definition: ({ base_url }) => ({
    url: `${base_url}/oauth2/access_token`,
    form: {
      app_id: '{{values.app_id}}',
      app_secret: '{{values.app_secret}}',
      grant_type: 'client_credentials',
    },
    success: { pointer: '/result', equals: 1 },
    error: '/result',
    error_message: '/error_msg',
  }),
  account: ({ app_id }) => app_id,
  semantics: { ...sideBySide, inject: { query: 'access_token' } },
  api: ({ base_url }) => base_url,
  fields: ['result', 'access_token', 'expires_in', 'token_type'],
  errors: {
    100200100: misconfigured(
      'Kuaishou does not understand the request. Check `app_id`, `base_url` and proxies.',
      '快手无法识别该请求，请检查 `app_id`、`base_url` 与代理。',
    ),
    100200101: misconfigured('The AppId or the AppSecret is wrong.', 'AppId 或 AppSecret 不正确。'),
  },
})
