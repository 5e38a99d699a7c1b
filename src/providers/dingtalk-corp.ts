/**
 * The access token of a third-party app of DingTalk in one organisation. It is asked for with the suite's key, secret and
 * ticket; the old stack takes the secret as a signature.
 */
import { createHmac } from 'node:crypto'
import { z } from 'zod'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, requestRefused, type Ask } from './ask.ts'
import { judgeDingtalkAnswer, type Stack } from './dingtalk-answer.ts'
import { dingtalkCorpErrors } from './dingtalk-errors.ts'
import { worstCase } from './dingtalk-suite.ts'
import { dingtalkBase, dingtalkPlace, dingtalkSemantics, jsonPost } from './dingtalk.ts'
import { failureHints } from './outcome.ts'
import type { Provider } from './provider.ts'
import { consentOf, consentSeed } from './pushed.ts'
import { identifier, placeOf, secret, sourceReference } from './setting.ts'

type Settings = {
  readonly of: string
  readonly corpid: string
  readonly suite_key?: string | undefined
  readonly suite_secret?: Secret | undefined
  readonly stack: Stack
  readonly base_url?: string | undefined
}

/** Each call gives a new token. What becomes of the one before is not documented, so the worst is believed. */
export function dingtalkCorpSemantics(stack: Stack): Semantics {
  return { ...dingtalkSemantics[stack], ...worstCase, grant: consentOf(failureHints.authorization_missing) }
}

export const provider: Provider<Settings> = {
  kind: 'dingtalk-corp',
  schema: z.strictObject({
    of: sourceReference('The suite that the organisation installed; all but `corpid` is its own.'),
    corpid: identifier('The id of the organisation.'),
    suite_key: identifier('The SuiteKey; that of `of` when left out.').optional(),
    suite_secret: secret('The SuiteSecret; that of `of` when left out.').optional(),
    ...dingtalkPlace,
  }),
  parent: {
    key: 'of',
    kinds: ['dingtalk-suite'],
    inherits: ['suite_key', 'suite_secret', 'stack', 'base_url', 'proxy'],
  },
  api: dingtalkBase,
  offspring: { jsapi: { provider: 'dingtalk-ticket' } },
  fields: ['accessToken', 'expireIn', 'access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: ({ of }) => [of],
  semantics: ({ stack }) => dingtalkCorpSemantics(stack),
  identity: (settings) => `dingtalk-corp:${placeOf(dingtalkBase(settings))}/${settings.corpid}/${settings.stack}`,
  credential: () => null,
  account: ({ corpid }) => corpid,
  seed: ({ corpid }) => consentSeed(corpid),
  issue: async (settings, call) => {
    const { of, suite_key: key, suite_secret: suiteSecret, stack } = settings
    const ticket = call.inputs.get(of)?.grant
    if (ticket === undefined) return requestRefused(`the ticket of ${of} was not given`)
    if (key === undefined || suiteSecret === undefined)
      return requestRefused(`the key and secret of ${of} are not known`)
    const now = call.env.clock.now()
    const suite = { key, secret: suiteSecret.reveal(), ticket }
    return await ask(stack === 'new' ? newRequest(settings, suite) : oldRequest(settings, suite, now), call, (answer) =>
      judgeDingtalkAnswer(answer, {
        ...(stack === 'new'
          ? { token: 'accessToken', life: 'expireIn' }
          : { token: 'access_token', life: 'expires_in' }),
        errors: dingtalkCorpErrors,
        secrets: [suite.secret, ticket],
        input: of,
        now,
      }),
    )
  },
}

type Suite = { readonly key: string; readonly secret: string; readonly ticket: string }

function newRequest(settings: Settings, { key, secret: suiteSecret, ticket }: Suite): Ask {
  const body = { suiteKey: key, suiteSecret, authCorpId: settings.corpid, suiteTicket: ticket }
  return jsonPost(`${dingtalkBase(settings)}/v1.0/oauth2/corpAccessToken`, body)
}

function oldRequest(settings: Settings, suite: Suite, now: number): Ask {
  const timestamp = String(now)
  const query = new URLSearchParams({
    accessKey: suite.key,
    timestamp,
    suiteTicket: suite.ticket,
    signature: suiteSignature(suite, timestamp),
  })
  const url = `${dingtalkBase(settings)}/service/get_corp_token?${query.toString()}`
  return jsonPost(url, { auth_corpid: settings.corpid })
}

/** The old stack's proof of the secret: HMAC-SHA256 over the time in milliseconds and the ticket, in base64. */
export function suiteSignature(suite: Pick<Suite, 'secret' | 'ticket'>, timestamp: string): string {
  return createHmac('sha256', suite.secret).update(`${timestamp}\n${suite.ticket}`, 'utf8').digest('base64')
}
