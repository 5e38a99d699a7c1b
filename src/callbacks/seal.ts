/**
 * How platforms encrypt what they send. WeChat, WeCom and DingTalk share one envelope: AES-256-CBC over 16 random bytes, the
 * length of the text (four bytes, big-endian), the text, and the id of the receiver, padded to blocks of 32. Feishu has
 * its own. Neither proves anything by itself: what is opened here was signed, and that was checked before.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { sha256 } from '../base/secret.ts'

/** The block that the padding fills, in bytes: twice that of AES, so it is put on and taken off here. */
const paddingBytes = 32
const blockBytes = 16
const randomBytes = 16
const lengthBytes = 4

export type Sealing = {
  /** EncodingAESKey: 43 characters. */
  readonly key: string
  readonly receiveId: string
  /** Sixteen bytes that were never used before. */
  readonly random: Uint8Array
}

/** The text, encrypted for `receiveId`, in base64. */
export function seal(text: string, { key, receiveId, random }: Sealing): string {
  const content = Buffer.from(text, 'utf8')
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32BE(content.length)
  const plain = Buffer.concat([random, length, content, Buffer.from(receiveId, 'utf8')])
  const pad = paddingBytes - (plain.length % paddingBytes)
  const bytes = keyBytes(key)
  const cipher = createCipheriv('aes-256-cbc', bytes, bytes.subarray(0, blockBytes)).setAutoPadding(false)
  return Buffer.concat([cipher.update(plain), cipher.update(Buffer.alloc(pad, pad)), cipher.final()]).toString('base64')
}

/** The text and the id it was encrypted for; null when this was not sealed with that key. */
export function unseal(sealed: string, key: string): { readonly text: string; readonly receiveId: string } | null {
  const bytes = ciphertext(sealed)
  const secret = keyBytes(key)
  if (bytes === null) return null
  const padded = decrypt(bytes, secret, secret.subarray(0, blockBytes))
  const pad = padded.at(-1) ?? 0
  const end = padded.length - pad
  const start = randomBytes + lengthBytes
  if (pad < 1 || pad > paddingBytes || end < start) return null
  if (!padded.subarray(end).every((byte) => byte === pad)) return null
  const textEnd = start + padded.readUInt32BE(randomBytes)
  if (textEnd > end) return null
  const text = utf8(padded.subarray(start, textEnd))
  const receiveId = utf8(padded.subarray(textEnd, end))
  return text === null || receiveId === null ? null : { text, receiveId }
}

/** What Feishu encrypted: the key is a hash of the Encrypt Key, the first block the initialisation vector. */
export function unsealFeishu(sealed: string, encryptKey: string): string | null {
  const bytes = ciphertext(sealed)
  if (bytes === null || bytes.length < 2 * blockBytes) return null
  const padded = decrypt(bytes.subarray(blockBytes), sha256(encryptKey), bytes.subarray(0, blockBytes))
  const pad = padded.at(-1) ?? 0
  const end = padded.length - pad
  if (pad < 1 || pad > blockBytes || !padded.subarray(end).every((byte) => byte === pad)) return null
  return utf8(padded.subarray(0, end))
}

/** Bytes as a text; null when they are no UTF-8. */
export function utf8(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes)
  } catch {
    return null
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

/** 43 characters are 258 bits: the last two mean nothing, and real keys have them set. So this decodes as it comes. */
function keyBytes(key: string): Buffer {
  return Buffer.from(`${key}=`, 'base64')
}

/** Whole blocks out of base64, or null. */
function ciphertext(sealed: string): Buffer | null {
  if (sealed === '' || sealed.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(sealed)) return null
  const bytes = Buffer.from(sealed, 'base64')
  return bytes.length % blockBytes === 0 ? bytes : null
}

function decrypt(bytes: Uint8Array, key: Uint8Array, vector: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-cbc', key, vector).setAutoPadding(false)
  return Buffer.concat([decipher.update(bytes), decipher.final()])
}
