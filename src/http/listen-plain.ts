/** A bare listener on this machine for a function from Request to Response; what the simulator stands on. */
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'

export type ListeningPlainly = {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/** Listens on 127.0.0.1. When `fetch` rejects, the connection is closed without an answer, as a broken upstream's would be. */
export async function listenPlain(
  fetch: (request: Request) => Promise<Response>,
  port: number,
): Promise<ListeningPlainly> {
  const server = createServer((incoming, outgoing) => {
    const answer = getRequestListener(
      async (request) => {
        try {
          return breaking(await fetch(request), () => incoming.socket.destroy())
        } catch {
          incoming.socket.destroy()
          return new Response(null, { status: 500 })
        }
      },
      { overrideGlobalObjects: false },
    )
    void answer(incoming, outgoing)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://127.0.0.1:${String(bound)}`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The answer with a body that breaks the connection where it fails: the adapter would print the failure to stderr. */
function breaking(answer: Response, breakOff: () => void): Response {
  const { body, status, statusText, headers } = answer
  if (body === null) return answer
  const reader = body.getReader()
  const whole = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      try {
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      } catch {
        breakOff()
        controller.close()
      }
    },
    cancel: (reason) => reader.cancel(reason),
  })
  return new Response(whole, { status, statusText, headers })
}
