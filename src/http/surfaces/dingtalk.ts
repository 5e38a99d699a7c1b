/**
 * DingTalk's own token and ticket calls of both stacks. Errors and their HTTP status are DingTalk's: numbers and 200 on
 * the old stack, words and 4xx on the new one.
 */
import { z } from 'zod'
import type { Client } from '../../access/access.ts'
import { json, type Answer } from '../answer.ts'
import { lastParameter } from '../input.ts'
import { jsonBodyOf, prove, randomHex, refusalBehind, textIn, ticketOf, wireErrorOf } from '../platform.ts'
import {
  dingtalkErrorSchema,
  dingtalkTicketSchema,
  dingtalkTokenSchema,
  oldDingtalkErrorSchema,
  wechatTicketSchema,
  wecomTokenSchema,
} from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { toldSeconds } from '../told-life.ts'

/** A ticket is of the app, whichever of its tokens it is asked with. */
const kinds = { token: 'dingtalk', ticket: 'dingtalk-ticket', isOfAccount: true } as const

const numbers = {
  40000: 'access_token为空',
  40014: '不合法的access_token',
  40035: '缺少参数 corpid or appkey',
  40089: '不合法的corpid或corpsecret',
  40096: '不合法的appKey或appSecret',
  41001: '缺少access_token',
  60011: '没有调用该接口的权限',
} as const

const words = {
  MissingappKey: 'appKey is mandatory for this action.',
  MissingappSecret: 'appSecret is mandatory for this action.',
  Missingbody: 'body is mandatory for this action.',
  invalidClientIdOrSecret: '无效的clientId或者clientSecret',
  InvalidAuthentication: '不合法的access_token',
  ServiceUnavailable: 'The request has failed due to a temporary failure of the server.',
  'AuthenticationFailed.MissingParameter': 'x-acs-dingtalk-access-token is mandatory for this action.',
  'Forbidden.AccessDenied.AccessTokenPermissionDenied': '应用尚未开通所需的权限',
} as const

const noTicket = ', no dingtalk-ticket source is configured here for this app'

/** What DingTalk's old gateway refuses itself is wrapped: the code that means something is a text beside 88. */
function wrapped(visit: Visit, code: keyof typeof numbers, more = ''): Answer {
  const text = numbers[code] + more
  const errmsg = `ding talk error[subcode=${code},submsg=${text}]`
  return json(200, { errcode: 88, sub_code: String(code), sub_msg: text, errmsg, request_id: randomHex(visit, 8) })
}

function number(errcode: keyof typeof numbers): Answer {
  return json(200, { errcode, errmsg: numbers[errcode] })
}

function word(visit: Visit, code: string, message: string): Answer {
  const status = code === 'ServiceUnavailable' ? 503 : code.startsWith('Forbidden.') ? 403 : 400
  return json(status, { code, requestid: randomHex(visit, 16), message })
}

function refusal(visit: Visit, code: keyof typeof words, more = ''): Answer {
  return word(visit, code, words[code] + more)
}

/** An SDK must not take a failure of ours for that of its token, and fetch another. */
function failedByWord(visit: Visit, thrown: unknown, call: 'token' | 'ticket'): Answer {
  const behind = refusalBehind(thrown)
  if (behind === null) return refusal(visit, 'ServiceUnavailable')
  const { errcode, errmsg } = behind
  const isTold = typeof errcode === 'string' && !(call === 'ticket' && errcode === 'InvalidAuthentication')
  // A number comes from a source that asks the old stack, and would mean nothing here.
  return isTold ? word(visit, errcode, errmsg) : refusal(visit, 'ServiceUnavailable', ` (${errcode} ${errmsg})`)
}

/** The same on the old stack, where a word would mean nothing: it is told behind the number of a busy system. */
function failedByNumber(thrown: unknown, call: 'token' | 'ticket'): Answer {
  const behind = refusalBehind(thrown)
  if (behind !== null && typeof behind.errcode === 'string') {
    return json(200, { errcode: -1, errmsg: `系统繁忙 (${behind.errcode} ${behind.errmsg})` })
  }
  return json(200, wireErrorOf(thrown, call))
}

async function oldToken(visit: Visit): Promise<Answer> {
  const appkey = lastParameter(visit.url, 'appkey')
  if (appkey === '') return number(visit.url.searchParams.has('corpid') ? 40089 : 40035)
  const reading = await tokenOf(visit, { appkey, secret: lastParameter(visit.url, 'appsecret'), stack: 'old' })
  if (reading === null) return number(40096)
  if ('thrown' in reading) return failedByNumber(reading.thrown, 'token')
  return json(200, { errcode: 0, errmsg: 'ok', access_token: reading.token, expires_in: reading.seconds })
}

async function token(visit: Visit): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 'Missingbody')
  const appkey = textIn(body, 'appKey')
  const secret = textIn(body, 'appSecret')
  if (appkey === '') return refusal(visit, 'MissingappKey')
  if (secret === '') return refusal(visit, 'MissingappSecret')
  const reading = await tokenOf(visit, { appkey, secret, stack: 'new' })
  if (reading === null) return refusal(visit, 'invalidClientIdOrSecret')
  if ('thrown' in reading) return failedByWord(visit, reading.thrown, 'token')
  return json(200, { accessToken: reading.token, expireIn: reading.seconds })
}

type Question = { readonly appkey: string; readonly secret: string; readonly stack: 'new' | 'old' }

/** A token or a ticket, and its life as the caller is told it. */
type Told = { readonly token: string; readonly seconds: number } | { readonly thrown: unknown }

/** The token of the app; null for who did not prove to be allowed, an unknown app included, as at DingTalk. */
async function tokenOf(visit: Visit, question: Question): Promise<Told | null> {
  const proof = await prove(visit, kinds.token, question.appkey, question.secret)
  if (!proof.known) return null
  // An app may have a source for each stack: each call prefers its own, though DingTalk gives both the same token.
  const { stack } = question
  const source = proof.sources.find(({ definition }) => (definition.stack ?? 'new') === stack) ?? proof.sources[0]
  return await read(visit, source.name, proof.client)
}

async function read(visit: Visit, name: string, client: Client | null): Promise<Told> {
  try {
    const { snapshot, leftMs } = await visit.house.keeper.get(name, { signal: visit.request.signal })
    return { token: snapshot.token, seconds: toldSeconds(visit.house, client, leftMs) }
  } catch (thrown) {
    return { thrown }
  }
}

async function oldTicket(visit: Visit): Promise<Answer> {
  const sent = lastParameter(visit.url, 'access_token')
  if (sent === '') return visit.url.searchParams.has('access_token') ? wrapped(visit, 40000) : number(41001)
  const owner = await ticketOf(visit, sent, kinds, 'jsapi')
  if (!owner.found) return owner.why === 'token' ? wrapped(visit, 40014) : wrapped(visit, 60011, noTicket)
  const reading = await read(visit, owner.ticket.name, null)
  if ('thrown' in reading) return failedByNumber(reading.thrown, 'ticket')
  return json(200, { errcode: 0, errmsg: 'ok', ticket: reading.token, expires_in: reading.seconds })
}

async function ticket(visit: Visit): Promise<Answer> {
  const sent = visit.request.headers.get('x-acs-dingtalk-access-token')?.trim() ?? ''
  if (sent === '') return refusal(visit, 'AuthenticationFailed.MissingParameter')
  const owner = await ticketOf(visit, sent, kinds, 'jsapi')
  if (!owner.found) {
    if (owner.why === 'token') return refusal(visit, 'InvalidAuthentication')
    return refusal(visit, 'Forbidden.AccessDenied.AccessTokenPermissionDenied', noTicket)
  }
  const reading = await read(visit, owner.ticket.name, null)
  if ('thrown' in reading) return failedByWord(visit, reading.thrown, 'ticket')
  return json(200, { jsapiTicket: reading.token, expireIn: reading.seconds })
}

const wordDoc = (description: string): { description: string; schema: z.ZodType } => ({
  description,
  schema: dingtalkErrorSchema,
})
const wordDocs = {
  400: wordDoc('What is wrong, in DingTalk’s words'),
  403: wordDoc('The upstream’s own refusal, or that no such source is configured'),
  503: wordDoc('There is nothing to serve'),
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/gettoken',
    scope: 'own',
    handler: oldToken,
    doc: {
      group: 'dingtalk',
      summary:
        'DingTalk, old stack: the token of an app. `appsecret` is its secret, or an API key that may read the source.',
      query: z.object({ appkey: z.string(), appsecret: z.string() }),
      answers: {
        200: { description: 'The token, or an error', schema: z.union([wecomTokenSchema, oldDingtalkErrorSchema]) },
      },
    },
  },
  {
    method: 'POST',
    path: '/v1.0/oauth2/accessToken',
    scope: 'own',
    handler: token,
    doc: {
      group: 'dingtalk',
      summary: 'DingTalk, new stack: the same with a JSON body.',
      body: z.object({ appKey: z.string(), appSecret: z.string() }),
      answers: { 200: { description: 'The token', schema: dingtalkTokenSchema }, ...wordDocs },
    },
  },
  {
    method: 'GET',
    path: '/get_jsapi_ticket',
    scope: 'own',
    handler: oldTicket,
    doc: {
      group: 'dingtalk',
      summary: 'DingTalk, old stack: the ticket of the app whose token is sent, current or lately replaced.',
      query: z.object({ access_token: z.string() }),
      answers: {
        200: { description: 'The ticket, or an error', schema: z.union([wechatTicketSchema, oldDingtalkErrorSchema]) },
      },
    },
  },
  {
    method: 'POST',
    path: '/v1.0/oauth2/jsapiTickets',
    scope: 'own',
    handler: ticket,
    doc: {
      group: 'dingtalk',
      summary: 'DingTalk, new stack: the same; the token is in the header x-acs-dingtalk-access-token.',
      answers: { 200: { description: 'The ticket', schema: dingtalkTicketSchema }, ...wordDocs },
    },
  },
]
