/**
 * Feishu and Lark: JSON. With an Encrypt Key the request is signed in its headers, but for the check of the URL, which may
 * come without a signature; so that is the one thing believed because it could be decrypted and holds the token. Without a
 * key nothing is signed, and the Verification Token in the body is all the proof there is.
 */
import { createHash } from 'node:crypto'
import { isJsonObject } from '../base/json.ts'
import { safeEqual, sha256 } from '../base/secret.ts'
import { ciphertextOf, instantOf, textOf } from './envelope.ts'
import { jsonType, type Proof, type Scheme } from './scheme.ts'
import { unsealFeishu, utf8 } from './seal.ts'

const headers = ['x-lark-signature', 'x-lark-request-timestamp', 'x-lark-request-nonce'] as const

export const scheme: Scheme = {
  prove: (callback, post) => {
    const text = utf8(post.body)
    if (post.method === 'GET' || text === null) return { refused: 'malformed' }
    const sealed = ciphertextOf(post.body, 'encrypt')
    const key = callback.aesKey?.reveal() ?? ''
    const [signature = '', timestamp = '', nonce = ''] = headers.map((name) => post.header(name) ?? '')
    const signed = createHash('sha256').update(`${timestamp}${nonce}${key}`).update(post.body).digest('hex')
    const isSigned = safeEqual(signature.toLowerCase(), signed)
    if ((sealed !== null) !== (callback.aesKey !== null)) return { refused: sealed === null ? 'plain' : 'encrypted' }
    const proof: Proof = {
      key: sha256(text).toString('base64url'),
      stampedAt: null,
      text: sealed ?? text,
      isSealed: sealed !== null,
    }
    if (sealed === null) return proof
    if (signature === '') return { ...proof, isCheckOnly: true }
    const stampedAt = instantOf(timestamp)
    if (!isSigned) return { refused: 'signature' }
    return stampedAt === null ? { refused: 'malformed' } : { ...proof, stampedAt }
  },
  unseal: ({ aesKey }, sealed) => {
    const text = aesKey === null ? null : unsealFeishu(sealed, aesKey.reveal())
    return text ?? { refused: 'undecipherable' }
  },
  judge: (callback, fields, { isCheckOnly }) => {
    const { header } = fields
    const token = isJsonObject(header) ? header.token : fields.token
    if (typeof token !== 'string' || !safeEqual(token, callback.token.reveal())) return { refused: 'signature' }
    if (fields.type === 'url_verification') {
      const challenge = textOf(fields.challenge)
      if (challenge === null) return { refused: 'malformed' }
      return { check: { type: jsonType, body: JSON.stringify({ challenge }) } }
    }
    return isCheckOnly === true ? { refused: 'signature' } : null
  },
  facts: (fields) => {
    const header = isJsonObject(fields.header) ? fields.header : {}
    const event = isJsonObject(fields.event) ? fields.event : {}
    return {
      type: textOf(fields.type),
      event: textOf(header.event_type ?? event.type),
      account: textOf(header.app_id ?? event.app_id),
      createdAt: instantOf(header.create_time ?? fields.ts),
    }
  },
  acknowledge: () => ({ type: jsonType, body: '{}' }),
  headers,
}
