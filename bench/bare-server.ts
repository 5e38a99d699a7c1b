/**
 * The measure of all figures: bare node:http that answers every request with the same prepared bytes. What it answers is
 * asked of the server that it is compared with, so that both send the same.
 */
import { createServer } from 'node:http'
import { answerParent } from './child.ts'

export type Prepared = { readonly headers: readonly string[]; readonly body: string }

answerParent(async ({ headers, body }: Prepared) => {
  const flat = [...headers]
  const bytes = Buffer.from(body)
  const server = createServer((_, outgoing) => {
    outgoing.writeHead(200, flat)
    outgoing.end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : null
})
