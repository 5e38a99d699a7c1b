/** Examples that the platforms and their SDKs publish. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type AesVector = {
  readonly name: string
  readonly token: string
  readonly encodingAesKey: string
  readonly receiveId: string
  readonly timestamp?: string
  readonly nonce?: string
  readonly signature?: string
  readonly msg_signature?: string
  readonly encrypt: string
  readonly decrypted: { readonly random16: string; readonly msg: string; readonly receiveId: string }
}

export type Sha1Vector = { readonly name: string; readonly values: readonly string[]; readonly signature: string }

export const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/callback-vectors.json'), 'utf8'),
) as { readonly aes: readonly AesVector[]; readonly sortedSha1: readonly Sha1Vector[] }
