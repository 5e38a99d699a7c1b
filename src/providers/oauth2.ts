/** OAuth 2.0 (RFC 6749): client_credentials, or a signed assertion in its place (RFC 7523). */
import { sha256 } from '../base/secret.ts'
import type { Attempt } from '../model/failure.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { judgeOauth2, type Dialect } from './oauth2-answer.ts'
import { grants, oauth2Request } from './oauth2-request.ts'
import { oauth2Place, oauth2Schema, type Oauth2Settings } from './oauth2-settings.ts'
import type { Call, Provider } from './provider.ts'

export const oauth2Semantics: Semantics = {
  reissue: 'independent',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { header: 'authorization', prefix: 'Bearer ' },
  invalidTokenCodes: ['invalid_token'],
}

export const provider: Provider<Oauth2Settings> = {
  kind: 'oauth2',
  schema: oauth2Schema,
  needs: () => [],
  semantics: ({ fallbackTtlMs }) => ({ ...oauth2Semantics, fallbackTtlMs }),
  identity: (settings) => `oauth2:${oauth2Place(settings)}/${accountOf(settings)}/${oauth2Digest(settings)}`,
  credential: () => null,
  issue: (settings, call) => issueByOauth2(settings, call),
}

/** Asks a token endpoint once; `dialect` is what this server says otherwise than all the others. */
export async function issueByOauth2(settings: Oauth2Settings, call: Call, dialect: Dialect = {}): Promise<Attempt> {
  const url = await settings.endpoint.find(call)
  if (typeof url !== 'string') return url
  const { env } = call
  const { request, secrets } = await oauth2Request({ settings, url, env })
  const { errors } = grants[settings.grant]
  return await ask(request, call, (answer) => judgeOauth2(answer, { dialect, errors, secrets, now: env.clock.now() }))
}

function accountOf({ clientId, signer }: Oauth2Settings): string {
  return clientId === '' ? (signer?.issuer ?? '') : clientId
}

/** A token is good for what it was asked for, and for nothing else; how the client proved itself is not part of it. */
export function oauth2Digest(settings: Oauth2Settings): string {
  const { grant, signer, scope, audience, resource, params } = settings
  const asked: unknown[] = [scope.toSorted(), audience, resource, Object.entries(params).toSorted()]
  // In whose name is asked by assertion. Tokens that were stored by client_credentials keep their identity.
  if (grant !== 'client_credentials') asked.push(grant, signer?.issuer, signer?.subject, signer?.claims)
  return sha256(JSON.stringify(asked)).toString('hex').slice(0, 12)
}
