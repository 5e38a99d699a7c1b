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

const target = { kind: 'single', wait: 0 } as const
type Target = Parameters<typeof checkServer>[1]
const told = { save: '', appendfsync: 'everysec' }

const noticesOf = (fields: Fields, settings: Parameters<typeof checkServer>[0]['settings'] = told): string =>
  checkServer({ info: infoOf(fields), settings }, target)
    .map(({ en, isCalm }) => `${isCalm === true ? 'calm: ' : ''}${en}`)
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
    expect(noticesOf({ aof_enabled: '0' })).toContain('keeps nothing on disk')
    expect(noticesOf({ aof_enabled: '0' }, { ...told, save: '3600 1 300 100' })).toContain('only now and then')
    expect(noticesOf({}, { ...told, appendfsync: 'no' })).toContain('appendfsync no')
  })

  it('that may not be looked at is told of calmly, once', () => {
    expect(noticesOf({ aof_enabled: '0' }, null)).toMatch(/^calm: .*does not tell.*CONFIG is forbidden/)
    expect(noticesOf({}, null)).toMatch(/^calm: .*CONFIG is forbidden\)\.$/)
  })

  it('whose replicas no write waits for, or of which there are too few, is told of', () => {
    const of = (replicas: number, over: Partial<Target>): string[] => {
      const info = infoOf({ connected_slaves: String(replicas) })
      return checkServer({ info, settings: told }, { ...target, ...over }).map(({ en }) => en)
    }
    expect(of(0, {})).toEqual([])
    expect(of(1, { wait: 1 })).toEqual([])
    expect(of(1, {})).toEqual([expect.stringContaining('?wait=1')])
    expect(of(0, { kind: 'sentinel' })).toEqual([expect.stringContaining('?wait=1')])
    expect(of(1, { wait: 2 })).toEqual([expect.stringMatching(/waits for 2 .* 1 are connected/)])
  })

  it('of another kind than the URL says is refused with the right URL', () => {
    expect(() => noticesOf({ cluster_enabled: '1' })).toThrow(/is a node of a Cluster/)
    expect(() => checkServer({ info: infoOf({}), settings: null }, { kind: 'cluster', wait: 0 })).toThrow(
      /is not a node of a Cluster/,
    )
  })
})
