/** The quick path on sockets: what is answered without a Request and a Response, which cost more than all the rest. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Glimpse, Handler, Peer } from './server.ts'

export type Call = {
  readonly handler: Pick<Handler, 'glance' | 'takeReport'>
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly peer: Peer
}

/** Whether a read of a token was answered. */
export function answerRead({ handler, incoming, outgoing, peer }: Call): boolean {
  if (incoming.method !== 'GET') return false
  const glimpse = handler.glance(incoming.url ?? '', incoming.rawHeaders, peer)
  if (glimpse !== null) write(outgoing, glimpse)
  return glimpse !== null
}

/** Whether a report is answered, or will be; otherwise the bridge has its body still. To be asked a tick after its headers came. */
export function answerReport({ handler, incoming, outgoing, peer }: Call): boolean {
  const told = Number(incoming.headers['content-length'] ?? NaN)
  // It is not waited for here: most programs send headers and body at once.
  if (incoming.readableLength !== told || told === 0) return false
  const body = incoming.read() as Buffer
  const glimpse = handler.takeReport(incoming.url ?? '', incoming.rawHeaders, peer, body)
  if (glimpse === null) {
    // As the bridge takes it from platforms that have read the body themselves.
    Object.assign(incoming, { rawBody: body }).resume()
    return false
  }
  void glimpse.then((answer) => write(outgoing, answer))
  return true
}

function write(outgoing: ServerResponse, { status, headers, body }: Glimpse): void {
  const bytes = Buffer.byteLength(body)
  if (status !== 304) headers.push('Content-Length', String(bytes))
  outgoing.writeHead(status, headers)
  // As many bytes as characters: all of it is ASCII, which latin1 writes by copying.
  outgoing.end(body, bytes === body.length ? 'latin1' : 'utf8')
}
