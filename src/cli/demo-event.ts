/** What the demo shows of an event: one short line, in the reader's language. */
import { formatDuration } from '../base/duration.ts'
import type { Language, Text } from '../base/text.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import { pad, printable } from './terminal.ts'

/** Null for events that would only distract from the rotations. */
export function demoLine(event: ZhongkongEvent, language: Language): string | null {
  const words = wordsOf(event)
  if (words === null) return null
  const time = new Date(event.at).toTimeString().slice(0, 8)
  const source = 'name' in event ? event.name : '-'
  return `${time}  ${pad(source, 16)} ${printable(words[language])}`
}

function wordsOf(event: ZhongkongEvent): Text | null {
  switch (event.type) {
    case 'rotated': {
      const left = formatDuration(event.expiresAt - event.at)
      return {
        en: `new token: version ${event.version}, lives ${left}`,
        zh: `新令牌：版本 ${event.version}，有效 ${left}`,
      }
    }
    case 'repeated':
      return { en: 'the upstream gave the same token again', zh: '上游返回了相同的令牌' }
    case 'failing':
      return {
        en: `failing: ${event.failure.message}`,
        zh: `获取失败：${event.failure.hint?.zh ?? event.failure.message}`,
      }
    case 'recovered':
      return { en: `works again after ${event.failures} failures`, zh: `连续失败 ${event.failures} 次后恢复正常` }
    case 'reported':
      return {
        en: `version ${event.version} was reported as refused`,
        zh: `有调用方报告：版本 ${event.version} 已被上游拒绝`,
      }
    case 'expired':
      return { en: 'the token ended before a new one came', zh: '令牌已到期，新令牌尚未获取到' }
    case 'conflict':
      return { en: 'somebody else fetches tokens for this account', zh: '有其他程序在获取该账号的令牌' }
    case 'conflict-over':
      return { en: 'nobody else fetches for this account any more', zh: '已没有其他程序在获取该账号的令牌' }
    case 'false-reports':
      return { en: 'a client reports living tokens as dead', zh: '有调用方把有效的令牌报告为失效' }
    case 'authorized':
      return { en: 'authorised', zh: '已授权' }
    case 'revoked':
      return { en: 'the platform withdrew its authorisation', zh: '平台已取消授权' }
    case 'push-late':
      return { en: 'the platform pushes no ticket', zh: '平台没有推送票据' }
    case 'push-asked':
      return event.failure === null
        ? { en: 'asked the platform to push its ticket again', zh: '已请平台重新推送票据' }
        : { en: 'the platform could not be asked to push again', zh: '请平台重新推送票据未成功' }
    case 'attempted':
    case 'probed':
    case 'grant-at-risk':
    case 'strayed':
    case 'uncommitted':
    case 'added':
    case 'changed':
    case 'removed':
    case 'store-lost':
    case 'store-back':
    case 'callback-refused':
    case 'forward-failed':
    case 'sink-failing':
    case 'sink-recovered':
    case 'sink-dropped':
      return null
  }
}
