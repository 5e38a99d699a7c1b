/** WeCom's provider_access_token, which a service provider (服务商) has for itself. */
import { z } from 'zod'
import type { Secret } from '../base/secret.ts'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, placeOf, secret } from './setting.ts'
import { wecomTokenErrors } from './wecom-errors.ts'
import { askService } from './wecom-service.ts'
import { wecomHost, wecomSemantics } from './wecom.ts'

type Settings = { readonly corpid: string; readonly provider_secret: Secret; readonly base_url: string }

export const provider: Provider<Settings> = {
  kind: 'wecom-provider',
  schema: z.strictObject({
    corpid: identifier('The corpid of the service provider.'),
    provider_secret: secret('Its ProviderSecret.'),
    base_url: baseUrl(wecomHost, 'Where WeCom is asked.'),
  }),
  api: ({ base_url }) => base_url,
  fields: ['provider_access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: () => [],
  semantics: () => ({
    ...wecomSemantics,
    inject: { query: 'provider_access_token' },
    invalidTokenCodes: [40082, 40014, 42001],
  }),
  identity: ({ corpid, base_url }) => `wecom-provider:${placeOf(base_url)}/${corpid}`,
  credential: ({ corpid, provider_secret }) => ({ account: corpid, secret: provider_secret }),
  issue: ({ corpid, provider_secret, base_url }, call) =>
    askService(
      {
        url: `${base_url}/cgi-bin/service/get_provider_token`,
        body: { corpid, provider_secret: provider_secret.reveal() },
        field: 'provider_access_token',
        errors: wecomTokenErrors,
        secrets: [provider_secret.reveal()],
      },
      call,
    ),
}
