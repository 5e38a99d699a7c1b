import { expect, test } from 'vitest'
import { createBlocks } from '../../src/http/event-text.ts'

test('a fact is written once for each language, however many have missed it', () => {
  let looks = 0
  const event = {
    type: 'rotated' as const,
    name: 'weixin',
    at: 1_000,
    version: 2,
    expiresAt: 9_000,
    get reason() {
      looks += 1
      return 'due'
    },
  }
  const blockOf = createBlocks((seq) => `run-${seq}`)
  const fact = { seq: 7, event }
  const blocks = Array.from({ length: 100 }, () => blockOf(fact, 'en'))
  expect(new Set(blocks)).toEqual(
    new Set([
      'id: run-7\nevent: rotated\ndata: {"type":"rotated","at":1,"name":"weixin","version":2,"expires_at":9,"reason":"due"}\n\n',
    ]),
  )
  expect(looks).toBe(1)
  blockOf(fact, 'zh')
  expect(looks).toBe(2)
  expect(blockOf({ seq: 8, event }, 'en')).toMatch(/^id: run-8\n/)
})
