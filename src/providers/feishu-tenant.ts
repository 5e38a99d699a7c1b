/** The tenant_access_token of a store app of Feishu or Lark in one tenant that installed it. */
import { z } from 'zod'
import type { Semantics } from '../model/semantics.ts'
import { ask, requestRefused } from './ask.ts'
import { feishuPost, judgeFeishuAnswer } from './feishu-answer.ts'
import { feishuTenantErrors } from './feishu-errors.ts'
import { feishuBase, feishuPlace, feishuSemantics } from './feishu.ts'
import { failureHints } from './outcome.ts'
import type { Provider } from './provider.ts'
import { consentOf, consentSeed } from './pushed.ts'
import { identifier, placeOf, sourceReference } from './setting.ts'

type Settings = {
  readonly of: string
  readonly tenant_key: string
  readonly region: 'feishu' | 'lark'
  readonly base_url?: string | undefined
}

export const feishuTenantSemantics: Semantics = {
  ...feishuSemantics,
  grant: consentOf(failureHints.authorization_missing),
}

export const provider: Provider<Settings> = {
  kind: 'feishu-tenant',
  schema: z.strictObject({
    of: sourceReference('The store app that the tenant installed; `region` and `base_url` are its own.'),
    tenant_key: identifier('The key of the tenant, as events of the app tell it.'),
    ...feishuPlace,
  }),
  parent: { key: 'of', kinds: ['feishu-store'], inherits: ['region', 'base_url', 'proxy'] },
  api: feishuBase,
  offspring: { jsapi: { provider: 'feishu-ticket' } },
  fields: ['tenant_access_token', 'expire', 'code', 'msg'],
  needs: ({ of }) => [of],
  semantics: () => feishuTenantSemantics,
  identity: (settings) => `feishu-tenant:${placeOf(feishuBase(settings))}/${settings.tenant_key}`,
  credential: () => null,
  seed: ({ tenant_key }) => consentSeed(tenant_key),
  issue: async (settings, call) => {
    const { of, tenant_key } = settings
    const token = call.inputs.get(of)?.token
    if (token === undefined) return requestRefused(`the token of ${of} was not given`)
    const body = { app_access_token: token, tenant_key }
    return await ask(
      feishuPost(`${feishuBase(settings)}/open-apis/auth/v3/tenant_access_token`, body),
      call,
      (answer) =>
        judgeFeishuAnswer(answer, {
          read: ({ tenant_access_token: value, expire: life }) => ({ token: value, life }),
          place: '/tenant_access_token',
          errors: feishuTenantErrors,
          secrets: [token],
          input: of,
          now: call.env.clock.now(),
        }),
    )
  },
}
