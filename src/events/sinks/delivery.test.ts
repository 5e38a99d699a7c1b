/** When a sink is called, over sinks that behave as they are told and a clock that moves only when everybody waits. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../test/keeper/virtual-clock.ts'
import { settled } from '../../../test/simulation/virtual-time.ts'
import type { Env } from '../../base/env.ts'
import type { ZhongkongEvent } from '../../model/event.ts'
import { compileGlobs } from '../../model/glob.ts'
import { Delivery } from './delivery.ts'
import { patrol } from './patrol.ts'
import { SinkRefusal, type Sink, type SinkToken } from './sink.ts'

let clock: VirtualClock
let tokens: Map<string, SinkToken>
let told: ZhongkongEvent[]
let stop: (() => Promise<void>)[]
/** Sources that were put while they were being put. */
let twice: string[]

beforeEach(() => {
  clock = new VirtualClock()
  tokens = new Map()
  told = []
  stop = []
  twice = []
})
afterEach(async () => {
  for (const end of stop) {
    const ended = end()
    await clock.time.runUntil(clock.time.now() + 5_000)
    await ended
  }
  expect(clock.sleeping).toBe(0)
  expect(twice).toEqual([])
})

/** A place that tokens are put to, which can be away, slow, or refuse. */
class Place implements Sink {
  readonly to = 'a place'
  lanes = 4
  recheckMs: number | null = 60_000
  readonly held = new Map<string, number>()
  readonly puts: string[] = []
  underWay = 0
  most = 0
  tookMs = 0
  isAway = false
  readonly stuck = new Set<string>()
  refuses = new Set<string>()
  isClosed = false

  async put(name: string, token: SinkToken): Promise<'written' | 'unchanged' | 'older'> {
    await this.#work(name)
    this.puts.push(`${name}@${token.version}`)
    if (this.held.get(name) === token.version) return 'unchanged'
    this.held.set(name, token.version)
    return 'written'
  }

  async remove(name: string): Promise<void> {
    await this.#work(name)
    this.puts.push(`${name}@removed`)
    this.held.delete(name)
  }

  async #work(name: string): Promise<void> {
    if (this.#names.has(name)) twice.push(name)
    this.#names.add(name)
    this.underWay += 1
    this.most = Math.max(this.most, this.underWay)
    try {
      if (this.tookMs > 0) await clock.sleep(this.tookMs)
      this.tries += 1
      if (this.isAway || this.stuck.has(name)) throw new Error('it is away')
      if (this.refuses.has(name)) throw new SinkRefusal('it wants none of it')
    } finally {
      this.underWay -= 1
      this.#names.delete(name)
    }
  }

  close(): void {
    this.isClosed = true
  }

  tries = 0
  readonly #names = new Set<string>()
}

function open(
  place: Place,
  options: { readonly sources?: readonly string[]; readonly isStoreAway?: () => boolean } = {},
) {
  const env: Env = {
    clock,
    random: { next: () => 0.5, bytes: (length) => new Uint8Array(length) },
    fetch: () => Promise.reject(new Error('no network here')),
  }
  const delivery = new Delivery({
    name: 'redis-1',
    kind: 'redis',
    sink: place,
    matches: compileGlobs(options.sources ?? ['*']),
    read: async (name) => {
      await Promise.resolve()
      if (options.isStoreAway?.() === true) throw new Error('the store is away')
      return tokens.get(name) ?? null
    },
    env,
    emit: (event) => told.push(event),
  })
  stop.push(() => delivery.close())
  return delivery
}

function rotate(name: string, version: number): void {
  const issuedAt = clock.now()
  tokens.set(name, { token: `t-${version}`, version, issuedAt, expiresAt: issuedAt + 7_200_000, fields: {} })
}

const run = (ms: number): Promise<void> => clock.time.runUntil(clock.time.now() + ms)
const types = (): string[] => told.map(({ type }) => type)

describe('one source', () => {
  it('waits once however often it rotates, and gets the newest value', async () => {
    const place = new Place()
    place.tookMs = 100
    const delivery = open(place)
    for (let version = 1; version <= 50; version += 1) {
      rotate('weixin', version)
      delivery.touch('weixin', 'current')
      await run(1)
    }
    await run(1_000)
    expect(place.puts).toEqual(['weixin@1', 'weixin@50'])
    expect(delivery.status()).toMatchObject({ state: 'ok', pending: 0, delivered: 2 })
  })

  it('is not delivered when it is not meant for the sink, or has no token', async () => {
    const place = new Place()
    const delivery = open(place, { sources: ['weixin*'] })
    rotate('corp', 1)
    delivery.touch('corp', 'current')
    delivery.touch('weixin_empty', 'current')
    await run(1_000)
    expect(place.puts).toEqual([])
    expect(delivery.status().pending).toBe(0)
  })

  it('that is removed while its token is on its way is removed after it', async () => {
    const place = new Place()
    place.tookMs = 100
    const delivery = open(place)
    rotate('weixin', 1)
    delivery.touch('weixin', 'current')
    await run(50)
    delivery.touch('weixin', 'absent')
    await run(1_000)
    expect(place.puts).toEqual(['weixin@1', 'weixin@removed'])
  })

  it('never gets an older version than this process delivered', async () => {
    const place = new Place()
    const delivery = open(place)
    rotate('weixin', 2)
    delivery.touch('weixin', 'current')
    await run(10)
    const issuedAt = clock.now() - 60_000
    tokens.set('weixin', { token: 't-1', version: 1, issuedAt, expiresAt: issuedAt + 7_200_000, fields: {} })
    delivery.touch('weixin', 'current')
    await run(10)
    expect(place.puts).toEqual(['weixin@2'])
  })
})

describe('a sink that is away', () => {
  it('is tried by one source at a time, and gets the newest of each soon after it is back', async () => {
    const place = new Place()
    place.isAway = true
    const delivery = open(place)
    for (let index = 0; index < 500; index += 1) {
      rotate(`s${index}`, 1)
      delivery.touch(`s${index}`, 'current')
    }
    await run(600_000)
    // Ten minutes of an outage: a few tries at first, then one every half minute at most.
    expect(place.tries).toBeLessThan(50)
    expect(delivery.status()).toMatchObject({ state: 'failing', pending: 500, trouble: { message: 'it is away' } })
    for (let index = 0; index < 500; index += 1) rotate(`s${index}`, 2)
    place.isAway = false
    for (let waited = 0; place.held.size === 0; waited += 100) {
      expect(waited).toBeLessThan(31_000)
      await run(100)
    }
    // One came through: nobody waits out what was meant for the outage.
    await run(500)
    expect([...place.held.values()]).toEqual(Array.from({ length: 500 }, () => 2))
    expect(place.puts).toHaveLength(500)
    expect(types()).toEqual(['sink-failing', 'sink-recovered'])
    expect(delivery.takeSweepWish()).toBe(true)
    expect(delivery.status()).toMatchObject({ state: 'ok', trouble: null, failures: 0 })
  })

  it('costs nothing while it is away, though a try hangs', async () => {
    const place = new Place()
    place.isAway = true
    place.tookMs = 20_000
    const delivery = open(place)
    for (let index = 0; index < 50; index += 1) {
      rotate(`s${index}`, 1)
      delivery.touch(`s${index}`, 'current')
    }
    await run(60_000)
    const before = clock.time.events
    await run(600_000)
    expect(clock.time.events - before).toBeLessThan(500)
    const ended = delivery.close()
    await run(30_000)
    await ended
  })

  it('has what failed long ago as soon as anything comes through', async () => {
    const place = new Place()
    place.isAway = true
    const delivery = open(place)
    const names = ['a', 'b', 'c', 'd']
    for (const name of names) {
      rotate(name, 1)
      delivery.touch(name, 'current')
    }
    await run(1_200_000)
    place.isAway = false
    for (let waited = 0; place.held.size === 0; waited += 50) {
      expect(waited).toBeLessThan(31_000)
      await run(50)
    }
    await run(50)
    expect([...place.held.keys()].toSorted()).toEqual(names)
  })

  it('does not hold up the others where only one source fails', async () => {
    const place = new Place()
    place.stuck.add('stuck')
    const delivery = open(place)
    rotate('stuck', 1)
    delivery.touch('stuck', 'current')
    await run(60_000)
    for (let version = 1; version <= 3; version += 1) {
      rotate('weixin', version)
      delivery.touch('weixin', 'current')
      await run(10)
      expect(place.held.get('weixin')).toBe(version)
    }
    expect(delivery.status().state).toBe('failing')
    place.stuck.clear()
    await run(31_000)
    expect(types()).toEqual(['sink-failing', 'sink-recovered'])
  })

  it('is not held up by sources that never get through, however many they are', async () => {
    const place = new Place()
    const delivery = open(place)
    for (let at = 0; at < 30; at += 1) {
      place.stuck.add(`stuck-${at}`)
      rotate(`stuck-${at}`, 1)
      delivery.touch(`stuck-${at}`, 'current')
    }
    await run(600_000)
    rotate('weixin', 1)
    delivery.touch('weixin', 'current')
    // Those that fail make it look away, and then one is tried every half minute: the one that never failed comes first.
    await run(31_000)
    expect(place.held.get('weixin')).toBe(1)
  })

  it('is not blamed for a store that is away', async () => {
    const place = new Place()
    let isStoreAway = true
    const delivery = open(place, { isStoreAway: () => isStoreAway })
    rotate('weixin', 1)
    delivery.touch('weixin', 'current')
    await run(60_000)
    expect(told).toEqual([])
    isStoreAway = false
    await run(1_100)
    expect(place.held.get('weixin')).toBe(1)
  })

  it('is closed within three seconds though something hangs in it', async () => {
    const place = new Place()
    place.tookMs = 50_000
    const delivery = open(place)
    rotate('weixin', 1)
    delivery.touch('weixin', 'current')
    await run(10)
    stop = []
    const closing = delivery.close()
    await run(3_000)
    await closing
    expect(place.isClosed).toBe(true)
    await run(60_000)
  })
})

describe('very many sources', () => {
  it('are not remembered beyond a limit, but gone through', async () => {
    const place = new Place()
    place.isAway = true
    const delivery = open(place)
    for (let index = 0; index < 1_000_000; index += 1) delivery.touch(`source-${index}`, 'current')
    expect(delivery.backlog).toBe(20_000)
    expect(delivery.takeSweepWish()).toBe(true)
  })

  it('are all brought up to date, a page at a time, whatever was forgotten', async () => {
    const place = new Place()
    place.lanes = 16
    const delivery = open(place)
    const names = Array.from({ length: 5_000 }, (_, index) => `s${String(index).padStart(4, '0')}`)
    for (const name of names) rotate(name, 1)
    const ending = new AbortController()
    let most = 0
    const walk = patrol({
      delivery,
      recheckMs: place.recheckMs,
      list: async (after) => {
        await Promise.resolve()
        most = Math.max(most, delivery.backlog)
        const from = after === undefined ? 0 : names.indexOf(after) + 1
        const page = names.slice(from, from + 200)
        return { names: page, next: from + 200 < names.length ? (page.at(-1) ?? null) : null }
      },
      clock,
      signal: ending.signal,
    })
    place.tookMs = 1
    await run(30_000)
    expect(place.held.size).toBe(5_000)
    expect(most).toBeLessThanOrEqual(600)
    // What the other side lost is put back by the next round.
    place.held.clear()
    await run(100_000)
    expect(place.held.size).toBe(5_000)
    ending.abort()
    await run(1)
    await walk
  })
})

describe('where each version is a message', () => {
  it('delivers each version once, and tells which were lost to a newer one or to time', async () => {
    const place = new Place()
    place.recheckMs = null
    const delivery = open(place)
    rotate('weixin', 1)
    delivery.touch('weixin', 'current')
    await run(10)
    delivery.touch('weixin', 'current')
    await run(10)
    expect(place.puts).toEqual(['weixin@1'])
    place.isAway = true
    rotate('weixin', 2)
    delivery.touch('weixin', 'current')
    await run(10)
    rotate('weixin', 3)
    delivery.touch('weixin', 'current')
    rotate('corp', 1)
    delivery.touch('corp', 'current')
    await run(10)
    tokens.delete('corp')
    place.isAway = false
    await run(60_000)
    expect(place.puts).toEqual(['weixin@1', 'weixin@3'])
    const { dropped, droppedCount } = delivery.status()
    expect(droppedCount).toBe(2)
    expect(dropped).toMatchObject([
      { source: 'corp', version: 1, reason: 'expired', message: 'it is away' },
      { source: 'weixin', version: 2, reason: 'superseded' },
    ])
    expect(types()).toContain('sink-dropped')
  })

  it('does not try again what was refused, and tells it', async () => {
    const place = new Place()
    place.recheckMs = null
    place.refuses.add('weixin')
    const delivery = open(place)
    rotate('weixin', 1)
    for (let times = 0; times < 3; times += 1) {
      delivery.touch('weixin', 'current')
      await run(60_000)
    }
    expect(place.tries).toBe(1)
    expect(delivery.status()).toMatchObject({ state: 'ok', dropped: [{ reason: 'refused', version: 1 }] })
    place.refuses.clear()
    rotate('weixin', 2)
    delivery.touch('weixin', 'current')
    await run(10)
    expect(place.puts).toEqual(['weixin@2'])
  })

  it('keeps a bounded list of what was lost, and gives up news of a removal that nobody takes', async () => {
    const place = new Place()
    place.recheckMs = null
    for (let index = 0; index < 80; index += 1) place.refuses.add(`s${index}`)
    place.stuck.add('gone')
    const delivery = open(place)
    for (const name of place.refuses) {
      rotate(name, 1)
      delivery.touch(name, 'current')
    }
    delivery.touch('gone', 'absent')
    await run(3_600_000)
    expect(delivery.status()).toMatchObject({ droppedCount: 81, pending: 0, state: 'ok' })
    expect(delivery.status().dropped).toHaveLength(50)
    expect(delivery.status().dropped[0]).toMatchObject({ source: 'gone', version: null, reason: 'refused' })
    await settled()
    expect(types().filter((type) => type === 'sink-dropped').length).toBeLessThan(5)
  })
})
