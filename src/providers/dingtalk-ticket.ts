/** DingTalk's jsapi ticket of an app, which signs pages for dd.config. */
import { z } from 'zod'
import type { Semantics } from '../model/semantics.ts'
import { ask, requestRefused, type Ask } from './ask.ts'
import { judgeDingtalkAnswer, type Stack } from './dingtalk-answer.ts'
import { dingtalkTicketErrors } from './dingtalk-errors.ts'
import { dingtalkBase, dingtalkPlace } from './dingtalk.ts'
import { pageDomains } from './page-signing.ts'
import type { Provider } from './provider.ts'
import { identifier, numericIdentifier, placeOf, sourceReference } from './setting.ts'

type Settings = {
  readonly of: string
  readonly stack: Stack
  readonly base_url?: string | undefined
  readonly corpid?: string | undefined
  readonly agentid?: string | undefined
  readonly domains: readonly string[]
}

/**
 * What a second fetch gives has been told differently over the years: the same ticket, a new one beside it, a new one in
 * its place. Asking only when the ticket is nearly over is right for each of them.
 */
export const dingtalkTicketSemantics: Semantics = {
  reissue: 'same-until-expiry',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'ticket' },
  invalidTokenCodes: [],
}

export const provider: Provider<Settings> = {
  kind: 'dingtalk-ticket',
  schema: z.strictObject({
    of: sourceReference(
      'The source whose access token the ticket is fetched with; `stack` and `base_url` are its own.',
    ),
    corpid: identifier('The organisation whose pages are signed; that of `of` when left out.').optional(),
    agentid: numericIdentifier('The app whose pages are signed.').optional(),
    domains: pageDomains,
    ...dingtalkPlace,
  }),
  parent: { key: 'of', kinds: ['dingtalk', 'dingtalk-corp', 'http'], inherits: ['stack', 'base_url', 'proxy'] },
  fields: ['jsapiTicket', 'expireIn', 'ticket', 'expires_in', 'errcode', 'errmsg'],
  needs: ({ of }) => [of],
  semantics: () => dingtalkTicketSemantics,
  identity: (settings) => `dingtalk-ticket:${placeOf(dingtalkBase(settings))}/${settings.stack}`,
  credential: () => null,
  signing: ({ corpid, agentid, domains }) => ({
    scheme: 'dingtalk',
    domains,
    ...(corpid === undefined ? {} : { account: corpid }),
    ...(agentid === undefined ? {} : { agentId: agentid }),
  }),
  issue: async (settings, call) => {
    const { of, stack } = settings
    const token = call.inputs.get(of)?.token
    if (token === undefined) return requestRefused(`the token of ${of} was not given`)
    return await ask(requestOf(settings, token), call, (answer) =>
      judgeDingtalkAnswer(answer, {
        ...(stack === 'new' ? { token: 'jsapiTicket', life: 'expireIn' } : { token: 'ticket', life: 'expires_in' }),
        errors: dingtalkTicketErrors,
        secrets: [token],
        input: of,
        now: call.env.clock.now(),
      }),
    )
  },
}

function requestOf(settings: Settings, token: string): Ask {
  const base = dingtalkBase(settings)
  if (settings.stack === 'old') {
    const query = new URLSearchParams({ access_token: token })
    return { method: 'GET', url: `${base}/get_jsapi_ticket?${query.toString()}` }
  }
  const headers = { 'content-type': 'application/json', 'x-acs-dingtalk-access-token': token }
  return { method: 'POST', url: `${base}/v1.0/oauth2/jsapiTickets`, headers }
}
