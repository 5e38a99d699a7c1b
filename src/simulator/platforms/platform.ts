/**
 * A platform is an upstream known by name, as data: where it is asked for a token, what it checks in which order, how it
 * answers and refuses, and how its other calls are shown the token.
 */
import type { JsonObject } from '../../base/json.ts'
import type { AccountOf } from '../account.ts'
import type { Reissue } from '../channel.ts'
import type { SeenOnce } from '../jwt.ts'

export type PlatformAccount = AccountOf<'platform'>

/** A call for a token, read as this platform reads it. */
export type Asked = {
  /** A parameter of the place where this platform looks (body or query); empty when it is not there. */
  readonly param: (name: string) => string
  /** The same, as the JSON type it came in. */
  readonly raw: (name: string) => unknown
  readonly query: URLSearchParams
  readonly headers: Headers
  /** What the platform's path pattern caught. */
  readonly caught: readonly string[]
}

export type Checking = {
  readonly asked: Asked
  readonly account: PlatformAccount
  readonly now: number
  readonly seen: SeenOnce
}

export type Refused = { readonly code: string | number; readonly text: string; readonly status?: number }

export type Platform = {
  readonly method: 'GET' | 'POST'
  /** The path of the token call. */
  readonly path: RegExp
  readonly reads: 'query' | 'json' | 'form' | 'nothing'
  /** The id of the account that the call says it is for. */
  readonly who: (asked: Asked) => string
  /** There is no such account. */
  readonly nobody: Refused
  /** What the platform finds wrong with the call; null when it gives a token. */
  readonly check: (checking: Checking) => Refused | null
  readonly refuse: (refused: Refused) => { readonly status: number; readonly body: JsonObject }
  readonly good: (issued: { readonly value: string; readonly seconds: number; readonly until: string }) => JsonObject
  readonly goodStatus?: 201
  readonly tokenAt: readonly string[]
  /** Absent: the answer tells no lifetime. */
  readonly lifetimeAt?: readonly string[]
  readonly prefix: string
  readonly length: number
  readonly reissue: Reissue
  readonly lifeSeconds: number
  /** How long a replaced token lives on, and how long before its end one is replaced. Default 300. */
  readonly windowSeconds?: number
  /** How other calls show the token: a header with what stands before it, or a parameter of the query. */
  readonly shown: { readonly header: string; readonly prefix: string } | { readonly query: string }
  /** What they answer to a bad one. */
  readonly badToken: { readonly status: number; readonly body: JsonObject; readonly code: string | number }
}
