/** An access token of a PayPal REST app: about nine hours. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { fixed } from '../oauth2-endpoint.ts'
import { oauth2Semantics } from '../oauth2.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { oauth2Preset } from './preset.ts'

export const paypal = oauth2Preset({
  kind: 'paypal',
  keys: z.strictObject({
    client_id: identifier('The client id of the app.'),
    client_secret: secret('Its secret.'),
    base_url: baseUrl('https://api-m.paypal.com', 'Where PayPal is asked; https://api-m.sandbox.paypal.com to try.'),
  }),
  settings: ({ client_id, client_secret, base_url }) => ({
    endpoint: fixed(`${base_url}/v1/oauth2/token`),
    auth: 'basic',
    clientId: client_id,
    clientSecret: client_secret,
  }),
  account: ({ client_id }) => client_id,
  semantics: oauth2Semantics,
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in', 'token_type', 'app_id', 'nonce', 'scope'],
  dialect: {
    errors: {
      invalid_client: misconfigured(
        'The client id or the secret is wrong, or they are those of the sandbox (or of live).',
        'client_id 或 client_secret 不正确，或混用了沙箱与正式环境的凭据。',
      ),
    },
  },
})
