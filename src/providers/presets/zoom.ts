/** The token of a Zoom server-to-server OAuth app, by a grant that only Zoom has: an hour, many side by side. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { fixed } from '../oauth2-endpoint.ts'
import { oauth2Semantics } from '../oauth2.ts'
import { baseUrl, identifier, secret } from '../setting.ts'
import { oauth2Preset } from './preset.ts'

export const zoom = oauth2Preset({
  kind: 'zoom',
  keys: z.strictObject({
    account_id: identifier('The account id of the app.'),
    client_id: identifier('Its client id.'),
    client_secret: secret('Its client secret.'),
    base_url: baseUrl('https://zoom.us', 'Where Zoom is asked.'),
  }),
  settings: ({ account_id, client_id, client_secret, base_url }) => ({
    endpoint: fixed(`${base_url}/oauth/token`),
    grant: 'account_credentials',
    auth: 'basic',
    clientId: client_id,
    clientSecret: client_secret,
    params: { account_id },
  }),
  account: ({ account_id, client_id }) => `${account_id}/${client_id}`,
  semantics: { ...oauth2Semantics, invalidTokenCodes: [124] },
  fields: ['access_token', 'expires_in', 'token_type', 'scope', 'api_url'],
  dialect: {
    message: ['reason'],
    errors: {
      invalid_client: misconfigured(
        'The client id or the client secret is wrong.',
        'client_id 或 client_secret 不正确。',
      ),
      invalid_request: misconfigured(
        'The account id is wrong, or the app is not activated.',
        'account_id 不正确，或应用尚未激活。',
      ),
      unsupported_grant_type: misconfigured(
        'This is no server-to-server OAuth app.',
        '该应用不是 server-to-server OAuth 应用。',
      ),
    },
  },
})
