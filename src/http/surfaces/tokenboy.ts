/**
 * TokenBoy's own route. It answers 200 always, in the bytes of the original: Python's JSON as text/html. Mended: the
 * seconds are those that are left, an upstream's error is never given out as a token, and the world is not let in.
 */
import { z } from 'zod'
import { ZhongkongError } from '../../base/errors.ts'
import { olderType, type Answer } from '../answer.ts'
import { admitTokenboy } from '../gate.ts'
import { lastParameter } from '../input.ts'
import { refuse } from '../refuse.ts'
import { olderSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { tokenboyAnswer } from '../token-answer.ts'
import { toldLeftMs } from '../told-life.ts'

const notFound: Answer = { status: 200, type: olderType, body: '{"error": "not found"}' }

async function read({ house, url, request, peer, credentials }: Visit): Promise<Answer> {
  if (house.settings().compat.tokenboy === null) throw new ZhongkongError('not_found', 'TokenBoy is not spoken here')
  const name = lastParameter(url, 'name')
  const admission = admitTokenboy(house, name, { credentials, peer })
  if ('refused' in admission) {
    if (admission.refused === 'not-found' || admission.refused === 'forbidden') return notFound
    throw refuse(house, admission, peer)
  }
  try {
    const { snapshot, leftMs } = await house.keeper.get(name, { signal: request.signal })
    return tokenboyAnswer(snapshot, toldLeftMs(house, admission.client, leftMs), request.headers.get('if-none-match'))
  } catch (thrown) {
    // The original says the same of an unknown name and of a token it does not have; what broke in us stays an error.
    if (thrown instanceof ZhongkongError && thrown.code !== 'internal') return notFound
    throw thrown
  }
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/token',
    scope: 'own',
    handler: read,
    doc: {
      group: 'tokenboy',
      summary:
        'TokenBoy: the whole upstream answer of a source, with the seconds left. Unknown: {"error": "not found"}.',
      query: z.object({ name: z.string().optional() }),
      answers: {
        200: { description: 'The answer, or {"error": "not found"}', type: 'text/html', schema: olderSchema },
        304: { description: 'Nothing changed, not even the seconds' },
      },
    },
  },
]
