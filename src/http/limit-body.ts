/** The time that a request's body has to arrive; Node's own limit would hold for the long ones of the gateway, too. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../base/env.ts'

type Limit = { readonly clock: Clock; readonly ms: number }

/** Ends the connection when the body is not there after `ms`. */
export async function limitBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { clock, ms }: Limit,
): Promise<void> {
  const { socket, headers } = incoming
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return
  const over = new AbortController()
  const stop = (): void => over.abort('arrived')
  incoming.once('end', stop)
  outgoing.once('close', stop)
  await clock.sleep(ms, over.signal)
  if (over.signal.aborted || incoming.complete) return
  // As Node does: behind an answer that has begun, only the end of the connection can say it.
  if (socket.writable && !outgoing.headersSent) {
    socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
  }
  socket.destroy()
}
