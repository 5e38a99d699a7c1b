import { describe, expect, test } from 'vitest'
import { realEnv } from '../base/real-env.ts'
import type { KeeperEvent, ZhongkongEvent } from '../model/event.ts'
import { createBus } from './bus.ts'
import { createFeed } from './feed.ts'

const rotated = (version: number, reason: string, name = 'weixin'): KeeperEvent => ({
  type: 'rotated',
  name,
  at: 0,
  version,
  expiresAt: 0,
  reason,
})

function open() {
  const faults: unknown[] = []
  const bus = createBus((thrown) => faults.push(thrown))
  const feed = createFeed({ bus, env: realEnv(), onFault: (thrown) => faults.push(thrown) })
  const heard: (ZhongkongEvent | 'missed')[] = []
  feed.on({ tell: ({ event }) => heard.push(event), miss: () => heard.push('missed') })
  return { bus, feed, heard, faults, settled: async () => await new Promise((resolve) => setTimeout(resolve)) }
}

describe('the feed', () => {
  test('tells what this node did and then saw once, in its own words', async () => {
    const { bus, feed, heard, settled } = open()
    feed.hear(rotated(2, 'seen'))
    bus.emit(rotated(2, 'done'))
    await settled()
    feed.hear(rotated(2, 'seen again'))
    feed.hear(rotated(3, 'of another node'))
    await settled()
    expect(heard.map((event) => (event !== 'missed' && 'reason' in event ? event.reason : event))).toEqual([
      'done',
      'of another node',
    ])
  })

  test('tells each failure, recovery and removal once, however often it comes about', async () => {
    const { bus, feed, heard, settled } = open()
    const failing: KeeperEvent = {
      type: 'failing',
      name: 'weixin',
      at: 0,
      class: 'transient',
      failure: { code: 'x', message: 'y' },
    }
    const rounds: KeeperEvent[] = [failing, { type: 'recovered', name: 'weixin', at: 0, failures: 1 }]
    for (const event of [...rounds, ...rounds]) {
      bus.emit(event)
      feed.hear(event)
      await settled()
    }
    for (const type of ['removed', 'added', 'removed'] as const) bus.emit({ type, name: 'weixin', at: 0 })
    feed.hear({ type: 'removed', name: 'weixin', at: 0 })
    await settled()
    // A new one of the same name begins to count anew.
    bus.emit(rotated(1, 'done'))
    await settled()
    const types = ['failing', 'recovered', 'failing', 'recovered', 'removed', 'added', 'removed', 'rotated']
    expect(heard.map((event) => (event === 'missed' ? event : event.type))).toEqual(types)
  })

  test('remembers the last thousands, and says so when it does not any more', () => {
    const { bus, feed } = open()
    expect(feed.since(0)).toEqual([])
    expect(feed.since(1)).toBeNull()
    for (let version = 1; version <= 20_000; version += 1) bus.emit(rotated(version, ''))
    expect(feed.last()).toBe(20_000)
    expect(feed.since(19_998)?.map(({ seq }) => seq)).toEqual([19_999, 20_000])
    expect(feed.since(1)).toBeNull()
    expect(feed.since(12_000)?.[0]?.seq).toBe(12_001)
    expect(feed.since(12_000)).toHaveLength(8_000)
    for (const seq of [NaN, -1, 20_001]) expect(feed.since(seq)).toBeNull()
  })

  test('lets nobody go on over something that was missed', () => {
    const { bus, feed, heard } = open()
    bus.emit(rotated(1, ''))
    const before = feed.last()
    feed.miss()
    bus.emit(rotated(2, ''))
    expect(heard).toContain('missed')
    expect(feed.since(before)).toBeNull()
    expect(feed.since(feed.last() - 1)).toHaveLength(1)
  })

  test('wants what anybody wants, until nobody does', () => {
    const { feed } = open()
    expect(feed.wants('weixin')).toBe(false)
    const [first, second] = [feed.want((name) => name === 'weixin'), feed.want(() => true)]
    expect([feed.wants('weixin'), feed.wants('corp')]).toEqual([true, true])
    second()
    expect([feed.wants('weixin'), feed.wants('corp')]).toEqual([true, false])
    first()
    expect(feed.wants('weixin')).toBe(false)
  })

  test('outlives a listener that throws', async () => {
    const { bus, feed, faults, settled } = open()
    feed.on({
      tell: () => {
        throw new Error('mine')
      },
      miss: () => undefined,
    })
    bus.emit(rotated(1, ''))
    feed.hear(rotated(2, ''))
    await settled()
    expect(faults).toHaveLength(2)
    expect(feed.last()).toBe(2)
  })
})
