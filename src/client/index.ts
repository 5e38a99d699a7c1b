/**
 * `zhongkong/client`: tokens from a running zhongkong, in memory. No dependencies, and nothing but fetch: Node 18 and
 * later, Bun, Deno, workers.
 *
 * @example
 * ```ts
 * import { createClient } from 'zhongkong/client'
 * const client = createClient({ url: 'http://127.0.0.1:8888', key: process.env.ZHONGKONG_KEY })
 * const { token } = await client.get('weixin') // from memory, once warm
 * await client.refresh('weixin', { stale: token }) // the platform refused this token
 * await client.fetch('weixin', '/cgi-bin/user/get') // the server puts the token in
 * await client.close()
 * ```
 */
import type { Client, ClientOptions } from './contract.ts'
import { TokenClient } from './token-client.ts'

export { ZhongkongClientError } from './ask.ts'
export type { Client, ClientEvent, ClientOptions, GetOptions, Refreshed, RefreshOptions } from './contract.ts'
export type { Token } from './token-memory.ts'
export type { World } from './world.ts'

/** A client. It connects with the first `get`. Throws `bad_options` for an address or a key that can be none. */
export function createClient(options: ClientOptions): Client {
  return new TokenClient(options)
}
