/**
 * What WeChat's and WeCom's own wire formats have in common: a caller proves itself by the account and a secret, or by
 * a token that we gave out, and errors are numbers with HTTP status 200.
 */
import { asZhongkongError } from '../base/errors.ts'
import { safeEqual, scrub } from '../base/secret.ts'
import type { Client } from '../access/access.ts'
import type { Source } from '../model/source.ts'
import type { Visit } from './surface.ts'

/** A caller's proof: the sources it has proved itself for, never none. `client` when it sent one of our API keys. */
export type Proof =
  | { readonly known: true; readonly sources: readonly [Source, ...Source[]]; readonly client: Client | null }
  | { readonly known: false; readonly why: 'account' | 'secret' }

/**
 * Compares the secret with that of every source of the account and with our API keys, always all of them, so that the
 * time tells nothing. The real secret counts first.
 */
export async function prove(visit: Visit, kind: string, account: string, secret: string): Promise<Proof> {
  const { keeper, settings, guesses } = visit.house
  const ofAccount = (await keeper.byAccount(account)).filter((source) => source.kind === kind)
  if (ofAccount.length === 0) return { known: false, why: 'account' }
  const bySecret = ofAccount.filter(
    (source) => safeEqual(secret, source.credential?.secret.reveal() ?? '') && secret !== '',
  )
  const client = settings().access.identify(secret)
  const byKey = ofAccount.filter((source) => client?.may('read', source.name) === true)
  const [first, ...rest] = bySecret.length > 0 ? bySecret : byKey
  if (first !== undefined) {
    return { known: true, sources: [first, ...rest], client: bySecret.length > 0 ? null : client }
  }
  if (secret !== '') guesses.count(visit.peer.address)
  return { known: false, why: 'secret' }
}

/** Whether there is any source of that kind for the account. */
export async function isKnownAccount(visit: Visit, kind: string, account: string): Promise<boolean> {
  return (await visit.house.keeper.byAccount(account)).some((source) => source.kind === kind)
}

export type TicketOwner =
  { readonly found: true; readonly ticket: Source } | { readonly found: false; readonly why: 'token' | 'ticket' }

/** The ticket source of a type that belongs to the source whose token the caller sent. */
export async function ticketOf(visit: Visit, token: string, kinds: TicketKinds, type: string): Promise<TicketOwner> {
  const owner = visit.house.keeper.ownerOf(token)
  if (owner?.source.kind !== kinds.token) return { found: false, why: 'token' }
  const dependents = await visit.house.keeper.dependents(owner.source.name)
  const ticket = dependents.find(
    (source) => source.kind === kinds.ticket && (source.definition.type ?? 'jsapi') === type,
  )
  return ticket === undefined ? { found: false, why: 'ticket' } : { found: true, ticket }
}

export type TicketKinds = { readonly token: string; readonly ticket: string }

/** An error number with its text, as both platforms tell them. */
export type WireError = { readonly errcode: number; readonly errmsg: string }

/** Codes by which an SDK believes that its token is bad and asks for another: not to be caused by a failure of ours. */
const tokenCodes = [40001, 40014, 41001, 42001]

/**
 * What to say when there is nothing to serve: the upstream's own refusal (an operator sees "not in whitelist" where it
 * is looked for), or that the system is busy. Faults of ours are thrown on, so that they are logged.
 */
export function wireErrorOf(thrown: unknown, call: 'token' | 'ticket'): WireError {
  const error = asZhongkongError(thrown)
  if (error.code === 'internal') throw thrown instanceof Error ? thrown : error
  const errcode = Number(error.upstream?.errcode)
  const isTold = Number.isSafeInteger(errcode) && errcode !== 0 && !(call === 'ticket' && tokenCodes.includes(errcode))
  if (!isTold || error.upstream === undefined) return { errcode: -1, errmsg: 'system error' }
  return { errcode, errmsg: scrub(error.upstream.errmsg) }
}

/** Random hex digits, for request ids and hints in the platforms' texts. */
export function randomHex(visit: Visit, bytes: number): string {
  return Buffer.from(visit.house.env.random.bytes(bytes)).toString('hex')
}
