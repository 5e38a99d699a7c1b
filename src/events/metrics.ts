/**
 * Prometheus metrics: a subscriber of the bus, and the meter of the HTTP room. The number of series is bounded: counters
 * carry no source names, gauges at most `sourcesMax` of them. `docs/metrics.md` lists all; a test keeps the two equal.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import { eventTypes, type ZhongkongEvent } from '../model/event.ts'
import type { SinkStatus } from '../model/sink.ts'
import type { StateWord } from '../model/state.ts'
import type { Bus } from './bus.ts'
import { createRequestMeter } from './request-meter.ts'

/** A source as the gauges show it. */
export type SourceGauge = {
  readonly name: string
  readonly leftMs: number | null
  readonly state: StateWord
  /** Somebody else fetches for its account. */
  readonly isContested: boolean
}

export type MetricsOptions = {
  readonly bus: Bus
  readonly version: string
  /** The sources to show, asked at each scrape; at most `limit` are shown. */
  readonly sources?: (limit: number) => Promise<readonly SourceGauge[]>
  /** The sinks of this node, asked at each scrape. */
  readonly sinks?: () => readonly SinkStatus[]
}

export type Metrics = {
  /** Counts a request. Made for the hot path: no allocation once a route and status are known. */
  observe(route: string, status: number, seconds: number): void
  /** Counts a request to a source's callback by what became of it; null is no source that takes any. */
  countCallback(source: string | null, verdict: string): void
  /** Counts a call through the gateway by what became of it. */
  countCall(source: string, outcome: string): void
  /** Counts an answer in which a platform said, by this code, that it was called too often. */
  countLimit(source: string, code: string): void
  /** How many listen to events now. */
  watching(watchers: number): void
  expose(): Promise<{ readonly type: string; readonly text: string }>
  /** The same without the gauges of sources, which every node on one store would tell alike. */
  exposeOwn(): Promise<string>
  close(): void
}

/** Sources with gauges of their own; those beyond have none. */
const sourcesMax = 1_000

export function createMetrics({ bus, version, sources, sinks }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const info = new Gauge({
    name: 'zhongkong_info',
    help: 'Always 1; the version is its label.',
    labelNames: ['version'],
    registers,
  })
  info.set({ version }, 1)
  const watchers = new Gauge({ name: 'zhongkong_watchers', help: 'Open streams of events of this process.', registers })
  watchers.set(0)
  const requests = createRequestMeter()
  const bySource = new Registry()
  const showSources = sources === undefined ? () => Promise.resolve() : sourceGauges([bySource], sources)
  if (sinks !== undefined) showSinks(registers, sinks)
  const exposeOwn = async (): Promise<string> => `${await registry.metrics()}\n${requests.expose()}`
  return {
    observe: requests.observe,
    countCallback: callbackCounter(registers),
    ...gatewayCounters(registers),
    watching: (count) => watchers.set(count),
    expose: async () => {
      await showSources()
      return { type: registry.contentType, text: `${await exposeOwn()}${await bySource.metrics()}` }
    },
    exposeOwn,
    close: closeAll([bus.on(countEvents(registers)), bus.on(countSuspicions(registers))]),
  }
}

function callbackCounter(registers: Registry[]): Metrics['countCallback'] {
  const counter = new Counter({
    name: 'zhongkong_callbacks_total',
    help: 'Requests of platforms to callbacks, by source and what became of them.',
    labelNames: ['source', 'verdict'],
    registers,
  })
  const shownAs = boundedNames()
  return (source, verdict) => counter.inc({ source: shownAs(source), verdict })
}

function gatewayCounters(registers: Registry[]): Pick<Metrics, 'countCall' | 'countLimit'> {
  const calls = new Counter({
    name: 'zhongkong_gateway_calls_total',
    help: 'Calls through the gateway, by source and what became of them.',
    labelNames: ['source', 'outcome'],
    registers,
  })
  const limits = new Counter({
    name: 'zhongkong_gateway_limits_total',
    help: 'Answers in which a platform said that it was called too often, by source and its code.',
    labelNames: ['source', 'code'],
    registers,
  })
  const shownAs = boundedNames()
  return {
    countCall: (source, outcome) => calls.inc({ source: shownAs(source), outcome }),
    countLimit: (source, code) => limits.inc({ source: shownAs(source), code }),
  }
}

/** Names as labels show them: the first `sourcesMax` by themselves, all others without a name. */
function boundedNames(): (source: string | null) => string {
  const shown = new Set<string>()
  return (source) => {
    if (source === null || (!shown.has(source) && shown.size >= sourcesMax)) return ''
    shown.add(source)
    return source
  }
}

function countEvents(registers: Registry[]): (event: ZhongkongEvent) => void {
  const events = new Counter({
    name: 'zhongkong_events_total',
    help: 'What happened, by type of event.',
    labelNames: ['type'],
    registers,
  })
  for (const type of eventTypes) events.inc({ type }, 0)
  const attempts = new Counter({
    name: 'zhongkong_attempts_total',
    help: 'Requests for a token to an upstream, by how they ended.',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of ['issued', 'rejected', 'not-sent', 'unknown']) attempts.inc({ outcome }, 0)
  const attemptSeconds = new Counter({
    name: 'zhongkong_attempt_seconds_total',
    help: 'Time spent waiting for upstreams, in seconds.',
    registers,
  })
  const rotations = new Counter({ name: 'zhongkong_rotations_total', help: 'New tokens committed.', registers })
  const failures = new Counter({
    name: 'zhongkong_failures_total',
    help: 'Sources that began to fail, by class of the failure.',
    labelNames: ['class'],
    registers,
  })
  const conflicts = new Counter({
    name: 'zhongkong_conflicts_total',
    help: 'Conflicts that began: somebody else fetches tokens for one of our accounts.',
    registers,
  })
  const storeUp = new Gauge({
    name: 'zhongkong_store_up',
    help: '1 while the store answers and can be written, else 0.',
    registers,
  })
  storeUp.set(1)
  return (event) => {
    events.inc({ type: event.type })
    if (event.type === 'attempted') {
      attempts.inc({ outcome: event.outcome })
      attemptSeconds.inc(event.tookMs / 1_000)
    }
    if (event.type === 'rotated') rotations.inc()
    if (event.type === 'failing') failures.inc({ class: event.class })
    if (event.type === 'conflict') conflicts.inc()
    if (event.type === 'store-lost') storeUp.set(0)
    if (event.type === 'store-back') storeUp.set(1)
  }
}

function closeAll(closes: readonly (() => void)[]): () => void {
  return () => {
    for (const close of closes) close()
  }
}

/** What came of saying that a token is dead. */
function countSuspicions(registers: Registry[]): (event: ZhongkongEvent) => void {
  const probes = new Counter({
    name: 'zhongkong_probes_total',
    help: 'Questions to platforms whether a reported token lives, by what they said.',
    labelNames: ['said'],
    registers,
  })
  for (const said of ['alive', 'dead', 'unclear']) probes.inc({ said }, 0)
  const falseReports = new Counter({
    name: 'zhongkong_false_reports_total',
    help: 'Clients that were found to report living tokens as dead, by client; without a name for those without a key.',
    labelNames: ['client'],
    registers,
  })
  return (event) => {
    if (event.type === 'probed') probes.inc({ said: event.said })
    if (event.type === 'false-reports') falseReports.inc({ client: event.client ?? '' })
  }
}

/** Counters among them go on from what the sinks themselves have counted. */
function showSinks(registers: Registry[], sinks: () => readonly SinkStatus[]): void {
  const labelNames = ['sink']
  const gauge = (name: string, help: string, valueOf: (sink: SinkStatus) => number): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const sink of sinks()) this.set({ sink: sink.name }, valueOf(sink))
      },
    })
  }
  const counter = (name: string, help: string, valueOf: (sink: SinkStatus) => number): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const sink of sinks()) this.inc({ sink: sink.name }, valueOf(sink))
      },
    })
  }
  gauge('zhongkong_sink_up', '1 while a sink takes what it is given, else 0.', ({ state }) => (state === 'ok' ? 1 : 0))
  gauge('zhongkong_sink_pending', 'Sources that wait for their delivery to a sink.', ({ pending }) => pending)
  counter('zhongkong_sink_delivered_total', 'Tokens written to a sink.', ({ delivered }) => delivered)
  counter(
    'zhongkong_sink_dropped_total',
    'What was not delivered and never will be.',
    ({ droppedCount }) => droppedCount,
  )
}

/** States that need somebody's attention. */
const troubled: readonly StateWord[] = ['failing', 'in-doubt', 'no-token', 'needs-authorization']

/** Fills the gauges anew for each scrape, so that a removed source has none. */
function sourceGauges(registers: Registry[], sources: NonNullable<MetricsOptions['sources']>): () => Promise<void> {
  const labelNames = ['source']
  const left = new Gauge({
    name: 'zhongkong_token_left_seconds',
    help: 'For how long callers may rely on a token, in seconds; 0 without one.',
    labelNames,
    registers,
  })
  const trouble = new Gauge({
    name: 'zhongkong_source_troubled',
    help: '1 while a source fails, is in doubt, has no token or needs authorisation, else 0.',
    labelNames,
    registers,
  })
  const contested = new Gauge({
    name: 'zhongkong_source_contested',
    help: '1 while somebody else fetches tokens for the account of a source, else 0.',
    labelNames,
    registers,
  })
  return async () => {
    // A store that does not answer must not take the other metrics away.
    const shown = await sources(sourcesMax).catch(() => [])
    left.reset()
    trouble.reset()
    contested.reset()
    for (const { name, leftMs, state, isContested } of shown.slice(0, sourcesMax)) {
      left.set({ source: name }, Math.max(0, (leftMs ?? 0) / 1_000))
      trouble.set({ source: name }, troubled.includes(state) ? 1 : 0)
      contested.set({ source: name }, isContested ? 1 : 0)
    }
  }
}
