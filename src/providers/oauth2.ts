/** OAuth 2.0 with the client_credentials grant (RFC 6749, section 4.4). */
import { z } from 'zod'
import { sha256, type Secret } from '../base/secret.ts'
import type { Attempt } from '../model/failure.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask, brokenByStatus, refusedByStatus, type Answer, type Ask } from './ask.ts'
import { judgeBadStatus } from './errcode-answer.ts'
import { refused } from './error-table.ts'
import { issued, lifetimeMsOf } from './issued.ts'
import { oauth2Errors } from './oauth2-errors.ts'
import type { Call, Provider } from './provider.ts'
import { duration, placeOf, problem, secret, urlProblem } from './setting.ts'

const texts = z.union([z.string(), z.array(z.string())])

/** Parameters that have keys of their own, so that nothing is sent twice. */
const ownParameters = ['grant_type', 'client_id', 'client_secret', 'scope', 'audience', 'resource']

const schema = z.strictObject({
  token_url: z
    .string()
    .superRefine((value, context) => {
      const wrong = urlProblem(value)
      if (wrong !== null) problem(context, wrong)
    })
    .describe('The token endpoint.'),
  client_id: z.string().min(1).describe('The id of the client at that server.'),
  client_secret: secret('Its secret.'),
  grant: z.literal('client_credentials').default('client_credentials').describe('The grant.'),
  auth: z
    .enum(['basic', 'body'])
    .default('basic')
    .describe('Where id and secret are sent: the Authorization header, or the body.'),
  scope: texts.optional().describe('The scope, or a list of them.'),
  audience: texts.optional().describe('For servers that want to know for whom the token is.'),
  resource: texts.optional().describe('The same by RFC 8707.'),
  params: z
    .record(
      z.string().superRefine((key, context) => {
        if (!ownParameters.includes(key)) return
        problem(context, {
          en: `Write "${key}" one level higher, where it has a key of its own`,
          zh: `"${key}" 有专用的配置项，请写在上一层`,
        })
      }),
      z.union([z.string(), z.number(), z.boolean()]).transform(String),
    )
    .prefault({})
    .describe('More parameters of the request.'),
  fallback_ttl: duration('Lifetime assumed when the answer tells none. Default: 5m', 1_000, 86_400_000 * 365).prefault(
    '5m',
  ),
})

type Settings = {
  readonly token_url: string
  readonly client_id: string
  readonly client_secret: Secret
  readonly auth: 'basic' | 'body'
  readonly scope?: string | string[] | undefined
  readonly audience?: string | string[] | undefined
  readonly resource?: string | string[] | undefined
  readonly params: Readonly<Record<string, string>>
  readonly fallback_ttl: number
}

export const provider: Provider<Settings> = {
  kind: 'oauth2',
  schema,
  needs: () => [],
  semantics: ({ fallback_ttl }): Semantics => ({
    reissue: 'independent',
    graceMs: 0,
    windowMs: 0,
    limits: {},
    fallbackTtlMs: fallback_ttl,
    inject: { header: 'authorization', prefix: 'Bearer ' },
    invalidTokenCodes: ['invalid_token'],
  }),
  identity: (settings) => `oauth2:${placeOf(settings.token_url)}/${settings.client_id}/${grantDigest(settings)}`,
  credential: () => null,
  issue: (settings, call) => {
    const { request, secrets } = requestOf(settings)
    return ask(request, call, (answer) => judge(answer, secrets, call))
  },
}

/** A token is good for what it was asked for, and for nothing else. */
function grantDigest({ scope, audience, resource, params }: Settings): string {
  const asked = [list(scope).toSorted(), list(audience), list(resource), Object.entries(params).toSorted()]
  return sha256(JSON.stringify(asked)).toString('hex').slice(0, 12)
}

function list(value: string | string[] | undefined): string[] {
  return value === undefined ? [] : [value].flat()
}

function requestOf(settings: Settings): { request: Ask; secrets: string[] } {
  const { token_url, client_id, auth, params } = settings
  const secretText = settings.client_secret.reveal()
  const form = new URLSearchParams({ grant_type: 'client_credentials' })
  const scope = list(settings.scope).join(' ')
  if (scope !== '') form.set('scope', scope)
  for (const audience of list(settings.audience)) form.append('audience', audience)
  for (const resource of list(settings.resource)) form.append('resource', resource)
  for (const [key, value] of Object.entries(params)) form.append(key, value)
  const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' }
  const basic = Buffer.from(`${formEncoded(client_id)}:${formEncoded(secretText)}`).toString('base64')
  if (auth === 'basic') {
    headers.authorization = `Basic ${basic}`
  } else {
    form.set('client_id', client_id)
    form.set('client_secret', secretText)
  }
  const request: Ask = { method: 'POST', url: token_url, headers, body: form.toString(), judgesServerErrors: true }
  return { request, secrets: [secretText, formEncoded(secretText), basic, ...Object.values(params)] }
}

/** RFC 6749 section 2.3.1: id and secret are form-urlencoded before they are joined for the header. */
function formEncoded(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2)
}

function judge({ status, body }: Answer, secrets: readonly string[], call: Call): Attempt {
  const { error, error_description, access_token, expires_in } = body
  // Only this word says for certain that a server with an error of its own has issued nothing.
  if (status >= 500 && error !== 'temporarily_unavailable') return brokenByStatus(status)
  if (error !== undefined && error !== null && error !== false && error !== '') {
    const byStatus = refusedByStatus(status)
    const now = call.env.clock.now()
    const otherwise = status >= 400 && byStatus.outcome === 'rejected' ? byStatus.class : 'transient'
    return refused({ errcode: error, errmsg: error_description, table: oauth2Errors, otherwise, secrets, now })
  }
  if (status >= 400) return judgeBadStatus(status, access_token !== undefined)
  return issued(access_token, '/access_token', lifetimeMsOf(expires_in), body)
}
