/** What a platform sends to a callback, after it was proved and opened; and what of it a source keeps. Data only. */
import type { JsonObject } from '../base/json.ts'

export type Message = {
  /** The platform's kind of message (`MsgType`): `text`, `event`, …; null where it has none. */
  readonly type: string | null
  /** The event's name (`Event`, `InfoType`, `EventType`, …), trimmed; null for a message that is no event. */
  readonly event: string | null
  /**
   * The account that it is about: an authorizer's appid or corpid where one is named, otherwise the receiver's own. A
   * platform may say it in the URL only, which nothing signs: good for routing, not for believing.
   */
  readonly account: string | null
  /** When the platform made it, epoch milliseconds; null where it does not say. */
  readonly createdAt: number | null
  /** The whole content. Numbers of XML stay texts; of JSON they are what JSON makes of them. */
  readonly fields: JsonObject
  /** The content as it was written, decrypted. */
  readonly raw: string
}

/**
 * What a message brings the source that received it:
 * - `none`: nothing, it is for others.
 * - `grant`: what the platform gives once and cannot be asked for again. `at` is when it was given (epoch milliseconds),
 *   so that an older one never replaces a newer one; `livesMs` is null where it does not end. With `child` it is for an account
 *   under this source, and the account's source is made by it if there is none.
 * - `authorized`: somebody authorised, and the platform gave a code for it, which is good once (`Authorization.redeem`).
 *   `child` is the account under this source that it is for, with the definition of its source, where the platform says so
 *   and tells the grant again to whoever lost it.
 * - `revoked`: an authorisation was withdrawn; `child` is the account under this source that it was for, null the source itself;
 *   `at` is when, where the platform says it, so that one that comes late ends no newer authorisation.
 * - `several`: what a message that holds others brings, in order.
 */
export type Push =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'grant'
      readonly value: string
      readonly at: number
      readonly livesMs: number | null
      readonly child?: Child
    }
  | { readonly kind: 'authorized'; readonly code: string; readonly child?: Child }
  | { readonly kind: 'revoked'; readonly child: string | null; readonly at?: number | null }
  | { readonly kind: 'several'; readonly pushes: readonly Push[] }

/** An account under a source: its name there, and the definition of its source but for the key `of`, which names the parent. */
export type Child = { readonly account: string; readonly definition: JsonObject }
