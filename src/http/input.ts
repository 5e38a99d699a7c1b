/** What callers send, read strictly: query parameters and bodies. */
import { ZhongkongError } from '../base/errors.ts'
import { isJsonObject, type JsonObject } from '../base/json.ts'

/** Bodies are never larger than this, in bytes. */
export const bodyBytesMax = 64 * 1_024

/** Parameters that must never be in a URL, because URLs end up in logs. */
const secretParameters = ['secret', 'key', 'api_key', 'token', 'access_token', 'stale']

/** Refuses what a `/v1` query must not hold: a parameter given twice, or a secret. */
export function checkQuery(url: URL): void {
  const seen = new Set<string>()
  for (const name of url.searchParams.keys()) {
    if (seen.has(name)) throw new ZhongkongError('bad_request', 'a query parameter was given twice')
    seen.add(name)
    if (secretParameters.includes(name.toLowerCase())) {
      throw new ZhongkongError(
        'bad_request',
        'secrets must not be in the URL: send the key in the Authorization header',
      )
    }
  }
}

/** A whole number of seconds from the query, or undefined when it is not there. */
export function secondsParameter(url: URL, name: string, max: number): number | undefined {
  return wholeNumber(url, name, { what: 'a whole number of seconds', min: 0, max })
}

/** A whole number from 1 from the query, or undefined when it is not there. */
export function countParameter(url: URL, name: string, max: number): number | undefined {
  return wholeNumber(url, name, { what: 'a whole number', min: 1, max })
}

type Wanted = { readonly what: string; readonly min: number; readonly max: number }

function wholeNumber(url: URL, name: string, { what, min, max }: Wanted): number | undefined {
  const text = url.searchParams.get(name)
  if (text === null) return undefined
  if (!/^\d{1,10}$/.test(text) || Number(text) < min || Number(text) > max) {
    throw new ZhongkongError('bad_request', `${name} must be ${what} from ${min} to ${max}`)
  }
  return Number(text)
}

/** The last value of a parameter, trimmed: what both older token servers took. */
export function lastParameter(url: URL, name: string): string {
  return (url.searchParams.getAll(name).at(-1) ?? '').trim()
}

/** The body as text; refuses what `readBytes` does, and what is no UTF-8. */
export async function readText(request: Request): Promise<string> {
  return textOf(await readBytes(request))
}

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new ZhongkongError('bad_request', 'the body is not UTF-8')
  }
}

/** The body; refuses one that is too large without reading it to its end. */
export async function readBytes(request: Request): Promise<Uint8Array> {
  const told = Number(request.headers.get('content-length') ?? NaN)
  if (told > bodyBytesMax) throw tooLarge()
  try {
    // No more than was told can come, and then the whole is had without a stream, which costs more than all the rest.
    return told >= 0 ? new Uint8Array(await request.arrayBuffer()) : await readStream(request)
  } catch (thrown) {
    if (thrown instanceof ZhongkongError) throw thrown
    throw new ZhongkongError('bad_request', 'the body ended early', { cause: thrown })
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

async function readStream(request: Request): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array()
  const reader = request.body.getReader()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks)
    bytes += value.byteLength
    if (bytes > bodyBytesMax) {
      void reader.cancel().catch(() => undefined)
      throw tooLarge()
    }
    chunks.push(value)
  }
}

function tooLarge(): ZhongkongError {
  return new ZhongkongError('payload_too_large', `the body is larger than ${bodyBytesMax} bytes`)
}

/** The body as a JSON object, with the content type that says so. No body at all is an empty object. */
export async function readJsonObject(request: Request): Promise<JsonObject> {
  return jsonObjectOf(await readBytes(request), request.headers.get('content-type'))
}

/** A whole body as a JSON object, likewise. */
export function jsonObjectOf(bytes: Uint8Array, type: string | null): JsonObject {
  const text = textOf(bytes)
  if (text === '') return {}
  if (!/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type ?? '')) {
    throw new ZhongkongError('unsupported_media_type', 'the body must be sent as application/json')
  }
  return parseJsonObject(text)
}

/** Parses a JSON object. `__proto__` is refused: no honest caller sends it. */
export function parseJsonObject(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text, (key, inner: unknown) => {
      if (key === '__proto__') throw new SyntaxError('__proto__')
      return inner
    })
  } catch {
    throw new ZhongkongError('bad_request', 'the body is not JSON')
  }
  if (!isJsonObject(value)) throw new ZhongkongError('bad_request', 'the body is not a JSON object')
  return value
}
