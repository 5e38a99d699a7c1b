/** How a person authorises an OAuth 2.0 source: by a code (RFC 6749 section 4.1), bound to who asked for it (RFC 7636). */
import { sha256 } from '../base/secret.ts'
import type { Attempt } from '../model/failure.ts'
import { ask } from './ask.ts'
import { judgeOauth2 } from './oauth2-answer.ts'
import { refusedCode } from './oauth2-errors.ts'
import { codeRequest } from './oauth2-request.ts'
import type { Oauth2Settings } from './oauth2-settings.ts'
import { rejected } from './outcome.ts'
import type { Authorization, Call, Journey, Link, Proof } from './provider.ts'

export const oauth2Authorization: Authorization<Oauth2Settings> = {
  isFor: ({ refreshing }) => refreshing !== null && refreshing.authorization !== null,
  codeParameter: 'code',
  link,
  redeem: async (settings, call, proof) => ({ attempt: await redeem(settings, call, proof) }),
}

async function link(settings: Oauth2Settings, call: Call, { redirectUri, state, verifier }: Journey): Promise<Link> {
  const { refreshing, clientId, scope, audience, resource } = settings
  if (refreshing?.authorization == null) throw new TypeError('nobody authorises this source')
  const found = await refreshing.authorization(call)
  if (typeof found !== 'string') return { refused: found }
  const url = new URL(found)
  const { searchParams: query } = url
  for (const [name, value] of Object.entries(refreshing.authorizationParams)) query.set(name, value)
  query.set('response_type', 'code')
  query.set('client_id', clientId)
  query.set('redirect_uri', redirectUri)
  if (scope.length > 0) query.set('scope', scope.join(' '))
  for (const each of audience) query.append('audience', each)
  for (const each of resource) query.append('resource', each)
  query.set('state', state)
  if (refreshing.pkce) {
    query.set('code_challenge', sha256(verifier).toString('base64url'))
    query.set('code_challenge_method', 'S256')
  }
  return { url: url.href }
}

async function redeem(settings: Oauth2Settings, call: Call, { code, journey }: Proof): Promise<Attempt> {
  if (journey === null) throw new TypeError('no message of a platform brings the code of an OAuth 2.0 server')
  const url = await settings.endpoint.find(call)
  if (typeof url !== 'string') return url
  const { env } = call
  const { request, secrets } = await codeRequest({ settings, url, env, grant: null }, code, journey)
  const errors = { invalid_grant: refusedCode }
  const attempt = await ask(request, call, (answer) =>
    judgeOauth2(answer, { dialect: {}, errors, secrets, now: env.clock.now(), bringsGrant: true }),
  )
  const isWhole = attempt.outcome !== 'issued' || attempt.issued.grant !== undefined
  return isWhole || settings.refreshing?.rotation === 'never' ? attempt : noRefreshToken
}

const noRefreshToken = rejected({
  class: 'configuration',
  code: 'refresh_token_missing',
  message: 'the server gave a token, and no refresh token with it',
})
