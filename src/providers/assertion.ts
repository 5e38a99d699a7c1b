/** Signed assertions (JWT, RFC 7519) by which a client proves itself or asks in somebody's name (RFC 7523). */
import { SignJWT } from 'jose'
import type { Env } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import type { SigningKey } from './signing-key.ts'

export type Assertion = {
  readonly key: SigningKey
  readonly algorithm: string
  /** `kid`, and whatever else a server wants in the header. */
  readonly header: Readonly<Record<string, string>>
  readonly issuer: string
  readonly subject?: string | undefined
  readonly audience?: string | undefined
  readonly claims: JsonObject
  readonly lifetimeMs: number
  /** `iat` lies so far in the past, for servers whose clock may be behind ours. Default 0. */
  readonly backdatedMs?: number
}

/**
 * The assertion as it is sent, valid from now on. Each has a `jti` of its own: servers that remember them refuse one that
 * comes twice. What `claims` say stands; nothing of ours goes over it.
 */
export async function signed(assertion: Assertion, env: Env): Promise<string> {
  const { key, algorithm, header, issuer, subject, audience, claims, lifetimeMs, backdatedMs = 0 } = assertion
  const issuedAt = Math.floor((env.clock.now() - backdatedMs) / 1_000)
  const payload = {
    iss: issuer,
    ...(subject === undefined ? {} : { sub: subject }),
    ...(audience === undefined ? {} : { aud: audience }),
    iat: issuedAt,
    exp: issuedAt + Math.floor(lifetimeMs / 1_000),
    jti: Buffer.from(env.random.bytes(16)).toString('base64url'),
    ...claims,
  }
  return await new SignJWT(payload).setProtectedHeader({ alg: algorithm, typ: 'JWT', ...header }).sign(key.reveal())
}
