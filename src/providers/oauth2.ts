/**
 * OAuth 2.0 (RFC 6749): client_credentials, a signed assertion in its place (RFC 7523), or the refresh token that somebody
 * was granted, with the way to get one (oauth2-person.ts).
 */
import { sha256 } from '../base/secret.ts'
import type { Attempt } from '../model/failure.ts'
import type { Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { judgeOauth2, type Dialect } from './oauth2-answer.ts'
import { oauth2Authorization } from './oauth2-person.ts'
import { grants, oauth2Request } from './oauth2-request.ts'
import { oauth2Place, oauth2Schema, type Oauth2Settings } from './oauth2-settings.ts'
import { failureHints } from './outcome.ts'
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
  semantics: ({ fallbackTtlMs, refreshing }) => ({
    ...oauth2Semantics,
    fallbackTtlMs,
    ...(refreshing === null
      ? {}
      : { grant: { rotates: refreshing.rotation, graceMs: refreshing.graceMs, missing: needsAuthorization } }),
  }),
  identity: (settings) => `oauth2:${oauth2Place(settings)}/${accountOf(settings)}/${oauth2Digest(settings)}`,
  credential: () => null,
  seed: ({ refreshing }) => refreshing?.seed ?? null,
  issue: (settings, call) => issueByOauth2(settings, call),
  authorization: oauth2Authorization,
}

const needsAuthorization = {
  code: 'needs_authorization',
  message: 'nobody has authorised this source yet, or the authorisation has ended',
  hint: failureHints.needs_authorization,
}

/** Asks a token endpoint once; `dialect` is what this server says otherwise than all the others. */
export async function issueByOauth2(settings: Oauth2Settings, call: Call, dialect: Dialect = {}): Promise<Attempt> {
  const url = await settings.endpoint.find(call)
  if (typeof url !== 'string') return url
  const { env, grant = null } = call
  const { request, secrets } = await oauth2Request({ settings, url, env, grant })
  const { errors } = grants[settings.grant]
  const bringsGrant = settings.refreshing !== null
  return await ask(request, call, (answer) =>
    judgeOauth2(answer, { dialect, errors, secrets, now: env.clock.now(), bringsGrant }),
  )
}

function accountOf({ clientId, signer }: Oauth2Settings): string {
  return clientId === '' ? (signer?.issuer ?? '') : clientId
}

/** A token is good for what it was asked for, and for nothing else; how the client proved itself is not part of it. */
export function oauth2Digest(settings: Oauth2Settings): string {
  const { grant, refreshing, signer, scope, audience, resource, params } = settings
  const asked: unknown[] = [scope.toSorted(), audience, resource, Object.entries(params).toSorted()]
  // What a person granted is the same by whichever way the first refresh token came.
  if (refreshing !== null) asked.push('person')
  // In whose name is asked by assertion. Tokens that were stored by client_credentials keep their identity.
  else if (grant !== 'client_credentials') asked.push(grant, signer?.issuer, signer?.subject, signer?.claims)
  return sha256(JSON.stringify(asked)).toString('hex').slice(0, 12)
}
