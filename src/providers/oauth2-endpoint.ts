/**
 * Where the endpoints are: written out, or found by the issuer's metadata (OpenID Connect Discovery, RFC 8414).
 *
 * Secrets go where the metadata say, so they are believed only when they name the very issuer that was asked, over TLS.
 * They are kept in memory for an hour, and longer when the issuer cannot be asked again: an endpoint rarely moves.
 */
import type { JsonObject } from '../base/json.ts'
import { scrub } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import type { Attempt, Failed } from '../model/failure.ts'
import { ask } from './ask.ts'
import { notSent, rejected } from './outcome.ts'
import type { Call } from './provider.ts'
import { urlProblem } from './setting.ts'

/** The address of an endpoint, or how the attempt ends without it. */
export type Find = (call: Call) => string | Promise<string | Failed>

export type TokenEndpoint = {
  /** The address that was written: of the endpoint, or of the issuer. */
  readonly name: string
  readonly find: Find
  /** Where people are sent (`authorization_endpoint`); absent where only the token endpoint is known. */
  readonly findAuthorization?: Find
}

const keptMs = 3_600_000

export function fixed(url: string): TokenEndpoint {
  return { name: url, find: () => url }
}

export function discovered(issuer: string): TokenEndpoint {
  const memory = new Discovery(issuer)
  return {
    name: issuer,
    find: (call) => memory.find(call, ({ token }) => token),
    findAuthorization: (call) =>
      memory.find(call, ({ authorization }) => authorization ?? unfit('they name no authorization endpoint')),
  }
}

/** What is wrong with the address of an issuer, or null. */
export function issuerProblem(text: string): Text | null {
  const wrong = urlProblem(text)
  if (wrong !== null) return wrong
  if (text.includes('?')) return { en: 'It must not hold a query (?…)', zh: '不能包含查询参数（?…）' }
  if (new URL(text).protocol === 'https:' || isLoopback(text)) return null
  return {
    en: 'An issuer must be asked over https, as secrets go where its answer says',
    zh: '密钥会发往 issuer 应答中的地址，因此必须使用 https',
  }
}

function isLoopback(text: string): boolean {
  const { hostname } = new URL(text)
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

type Endpoints = { readonly token: string; readonly authorization: string | null }

class Discovery {
  readonly #issuer: string
  #found: { readonly endpoints: Endpoints; readonly at: number } | null = null
  constructor(issuer: string) {
    this.#issuer = issuer
  }

  async find(call: Call, pick: (endpoints: Endpoints) => string | Failed): Promise<string | Failed> {
    const known = this.#found
    const now = call.env.clock.monotonic()
    if (known !== null && now - known.at < keptMs) return pick(known.endpoints)
    const found = await discover(this.#issuer, call)
    if ('token' in found) this.#found = { endpoints: found, at: now }
    // An issuer that says something else now is obeyed; one that says nothing has not moved its endpoint by that.
    else if (known !== null && found.outcome === 'not-sent') return pick(known.endpoints)
    return 'token' in found ? pick(found) : found
  }
}

/** OpenID Connect puts the well-known path behind the issuer's, RFC 8414 before it. */
function addressesOf(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/+$/, '')
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ]
}

async function discover(issuer: string, call: Call): Promise<Endpoints | Failed> {
  let last = 'nothing was asked'
  for (const url of addressesOf(issuer)) {
    const answer = await ask({ method: 'GET', url }, call, ({ status, body }) => read(issuer, status, body))
    if (answer.outcome === 'issued') {
      const { authorization } = answer.issued.fields
      return { token: answer.issued.value, authorization: typeof authorization === 'string' ? authorization : null }
    }
    if (answer.outcome === 'rejected' && answer.failure.code === 'discovery_failed') return answer
    last = answer.failure.message
    // Where nobody could be reached, the second address is not reached either.
    if (answer.outcome === 'not-sent' || call.signal.aborted) break
  }
  // The request that counts never left, whatever became of this one.
  return notSent('discovery_failed', `the metadata of the issuer were not to be had: ${last}`)
}

/** The endpoint in the place of a token, so that every way in which an answer can be bad is judged in one place. */
function read(issuer: string, status: number, body: JsonObject): Attempt {
  if (status >= 400) return notSent('discovery_failed', `HTTP ${status}`)
  if (body.issuer !== issuer) return unfit(`they are those of ${told(body.issuer)}`)
  const { token_endpoint: endpoint, authorization_endpoint: authorization } = body
  if (!isEndpoint(endpoint)) return unfit('they name no token endpoint')
  const isSecure = (url: string): boolean => new URL(url).protocol === 'https:' || new URL(issuer).protocol === 'http:'
  if (!isSecure(endpoint)) return unfit('they name a token endpoint without TLS')
  // Whoever has no person to send needs no place to send them to.
  const fields = isEndpoint(authorization) && isSecure(authorization) ? { authorization } : {}
  return { outcome: 'issued', issued: { value: endpoint, lifetimeMs: null, fields } }
}

function isEndpoint(value: unknown): value is string {
  return typeof value === 'string' && urlProblem(value) === null
}

function told(issuer: unknown): string {
  return typeof issuer === 'string' ? scrub(issuer) : 'nobody'
}

function unfit(because: string): Failed {
  const message = `the metadata of the issuer are not used: ${because}`
  return rejected({ class: 'configuration', code: 'discovery_failed', message })
}
