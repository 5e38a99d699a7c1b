/** `/v1/sources/{name}/recover`: the accounts under a source brought back from the platform's own list. */
import { z } from 'zod'
import { ZhongkongError } from '../../base/errors.ts'
import { json, type Answer } from '../answer.ts'
import { checkQuery, readJsonObject } from '../input.ts'
import { recoverySchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'

const bodySchema = z.strictObject({
  offset: z.int().min(0).optional().describe('`next` of the answer before; 0 when left out.'),
})

/** One part for each request: whoever asks sees how far it is, and goes on from there whatever happened in between. */
async function recover({ house, name, url, request }: Visit): Promise<Answer> {
  checkQuery(url)
  const body = bodySchema.safeParse(await readJsonObject(request))
  if (!body.success) throw new ZhongkongError('bad_request', 'the body must be {} or {"offset": NUMBER}')
  return json(200, await house.authorising.recover(name, body.data.offset ?? 0))
}

export const surfaces: readonly Surface[] = [
  {
    method: 'POST',
    path: '/v1/sources/{name}/recover',
    scope: 'admin',
    handler: recover,
    doc: {
      group: 'v1',
      summary:
        'Makes and mends the sources of the accounts that have authorised this one, as the platform lists them: one part for each call, until `next` is null.',
      body: bodySchema,
      answers: { 200: { description: 'What became of this part', schema: recoverySchema } },
    },
  },
]
