/**
 * WeCom's suite_access_token, of a third-party app (第三方应用). It is asked for with a ticket that WeCom pushes; with it,
 * corps that install the suite are authorised, each of which becomes a source of its own, `{suite}/{corpid}`.
 */
import { z } from 'zod'
import { isJsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Issued } from '../model/failure.ts'
import type { Semantics } from '../model/semantics.ts'
import { unknown } from './outcome.ts'
import type { Authorization, Provider, Redeemed } from './provider.ts'
import { nothing, pushedTicket, textIn, ticketIn, withdrawal } from './pushed.ts'
import { baseUrl, identifier, placeOf, secret } from './setting.ts'
import { wecomSuiteCallErrors, wecomSuiteErrors } from './wecom-errors.ts'
import { askService } from './wecom-service.ts'
import { wecomHost, wecomSemantics } from './wecom.ts'

type Settings = {
  readonly suite_id: string
  readonly suite_secret: Secret
  readonly corpid?: string | undefined
  readonly base_url: string
  readonly install_url: string
}

/** WeCom pushes a ticket every ten minutes, which is good for half an hour. In milliseconds. */
const ticketEveryMs = 600_000
const ticketLivesMs = 1_800_000

export const wecomSuiteSemantics: Semantics = {
  ...wecomSemantics,
  grant: pushedTicket(ticketEveryMs, 'suite_ticket'),
  inject: { query: 'suite_access_token' },
  invalidTokenCodes: [42009, 40082],
  limitCodes: [45009, 45033],
  addressCodes: [60020],
}

const authorization: Authorization<Settings> = {
  isAskedWithToken: true,
  codeParameter: 'auth_code',
  link: async ({ suite_id, base_url, install_url }, call, { redirectUri, state }) => {
    const attempt = await askService(
      {
        url: `${base_url}/cgi-bin/service/get_pre_auth_code`,
        body: null,
        token: { name: 'suite_access_token', value: call.held?.token },
        field: 'pre_auth_code',
        errors: wecomSuiteCallErrors,
        secrets: [],
      },
      call,
    )
    if (attempt.outcome !== 'issued') return { refused: attempt }
    const query = { suite_id, pre_auth_code: attempt.issued.value, redirect_uri: redirectUri, state }
    return { url: `${install_url}?${new URLSearchParams(query).toString()}` }
  },
  redeem: async ({ base_url }, call, { code }) => {
    const attempt = await askService(
      {
        url: `${base_url}/cgi-bin/service/get_permanent_code`,
        body: { auth_code: code },
        token: { name: 'suite_access_token', value: call.held?.token },
        field: 'access_token',
        errors: wecomSuiteCallErrors,
        secrets: [code],
      },
      call,
    )
    return attempt.outcome === 'issued' ? corpIn(attempt.issued) : { attempt }
  },
}

/** The corp that an answer is about, with the permanent code that it is asked for with from now on. */
function corpIn({ value, lifetimeMs, fields }: Issued): Redeemed {
  const permanentCode = textIn(fields, 'permanent_code')
  const corpid = isJsonObject(fields.auth_corp_info) ? textIn(fields.auth_corp_info, 'corpid') : null
  if (permanentCode === null || corpid === null) return { attempt: nobody }
  // What the answer says beside these (the administrator's name, say) is told once only, and is nothing of a token's.
  const { access_token = value, expires_in = null } = fields
  const grant = { value: permanentCode, lifetimeMs: null }
  return {
    attempt: { outcome: 'issued', issued: { value, lifetimeMs, fields: { access_token, expires_in }, grant } },
    child: { account: corpid, definition: { provider: 'wecom-corp', corpid } },
  }
}

const nobody = unknown('token_unusable', 'the answer holds no permanent_code or no corp')

export const provider: Provider<Settings> = {
  kind: 'wecom-suite',
  schema: z.strictObject({
    suite_id: identifier('The id of the suite (SuiteID).'),
    suite_secret: secret('Its secret (SuiteSecret).'),
    corpid: identifier(
      'The corpid of the service provider: the check of the callback address is encrypted for it.',
    ).optional(),
    base_url: baseUrl(wecomHost, 'Where WeCom is asked.'),
    install_url: baseUrl(
      'https://open.work.weixin.qq.com/3rdapp/install',
      'The page of WeCom at which a corp installs the suite.',
    ),
  }),
  callback: {
    scheme: 'wecom',
    receiveIds: ({ suite_id, corpid }) => (corpid === undefined ? [suite_id] : [suite_id, corpid]),
  },
  api: ({ base_url }) => base_url,
  fields: ['suite_access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: () => [],
  semantics: () => wecomSuiteSemantics,
  identity: ({ suite_id, base_url }) => `wecom-suite:${placeOf(base_url)}/${suite_id}`,
  credential: ({ suite_id, suite_secret }) => ({ account: suite_id, secret: suite_secret }),
  issue: ({ suite_id, suite_secret, base_url }, call) => {
    const ticket = call.grant ?? ''
    return askService(
      {
        url: `${base_url}/cgi-bin/service/get_suite_token`,
        body: { suite_id, suite_secret: suite_secret.reveal(), suite_ticket: ticket },
        field: 'suite_access_token',
        errors: wecomSuiteErrors,
        secrets: [suite_secret.reveal(), ticket],
      },
      call,
    )
  },
  readMessage: ({ suite_id }, message) => {
    const { event, fields } = message
    if (textIn(fields, 'SuiteId') !== suite_id) return nothing
    switch (event) {
      case 'suite_ticket':
        return ticketIn(message, 'SuiteTicket', ticketLivesMs)
      case 'create_auth':
      case 'reset_permanent_code': {
        const code = textIn(fields, 'AuthCode')
        return code === null ? nothing : { kind: 'authorized', code }
      }
      case 'cancel_auth':
        return withdrawal(textIn(fields, 'AuthCorpId'), message)
      case null:
      default:
        return nothing
    }
  },
  authorization,
}
