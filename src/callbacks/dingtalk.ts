/**
 * DingTalk over HTTP: JSON with one member `encrypt`, a timestamp in milliseconds, and an answer that is the word `success`,
 * encrypted and signed. A plain `success` is not accepted.
 */
import { ciphertextOf, envelopeFacts, proveStamp, stampOf, unsealFor } from './envelope.ts'
import { jsonType, type Scheme } from './scheme.ts'
import { seal } from './seal.ts'
import { sortedSha1 } from './signature.ts'

export const scheme: Scheme = {
  prove: (callback, post, query) => {
    const stamp = stampOf(query, query.has('msg_signature') ? 'msg_signature' : 'signature')
    const sealed = post.method === 'POST' ? ciphertextOf(post.body, 'encrypt') : null
    if (stamp === null || sealed === null) return { refused: 'malformed' }
    return proveStamp(callback, stamp, { text: sealed, isSealed: true, unitMs: 1 })
  },
  unseal: unsealFor,
  judge: (_callback, fields) => (fields.EventType === 'check_url' ? { check: null } : null),
  facts: envelopeFacts,
  acknowledge: ({ token, aesKey, receiveIds }, { now, random }) => {
    const timeStamp = String(now)
    const nonce = Buffer.from(random(8)).toString('hex')
    const [receiveId = ''] = receiveIds
    const encrypt = seal('success', { key: aesKey?.reveal() ?? '', receiveId, random: random(16) })
    const msg_signature = sortedSha1([token.reveal(), timeStamp, nonce, encrypt])
    return { type: jsonType, body: JSON.stringify({ msg_signature, timeStamp, nonce, encrypt }) }
  },
  headers: [],
}
