/**
 * The gateway over a connection: bodies stay streams in both directions, each as fast as the slower side. A caller that goes
 * away ends the call; an upstream that breaks off ends the connection, so that no half answer looks like a whole one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream'
import type { Clock } from '../../base/env.ts'
import type { Handler, Peer } from '../server.ts'
import type { Carried, Exchange } from './exchange.ts'

/**
 * A connection on which nothing moves for so long is closed, in milliseconds: longer than an upstream may be silent, be silent
 * once more with another token, and that token may take to come.
 */
const stillMsMax = 150_000
/** What is left of a body that nobody wants is read and dropped for so long, in milliseconds. */
const lingerMs = 2_000

type Beside = { readonly peer: Peer; readonly clock: Clock }

/** Answers the request, or says that it was not for the gateway; then nothing of it was read. */
export async function carryOver(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { peer, clock }: Beside,
): Promise<boolean> {
  const gone = new AbortController()
  const { socket } = incoming
  outgoing.once('close', () => {
    // The reason is ours: without one, a DOMException is made with its stack.
    if (!outgoing.writableFinished) gone.abort(new Error('the caller has gone'))
  })
  // Node destroys it then; after the answer it sets the time of idle connections by itself. A callback here would be one
  // more listener for each call on this connection.
  socket.setTimeout(stillMsMax)
  const carried = await handler.carry(exchangeOf(incoming, peer, gone.signal))
  if (carried === null) {
    socket.setTimeout(0)
    return false
  }
  if (!incoming.complete) lingerAfter(incoming, outgoing, clock)
  write(carried, incoming, outgoing)
  return true
}

/**
 * For an answer that comes before the end of its request. What is left of a body that nobody wants would have to be read at
 * the caller's pace, so the connection ends; but one that is closed with bytes on it that were not read is reset, and whoever
 * is still sending loses the answer. So for a moment, what comes is read and dropped.
 */
function lingerAfter(incoming: IncomingMessage, outgoing: ServerResponse, clock: Clock): void {
  const { socket } = incoming
  outgoing.shouldKeepAlive = false
  // Node calls it when the last answer of a connection has been written.
  socket.destroySoon = () => {
    socket.end()
    const over = new AbortController()
    socket.once('close', () => over.abort('closed'))
    // Not by resume(), which does nothing while an upstream still takes the body.
    incoming.on('data', () => undefined)
    void clock.sleep(lingerMs, over.signal).then(() => socket.destroy())
  }
}

function exchangeOf(incoming: IncomingMessage, peer: Peer, signal: AbortSignal): Exchange {
  const { method = 'GET', url = '/', rawHeaders, headers } = incoming
  const length = headers['content-length']
  const isChunked = headers['transfer-encoding'] !== undefined
  return {
    method,
    target: url,
    headers: rawHeaders,
    // Where a call ends early, the connection must still carry its answer: reading no further does not destroy it.
    body: isChunked || length !== undefined ? { [Symbol.asyncIterator]: () => chunksOf(incoming) } : null,
    length: isChunked || length === undefined ? null : Number(length),
    peer,
    signal,
  }
}

function chunksOf(incoming: IncomingMessage): AsyncIterator<Uint8Array> {
  const iterator: AsyncIterator<Buffer> = incoming.iterator({ destroyOnReturn: false })
  // Without `throw`, by which a call that failed would destroy the connection all the same.
  return {
    next: () => iterator.next(),
    return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
  }
}

function write({ status, headers, body }: Carried, incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (outgoing.destroyed) {
    if (!(body instanceof Uint8Array)) body.destroy()
    return
  }
  if (!(body instanceof Uint8Array)) {
    outgoing.writeHead(status, [...headers])
    pipeline(body, outgoing, (error) => {
      if (error instanceof Error) outgoing.destroy()
    })
    return
  }
  const hasLength = headers.some((each, at) => at % 2 === 0 && each.toLowerCase() === 'content-length')
  const mayHaveBody = status !== 204 && status !== 304 && incoming.method !== 'HEAD'
  outgoing.writeHead(
    status,
    hasLength || !mayHaveBody ? [...headers] : [...headers, 'Content-Length', String(body.length)],
  )
  if (!mayHaveBody) outgoing.end()
  // As latin1, which copies bytes as they are, it goes out together with the head in one write.
  else outgoing.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1')
}
