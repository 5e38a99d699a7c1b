/** What WeChat, WeCom and DingTalk have in common: parameters of the query, the envelope, and names in a message. */
import type { Json, JsonObject } from '../base/json.ts'
import type { Callback } from '../model/source.ts'
import { readJson } from './fields.ts'
import type { Facts, Proof, Refused } from './scheme.ts'
import { unseal, utf8 } from './seal.ts'
import { isSigned } from './signature.ts'

/** The parameters that every request has. */
export type Stamp = { readonly signature: string; readonly timestamp: string; readonly nonce: string }

/** Parameters longer than this are nobody's, in characters. */
const parameterMax = 256

/** The stamp under the names that the request uses; null unless all of it is there. */
export function stampOf(query: ReadonlyMap<string, string>, signatureName: string): Stamp | null {
  const signature = query.get(signatureName) ?? ''
  const timestamp = query.get('timestamp') ?? query.get('timeStamp') ?? ''
  const nonce = query.get('nonce') ?? ''
  if (!/^[0-9a-f]{40}$/i.test(signature) || !/^\d{1,13}$/.test(timestamp)) return null
  return nonce === '' || nonce.length > parameterMax ? null : { signature, timestamp, nonce }
}

export type Claim = Pick<Proof, 'text' | 'isSealed' | 'isEcho'> & {
  /** Milliseconds of one unit of the timestamp. */
  readonly unitMs: number
}

/** Proven, when the stamp's signature is that of token, timestamp, nonce and, if it is sealed, the text. */
export function proveStamp(callback: Callback, stamp: Stamp, { unitMs, ...claim }: Claim): Proof | Refused {
  const { signature, timestamp, nonce } = stamp
  const values = [callback.token.reveal(), timestamp, nonce, ...(claim.isSealed ? [claim.text] : [])]
  if (!isSigned(signature, values)) return { refused: 'signature' }
  return { ...claim, key: `${signature.toLowerCase()} ${timestamp} ${nonce}`, stampedAt: Number(timestamp) * unitMs }
}

/**
 * The ciphertext in a body, XML or JSON; null unless there is exactly one. It is looked for without parsing, because
 * nothing is proven before its signature is; what people wrote stands in CDATA and is passed over.
 */
export function ciphertextOf(body: Uint8Array, jsonKey: string): string | null {
  const text = utf8(body)?.trim() ?? ''
  if (text.startsWith('{')) {
    const sealed = readJson(text)?.[jsonKey]
    return typeof sealed === 'string' ? sealed : null
  }
  let found: string | null = null
  for (let at = text.indexOf('<'); at !== -1; at = text.indexOf('<', at)) {
    if (text.startsWith(cdata, at)) {
      const end = text.indexOf(']]>', at)
      if (end === -1) return null
      at = end
    } else if (text.startsWith('<Encrypt>', at)) {
      const end = text.indexOf('</Encrypt>', at)
      if (found !== null || end === -1) return null
      found = text.slice(at + '<Encrypt>'.length, end).trim()
      at = end
    }
    at += 1
  }
  return found?.startsWith(cdata) === true && found.endsWith(']]>') ? found.slice(cdata.length, -3).trim() : found
}

const cdata = '<![CDATA['

/** The text inside the shared envelope, if it was sealed for this source. */
export function unsealFor(callback: Callback, sealed: string): string | Refused {
  const opened = callback.aesKey === null ? null : unseal(sealed, callback.aesKey.reveal())
  if (opened === null) return { refused: 'undecipherable' }
  return callback.receiveIds.includes(opened.receiveId) ? opened.text : { refused: 'foreign' }
}

/** An authorizer comes before the receiver: a message about it is its own. */
const accountKeys = ['AuthorizerAppid', 'AuthCorpId', 'AppId', 'SuiteId', 'SuiteKey', 'CorpId']

export function envelopeFacts(fields: JsonObject): Facts {
  const first = (keys: readonly string[]): string | null =>
    keys.map((key) => textOf(fields[key])).find((text) => text !== null) ?? null
  return {
    type: textOf(fields.MsgType),
    event: first(['Event', 'InfoType', 'EventType']),
    account: first(accountKeys),
    createdAt: instantOf(fields.CreateTime ?? fields.TimeStamp),
  }
}

/** A text or number as text, trimmed; null when it is neither or nothing. */
export function textOf(value: Json | undefined): string | null {
  const text = typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : ''
  return text === '' ? null : text
}

/** Seconds (ten digits and fewer) or milliseconds since the epoch, as milliseconds; null for anything else. */
export function instantOf(value: Json | undefined): number | null {
  const text = textOf(value) ?? ''
  if (!/^\d{1,13}(?:\.\d{1,9})?$/.test(text)) return null
  const told = Number(text)
  return Math.floor(told < 100_000_000_000 ? told * 1_000 : told)
}
