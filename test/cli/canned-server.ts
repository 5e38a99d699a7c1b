/** A server that answers what a test tells it to: servers that refuse, lie, or are something else altogether. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Canned = {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export type CannedServer = {
  readonly url: string
  /** What was asked, as `METHOD /path`. */
  readonly asked: string[]
  readonly requests: IncomingMessage[]
  readonly close: () => Promise<void>
}

/** `answer` is asked for each request with its number, from 0; null destroys the connection. */
export async function cannedServer(
  answer: (count: number, request: IncomingMessage) => Canned | null,
): Promise<CannedServer> {
  const asked: string[] = []
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    asked.push(`${request.method ?? ''} ${request.url ?? ''}`)
    const canned = answer(asked.length - 1, request)
    if (canned === null) {
      request.socket.destroy()
      return
    }
    const text = typeof canned.body === 'string' ? canned.body : JSON.stringify(canned.body ?? {})
    response.writeHead(canned.status ?? 200, { 'content-type': 'application/json', ...canned.headers })
    response.end(canned.status === 304 ? undefined : text)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
