/** Rows and places as texts, and the slots of keys. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc16, livingOf, placeOf, RedisLayout, recordOf, shardOf } from './redis-layout.ts'

describe('places', () => {
  it('sort as their instants do, from the first to the last that can be written', () => {
    const instant = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(instant, instant, (left, right) => {
        const [one, other] = [placeOf(left), placeOf(right)]
        expect(one).toHaveLength(17)
        expect(one < other).toBe(left < right)
        expect(recordOf(`1 2 3 ${one} +x`)?.dueAt).toBe(left)
      }),
    )
  })
})

describe('rows', () => {
  it('hold any body, the empty one too, and removed names', () => {
    const row = `7 8 9 ${placeOf(5)} `
    expect(recordOf(`${row}+a +b\nc`)).toEqual({ revision: 7, body: 'a +b\nc', dueAt: 5 })
    expect(recordOf(`${row}+`)).toEqual({ revision: 7, body: '', dueAt: 5 })
    expect(recordOf(`${row}-`)).toEqual({ revision: 7, body: null, dueAt: 5 })
    expect(livingOf('a', `${row}-`)).toBeNull()
    expect(recordOf('something else')).toBeNull()
  })
})

describe('keys', () => {
  it('of a shard share what is in braces', () => {
    const layout = new RedisLayout('zk')
    expect(layout.shardKeys(3)).toEqual(['shard', 'entries', 'due', 'names', 'log'].map((key) => `{zk:3}:${key}`))
    expect(layout.metaKey).toBe('{zk:0}:meta')
  })

  it('get the slot that Redis Cluster gives them', () => {
    // The value that the specification of Redis Cluster gives for checking.
    expect(crc16('123456789')).toBe(0x31c3)
  })

  it('spread names over all shards', () => {
    const shards = Array.from({ length: 1_000 }, (_, index) => shardOf(`source-${index}`, 16))
    for (let shard = 0; shard < 16; shard += 1) {
      expect(shards.filter((each) => each === shard).length).toBeGreaterThan(30)
    }
    expect(shardOf('anything', 1)).toBe(0)
  })
})
