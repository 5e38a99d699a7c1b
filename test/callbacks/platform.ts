/** The platforms' side of a callback: requests as they send them. */
import { createCipheriv, createHash } from 'node:crypto'
import { Secret } from '../../src/base/secret.ts'
import type { Post } from '../../src/callbacks/scheme.ts'
import { seal } from '../../src/callbacks/seal.ts'
import { sortedSha1 } from '../../src/callbacks/signature.ts'
import type { Callback, CallbackScheme, ForwardTarget } from '../../src/model/source.ts'

export const token = 'AAAAA'
export const aesKey = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'
export const receiveId = 'wx1'
/** 2027-01-15, in seconds. */
export const nowSeconds = 1_800_000_000
export const now = nowSeconds * 1_000

export function callbackOf(scheme: CallbackScheme, more: Partial<Callback> = {}): Callback {
  return {
    scheme,
    token: new Secret(token),
    aesKey: new Secret(aesKey),
    receiveIds: [receiveId],
    forward: [],
    maxAgeSeconds: 300,
    ...more,
  }
}

export const plain = { aesKey: null }

export function target(to: string, more: Partial<ForwardTarget> = {}): ForwardTarget {
  return { to, types: null, events: null, accounts: null, ...more }
}

export function post(query: Readonly<Record<string, string>> | string, body: string, more: Partial<Post> = {}): Post {
  const search = typeof query === 'string' ? query : `?${new URLSearchParams(query).toString()}`
  return { method: 'POST', search, header: () => null, body: Buffer.from(body), ...more }
}

export function get(query: Readonly<Record<string, string>>): Post {
  return post(query, '', { method: 'GET' })
}

let count = 0
/** Sixteen bytes that differ each time. */
const random16 = (): Buffer => Buffer.from(String((count += 1)).padStart(16, '0'))

export type Sending = {
  readonly token?: string
  readonly key?: string
  readonly receiveId?: string
  readonly timestamp?: string
  readonly nonce?: string
}

const defaults = { token, key: aesKey, receiveId, timestamp: String(nowSeconds), nonce: 'n' }

/** What a plain signature covers: no body. */
export function plainQuery(sending: Sending = {}) {
  const { token: signing, timestamp, nonce } = { ...defaults, ...sending }
  return { signature: sortedSha1([signing, timestamp, nonce]), timestamp, nonce }
}

/** An encrypted message of WeChat: both signatures, as WeChat sends them. */
export function sealedXml(text: string, sending: Sending = {}): Post {
  const { encrypt, query } = sealed(text, sending)
  const body = `<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`
  return post({ ...plainQuery(sending), ...query, encrypt_type: 'aes' }, body)
}

export function sealed(text: string, sending: Sending = {}) {
  const { token: signing, key, receiveId: id, timestamp, nonce } = { ...defaults, ...sending }
  const encrypt = seal(text, { key, receiveId: id, random: random16() })
  return { encrypt, query: { msg_signature: sortedSha1([signing, timestamp, nonce, encrypt]), timestamp, nonce } }
}

export function sealedDingtalk(text: string, sending: Sending = {}): Post {
  const { encrypt, query } = sealed(text, { timestamp: String(now), ...sending })
  const { msg_signature: signature, timestamp, nonce } = query
  return post({ signature, timestamp, nonce }, JSON.stringify({ encrypt }))
}

export const encryptKey = 'feishu-encrypt-key'

export function sealFeishu(text: string, key = encryptKey): string {
  const vector = random16()
  const cipher = createCipheriv('aes-256-cbc', createHash('sha256').update(key).digest(), vector)
  return Buffer.concat([vector, cipher.update(text, 'utf8'), cipher.final()]).toString('base64')
}

/** An encrypted event of Feishu, signed in its headers unless `isSigned` is false. */
export function sealedFeishu(value: unknown, { isSigned = true, key = encryptKey, timestamp = nowSeconds } = {}): Post {
  const body = JSON.stringify({ encrypt: sealFeishu(JSON.stringify(value), key) })
  if (!isSigned) return post('', body)
  const signature = createHash('sha256').update(`${timestamp}n${key}${body}`).digest('hex')
  const headers: Readonly<Record<string, string>> = {
    'x-lark-signature': signature,
    'x-lark-request-timestamp': String(timestamp),
    'x-lark-request-nonce': 'n',
  }
  return post('', body, { header: (name) => headers[name] ?? null })
}

export const textMessage = (content: string, id = '4561255354251345929'): string =>
  `<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>${nowSeconds}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[${content}]]></Content><MsgId>${id}</MsgId></xml>`
