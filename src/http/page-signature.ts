/**
 * Signatures of pages and cards. All platforms sign a page alike: the ticket, a nonce, a timestamp and the page's address,
 * as the browser has it but for the fragment. Cards are signed over their sorted values.
 */
import { createHash } from 'node:crypto'

export type PageToSign = {
  readonly ticket: string
  readonly nonce: string
  readonly timestamp: number | string
  readonly url: string
}

export function pageSignature({ ticket, nonce, timestamp, url }: PageToSign): string {
  return sha1(`jsapi_ticket=${ticket}&noncestr=${nonce}&timestamp=${timestamp}&url=${url}`)
}

/** The signature of a card: the ticket is one of the values. Empty ones change nothing. */
export function cardSignature(values: readonly string[]): string {
  return sha1(values.toSorted((left, right) => (left < right ? -1 : 1)).join(''))
}

function sha1(text: string): string {
  return createHash('sha1').update(text, 'utf8').digest('hex')
}

/** Longer addresses are not signed, in characters. */
const addressLengthMax = 4_096

/** A page's address: what is signed, and the host by which it is admitted. */
export type Page = { readonly signed: string; readonly host: string }

/**
 * The page that an address names; null for what no browser has as the address of a page: another scheme, a user name,
 * a blank or a control character, a backslash. What is signed is the text itself, as every platform compares it with the
 * browser's; only one that was decoded on its way, which no browser has, is encoded again.
 */
export function pageOf(address: string): Page | null {
  if (address.length > addressLengthMax || !/^https?:\/\/[^/]/i.test(address)) return null
  if (/[\u0000-\u0020\u007f\\]/.test(address) || !URL.canParse(address)) return null
  const url = new URL(address)
  if (url.username !== '' || url.password !== '' || /^[^/?#]*\/\/[^/?#]*@/.test(address)) return null
  url.hash = ''
  const cut = address.replace(/#.*$/s, '')
  return { signed: /^[!-~]*$/.test(cut) ? cut : url.href, host: url.host }
}

/**
 * The same for DingTalk, whose clients on iOS and Android disagree about the encoding of the query: its own samples sign
 * the decoded one.
 */
export function dingtalkAddress(signed: string): string {
  const at = signed.indexOf('?')
  if (at === -1) return signed
  try {
    return `${signed.slice(0, at)}?${decodeURIComponent(signed.slice(at + 1).replaceAll('+', ' '))}`
  } catch {
    return signed
  }
}
