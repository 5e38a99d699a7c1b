/**
 * Admission, in one place: who is asking, and may they. Pure decisions over the settings of now, so that the quick path
 * for token reads and every other surface decide alike. What is not granted is denied.
 */
import type { Client } from '../access/access.ts'
import type { Text } from '../base/text.ts'
import { isOwnHost } from './address.ts'
import type { Credentials, House, Peer, RouteScope } from './surface.ts'

export type Refusal = {
  readonly refused: 'no-key' | 'wrong-key' | 'forbidden' | 'not-found' | 'not-local'
  readonly hint?: Text
}

export type Admission = { readonly client: Client | null } | Refusal

type Caller = { readonly credentials: Credentials; readonly peer: Peer }

const noKey: Refusal = { refused: 'no-key' }
const wrongKey: Refusal = { refused: 'wrong-key' }
const forbidden: Refusal = {
  refused: 'forbidden',
  hint: {
    en: 'Give this client the right under `clients:` (refresh, gateway or admin), or send the key of a client that has it.',
    zh: '请在 `clients:` 中为该客户端添加权限（refresh、gateway 或 admin），或改用有此权限的客户端的密钥。',
  },
}
const notFound: Refusal = { refused: 'not-found' }
const nobody: Admission = { client: null }

const notLocal: Refusal = {
  refused: 'not-local',
  hint: {
    en: 'Without configured clients only programs on this machine may ask, directly and by a local host name. Configure a client (zhongkong key new) and send its key.',
    zh: '未配置 clients 时，仅允许本机程序以本机主机名直接访问。请用 zhongkong key new 配置客户端并携带其密钥。',
  },
}

/** Whether the caller may use a route that needs `scope` on the source `name`. */
export function admit(house: House, scope: RouteScope, name: string, caller: Caller): Admission {
  if (scope === 'public' || scope === 'own') return nobody
  const { access } = house.settings()
  const { authorization } = caller.credentials
  if (authorization !== null) {
    const client = access.authenticate(authorization)
    return client === null ? wrongKey : grant(client, scope, name)
  }
  if (access.isOpen) {
    if (!caller.peer.isLoopback) return noKey
    return isLocal(house, caller) ? { client: access.local } : notLocal
  }
  if (scope === 'operator' && isLocal(house, caller)) return nobody
  return noKey
}

/**
 * TokenBoy had no keys: its route is open to this machine and to the configured networks. A key narrows the caller to what
 * its client may read.
 */
export function admitTokenboy(house: House, name: string, caller: Caller): Admission {
  const { access, tokenboyAllow } = house.settings()
  const { authorization } = caller.credentials
  if (authorization !== null) {
    const client = access.authenticate(authorization)
    return client === null ? wrongKey : grant(client, 'read', name)
  }
  if (tokenboyAllow.has(caller.peer.address)) return nobody
  if (!caller.peer.isLoopback) return noKey
  return isLocal(house, caller) ? nobody : notLocal
}

/** Denies by default: a client sees what it may read, and learns nothing about what else there is. */
function grant(client: Client, scope: RouteScope, name: string): Admission {
  if (client.isAdmin || scope === 'client') return { client }
  if (scope === 'read') return client.may('read', name) ? { client } : notFound
  if (scope === 'refresh' && client.may('refresh', name)) return { client }
  if (scope === 'gateway' && client.may('gateway', name)) return { client }
  if (scope === 'refresh' || scope === 'gateway') return client.may('read', name) ? forbidden : notFound
  return forbidden
}

/**
 * A program on this machine, asking by itself: not a page of another site through a browser here, and not the world
 * through a proxy here. Headers can only take this away, never give it.
 */
function isLocal(house: House, { credentials, peer }: Caller): boolean {
  if (!peer.isLoopback || credentials.isForwarded || !isOwnHost(credentials.host, house.hosts)) return false
  const { origin, fetchSite, host } = credentials
  if (fetchSite !== null && fetchSite !== 'same-origin' && fetchSite !== 'none') return false
  return origin === null || origin === `http://${host ?? ''}` || origin === `https://${host ?? ''}`
}
