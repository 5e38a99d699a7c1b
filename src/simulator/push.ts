/**
 * A message as a platform pushes it to a callback address: encrypted, signed, and posted. It knows nothing of what the
 * messages mean. WeChat, WeCom and DingTalk share one envelope, Feishu has its own.
 */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import type { Random } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import { parseObject, textOf } from './json-body.ts'

export const pushSchemes = ['wechat', 'wecom', 'dingtalk', 'feishu'] as const
export type PushScheme = (typeof pushSchemes)[number]

/** Where a platform pushes to, and by which secrets the receiver knows it. */
export type PushTarget = {
  readonly url: string
  readonly scheme: PushScheme
  /** What the platform signs with; Feishu's Verification Token, which stands in the message. */
  readonly token: string
  /** EncodingAESKey, or Feishu's Encrypt Key. */
  readonly key: string
  /** What the shared envelope ends in. */
  readonly receiveId: string
}

type Moment = { readonly now: number; readonly random: Random }

/** The request by which `message` is pushed at this moment. Fields of WeChat and WeCom become elements of XML. */
export function pushRequest(target: PushTarget, message: JsonObject, moment: Moment): Request {
  const { url, scheme, key } = target
  const { now, random } = moment
  const nonce = hex(random, 8)
  if (scheme === 'feishu') {
    const body = JSON.stringify({
      encrypt: sealFeishu(JSON.stringify({ ...message, token: target.token }), key, random),
    })
    const timestamp = String(Math.floor(now / 1_000))
    const signature = createHash('sha256').update(`${timestamp}${nonce}${key}${body}`).digest('hex')
    return post(url, body, {
      'content-type': 'application/json',
      'x-lark-signature': signature,
      'x-lark-request-timestamp': timestamp,
      'x-lark-request-nonce': nonce,
    })
  }
  const isXml = scheme !== 'dingtalk'
  const timestamp = String(isXml ? Math.floor(now / 1_000) : now)
  const sealed = seal(isXml ? xmlOf(message) : JSON.stringify(message), target, random)
  const signature = sign([target.token, timestamp, nonce, sealed])
  const address = new URL(url)
  if (scheme === 'wechat') {
    address.searchParams.set('signature', sign([target.token, timestamp, nonce]))
    address.searchParams.set('encrypt_type', 'aes')
  }
  address.searchParams.set(isXml ? 'msg_signature' : 'signature', signature)
  address.searchParams.set('timestamp', timestamp)
  address.searchParams.set('nonce', nonce)
  if (!isXml) return post(address.href, JSON.stringify({ encrypt: sealed }), { 'content-type': 'application/json' })
  const outer = scheme === 'wechat' ? { AppId: target.receiveId } : { ToUserName: target.receiveId, AgentID: '' }
  return post(address.href, xmlOf({ ...outer, Encrypt: sealed }), { 'content-type': 'text/xml' })
}

/** Whether an answer says: taken, do not send it again. DingTalk wants that encrypted and signed. */
export async function isTaken(target: PushTarget, response: Response): Promise<boolean> {
  const text = await response.text()
  if (response.status !== 200) return false
  if (target.scheme === 'feishu') return true
  if (target.scheme !== 'dingtalk') return text === '' || text === 'success'
  const answer = parseObject(text)
  const [encrypt, timeStamp] = [textOf(answer, 'encrypt') ?? '', textOf(answer, 'timeStamp') ?? '']
  const signed = sign([target.token, timeStamp, textOf(answer, 'nonce') ?? '', encrypt])
  return textOf(answer, 'msg_signature') === signed && unseal(encrypt, target) === 'success'
}

function post(url: string, body: string, headers: Readonly<Record<string, string>>): Request {
  return new Request(url, { method: 'POST', body, headers: { 'user-agent': 'Mozilla/4.0', ...headers } })
}

function xmlOf(fields: JsonObject): string {
  const elements = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'number' ? String(value) : `<![CDATA[${typeof value === 'string' ? value : ''}]]>`
    return `<${name}>${text}</${name}>`
  })
  return `<xml>${elements.join('')}</xml>`
}

function sign(values: readonly string[]): string {
  return createHash('sha1')
    .update([...values].sort((left, right) => (left < right ? -1 : 1)).join(''))
    .digest('hex')
}

/** Sixteen bytes of chance, four of length, the text, the receiver, and padding to blocks of 32. */
function seal(text: string, { key, receiveId }: PushTarget, random: Random): string {
  const content = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  const plain = Buffer.concat([random.bytes(16), length, content, Buffer.from(receiveId)])
  const pad = 32 - (plain.length % 32)
  const secret = Buffer.from(`${key}=`, 'base64')
  const cipher = createCipheriv('aes-256-cbc', secret, secret.subarray(0, 16)).setAutoPadding(false)
  return Buffer.concat([cipher.update(Buffer.concat([plain, Buffer.alloc(pad, pad)])), cipher.final()]).toString(
    'base64',
  )
}

/** The text that was sealed for this receiver; null for anything else. */
function unseal(sealed: string, { key, receiveId }: PushTarget): string | null {
  try {
    const secret = Buffer.from(`${key}=`, 'base64')
    const decipher = createDecipheriv('aes-256-cbc', secret, secret.subarray(0, 16)).setAutoPadding(false)
    const padded = Buffer.concat([decipher.update(Buffer.from(sealed, 'base64')), decipher.final()])
    const plain = padded.subarray(16, padded.length - (padded.at(-1) ?? 0))
    const end = 4 + plain.readUInt32BE(0)
    return plain.subarray(end).toString() === receiveId ? plain.subarray(4, end).toString() : null
  } catch {
    return null // Not sealed with this key, which is all that was asked.
  }
}

function sealFeishu(text: string, key: string, random: Random): string {
  const vector = random.bytes(16)
  const cipher = createCipheriv('aes-256-cbc', createHash('sha256').update(key).digest(), vector)
  return Buffer.concat([vector, cipher.update(text, 'utf8'), cipher.final()]).toString('base64')
}

function hex(random: Random, bytes: number): string {
  return Buffer.from(random.bytes(bytes)).toString('hex')
}
