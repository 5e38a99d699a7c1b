/**
 * The quick path for reports of a dead token, of which thousands come at once when a platform has ended one early. As in
 * `glance.ts`, nothing is decided here, and whatever is not plain (a query, a refusal, a wish for a new token, a body that is
 * not as it should be) is left to the surfaces; a test keeps the two byte for byte equal.
 */
import { headersOf, type TextAnswer } from './answer.ts'
import { askRefresh } from './ask-refresh.ts'
import { admit } from './gate.ts'
import { valuesOf } from './gateway/headers.ts'
import { plainName, seenIn, type Glimpse } from './glance.ts'
import { jsonObjectOf } from './input.ts'
import { languageOf } from './problem.ts'
import { refreshBodySchema } from './schemas.ts'
import type { House, Peer } from './surface.ts'
import type { Tell } from './tell-fault.ts'

/** Answers a POST whose whole body is there, or null when the surfaces must. `rawHeaders` are name after value, as they came. */
export type TakeReport = (
  target: string,
  rawHeaders: readonly string[],
  peer: Peer,
  body: Uint8Array,
) => Promise<Glimpse> | null

const before = '/v1/tokens/'
const after = '/refresh'
const route = `${before}{name}${after}`

/** Whether a POST to this target may be one. */
export function mayBeReport(target: string): boolean {
  return target.startsWith(before) && target.endsWith(after)
}

type Means = { readonly nextRequestId: (given: string | null) => string; readonly tell: Tell }

export function createTakeReport(house: House, { nextRequestId, tell }: Means): TakeReport {
  const { env, meter } = house
  return (target, rawHeaders, peer, body) => {
    if (!mayBeReport(target)) return null
    const name = target.slice(before.length, -after.length)
    const credentials = plainName.test(name) ? seenIn(rawHeaders) : null
    if (credentials === null) return null
    const startedAt = env.clock.monotonic()
    const admission = admit(house, 'refresh', name, { credentials, peer })
    if ('refused' in admission) return null
    const stale = staleIn(body, joined(rawHeaders, 'content-type'))
    if (stale === null) return null
    const requestId = nextRequestId(credentials.requestId)
    const worded = (thrown: unknown): TextAnswer =>
      tell(thrown, { route, requestId, language: languageOf(joined(rawHeaders, 'accept-language')) })
    return askRefresh(house, admission.client, name, stale)
      .catch(worded)
      .then((answer) => {
        meter.observe(route, answer.status, (env.clock.monotonic() - startedAt) / 1_000)
        return { status: answer.status, headers: headersOf(answer, requestId), body: answer.body ?? '' }
      })
  }
}

/** The token that a body reports; null when it does not, or when there is something to say about the body. */
function staleIn(body: Uint8Array, type: string): string | null {
  try {
    return refreshBodySchema.safeParse(jsonObjectOf(body, type)).data?.stale ?? null
  } catch {
    return null
  }
}

/** A header as a Request has it when it came more than once. */
function joined(rawHeaders: readonly string[], name: string): string {
  return valuesOf(rawHeaders, name).join(', ')
}
