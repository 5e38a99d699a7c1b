/** The token of an account that authorised a third-party platform, as two calls tell it. */
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import { issued, lifetimeMsOf } from './issued.ts'

/** What of an answer is kept and shown. Nothing in it tells what the account is like, and the refresh token is nobody's. */
export const authorizerFields = ['authorizer_access_token', 'expires_in'] as const

/** With the refresh token as its grant; without one, where the answer leaves it out or empty, the one of before lives on. */
export function issuedAuthorizer(body: JsonObject): Attempt {
  const { authorizer_access_token: token, expires_in: life, authorizer_refresh_token: refreshToken } = body
  const fields = Object.fromEntries(
    authorizerFields.flatMap((key) => (body[key] === undefined ? [] : [[key, body[key]]])),
  )
  const attempt = issued(token, '/authorizer_access_token', lifetimeMsOf(life), fields)
  const isUsable = typeof refreshToken === 'string' && /^[\x21-\x7e]{1,4096}$/.test(refreshToken)
  if (attempt.outcome !== 'issued' || !isUsable) return attempt
  return { ...attempt, issued: { ...attempt.issued, grant: { value: refreshToken, lifetimeMs: null } } }
}
