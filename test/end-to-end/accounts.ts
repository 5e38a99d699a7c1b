/** Accounts at the simulated upstream, together with the source that a configuration has for them. */
import type { PartialKnobs } from '../../src/simulator/simulator.ts'
import { ask, type Asked } from './ask.ts'
import type { Served, Upstream } from './stage.ts'

/** What a source is asked with; the same everywhere, as nothing here is about secrets. */
const secret = 'account-secret'

export type Definition = Readonly<Record<string, unknown>>

/** A classic WeChat account: each issue gives a new token and retires the one before. */
export function classic(upstream: Upstream, appid: string, knobs: PartialKnobs = {}): Definition {
  upstream.simulator.putAccount({ kind: 'wechat', id: appid, secret, knobs })
  return { provider: 'wechat', mode: 'classic', appid, secret, base_url: upstream.url, min_interval: 0 }
}

/** An OAuth 2.0 client: tokens live side by side. */
export function oauth(upstream: Upstream, id: string, knobs: PartialKnobs = {}): Definition {
  upstream.simulator.putAccount({ kind: 'oauth2', id, secret, knobs })
  return { provider: 'oauth2', token_url: `${upstream.url}/oauth2/token`, client_id: id, client_secret: secret }
}

/** New tokens that the upstream made for a classic account. */
export const issuesOf = (upstream: Upstream, appid: string): number => upstream.simulator.counters(appid).token.issued

export type TokenRead = { readonly token: string; readonly version: number }

/** Reads a token that is there. */
export async function read(server: Served, name: string): Promise<TokenRead> {
  const answer = await ask(`${server.url}/v1/tokens/${name}`)
  if (answer.status !== 200) throw new Error(`${name}: ${answer.text}`)
  return tokenIn(answer)
}

/** The token and version of an answer of `/v1`. */
export function tokenIn({ json }: Asked): TokenRead {
  return { token: String(json.token), version: Number(json.version) }
}
