/**
 * A token of another zhongkong: this one follows it, and leaves fetching and secrets to it. What the other promises of its
 * token is promised here, counted from the moment of asking, and no longer.
 */
import { z } from 'zod'
import { isJsonObject, type JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Attempt } from '../model/failure.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, brokenByStatus, refusedByStatus, type Answer, type Ask } from './ask.ts'
import { judgeBadStatus } from './errcode-answer.ts'
import { refused } from './error-table.ts'
import { issued, lifetimeMsOf } from './issued.ts'
import { rejected, unknown } from './outcome.ts'
import type { Call, Heard, Held, Provider } from './provider.ts'
import { placeOf, problem, secret, sourceReference, urlProblem } from './setting.ts'
import { zhongkongErrors } from './zhongkong-errors.ts'

type Settings = { readonly url: string; readonly key?: Secret | undefined; readonly name: string }

/** Ids of those on whose behalf is asked, so that circles are noticed; the other side knows it by the same name. */
const trailHeader = 'zhongkong-via'
/** The longest single wait at the other side, in milliseconds: shorter than what proxies cut off. */
const waitMsMax = 25_000

const semantics: Semantics = {
  reissue: 'same-until-window',
  retold: true,
  announces: true,
  graceMs: 0,
  // The other side says when it has a new token. Should that stay unheard, it is asked in the last minute.
  windowMs: 60_000,
  limits: {},
  fallbackTtlMs: 1_000,
  inject: { query: 'access_token' },
  invalidTokenCodes: [],
}

export const provider: Provider<Settings> = {
  kind: 'zhongkong',
  schema: z.strictObject({
    url: z
      .string()
      .superRefine((value, context) => {
        const wrong = urlProblem(value)
        if (wrong !== null) problem(context, wrong)
        else if (value.includes('?'))
          problem(context, { en: 'It must not hold a query (?…)', zh: '不能包含查询参数（?…）' })
      })
      .transform((value) => value.replace(/\/+$/, ''))
      .describe('The address of the zhongkong that is followed.'),
    key: secret('An API key of that zhongkong, which may read the source there.').optional(),
    name: sourceReference('The name of the source there.'),
  }),
  needs: () => [],
  semantics: () => semantics,
  identity: ({ url, name }) => `zhongkong:${placeOf(url)}/${name}`,
  credential: () => null,
  issue: async (settings, call) => {
    const { held } = call
    if (held?.isReported !== true) return await read(settings, call)
    const report = { ...requestOf(settings, call, '/refresh'), method: 'POST' as const }
    const body = JSON.stringify({ stale: held.token })
    const headers = { ...report.headers, 'content-type': 'application/json' }
    const told = await ask({ ...report, headers, body }, call, (answer) => judge(answer, settings, call))
    if (told.outcome !== 'rejected' || told.class !== 'permission') return told
    // The report is not taken from us; but the token may have been replaced already.
    const current = await read(settings, call)
    return current.outcome === 'issued' && current.issued.value !== held.token ? current : told
  },
  watch,
}

async function read(settings: Settings, call: Call): Promise<Attempt> {
  return await ask(requestOf(settings, call), call, (answer) => judge(answer, settings, call))
}

async function watch(settings: Settings, call: Call & { readonly held: Held }, waitMs: number): Promise<Heard> {
  const { held } = call
  const { version } = noteOf(held.fields)
  const waitSeconds = Math.floor(Math.min(waitMs, waitMsMax) / 1_000)
  const request = requestOf(settings, call, `?wait=${waitSeconds}`)
  const headers = { ...request.headers, ...(version === null ? {} : { 'if-none-match': `"${version}"` }) }
  const answer = await ask({ ...request, headers, judgesNotModified: true }, call, (told): Attempt => {
    const isKnown = told.status === 304 || told.body.token === held.token || isBehind(told.body, held)
    if (!isKnown) return judge(told, settings, call)
    return { outcome: 'issued', issued: { value: held.token, lifetimeMs: null, fields: held.fields } }
  })
  if (answer.outcome === 'issued') return answer.issued.value === held.token ? 'same' : 'changed'
  return answer.outcome === 'rejected' && answer.class !== 'transient' ? 'refused' : 'failed'
}

function requestOf({ url, key, name }: Settings, call: Call, rest = ''): Ask {
  const headers: Record<string, string> = {}
  if (key !== undefined) headers.authorization = `Bearer ${key.reveal()}`
  if (call.trail !== undefined && call.trail.length > 0) headers[trailHeader] = call.trail.join(', ')
  const address = `${url}/v1/tokens/${encodeURIComponent(name)}${rest}`
  return { method: 'GET', url: address, headers, judgesServerErrors: true }
}

function judge({ status, body }: Answer, { key }: Settings, call: Call): Attempt {
  const { code, detail, token, expires_in } = body
  if (status >= 400) {
    if (typeof code !== 'string') return status >= 500 ? brokenByStatus(status) : judgeBadStatus(status, false)
    const byStatus = refusedByStatus(status)
    const otherwise = status < 500 && byStatus.outcome === 'rejected' ? byStatus.class : 'transient'
    const secrets = [...(key === undefined ? [] : [key.reveal()]), ...(call.held ? [call.held.token] : [])]
    const now = call.env.clock.now()
    return refused({ errcode: code, errmsg: detail, table: zhongkongErrors, otherwise, secrets, now })
  }
  if (call.held !== undefined && isBehind(body, call.held)) {
    return rejected({ class: 'transient', code: 'upstream_behind', message: 'the answer holds an older token' })
  }
  // Less than a second is left: nothing that could be promised here.
  if (expires_in === 0) {
    return rejected({ class: 'transient', code: 'upstream_behind', message: 'the token there is just ending' })
  }
  const lifetimeMs = lifetimeMsOf(expires_in)
  if (lifetimeMs === null) return unknown('token_unusable', 'the answer does not say how long the token lives')
  return issued(token, '/token', lifetimeMs, fieldsOf(body))
}

/** What is remembered of an answer beside the token: the other side's own count, to know older answers by. */
type Note = { readonly version: number | null; readonly issuedAt: number | null }

/** The upstream's whole answer as the other side has it, and its version there. */
function fieldsOf(body: JsonObject): JsonObject {
  const { version, issued_at, fields } = body
  return {
    ...(isJsonObject(fields) ? fields : {}),
    zhongkong: { version: version ?? null, issued_at: issued_at ?? null },
  }
}

function noteOf(fields: JsonObject): Note {
  const note = isJsonObject(fields.zhongkong) ? fields.zhongkong : {}
  return { version: wholeNumber(note.version), issuedAt: wholeNumber(note.issued_at) }
}

function wholeNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
}

/**
 * A node there that has not heard of the newest token yet; versions never go back here. A lower version that was issued
 * later is another matter: the store there has lost its history.
 */
function isBehind(body: JsonObject, held: Held): boolean {
  const known = noteOf(held.fields)
  const [version, issuedAt] = [wholeNumber(body.version), wholeNumber(body.issued_at)]
  if (body.token === held.token || version === null || issuedAt === null) return false
  return known.version !== null && known.issuedAt !== null && version < known.version && issuedAt <= known.issuedAt
}
