/**
 * DingTalk's suiteAccessToken, of a third-party app (第三方企业应用). It is asked for with a ticket that DingTalk pushes about
 * every five hours; each organisation that installs the app becomes a source of its own, `{suite}/{corpid}`.
 */
import { z } from 'zod'
import { isJsonObject, parsedObject, type Json, type JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Message, Push } from '../model/message.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, type Ask } from './ask.ts'
import { judgeDingtalkAnswer, type Stack } from './dingtalk-answer.ts'
import { dingtalkSuiteErrors } from './dingtalk-errors.ts'
import { dingtalkBase, dingtalkPlace, dingtalkSemantics, jsonPost } from './dingtalk.ts'
import type { Provider } from './provider.ts'
import { consent, nothing, pushedTicket, textIn, ticketIn, withdrawal } from './pushed.ts'
import { identifier, placeOf, secret } from './setting.ts'

type Settings = {
  readonly suite_key: string
  readonly suite_secret: Secret
  readonly stack: Stack
  readonly base_url?: string | undefined
}

const ticketEveryMs = 18_000_000

/**
 * What a second issue does to the token before is not documented for suites, so the worst is believed: it dies at once.
 * Callers are then told to come back when it is replaced, and an answer that never came is asked for again at once.
 */
export const worstCase = { reissue: 'retires-previous', graceMs: 0 } as const

export function dingtalkSuiteSemantics(stack: Stack): Semantics {
  const grant = pushedTicket(ticketEveryMs, 'suite_ticket')
  const inject = stack === 'old' ? { inject: { query: 'suite_access_token' } } : {}
  return { ...dingtalkSemantics[stack], ...worstCase, ...inject, grant }
}

export const provider: Provider<Settings> = {
  kind: 'dingtalk-suite',
  schema: z.strictObject({
    suite_key: identifier('The SuiteKey of the third-party app.'),
    suite_secret: secret('Its SuiteSecret.'),
    ...dingtalkPlace,
  }),
  callback: { scheme: 'dingtalk', receiveIds: ({ suite_key }) => [suite_key] },
  api: dingtalkBase,
  fields: ['accessToken', 'expireIn', 'suite_access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: () => [],
  semantics: ({ stack }) => dingtalkSuiteSemantics(stack),
  identity: (settings) => `dingtalk-suite:${placeOf(dingtalkBase(settings))}/${settings.suite_key}/${settings.stack}`,
  credential: ({ suite_key, suite_secret }) => ({ account: suite_key, secret: suite_secret }),
  issue: (settings, call) =>
    ask(requestOf(settings, call.grant ?? ''), call, (answer) =>
      judgeDingtalkAnswer(answer, {
        ...(settings.stack === 'new'
          ? { token: 'accessToken', life: 'expireIn' }
          : { token: 'suite_access_token', life: 'expires_in' }),
        errors: dingtalkSuiteErrors,
        secrets: [settings.suite_secret.reveal(), call.grant ?? ''],
        now: call.env.clock.now(),
      }),
    ),
  readMessage: ({ suite_key }, message) => {
    const { event, fields } = message
    if (event === 'SYNC_HTTP_PUSH_HIGH' && Array.isArray(fields.bizData)) {
      return {
        kind: 'several',
        pushes: fields.bizData.map((each: Json) => (isJsonObject(each) ? synced(each) : nothing)),
      }
    }
    if (textIn(fields, 'SuiteKey') !== suite_key) return nothing
    const corpid = textIn(fields, 'AuthCorpId')
    switch (event) {
      case 'suite_ticket':
        return ticketIn(message, 'SuiteTicket', null)
      // What its code is good for (a permanent code) no token call asks for: the ticket and the id are enough.
      case 'tmp_auth_code':
        return consentTo(corpid, message)
      case 'suite_relieve':
        return withdrawal(corpid, message)
      case null:
      default:
        return nothing
    }
  },
}

function consentTo(corpid: string | null, message: Pick<Message, 'createdAt'>): Push {
  return consent(corpid, message, { provider: 'dingtalk-corp', corpid: corpid ?? '' })
}

/**
 * The same, as DingTalk pushes it to apps that subscribe by SyncHTTP: a list, in which each has its own time, and its
 * content as a text of JSON. No suite is named, but for the one that the whole is encrypted for.
 */
function synced({ biz_data: text, corp_id, gmt_modified: at }: JsonObject): Push {
  const fields = typeof text === 'string' ? parsedObject(text) : null
  if (fields === null || typeof at !== 'number') return nothing
  const corpid = textIn({ corp_id: corp_id ?? null }, 'corp_id')
  switch (textIn(fields, 'syncAction')) {
    case 'suite_ticket':
      return ticketIn({ fields, createdAt: at }, 'suiteTicket', null)
    case 'org_suite_auth':
      return consentTo(corpid, { createdAt: at })
    case 'org_suite_relieve':
      return withdrawal(corpid, { createdAt: at })
    case null:
    default:
      return nothing
  }
}

function requestOf(settings: Settings, ticket: string): Ask {
  const { suite_key, suite_secret, stack } = settings
  const base = dingtalkBase(settings)
  const secretText = suite_secret.reveal()
  if (stack === 'new') {
    const body = { suiteKey: suite_key, suiteSecret: secretText, suiteTicket: ticket }
    return jsonPost(`${base}/v1.0/oauth2/suiteAccessToken`, body)
  }
  const body = { suite_key, suite_secret: secretText, suite_ticket: ticket }
  return jsonPost(`${base}/service/get_suite_token`, body)
}
