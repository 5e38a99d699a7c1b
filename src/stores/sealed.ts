/**
 * Entries over any store, encrypted: AES-256-GCM with a random 96-bit IV for each write. A sealed body is
 * `zk1.KEYID.BASE64URL`; the part in base64url is IV, ciphertext and tag. The associated data binds the format, the name
 * and the revision, so a body cannot be moved to another source, and an old one cannot be put in place of a newer.
 *
 * In the clear stay the names of sources, the instants by which they are due, the revisions, and the key's id.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Random } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { decodeEntry, encodeEntry } from './entry-codec.ts'
import type { Keyring } from './keyring.ts'
import { countOf } from './lined-revision.ts'
import type { Changes, EntryRecord, EntryStore, NamedEntry, ScanPage, ScanQuery, Store } from './store.ts'
import type { Entry } from '../model/entry.ts'

const format = 'zk1'
const ivBytes = 12
const tagBytes = 16

export type Place = { readonly name: string; readonly revision: number }

/** Seals a store. Closing the answer closes the store. */
export function sealed(store: Store, keyring: Keyring, random: Random): EntryStore {
  return new SealedStore(store, keyring, random)
}

/** The id of the key that sealed a body; null when it is no sealed body at all. */
export function keyIdOf(body: string): string | null {
  const [marker, id] = body.split('.')
  return marker === format && id !== undefined ? id : null
}

class SealedStore implements EntryStore {
  readonly kind: string
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #random: Random

  constructor(store: Store, keyring: Keyring, random: Random) {
    this.kind = store.kind
    this.#store = store
    this.#keyring = keyring
    this.#random = random
  }

  async read(name: string): Promise<EntryRecord> {
    const { body, revision } = await this.#store.read(name)
    return { entry: body === null ? null : openEntry(body, { name, revision }, this.#keyring), revision }
  }

  async write(
    name: string,
    change: { readonly entry: Entry | null; readonly dueAt: number },
    ifRevision: number,
  ): Promise<number | null> {
    const place = { name, revision: countOf(ifRevision) + 1 }
    const body = change.entry === null ? null : seal(encodeEntry(change.entry), place, this.#keyring, this.#random)
    return await this.#store.write(name, { body, dueAt: change.dueAt }, ifRevision)
  }

  async scan(query: ScanQuery): Promise<ScanPage<NamedEntry> & { readonly broken: readonly string[] }> {
    const page = await this.#store.scan(query)
    const records: NamedEntry[] = []
    const broken: string[] = []
    for (const { name, body, revision, dueAt } of page.records) {
      try {
        records.push({ name, entry: openEntry(body, { name, revision }, this.#keyring), revision, dueAt })
      } catch (error) {
        if (!(error instanceof ZhongkongError)) throw error
        broken.push(name)
      }
    }
    return { records, next: page.next, broken }
  }

  async changes(since: string | null, limit: number): Promise<Changes> {
    return await this.#store.changes(since, limit)
  }

  watch(onChange: () => void): () => void {
    return this.#store.watch(onChange)
  }

  async now(): Promise<number> {
    return await this.#store.now()
  }

  async close(): Promise<void> {
    await this.#store.close()
  }
}

/** Seals a text for one place; whoever opens it must name the same. */
export function seal(text: string, place: Place, keyring: Keyring, random: Random): string {
  const { id, key } = keyring.sealing
  const iv = random.bytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  cipher.setAAD(associatedData(place))
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return `${format}.${id}.${Buffer.concat([iv, ciphertext, cipher.getAuthTag()]).toString('base64url')}`
}

/** Throws `seal_broken`, or `store_newer` for an entry of a newer version; neither holds any of the bytes. */
function openEntry(body: string, place: Place, keyring: Keyring): Entry {
  const text = unseal(body, place, keyring)
  try {
    return decodeEntry(text)
  } catch (error) {
    if (error instanceof ZhongkongError) throw error
    throw sealBroken(place, `it does not hold an entry (${error instanceof Error ? error.message : 'unreadable'})`)
  }
}

/** Opens what was sealed for this place; throws `seal_broken`. */
export function unseal(body: string, place: Place, keyring: Keyring): string {
  const [marker, id, payload, ...rest] = body.split('.')
  if (marker !== format || id === undefined || payload === undefined || rest.length > 0) {
    throw sealBroken(place, 'it is not sealed')
  }
  const sealing = keyring.byId.get(id)
  if (sealing === undefined) throw sealBroken(place, 'it was sealed with a key that is not given')
  const bytes = Buffer.from(payload, 'base64url')
  if (bytes.length < ivBytes + tagBytes) throw sealBroken(place, 'it is cut short')
  const decipher = createDecipheriv('aes-256-gcm', sealing.key, bytes.subarray(0, ivBytes), { authTagLength: tagBytes })
  decipher.setAAD(associatedData(place))
  decipher.setAuthTag(bytes.subarray(-tagBytes))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(ivBytes, -tagBytes)), decipher.final()]).toString('utf8')
  } catch {
    // The library's own words say nothing more, and its error may hold the input.
    throw sealBroken(place, 'it was changed, or stands where it does not belong')
  }
}

/** Names hold no line break, so no two places give the same data. Other processes have other lines. */
function associatedData({ name, revision }: Place): Buffer {
  return Buffer.from(`${format}\n${name}\n${countOf(revision)}`, 'utf8')
}

function sealBroken({ name, revision }: Place, why: string): ZhongkongError {
  return new ZhongkongError(
    'seal_broken',
    `the record of ${name} (revision ${countOf(revision)}) cannot be opened: ${why}`,
    {
      hint: {
        en: 'Give back the encryption key with which the store was written, or remove this source from the store.',
        zh: '请使用写入该存储时的加密密钥，或从存储中移除该来源。',
      },
    },
  )
}
