/**
 * An OAuth 2.0 authorisation server with the client_credentials grant (RFC 6749 section 4.4), signed assertions (RFC 7523),
 * codes and refresh tokens (sections 4.1 and 6), its metadata (RFC 8414), and a resource behind it that checks the bearer
 * token (RFC 6750). Tokens live side by side unless the knobs say otherwise.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import { issuerOf, SeenOnce } from './jwt.ts'
import { tokenLengths } from './knobs.ts'
import { assertionGrant, assertionProof, judgeAssertion, type Court } from './oauth2-assertion.ts'
import { authorise, redeem, refresh, type Refused } from './oauth2-person.ts'
import type { Used } from './refresh-book.ts'
import type { Answer, Call, CallKind, Given, Upstream, Visit } from './upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'oauth2'>>

const headers = { 'content-type': 'application/json;charset=UTF-8', 'cache-control': 'no-store', pragma: 'no-cache' }

const token: ChannelPlan = {
  name: 'token',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'independent', ...tokenLengths(knobs) }),
  prefix: '',
  length: 64,
}

/** What can be rotated or looked at by name. */
export const oauth2Plans: readonly ChannelPlan[] = [token]

export function createOauth2(world: World): Upstream {
  const seen = new SeenOnce()
  return {
    receive: (visit) => {
      if (visit.path === '/oauth2/authorize') return authorizeCall(world, visit)
      if (visit.path === '/oauth2/token') return tokenCall({ world, origin: visit.origin, seen }, visit)
      return visit.path.startsWith('/.well-known/') ? metadataCall(visit) : resourceCall(world, visit)
    },
  }
}

/** Both documents say the same; anything else under `.well-known` is not there. */
function metadataCall({ path, origin }: Visit): Call {
  return callOf('api', null, () => {
    const isThere = path === '/.well-known/openid-configuration' || path === '/.well-known/oauth-authorization-server'
    if (!isThere) return refuse('not_found', { status: 404 })
    const body: JsonObject = {
      issuer: origin,
      authorization_endpoint: `${origin}/oauth2/authorize`,
      token_endpoint: `${origin}/oauth2/token`,
      grant_types_supported: ['client_credentials', 'authorization_code', 'refresh_token', assertionGrant],
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    }
    return { status: 200, headers, body, given: null, refusal: null }
  })
}

type Refusal = { readonly status: number; readonly description?: string; readonly challenge?: string }

function refuse(code: string | number, refusal: Refusal): Answer {
  const { status, description, challenge } = refusal
  const body: JsonObject = { error: code, ...(description === undefined ? {} : { error_description: description }) }
  const more = challenge === undefined ? {} : { 'www-authenticate': challenge }
  return { status, headers: { ...headers, ...more }, body, given: null, refusal: code }
}

function callOf(kind: CallKind, account: string | null, answer: () => Answer): Call {
  const refuseWith = (code: string | number, description?: string): Answer => {
    const isOurs = code === 'server_error' || code === 'temporarily_unavailable'
    return refuse(code, { status: isOurs ? 503 : 400, ...(description === undefined ? {} : { description }) })
  }
  return { account, kind, forced: false, answer, refuse: refuseWith }
}

type Credentials = { readonly id: string; readonly secret: string }
type Client = {
  readonly basic: Credentials | 'malformed' | null
  readonly id: string | null
  readonly secret: string | null
  /** Signed, as proof. */
  readonly assertion: string | null
}

async function tokenCall(court: Court, visit: Visit): Promise<Call> {
  const { world } = court
  const type = visit.headers.get('content-type') ?? ''
  const isForm = type.toLowerCase().startsWith('application/x-www-form-urlencoded')
  const form = new URLSearchParams(visit.method === 'POST' && isForm ? await visit.text() : '')
  const client: Client = {
    basic: basicCredentials(visit.headers.get('authorization')),
    id: form.get('client_id'),
    secret: form.get('client_secret'),
    assertion: form.get('client_assertion_type') === assertionProof ? form.get('client_assertion') : null,
  }
  const byHeader = client.basic === null || client.basic === 'malformed' ? null : client.basic.id
  const id = byHeader ?? client.id ?? issuerOf(client.assertion ?? form.get('assertion') ?? '')
  return callOf('token', world.find('oauth2', id)?.account.id ?? null, () => {
    if (visit.method !== 'POST') return refuse('invalid_request', { status: 405, description: 'use POST' })
    if (!isForm) {
      return refuse('invalid_request', {
        status: 400,
        description: 'the body must be application/x-www-form-urlencoded',
      })
    }
    for (const name of new Set(form.keys())) {
      if (form.getAll(name).length > 1) {
        return refuse('invalid_request', { status: 400, description: `${name} is given more than once` })
      }
    }
    // Whoever signs the assertion need not prove himself as a client as well.
    const isItself = client.id === null || client.id === issuerOf(form.get('assertion') ?? '')
    if (form.get('grant_type') === assertionGrant && isUnproven(client) && isItself)
      return grantByAssertion(court, form)
    const state = authenticate(court, client)
    if ('status' in state) return state
    return form.get('grant_type') === assertionGrant ? grantByAssertion(court, form) : grant(world, state, form)
  })
}

function isUnproven({ basic, secret, assertion }: Client): boolean {
  return basic === null && secret === null && assertion === null
}

function grantByAssertion(court: Court, form: URLSearchParams): Answer {
  const asserted = judgeAssertion(form.get('assertion') ?? '', court)
  if (typeof asserted === 'string') return refuse('invalid_grant', { status: 400, description: asserted })
  return issueTo(court.world, asserted, form.get('scope'))
}

/** The client, or the refusal: 401 with a challenge for those who came with an Authorization header, 400 for others. */
function authenticate(court: Court, client: Client): State | Answer {
  const { world } = court
  const isByHeader = client.basic !== null
  const fail = (): Answer =>
    refuse('invalid_client', {
      status: isByHeader ? 401 : 400,
      description: 'client authentication failed',
      ...(isByHeader ? { challenge: 'Basic realm="simulator"' } : {}),
    })
  if (client.basic === 'malformed') return fail()
  if ([client.basic, client.secret, client.assertion].filter((proof) => proof !== null).length > 1) {
    return refuse('invalid_request', { status: 400, description: 'more than one method of client authentication' })
  }
  if (client.assertion !== null) {
    const judged = judgeAssertion(client.assertion, court)
    return typeof judged === 'string' || (client.id !== null && client.id !== judged.account.id) ? fail() : judged
  }
  const { id, secret } = client.basic ?? client
  const state = world.find('oauth2', id)
  if (state === null) return fail()
  const { secret: right, public_key } = state.account
  const isPublic = right === undefined && public_key === undefined
  return isPublic ? (secret === null ? state : fail()) : right !== undefined && right === secret ? state : fail()
}

function grant(world: World, state: State, form: URLSearchParams): Answer {
  const type = form.get('grant_type')
  if (type === null || type === '')
    return refuse('invalid_request', { status: 400, description: 'grant_type is missing' })
  if (type === 'authorization_code') return issueGranted(world, state, redeem(world, state, form))
  if (type === 'refresh_token') return issueGranted(world, state, refresh(world, state, form))
  if (type !== 'client_credentials') return refuse('unsupported_grant_type', { status: 400 })
  return issueTo(world, state, form.get('scope'))
}

/** The page of the server: everybody who comes by consents at once, or declines, as the knobs say. */
function authorizeCall(world: World, visit: Visit): Call {
  const account = world.find('oauth2', visit.query.get('client_id'))?.account.id ?? null
  return callOf('api', account, () => {
    if (visit.method !== 'GET') return refuse('invalid_request', { status: 405, description: 'use GET' })
    const told = authorise(world, visit.query)
    if ('error' in told) return refuse(told.error, { status: 400, description: told.description })
    return { status: 302, headers: { ...headers, location: told.location }, body: {}, given: null, refusal: null }
  })
}

/** A token for what a person granted, and the refresh token to use from now on. */
function issueGranted(world: World, state: State, used: Used | Refused): Answer {
  if ('error' in used) return refuse(used.error, { status: 400, description: used.description })
  const answer = issueTo(world, state, used.scope)
  if (answer.given !== null) used.remember(answer.given.issue)
  return used.next === null ? answer : { ...answer, body: { ...answer.body, refresh_token: used.next } }
}

function issueTo(world: World, state: State, scope: string | null): Answer {
  const { scopes } = state.account
  if (scope !== null && scopes !== undefined && !scope.split(' ').every((one) => scopes.includes(one))) {
    return refuse('invalid_scope', { status: 400 })
  }
  const now = world.clock.now()
  const asked = world.channel(state, token).ask(now)
  const given: Given = { ...asked, tokenAt: ['access_token'], lifetimeAt: ['expires_in'] }
  const body = {
    access_token: asked.issue.value,
    token_type: 'Bearer',
    expires_in: secondsLeft(asked.issue.expiresAt, now),
    ...(scope === null ? {} : { scope }),
  }
  return { status: 200, headers, body, given, refusal: null }
}

/** Basic credentials, each part form-urldecoded as section 2.3.1 wants it; null without such a header. */
function basicCredentials(header: string | null): Credentials | 'malformed' | null {
  if (header === null) return null
  const match = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header)
  if (match === null) return 'malformed'
  const [first, ...rest] = Buffer.from(match[1] ?? '', 'base64')
    .toString('utf8')
    .split(':')
  if (first === undefined || rest.length === 0) return 'malformed'
  try {
    return { id: formDecoded(first), secret: formDecoded(rest.join(':')) }
  } catch {
    return 'malformed' // A percent sign that begins no escape.
  }
}

function formDecoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/** The token of an `Authorization: Bearer` header; null when there is none. */
export function bearerToken(visit: Visit): string | null {
  return /^bearer +(\S+)$/i.exec(visit.headers.get('authorization') ?? '')?.[1] ?? null
}

/** `/oauth2/resource` and everything below it. */
function resourceCall(world: World, visit: Visit): Call {
  const value = bearerToken(visit)
  const owner = value === null ? null : world.find('oauth2', world.book.get(value)?.channel.account ?? null)
  return callOf('api', owner?.account.id ?? null, () => {
    // RFC 6750 section 3.1: who shows no token is told no error code.
    if (value === null) {
      const challenge = { 'www-authenticate': 'Bearer realm="simulator"' }
      return { status: 401, headers: { ...headers, ...challenge }, body: {}, given: null, refusal: 'token_missing' }
    }
    const judged = world.judge(value)
    const isGood = judged?.verdict === 'alive' && world.find('oauth2', judged.issue.channel.account) !== null
    if (isGood) return { status: 200, headers, body: { ok: true }, given: null, refusal: null }
    const challenge =
      'Bearer realm="simulator", error="invalid_token", error_description="the access token is not valid"'
    return refuse('invalid_token', { status: 401, challenge })
  })
}
