/** WeCom (企业微信): everything is encrypted, the echostr of the URL check too, which is answered with what is in it. */
import { ciphertextOf, envelopeFacts, proveStamp, stampOf, unsealFor } from './envelope.ts'
import { plainType, type Scheme } from './scheme.ts'

export const scheme: Scheme = {
  prove: (callback, post, query) => {
    const isEcho = post.method === 'GET'
    const stamp = stampOf(query, 'msg_signature')
    // A plus sign that was not escaped became a space on its way; base64 has no spaces.
    const sealed = isEcho ? query.get('echostr')?.replaceAll(' ', '+') : ciphertextOf(post.body, 'Encrypt')
    if (stamp === null || sealed === null || sealed === undefined) return { refused: 'malformed' }
    return proveStamp(callback, stamp, {
      text: sealed,
      isSealed: true,
      ...(isEcho ? { isEcho } : {}),
      unitMs: 1_000,
    })
  },
  unseal: unsealFor,
  facts: envelopeFacts,
  acknowledge: () => ({ type: plainType, body: 'success' }),
  headers: [],
}
