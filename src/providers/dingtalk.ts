/** DingTalk's access_token of an internal app, by the new stack or the old one. */
import { z } from 'zod'
import type { JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, type Ask } from './ask.ts'
import { judgeDingtalkAnswer, type Stack } from './dingtalk-answer.ts'
import { dingtalkTokenErrors } from './dingtalk-errors.ts'
import type { Provider } from './provider.ts'
import { identifier, optionalBaseUrl, placeOf, secret } from './setting.ts'

const hosts: Readonly<Record<Stack, string>> = {
  new: 'https://api.dingtalk.com',
  old: 'https://oapi.dingtalk.com',
}

type Place = { readonly stack: Stack; readonly base_url?: string | undefined }
type Settings = Place & { readonly appkey: string; readonly secret: Secret; readonly corpid?: string | undefined }

/** Where a stack is asked. */
export function dingtalkBase({ stack, base_url }: Place): string {
  return base_url ?? hosts[stack]
}

/** The keys by which a source says where it asks; a ticket takes them from its token's source. */
export const dingtalkPlace = {
  stack: z
    .enum(['new', 'old'])
    .default('new')
    .describe('new: api.dingtalk.com, token in a header; old: oapi.dingtalk.com, token in the query.'),
  base_url: optionalBaseUrl(`Where DingTalk is asked. Default: ${hosts.new}, with \`stack: old\` ${hosts.old}`),
}

/**
 * Asking again gives the same token and renews its life. For the new stack that is told by some and not by others; should
 * it only tell what is left, the last word counts all the same, and asking early harms nobody.
 */
const common = {
  reissue: 'extends',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  // The old stack's 88 says nothing by itself: its `sub_code` is one of these when the token is bad.
  invalidTokenCodes: ['InvalidAuthentication', 40014, 42001, 40001],
  limitCodes: [90018, 'Forbidden.AccessDenied.QpsLimit'],
  addressCodes: [60020, 'Forbidden.AccessDenied.IpNotInWhiteList'],
} as const

export const dingtalkSemantics: Readonly<Record<Stack, Semantics>> = {
  new: { ...common, inject: { header: 'x-acs-dingtalk-access-token', prefix: '' } },
  old: { ...common, inject: { query: 'access_token' } },
}

export const provider: Provider<Settings> = {
  kind: 'dingtalk',
  schema: z.strictObject({
    appkey: identifier('The AppKey of the app (Client ID).'),
    secret: secret('Its AppSecret (Client Secret).'),
    corpid: identifier(
      'The id of the organisation: callbacks that were registered by API are encrypted for it.',
    ).optional(),
    ...dingtalkPlace,
  }),
  // What comes first is what answers are encrypted for.
  callback: {
    scheme: 'dingtalk',
    receiveIds: ({ appkey, corpid }) => (corpid === undefined ? [appkey] : [corpid, appkey]),
  },
  api: dingtalkBase,
  fields: ['accessToken', 'expireIn', 'access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: () => [],
  semantics: ({ stack }) => dingtalkSemantics[stack],
  identity: (settings) => `dingtalk:${placeOf(dingtalkBase(settings))}/${settings.appkey}/${settings.stack}`,
  credential: ({ appkey, secret }) => ({ account: appkey, secret }),
  issue: (settings, call) =>
    ask(requestOf(settings), call, (answer) =>
      judgeDingtalkAnswer(answer, {
        ...(settings.stack === 'new'
          ? { token: 'accessToken', life: 'expireIn' }
          : { token: 'access_token', life: 'expires_in' }),
        errors: dingtalkTokenErrors,
        secrets: [settings.secret.reveal()],
        now: call.env.clock.now(),
      }),
    ),
}

function requestOf(settings: Settings): Ask {
  const { appkey, secret, stack } = settings
  const base = dingtalkBase(settings)
  if (stack === 'old') {
    const query = new URLSearchParams({ appkey, appsecret: secret.reveal() })
    return { method: 'GET', url: `${base}/gettoken?${query.toString()}` }
  }
  return jsonPost(`${base}/v1.0/oauth2/accessToken`, { appKey: appkey, appSecret: secret.reveal() })
}

/** A POST as both stacks take it. */
export function jsonPost(url: string, body: JsonObject): Ask {
  return { method: 'POST', url, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}
