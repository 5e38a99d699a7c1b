/** From the settings of an OAuth 2.0 source to a request: the grant's own parameters, and how the client proves itself. */
import type { Env } from '../base/env.ts'
import type { Ask } from './ask.ts'
import { signed } from './assertion.ts'
import type { ErrorTable } from './error-table.ts'
import { refusedAssertion } from './oauth2-errors.ts'
import type { ClientAuth, GrantName, Oauth2Settings } from './oauth2-settings.ts'

/** What one request is made of: `url` is the token endpoint. */
type Making = { readonly settings: Oauth2Settings; readonly url: string; readonly env: Env }

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
}

/** The grants, one line each. */
export const grants: Readonly<Record<GrantName, Grant>> = {
  client_credentials: { parameters: () => ({ form: { grant_type: 'client_credentials' } }), errors: {} },
  jwt_bearer: { parameters: jwtBearer, errors: { invalid_grant: refusedAssertion } },
  account_credentials: { parameters: () => ({ form: { grant_type: 'account_credentials' } }), errors: {} },
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

export async function oauth2Request(making: Making): Promise<{ request: Ask; secrets: readonly string[] }> {
  const { settings, url } = making
  const granted = await grants[settings.grant].parameters(making)
  const proven = await proofs[settings.auth](making)
  const form = new URLSearchParams(granted.form)
  if (settings.scope.length > 0) form.set('scope', settings.scope.join(' '))
  for (const audience of settings.audience) form.append('audience', audience)
  for (const resource of settings.resource) form.append('resource', resource)
  for (const [key, value] of Object.entries(settings.params)) form.append(key, value)
  for (const [key, value] of Object.entries(proven.form ?? {})) form.set(key, value)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...proven.headers }
  const secrets = [...(granted.secrets ?? []), ...(proven.secrets ?? []), ...Object.values(settings.params)]
  return { request: { method: 'POST', url, headers, body: form.toString(), judgesServerErrors: true }, secrets }
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
