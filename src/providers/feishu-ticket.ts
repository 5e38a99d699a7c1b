/** Feishu's or Lark's JSSDK ticket of an app, which signs pages for h5sdk.config. */
import { z } from 'zod'
import { isJsonObject } from '../base/json.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, requestRefused } from './ask.ts'
import { feishuPost, judgeFeishuAnswer } from './feishu-answer.ts'
import { feishuTicketErrors } from './feishu-errors.ts'
import { feishuBase, feishuPlace } from './feishu.ts'
import { pageDomains } from './page-signing.ts'
import type { Provider } from './provider.ts'
import { identifier, placeOf, sourceReference } from './setting.ts'

type Settings = {
  readonly of: string
  readonly region: 'feishu' | 'lark'
  readonly base_url?: string | undefined
  readonly app_id?: string | undefined
  readonly domains: readonly string[]
}

/**
 * What a second fetch does is not documented. Asking inside the last five minutes is right whether the same ticket
 * comes back until then or a new one each time.
 */
export const feishuTicketSemantics: Semantics = {
  reissue: 'same-until-window',
  graceMs: 300_000,
  windowMs: 300_000,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'ticket' },
  invalidTokenCodes: [],
}

export const provider: Provider<Settings> = {
  kind: 'feishu-ticket',
  schema: z.strictObject({
    of: sourceReference('The source whose token the ticket is fetched with; `region` and `base_url` are its own.'),
    app_id: identifier('The app whose pages are signed; that of `of` when left out.').optional(),
    domains: pageDomains,
    ...feishuPlace,
  }),
  parent: { key: 'of', kinds: ['feishu', 'feishu-tenant', 'http'], inherits: ['region', 'base_url', 'proxy'] },
  fields: ['data', 'code', 'msg'],
  needs: ({ of }) => [of],
  semantics: () => feishuTicketSemantics,
  identity: (settings) => `feishu-ticket:${placeOf(feishuBase(settings))}`,
  credential: () => null,
  signing: ({ app_id: account, domains }) => ({
    scheme: 'feishu',
    domains,
    ...(account === undefined ? {} : { account }),
  }),
  issue: async (settings, call) => {
    const { of } = settings
    const token = call.inputs.get(of)?.token
    if (token === undefined) return requestRefused(`the token of ${of} was not given`)
    const url = `${feishuBase(settings)}/open-apis/jssdk/ticket/get`
    return await ask(feishuPost(url, {}, { authorization: `Bearer ${token}` }), call, (answer) =>
      judgeFeishuAnswer(answer, {
        read: ({ data }) =>
          isJsonObject(data) ? { token: data.ticket, life: data.expire_in } : { token: undefined, life: undefined },
        place: '/data/ticket',
        errors: feishuTicketErrors,
        secrets: [token],
        input: of,
        now: call.env.clock.now(),
      }),
    )
  },
}
