/**
 * The keys that seal records. A master key of 32 bytes never touches data itself: the key that encrypts and the name it
 * goes by are derived from it, so that the name, which stands in the clear, says nothing about the key.
 */
import { hkdfSync } from 'node:crypto'
import { ZhongkongError } from '../base/errors.ts'

/** A derived key, and the name under which sealed bodies mention it. */
export type SealingKey = { readonly id: string; readonly key: Uint8Array }

/** The first key seals; all of them open. */
export type Keyring = { readonly sealing: SealingKey; readonly byId: ReadonlyMap<string, SealingKey> }

export const masterKeyBytes = 32

/**
 * A keyring of one key, and of older ones that are still needed to open what they sealed. Throws `config_invalid` when
 * a key has not 32 bytes.
 */
export function keyringFrom(key: Uint8Array, ...older: readonly Uint8Array[]): Keyring {
  const sealing = derive(key)
  return { sealing, byId: new Map([...older.map(derive), sealing].map((each) => [each.id, each])) }
}

function derive(master: Uint8Array): SealingKey {
  if (master.length !== masterKeyBytes) {
    throw new ZhongkongError(
      'config_invalid',
      `the encryption key must have ${masterKeyBytes} bytes, not ${master.length}`,
    )
  }
  return {
    id: Buffer.from(expand(master, 'zhongkong key id', 6)).toString('hex'),
    key: expand(master, 'zhongkong seal', 32),
  }
}

/** A key for another purpose than sealing records, of 32 bytes: the same on all nodes that seal with the same key. */
export function keyFor({ sealing }: Keyring, purpose: string): Uint8Array {
  return expand(sealing.key, `zhongkong ${purpose}`, 32)
}

function expand(master: Uint8Array, purpose: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', master, new Uint8Array(), purpose, length))
}
