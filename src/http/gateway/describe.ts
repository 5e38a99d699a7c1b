/** The gateway for the OpenAPI document. What it takes and answers is the platforms' own. */
import type { Described } from '../surface.ts'

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

export const gatewayOperations: readonly Described[] = methods.map((method) => ({
  method,
  path: '/proxy/{name}/{path}',
  scope: 'gateway',
  doc: {
    group: 'gateway',
    summary:
      'Makes a call to the upstream of a source with its token put in. Any other path that is not described here does the same for the source whose token it carries.',
    answers: {
      200: { description: 'Whatever the upstream answers, with its status', type: '*/*' },
      429: { description: 'More calls in a second than the client or the source allows' },
      501: { description: 'Calls are not passed on for this source' },
      502: { description: 'No connection to the upstream, or it broke' },
      503: { description: 'There is no valid token, or too many calls are under way' },
      504: { description: 'The upstream did not answer in time' },
    },
  },
}))
