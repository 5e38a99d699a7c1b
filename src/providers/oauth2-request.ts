/** From the settings of an OAuth 2.0 source to a request: the grant's own parameters, and how the client proves itself. */
import type { Env } from '../base/env.ts'
import type { Ask } from './ask.ts'
import { signed } from './assertion.ts'
import type { ErrorTable } from './error-table.ts'
import { refusedAssertion, refusedRefreshToken } from './oauth2-errors.ts'
import type { ClientAuth, GrantName, Oauth2Settings } from './oauth2-settings.ts'
import type { Journey } from './provider.ts'

/** What one request is made of: `url` is the token endpoint. */
type Making = {
  readonly settings: Oauth2Settings
  readonly url: string
  readonly env: Env
  /** The refresh token to ask with; null where none is. */
  readonly grant: string | null
}

/** Parameters of the form, headers, and what of them must not be told should the server repeat it. */
type Sent = {
  readonly form?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
}

export type Grant = {
  /** What it sends beside the parameters that every grant has. */
  readonly parameters: (making: Making) => Sent | Promise<Sent>
  /** Words that mean something else with this grant. */
  readonly errors: ErrorTable
  /** The scope was said when the person was asked, and is not said again: the server may have granted less. */
  readonly leavesOutScope?: true
}

/** The grants, one line each. */
export const grants: Readonly<Record<GrantName, Grant>> = {
  client_credentials: { parameters: () => ({ form: { grant_type: 'client_credentials' } }), errors: {} },
  jwt_bearer: { parameters: jwtBearer, errors: { invalid_grant: refusedAssertion } },
  account_credentials: { parameters: () => ({ form: { grant_type: 'account_credentials' } }), errors: {} },
  refresh_token: { parameters: refreshToken, errors: { invalid_grant: refusedRefreshToken } },
  authorization_code: {
    parameters: refreshToken,
    errors: { invalid_grant: refusedRefreshToken },
    leavesOutScope: true,
  },
}

/** Client authentication (RFC 6749 section 2.3, RFC 7523 section 2.2), one line each. */
const proofs: Readonly<Record<ClientAuth, (making: Making) => Sent | Promise<Sent>>> = {
  basic,
  body: ({ settings }) => {
    const secretText = settings.clientSecret?.reveal() ?? ''
    return { form: { client_id: settings.clientId, client_secret: secretText }, secrets: [secretText] }
  },
  private_key_jwt: privateKeyJwt,
  none: ({ settings: { clientId } }) => (clientId === '' ? {} : { form: { client_id: clientId } }),
}

type Made = { readonly request: Ask; readonly secrets: readonly string[] }

export async function oauth2Request(making: Making): Promise<Made> {
  const { parameters, leavesOutScope } = grants[making.settings.grant]
  return await requestOf(making, await parameters(making), leavesOutScope !== true)
}

/** The exchange of a code that a person brought back (RFC 6749 section 4.1.3, RFC 7636). */
export async function codeRequest(making: Making, code: string, { redirectUri, verifier }: Journey): Promise<Made> {
  const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri }
  const isProven = making.settings.refreshing?.pkce === true
  const sent = { form: isProven ? { ...form, code_verifier: verifier } : form, secrets: [code, verifier] }
  return await requestOf(making, sent, false)
}

async function requestOf(making: Making, granted: Sent, tellsScope: boolean): Promise<Made> {
  const { settings, url } = making
  const proven = await proofs[settings.auth](making)
  const form = new URLSearchParams(granted.form)
  if (tellsScope && settings.scope.length > 0) form.set('scope', settings.scope.join(' '))
  for (const audience of settings.audience) form.append('audience', audience)
  for (const resource of settings.resource) form.append('resource', resource)
  for (const [key, value] of Object.entries(settings.params)) form.append(key, value)
  for (const [key, value] of Object.entries(proven.form ?? {})) form.set(key, value)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...proven.headers }
  const secrets = [...(granted.secrets ?? []), ...(proven.secrets ?? []), ...Object.values(settings.params)]
  return { request: { method: 'POST', url, headers, body: form.toString(), judgesServerErrors: true }, secrets }
}

function refreshToken({ grant }: Making): Sent {
  if (grant === null) throw new TypeError('a refresh was let through without a refresh token')
  return { form: { grant_type: 'refresh_token', refresh_token: grant }, secrets: [grant] }
}

function basic({ settings: { clientId, clientSecret } }: Making): Sent {
  const secretText = clientSecret?.reveal() ?? ''
  const basicText = Buffer.from(`${formEncoded(clientId)}:${formEncoded(secretText)}`).toString('base64')
  return {
    headers: { authorization: `Basic ${basicText}` },
    secrets: [secretText, formEncoded(secretText), basicText],
  }
}

/** RFC 6749 section 2.3.1: id and secret are form-urlencoded before they are joined for the header. */
function formEncoded(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2)
}

async function jwtBearer(making: Making): Promise<Sent> {
  const assertion = await assertionOf(making, making.settings.signer?.subject)
  const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }
  return { form, secrets: [assertion] }
}

async function privateKeyJwt(making: Making): Promise<Sent> {
  const { clientId } = making.settings
  const assertion = await assertionOf(making, clientId)
  const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
  return {
    form: { client_id: clientId, client_assertion_type: type, client_assertion: assertion },
    secrets: [assertion],
  }
}

async function assertionOf({ settings, url, env }: Making, subject: string | undefined): Promise<string> {
  const { signer, clientId } = settings
  if (signer === null) throw new TypeError('a grant or a proof by assertion was let through without a key')
  const { issuer = clientId, audience = url } = signer
  return await signed({ ...signer, issuer, subject, audience }, env)
}
