/** The access_token of Baidu's AI platform (百度智能云): thirty days, and any number of them side by side. */
import { z } from 'zod'
import { fixed } from '../oauth2-endpoint.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { oauth2Preset, sideBySide } from './preset.ts'

export const baidu = oauth2Preset({
  kind: 'baidu',
  keys: z.strictObject({
    client_id: identifier('The API Key (AK) of the application.'),
    client_secret: secret('Its Secret Key (SK).'),
    base_url: baseUrl('https://aip.baidubce.com', 'Where Baidu is asked.'),
  }),
  settings: ({ client_id, client_secret, base_url }) => ({
    endpoint: fixed(`${base_url}/oauth/2.0/token`),
    clientId: client_id,
    clientSecret: client_secret,
  }),
  account: ({ client_id }) => client_id,
  semantics: { ...sideBySide, inject: { query: 'access_token' }, invalidTokenCodes: [110, 111] },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in', 'refresh_token', 'scope', 'session_key', 'session_secret'],
  dialect: {
    errors: {
      invalid_client: {
        class: 'configuration',
        hint: (errmsg) =>
          /unknown client id/i.test(errmsg)
            ? { en: 'The API Key (`client_id`) is wrong.', zh: 'API Key（`client_id`）不正确。' }
            : { en: 'The Secret Key (`client_secret`) is wrong.', zh: 'Secret Key（`client_secret`）不正确。' },
      },
    },
  },
})
