/** An answer as data. Surfaces return it; the server adds the headers that every answer carries and makes a Response of it. */

export type Answer = {
  readonly status: number
  /** Content-Type; null together with a null body. */
  readonly type: string | null
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null
  /** More headers, name after value: `['ETag', '"3-…"']`. */
  readonly headers?: readonly string[]
}

/** An answer that is written without a Response. */
export type TextAnswer = Answer & { readonly body: string | null }

export const jsonType = 'application/json'
export const problemType = 'application/problem+json'
/** What both older token servers said; see docs/decisions/0007. */
export const olderType = 'text/html; charset=UTF-8'
export const plainType = 'text/plain; charset=utf-8'

export function json(status: number, value: unknown, headers: readonly string[] = []): Answer {
  return { status, type: jsonType, body: JSON.stringify(value), headers }
}

export function plain(status: number, text: string): Answer {
  return { status, type: plainType, body: text }
}

/**
 * Headers of every answer, name after value. Nothing here may be kept by a cache, guessed to be another type or read by
 * another origin.
 */
export const commonHeaders: readonly string[] = [
  'Cache-Control',
  'no-store, private',
  'Pragma',
  'no-cache',
  'X-Content-Type-Options',
  'nosniff',
  'Cross-Origin-Resource-Policy',
  'same-origin',
  'Referrer-Policy',
  'no-referrer',
  'Vary',
  'Authorization',
]

const pagePolicy = ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"]

/** All headers of an answer, name after value, as they go out. */
export function headersOf(answer: Answer, requestId: string): string[] {
  const headers = [...commonHeaders, 'X-Request-Id', requestId]
  if (answer.type !== null) headers.push('Content-Type', answer.type)
  // What a browser would show as a page must not run or be framed as one.
  if (answer.type === olderType) headers.push(...pagePolicy)
  if (answer.headers !== undefined) headers.push(...answer.headers)
  return headers
}

/** The answer as a Response. */
export function responseOf(answer: Answer, requestId: string): Response {
  const flat = headersOf(answer, requestId)
  const headers = new Headers()
  for (let at = 0; at + 1 < flat.length; at += 2) headers.append(flat[at] ?? '', flat[at + 1] ?? '')
  return new Response(answer.body, { status: answer.status, headers })
}
