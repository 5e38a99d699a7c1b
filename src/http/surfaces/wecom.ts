/** WeCom's own token and ticket calls. Errors, their order, their texts and their HTTP status (200) are WeCom's. */
import { z } from 'zod'
import { json, type Answer } from '../answer.ts'
import { lastParameter } from '../input.ts'
import { isKnownAccount, prove, randomHex, ticketOf, wireErrorOf, type WireError } from '../platform.ts'
import { wechatErrorSchema, wechatTicketSchema, wecomTokenSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { secondsOf } from '../token-answer.ts'

const kinds = { token: 'wecom', ticket: 'wecom-ticket' }

const refusals = {
  40001: 'invalid credential',
  40013: 'invalid corpid',
  40014: 'invalid access_token',
  40080: 'invalid suite_secret',
  40082: 'invalid suite_access_token or provider_access_token',
  40083: 'invalid suite_id',
  40084: 'invalid permanent_code',
  40097: 'invalid args',
  41001: 'access_token missing',
  41002: 'corpid missing',
  41004: 'corpsecret missing',
  41021: 'suite_id missing',
  41022: 'suite_access_token missing',
  41024: 'suite_secret missing',
  47001: 'data format error',
  48002: 'api forbidden',
  48003: 'suite not authorized',
} as const

export function refusal(visit: Visit, errcode: keyof typeof refusals, more = ''): Answer {
  return told(visit, { errcode, errmsg: refusals[errcode] + more })
}

/** WeCom's layout: the text, a hint, the caller's address, where to read more; and the same in two headers. */
export function told(visit: Visit, { errcode, errmsg }: WireError): Answer {
  const hint = `${Math.floor(visit.house.env.clock.now() / 1_000)}_1_${randomHex(visit, 16)}`
  const more = `https://open.work.weixin.qq.com/devtool/query?e=${errcode}`
  const text = errmsg.includes(', hint: [')
    ? errmsg
    : `${errmsg}, hint: [${hint}], from ip: ${visit.peer.address ?? '127.0.0.1'}, more info at ${more}`
  return json(200, { errcode, errmsg: text }, ['Error-Code', String(errcode), 'Error-Msg', asciiOf(errmsg)])
}

/** Headers hold printable ASCII only. */
function asciiOf(text: string): string {
  return text.replace(/[^ -~]/g, '?')
}

async function token(visit: Visit): Promise<Answer> {
  const corpid = lastParameter(visit.url, 'corpid')
  const secret = lastParameter(visit.url, 'corpsecret')
  if (corpid !== '' && !(await isKnownAccount(visit, kinds.token, corpid))) return refusal(visit, 40013)
  if (secret === '') return refusal(visit, 41004)
  if (corpid === '') return refusal(visit, 41002)
  const proof = await prove(visit, kinds.token, corpid, secret)
  if (!proof.known) return refusal(visit, proof.why === 'account' ? 40013 : 40001)
  // Each app of a corp has its own secret and its own token: an API key that reads several does not say which is meant.
  if (proof.client !== null && proof.sources.length > 1) {
    return refusal(visit, 40001, ', this key may read several apps of this corp, so send the secret of the app')
  }
  try {
    const [source] = proof.sources
    const reading = await visit.house.keeper.get(source.name, { signal: visit.request.signal })
    visit.house.noteAsk(source, { client: proof.client?.name ?? null, address: visit.peer.address }, reading)
    const { snapshot, leftMs } = reading
    return json(200, { errcode: 0, errmsg: 'ok', access_token: snapshot.token, expires_in: secondsOf(leftMs) })
  } catch (thrown) {
    return told(visit, wireErrorOf(thrown, 'token'))
  }
}

async function ticket(visit: Visit, type: string): Promise<Answer> {
  const sent = lastParameter(visit.url, 'access_token')
  if (sent === '') return refusal(visit, 41001)
  const owner = await ticketOf(visit, sent, kinds, type)
  if (!owner.found) {
    if (owner.why === 'token') return refusal(visit, 40014)
    if (type !== 'jsapi' && type !== 'agent_config') return refusal(visit, 40097)
    return refusal(visit, 48002, ', no wecom-ticket source of this type is configured here for this app')
  }
  try {
    const { snapshot, leftMs } = await visit.house.keeper.get(owner.ticket.name, { signal: visit.request.signal })
    return json(200, { errcode: 0, errmsg: 'ok', ticket: snapshot.token, expires_in: secondsOf(leftMs) })
  } catch (thrown) {
    return told(visit, wireErrorOf(thrown, 'ticket'))
  }
}

const ticketDoc = {
  description: 'The ticket, or an error',
  schema: z.union([wechatTicketSchema, wechatErrorSchema]),
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/cgi-bin/gettoken',
    scope: 'own',
    handler: token,
    doc: {
      group: 'wecom',
      summary: 'WeCom: the access_token of an app. `corpsecret` is its secret, or an API key that may read the source.',
      query: z.object({ corpid: z.string(), corpsecret: z.string() }),
      answers: {
        200: {
          description: 'The token, or an error in WeCom’s shape',
          schema: z.union([wecomTokenSchema, wechatErrorSchema]),
        },
      },
    },
  },
  {
    method: 'GET',
    path: '/cgi-bin/get_jsapi_ticket',
    scope: 'own',
    handler: (visit) => ticket(visit, 'jsapi'),
    doc: {
      group: 'wecom',
      summary: 'WeCom: the corp’s jsapi ticket.',
      query: z.object({ access_token: z.string() }),
      answers: { 200: ticketDoc },
    },
  },
  {
    method: 'GET',
    path: '/cgi-bin/ticket/get',
    scope: 'own',
    handler: (visit) => ticket(visit, lastParameter(visit.url, 'type')),
    doc: {
      group: 'wecom',
      summary: 'WeCom: the app’s ticket, `type=agent_config`.',
      query: z.object({ access_token: z.string(), type: z.string() }),
      answers: { 200: ticketDoc },
    },
  },
]
