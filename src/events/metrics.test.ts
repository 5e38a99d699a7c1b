import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createBus } from './bus.ts'
import type { SinkStatus } from '../model/sink.ts'
import { createMetrics, type SourceGauge } from './metrics.ts'

let sinks: readonly SinkStatus[] = []
const open = (sources?: (limit: number) => Promise<readonly SourceGauge[]>) => {
  const bus = createBus((thrown) => {
    throw thrown
  })
  return {
    bus,
    metrics: createMetrics({
      bus,
      version: '1.2.3',
      ...(sources === undefined ? {} : { sources }),
      sinks: () => sinks,
    }),
  }
}

const failure = { code: 'upstream_timeout', message: 'no answer' }

describe('metrics', () => {
  test('events become counters', async () => {
    const { bus, metrics } = open()
    bus.emit({ type: 'attempted', name: 'a', at: 0, outcome: 'unknown', forced: false, tookMs: 1_500 })
    bus.emit({ type: 'rotated', name: 'a', at: 0, version: 2, expiresAt: 9, reason: 'due' })
    bus.emit({ type: 'failing', name: 'a', at: 0, class: 'transient', failure })
    bus.emit({ type: 'conflict', name: 'a', at: 0, deaths: 2, sign: 'refused', since: 0 })
    bus.emit({ type: 'probed', name: 'a', at: 0, version: 1, said: 'alive', tookMs: 5 })
    bus.emit({ type: 'false-reports', name: 'a', at: 0, client: 'shop', times: 3 })
    bus.emit({ type: 'store-lost', at: 0, message: 'gone' })
    const { text } = await metrics.expose()
    for (const line of [
      'zhongkong_events_total{type="rotated"} 1',
      'zhongkong_events_total{type="removed"} 0',
      'zhongkong_attempts_total{outcome="unknown"} 1',
      'zhongkong_attempts_total{outcome="issued"} 0',
      'zhongkong_attempt_seconds_total 1.5',
      'zhongkong_rotations_total 1',
      'zhongkong_failures_total{class="transient"} 1',
      'zhongkong_conflicts_total 1',
      'zhongkong_probes_total{said="alive"} 1',
      'zhongkong_probes_total{said="dead"} 0',
      'zhongkong_false_reports_total{client="shop"} 1',
      'zhongkong_store_up 0',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
    bus.emit({ type: 'store-back', at: 0, awayMs: 1 })
    expect((await metrics.expose()).text).toContain('zhongkong_store_up 1')
  })

  test('requests become a histogram that counts each bucket up to its bound', async () => {
    const { metrics } = open()
    for (const seconds of [0.0001, 0.0005, 0.3, 61]) metrics.observe('/v1/tokens/{name}', 200, seconds)
    const { text } = await metrics.expose()
    const series = text.split('\n').filter((line) => line.startsWith('zhongkong_http_request_duration_seconds_'))
    const of = (le: string) =>
      series
        .find((line) => line.includes(`le="${le}"`))
        ?.split(' ')
        .at(-1)
    expect([of('0.0005'), of('0.1'), of('0.5'), of('60'), of('+Inf')]).toEqual(['2', '2', '3', '3', '4'])
    expect(series.at(-1)).toMatch(/_count\{route="\/v1\/tokens\/\{name\}",status="200"\} 4$/)
  })

  test('sources have gauges, a removed one has none, and their number is bounded', async () => {
    let sources: readonly SourceGauge[] = [
      { name: 'a', leftMs: 61_500, state: 'fresh', isContested: true },
      { name: 'b', leftMs: null, state: 'no-token', isContested: false },
    ]
    const { metrics } = open(() => Promise.resolve(sources))
    const first = (await metrics.expose()).text
    expect(first).toContain('zhongkong_token_left_seconds{source="a"} 61.5')
    expect(first).toContain('zhongkong_source_troubled{source="b"} 1')
    expect(first).toContain('zhongkong_source_contested{source="a"} 1')
    sources = Array.from({ length: 5_000 }, (_, index): SourceGauge => {
      return { name: `s${index}`, leftMs: 1, state: 'fresh', isContested: false }
    })
    const { text } = await metrics.expose()
    expect(text).not.toContain('source="a"')
    expect(text.match(/zhongkong_token_left_seconds\{/g)).toHaveLength(1_000)
  })

  test('sinks are shown by name, as they are now', async () => {
    const sink: SinkStatus = {
      name: 'redis-1',
      kind: 'redis',
      to: '127.0.0.1:6379',
      state: 'failing',
      pending: 3,
      delivered: 7,
      failures: 2,
      trouble: { since: 0, message: 'away' },
      lastDeliveredAt: null,
      droppedCount: 1,
      dropped: [],
    }
    sinks = [sink]
    const { metrics } = open()
    const shown = async (): Promise<string[]> =>
      (await metrics.expose()).text.split('\n').filter((line) => line.startsWith('zhongkong_sink_'))
    const lines = [
      'zhongkong_sink_up{sink="redis-1"} 0',
      'zhongkong_sink_pending{sink="redis-1"} 3',
      'zhongkong_sink_delivered_total{sink="redis-1"} 7',
      'zhongkong_sink_dropped_total{sink="redis-1"} 1',
    ]
    expect(await shown()).toEqual(lines)
    expect(await shown()).toEqual(lines)
    sinks = [{ ...sink, state: 'ok', delivered: 8 }]
    expect(await shown()).toEqual(
      lines.map((line) => line.replace('up{sink="redis-1"} 0', 'up{sink="redis-1"} 1').replace('} 7', '} 8')),
    )
    sinks = []
  })

  test('a store that does not answer takes no other metric away', async () => {
    const { metrics } = open(() => Promise.reject(new Error('store')))
    expect((await metrics.expose()).text).toContain('zhongkong_store_up 1')
  })

  test('the number of request series is bounded whatever is observed', async () => {
    const { metrics } = open()
    for (let status = 0; status < 5_000; status += 1) metrics.observe('x', status, 0)
    expect((await metrics.expose()).text.match(/_count\{/g)).toHaveLength(1_000)
  })

  test('nothing is counted after close', async () => {
    const { bus, metrics } = open()
    metrics.close()
    bus.emit({ type: 'added', name: 'a', at: 0 })
    expect((await metrics.expose()).text).toContain('zhongkong_events_total{type="added"} 0')
  })

  test('docs/metrics.md lists exactly the metrics there are, with their types', async () => {
    const { metrics } = open(() => Promise.resolve([]))
    const { text } = await metrics.expose()
    const served = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
    const document = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
    const listed = [...document.matchAll(/^\| `(zhongkong_\w+)` \| (\w+) \|/gm)].map(
      ([, name, type]) => `${name} ${type}`,
    )
    expect(listed.toSorted()).toEqual(served.toSorted())
  })
})
