/**
 * `/callback/{name}`: what the platform sends. Whatever is wrong with a request is refused in the same way, so that nothing
 * is learned about sources; operators see the reasons at `/v1/callbacks/{name}`.
 */
import { z } from 'zod'
import { errorTable, ZhongkongError } from '../../base/errors.ts'
import type { Heard, Refusals } from '../../callbacks/callback.ts'
import type { CallbackAnswer } from '../../wire/v1.ts'
import { json, problemType, type Answer } from '../answer.ts'
import { checkQuery, readBytes } from '../input.ts'
import { callbackSchema, problemSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'

async function take({ house, name, url, request }: Visit): Promise<Answer> {
  const body = await readBytes(request)
  const source = await house.keeper.source(name)
  const reply = await house.callbacks.take(source, {
    method: request.method === 'POST' ? 'POST' : 'GET',
    search: url.search,
    header: (key) => request.headers.get(key),
    body,
  })
  if (reply === null) throw refused()
  return {
    status: 200,
    type: reply.type,
    body: typeof reply.body === 'string' ? reply.body : Uint8Array.from(reply.body),
  }
}

function refused(): ZhongkongError {
  return new ZhongkongError('forbidden', 'the callback is not signed as it must be, or its timestamp is too old', {
    hint: {
      en: "Compare the source's callback token and key with those at the platform, and this machine's clock with the real time. GET /v1/callbacks/NAME tells an admin the reason.",
      zh: '请核对来源的 callback token 与密钥是否与平台上填写的一致，并检查本机时间是否准确。管理员可通过 GET /v1/callbacks/NAME 查看原因。',
    },
  })
}

async function look({ house, name, url }: Visit): Promise<Answer> {
  checkQuery(url)
  if ((await house.keeper.source(name)) === undefined) throw new ZhongkongError('not_found', 'no such source')
  const { journal } = house.callbacks
  const answer: CallbackAnswer = {
    name,
    messages: journal.messages(name).map(messageAnswer),
    refusals: journal.refusals(name).map(refusalAnswer),
  }
  return json(200, answer)
}

function messageAnswer({ at, verdict, type, event, account, tookMs, forwards }: Heard): CallbackAnswer['messages'][0] {
  return {
    at: Math.floor(at / 1_000),
    verdict,
    type,
    event,
    account,
    took_ms: Math.round(tookMs),
    forwards: forwards.map(({ to, outcome, status, tookMs: ms }) => ({ to, outcome, status, took_ms: Math.round(ms) })),
  }
}

function refusalAnswer({ reason, count, lastAt }: Refusals): CallbackAnswer['refusals'][0] {
  return { reason, count, last_at: Math.floor(lastAt / 1_000) }
}

const query = z.object({
  signature: z.string().optional(),
  msg_signature: z.string().optional(),
  timestamp: z.string().optional(),
  nonce: z.string().optional(),
})
const anyType = {
  description: 'What the platform expects, or what a receiver answered',
  type: '*/*',
  schema: z.string(),
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/callback/{name}',
    scope: 'own',
    handler: take,
    doc: {
      group: 'callback',
      summary: 'The URL check of the platform: answers echostr, decrypted where the platform encrypts it.',
      query: query.extend({ echostr: z.string() }),
      answers: { 200: { description: 'echostr', type: 'text/plain', schema: z.string() } },
    },
  },
  {
    method: 'POST',
    path: '/callback/{name}',
    scope: 'own',
    handler: take,
    doc: {
      group: 'callback',
      summary: 'A message of the platform: kept if it is for this server, otherwise forwarded. 503: send it again.',
      query,
      answers: {
        200: anyType,
        413: { description: errorTable.payload_too_large.text.en, type: problemType, schema: problemSchema },
      },
    },
  },
  {
    method: 'GET',
    path: '/v1/callbacks/{name}',
    scope: 'admin',
    handler: look,
    doc: {
      group: 'v1',
      summary: 'The last messages that the platform sent to a source, as this process saw them; never their content.',
      answers: { 200: { description: 'The newest first', schema: callbackSchema } },
    },
  },
]
