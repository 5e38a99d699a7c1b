/** `/v1/events`: what happens, as Server-Sent Events. Never a token, and only of sources that the caller may read. */
import { z } from 'zod'
import { ZhongkongError } from '../../base/errors.ts'
import type { Answer } from '../answer.ts'
import { admit } from '../gate.ts'
import { checkQuery } from '../input.ts'
import type { Surface, Visit } from '../surface.ts'

const eventStreamType = 'text/event-stream'
/** Patterns in one `names`; the size of a request line is the real limit. */
const namesMax = 500
/** Proxies hold answers back to compress or to cache them, unless they are told not to. */
const unbuffered = ['Cache-Control', 'no-transform', 'X-Accel-Buffering', 'no']

function watch(visit: Visit): Answer {
  const { house, request, url, client, credentials, peer, language } = visit
  checkQuery(url)
  const names = namesOf(url)
  if (client === null) throw new ZhongkongError('internal', 'nobody was admitted')
  // A HEAD is answered like a GET without its body, and nobody would ever read that.
  const body =
    request.method === 'HEAD'
      ? null
      : house.watchers.open({
          client,
          names,
          language,
          lastEventId: request.headers.get('last-event-id'),
          readmit: () => {
            const again = admit(house, 'client', '', { credentials, peer })
            return 'refused' in again ? null : again.client
          },
          hangUp: peer.hangUp,
        })
  return { status: 200, type: eventStreamType, body, headers: unbuffered }
}

function namesOf(url: URL): readonly string[] {
  const text = url.searchParams.get('names')
  if (text === null) return []
  const names = [...new Set(text.split(',').map((name) => name.trim()))].sort()
  if (names.includes('') || names.length > namesMax) {
    throw new ZhongkongError(
      'bad_request',
      `names must be 1 to ${namesMax} names or patterns, with commas between them`,
    )
  }
  return names
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/v1/events',
    scope: 'client',
    handler: watch,
    doc: {
      group: 'v1',
      summary:
        'What happens to the sources this key may read, as Server-Sent Events: first `hello`, then past facts (docs/events.md). With Last-Event-ID: what was missed, or `reset` when that is not known any more.',
      query: z.object({
        names: z
          .string()
          .optional()
          .describe('Only these sources: names with commas between them; `*` stands for any characters.'),
      }),
      answers: {
        200: {
          description: 'A stream without an end; something comes every 15 seconds at least.',
          type: eventStreamType,
          schema: z.string(),
        },
      },
    },
  },
]
