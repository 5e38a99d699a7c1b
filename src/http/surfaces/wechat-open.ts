/**
 * The token calls of WeChat's Open Platform, so that an SDK for third-party platforms whose base URL points here works
 * unchanged. What an SDK sends of tickets and refresh tokens is not looked at: those are kept here, and go nowhere but to
 * WeChat.
 */
import { z } from 'zod'
import type { JsonObject } from '../../base/json.ts'
import type { Source } from '../../model/source.ts'
import type { Answer } from '../answer.ts'
import { json } from '../answer.ts'
import { lastParameter } from '../input.ts'
import { isKnownAccount, jsonBodyOf, ownerOf, prove, textIn, wireErrorOf, type WireError } from '../platform.ts'
import { authorizerTokenSchema, componentTokenSchema, wechatErrorSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { toldSeconds } from '../told-life.ts'
import { told } from './wechat.ts'

const kind = 'wechat-component'

const refusals = {
  40001: 'invalid credential, access_token is invalid or not latest',
  40013: 'invalid appid',
  40125: 'invalid appsecret',
  41001: 'access_token missing',
  41004: 'appsecret missing',
  47001: 'data format error',
  61003: 'component is not authorized by this account',
  61005: 'component ticket is expired',
} as const

function refusal(visit: Visit, errcode: keyof typeof refusals): Answer {
  return told(visit, { errcode, errmsg: refusals[errcode] })
}

/** Proven by the AppSecret, or by one of our API keys in its place. */
async function componentToken(visit: Visit): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 47001)
  const appid = textIn(body, 'component_appid')
  const secret = textIn(body, 'component_appsecret')
  if (secret === '') return refusal(visit, (await isKnownAccount(visit, kind, appid)) ? 41004 : 40013)
  const proof = await prove(visit, kind, appid, secret)
  if (!proof.known) return refusal(visit, proof.why === 'account' ? 40013 : 40125)
  const [{ name }] = proof.sources
  try {
    const { snapshot, leftMs } = await visit.house.keeper.get(name, { signal: visit.request.signal })
    return json(200, {
      component_access_token: snapshot.token,
      expires_in: toldSeconds(visit.house, proof.client, leftMs),
    })
  } catch (thrown) {
    return await failed(visit, name, { thrown, missing: 61005 })
  }
}

/** Proven by a component_access_token that we gave out, current or lately replaced. */
async function authorizerToken(visit: Visit): Promise<Answer> {
  // Old documents and new ones name it differently.
  const sent = lastParameter(visit.url, 'component_access_token') || lastParameter(visit.url, 'access_token')
  if (sent === '') return refusal(visit, 41001)
  const owner = (await ownerOf(visit.house, sent))?.source
  if (owner?.kind !== kind) return refusal(visit, 40001)
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 47001)
  if (textIn(body, 'component_appid') !== owner.credential?.account) return refusal(visit, 40013)
  const name = await authorizerOf(visit, owner, textIn(body, 'authorizer_appid'))
  if (name === null) return refusal(visit, 61003)
  try {
    const { snapshot, leftMs } = await visit.house.keeper.get(name, { signal: visit.request.signal })
    return json(200, answerOf(body, snapshot.token, toldSeconds(visit.house, null, leftMs)))
  } catch (thrown) {
    return await failed(visit, name, { thrown, missing: 61003 })
  }
}

/** The source of an account under this platform; null when there is none. */
async function authorizerOf(visit: Visit, owner: Source, appid: string): Promise<string | null> {
  const name = `${owner.name}/${appid}`
  const source = await visit.house.keeper.source(name)
  return source?.kind === 'wechat-authorizer' && source.needs.includes(owner.name) ? name : null
}

/** With the caller's own refresh token: the real one stays here, and SDKs store what they are told. */
function answerOf(body: JsonObject, token: string, seconds: number): JsonObject {
  return {
    authorizer_access_token: token,
    expires_in: seconds,
    authorizer_refresh_token: textIn(body, 'authorizer_refresh_token'),
  }
}

type Failure = { readonly thrown: unknown; readonly missing: 61003 | 61005 }

/** WeChat's own words, or that nobody has authorised or pushed, or that the system is busy. */
async function failed(visit: Visit, name: string, { thrown, missing }: Failure): Promise<Answer> {
  const behind: WireError = wireErrorOf(thrown, 'ticket')
  if (behind.errcode !== -1 && behind.errcode !== 42006) return told(visit, behind)
  const state = await visit.house.keeper.state(name).catch(() => undefined)
  return state?.state === 'needs-authorization'
    ? refusal(visit, missing)
    : told(visit, { errcode: -1, errmsg: 'system error' })
}

export const surfaces: readonly Surface[] = [
  {
    method: 'POST',
    path: '/cgi-bin/component/api_component_token',
    scope: 'own',
    handler: componentToken,
    doc: {
      group: 'wechat',
      summary:
        'WeChat Open Platform: the token of a third-party platform. `component_appsecret` is its AppSecret or an API key that may read the source; the ticket is not looked at.',
      body: z.object({
        component_appid: z.string(),
        component_appsecret: z.string(),
        component_verify_ticket: z.string().optional(),
      }),
      answers: {
        200: { description: 'The token, or an error', schema: z.union([componentTokenSchema, wechatErrorSchema]) },
      },
    },
  },
  {
    method: 'POST',
    path: '/cgi-bin/component/api_authorizer_token',
    scope: 'own',
    handler: authorizerToken,
    doc: {
      group: 'wechat',
      summary:
        'WeChat Open Platform: the token of an account that authorised the platform whose component_access_token is sent, current or lately replaced. The refresh token is not looked at, and comes back as it was sent.',
      query: z.object({ component_access_token: z.string().optional(), access_token: z.string().optional() }),
      body: z.object({
        component_appid: z.string(),
        authorizer_appid: z.string(),
        authorizer_refresh_token: z.string().optional(),
      }),
      answers: {
        200: { description: 'The token, or an error', schema: z.union([authorizerTokenSchema, wechatErrorSchema]) },
      },
    },
  },
]
