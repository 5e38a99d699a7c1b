/** What a client may be asked, and with what it is made. */
import type { EventAnswer, RefreshAnswer } from '../wire/v1.ts'
import type { Token } from './token-memory.ts'
import type { World } from './world.ts'

export type ClientOptions = {
  /** Where the server is: `http://127.0.0.1:8888`, with a path where a proxy has put it below one. */
  readonly url: string
  /** An API key; none on the server's own machine while no clients are configured. */
  readonly key?: string | undefined
  /**
   * Hears of rotations and looks ahead in the background (the default). False where nothing runs between two requests
   * (Cloudflare Workers, lambdas): then a `get` asks whether its token is current when the last look is `pollSeconds` ago.
   */
  readonly background?: boolean
  /** How often is looked where events do not come through; default 10. */
  readonly pollSeconds?: number
  /** The most that a `get` or `refresh` waits for the server; default 10, at most 60. */
  readonly timeoutSeconds?: number
  /** Hears of listeners that throw; the default ignores them. */
  readonly onFault?: (thrown: unknown) => void
  /** Clock, chance and network of your own, for tests. */
  readonly world?: World
}

export type GetOptions = {
  /** At least this many seconds left, refreshing first if need be. */
  readonly minTtl?: number
}

export type RefreshOptions = {
  /** The token that the platform refused: nothing is fetched if there is a newer one. Without it: refresh now. */
  readonly stale?: string
}

export type Refreshed = Token & Pick<RefreshAnswer, 'refreshed' | 'reason'>

/** Beside those of the server: hearing began, and tokens are looked after by polling instead. */
export type ClientEvent =
  EventAnswer | { readonly type: 'listening' | 'polling'; readonly at: number; readonly why: string }

export type Client = {
  /** The living token: from memory once it was read. Throws a `ZhongkongClientError` when there is none to be had. */
  get(name: string, options?: GetOptions): Promise<Token>
  /** What `get` would answer from memory, without waiting; undefined when it would ask. */
  peek(name: string): Token | undefined
  /** Says that the platform refused a token. Any number of callers cost one request. */
  refresh(name: string, options?: RefreshOptions): Promise<Refreshed>
  /** A call of the source's platform by way of the server, which puts the token in, heals and replays; the key needs `gateway`. */
  fetch(name: string, path: string, init?: RequestInit): Promise<Response>
  /** Hears of one type of event, or of all with `*`; the answer stops that. `rotated`: `get` gives the new token now. */
  on(type: string, listener: (event: ClientEvent) => void): () => void
  /** Ends the stream and everything else. */
  close(): Promise<void>
}
