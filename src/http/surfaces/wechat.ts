/**
 * WeChat's own token and ticket calls, so that an SDK whose base URL points here works unchanged. Errors, their order
 * and their HTTP status (200) are WeChat's.
 */
import { z } from 'zod'
import { asZhongkongError } from '../../base/errors.ts'
import type { Client } from '../../access/access.ts'
import type { Reading } from '../../keeper/keeper.ts'
import type { Source } from '../../model/source.ts'
import { json, type Answer } from '../answer.ts'
import { lastParameter } from '../input.ts'
import {
  isKnownAccount,
  jsonBodyOf,
  prove,
  randomHex,
  textIn,
  ticketOf,
  wireErrorOf,
  type WireError,
} from '../platform.ts'
import { wechatErrorSchema, wechatTicketSchema, wechatTokenSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { asTold, toldSeconds } from '../told-life.ts'

const kinds = { token: 'wechat', ticket: 'wechat-ticket' }

const refusals = {
  40001:
    'invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r',
  40002: 'invalid grant_type',
  40013: 'invalid appid',
  40097: 'invalid args',
  40125: 'invalid appsecret',
  41001: 'access_token missing',
  41002: 'appid missing',
  41004: 'appsecret missing',
  43002: 'require POST method',
  47001: 'data format error',
  48001: 'api unauthorized',
} as const

function refusal(visit: Visit, errcode: keyof typeof refusals, more = ''): Answer {
  return told(visit, { errcode, errmsg: refusals[errcode] + more })
}

/** The error with the `rid` that WeChat ends every text with. */
export function told(visit: Visit, { errcode, errmsg }: WireError): Answer {
  const rid = (randomHex(visit, 12).match(/.{8}/g) ?? []).join('-')
  return json(200, { errcode, errmsg: errmsg.includes(' rid: ') ? errmsg : `${errmsg} rid: ${rid}` })
}

type Question = { readonly appid: string; readonly secret: string; readonly grantType: string }

/** `client` when the caller sent one of our keys. */
type Found = { readonly source: Source; readonly mayForce: boolean; readonly client: Client | null }

/** Who is asking, for which source; or the refusal, in WeChat's order: appid, secret, grant type. */
async function sourceFor(
  visit: Visit,
  { appid, secret, grantType }: Question,
  preferred: Source['semantics']['reissue'],
): Promise<Found | Answer> {
  if (appid === '') return refusal(visit, 41002)
  if (secret === '') return refusal(visit, (await isKnownAccount(visit, kinds.token, appid)) ? 41004 : 40013)
  const proof = await prove(visit, kinds.token, appid, secret)
  if (!proof.known) return refusal(visit, proof.why === 'account' ? 40013 : 40125)
  if (grantType !== 'client_credential') return refusal(visit, 40002)
  // An account may have both a classic and a stable source: each call prefers its own.
  const source = proof.sources.find(({ semantics }) => semantics.reissue === preferred) ?? proof.sources[0]
  const { client } = proof
  return { source, mayForce: client === null || client.may('refresh', source.name), client }
}

const tokenAnswer = ({ house }: Visit, { client }: Found, { snapshot, leftMs }: Reading): Answer =>
  json(200, { access_token: snapshot.token, expires_in: toldSeconds(house, client, leftMs) })

async function giveToken(visit: Visit, found: Found): Promise<Answer> {
  const { source, client } = found
  const reading = await visit.house.keeper.get(source.name, { signal: visit.request.signal })
  visit.house.noteAsk(
    source,
    { client: client?.name ?? null, address: visit.peer.address },
    asTold(visit.house, client, reading),
  )
  return tokenAnswer(visit, found, reading)
}

async function token(visit: Visit): Promise<Answer> {
  const found = await sourceFor(
    visit,
    {
      appid: lastParameter(visit.url, 'appid'),
      secret: lastParameter(visit.url, 'secret'),
      grantType: lastParameter(visit.url, 'grant_type'),
    },
    'retires-previous',
  )
  if (!('source' in found)) return found
  try {
    return await giveToken(visit, found)
  } catch (thrown) {
    return told(visit, wireErrorOf(thrown, 'token'))
  }
}

/** WeChat does not refresh by force twice in so many milliseconds; here it is counted from the last new token. */
const forceGapMs = 30_000

async function stableToken(visit: Visit): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 47001)
  const question = {
    appid: textIn(body, 'appid'),
    secret: textIn(body, 'secret'),
    grantType: textIn(body, 'grant_type'),
  }
  const found = await sourceFor(visit, question, 'same-until-window')
  if (!('source' in found)) return found
  const { name } = found.source
  const { keeper } = visit.house
  try {
    if (body.force_refresh !== true) return await giveToken(visit, found)
    if (!found.mayForce) return refusal(visit, 48001, ', this key may not refresh')
    // Programs that fetch by force as soon as they are told 40001 come in hundreds; one new token is enough for all.
    const refreshed = await keeper.refresh(name, { minAgeMs: forceGapMs }).catch((thrown: unknown) => {
      // As at WeChat, a forced refresh beyond its limits gives the token that lives.
      if (asZhongkongError(thrown).code === 'budget_spent') return keeper.get(name)
      throw thrown
    })
    return tokenAnswer(visit, found, refreshed)
  } catch (thrown) {
    return told(visit, wireErrorOf(thrown, 'token'))
  }
}

async function ticket(visit: Visit): Promise<Answer> {
  const sent = lastParameter(visit.url, 'access_token')
  const type = lastParameter(visit.url, 'type')
  if (sent === '') return refusal(visit, 41001)
  const owner = await ticketOf(visit, sent, kinds, type)
  if (!owner.found) {
    if (owner.why === 'token') return refusal(visit, 40001)
    if (type !== 'jsapi' && type !== 'wx_card') return refusal(visit, 40097)
    return refusal(visit, 48001, ', no wechat-ticket source of this type is configured here for this account')
  }
  try {
    const reading = await visit.house.keeper.get(owner.ticket.name, { signal: visit.request.signal })
    const { snapshot, leftMs } = reading
    return json(200, {
      errcode: 0,
      errmsg: 'ok',
      ticket: snapshot.token,
      expires_in: toldSeconds(visit.house, null, leftMs),
    })
  } catch (thrown) {
    return told(visit, wireErrorOf(thrown, 'ticket'))
  }
}

const tokenDoc = {
  description: 'The token, or an error in WeChat’s shape',
  schema: z.union([wechatTokenSchema, wechatErrorSchema]),
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/cgi-bin/token',
    scope: 'own',
    handler: token,
    doc: {
      group: 'wechat',
      summary:
        'WeChat: the access_token of an appid. `secret` is the AppSecret or an API key that may read the source.',
      query: z.object({ grant_type: z.string(), appid: z.string(), secret: z.string() }),
      answers: { 200: tokenDoc },
    },
  },
  {
    method: 'POST',
    path: '/cgi-bin/stable_token',
    scope: 'own',
    handler: stableToken,
    doc: {
      group: 'wechat',
      summary: 'WeChat: the same with a JSON body; force_refresh refreshes within the limits.',
      body: z.object({
        grant_type: z.string(),
        appid: z.string(),
        secret: z.string(),
        force_refresh: z.boolean().optional(),
      }),
      answers: { 200: tokenDoc },
    },
  },
  {
    method: 'GET',
    path: '/cgi-bin/stable_token',
    scope: 'own',
    handler: (visit) => refusal(visit, 43002),
    doc: {
      group: 'wechat',
      summary: 'WeChat: always 43002, as stable_token takes POST only.',
      answers: { 200: { description: '43002', schema: wechatErrorSchema } },
    },
  },
  {
    method: 'GET',
    path: '/cgi-bin/ticket/getticket',
    scope: 'own',
    handler: ticket,
    doc: {
      group: 'wechat',
      summary: 'WeChat: the ticket of the account whose access_token is sent, current or lately replaced.',
      query: z.object({ access_token: z.string(), type: z.string() }),
      answers: {
        200: { description: 'The ticket, or an error', schema: z.union([wechatTicketSchema, wechatErrorSchema]) },
      },
    },
  },
]
