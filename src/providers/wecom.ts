/** WeCom's access_token of one app: each app has its own secret, and so its own token. */
import { z } from 'zod'
import { sha256, type Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { judgeErrcodeAnswer } from './errcode-answer.ts'
import { probeByAddressList } from './probe.ts'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, placeOf, secret } from './setting.ts'
import { wecomTokenErrors } from './wecom-errors.ts'

export const wecomHost = 'https://qyapi.weixin.qq.com'

type Settings = {
  readonly corpid: string
  readonly secret: Secret
  readonly agentid?: string | undefined
  readonly base_url: string
}

/** The same token until it has expired, so refreshing early brings nothing. */
export const wecomSemantics: Semantics = {
  reissue: 'same-until-expiry',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'access_token' },
  invalidTokenCodes: [40014, 42001, 40001],
  limitCodes: [45009, 45033],
  addressCodes: [60020],
}

export const provider: Provider<Settings> = {
  kind: 'wecom',
  schema: z.strictObject({
    corpid: identifier('The id of the corp.'),
    secret: secret('The secret of the app.'),
    agentid: z
      .union([z.string().regex(/^\d{1,20}$/), z.number().int().nonnegative()])
      .transform(String)
      .optional()
      .describe('The id of the app. It is not sent; it keeps apart the tokens of several apps of one corp.'),
    base_url: baseUrl(wecomHost, 'Where WeCom is asked.'),
  }),
  callback: { scheme: 'wecom', receiveIds: ({ corpid }) => [corpid] },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: () => [],
  semantics: () => ({ ...wecomSemantics, probe: true }),
  // An app is known by its secret, too: the token of another one must not be served after the secret was changed.
  identity: ({ corpid, agentid, secret, base_url }) =>
    `wecom:${placeOf(base_url)}/${corpid}/${agentid ?? sha256(secret.reveal()).toString('hex').slice(0, 12)}`,
  credential: ({ corpid, secret }) => ({ account: corpid, secret }),
  issue: ({ corpid, secret, base_url }, call) => {
    const query = new URLSearchParams({ corpid, corpsecret: secret.reveal() })
    return ask({ method: 'GET', url: `${base_url}/cgi-bin/gettoken?${query.toString()}` }, call, (answer) =>
      judgeErrcodeAnswer(answer, {
        field: 'access_token',
        errors: wecomTokenErrors,
        secrets: [secret.reveal()],
        now: call.env.clock.now(),
      }),
    )
  },
  probe: ({ base_url }, call, token) => probeByAddressList(base_url, token, wecomSemantics.invalidTokenCodes, call),
}
