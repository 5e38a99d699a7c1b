/** The metrics of several processes as one text. */
import { expect, test } from 'vitest'
import { createBus } from './bus.ts'
import { countersOf, mergeMetrics } from './merge-metrics.ts'
import { createMetrics } from './metrics.ts'

async function textOf(requests: readonly number[], isStoreLost = false): Promise<string> {
  const bus = createBus(() => undefined)
  const metrics = createMetrics({
    bus,
    version: '1.2.3',
    sources: () => Promise.resolve([{ name: 'a b', leftMs: 60_000, state: 'fresh' as const, isContested: false }]),
  })
  for (const seconds of requests) metrics.observe('/v1/tokens/{name}', 200, seconds)
  if (isStoreLost) bus.emit({ type: 'store-lost', at: 0, message: 'gone' })
  return (await metrics.expose()).text
}

test('counters and histograms are added up, series that only one has included', async () => {
  const merged = mergeMetrics([await textOf([]), await textOf([0.01, 3]), await textOf([0.01])])
  const series = 'zhongkong_http_request_duration_seconds'
  const labels = 'route="/v1/tokens/{name}",status="200"'
  expect(merged).toContain(`${series}_bucket{${labels},le="0.02"} 2\n`)
  expect(merged).toContain(`${series}_bucket{${labels},le="+Inf"} 3\n`)
  expect(merged).toContain(`${series}_count{${labels}} 3\n`)
  expect(Number(/_sum\{.*\} (\S+)/.exec(merged)?.[1])).toBeCloseTo(3.02)
})

test('of a gauge the lowest value is told: one process without its store is seen', async () => {
  const merged = mergeMetrics([await textOf([]), await textOf([], true), await textOf([])])
  expect(merged).toContain('zhongkong_store_up 0\n')
  expect(merged).toContain('zhongkong_info{version="1.2.3"} 1\n')
  expect(merged).toContain('zhongkong_token_left_seconds{source="a b"} 60\n')
  expect(merged).toContain('zhongkong_events_total{type="store-lost"} 1\n')
})

test('of what each process has of its own, the sum is told', () => {
  const text = (watchers: number): string =>
    `# HELP zhongkong_watchers w\n# TYPE zhongkong_watchers gauge\nzhongkong_watchers ${watchers}\n`
  expect(mergeMetrics([text(2), text(0), text(3)])).toContain('\nzhongkong_watchers 5\n')
})

test('each name has its lines together, once', async () => {
  const merged = mergeMetrics([await textOf([0.01]), await textOf([0.01]), ''])
  const types = merged.match(/^# TYPE \S+/gm) ?? []
  expect(types.length).toBeGreaterThan(11)
  expect(new Set(types).size).toBe(types.length)
  expect(merged.match(/^# HELP \S+/gm)).toHaveLength(types.length)
  expect(mergeMetrics([merged])).toBe(merged)
})

test('of a process that is gone its counts remain, and no gauge', async () => {
  const left = countersOf(await textOf([0.01], true))
  expect(left).toMatch(/_count\{route="\/v1\/tokens\/\{name\}",status="200"\} 1\n/)
  expect(left).not.toMatch(/store_up|token_left|zhongkong_info/)
})
