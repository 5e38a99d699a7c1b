/**
 * What the platforms' own wire formats have in common: a caller proves itself by the account and a secret, or by a token
 * that we gave out, and errors are the platform's. At WeChat and WeCom these are numbers with HTTP status 200.
 */
import { asZhongkongError, isOfStore } from '../base/errors.ts'
import type { JsonObject } from '../base/json.ts'
import { safeEqual, scrub } from '../base/secret.ts'
import type { Client } from '../access/access.ts'
import type { Source } from '../model/source.ts'
import { parseJsonObject, readText } from './input.ts'
import type { House, Visit } from './surface.ts'

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

/** Whose a token is, on whichever node it was given out; while the store fails, on this one. */
export async function ownerOf({ keeper }: House, token: string): Promise<ReturnType<House['keeper']['ownerOf']>> {
  return await keeper.findOwner(token).catch((thrown: unknown) => {
    if (!isOfStore(thrown)) throw thrown
    return keeper.ownerOf(token)
  })
}

export type TicketOwner =
  | { readonly found: true; readonly ticket: Pick<Source, 'name'> }
  | { readonly found: false; readonly why: 'token' | 'ticket' }

/** The ticket source of a type that belongs to the source whose token the caller sent. */
export async function ticketOf(visit: Visit, token: string, kinds: TicketKinds, type: string): Promise<TicketOwner> {
  const owner = await ownerOf(visit.house, token)
  const { name, offspring = {} } = owner?.source ?? {}
  // Who has the token could ask for the ticket at the platform itself, so it may come into being here.
  if (name !== undefined && Object.hasOwn(offspring, type) && offspring[type]?.provider === kinds.ticket) {
    return { found: true, ticket: { name: `${name}/${type}` } }
  }
  if (owner?.source.kind !== kinds.token) return { found: false, why: 'token' }
  for (const source of await ticketParents(visit, owner.source, kinds)) {
    const dependents = await visit.house.keeper.dependents(source.name)
    const ticket = dependents.find((each) => each.kind === kinds.ticket && (each.definition.type ?? 'jsapi') === type)
    if (ticket !== undefined) return { found: true, ticket }
  }
  return { found: false, why: 'ticket' }
}

/** The sources whose tickets a token may ask for: its own source, and where that is so, all of the account. */
async function ticketParents(visit: Visit, owner: Source, kinds: TicketKinds): Promise<readonly Source[]> {
  if (kinds.isOfAccount !== true || owner.credential === null) return [owner]
  return (await visit.house.keeper.byAccount(owner.credential.account)).filter(({ kind }) => kind === kinds.token)
}

export type TicketKinds = {
  readonly token: string
  readonly ticket: string
  /** Every token of the account brings the same ticket, whichever source it is of. */
  readonly isOfAccount?: true
}

/** The JSON object that a caller sent, whatever content type it calls that; null when it is none. */
export async function jsonBodyOf({ request }: Visit): Promise<JsonObject | null> {
  try {
    return parseJsonObject(await readText(request))
  } catch (thrown) {
    if (asZhongkongError(thrown).code !== 'bad_request') throw thrown
    return null
  }
}

/** The text of a key, trimmed; empty when there is none. */
export function textIn(body: JsonObject, key: string): string {
  const value = body[key]
  return typeof value === 'string' ? value.trim() : ''
}

/** The upstream's own refusal, by which there is nothing to serve; null when it is not that. Our faults are thrown on. */
export function refusalBehind(thrown: unknown): { readonly errcode: string | number; readonly errmsg: string } | null {
  const error = asZhongkongError(thrown)
  if (error.code === 'internal') throw thrown instanceof Error ? thrown : error
  if (error.upstream === undefined) return null
  return { errcode: error.upstream.errcode, errmsg: scrub(error.upstream.errmsg) }
}

/** An error number with its text, as both platforms tell them. */
export type WireError = { readonly errcode: number; readonly errmsg: string }

/** Codes by which an SDK believes that its token is bad and asks for another: not to be caused by a failure of ours. */
const tokenCodes = [40001, 40014, 41001, 42001]

/**
 * What to say when there is nothing to serve: the upstream's own refusal (an operator sees "not in whitelist" where it
 * is looked for), or that the system is busy. Faults of ours are thrown on, so that they are logged.
 */
export function wireErrorOf(thrown: unknown, call: 'token' | 'ticket'): WireError {
  const refusal = refusalBehind(thrown)
  const errcode = Number(refusal?.errcode)
  const isTold = Number.isSafeInteger(errcode) && errcode !== 0 && !(call === 'ticket' && tokenCodes.includes(errcode))
  if (!isTold || refusal === null) return { errcode: -1, errmsg: 'system error' }
  return { errcode, errmsg: refusal.errmsg }
}

/** Random hex digits, for request ids and hints in the platforms' texts. */
export function randomHex(visit: Visit, bytes: number): string {
  return Buffer.from(visit.house.env.random.bytes(bytes)).toString('hex')
}
