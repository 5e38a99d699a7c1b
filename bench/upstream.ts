/**
 * An upstream with nothing behind it: every call gets a new token of WeChat's length. The arguments are the lifetime in
 * seconds. It answers its parent where it is and what it was asked for.
 */
import { createServer } from 'node:http'
import { answerParent } from './child.ts'

export type UpstreamState = {
  readonly url: string
  readonly issued: number
  /** The most tokens that one source was given. */
  readonly mostOfOne: number
  /** When each source was given its first one, by the number in its appid, in epoch milliseconds; only when asked for. */
  readonly first: readonly (readonly [number, number])[]
}

const lifetimeSeconds = Number(process.argv[2] ?? 7_200)
const filler = 'Xq7_vKz-3mNpR8sTgB2dWfYhJcLaE5uQ'.repeat(4)
let issued = 0
const counts = new Map<number, { readonly at: number; count: number }>()

const server = createServer((incoming, outgoing) => {
  issued += 1
  const source = Number(/appid=wx(\d+)/.exec(incoming.url ?? '')?.[1])
  const known = counts.get(source)
  if (known === undefined) counts.set(source, { at: Date.now(), count: 1 })
  else known.count += 1
  const number = issued.toString(36).padStart(8, '0')
  const body = JSON.stringify({ access_token: `86_${filler.slice(0, 119)}${number}`, expires_in: lifetimeSeconds })
  incoming.resume()
  outgoing.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
  outgoing.end(body)
})
// Connections are kept for as long as a measurement may rest.
server.keepAliveTimeout = 120_000

const listening = new Promise<string>((resolve, reject) => {
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (typeof address === 'object' && address !== null) resolve(`http://127.0.0.1:${address.port}`)
    else reject(new Error('no address'))
  })
})

answerParent(async ({ withFirst }: { readonly withFirst?: boolean }): Promise<UpstreamState> => {
  const all = [...counts]
  return {
    url: await listening,
    issued,
    mostOfOne: all.reduce((most, [, { count }]) => Math.max(most, count), 0),
    first: withFirst === true ? all.map(([source, { at }]) => [source, at] as const) : [],
  }
})
