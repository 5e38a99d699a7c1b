/**
 * The one way in which a provider asks its upstream: one request, one bounded answer, one of the four outcomes.
 *
 * What must hold: an error that is certain to come before the first byte left is `not-sent`; an answer in which the
 * upstream says no is `rejected`; whatever else is not a well-formed answer is `unknown`, because a token may have been
 * issued behind it. Nothing of the request and nothing of a malformed answer enters a text, but lengths and digests.
 */
import { until } from '../base/env.ts'
import { isJsonObject, type JsonObject } from '../base/json.ts'
import { fingerprint } from '../base/secret.ts'
import type { Failed, RejectionClass } from '../model/failure.ts'
import { notSent, rejected, unknown } from './outcome.ts'
import type { Call } from './provider.ts'
import { retryAfterMs } from './retry-after.ts'
import { unreachable } from '../base/unreachable.ts'

export type Ask = {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Let `judge` see JSON answers with status 5xx too, because this protocol says things in them. */
  readonly judgesServerErrors?: true
  /** Let `judge` see HTTP 304, with an empty object for a body. */
  readonly judgesNotModified?: true
  /** How large an answer may be, in bytes after decompression, where it is more than a token. */
  readonly bytesMax?: number
  /** A header, beside `Retry-After`, in which this protocol says in how many seconds it may be asked again. */
  readonly waitHeader?: string
}

/** A well-formed answer: a JSON object with status 2xx or 4xx (5xx only where that was asked for). */
export type Answer = {
  readonly status: number
  readonly body: JsonObject
  /** Wall time of sending, epoch ms; lives are counted from it. */
  readonly sentAt: number
  /** Milliseconds that the headers ask to wait; null when they do not. */
  readonly waitMs: number | null
}

/** No token answer is larger than this, in bytes after decompression. */
const bodyBytesMax = 65_536
/** No token answer is nested deeper than this. */
const depthMax = 16

/** Sends `request` and lets `judge` say what a well-formed answer means. */
export async function ask<Told>(request: Ask, call: Call, judge: (answer: Answer) => Told): Promise<Told | Failed> {
  if (call.signal.aborted) return notSent('not_started', 'the time was over before the request was sent')
  const sent = requestOf(request, call.signal)
  if (sent === null) return requestRefused('the request has a URL or header that cannot be sent')
  const sentAt = call.env.clock.now()
  const began = call.env.clock.monotonic()
  const bytesMax = request.bytesMax ?? bodyBytesMax
  let response: Response
  let bytes: Uint8Array | null
  try {
    response = await until(call.env.fetch(sent, call.proxy === undefined ? {} : { proxy: call.proxy }), call.signal)
    const isNotModified = response.status === 304 && request.judgesNotModified === true
    if (isRedirect(response) && !isNotModified) return redirected(response)
    bytes = await readBytes(response, bytesMax, call.signal)
  } catch (thrown) {
    return notAnswered(thrown, call.signal, call.env.clock.monotonic() - began)
  }
  const status = response.status
  const waitMs = waitMsOf(response, request, call.env.clock.now())
  if (status === 304) return judge({ status, body: {}, sentAt, waitMs })
  if (status === 429) return busy(waitMs)
  const body = bytes === null ? null : jsonObjectOf(bytes)
  if (status >= 500 || status === 408) {
    if (body !== null && request.judgesServerErrors === true) return judge({ status, body, sentAt, waitMs })
    return brokenByStatus(status)
  }
  if (body !== null) return judge({ status, body, sentAt, waitMs })
  if (status >= 400) return refusedByStatus(status)
  if (bytes === null) return unknown('upstream_too_large', `the answer is larger than ${bytesMax} bytes`)
  const digest = bytes.length === 0 ? 'empty' : `${bytes.length} bytes, sha256 ${fingerprint(latin1(bytes))}…`
  return unknown('upstream_not_json', `the answer (HTTP ${status}) is no JSON object (${digest})`)
}

/** What an HTTP status of 400 and above says, where the body says nothing: the request was not carried out. */
export function refusedByStatus(status: number): Failed {
  const classOf: Readonly<Record<number, RejectionClass>> = { 403: 'permission', 409: 'transient', 425: 'transient' }
  const message = `the upstream refused with HTTP ${status}`
  return rejected({ class: classOf[status] ?? 'configuration', code: 'upstream_status', message })
}

/** The upstream broke down, and may have issued before it did. */
export function brokenByStatus(status: number): Failed {
  return unknown('upstream_status', `the upstream answered HTTP ${status}`)
}

/** The request cannot be formed; `message` names the place and never the value. */
export function requestRefused(message: string): Failed {
  return rejected({ class: 'configuration', code: 'request_invalid', message })
}

/** Null when a URL or header is not sendable; the thrown error would quote it, secrets and all. */
function requestOf(request: Ask, signal: AbortSignal): Request | null {
  try {
    return new Request(request.url, {
      method: request.method,
      headers: { accept: 'application/json', 'user-agent': 'zhongkong', ...request.headers },
      redirect: 'manual',
      signal,
      ...(request.body === undefined ? {} : { body: request.body }),
    })
  } catch {
    return null
  }
}

function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)
}

function redirected(response: Response): Failed {
  // A redirect may be an answer to a POST that was carried out, but no token endpoint issues that way.
  response.body?.cancel().catch(() => undefined)
  const message = `the upstream answered with a redirect (HTTP ${response.status})`
  return rejected({ class: 'configuration', code: 'unexpected_redirect', message })
}

function waitMsOf({ headers }: Response, { waitHeader }: Ask, now: number): number | null {
  const told = retryAfterMs(headers.get('retry-after'), now)
  return told ?? (waitHeader === undefined ? null : retryAfterMs(headers.get(waitHeader), now))
}

function busy(waitMs: number | null): Failed {
  const message = 'the upstream answered HTTP 429: too many requests'
  if (waitMs === null) return rejected({ class: 'transient', code: 'upstream_busy', message })
  return rejected({ class: 'quota', code: 'upstream_busy', message, waitMs })
}

function notAnswered(thrown: unknown, signal: AbortSignal, afterMs: number): Failed {
  const cause = unreachable(thrown)
  if (cause?.kind === 'tls') return notSent('upstream_tls', `no trusted TLS connection (${cause.word})`)
  if (cause !== null) return notSent('upstream_unreachable', `no connection (${cause.word})`)
  if (!signal.aborted) return unknown('upstream_cut', 'the connection broke before the whole answer was there')
  const timedOut = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError'
  if (!timedOut) return unknown('stopped', 'the attempt was stopped before its answer came')
  return unknown('upstream_timeout', `no whole answer within ${Math.round(afterMs)} ms`)
}

/** The whole body, or null when it is too large. The signal cuts it short, so a slow drip cannot hold us. */
async function readBytes(response: Response, bytesMax: number, signal: AbortSignal): Promise<Uint8Array | null> {
  if (response.body === null) return new Uint8Array(0)
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    while (true) {
      const { done, value } = await until(reader.read(), signal)
      if (done) return Buffer.concat(chunks, length)
      length += value.length
      if (length > bytesMax) return null
      chunks.push(value)
    }
  } finally {
    // Does nothing after a whole read; otherwise it tells the other side that nobody listens any more.
    reader.cancel().catch(() => undefined)
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

/** Tolerates a byte order mark; null for anything but one JSON object of reasonable depth. */
function jsonObjectOf(bytes: Uint8Array): JsonObject | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return isJsonObject(value) && isTame(value, depthMax) ? value : null
  } catch {
    // The parser's message quotes the body, so nothing of it is kept.
    return null
  }
}

/** Takes out keys named `__proto__`, and is false for a value nested too deeply. */
function isTame(value: unknown, depthLeft: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depthLeft === 0) return false
  if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__')
  return Object.values(value).every((inner) => isTame(inner, depthLeft - 1))
}
