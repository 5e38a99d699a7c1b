/** Why an attempt did not bring a token: said to people, counted in metrics, and obeyed by the keeper. */
import type { JsonObject } from '../base/json.ts'
import type { Text } from '../base/text.ts'

/**
 * - `transient`: try again soon. `quota`: not before an instant. `configuration`: wrong until somebody changes the
 *   configuration. `permission`: an operator can fix it at the platform, so look often.
 * - `needs-authorization`: a person must authorise again.
 */
export type RejectionClass = 'transient' | 'quota' | 'configuration' | 'permission' | 'needs-authorization'

export type Failure = {
  /** A stable machine word, such as `upstream_rejected`, `upstream_timeout`, `upstream_not_json`. */
  readonly code: string
  /** What happened, scrubbed of secrets, for people who operate. */
  readonly message: string
  /** The upstream's own words, scrubbed. */
  readonly upstream?: { readonly errcode: string | number; readonly errmsg: string }
  /** What to do about it. */
  readonly hint?: Text
}

/** How one attempt ended. Every attempt ends in exactly one of the four outcomes. */
export type Attempt =
  | { readonly outcome: 'issued'; readonly issued: Issued }
  /** The upstream understood and refused: nothing was issued. */
  | {
      readonly outcome: 'rejected'
      readonly class: RejectionClass
      readonly failure: Failure
      /** Not before this many milliseconds from now (quota, Retry-After). */
      readonly waitMs?: number
      /** The needed source whose token the upstream refused. */
      readonly refusedInput?: string
    }
  /** No byte reached the upstream. */
  | { readonly outcome: 'not-sent'; readonly failure: Failure }
  /** The upstream may have issued; we never learned. */
  | { readonly outcome: 'unknown'; readonly failure: Failure }

/** An attempt that brought nothing. */
export type Failed = Exclude<Attempt, { outcome: 'issued' }>

export type Issued = {
  readonly value: string
  /** Life counted from sending, in milliseconds; null when the answer held no usable one. */
  readonly lifetimeMs: number | null
  /** The upstream's whole answer, without the grant. */
  readonly fields: JsonObject
  /** The grant that came with it; absent where the upstream gave none, and the one that it was asked with lives on. */
  readonly grant?: IssuedGrant
}

/** `lifetimeMs` counts from sending; null when the upstream does not say. */
export type IssuedGrant = { readonly value: string; readonly lifetimeMs: number | null }
