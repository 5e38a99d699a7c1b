import { describe, expect, it } from 'vitest'
import type { ZhongkongEvent } from '../model/event.ts'
import { demoLine } from './demo-event.ts'
import { widthOf } from './terminal.ts'

const failing: ZhongkongEvent = {
  type: 'failing',
  at: 0,
  name: 'weixin',
  class: 'not-sent',
  failure: {
    code: 'upstream_unreachable',
    message: 'no connection (ECONNREFUSED)',
    hint: { en: 'No connection could be made.', zh: '无法建立连接。' },
  },
}

describe('a line of the demo', () => {
  it('is in the language of the reader, failures included', () => {
    expect(demoLine(failing, 'en')).toMatch(/^\d\d:\d\d:\d\d {2}weixin {11}failing: no connection \(ECONNREFUSED\)$/)
    expect(demoLine(failing, 'zh')).toMatch(/ {2}weixin {11}获取失败：无法建立连接。$/)
  })

  it('fits 80 columns', () => {
    const at = 0
    const events: ZhongkongEvent[] = [
      failing,
      { type: 'rotated', at, name: 'weixin_jsticket', version: 123, expiresAt: 7_200_000, reason: 'due' },
      { type: 'recovered', at, name: 'weixin', failures: 100 },
      { type: 'reported', at, name: 'weixin', version: 100 },
      { type: 'conflict', at, name: 'weixin', deaths: 2, sign: 'refused', since: at },
    ]
    for (const language of ['en', 'zh'] as const) {
      for (const event of events) expect(widthOf(demoLine(event, language) ?? '')).toBeLessThanOrEqual(80)
    }
  })
})
