/**
 * A platform with nothing behind it, for calls through the gateway: its token call, an ordinary call of 200 bytes, and
 * uploads that are read and counted.
 */
import { createServer } from 'node:http'
import { answerParent } from './child.ts'

const token = JSON.stringify({ access_token: `86_${'Xq7_vKz-3mNpR8sTgB2dWfYhJcLaE5uQ'.repeat(4)}`, expires_in: 7_200 })
const ordinary = JSON.stringify({ total: 1, count: 1, data: { openid: ['o'.repeat(28).repeat(4)] }, next_openid: '' })

const server = createServer((incoming, outgoing) => {
  const answer = (body: string): void => {
    outgoing.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    outgoing.end(body)
  }
  if (incoming.method === 'POST' && incoming.url?.includes('/media/upload') === true) {
    let bytes = 0
    incoming.on('data', (chunk: Buffer) => (bytes += chunk.length))
    incoming.once('end', () => answer(JSON.stringify({ bytes })))
    return
  }
  incoming.resume()
  answer(
    incoming.url?.includes('token?') === true || incoming.url?.includes('stable_token') === true ? token : ordinary,
  )
})
server.keepAliveTimeout = 120_000
server.requestTimeout = 0

const listening = new Promise<string>((resolve) => {
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    resolve(typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '')
  })
})

answerParent(() => listening)
