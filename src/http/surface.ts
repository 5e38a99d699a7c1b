/** What a surface is: a route as data. The server, the OpenAPI document and the tests read the same list. */
import type { z } from 'zod'
import type { Access, Client } from '../access/access.ts'
import type { Env } from '../base/env.ts'
import type { Secret } from '../base/secret.ts'
import type { Language } from '../base/text.ts'
import type { Callbacks, Verdict } from '../callbacks/callback.ts'
import type { Keeper } from '../keeper/keeper.ts'
import type { SinkStatus } from '../model/sink.ts'
import type { Source } from '../model/source.ts'
import type { ToldExpiry } from '../model/told-expiry.ts'
import type { RecoveryAnswer } from '../wire/v1.ts'
import type { Answer } from './answer.ts'
import type { AddressList } from './address.ts'
import type { GuessLimiter } from './guess-limiter.ts'
import type { NoteAsk } from './re-asks.ts'
import type { Sealer } from './sealed-text.ts'
import type { Trail } from './trail.ts'
import type { Watchers } from './watchers.ts'

/** Who is at the other end of the connection. Headers such as X-Forwarded-For say nothing about it. */
export type Peer = {
  /** IP address; null over a unix socket or inside the process. */
  readonly address: string | null
  /** On this machine: a loopback address, a unix socket, or the same process. */
  readonly isLoopback: boolean
  /** Breaks the connection without waiting for anything; absent inside the process. */
  readonly hangUp?: () => void
}

/** The older token servers whose routes are spoken; null is not spoken. */
export type Compat = {
  readonly tokenboy: { readonly allow: readonly string[] } | null
  readonly wechatTokenServer: { readonly secret: Secret } | null
  /** What callers who are no client are told of a token's life; absent: what is left. */
  readonly expiry?: ToldExpiry
}

/** What a reload replaces, whole. */
export type Settings = {
  readonly access: Access
  readonly compat: Compat
  /** `compat.tokenboy.allow`, parsed. */
  readonly tokenboyAllow: AddressList
}

/**
 * What became of a call through the gateway. `healed`: the token was refused, and the call sent again with another one;
 * `refused`: the same, but there was no other one or the call could not be sent again. `cut`: an answer broke off.
 */
export type CallOutcome = 'answered' | 'healed' | 'refused' | 'denied' | 'limited' | 'failed' | 'cut'

/** Counts requests; the events room has one. */
export type Meter = {
  /** `route` is a path of the list or `none`, so the number of series is bounded. */
  observe(route: string, status: number, seconds: number): void
  expose(): Promise<{ readonly type: string; readonly text: string }>
  /** Counts a request to a callback; null is no source that takes any. */
  countCallback(source: string | null, verdict: Verdict): void
  /** Counts a call through the gateway by what became of it. */
  countCall(source: string, outcome: CallOutcome): void
  /** Counts an answer in which a platform says that it was called too often. */
  countLimit(source: string, code: string): void
  /** How many listen to events now. */
  watching(watchers: number): void
}

/** Where a person is sent to, and how they come back; as the providers have it. */
export type Journey = {
  readonly redirectUri: string
  readonly state: string
  readonly verifier: string
  readonly device: 'desktop' | 'mobile'
}

/** How people authorise sources. Each throws `not_found`, `bad_request` where nobody can, and `authorization_refused`. */
export type Authorising = {
  isFor(source: Source): boolean
  /** The platform looks at whose page led to it: a person must click on one of ours. */
  isEnteredByClick(name: string): Promise<boolean>
  /** The query with which the platform sends a person back holds the code under this name. */
  codeParameter(name: string): Promise<string>
  /** The page of the platform. */
  link(name: string, journey: Journey): Promise<string>
  /** Exchanges the code; answers the name of the source that may go on now. */
  complete(name: string, proof: { readonly code: string; readonly journey: Journey }): Promise<string>
  /** Makes and mends the sources of the accounts under one, a part of the platform's list at a time, from `offset` on. */
  recover(name: string, offset: number): Promise<RecoveryAnswer>
}

/** What all surfaces share. */
export type House = {
  readonly keeper: Keeper
  readonly env: Env
  readonly version: string
  readonly meter: Meter
  /** The settings of now: ask again after every await. */
  readonly settings: () => Settings
  readonly guesses: GuessLimiter
  /** Host names, beside loopback ones and addresses, by which unkeyed callers may name this server. */
  readonly hosts: ReadonlySet<string>
  /** What platforms send. */
  readonly callbacks: Callbacks
  /** Who listens to events. */
  readonly watchers: Watchers
  readonly authorising: Authorising
  /** Seals what travels through browsers. */
  readonly sealer: Sealer
  /** `server.public_url`: the address by which browsers reach this server; null when nobody has said it. */
  readonly publicUrl: string | null
  /** How the sinks of this node are doing. */
  readonly sinks: () => readonly SinkStatus[]
  /** Who follows the sources of this node. */
  readonly trail: Trail
  /** Hears of each token that was given out in a platform's own wire format. */
  readonly noteAsk: NoteAsk
  /** Aborts when the server drains: waits end early. */
  readonly draining: AbortSignal
  /** The OpenAPI document as JSON text. */
  readonly document: () => string
}

/**
 * What a caller needs:
 * - `public`: nothing. `own`: the surface asks for its own proof, in its own words.
 * - `client`: any key. `read`, `refresh`, `gateway`: that right on the source `{name}`.
 * - `operator`: a loopback address, or an admin's key. `admin`: an admin's key.
 */
export type RouteScope = 'public' | 'own' | 'client' | 'read' | 'refresh' | 'gateway' | 'operator' | 'admin'

/** One request on its way through a surface. */
export type Visit = {
  readonly house: House
  readonly request: Request
  readonly url: URL
  /** The `{name}` of the path, decoded; empty where the path has none. */
  readonly name: string
  readonly peer: Peer
  readonly credentials: Credentials
  /** Who was admitted; null on `public` and `own` surfaces. */
  readonly client: Client | null
  readonly language: Language
  /** Looks again, after a wait, whether the caller may still have an answer; throws when not. */
  readonly admitAgain: () => void
}

/** The headers by which admission is decided. */
export type Credentials = {
  readonly authorization: string | null
  readonly host: string | null
  readonly origin: string | null
  /** `Sec-Fetch-Site`. */
  readonly fetchSite: string | null
  /** A proxy says that it passed this request on. */
  readonly isForwarded: boolean
}

export type SurfaceDoc = {
  readonly summary: string
  readonly group:
    | 'v1'
    | 'operating'
    | 'wechat'
    | 'wecom'
    | 'dingtalk'
    | 'feishu'
    | 'tokenboy'
    | 'wechat-token-server'
    | 'callback'
    | 'authorize'
    | 'oauth2'
    | 'jssdk'
    | 'gateway'
  /** Query parameters. */
  readonly query?: z.ZodObject
  /** The JSON body. */
  readonly body?: z.ZodType
  /** Its content type, where it is not JSON. */
  readonly bodyType?: string
  /** Answers by status, without the problems that any request may meet. */
  readonly answers: Readonly<Record<number, AnswerDoc>>
}

export type AnswerDoc = {
  readonly description: string
  readonly type?: string
  readonly schema?: z.ZodType
}

/** What the document tells of an operation. */
export type Described = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  /** As OpenAPI writes it: `/v1/tokens/{name}`. */
  readonly path: string
  readonly scope: RouteScope
  readonly doc: SurfaceDoc
}

export type Surface = Described & {
  readonly handler: (visit: Visit) => Promise<Answer> | Answer
}
