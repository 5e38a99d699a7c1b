/**
 * What an upstream does when it is asked, as data. The keeper follows this record and never asks for a provider's name.
 */
import type { Failure } from './failure.ts'

export type Semantics = {
  /**
   * What a second issue gives, and does to the first token:
   * - `retires-previous`: a new token; the previous one lives on for `graceMs` (WeChat classic).
   * - `same-until-window`: the same token until its last `windowMs`, then a new one beside it (WeChat stable_token).
   * - `same-until-expiry`: the same token until it has expired (WeCom).
   * - `extends`: the same token with a longer life (DingTalk).
   * - `independent`: a new token; earlier ones live their own lives (most of OAuth 2.0).
   */
  readonly reissue: 'retires-previous' | 'same-until-window' | 'same-until-expiry' | 'extends' | 'independent'
  /** How long a replaced token still works, in milliseconds. */
  readonly graceMs: number
  /** For `same-until-window`: how long before the end the upstream begins to give out a new token, in milliseconds. */
  readonly windowMs: number
  /**
   * Each answer about the same token tells anew how long it may be relied on, and the last word counts. Otherwise the
   * life of a repeated token never grows.
   */
  readonly retold?: true
  /** The upstream can be waited at: it says when it has another token (`Provider.watch`). */
  readonly announces?: true
  /** It says of a token whether it lives, without issuing another (`Provider.probe`). */
  readonly probe?: true
  /** It is asked with a grant (model/grant.ts); absent where secrets are enough. */
  readonly grant?: GrantSemantics
  readonly limits: {
    readonly perDay?: number
    readonly perMinute?: number
    /** A forced issue, where the upstream has such a thing. Absent: it has none. */
    readonly force?: { readonly perDay: number; readonly gapMs: number }
  }
  /** Lifetime assumed when the answer holds a token but no usable lifetime, in milliseconds. */
  readonly fallbackTtlMs: number
  /** How a token is put into a request to the upstream. */
  readonly inject: { readonly query: string } | { readonly header: string; readonly prefix: string }
  /** Codes by which the upstream's ordinary API says that the token is bad. */
  readonly invalidTokenCodes: readonly (string | number)[]
  /** Codes by which it says that it was called too often: a token is not to blame. A text also stands for those it begins. */
  readonly limitCodes?: readonly (string | number)[]
  /** Codes by which it says that it does not serve our address. */
  readonly addressCodes?: readonly (string | number)[]
}

export type GrantSemantics = {
  /** Whether an issue brings another grant in place of the one it was asked with. */
  readonly rotates: 'never' | 'may' | 'always'
  /** A grant that was replaced is taken for this much longer, in milliseconds: so long a lost answer can be asked for again. */
  readonly graceMs: number
  /** The upstream can be asked without one, because it tells the grant again (`Provider.issue` does that). */
  readonly isRecoverable?: true
  /** It is pushed by the platform this often, in milliseconds; absent where a person or an answer brings it. */
  readonly pushedEveryMs?: number
  /** What is told while there is none, with the way to get one. */
  readonly missing: Failure
}

/** A longer life than this is not believed, in milliseconds (ten years). */
export const lifetimeMsMax = 10 * 365 * 86_400_000
