/** Who calls, and through which source: by an API key and a name, or by a token that we gave out. */
import { ZhongkongError } from '../../base/errors.ts'
import type { Client } from '../../access/access.ts'
import { sourceName, type Source } from '../../model/source.ts'
import { admit } from '../gate.ts'
import { seenIn } from '../glance.ts'
import { refuse } from '../refuse.ts'
import type { House } from '../surface.ts'
import type { Carried, Exchange } from './exchange.ts'
import { parametersOf, readTarget, type Target } from './target.ts'

export type Claim = {
  readonly source: Source
  /** What goes to the upstream. */
  readonly target: Target
  /** The token that the caller sent; null where it sent none, and must see none. */
  readonly sent: string | null
  /** Null for a caller that was proved by its token. */
  readonly client: Client | null
  readonly route: string
}

const keyed = '/proxy/{name}/{path}'
const tokened = '/{path}'
/** Methods that are answered by what is on the way, with our token in it, or that are no calls. */
const methodsRefused = ['TRACE', 'CONNECT']
/** Shorter than any token, in characters. */
const tokenLengthMin = 16
/** What WeChat says to a token that it does not know; SDKs of all platforms of its family then fetch another one. */
const unknownToken = JSON.stringify({
  errcode: 40001,
  errmsg: 'invalid credential, access_token is invalid or not latest',
})

/** Null for what is no call; `answer` where there is nothing to call with. */
export async function claimOf(house: House, exchange: Exchange): Promise<Claim | { readonly answer: Carried } | null> {
  const claim = exchange.target.startsWith('/proxy/') ? await byKey(house, exchange) : await byToken(house, exchange)
  if (claim !== null && methodsRefused.includes(exchange.method)) {
    throw new ZhongkongError('method_not_allowed', 'the gateway does not take this method')
  }
  return claim
}

async function byKey(house: House, { target, headers, peer }: Exchange): Promise<Claim> {
  const [, written = '', rest = ''] = /^\/proxy\/([^/?#]*)(.*)$/s.exec(target) ?? []
  const name = decodedName(written)
  const credentials = seenIn(headers)
  if (credentials === null) throw new ZhongkongError('bad_request', 'a header was sent twice, or is that of a follower')
  const admission = admit(house, 'gateway', name, { credentials, peer })
  if ('refused' in admission) throw refuse(house, admission, peer)
  const source = await sourceOf(house, name)
  if (source === undefined) throw new ZhongkongError('not_found', 'no such source')
  const path = readTarget(rest.startsWith('/') ? rest : `/${rest}`)
  if (path === null) throw badPath()
  return { source, target: path, sent: null, client: admission.client, route: keyed }
}

function badPath(): ZhongkongError {
  return new ZhongkongError('bad_request', 'the path holds //, a dot segment, a backslash or a broken escape')
}

function decodedName(written: string): string {
  try {
    const name = decodeURIComponent(written)
    return sourceName.test(name) ? name : ''
  } catch {
    return ''
  }
}

/** Without the store where this node serves the source. */
async function sourceOf({ keeper }: House, name: string): Promise<Source | undefined> {
  const snapshot = keeper.peek(name)
  const owner = snapshot === undefined ? undefined : keeper.ownerOf(snapshot.token)?.source
  // Two sources of one account may have the same token.
  return owner?.name === name ? owner : await keeper.source(name)
}

async function byToken(house: House, exchange: Exchange): Promise<Claim | { readonly answer: Carried } | null> {
  const { target, headers, peer } = exchange
  if (!target.startsWith('/')) return null
  const at = target.indexOf('?')
  const inQuery = at === -1 ? [] : parametersOf(target.slice(at + 1).split('#', 1)[0] ?? '').map(inParameter)
  const places = [...inQuery, ...inHeaders(headers)].filter(({ token }) => token.length >= tokenLengthMin)
  const known = places.find((place) => isPlaceOf(house.keeper.ownerOf(place.token)?.source, place))
  const found = known ?? (await sought(house, places, peer.address))
  if (found === undefined) return inQuery.some(isUsual) ? { answer: refused() } : null
  const source = house.keeper.ownerOf(found.token)?.source
  if (source === undefined) return null
  const path = readTarget(target)
  if (path === null) throw badPath()
  return { source, target: path, sent: found.token, client: null, route: tokened }
}

/** Somewhere in a request where a token may be. */
type Place = {
  readonly query: string | null
  readonly header: string | null
  readonly prefix: string
  readonly token: string
}

function inParameter({ name, value }: { readonly name: string; readonly value: string }): Place {
  return { query: name, header: null, prefix: '', token: value }
}

function inHeaders(headers: readonly string[]): Place[] {
  const places: Place[] = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const value = headers[at + 1] ?? ''
    if (value.length < tokenLengthMin) continue
    const header = (headers[at] ?? '').toLowerCase()
    const space = value.indexOf(' ') + 1
    places.push({ query: null, header, prefix: value.slice(0, space), token: value.slice(space) })
  }
  return places
}

/** The token stands where the source's own platform looks for it. */
function isPlaceOf(source: Source | undefined, { query, header, prefix }: Place): boolean {
  if (source === undefined) return false
  const { inject } = source.semantics
  if ('query' in inject) return inject.query === query
  return inject.header.toLowerCase() === header && inject.prefix.toLowerCase() === prefix.toLowerCase()
}

/** Names under which platforms take tokens: what stands there is looked for, even if this node has never seen it. */
const usualParameter = /(?:^|_)access_token$/
const usualHeader = /^authorization$|token$/

function isUsual({ query, header }: Place): boolean {
  return query === null ? usualHeader.test(header ?? '') : usualParameter.test(query)
}

/** Looks further than this node; who has tried many unknown tokens is not looked for. */
async function sought(house: House, places: readonly Place[], address: string | null): Promise<Place | undefined> {
  const { keeper, guesses } = house
  for (const place of places.filter(isUsual).slice(0, 2)) {
    // An API key of ours is no token.
    if (place.header === 'authorization' && house.settings().access.identify(place.token) !== null) continue
    if (guesses.isSpent(address)) return undefined
    if (isPlaceOf((await keeper.findOwner(place.token))?.source, place)) return place
    guesses.count(address)
  }
  return undefined
}

function refused(): Carried {
  const headers = ['Content-Type', 'application/json; encoding=utf-8', 'Cache-Control', 'no-store, private']
  return { status: 200, headers, body: Buffer.from(unknownToken), route: tokened }
}
