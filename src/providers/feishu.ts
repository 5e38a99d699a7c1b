/** The tenant_access_token or app_access_token of an internal app of Feishu, or of Lark. */
import { z } from 'zod'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { feishuPost, judgeFeishuAnswer } from './feishu-answer.ts'
import { feishuTokenErrors } from './feishu-errors.ts'
import type { Provider } from './provider.ts'
import { identifier, optionalBaseUrl, placeOf, secret } from './setting.ts'

const hosts = { feishu: 'https://open.feishu.cn', lark: 'https://open.larksuite.com' } as const

type Place = { readonly region: 'feishu' | 'lark'; readonly base_url?: string | undefined }
type Settings = Place & { readonly app_id: string; readonly secret: Secret; readonly type: 'tenant' | 'app' }

/** Where a region is asked; both have the same paths. */
export function feishuBase({ region, base_url }: Place): string {
  return base_url ?? hosts[region]
}

/** The keys by which a source says where it asks; a ticket takes them from its token's source. */
export const feishuPlace = {
  region: z
    .enum(['feishu', 'lark'])
    .default('feishu')
    .describe('feishu: open.feishu.cn; lark: open.larksuite.com. Their apps are not the same.'),
  base_url: optionalBaseUrl(`Where it is asked. Default: ${hosts.feishu}, with \`region: lark\` ${hosts.lark}`),
}

/** The same token while half an hour or more is left, then a new one; the one before lives out its life. */
const halfHourMs = 1_800_000

export const feishuSemantics: Semantics = {
  reissue: 'same-until-window',
  graceMs: halfHourMs,
  windowMs: halfHourMs,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { header: 'authorization', prefix: 'Bearer ' },
  invalidTokenCodes: [99991663, 99991664, 99991671],
  limitCodes: [99991400],
}

export const provider: Provider<Settings> = {
  kind: 'feishu',
  schema: z.strictObject({
    app_id: identifier('The App ID of the app.'),
    secret: secret('Its App Secret.'),
    type: z
      .enum(['tenant', 'app'])
      .default('tenant')
      .describe('tenant: the tenant_access_token, for nearly all calls; app: the app_access_token.'),
    ...feishuPlace,
  }),
  callback: { scheme: 'feishu', receiveIds: ({ app_id }) => [app_id] },
  api: feishuBase,
  fields: ['tenant_access_token', 'app_access_token', 'expire', 'code', 'msg'],
  needs: () => [],
  semantics: () => feishuSemantics,
  identity: (settings) => `feishu:${placeOf(feishuBase(settings))}/${settings.app_id}/${settings.type}`,
  credential: ({ app_id, secret }) => ({ account: app_id, secret }),
  issue: (settings, call) => {
    const { app_id, secret, type } = settings
    const field = `${type}_access_token`
    const body = { app_id, app_secret: secret.reveal() }
    return ask(feishuPost(`${feishuBase(settings)}/open-apis/auth/v3/${field}/internal`, body), call, (answer) =>
      judgeFeishuAnswer(answer, {
        read: ({ [field]: token, expire: life }) => ({ token, life }),
        place: `/${field}`,
        errors: feishuTokenErrors,
        secrets: [secret.reveal()],
        now: call.env.clock.now(),
      }),
    )
  },
}
