/** `/v1/tokens`: read a token, and say that one has failed. */
import { z } from 'zod'
import { ZhongkongError } from '../../base/errors.ts'
import type { Reading } from '../../keeper/keeper.ts'
import type { Answer } from '../answer.ts'
import { askRefresh } from '../ask-refresh.ts'
import { checkQuery, readJsonObject, secondsParameter } from '../input.ts'
import { refreshBodySchema, refreshSchema, tokenSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { isKnownToCaller, tokenAnswer } from '../token-answer.ts'
import { leftFor } from '../told-life.ts'
import { trailHeader } from '../trail.ts'

/** The longest wait for a newer version, in seconds. */
const waitSecondsMax = 60
/** The longest `min_ttl` that is understood, in seconds (ten years); the source's own lifetime is the real limit. */
const minTtlSecondsMax = 315_360_000

async function read(visit: Visit): Promise<Answer> {
  const { house, name, request, url } = visit
  checkQuery(url)
  checkTrail(visit)
  const minTtl = secondsParameter(url, 'min_ttl', minTtlSecondsMax)
  const wait = secondsParameter(url, 'wait', waitSecondsMax) ?? 0
  const ifNoneMatch = request.headers.get('if-none-match')
  const options = minTtl === undefined ? {} : { minTtlMs: minTtl * 1_000 }
  const reading = await house.keeper.get(name, { ...options, signal: request.signal })
  if (wait > 0 && isKnownToCaller(reading.snapshot, ifNoneMatch)) {
    const signal = AbortSignal.any([request.signal, house.draining])
    const newer = await house.keeper.next(name, reading.snapshot.version, wait * 1_000, signal)
    // A minute may have passed: the key may be revoked and the source gone.
    visit.admitAgain()
    if (newer !== null) return answerOf(visit, newer, ifNoneMatch)
  }
  return answerOf(visit, reading, ifNoneMatch)
}

function answerOf(visit: Visit, { snapshot, leftMs, stale }: Reading, ifNoneMatch: string | null): Answer {
  return tokenAnswer(snapshot, leftFor(visit.house, visit.client, leftMs), { isStale: stale, ifNoneMatch })
}

async function refresh(visit: Visit): Promise<Answer> {
  const { house, name, request, url } = visit
  checkQuery(url)
  checkTrail(visit)
  const body = refreshBodySchema.safeParse(await readJsonObject(request))
  if (!body.success) throw new ZhongkongError('bad_request', 'the body must be {} or {"stale": "TOKEN"}')
  return await askRefresh(house, visit.client, name, body.data.stale)
}

/** Refuses a follower that asks, in the end, on behalf of the source it asks for. */
function checkTrail({ house, name, request }: Visit): void {
  const header = request.headers.get(trailHeader)
  if (header === null || house.trail.follow(name, header)) return
  throw new ZhongkongError('loop_detected', `the followers of ${name} lead back to ${name} itself`)
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/v1/tokens/{name}',
    scope: 'read',
    handler: read,
    doc: {
      group: 'v1',
      summary: 'The current token of a source. With If-None-Match and wait: a newer one, as soon as there is one.',
      query: z.object({
        min_ttl: z
          .int()
          .min(0)
          .max(minTtlSecondsMax)
          .optional()
          .describe(
            'At least this many seconds left, refreshing first if need be: 503 with Retry-After when that cannot be now, 400 when no token of the source lives that long.',
          ),
        wait: z.int().min(0).max(waitSecondsMax).optional().describe('Seconds to wait for a newer version.'),
      }),
      answers: {
        200: { description: 'The token', schema: tokenSchema },
        304: { description: 'The caller has this version' },
      },
    },
  },
  {
    method: 'POST',
    path: '/v1/tokens/{name}/refresh',
    scope: 'refresh',
    handler: refresh,
    doc: {
      group: 'v1',
      summary: 'Refresh now, or only if the token in `stale` is still current (compare-and-refresh).',
      body: refreshBodySchema,
      answers: { 200: { description: 'The token, new or kept', schema: refreshSchema } },
    },
  },
]
