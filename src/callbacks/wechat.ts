/**
 * WeChat: Official Accounts, Mini Programs, and third-party platforms. The check of the URL carries a plain signature and
 * is answered with its echostr as it came. Messages are plain or encrypted, XML or JSON.
 */
import { ciphertextOf, envelopeFacts, proveStamp, stampOf, unsealFor } from './envelope.ts'
import { plainType, type Scheme } from './scheme.ts'
import { utf8 } from './seal.ts'

const unitMs = 1_000

export const scheme: Scheme = {
  prove: (callback, post, query) => {
    if (post.method === 'GET') {
      const stamp = stampOf(query, 'signature')
      const text = query.get('echostr') ?? ''
      if (stamp === null || text === '') return { refused: 'malformed' }
      return proveStamp(callback, stamp, { text, isSealed: false, isEcho: true, unitMs })
    }
    // What is done depends on the request alone until the signature is right, so that time tells nothing about the source.
    const isSealed = query.has('msg_signature')
    const stamp = stampOf(query, isSealed ? 'msg_signature' : 'signature')
    const text = isSealed ? ciphertextOf(post.body, 'Encrypt') : utf8(post.body)
    if (stamp === null || text === null) return { refused: 'malformed' }
    const proof = proveStamp(callback, stamp, { text, isSealed, unitMs })
    if ('refused' in proof || isSealed === (callback.aesKey !== null)) return proof
    return { refused: isSealed ? 'encrypted' : 'plain' }
  },
  unseal: unsealFor,
  facts: envelopeFacts,
  acknowledge: () => ({ type: plainType, body: 'success' }),
  headers: [],
}
