/**
 * The client of an OAuth 2.0 request (RFC 6749 section 2.3): its id and secret come in a Basic header or in the body,
 * never in both and never in the URL.
 */
import { ZhongkongError } from '../base/errors.ts'
import { readText } from './input.ts'
import type { Visit } from './surface.ts'

/** What is wrong with a request, in the words of RFC 6749; `slow_down` is that of RFC 8628. */
export type OauthError =
  'invalid_request' | 'invalid_client' | 'unsupported_grant_type' | 'temporarily_unavailable' | 'slow_down'

/** An error of OAuth, to be answered in its shape. */
export class OauthRefusal extends Error {
  readonly error: OauthError
  readonly retryAfterSeconds: number | undefined

  constructor(error: OauthError, description: string, retryAfterSeconds?: number) {
    super(description)
    this.error = error
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export type Form = ReadonlyMap<string, string>

/** The parameters of a request. One without a value counts as left out; one given twice is refused. */
export async function readForm({ request, url }: Visit): Promise<Form> {
  if (url.searchParams.has('client_secret') || url.searchParams.has('token')) {
    throw new OauthRefusal('invalid_request', 'secrets must not be in the URL: send them in the body')
  }
  const type = request.headers.get('content-type') ?? ''
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
    throw new OauthRefusal('invalid_request', 'the body must be sent as application/x-www-form-urlencoded')
  }
  const form = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(await bodyOf(request))) {
    if (form.has(name)) throw new OauthRefusal('invalid_request', 'a parameter was given twice')
    form.set(name, value)
  }
  for (const [name, value] of form) if (value === '') form.delete(name)
  return form
}

async function bodyOf(request: Request): Promise<string> {
  try {
    return await readText(request)
  } catch (thrown) {
    if (thrown instanceof ZhongkongError && thrown.code === 'bad_request') {
      throw new OauthRefusal('invalid_request', thrown.message)
    }
    throw thrown
  }
}

export type Claim = {
  readonly id: string
  /** The forms that the secret may have: decoded, and as it was sent. Empty when none was. */
  readonly secrets: readonly string[]
}

/** Who the caller says it is; null when it says nothing. Proves nothing yet. */
export function claimOf(authorization: string | null, form: Form): Claim | null {
  const id = form.get('client_id')
  const secret = form.get('client_secret')
  if (authorization === null) return id === undefined ? null : { id, secrets: secret === undefined ? [] : [secret] }
  const basic = basicOf(authorization)
  if (basic === null) throw new OauthRefusal('invalid_client', 'the Authorization header is not understood')
  if (secret !== undefined || (id !== undefined && id !== basic.id)) {
    throw new OauthRefusal('invalid_request', 'the client proves itself in the header or in the body, not in both')
  }
  return basic
}

/** Longer headers are not looked at, in characters. */
const headerLengthMax = 2_048

/**
 * Id and secret are form-encoded before they are joined, so that an id may hold a colon or a slash. Not every program does
 * that, so a secret counts as it was sent, too.
 */
function basicOf(authorization: string): Claim | null {
  if (authorization.length > headerLengthMax) return null
  const encoded = /^basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(authorization)?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon === -1) return null
  const id = formDecoded(text.slice(0, colon))
  const sent = text.slice(colon + 1)
  const secrets = sent === '' ? [] : [...new Set([formDecoded(sent), sent])]
  return { id, secrets }
}

function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
