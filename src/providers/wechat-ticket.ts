/** WeChat's tickets: `jsapi` signs pages for wx.config, `wx_card` signs cards. */
import { z } from 'zod'
import type { Semantics } from '../model/semantics.ts'
import type { Provider } from './provider.ts'
import { baseUrl, placeOf, sourceReference } from './setting.ts'
import { askForTicket, ticketFields } from './ticket.ts'
import { wechatTicketErrors } from './wechat-errors.ts'
import { wechatHost } from './wechat.ts'

type Settings = { readonly of: string; readonly type: 'jsapi' | 'wx_card'; readonly base_url: string }

/**
 * What a second fetch does is not documented. Asking inside the last five minutes is right whether the same ticket
 * comes back until then or a new one each time, because tickets live out their lives.
 */
export const wechatTicketSemantics: Semantics = {
  reissue: 'same-until-window',
  graceMs: 300_000,
  windowMs: 300_000,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'ticket' },
  invalidTokenCodes: [],
}

export const provider: Provider<Settings> = {
  kind: 'wechat-ticket',
  schema: z.strictObject({
    of: sourceReference('The source whose access_token the ticket is fetched with.'),
    type: z.enum(['jsapi', 'wx_card']).default('jsapi').describe('Which ticket.'),
    base_url: baseUrl(wechatHost, 'Where WeChat is asked; as for the source named by `of` when left out.'),
  }),
  parent: { key: 'of', kinds: ['wechat', 'wechat-authorizer', 'http'], inherits: ['base_url', 'proxy'] },
  fields: ticketFields,
  needs: ({ of }) => [of],
  semantics: () => wechatTicketSemantics,
  identity: ({ type, base_url }) => `wechat-ticket:${placeOf(base_url)}/${type}`,
  credential: () => null,
  issue: ({ of, type, base_url }, call) =>
    askForTicket({ of, type, url: `${base_url}/cgi-bin/ticket/getticket`, errors: wechatTicketErrors }, call),
}
