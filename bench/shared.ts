/**
 * Claim: three nodes on one store keep very many sources fresh together: each source is refreshed when it is due, by one
 * of them and once, and memory does not grow with what exists. They come due evenly over a period, of which the first
 * minutes are measured: `--sources 100000 --within 60 --minutes 5` is a hundred thousand in an hour, 28 in each second.
 *
 * The servers are started for the measurement, as durable as the disk behind TMPDIR: Redis with `appendfsync always`,
 * PostgreSQL with `fsync`. Nodes, store and upstream share the machine. The nodes are not read from.
 *
 * Options: --sources N (2000), --within N minutes in which all come due (1), --minutes N that are measured (all of these),
 * --store redis|postgres (both), --nodes N (3).
 */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { realEnv } from '../src/base/real-env.ts'
import { openStore } from '../src/stores/open-store.ts'
import { startPostgres } from '../test/servers/postgres-server.ts'
import { startRedis } from '../test/servers/redis-server.ts'
import { cpuMsOf, memoryOf, startProgram, startZhongkong, type Child } from './child.ts'
import { fillStore, nameOf, type Filling } from './filled-store.ts'
import { quantile, table } from './figures.ts'
import type { Measure } from './main.ts'
import { scratchFolder } from './scratch.ts'
import type { UpstreamState } from './upstream.ts'

type Kind = 'redis' | 'postgres'

type Server = {
  readonly url: string
  /** Calls (Redis) or committed transactions (PostgreSQL) so far. */
  readonly worked: () => Promise<number>
  readonly cpuMs: () => number
  readonly memoryBytes: () => number
  readonly dispose: () => Promise<void>
}

type Result = {
  readonly kind: Kind
  readonly due: number
  readonly refreshed: number
  readonly mostOfOne: number
  readonly lateMs: readonly number[]
  readonly perSecond: number
  readonly atRestBytes: readonly number[]
  readonly nodeBytes: readonly number[]
  readonly nodeCpu: readonly number[]
  readonly storePerSecond: number
  readonly storeRestPerSecond: number
  readonly storeCpu: number
  readonly storeBytes: number
}

/** Nodes are ready and at rest before the first source is due. */
const restMs = 10_000
/** What is still missing so long after the last instant is told as missing. */
const patienceMs = 60_000

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sources: { type: 'string', default: '2000' },
      within: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      nodes: { type: 'string', default: '3' },
      store: { type: 'string' },
    },
  })
  const kinds = (['redis', 'postgres'] as const).filter((kind) => values.store === undefined || values.store === kind)
  const [sources, within, count] = [Number(values.sources), Number(values.within), Number(values.nodes)]
  const minutes = Math.min(within, Number(values.minutes ?? within))
  const results: Result[] = []
  for (const kind of kinds) {
    results.push(await measureOne({ kind, sources, overMs: within * 60_000, forMs: minutes * 60_000, nodes: count }))
  }
  const head = ['', ...results.map(({ kind }) => kind)]
  const row = (name: string, read: (result: Result) => string) => [name, ...results.map(read)]
  const each = (all: readonly number[], digits = 0): string =>
    all.map((one) => (Number.isNaN(one) ? '–' : one.toFixed(digits))).join(', ')
  const megabytes = (all: readonly number[]): string => each(all.map((bytes) => bytes / 2 ** 20))
  const rows = [
    row('refreshed, of those due', (one) => `${one.refreshed} of ${one.due}`),
    row('the most issues of one source', (one) => String(one.mostOfOne)),
    row('refreshes/s', (one) => one.perSecond.toFixed(1)),
    row('late ms p50, p99, max', (one) => each([0.5, 0.99, 1].map((share) => quantile(one.lateMs, share)))),
    row('MB of each node at rest', (one) => megabytes(one.atRestBytes)),
    row('MB of each node at the end', (one) => megabytes(one.nodeBytes)),
    row('of a core, each node', (one) => each(one.nodeCpu, 2)),
    row('calls or transactions/s of the store', (one) => one.storePerSecond.toFixed(0)),
    row('the same before anything is due', (one) => one.storeRestPerSecond.toFixed(0)),
    row('of a core, the store', (one) => each([one.storeCpu], 2)),
    row('MB of the store', (one) => megabytes([one.storeBytes])),
  ]
  const title = `${count} nodes, ${sources} sources due within ${within} minutes, the first ${minutes} of them`
  const numbers = results.map(({ lateMs, ...rest }) => ({ ...rest, lateMsMax: quantile(lateMs, 1) }))
  return { tables: [{ title, text: table(head, rows) }], numbers }
}

type Work = {
  readonly kind: Kind
  readonly sources: number
  /** In which all come due, and for how long that is looked at, in milliseconds. */
  readonly overMs: number
  readonly forMs: number
  readonly nodes: number
}

async function measureOne({ kind, sources, overMs, forMs, nodes: nodeCount }: Work): Promise<Result> {
  const dueMs = (index: number): number => (index * overMs) / sources
  const due = Array.from({ length: sources }, (_, index) => dueMs(index)).filter((ms) => ms < forMs).length
  const server = kind === 'redis' ? await openRedis() : await openPostgres()
  const upstream = startProgram('upstream', ['7200'], {})
  const nodes: Child[] = []
  try {
    const { url } = await upstream.ask<UpstreamState>({})
    const key = randomBytes(32)
    // The records are written first and come due afterwards, so nobody knows yet how long that takes.
    const leadMs = restMs * 2 + sources * 3
    const firstAt = await fill(server.url, key, leadMs, {
      count: sources,
      upstream: url,
      place: 'store',
      dueInMs: (index) => leadMs + dueMs(index),
    })
    if (Date.now() > firstAt - restMs * 1.5) throw new Error('writing the sources took too long for this measurement')
    const config = configFile(server.url, key)
    for (let node = 0; node < nodeCount; node += 1) nodes.push(startZhongkong(['serve', '-c', config], {}))
    await Promise.all(nodes.map(async (node) => await node.line('zhongkong ready on ')))
    await pause(firstAt - restMs - Date.now())
    const atRest = await marks(server, nodes)
    await pause(firstAt - Date.now())
    const before = await marks(server, nodes)
    const atRestBytes = nodes.map((node) => node.memoryBytes())
    await pause(forMs)
    const after = await marks(server, nodes)
    const seconds = (after.at - before.at) / 1_000
    const state = await allIssued(upstream, due)
    const first = state.first.filter(([index]) => index < due)
    const lateMs = first.map(([index, at]) => at - firstAt - dueMs(index))
    return {
      kind,
      due,
      refreshed: first.length,
      mostOfOne: state.mostOfOne,
      lateMs,
      perSecond: first.filter(([, at]) => at <= firstAt + forMs).length / seconds,
      atRestBytes,
      nodeBytes: nodes.map((node) => node.memoryBytes()),
      nodeCpu: after.nodeCpuMs.map((ms, node) => (ms - (before.nodeCpuMs[node] ?? 0)) / 1_000 / seconds),
      storePerSecond: (after.worked - before.worked) / seconds,
      storeRestPerSecond: ((before.worked - atRest.worked) / (before.at - atRest.at)) * 1_000,
      storeCpu: (after.storeCpuMs - before.storeCpuMs) / 1_000 / seconds,
      storeBytes: server.memoryBytes(),
    }
  } finally {
    await Promise.all(nodes.map(async (node) => await node.stop()))
    await upstream.stop()
    await server.dispose()
  }
}

/** Answers when the first one is due, in epoch milliseconds. */
async function fill(url: string, key: Uint8Array, leadMs: number, filling: Filling): Promise<number> {
  const env = realEnv()
  const store = await openStore({ url, encryptionKey: key, env })
  // Due instants count from now on, whatever was spent on opening.
  const startedAt = Date.now()
  await fillStore(store, filling)
  console.log(`${filling.count} sources, ${nameOf(0, 'store')} and on, were written in ${Date.now() - startedAt} ms`)
  await store.close()
  await env.close()
  return startedAt + leadMs
}

type Marks = {
  readonly at: number
  readonly worked: number
  readonly storeCpuMs: number
  readonly nodeCpuMs: readonly number[]
}

async function marks(server: Server, nodes: readonly Child[]): Promise<Marks> {
  const worked = await server.worked()
  return { at: Date.now(), worked, storeCpuMs: server.cpuMs(), nodeCpuMs: nodes.map((node) => node.cpuMs()) }
}

/** What the upstream was asked, once that is true of all that were due, or nothing more can be expected. */
async function allIssued(upstream: Child, due: number): Promise<UpstreamState> {
  const endsAt = Date.now() + patienceMs
  for (;;) {
    const state = await upstream.ask<UpstreamState>({ withFirst: true })
    if (state.first.filter(([index]) => index < due).length >= due || Date.now() > endsAt) return state
    await pause(1_000)
  }
}

function configFile(store: string, key: Uint8Array): string {
  const path = join(scratchFolder(), 'zhongkong.yaml')
  const encryption_key = Buffer.from(key).toString('hex')
  writeFileSync(path, JSON.stringify({ server: { listen: '127.0.0.1:0' }, encryption_key, store, sources: {} }), {
    mode: 0o600,
  })
  return path
}

async function openRedis(): Promise<Server> {
  const server = await startRedis({ settings: ['appendonly yes', 'appendfsync always'] })
  const { pid } = server.process()
  return {
    url: server.url,
    // Each call is one script; what it does inside is counted apart.
    worked: async () => {
      const counted = /cmdstat_evalsha:calls=(\d+)/.exec(await server.command('INFO', 'commandstats'))?.[1]
      return Number(counted ?? 0)
    },
    cpuMs: () => cpuMsOf(pid),
    memoryBytes: () => memoryOf(pid, 'VmRSS'),
    dispose: async () => await server.dispose(),
  }
}

async function openPostgres(): Promise<Server> {
  const server = await startPostgres(['fsync = on', 'log_min_messages = error'])
  const url = await server.newDatabase()
  return {
    url,
    worked: async () => {
      const [row] = await server.byHand('select sum(xact_commit)::float8 as count from pg_stat_database')
      return Number(row?.count)
    },
    // Its processes come and go with their connections, and what they spent goes with them.
    cpuMs: () => NaN,
    memoryBytes: () => NaN,
    dispose: async () => await server.dispose(),
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}
