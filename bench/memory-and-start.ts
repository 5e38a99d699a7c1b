/**
 * Claim: memory and start time do not grow with what exists, but with what is read. Time from starting the process to
 * `zhongkong ready`, and resident memory at rest and after every source was read once, for sources that live in the store
 * (as after `PUT /v1/sources/{name}`), for accounts that authorised a third-party platform of WeChat, and for sources in
 * the configuration file, all with living tokens in SQLite.
 * No start may call the upstream: every token is alive.
 *
 * Options: --starts N (5), --kept 0,10000,100000, --authorised 100000, --configured 10000.
 */
import { writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cores, startProgram, startZhongkong, type Child } from './child.ts'
import { definitionOf, fillStoreAt, nameOf, platformOf, type Place } from './filled-store.ts'
import { median, spread, table } from './figures.ts'
import type { Measure } from './main.ts'
import { describeQuiet, quietRounds } from './quiet.ts'
import { scratchFolder } from './scratch.ts'
import type { UpstreamState } from './upstream.ts'

type Situation = { readonly count: number; readonly place: Place }

type Start = {
  /** From starting the process to the line that says it is ready. */
  readonly readyMs: number
  /** To `/readyz` answering 200, which also waits until the sources of the configuration were looked up. */
  readonly readyzMs: number
  readonly restBytes: number
}

type Result = Situation & {
  readonly starts: readonly Start[]
  readonly waited: string
  readonly readBytes: number
  readonly peakBytes: number
  readonly reads: number
  readonly readSeconds: number
  readonly upstreamCalls: number
}

const placeTexts: Readonly<Record<Place, string>> = {
  configuration: 'in the configuration',
  store: 'in the store',
  platform: 'authorised accounts',
}

/** How long a started node is left alone before its memory is looked at. */
const restMs = 3_000
const readersMax = 32

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      starts: { type: 'string', default: '5' },
      kept: { type: 'string', default: '0,10000,100000' },
      authorised: { type: 'string', default: '100000' },
      configured: { type: 'string', default: '10000' },
    },
  })
  const counts = (text: string): number[] => text.split(',').filter(Boolean).map(Number)
  const situations: Situation[] = [
    ...counts(values.kept).map((count): Situation => ({ count, place: 'store' })),
    ...counts(values.authorised).map((count): Situation => ({ count, place: 'platform' })),
    ...counts(values.configured).map((count): Situation => ({ count, place: 'configuration' })),
  ]
  const results: Result[] = []
  for (const situation of situations) results.push(await measureOne(situation, Number(values.starts)))
  const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`
  const rows = results.map((result) => {
    const rest = median(result.starts.map((each) => each.restBytes))
    const ready = result.starts.map((each) => each.readyMs)
    return [
      `${result.count} ${placeTexts[result.place]}`,
      median(ready).toFixed(0),
      spread(ready, 0),
      median(result.starts.map((each) => each.readyzMs)).toFixed(0),
      megabytes(rest),
      result.reads === 0 ? '' : megabytes(result.readBytes),
      result.reads === 0 ? '' : `${((result.readBytes - rest) / result.reads / 1_024).toFixed(2)} KB`,
      megabytes(result.peakBytes),
      result.upstreamCalls,
      result.waited,
    ]
  })
  const head = [
    'sources',
    'ready ms',
    '(starts)',
    '/readyz ms',
    'at rest',
    'all read once',
    'per source read',
    'peak',
    'upstream calls',
    'waited, starts',
  ]
  return { tables: [{ title: 'Start and memory of one node', text: table(head, rows) }], numbers: results }
}

async function measureOne(situation: Situation, startsWanted: number): Promise<Result> {
  const { count, place } = situation
  const upstream = startProgram('upstream', ['7200'], { core: cores.around })
  const { url } = await upstream.ask<UpstreamState>({})
  const config = configFile(situation, url)
  await fillStoreAt(`sqlite:${config.database}`, { count, upstream: url, place })
  const quiet = await quietRounds(startsWanted, async () => {
    const { child, start, waitedShare } = await startOnce(config.path)
    await child.stop()
    return { result: start, waitedShare }
  })
  const { child, server } = await startOnce(config.path)
  const began = performance.now()
  await readAll(server, situation)
  const readSeconds = (performance.now() - began) / 1_000
  await pause(restMs)
  const readBytes = child.memoryBytes()
  const peakBytes = child.memoryPeakBytes()
  await child.stop()
  const { issued: upstreamCalls } = await upstream.ask<UpstreamState>({})
  await upstream.stop()
  const { rounds: starts } = quiet
  const waited = describeQuiet(quiet)
  return { ...situation, starts, waited, readBytes, peakBytes, reads: count, readSeconds, upstreamCalls }
}

function configFile({ count, place }: Situation, upstream: string): { path: string; database: string } {
  const folder = scratchFolder()
  const database = join(folder, 'zhongkong.db')
  const sources = Array.from({ length: place === 'configuration' ? count : 0 }, (_, index) => {
    return `  ${nameOf(index, place)}: ${JSON.stringify(definitionOf(index, upstream, place))}`
  })
  if (place === 'platform') sources.push(`  platform: ${JSON.stringify(platformOf(upstream))}`)
  const lines = ['server: { listen: "127.0.0.1:0" }', `store: sqlite:${database}`]
  const text = [...lines, sources.length === 0 ? 'sources: {}' : 'sources:', ...sources, ''].join('\n')
  const path = join(folder, 'zhongkong.yaml')
  writeFileSync(path, text, { mode: 0o600 })
  return { path, database }
}

type Started = { child: Child; start: Start; server: string; waitedShare: number }

async function startOnce(config: string): Promise<Started> {
  const began = performance.now()
  const child = startZhongkong(['serve', '-c', config], { core: cores.measured })
  const server = (await child.line('zhongkong ready on ')).split(' ').at(-1) ?? ''
  const readyMs = performance.now() - began
  const agent = new Agent({ keepAlive: true })
  while ((await statusOf(`${server}/readyz`, agent)) !== 200) await pause(10)
  const readyzMs = performance.now() - began
  agent.destroy()
  const waitedShare = child.waitedMs() / readyzMs
  await pause(restMs)
  return { child, server, waitedShare, start: { readyMs, readyzMs, restBytes: child.memoryBytes() } }
}

async function readAll(server: string, { count, place }: Situation): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: readersMax })
  let next = 0
  const reader = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const name = nameOf(index, place)
      const status = await statusOf(`${server}/v1/tokens/${encodeURIComponent(name)}`, agent)
      if (status !== 200) throw new Error(`${name}: HTTP ${status}`)
    }
  }
  await Promise.all(Array.from({ length: readersMax }, reader))
  agent.destroy()
}

function statusOf(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (answer) => {
      answer.resume()
      answer.once('end', () => resolve(answer.statusCode ?? 0))
    }).once('error', reject)
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
