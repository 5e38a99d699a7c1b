/** API keys of the programs: the house may do everything, a guest may read one source and nothing else. */
import { sha256 } from '../../src/base/secret.ts'
import type { ClientGrant } from '../../src/model/client.ts'

export const keys = { house: 'canary-house-key-0005', guest: 'canary-guest-key-0006' } as const

/** The one source that a guest may read. */
export const guestSource = 'wecom'

const nothing = { read: [], refresh: [], gateway: [], admin: false }

export const clients: readonly ClientGrant[] = [
  { ...nothing, name: 'house', keyHash: sha256(keys.house).toString('hex'), admin: true },
  { ...nothing, name: 'guest', keyHash: sha256(keys.guest).toString('hex'), read: [guestSource] },
]
