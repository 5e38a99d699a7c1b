/** The access token of Huawei Push and the other HMS servers (华为推送服务): an hour, and many side by side. */
import { z } from 'zod'
import { misconfigured } from '../error-table.ts'
import { fixed } from '../oauth2-endpoint.ts'
import { baseUrl, numericIdentifier, secret } from '../setting.ts'
import { oauth2Preset, sideBySide } from './preset.ts'

export const huaweiPush = oauth2Preset({
  kind: 'huawei-push',
  keys: z.strictObject({
    client_id: numericIdentifier('The client id of the project or application (App ID).'),
    client_secret: secret('Its client secret (App Secret).'),
    base_url: baseUrl('https://oauth-login.cloud.huawei.com', 'Where Huawei is asked.'),
  }),
  settings: ({ client_id, client_secret, base_url }) => ({
    endpoint: fixed(`${base_url}/oauth2/v3/token`),
    clientId: client_id,
    clientSecret: client_secret,
  }),
  account: ({ client_id }) => client_id,
  // 1000 tokens in five minutes, for one application.
  semantics: { ...sideBySide, limits: { perMinute: 200 }, invalidTokenCodes: [80200003, 80200001] },
  fields: ['access_token', 'expires_in', 'token_type'],
  dialect: {
    codes: [['sub_error']],
    errors: {
      1101: misconfigured(
        'Huawei refuses the client. Check `client_id` and `client_secret` against AppGallery Connect.',
        '华为拒绝该客户端，请到 AppGallery Connect 核对 `client_id` 与 `client_secret`。',
      ),
      12304: misconfigured('The client secret is wrong.', 'client_secret 不正确。'),
    },
  },
})
