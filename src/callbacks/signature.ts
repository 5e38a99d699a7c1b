/** The signature that WeChat, WeCom and DingTalk share. */
import { createHash } from 'node:crypto'
import { safeEqual } from '../base/secret.ts'

/** SHA-1 over the sorted values, joined with nothing, in hex. */
export function sortedSha1(values: readonly string[]): string {
  return createHash('sha1')
    .update([...values].sort(byUnit).join(''), 'utf8')
    .digest('hex')
}

/** Whether `told` is the signature of these values; in a time that says nothing about it. */
export function isSigned(told: string, values: readonly string[]): boolean {
  return safeEqual(told.toLowerCase(), sortedSha1(values))
}

/** Plain order by code unit, whatever the machine's language. */
function byUnit(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
