/**
 * What an upstream is to the simulator. It hears a visit, says whose it is and of what kind, and does nothing yet:
 * between the two stands the place for faults. Then it answers, in one step in which nothing else can happen.
 */
import type { JsonObject } from '../base/json.ts'
import type { Issue } from './channel.ts'

/** `token`: a token that is no stable token of WeChat; `api`: everything that is not an issue. */
export const callKinds = ['token', 'stable_token', 'ticket', 'api'] as const
export type CallKind = (typeof callKinds)[number]

/** A request as it reaches an upstream, with the prefix taken off its path. */
export type Visit = {
  readonly method: string
  readonly path: string
  /** Scheme and host, as the caller wrote them. */
  readonly origin: string
  readonly query: URLSearchParams
  readonly headers: Headers
  readonly ip: string
  /** The body; at most `bodyBytesMax` of it. */
  readonly text: () => Promise<string>
  /** The body as it comes; all of it. */
  readonly bytes: () => AsyncIterable<Uint8Array>
}

/** A value that was given out, and where in the body it stands, so that faults can twist it. */
export type Given = {
  readonly issue: Issue
  readonly fresh: boolean
  readonly tokenAt: readonly string[]
  /** Null when the answer tells no lifetime. */
  readonly lifetimeAt: readonly string[] | null
}

export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: JsonObject
  readonly given: Given | null
  /** In place of the body, so many bytes. */
  readonly mediaBytes?: number
  /** The upstream's own code when it refused; null when it did what was asked. */
  readonly refusal: string | number | null
}

export type Call = {
  /** The account the visit says it belongs to; null when there is no such account. */
  readonly account: string | null
  readonly kind: CallKind
  readonly forced: boolean
  readonly answer: () => Answer
  /** How this upstream refuses with `code`; without a text, it uses its own words for it. */
  readonly refuse: (code: string | number, text?: string) => Answer
}

export type Upstream = { readonly receive: (visit: Visit) => Call | Promise<Call> }
