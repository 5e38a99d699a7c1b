/** An access token of a Salesforce org, by client_credentials; its answer tells no lifetime, but where the org is. */
import { z } from 'zod'
import { forbidden, misconfigured } from '../error-table.ts'
import { fixed } from '../oauth2-endpoint.ts'
import { oauth2Semantics } from '../oauth2.ts'
import { duration, identifier, ownBaseUrl, secret } from '../setting.ts'
import { oauth2Preset } from './preset.ts'

export const salesforce = oauth2Preset({
  kind: 'salesforce',
  keys: z.strictObject({
    client_id: identifier('The consumer key of the connected app.'),
    client_secret: secret('Its consumer secret.'),
    base_url: ownBaseUrl('The org’s own address, such as https://example.my.salesforce.com.'),
    fallback_ttl: duration(
      'The session timeout of the org, which is the life of a token. Default: 2h',
      60_000,
      86_400_000,
    ).prefault('2h'),
  }),
  settings: ({ client_id, client_secret, base_url, fallback_ttl }) => ({
    endpoint: fixed(`${base_url}/services/oauth2/token`),
    clientId: client_id,
    clientSecret: client_secret,
    fallbackTtlMs: fallback_ttl,
  }),
  account: ({ client_id }) => client_id,
  semantics: { ...oauth2Semantics, invalidTokenCodes: ['INVALID_SESSION_ID', 'invalid_token'] },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'instance_url', 'id', 'token_type', 'issued_at', 'signature', 'scope'],
  dialect: {
    errors: {
      invalid_client_id: misconfigured('The consumer key is wrong.', 'client_id（consumer key）不正确。'),
      invalid_client: misconfigured('The consumer secret is wrong.', 'client_secret（consumer secret）不正确。'),
      invalid_grant: forbidden(
        'The app may not do this: allow the client credentials flow there, and name the user it runs as.',
        '该应用未开启此方式：请在其中启用 client credentials flow，并指定运行用户。',
      ),
      inactive_user: forbidden('The user that the app runs as is inactive.', '该应用的运行用户已停用。'),
      inactive_org: forbidden('The org is locked, closed or suspended.', '该组织已被锁定、关闭或暂停。'),
      rate_limit_exceeded: {
        class: 'quota',
        waitMs: () => 60_000,
        hint: { en: 'Salesforce counts too many logins.', zh: 'Salesforce 登录次数过多。' },
      },
    },
  },
})
