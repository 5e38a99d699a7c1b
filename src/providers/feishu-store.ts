/**
 * The app_access_token of a store app (商店应用) of Feishu or Lark. It is asked for with a ticket that the platform pushes
 * every hour and, when it is asked to, at once; each tenant that installs the app becomes a source of its own,
 * `{app}/{tenant_key}`.
 */
import { z } from 'zod'
import { isJsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { feishuPost, judgeFeishuAnswer } from './feishu-answer.ts'
import { feishuStoreErrors } from './feishu-errors.ts'
import { feishuBase, feishuPlace, feishuSemantics } from './feishu.ts'
import type { Provider } from './provider.ts'
import { consent, nothing, pushedTicket, textIn, ticketIn, withdrawal } from './pushed.ts'
import { identifier, placeOf, secret } from './setting.ts'

type Settings = {
  readonly app_id: string
  readonly secret: Secret
  readonly region: 'feishu' | 'lark'
  readonly base_url?: string | undefined
}

const ticketEveryMs = 3_600_000

export const feishuStoreSemantics: Semantics = {
  ...feishuSemantics,
  grant: pushedTicket(ticketEveryMs, 'app_ticket'),
}

export const provider: Provider<Settings> = {
  kind: 'feishu-store',
  schema: z.strictObject({
    app_id: identifier('The App ID of the store app.'),
    secret: secret('Its App Secret.'),
    ...feishuPlace,
  }),
  callback: { scheme: 'feishu', receiveIds: ({ app_id }) => [app_id] },
  api: feishuBase,
  fields: ['app_access_token', 'expire', 'code', 'msg'],
  needs: () => [],
  semantics: () => feishuStoreSemantics,
  identity: (settings) => `feishu-store:${placeOf(feishuBase(settings))}/${settings.app_id}`,
  credential: ({ app_id, secret }) => ({ account: app_id, secret }),
  issue: (settings, call) => {
    const { app_id, secret } = settings
    const ticket = call.grant ?? ''
    const body = { app_id, app_secret: secret.reveal(), app_ticket: ticket }
    return ask(feishuPost(`${feishuBase(settings)}/open-apis/auth/v3/app_access_token`, body), call, (answer) =>
      judgeFeishuAnswer(answer, {
        read: ({ app_access_token: token, expire: life }) => ({ token, life }),
        place: '/app_access_token',
        errors: feishuStoreErrors,
        secrets: [secret.reveal(), ticket],
        now: call.env.clock.now(),
      }),
    )
  },
  askForPush: async (settings, call) => {
    const { app_id, secret } = settings
    const body = { app_id, app_secret: secret.reveal() }
    const url = `${feishuBase(settings)}/open-apis/auth/v3/app_ticket/resend`
    const attempt = await ask(feishuPost(url, body), call, (answer) =>
      judgeFeishuAnswer(answer, {
        // A good answer holds nothing but its code.
        read: () => ({ token: 'asked', life: undefined }),
        place: '/code',
        errors: feishuStoreErrors,
        secrets: [secret.reveal()],
        now: call.env.clock.now(),
      }),
    )
    return attempt.outcome === 'issued' ? null : attempt
  },
  readMessage: ({ app_id }, message) => {
    const { event, fields } = message
    const told = isJsonObject(fields.event) ? fields.event : {}
    if (message.account !== app_id) return nothing
    const header = isJsonObject(fields.header) ? fields.header : {}
    const tenant = textIn(told, 'tenant_key') ?? textIn(header, 'tenant_key')
    const opened = { provider: 'feishu-tenant', tenant_key: tenant ?? '' }
    switch (event) {
      case 'app_ticket':
        return ticketIn({ ...message, fields: told }, 'app_ticket', null)
      case 'app_open':
        return consent(tenant, message, opened)
      case 'app_status_change':
        if (told.status === 'start_by_tenant') return consent(tenant, message, opened)
        return told.status === 'stop_by_tenant' ? withdrawal(tenant, message) : nothing
      case 'app_uninstalled':
        return withdrawal(tenant, message)
      case null:
      default:
        return nothing
    }
  },
}
