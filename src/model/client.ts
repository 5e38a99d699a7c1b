/** A client as the configuration knows it: who it is and what it may do. */
import type { CallRules } from './source.ts'
import type { ToldExpiry } from './told-expiry.ts'

export type ClientGrant = {
  readonly name: string
  /** SHA-256 of the API key, lower-case hex. */
  readonly keyHash: string
  /** Globs over source names (`*` matches any characters). */
  readonly read: readonly string[]
  readonly refresh: readonly string[]
  readonly gateway: readonly string[]
  /** Which calls it may make through them; absent: all. */
  readonly calls?: CallRules
  /** May do everything, add and remove sources included. */
  readonly admin: boolean
  /** What it is told of a token's life; absent: what is left. */
  readonly expiry?: ToldExpiry
}
