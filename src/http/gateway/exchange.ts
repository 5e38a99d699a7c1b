/** The contract of the gateway: what comes in and what goes out, whether over a socket or inside the process. */
import type { Readable } from 'node:stream'
import type { Peer } from '../surface.ts'

/** A call as it came. */
export type Exchange = {
  readonly method: string
  /** The request target: path and query, as they came. */
  readonly target: string
  /** Name after value, as they came. */
  readonly headers: readonly string[]
  /** Null without one. It stays usable where only a part of it was read. */
  readonly body: AsyncIterable<Uint8Array> | null
  /** Bytes of the body as Content-Length tells; null when it says itself where it ends. */
  readonly length: number | null
  readonly peer: Peer
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal
}

/** An answer on its way back. */
export type Carried = {
  readonly status: number
  /** Name after value. */
  readonly headers: readonly string[]
  /** All of it, or a stream that fails when the upstream breaks off, and must then be seen to break off. */
  readonly body: Uint8Array | Readable
  /** As metrics name it. */
  readonly route: string
}

export type Gateway = {
  /** Whether a request may be for the gateway, by its target alone; `carry` knows. */
  mayTake(target: string): boolean
  /**
   * Carries a call; null when it is none of ours, and its body is then untouched. Throws ZhongkongErrors for what never
   * became an answer of the upstream.
   */
  carry(exchange: Exchange): Promise<Carried | null>
}
