/**
 * What a sink is. Each kind is one file with the same two names: `kind`, and `openSink`, which takes its part of the
 * configuration and what it needs of the world. `delivery.ts` decides when a sink is called, so that a sink knows nothing
 * of queues, retries or time.
 *
 * A sink never puts an older version over a newer one, whoever wrote that: it compares what is there with what it brings
 * (`isOlder`), by the means of the place it writes to. It never tells a token or a secret in an error.
 */
import type { Env } from '../../base/env.ts'
import type { LaidOut, LaidToken } from '../../model/sink-layout.ts'

/** A token on its way into a sink. `expiresAt` is the instant up to which a reader may rely on it. */
export type SinkToken = LaidToken

export type Sink = {
  /** Where it writes to, for people; without secrets. */
  readonly to: string
  /** Deliveries under way at once. */
  readonly lanes: number
  /**
   * After how long it is looked whether the newest value is still there, in milliseconds: what it writes to may have
   * lost it. Null: what was delivered is not looked after, and what is delivered twice is heard twice.
   */
  readonly recheckMs: number | null
  /**
   * Makes the newest value be there: `written`; `unchanged` when it was; `older` when something newer is. Throws
   * `SinkRefusal` when trying again is of no use, anything else when it is. One source is never put twice at once.
   */
  put(name: string, token: SinkToken, signal: AbortSignal): Promise<'written' | 'unchanged' | 'older'>
  /** Takes away what is there of a source that is gone. */
  remove(name: string, signal: AbortSignal): Promise<void>
  close(): void
}

/** What sinks may use. */
export type SinkTools = {
  readonly env: Env
  /** What a layout must know of a source; undefined when there is none. */
  readonly describe: (name: string) => Promise<LaidOut | undefined>
  /** Opens a Redis for scripts; connects when it is first used. */
  readonly openRedis: (url: string) => RedisScripts
}

export type RedisScripts = {
  /** `host:port`, several with commas. */
  readonly to: string
  /** Runs a script whose keys share the slot of the first. Rejects with a `ZhongkongError`, in time. */
  run(script: string, keys: readonly string[], args: readonly string[]): Promise<string | number | null>
  close(): void
}

/** It will not be taken, however often it is tried. */
export class SinkRefusal extends Error {}

/** A version and the second of its issue: what a sink can read back from where it wrote. */
export type Written = { readonly version: number; readonly issuedAtSeconds: number }

export function writtenOf({ version, issuedAt }: SinkToken): Written {
  return { version, issuedAtSeconds: Math.floor(issuedAt / 1_000) }
}

/** Versions begin again when a store is made anew, so a lower version that was issued later is not an older one. */
export function isOlder(token: Written, than: Written): boolean {
  return token.version < than.version && token.issuedAtSeconds <= than.issuedAtSeconds
}
