/** The door of the access room: who a caller is, by its API key, and what it may do. Everything not granted is denied. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { ClientGrant } from '../model/client.ts'
import { compileGlobs } from '../model/glob.ts'
import type { CallRules } from '../model/source.ts'
import type { ToldExpiry } from '../model/told-expiry.ts'

/** What a client may be granted on a source. `refresh` answers with the token too; `admin` is everything. */
export type Scope = 'read' | 'refresh' | 'gateway' | 'admin'

/** A program that has proved who it is. */
export type Client = {
  /** Its name in the configuration; `local` for an unkeyed caller on loopback while no clients are configured. */
  readonly name: string
  readonly isAdmin: boolean
  /** What it is told of a token's life; null is what is left. */
  readonly expiry: ToldExpiry | null
  /** Whether it may do `scope` on the source of that name. Says nothing about whether there is such a source. */
  may(scope: Scope, source: string): boolean
  /** Which calls it may make through the gateway; absent: all. */
  readonly calls?: CallRules
}

export type Access = {
  /** No clients are configured: callers on loopback need no key. */
  readonly isOpen: boolean
  /** Who an unkeyed caller on loopback is while access is open. */
  readonly local: Client
  /** The client of an `Authorization: Bearer KEY` header; null for none, another scheme or an unknown key. */
  authenticate(authorization: string | null | undefined): Client | null
  /** The client of a bare API key, for wire formats that have no such header. */
  identify(key: string): Client | null
}

/** Longer keys than this are not looked at, in characters: `key new` makes 46. */
const keyLengthMax = 512

/**
 * Keys are looked up by their SHA-256 and compared in constant time, against a row that no key has when there is none.
 * The look-up itself may tell how much of a *hash* is right, which nobody can aim at: the keys have 256 random bits.
 */
export function createAccess(clients: readonly ClientGrant[]): Access {
  const rows = new Map<string, { readonly digest: Buffer; readonly client: Client }>()
  for (const grant of clients) {
    const digest = Buffer.from(grant.keyHash, 'hex')
    if (digest.length !== 32) throw new Error(`the key hash of client ${grant.name} is no SHA-256 in hex`)
    const digestHex = digest.toString('hex')
    // Two clients with one key would make it unclear who is asking; the configuration refuses that, and so does this.
    if (rows.has(digestHex)) throw new Error(`client ${grant.name} has the key of another client`)
    rows.set(digestHex, { digest: Buffer.from(digestHex), client: clientOf(grant) })
  }
  const nobody = { digest: Buffer.alloc(64), client: null }
  // Reused for each comparison, as reading is what a node does all day; nothing awaits between filling and comparing it.
  const presented = Buffer.alloc(64)

  const identify = (key: string): Client | null => {
    if (key.length > keyLengthMax) return null
    const digestHex = hash('sha256', key, 'hex')
    const row = rows.get(digestHex) ?? nobody
    presented.write(digestHex, 'latin1')
    return timingSafeEqual(presented, row.digest) ? row.client : null
  }
  return {
    isOpen: rows.size === 0,
    local: { name: 'local', isAdmin: true, expiry: null, may: () => true },
    identify,
    authenticate: (authorization) => {
      const key = keyOf(authorization)
      return key === null ? null : identify(key)
    },
  }
}

/** The key of a Bearer header, or null. A scheme in any letter case, one or more spaces, then no space (RFC 6750). */
function keyOf(authorization: string | null | undefined): string | null {
  if (authorization === null || authorization === undefined || authorization.length > keyLengthMax + 16) return null
  const match = /^bearer +([!-~]+) *$/i.exec(authorization)
  return match?.[1] ?? null
}

function clientOf(grant: ClientGrant): Client {
  const { name, expiry = null } = grant
  const more = { expiry, ...(grant.calls === undefined ? {} : { calls: grant.calls }) }
  if (grant.admin) return { name, isAdmin: true, may: () => true, ...more }
  const granted = {
    read: compileGlobs(grant.read),
    refresh: compileGlobs(grant.refresh),
    gateway: compileGlobs(grant.gateway),
    admin: () => false,
  }
  return { name, isAdmin: false, may: (scope, source) => granted[scope](source), ...more }
}
