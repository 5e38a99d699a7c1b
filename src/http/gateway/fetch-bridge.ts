/** The gateway inside the process, or under a server that speaks Request and Response. */
import { Readable } from 'node:stream'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import type { Peer } from '../surface.ts'
import type { Carried, Exchange } from './exchange.ts'

/** `target` is path and query of the request. */
export function exchangeOf(request: Request, target: string, peer: Peer): Exchange {
  const length = request.headers.get('content-length')
  return {
    method: request.method,
    target,
    headers: [...request.headers].flat(),
    // The types of the browser's streams leave out that they can be iterated.
    body: request.body === null ? null : Readable.fromWeb(request.body as NodeReadableStream<Uint8Array>),
    length: length !== null && /^\d+$/.test(length) ? Number(length) : null,
    peer,
    signal: request.signal,
  }
}

export function responseTo({ status, headers: flat, body }: Carried): Response {
  const headers = new Headers()
  for (let at = 0; at + 1 < flat.length; at += 2) headers.append(flat[at] ?? '', flat[at + 1] ?? '')
  const isEmpty = status === 204 || status === 205 || status === 304
  if (isEmpty && !(body instanceof Uint8Array)) body.resume()
  const content = body instanceof Uint8Array ? Buffer.from(body) : (Readable.toWeb(body) as ReadableStream)
  return new Response(isEmpty ? null : content, { status, headers })
}
