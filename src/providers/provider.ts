/**
 * The provider contract: the recipe by which one kind of source is asked. A provider is one file that exports one
 * `Provider`, one line in the catalogue, and one page in docs/providers.
 *
 * A provider judges answers; it does not decide when to ask, how often, or what an answer does to an entry.
 */
import type { z } from 'zod'
import type { Env } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Attempt, Failed } from '../model/failure.ts'
import type { Child, Message, Push } from '../model/message.ts'
import type { CallbackScheme, Credential, Offspring, Signing } from '../model/source.ts'
import type { Semantics } from '../model/semantics.ts'
import type { Said } from '../model/suspicion.ts'

/** The token of a needed source, as an attempt uses it. */
export type Input = {
  readonly token: string
  readonly version: number
  readonly fields: JsonObject
  /** The account that it is of, by the name that `credential` has for it; absent where it has none. */
  readonly account?: string
  /** Its grant, for upstreams that want the parent's ticket beside its token; absent where it has none. */
  readonly grant?: string
}

/** The living token that a source has now. */
export type Held = {
  readonly token: string
  /** The upstream's answer that it came with. */
  readonly fields: JsonObject
  /** Somebody said that it was refused. */
  readonly isReported: boolean
}

/** What an upstream said to somebody who waited at it: `refused` will not change by itself, `failed` may. */
export type Heard = 'same' | 'changed' | 'failed' | 'refused'

export type Call = {
  readonly env: Env
  /** Aborts when the attempt's time is over; pass it to every request. */
  readonly signal: AbortSignal
  readonly proxy?: string
  /** Ask for a forced issue, where the upstream has such a thing. */
  readonly force: boolean
  /** The tokens of `needs(settings)`, all present. */
  readonly inputs: ReadonlyMap<string, Input>
  /** The grant to ask with, where `semantics.grant` is; null when there is none and the upstream can tell it again. */
  readonly grant?: string | null
  /** For upstreams that are told what the asker has already. */
  readonly held?: Held
  /** On whose behalf is asked, the asker first, for upstreams that might be asking us (`http/trail.ts`). */
  readonly trail?: readonly string[]
}

/** A source that a definition names, and what of it is used. */
export type Reference = {
  /** Where the reference stands, relative to the definition. */
  readonly path: readonly (string | number)[]
  readonly source: string
  /** The first field of the source's answer that is used; null for the token itself. */
  readonly field: string | null
  /** Where in the text at `path` it is named, in characters from 0. */
  readonly index: number
}

/**
 * A key that names another source of the same upstream. What this source's definition does not say about the way to
 * the upstream (`inherits`) is taken from that source's definition.
 */
export type Parent = {
  readonly key: string
  readonly kinds: readonly string[]
  readonly inherits: readonly string[]
}

/** A way to send a person: a page of the platform, or a refusal in the words of an attempt. */
export type Link = { readonly url: string } | { readonly refused: Failed }

/** Where a person is sent to, and how they come back. */
export type Journey = {
  /** The address on this server to which the platform sends them back. */
  readonly redirectUri: string
  /** Comes back with them unchanged. */
  readonly state: string
  /** 43 to 128 characters that nobody else knows, for PKCE (RFC 7636) and the like. */
  readonly verifier: string
  readonly device: 'desktop' | 'mobile'
}

/** What a person, or a push, brings back. The journey is null for a push. */
export type Proof = { readonly code: string; readonly journey: Journey | null }

/**
 * What a proof was good for. `child` is set where it authorises an account of its own under this source, whose source is
 * called `{source}/{account}`.
 */
export type Redeemed = { readonly attempt: Attempt; readonly child?: Child }

/** An account under a source, as the platform lists it: what is needed to make its source (as in `Redeemed`), or to mend it. */
export type Listed = Child & {
  /** What the platform gives once and tells again here; null where it does not. */
  readonly grant: string | null
}

/** A part of the list; `next` is where the next part begins, null at the end. */
export type Accounts = { readonly accounts: readonly Listed[]; readonly total: number; readonly next: number | null }

/** How a person authorises a source, or accounts under it. */
export type Authorization<S> = {
  /** Whether a source with these settings is authorised by a person; absent: every one of its kind is. */
  isFor?(settings: S): boolean
  link(settings: S, call: Call, journey: Journey): Promise<Link>
  /** The platform looks at whose page led to it (WeChat does): a person must click on one of ours. */
  readonly isEnteredByClick?: true
  /** Link and code are asked with the source's own token (`Call.held`). */
  readonly isAskedWithToken?: true
  /** The query with which the platform sent the person back holds the code under this name. */
  readonly codeParameter: string
  /** Exchanges a proof, which is good once. What it issues holds a grant. */
  redeem(settings: S, call: Call, proof: Proof): Promise<Redeemed>
  /**
   * A part of the list of all accounts that are authorised under this source, from `offset` on: how sources that were lost
   * come back. Absent where the platform has no such list.
   */
  list?(settings: S, call: Call, offset: number): Promise<Accounts | { readonly refused: Failed }>
}

export type Provider<S = unknown> = {
  readonly kind: string
  /** The keys of a source beside `provider`, `callback` and the refresh policy; unknown keys are errors. */
  readonly schema: z.ZodType<S>
  readonly parent?: Parent
  /** How the platform calls such a source back (`callback`); absent where it does not. */
  readonly callback?: {
    readonly scheme: CallbackScheme
    /** The platform encrypts all it sends, so nothing else is believed and the key is required. */
    readonly isSealed?: true
    /** What encrypted messages for this source end in. */
    receiveIds(settings: S): readonly string[]
  }
  /** Where ordinary calls with the token go, without a slash at the end; absent where nobody can know. */
  api?(settings: S): string
  /**
   * Sources under one of this kind that come into being when somebody who may read them reads them first: definitions by
   * the last part of the name (`{source}/{part}`), to which `of` is added. So nobody has to configure what a million
   * accounts may need.
   */
  readonly offspring?: Offspring
  /** Everything that the upstream's answer is known to hold; absent when that cannot be known. */
  readonly fields?: readonly string[]
  /** References inside templates, for checks against the other sources. */
  references?(settings: S): readonly Reference[]
  /** Names of the sources whose tokens an issue needs, each once. */
  needs(settings: S): readonly string[]
  semantics(settings: S): Semantics
  /**
   * The upstream account and channel, without secrets: when it changes, a stored token no longer belongs to the source.
   * The catalogue adds the identities of the needed sources.
   */
  identity(settings: S): string
  /**
   * The line of tokens at the upstream, where sources of another kind can take part in it and each issue retires the token
   * before: all kinds name it alike. Null, and left out, where nobody else can.
   */
  channel?(settings: S): string | null
  /** Who callers of the upstream's own wire format (`/cgi-bin/token`) say they are; null where there is no such format. */
  credential(settings: S): Credential | null
  /**
   * The account that the token belongs to, where pages know it by another name than `credential` has, or there is no
   * credential. Left out, it is that of the credential, or of the source above.
   */
  account?(settings: S): string
  /** What its tickets sign; absent where they are none. */
  signing?(settings: S): Signing
  /** The grant that the definition holds, such as a refresh token that a person put there; null where it holds none. */
  seed?(settings: S): Secret | null
  /**
   * Asks once. Resolves with one of the four outcomes, whatever the upstream does; rejects only for faults of our own.
   * Nothing in the outcome holds a secret other than the issued token itself.
   */
  issue(settings: S, call: Call): Promise<Attempt>
  /**
   * What a message of the platform brings this source, as data: nothing is asked, nothing is kept. Absent: nothing, and
   * every message is forwarded.
   */
  readMessage?(settings: S, message: Message): Push
  /** How it is authorised by a person; absent where secrets are enough. */
  readonly authorization?: Authorization<S>
  /**
   * Asks the platform to push its grant again. Null when it was asked; otherwise why it was not. Absent where a platform
   * cannot be asked.
   */
  askForPush?(settings: S, call: Call): Promise<Failed | null>
  /**
   * Whether a token lives, by a call that neither issues another nor costs what issuing costs; there where
   * `semantics.probe` is. `unclear` for all that is neither a clear yes nor a clear no.
   */
  probe?(settings: S, call: Call, token: string): Promise<Said>
  /**
   * Waits at the upstream up to `waitMs` for another token than `call.held`; there where `semantics.announces` is. It
   * changes nothing and holds no lease: what it hears of is then fetched by `issue`.
   */
  watch?(settings: S, call: Call & { readonly held: Held }, waitMs: number): Promise<Heard>
}
