/** Which Redis may keep tokens, and what people are told of it. */
import { describe, expect, it } from 'vitest'
import { checkServer } from './redis-checks.ts'

type Fields = Readonly<Record<string, string>>

const good = {
  redis_version: '7.2.4',
  maxmemory_policy: 'noeviction',
  maxmemory: '0',
  aof_enabled: '1',
  cluster_enabled: '0',
}

const infoOf = (fields: Fields): string =>
  ['# Server', ...Object.entries({ ...good, ...fields }).map((entry) => entry.join(':')), ''].join('\r\n')

const noticesOf = (fields: Fields, save: string | null = ''): string =>
  checkServer({ info: infoOf(fields), save }, 'single')
    .map(({ en }) => en)
    .join('\n')

describe('a Redis server', () => {
  it('that is new enough, keeps everything and writes it down is worth no word', () => {
    expect(noticesOf({})).toBe('')
    expect(noticesOf({ redis_version: '6.2.0', maxmemory_policy: 'volatile-lru', maxmemory: '1000' })).toBe('')
  })

  it.each(['6.0.16', '5.0', '2.8.17', ''])('of version %j is refused', (version) => {
    expect(() => noticesOf({ redis_version: version })).toThrow(/6\.2 or later/)
  })

  it('that throws keys away is refused, and one that only might is told of', () => {
    expect(() => noticesOf({ maxmemory_policy: 'allkeys-lru', maxmemory: '1' })).toThrow(/allkeys-lru/)
    expect(noticesOf({ maxmemory_policy: 'allkeys-random' })).toContain('allkeys-random')
  })

  it('that writes nothing to disk, or seldom, or does not tell, is told of', () => {
    expect(noticesOf({ aof_enabled: '0' }, '')).toContain('keeps nothing on disk')
    expect(noticesOf({ aof_enabled: '0' }, '3600 1 300 100')).toContain('only now and then')
    expect(noticesOf({ aof_enabled: '0' }, null)).toContain('does not tell')
  })

  it('of another kind than the URL says is refused with the right URL', () => {
    expect(() => noticesOf({ cluster_enabled: '1' })).toThrow(/is a node of a Cluster/)
    expect(() => checkServer({ info: infoOf({}), save: null }, 'cluster')).toThrow(/is not a node of a Cluster/)
  })
})
