/**
 * Signed assertions (JWT) as upstreams check them: the signature by the account's public key, who says what to whom, and
 * when. Written by hand over node:crypto, so that it shares nothing with those who sign.
 */
import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto'
import { isJsonObject, type JsonObject } from '../base/json.ts'

export type Jwt = {
  readonly header: JsonObject
  readonly claims: JsonObject
  readonly signedText: string
  readonly signature: Buffer
}

export type Wanted = {
  readonly publicKey: string
  readonly algorithms: readonly string[]
  /** Absent: no audience is looked for. */
  readonly audiences?: readonly string[]
  readonly now: number
  /** The longest time between now and `exp`, in seconds. */
  readonly lifeSecondsMax: number
  /** How far our clock and theirs may be apart, in seconds. Default 0. */
  readonly slackSeconds?: number
}

/** Null: this is no JWT. Nothing is verified yet. */
export function decodeJwt(text: string): Jwt | null {
  const parts = text.split('.')
  const [head, body, signature] = parts
  if (head === undefined || body === undefined || signature === undefined || parts.length !== 3) return null
  const [header, claims] = [jsonOf(head), jsonOf(body)]
  if (header === null || claims === null) return null
  return { header, claims, signedText: `${head}.${body}`, signature: Buffer.from(signature, 'base64url') }
}

/** What is wrong with it, in words; null when nothing is. */
export function jwtFault(jwt: Jwt, wanted: Wanted): 'signature' | 'audience' | 'time' | null {
  const { header, claims } = jwt
  if (typeof header.alg !== 'string' || !wanted.algorithms.includes(header.alg)) return 'signature'
  if (!isSigned(jwt, header.alg, createPublicKey(wanted.publicKey))) return 'signature'
  const { aud, iat, exp } = claims
  if (wanted.audiences !== undefined && (typeof aud !== 'string' || !wanted.audiences.includes(aud))) return 'audience'
  const nowSeconds = Math.floor(wanted.now / 1_000)
  const slack = wanted.slackSeconds ?? 0
  if (typeof exp !== 'number' || typeof iat !== 'number' || !Number.isInteger(exp) || !Number.isInteger(iat))
    return 'time'
  if (exp <= nowSeconds - slack || iat > nowSeconds + slack) return 'time'
  return exp - nowSeconds > wanted.lifeSecondsMax + slack ? 'time' : null
}

/** Who says that he asserts, as it is written; empty when nobody does. Nothing is verified. */
export function issuerOf(text: string): string {
  const issuer = decodeJwt(text)?.claims.iss
  return typeof issuer === 'string' || typeof issuer === 'number' ? String(issuer) : ''
}

/** Remembers the ids of assertions until they end, because each may be used once. */
export class SeenOnce {
  readonly #ends = new Map<string, number>()

  /** False when it came before, or has no id. */
  take({ claims }: Jwt, now: number): boolean {
    for (const [id, end] of this.#ends) if (end <= now) this.#ends.delete(id)
    const { iss, jti, exp } = claims
    if (typeof jti !== 'string' || jti === '') return false
    const id = JSON.stringify([iss, jti])
    if (this.#ends.has(id)) return false
    this.#ends.set(id, Number(exp) * 1_000)
    return true
  }
}

function isSigned({ signedText, signature }: Jwt, algorithm: string, key: KeyObject): boolean {
  const bytes = Buffer.from(signedText, 'ascii')
  const kind = algorithm.slice(0, 2)
  if (algorithm === 'EdDSA') return key.asymmetricKeyType === 'ed25519' && verify(null, bytes, key, signature)
  const hash = `sha${algorithm.slice(2)}`
  if (kind === 'ES') {
    return key.asymmetricKeyType === 'ec' && verify(hash, bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
  }
  if (key.asymmetricKeyType !== 'rsa') return false
  const padding = kind === 'PS' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST
  return verify(hash, bytes, kind === 'PS' ? { key, padding, saltLength } : { key, padding }, signature)
}

function jsonOf(part: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return isJsonObject(value) ? value : null
  } catch {
    return null
  }
}
