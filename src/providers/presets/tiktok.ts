/** TikTok's client access token (not of a user): two hours, for its Research and other server-side APIs. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { oauth2Errors } from '../oauth2-errors.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const tiktok = httpPreset({
  kind: 'tiktok',
  keys: z.strictObject({
    client_key: identifier('The client key of the app.'),
    client_secret: secret('Its client secret.'),
    base_url: baseUrl('https://open.tiktokapis.com', 'Where TikTok is asked.'),
  }),
  // OAuth 2.0 but for the name of the client's id.
  definition: ({ base_url }) => ({
    url: `${base_url}/v2/oauth/token/`,
    form: {
      client_key: '{{values.client_key}}',
      client_secret: '{{values.client_secret}}',
      grant_type: 'client_credentials',
    },
    error: '/error',
    error_message: '/error_description',
  }),
  account: ({ client_key }) => client_key,
  semantics: { ...sideBySide, invalidTokenCodes: ['access_token_invalid'] },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in', 'token_type'],
  errors: {
    ...oauth2Errors,
    invalid_client: misconfigured(
      'The client key or the client secret is wrong.',
      'client_key 或 client_secret 不正确。',
    ),
  },
})
