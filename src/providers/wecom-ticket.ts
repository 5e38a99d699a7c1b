/** WeCom's tickets: `jsapi` belongs to the corp and signs wx.config, `agent_config` to the app and signs wx.agentConfig. */
import { z } from 'zod'
import type { Semantics } from '../model/semantics.ts'
import { pageDomains } from './page-signing.ts'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, numericIdentifier, placeOf, sourceReference } from './setting.ts'
import { askForTicket, ticketFields } from './ticket.ts'
import { wecomTicketErrors } from './wecom-errors.ts'
import { wecomHost } from './wecom.ts'

type Settings = {
  readonly of: string
  readonly type: 'jsapi' | 'agent_config'
  readonly base_url: string
  readonly corpid?: string | undefined
  readonly agentid?: string | undefined
  readonly domains: readonly string[]
}

/** The same ticket until it has expired. */
export const wecomTicketSemantics: Semantics = {
  reissue: 'same-until-expiry',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'ticket' },
  invalidTokenCodes: [],
}

export const provider: Provider<Settings> = {
  kind: 'wecom-ticket',
  schema: z.strictObject({
    of: sourceReference('The source whose access_token the ticket is fetched with.'),
    type: z
      .enum(['jsapi', 'agent_config'])
      .default('jsapi')
      .describe('jsapi: the ticket of the corp; agent_config: that of the app.'),
    corpid: identifier('The corp whose pages are signed; that of `of` when left out.').optional(),
    agentid: numericIdentifier(
      'The app whose pages are signed, for wx.agentConfig; that of `of` when left out.',
    ).optional(),
    domains: pageDomains,
    base_url: baseUrl(wecomHost, 'Where WeCom is asked; as for the source named by `of` when left out.'),
  }),
  parent: {
    key: 'of',
    kinds: ['wecom', 'wecom-corp', 'wecom-corpgroup', 'http'],
    inherits: ['agentid', 'base_url', 'proxy'],
  },
  fields: ticketFields,
  needs: ({ of }) => [of],
  semantics: () => wecomTicketSemantics,
  identity: ({ type, base_url }) => `wecom-ticket:${placeOf(base_url)}/${type}`,
  credential: () => null,
  signing: ({ type, corpid, agentid, domains }) => ({
    scheme: type === 'agent_config' ? 'wecom-agent' : 'wecom',
    domains,
    ...(corpid === undefined ? {} : { account: corpid }),
    ...(agentid === undefined ? {} : { agentId: agentid }),
  }),
  issue: ({ of, type, base_url }, call) =>
    type === 'jsapi'
      ? askForTicket({ of, url: `${base_url}/cgi-bin/get_jsapi_ticket`, errors: wecomTicketErrors }, call)
      : askForTicket({ of, type, url: `${base_url}/cgi-bin/ticket/get`, errors: wecomTicketErrors }, call),
}
