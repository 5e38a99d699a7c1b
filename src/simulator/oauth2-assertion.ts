/** Assertions at the OAuth 2.0 server (RFC 7523): as proof of a client, and as a grant. */
import type { AccountOf } from './account.ts'
import { decodeJwt, issuerOf, jwtFault, type SeenOnce } from './jwt.ts'
import type { AccountState, World } from './world.ts'

type State = AccountState<AccountOf<'oauth2'>>

export type Court = {
  readonly world: World
  /** Scheme and host at which this server was called: issuer, and the beginning of its token endpoint. */
  readonly origin: string
  readonly seen: SeenOnce
}

export const assertionGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
export const assertionProof = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
/** The longest life of an assertion, in seconds. */
const lifeSecondsMax = 3_600

/** The client whose key signed, for this server and for the first time; or what is wrong with it. */
export function judgeAssertion(text: string, { world, origin, seen }: Court): State | string {
  const jwt = decodeJwt(text)
  if (jwt === null) return 'the assertion is no JWT'
  const state = world.find('oauth2', issuerOf(text))
  const publicKey = state?.account.public_key
  if (state === null || publicKey === undefined) return 'nobody asserts under this name'
  const now = world.clock.now()
  const audiences = [origin, `${origin}/oauth2/token`]
  const fault = jwtFault(jwt, { publicKey, algorithms, audiences, now, lifeSecondsMax })
  if (fault !== null) return `the assertion has a bad ${fault}`
  return seen.take(jwt, now) ? state : 'the assertion was used before'
}
