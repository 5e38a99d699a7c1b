/** WeChat's access_token for Official Accounts and Mini Programs: the stable call, or the classic one. */
import { z } from 'zod'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, type Ask } from './ask.ts'
import { judgeErrcodeAnswer } from './errcode-answer.ts'
import { probeByAddressList } from './probe.ts'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, placeOf, secret } from './setting.ts'
import { wechatTokenErrors } from './wechat-errors.ts'

export const wechatHost = 'https://api.weixin.qq.com'

type Settings = {
  readonly appid: string
  readonly secret: Secret
  readonly mode: 'stable' | 'classic'
  readonly base_url: string
}

const common = {
  graceMs: 300_000,
  fallbackTtlMs: 300_000,
  inject: { query: 'access_token' },
  invalidTokenCodes: [40001, 40014, 42001],
  limitCodes: [45009, 45011],
  addressCodes: [40164],
  probe: true,
} as const

/** `/cgi-bin/token`: every call gives a new token, and the one before dies five minutes later. */
export const classicSemantics: Semantics = {
  ...common,
  reissue: 'retires-previous',
  windowMs: 0,
  limits: { perDay: 2_000 },
}

/** `/cgi-bin/stable_token`: the same token for everybody until its last five minutes. */
export const stableSemantics: Semantics = {
  ...common,
  reissue: 'same-until-window',
  windowMs: 300_000,
  limits: { perMinute: 10_000, perDay: 500_000, force: { perDay: 20, gapMs: 30_000 } },
}

/** WeChat's other hosts, for regions and for the case that the main one fails; they issue the same tokens. */
const otherHosts = /^(?:api2|(?:sh|sz|hk)\.api)\.weixin\.qq\.com(?=\/|$)/

/** The line of classic tokens of an account: whoever asks for one retires the one before, by whatever kind of source. */
export function classicChannel(baseUrl: string, appid: string): string {
  return `wechat:${placeOf(baseUrl).replace(otherHosts, 'api.weixin.qq.com')}/${appid}/classic`
}

export const provider: Provider<Settings> = {
  kind: 'wechat',
  schema: z.strictObject({
    appid: identifier('The appid of the Official Account or Mini Program.'),
    secret: secret('Its AppSecret.'),
    mode: z
      .enum(['stable', 'classic'])
      .default('stable')
      .describe('stable: POST /cgi-bin/stable_token; classic: GET /cgi-bin/token.'),
    base_url: baseUrl(wechatHost, 'Where WeChat is asked.'),
  }),
  callback: { scheme: 'wechat', receiveIds: ({ appid }) => [appid] },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in'],
  needs: () => [],
  semantics: ({ mode }) => (mode === 'classic' ? classicSemantics : stableSemantics),
  identity: ({ appid, mode, base_url }) => `wechat:${placeOf(base_url)}/${appid}/${mode}`,
  channel: ({ appid, mode, base_url }) => (mode === 'classic' ? classicChannel(base_url, appid) : null),
  credential: ({ appid, secret }) => ({ account: appid, secret }),
  issue: (settings, call) =>
    ask(requestOf(settings, call.force), call, (answer) =>
      judgeErrcodeAnswer(answer, {
        field: 'access_token',
        errors: wechatTokenErrors,
        secrets: [settings.secret.reveal()],
        now: call.env.clock.now(),
      }),
    ),
  probe: ({ base_url }, call, token) => probeByAddressList(base_url, token, common.invalidTokenCodes, call),
}

function requestOf({ appid, secret, mode, base_url }: Settings, force: boolean): Ask {
  const asked = { grant_type: 'client_credential', appid, secret: secret.reveal() }
  if (mode === 'classic') {
    return { method: 'GET', url: `${base_url}/cgi-bin/token?${new URLSearchParams(asked).toString()}` }
  }
  return {
    method: 'POST',
    url: `${base_url}/cgi-bin/stable_token`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...asked, force_refresh: force }),
  }
}
