/**
 * The contract of a scheme: how one family of platforms proves what it sends, seals it, and wants to be answered. A scheme
 * is one file with pure functions. `receive.ts` calls them in this order and stops at the first refusal:
 *
 * 1. `prove`: is the request signed with the token? Nothing has been decrypted or parsed by then, but for finding the
 *    ciphertext that the signature covers. A plain signature covers no body, so it never vouches for one where the source
 *    has a key: `prove` then refuses.
 * 2. (the age of its timestamp)
 * 3. `unseal`: the text, if it was encrypted; refused unless it was meant for one of our ids.
 * 4. (parsing: `fields.ts`)
 * 5. `judge`: what only the content shows.
 * 6. `facts`: what kind of message it is.
 */
import type { JsonObject } from '../base/json.ts'
import type { Message } from '../model/message.ts'
import type { Callback } from '../model/source.ts'

/** A request of a platform, or of somebody who says so. */
export type Post = {
  readonly method: 'GET' | 'POST'
  /** The query as it came, with its question mark; empty without one. */
  readonly search: string
  readonly header: (name: string) => string | null
  readonly body: Uint8Array
}

/** Status 200 always. */
export type Reply = { readonly type: string; readonly body: string | Uint8Array }

/**
 * Why a request is refused. The caller is never told which.
 * - `malformed`: something it must have is not there, is there twice, or is no such thing.
 * - `signature`: not signed with the source's token.
 * - `late`: the timestamp is further from now than `max_age`.
 * - `plain`: not encrypted, though the source has a key. `encrypted`: the other way round.
 * - `undecipherable`: signed, but not encrypted with the source's key. `foreign`: encrypted for another account.
 * - `unreadable`: neither XML nor JSON as platforms send it.
 * - `replayed`: its signature has been seen with another body.
 */
export type Refusal =
  'malformed' | 'signature' | 'late' | 'plain' | 'encrypted' | 'undecipherable' | 'foreign' | 'unreadable' | 'replayed'

export type Refused = { readonly refused: Refusal }

export type Proof = {
  /** What no two messages have in common: signature, timestamp, nonce. */
  readonly key: string
  /** Epoch milliseconds; null where nothing that is signed says when. */
  readonly stampedAt: number | null
  readonly text: string
  readonly isSealed: boolean
  /** The platform checks the URL: the text itself is the answer. */
  readonly isEcho?: true
  /** Proven for a check of the URL at most. */
  readonly isCheckOnly?: true
}

export type Facts = Pick<Message, 'type' | 'event' | 'account' | 'createdAt'>

/** What an answer that is encrypted is made with. */
export type Moment = { readonly now: number; readonly random: (bytes: number) => Uint8Array }

export type Scheme = {
  prove(callback: Callback, post: Post, query: ReadonlyMap<string, string>): Proof | Refused
  unseal(callback: Callback, sealed: string): string | Refused
  /** A refusal, a check of the URL with its answer (null: the usual acknowledgement), or null for a message. */
  judge?(callback: Callback, fields: JsonObject, proof: Proof): Refused | { readonly check: Reply | null } | null
  facts(fields: JsonObject): Facts
  /** The answer that says: taken, do not send it again. */
  acknowledge(callback: Callback, moment: Moment): Reply
  /** Headers of a request that its receiver needs to check it, beside the content type. */
  readonly headers: readonly string[]
}

export const plainType = 'text/plain; charset=utf-8'
export const jsonType = 'application/json'
