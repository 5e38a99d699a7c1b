/**
 * The backup file: lines of text, of which only the first can be read without the key.
 *
 *   {"zhongkong-backup":1,"id":"…","key":"…","madeAt":…}   format, a random id, the name of the key, epoch ms
 *   BASE64URL                                              one entry: AES-256-GCM of its name, a line break, the entry
 *   …
 *   end BASE64URL                                          the number of entries, sealed likewise
 *
 * Each file has a key of its own, derived from the key that is named and the file's id, so the number of a line may serve as
 * its nonce. That and the first line as associated data make every change visible: a line changed, moved, taken
 * from another file or left out does not open, and a file that is cut short has no end.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { isJsonObject } from '../../base/json.ts'
import type { Entry } from '../../model/entry.ts'
import { decodeEntry, encodeEntry } from '../../stores/entry-codec.ts'
import type { Keyring, SealingKey } from '../../stores/keyring.ts'
import { CliFault } from '../fault.ts'

const version = 1
const tagBytes = 16
const nonceBytes = 12
const endWord = 'end '
/** Every backup begins with this, so that one is known from other files. */
export const firstWords = '{"zhongkong-backup":'

export type Header = { readonly id: string; readonly key: string; readonly madeAt: number }
export type Kept = { readonly name: string; readonly entry: Entry }

type Part = 'entry' | 'end'

/** Seals the lines of one file. */
export class BackupWriter {
  readonly header: string
  readonly #key: Uint8Array
  #count = 0

  constructor(key: SealingKey, { id, madeAt }: Omit<Header, 'key'>) {
    this.header = JSON.stringify({ 'zhongkong-backup': version, id, key: key.id, madeAt })
    this.#key = fileKey(key, id)
  }

  get count(): number {
    return this.#count
  }

  entry({ name, entry }: Kept): string {
    return this.#seal('entry', `${name}\n${encodeEntry(entry)}`)
  }

  /** The last line; nothing may follow it. */
  end(): string {
    return endWord + this.#seal('end', String(this.#count))
  }

  #seal(part: Part, text: string): string {
    const nonce = nonceOf(this.#count + 1)
    if (part === 'entry') this.#count += 1
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagBytes })
    cipher.setAAD(associatedData(this.header, part))
    return Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url')
  }
}

export type BackupRead = { readonly header: Header; readonly count: number }

/**
 * Reads a backup from its lines, and hands on each entry as it comes. What it has handed on counts only when it
 * returns: then the file was whole, to the last line. Throws a `CliFault` that says what is wrong with it.
 */
export async function readBackup(
  lines: AsyncIterable<string>,
  keyrings: readonly Keyring[],
  onEntry: (kept: Kept) => Promise<void>,
): Promise<BackupRead> {
  let header: Header | null = null
  let open: ((part: Part, count: number, text: string) => string) | null = null
  let count = 0
  let isWhole = false
  for await (const line of lines) {
    if (header === null || open === null) {
      header = parseHeader(line)
      open = opening(line, header, keyrings)
      continue
    }
    if (isWhole) throw damaged(count + 3)
    if (line.startsWith(endWord)) {
      if (open('end', count + 1, line.slice(endWord.length)) !== String(count)) throw damaged(count + 2)
      isWhole = true
      continue
    }
    count += 1
    await onEntry(parseKept(open('entry', count, line), count))
  }
  if (header === null) throw noBackup()
  if (!isWhole) throw cutShort(count)
  return { header, count }
}

function opening(
  line: string,
  { id, key }: Header,
  keyrings: readonly Keyring[],
): (part: Part, count: number, text: string) => string {
  const sealing = keyrings.map(({ byId }) => byId.get(key)).find((each) => each !== undefined)
  if (sealing === undefined) throw otherKey(key)
  const secret = fileKey(sealing, id)
  return (part, count, text) => {
    const bytes = Buffer.from(text, 'base64url')
    // Node reads base64url leniently; what it would skip was not written by us.
    if (bytes.length < tagBytes || bytes.toString('base64url') !== text) throw damaged(count + 1)
    const decipher = createDecipheriv('aes-256-gcm', secret, nonceOf(count), { authTagLength: tagBytes })
    decipher.setAAD(associatedData(line, part))
    decipher.setAuthTag(bytes.subarray(-tagBytes))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]).toString('utf8')
    } catch {
      // The library's own words say nothing more.
      throw damaged(count + 1)
    }
  }
}

function parseKept(text: string, count: number): Kept {
  const at = text.indexOf('\n')
  if (at < 1) throw damaged(count + 1)
  return { name: text.slice(0, at), entry: decodeEntry(text.slice(at + 1)) }
}

function parseHeader(line: string): Header {
  if (!line.startsWith(firstWords)) throw noBackup()
  let header: unknown
  try {
    header = JSON.parse(line)
  } catch {
    throw damaged(1)
  }
  if (!isJsonObject(header)) throw damaged(1)
  const { 'zhongkong-backup': format, id, key, madeAt } = header
  if (typeof format === 'number' && format > version) throw newer(format)
  if (format !== version || typeof id !== 'string' || typeof key !== 'string' || typeof madeAt !== 'number') {
    throw damaged(1)
  }
  return { id, key, madeAt }
}

function fileKey({ key }: SealingKey, id: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, Buffer.from(id, 'utf8'), 'zhongkong backup', 32))
}

function nonceOf(count: number): Buffer {
  const nonce = Buffer.alloc(nonceBytes)
  nonce.writeBigUInt64BE(BigInt(count), nonceBytes - 8)
  return nonce
}

function associatedData(header: string, part: Part): Buffer {
  return Buffer.from(`${part}\n${header}`, 'utf8')
}

const nothingRestored = { en: 'Nothing was restored. Use another copy.', zh: '没有恢复任何内容，请使用另一份备份。' }

function noBackup(): CliFault {
  return new CliFault(1, { en: 'this is no backup of zhongkong', zh: '这不是 zhongkong 的备份文件' })
}

function damaged(line: number): CliFault {
  return new CliFault(
    1,
    {
      en: `the backup is damaged: line ${line} was changed, or does not belong there`,
      zh: `备份已损坏：第 ${line} 行被改动，或不属于此处`,
    },
    nothingRestored,
  )
}

function cutShort(count: number): CliFault {
  const text = {
    en: `the backup is cut short: it ends after ${count} entries, without its last line`,
    zh: `备份不完整：在 ${count} 条记录之后中断，缺少末行`,
  }
  return new CliFault(1, text, nothingRestored)
}

function newer(format: number): CliFault {
  return new CliFault(1, {
    en: `the backup has format ${format}, of a newer zhongkong; this one reads format ${version}`,
    zh: `备份格式为 ${format}，由更新版本的 zhongkong 写入；本版本支持格式 ${version}`,
  })
}

function otherKey(id: string): CliFault {
  return new CliFault(
    1,
    {
      en: `the backup was made with another key (its name is ${id.slice(0, 40)})`,
      zh: `备份使用了另一个密钥（标识为 ${id.slice(0, 40)}）`,
    },
    {
      en: 'Give that key with --key FILE. For a SQLite store without encryption_key it is the file beside the database, such as zhongkong.db.key.',
      zh: '请用 --key 文件 提供该密钥。未设置 encryption_key 的 SQLite 存储，其密钥是数据库旁边的文件，如 zhongkong.db.key。',
    },
  )
}
