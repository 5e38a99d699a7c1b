/**
 * Tokens for OAuth 2.0 client libraries: the client is a source by its name, its secret an API key that may read it. The
 * token endpoint gives the source's token (RFC 6749 section 4.4); introspection (RFC 7662) tells a gateway whether a token
 * that a caller showed it is one of ours and still good; the metadata (RFC 8414) says where both are.
 */
import { z } from 'zod'
import type { Client } from '../../access/access.ts'
import { asZhongkongError } from '../../base/errors.ts'
import type { Source } from '../../model/source.ts'
import { json, type Answer } from '../answer.ts'
import { ownerOf } from '../platform.ts'
import { admit } from '../gate.ts'
import { claimOf, OauthRefusal, readForm, type Claim, type Form } from '../oauth-client.ts'
import { problemOf } from '../problem.ts'
import { publicOrigin } from '../public-origin.ts'
import { oauthErrorSchema, oauthMetadataSchema, oauthTokenSchema, introspectionSchema } from '../schemas.ts'
import type { House, Surface, SurfaceDoc, Visit } from '../surface.ts'
import { toldSeconds } from '../told-life.ts'
import { secondsOf } from '../token-answer.ts'

const tokenPath = '/oauth2/token'
const introspectionPath = '/oauth2/introspect'

async function token(visit: Visit): Promise<Answer> {
  return await inOauthWords(async () => {
    const form = await readForm(visit)
    const { id, client } = authenticate(visit, claimOf(visit.credentials.authorization, form))
    const grantType = form.get('grant_type')
    if (grantType === undefined) throw new OauthRefusal('invalid_request', 'grant_type is missing')
    if (grantType !== 'client_credentials') {
      throw new OauthRefusal('unsupported_grant_type', 'the only grant_type here is client_credentials')
    }
    const { keeper } = visit.house
    const { snapshot, leftMs } = await keeper.get(id, { signal: visit.request.signal }).catch(unavailable)
    // A source has one token, whatever scope is asked for; RFC 6749 wants to hear of it when it is another one.
    const scope = form.get('scope')
    return json(200, {
      access_token: snapshot.token,
      token_type: 'Bearer',
      expires_in: toldSeconds(visit.house, client, leftMs),
      ...(scope === undefined || scope === id ? {} : { scope: id }),
    })
  })
}

/** Who has proved to be allowed to read the source `id`. What is not there and what is not allowed look alike. */
function authenticate(visit: Visit, claim: Claim | null): { readonly id: string; readonly client: Client } {
  const { house, peer, credentials } = visit
  if (claim === null) throw new OauthRefusal('invalid_client', 'send the source as client id, an API key as its secret')
  const { id, secrets } = claim
  const client = secrets.length === 0 ? localClient(visit, id) : knownClient(house, secrets)
  if (client?.may('read', id) === true) return { id, client }
  if (client === null && secrets.length > 0) countGuess(house, peer.address)
  const isBearer = /^bearer /i.test(credentials.authorization ?? '')
  throw new OauthRefusal('invalid_client', isBearer ? 'the API key is not valid' : 'client id or secret is wrong')
}

function knownClient({ settings }: House, secrets: readonly string[]): Client | null {
  const { access } = settings()
  return secrets.map((secret) => access.identify(secret)).find((client) => client !== null) ?? null
}

/** As everywhere: while no clients are configured, programs on this machine need no key. */
function localClient({ house, credentials, peer }: Visit, name: string): Client | null {
  const admission = admit(house, 'read', name, { credentials: { ...credentials, authorization: null }, peer })
  return 'client' in admission ? admission.client : null
}

/** Slows guessing down; a right key is never turned away. */
function countGuess({ guesses }: House, address: string | null): void {
  if (guesses.isSpent(address)) {
    const seconds = guesses.retryAfterSeconds(address)
    throw new OauthRefusal('slow_down', 'too many wrong secrets came from this address', seconds)
  }
  guesses.count(address)
}

async function introspect(visit: Visit): Promise<Answer> {
  return await inOauthWords(async () => {
    const form = await readForm(visit)
    const asker = introspector(visit, form)
    const shown = form.get('token')
    if (shown === undefined) throw new OauthRefusal('invalid_request', 'token is missing')
    const owner = await readable(visit.house, shown, asker)
    if (owner === null) return json(200, { active: false })
    const { source, leftMs, issuedAt } = owner
    return json(200, {
      active: true,
      client_id: source.name,
      scope: source.name,
      token_type: 'Bearer',
      exp: Math.floor(visit.house.env.clock.now() / 1_000) + secondsOf(leftMs),
      ...(issuedAt === undefined ? {} : { iat: Math.floor(issuedAt / 1_000) }),
    })
  })
}

/** Any client may ask by its key as a Bearer token, or as a client of OAuth; it hears only of what it may read. */
function introspector(visit: Visit, form: Form): Client {
  const { house, credentials, peer } = visit
  const { authorization } = credentials
  if (authorization === null || !/^bearer /i.test(authorization)) {
    return authenticate(visit, claimOf(authorization, form)).client
  }
  const client = house.settings().access.authenticate(authorization)
  if (client !== null) return client
  countGuess(house, peer.address)
  throw new OauthRefusal('invalid_client', 'the API key is not valid')
}

type Owner = { readonly source: Source; readonly leftMs: number; readonly issuedAt: number | undefined }

async function readable(house: House, shown: string, asker: Client): Promise<Owner | null> {
  const found = await ownerOf(house, shown)
  if (found === undefined || found.leftMs <= 0 || !asker.may('read', found.source.name)) return null
  const { source, snapshot, leftMs } = found
  return { source, leftMs, issuedAt: snapshot?.token === shown ? snapshot.issuedAt : undefined }
}

function metadata(visit: Visit): Answer {
  const issuer = publicOrigin(visit)
  const methods = ['client_secret_basic', 'client_secret_post']
  return json(200, {
    issuer,
    token_endpoint: `${issuer}${tokenPath}`,
    token_endpoint_auth_methods_supported: methods,
    introspection_endpoint: `${issuer}${introspectionPath}`,
    introspection_endpoint_auth_methods_supported: methods,
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
  })
}

/** Errors in the shape of RFC 6749 section 5.2; what broke in us is thrown on, to be logged. */
async function inOauthWords(answer: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer()
  } catch (thrown) {
    if (thrown instanceof OauthRefusal) return refusal(thrown)
    throw thrown
  }
}

function refusal({ error, message, retryAfterSeconds }: OauthRefusal): Answer {
  const headers: string[] = []
  if (retryAfterSeconds !== undefined) headers.push('Retry-After', String(retryAfterSeconds))
  if (error === 'invalid_client') headers.push('WWW-Authenticate', 'Basic realm="zhongkong", charset="UTF-8"')
  return json(statusOf(error), { error, error_description: printable(message) }, headers)
}

function statusOf(error: OauthRefusal['error']): number {
  if (error === 'invalid_client') return 401
  if (error === 'slow_down') return 429
  return error === 'temporarily_unavailable' ? 503 : 400
}

/** There is no token now: in the same words as elsewhere, with the platform's own. */
function unavailable(thrown: unknown): never {
  const error = asZhongkongError(thrown)
  if (error.code === 'not_found') throw new OauthRefusal('invalid_client', 'client id or secret is wrong')
  const { status, detail, upstream } = problemOf(error, 'en')
  if (status !== 503) throw error
  const words = upstream === undefined ? detail : `${detail} (${upstream.errcode} ${upstream.errmsg})`
  throw new OauthRefusal('temporarily_unavailable', words, Math.max(1, Math.ceil(error.retryAfterSeconds ?? 5)))
}

/** RFC 6749 takes printable ASCII only, without quotes and backslashes. */
function printable(text: string): string {
  return text.replace(/["\\]/g, "'").replace(/[^ -~]/g, '?')
}

const formType = 'application/x-www-form-urlencoded'
const refused = (description: string): SurfaceDoc['answers'][number] => ({ description, schema: oauthErrorSchema })
const refusals = {
  400: refused('What is wrong'),
  401: refused('The client is not known'),
  429: refused('Too many wrong secrets came from this address'),
  503: refused('There is nothing to serve'),
}
const client = {
  client_id: z.string().optional().describe('The source; here, or in a Basic header.'),
  client_secret: z.string().optional().describe('An API key that may read it.'),
}

export const surfaces: readonly Surface[] = [
  {
    method: 'POST',
    path: tokenPath,
    scope: 'own',
    handler: token,
    doc: {
      group: 'oauth2',
      summary: 'OAuth 2.0: the token of the source that is the client id, with an API key as the client secret.',
      body: z.object({
        grant_type: z.literal('client_credentials'),
        scope: z.string().optional().describe('Not looked at.'),
        ...client,
      }),
      bodyType: formType,
      answers: { 200: { description: 'The token', schema: oauthTokenSchema }, ...refusals },
    },
  },
  {
    method: 'POST',
    path: introspectionPath,
    scope: 'own',
    handler: introspect,
    doc: {
      group: 'oauth2',
      summary: 'OAuth 2.0: whether a token is that of a source which the caller may read, current or lately replaced.',
      body: z.object({
        token: z.string(),
        token_type_hint: z.string().optional().describe('Not looked at.'),
        ...client,
      }),
      bodyType: formType,
      answers: { 200: { description: 'Active or not', schema: introspectionSchema }, ...refusals },
    },
  },
  {
    method: 'GET',
    path: '/.well-known/oauth-authorization-server',
    scope: 'public',
    handler: metadata,
    doc: {
      group: 'oauth2',
      summary: 'OAuth 2.0: where the token endpoint is, and what it takes.',
      answers: { 200: { description: 'The metadata', schema: oauthMetadataSchema } },
    },
  },
]
