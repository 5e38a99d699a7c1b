/**
 * Feishu's and Lark's own token and ticket calls for internal apps. Errors and their HTTP status are theirs: token calls
 * say no with 200, the ticket call with 400.
 */
import { z } from 'zod'
import type { Reading } from '../../keeper/keeper.ts'
import type { Source } from '../../model/source.ts'
import { json, type Answer } from '../answer.ts'
import { jsonBodyOf, prove, refusalBehind, textIn, ticketOf } from '../platform.ts'
import { feishuErrorSchema, feishuTicketSchema, feishuTokenSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { secondsOf } from '../token-answer.ts'

/** A ticket is of the app, whichever of its tokens it is asked with. */
const kinds = { token: 'feishu', ticket: 'feishu-ticket', isOfAccount: true } as const

const refusals = {
  2200: 'Internal Error',
  10003: 'invalid param',
  10014: 'app id not exists',
  10015: 'app secret invalid',
  99991661: 'Missing access token for authorization. Please make a request with token attached.',
  99991663: 'Invalid access token for authorization. Please make a test attempt with the correct token.',
  99991672: 'Access denied.',
} as const

function refusal(status: number, code: keyof typeof refusals, more = ''): Answer {
  return json(status, { code, msg: refusals[code] + more })
}

/** Codes by which an SDK believes that its token is bad and asks for another: not to be caused by a failure of ours. */
const tokenCodes: readonly unknown[] = [99991661, 99991663, 99991664, 99991668, 99991671, 99991677]

/** The upstream's own refusal where it can be told, otherwise that something broke. */
function failed(thrown: unknown, call: 'token' | 'ticket'): Answer {
  const behind = refusalBehind(thrown)
  const isTold = typeof behind?.errcode === 'number' && !(call === 'ticket' && tokenCodes.includes(behind.errcode))
  const status = call === 'token' ? 200 : 400
  if (!isTold) return refusal(status, 2200)
  return json(status, { code: behind.errcode, msg: behind.errmsg })
}

type Kind = 'tenant' | 'app'

const kindOf = ({ definition }: Source): unknown => definition.type ?? 'tenant'

async function token(visit: Visit, wanted: Kind): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  const appId = body === null ? '' : textIn(body, 'app_id')
  const secret = body === null ? '' : textIn(body, 'app_secret')
  if (appId === '' || secret === '') return refusal(200, 10003)
  const proof = await prove(visit, kinds.token, appId, secret)
  if (!proof.known) return refusal(200, proof.why === 'account' ? 10014 : 10015)
  const source = proof.sources.find((each) => kindOf(each) === wanted)
  if (source === undefined) {
    return refusal(200, 99991672, ` No feishu source of type ${wanted} is configured here for this app.`)
  }
  const tenant = wanted === 'app' ? proof.sources.find((each) => kindOf(each) === 'tenant') : undefined
  try {
    const reading = await read(visit, source)
    // As at Feishu, who asks for the token of the app is told that of its tenant, too, where there is one here.
    const beside = tenant === undefined ? null : await read(visit, tenant)
    const leftMs = Math.min(reading.leftMs, beside?.leftMs ?? Infinity)
    return json(200, {
      code: 0,
      msg: 'ok',
      [`${wanted}_access_token`]: reading.snapshot.token,
      ...(beside === null ? {} : { tenant_access_token: beside.snapshot.token }),
      expire: secondsOf(leftMs),
    })
  } catch (thrown) {
    return failed(thrown, 'token')
  }
}

function read(visit: Visit, { name }: Pick<Source, 'name'>): Promise<Reading> {
  return visit.house.keeper.get(name, { signal: visit.request.signal })
}

async function ticket(visit: Visit): Promise<Answer> {
  const sent = /^bearer +(\S+)$/i.exec(visit.credentials.authorization ?? '')?.[1]
  if (sent === undefined) return refusal(400, 99991661)
  const owner = await ticketOf(visit, sent, kinds, 'jsapi')
  if (!owner.found) {
    if (owner.why === 'token') return refusal(400, 99991663)
    return refusal(400, 99991672, ' No feishu-ticket source is configured here for this app.')
  }
  try {
    const { snapshot, leftMs } = await read(visit, owner.ticket)
    return json(200, { code: 0, msg: 'ok', data: { expire_in: secondsOf(leftMs), ticket: snapshot.token } })
  } catch (thrown) {
    return failed(thrown, 'ticket')
  }
}

function tokenSurface(wanted: Kind, summary: string): Surface {
  return {
    method: 'POST',
    path: `/open-apis/auth/v3/${wanted}_access_token/internal`,
    scope: 'own',
    handler: (visit) => token(visit, wanted),
    doc: {
      group: 'feishu',
      summary,
      body: z.object({ app_id: z.string(), app_secret: z.string() }),
      answers: {
        200: { description: 'The token, or an error', schema: z.union([feishuTokenSchema, feishuErrorSchema]) },
      },
    },
  }
}

export const surfaces: readonly Surface[] = [
  tokenSurface(
    'tenant',
    'Feishu, Lark: the tenant_access_token of an app. `app_secret` is its secret, or an API key that may read the source.',
  ),
  tokenSurface('app', 'Feishu, Lark: the app_access_token of an app.'),
  {
    method: 'POST',
    path: '/open-apis/jssdk/ticket/get',
    scope: 'own',
    handler: ticket,
    doc: {
      group: 'feishu',
      summary: 'Feishu, Lark: the ticket of the app whose token is sent as a bearer token, current or lately replaced.',
      answers: {
        200: { description: 'The ticket', schema: feishuTicketSchema },
        400: { description: 'What is wrong, or that there is nothing to serve', schema: feishuErrorSchema },
      },
    },
  },
]
