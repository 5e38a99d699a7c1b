/**
 * The two routes of wechat-token-server, with its one shared secret in the query. It answers 200 always, in Python's
 * JSON as text/html. Mended: only sources are told (never any key of a Redis), and forcerefresh works.
 */
import { z } from 'zod'
import { asZhongkongError, ZhongkongError } from '../../base/errors.ts'
import type { Json } from '../../base/json.ts'
import { safeEqual, scrub } from '../../base/secret.ts'
import type { Reading } from '../../keeper/keeper.ts'
import { olderType, type Answer } from '../answer.ts'
import { lastParameter } from '../input.ts'
import { olderSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { pythonJson } from '../token-answer.ts'
import { toldSeconds } from '../told-life.ts'

const older = (value: Json): Answer => ({ status: 200, type: olderType, body: pythonJson(value) })

const invalidRequest = older({ error: 'invalid request' })
const notFound = older({ error: 'not found' })
const empty = older({})

/** The source asked for, or null when the secret or the type is wrong. */
function typeOf({ house, url, peer }: Visit): string | null {
  const { wechatTokenServer } = house.settings().compat
  if (wechatTokenServer === null) throw new ZhongkongError('not_found', 'wechat-token-server is not spoken here')
  const secret = lastParameter(url, 'secret')
  const type = lastParameter(url, 'type')
  if (secret === '') return null
  // People choose this secret, so it may be a weak one: while an address has guessed too often, none is right.
  const isSpent = !peer.isLoopback && house.guesses.isSpent(peer.address)
  const isRight = safeEqual(secret, wechatTokenServer.secret.reveal())
  if (!isRight) house.guesses.count(peer.address)
  return isRight && !isSpent && type !== '' ? type : null
}

const tokenOf = ({ house }: Visit, type: string, { snapshot, leftMs }: Reading): Answer =>
  older({ [type]: snapshot.token, expires_in: toldSeconds(house, null, leftMs) })

async function read(visit: Visit): Promise<Answer> {
  const type = typeOf(visit)
  if (type === null) return invalidRequest
  try {
    return tokenOf(visit, type, await visit.house.keeper.get(type, { signal: visit.request.signal }))
  } catch (thrown) {
    if (asZhongkongError(thrown).code === 'internal') throw thrown
    return notFound
  }
}

async function forceRefresh(visit: Visit): Promise<Answer> {
  const type = typeOf(visit)
  if (type === null) return empty
  const { keeper } = visit.house
  try {
    return tokenOf(visit, type, await keeper.refresh(type))
  } catch (thrown) {
    const error = asZhongkongError(thrown)
    if (error.code === 'internal') throw thrown
    if (error.code === 'not_found') return notFound
    // The upstream's quota is not spent for a caller that asks too often: it gets the token that lives.
    const reading = error.code === 'budget_spent' ? await keeper.get(type).catch(() => null) : null
    return reading === null ? older({ errmsg: scrub(error.message) }) : tokenOf(visit, type, reading)
  }
}

const query = z.object({ type: z.string().optional(), secret: z.string().optional() })

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/wechat/token',
    scope: 'own',
    handler: read,
    doc: {
      group: 'wechat-token-server',
      summary: 'wechat-token-server: the token of the source `type`, and the seconds left.',
      query,
      answers: { 200: { description: 'The token, or {"error": …}', type: 'text/html', schema: olderSchema } },
    },
  },
  {
    method: 'GET',
    path: '/wechat/token/forcerefresh',
    scope: 'own',
    handler: forceRefresh,
    doc: {
      group: 'wechat-token-server',
      summary: 'wechat-token-server: the same after a refresh.',
      query,
      answers: { 200: { description: 'The token, {} or {"errmsg": …}', type: 'text/html', schema: olderSchema } },
    },
  },
]
