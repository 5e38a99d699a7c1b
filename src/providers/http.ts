/** The generic source: any HTTP API that answers with a token in JSON. */
import type { Attempt } from '../model/failure.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, requestRefused, type Answer } from './ask.ts'
import { isNoError, judgeBadStatus } from './errcode-answer.ts'
import { refused, type ErrorTable } from './error-table.ts'
import { buildRequest, digestOf } from './http-request.ts'
import { httpSchema, templatesOf, type HttpSettings } from './http-settings.ts'
import { issued, lifetimeMsOf, lifetimeMsUntil } from './issued.ts'
import { readPath } from './json-pointer.ts'
import { rejected } from './outcome.ts'
import type { Call, Provider } from './provider.ts'
import { placeOf } from './setting.ts'
import { MissingInput } from './template.ts'
import { wechatTicketErrors, wechatTokenErrors } from './wechat-errors.ts'
import { wechatTicketSemantics } from './wechat-ticket.ts'
import { classicChannel, classicSemantics, stableSemantics } from './wechat.ts'
import { wecomTicketSemantics } from './wecom-ticket.ts'
import { wecomSemantics } from './wecom.ts'

/** What is known of addresses that people write out themselves; a stable_token asked like this is never forced. */
const known: Readonly<Record<string, Semantics>> = {
  '/cgi-bin/token': classicSemantics,
  '/cgi-bin/stable_token': { ...stableSemantics, limits: { perMinute: 10_000, perDay: 500_000 } },
  '/cgi-bin/ticket/getticket': wechatTicketSemantics,
  '/cgi-bin/gettoken': wecomSemantics,
  '/cgi-bin/get_jsapi_ticket': wecomTicketSemantics,
  '/cgi-bin/ticket/get': wecomTicketSemantics,
}

const independent: Semantics = {
  reissue: 'independent',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'access_token' },
  invalidTokenCodes: [40001, 40014, 42001],
}

export const provider: Provider<HttpSettings> = {
  kind: 'http',
  schema: httpSchema,
  references: (settings) =>
    templatesOf(settings).flatMap(({ path, template }) => template.references().map((each) => ({ path, ...each }))),
  needs: (settings) => [
    ...new Set(templatesOf(settings).flatMap(({ template }) => template.references().map(({ source }) => source))),
  ],
  semantics: semanticsOf,
  identity: (settings) => `http:${placeOf(settings.url.prefix.split('?', 1)[0] ?? '')}/${digestOf(settings)}`,
  channel: channelOf,
  credential: () => null,
  issue: (settings, call) => issueByHttp(settings, call),
}

/**
 * Asks once. `errors` are the codes of an API that is known, instead of WeChat's; `HTTP 401` and the like are rows for
 * answers in which only the status speaks.
 */
export async function issueByHttp(settings: HttpSettings, call: Call, errors?: ErrorTable): Promise<Attempt> {
  const values = new Map([...settings.values].map(([name, value]) => [name, value.reveal()]))
  const scope = { nowMs: call.env.clock.now(), inputs: call.inputs, values }
  try {
    const { request, secrets } = buildRequest(settings, scope)
    if (request === null) return requestRefused('what was put into the URL or a header cannot be sent')
    return await ask(request, call, (answer) => judge(settings, answer, { secrets, call, errors }))
  } catch (thrown) {
    if (!(thrown instanceof MissingInput)) throw thrown
    return rejected({ class: 'configuration', code: 'input_missing', message: thrown.message })
  }
}

function semanticsOf(settings: HttpSettings): Semantics {
  const path = settings.url.isLiteral || settings.url.prefix.includes('?') ? pathOf(settings.url.prefix) : ''
  const base = (Object.hasOwn(known, path) ? known[path] : undefined) ?? independent
  const { reissue = base.reissue, grace, window, fallback_ttl, invalid_token_codes, inject } = settings
  return {
    ...base,
    reissue,
    graceMs: grace ?? base.graceMs,
    windowMs: window ?? base.windowMs,
    fallbackTtlMs: fallback_ttl ?? base.fallbackTtlMs,
    invalidTokenCodes: invalid_token_codes ?? base.invalidTokenCodes,
    inject: inject ?? base.inject,
  }
}

/** WeChat's classic call as people write it out themselves is one line of tokens with that of a `wechat` source. */
function channelOf(settings: HttpSettings): string | null {
  if (provider.needs(settings).length > 0) return null
  const values = new Map([...settings.values].map(([name, value]) => [name, value.reveal()]))
  const { request } = buildRequest(settings, { nowMs: 0, inputs: new Map(), values })
  if (request === null) return null
  const { origin, pathname, searchParams } = new URL(request.url)
  const appid = searchParams.get('appid')
  const [base, rest] = pathname.split('/cgi-bin/token', 2)
  return appid !== null && rest === '' ? classicChannel(`${origin}${base ?? ''}`, appid) : null
}

/** The path as the platform knows it, whatever a proxy puts before it. */
function pathOf(url: string): string {
  const { pathname } = new URL(url)
  const at = pathname.indexOf('/cgi-bin/')
  return at === -1 ? pathname : pathname.slice(at)
}

type Sent = { readonly secrets: readonly string[]; readonly call: Call; readonly errors: ErrorTable | undefined }

function judge(settings: HttpSettings, { status, body, sentAt }: Answer, { secrets, call, errors }: Sent): Attempt {
  const { token, success, error } = settings
  const errcode = readPath(body, error.segments)
  const told = success === undefined ? undefined : readPath(body, success.pointer.segments)
  const isSuccess = success === undefined ? isQuiet(errcode) : told === success.equals
  const value = readPath(body, token.segments)
  const byStatus = `HTTP ${status}`
  const isByStatus = isSuccess && value === undefined && errors !== undefined && Object.hasOwn(errors, byStatus)
  if (!isSuccess || isByStatus) {
    const input = provider.needs(settings)[0]
    const now = call.env.clock.now()
    // Codes of another field, or of another platform's dialect, are not WeChat's.
    const family = input === undefined ? wechatTokenErrors : wechatTicketErrors
    const table = errors ?? (error.text === '/errcode' ? family : {})
    const code = isByStatus ? byStatus : isQuiet(errcode) ? (told ?? 'no success') : errcode
    return refused({ errcode: code, errmsg: messageIn(settings, body), table, secrets, input, now })
  }
  if (status >= 400) return judgeBadStatus(status, value !== undefined)
  return issued(value, token.text, lifetimeMs(settings, body, sentAt), body)
}

/** No error is told: besides what WeChat does, `false` and an empty text say so elsewhere. */
function isQuiet(errcode: unknown): boolean {
  return isNoError(errcode) || errcode === false || errcode === ''
}

const messagePlaces = [['errmsg'], ['msg'], ['message'], ['error_description']]

function messageIn({ error_message }: HttpSettings, body: unknown): unknown {
  const places = error_message === undefined ? messagePlaces : [error_message.segments]
  return places.map((place) => readPath(body, place)).find((each) => typeof each === 'string')
}

function lifetimeMs(settings: HttpSettings, body: unknown, sentAt: number): number | null {
  const { expires_at, expires_in, expires_unit } = settings
  const until = expires_at === undefined ? null : lifetimeMsUntil(readPath(body, expires_at.segments), sentAt)
  if (until !== null) return until
  if (typeof expires_in === 'number') return lifetimeMsOf(Math.ceil(expires_in))
  const told = readPath(body, expires_in.segments)
  // Some APIs write the unit behind seconds.
  const text = expires_unit === 's' && typeof told === 'string' ? told.replace(/^(\d+)s$/, '$1') : told
  return lifetimeMsOf(text, expires_unit)
}
