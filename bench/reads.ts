/**
 * Claim: reading a token over HTTP is nearly as cheap as node:http itself. Requests per second and latency of
 * `GET /v1/tokens/{name}` (API key checked, seconds left counted anew for each answer) and of TokenBoy's
 * `GET /token?name=`, as ratios to bare node:http in the same run.
 *
 * `zhongkong serve` as anybody runs it (SQLite, one client) and the bare servers stand on one core, the load on another.
 * Rounds alternate, so that what the machine does meanwhile falls on all; each figure is the median of the ratios of
 * neighbouring rounds. There are two bare servers: `bare` sends the same headers and body, and `bare, short` the same
 * body with the fewest headers.
 *
 * Options: --pairs N (9), --seconds N of a round (2), --connections 1,32,256, --route v1|token, --hold (keeps the
 * servers for another load, such as wrk), --cpu-prof FOLDER (of the server; changes the figures).
 */
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Prepared } from './bare-server.ts'
import { cores, startProgram, startZhongkong, type Child } from './child.ts'
import { median, spread, table } from './figures.ts'
import type { Round, RoundResult } from './load.ts'
import type { Measure, Measured } from './main.ts'
import { describeQuiet, quietRounds, type Quiet } from './quiet.ts'
import { scratchFolder } from './scratch.ts'
import type { UpstreamState } from './upstream.ts'

type Contender = { readonly name: string; readonly url: string; readonly process: Child }
type Sample = RoundResult & { readonly perSecond: number; readonly cpuMicros: number }
type Route = { readonly name: string; readonly path: string; readonly headers: Readonly<Record<string, string>> }

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '9' },
      seconds: { type: 'string', default: '2' },
      connections: { type: 'string', default: '1,32,256' },
      route: { type: 'string' },
      hold: { type: 'boolean', default: false },
      'cpu-prof': { type: 'string' },
    },
  })
  const key = `zk_${randomBytes(32).toString('base64url')}`
  const routes: readonly Route[] = [
    { name: 'GET /v1/tokens/weixin', path: '/v1/tokens/weixin', headers: { Authorization: `Bearer ${key}` } },
    { name: 'GET /token?name=weixin', path: '/token?name=weixin', headers: {} },
  ]
  const chosen = routes.filter(({ path }) => values.route === undefined || path.includes(values.route))
  const profile = values['cpu-prof']
  const upstream = startProgram('upstream', ['7200'], { core: cores.around })
  const server = await startServer(
    upstream,
    key,
    profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
  )
  const load = startProgram('load', [], { core: cores.around })
  const plan = { load, pairs: Number(values.pairs), seconds: Number(values.seconds) }
  const rows: ReturnType<typeof compare>[] = []
  for (const route of chosen) {
    const contenders = await contendersFor(server, route)
    if (values.hold) await hold(contenders, route)
    for (const connections of values.connections.split(',').map(Number)) {
      const samples = await alternate(contenders, route, { ...plan, connections })
      const row = compare(route, connections, samples)
      rows.push(row)
      console.error(`${route.name}, ${connections} connections: ${row.ratio.toFixed(2)} of bare (${row.waited})`)
    }
    await Promise.all(contenders.slice(1).map(({ process: bare }) => bare.stop()))
  }
  await Promise.all([server, { process: load }, { process: upstream }].map(({ process: child }) => child.stop()))
  return report(rows)
}

/** `zhongkong serve` with one source, whose token has been fetched. */
async function startServer(upstream: Child, key: string, node: readonly string[]): Promise<Contender> {
  const { url: upstreamUrl } = await upstream.ask<UpstreamState>({})
  const folder = scratchFolder()
  const hash = createHash('sha256').update(key).digest('hex')
  writeFileSync(
    join(folder, 'zhongkong.yaml'),
    [
      'server: { listen: "127.0.0.1:0" }',
      `store: sqlite:${join(folder, 'zhongkong.db')}`,
      `sources: { weixin: { provider: http, url: "${upstreamUrl}/token" } }`,
      `clients: { shop: { key: "sha256:${hash}", read: ["weixin", "weixin_*"] } }`,
      'compat: { tokenboy: true }',
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  const child = startZhongkong(['serve', '-c', join(folder, 'zhongkong.yaml')], { core: cores.measured, node })
  const url = (await child.line('zhongkong ready on ')).split(' ').at(-1) ?? ''
  return { name: 'zhongkong', url, process: child }
}

/** The server, and bare servers that send what it sends on this route. */
async function contendersFor(server: Contender, route: Route): Promise<Contender[]> {
  const answer = await fetch(`${server.url}${route.path}`, { headers: route.headers })
  const body = await answer.text()
  if (answer.status !== 200 || !body.includes('expires_in')) throw new Error(`HTTP ${answer.status}: no token`)
  const own = ['date', 'connection', 'keep-alive']
  const headers = [...answer.headers].filter(([name]) => !own.includes(name))
  const few = headers.filter(([name]) => ['content-type', 'content-length'].includes(name))
  const bare = async (name: string, sent: readonly (readonly [string, string])[]): Promise<Contender> => {
    const child = startProgram('bare-server', [], { core: cores.measured })
    const prepared: Prepared = { headers: sent.flatMap(([header, value]) => [properCase(header), value]), body }
    return { name, url: await child.ask<string>(prepared), process: child }
  }
  return [server, await bare('bare', headers), await bare('bare, short', few)]
}

/** As servers write them; fetch has made them small. */
function properCase(header: string): string {
  return header.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())
}

async function hold(contenders: readonly Contender[], route: Route): Promise<void> {
  const headers = Object.entries(route.headers).map(([name, value]) => `-H '${name}: ${value}'`)
  for (const { name, url } of contenders) {
    console.log(
      `${name}: taskset -c ${cores.around} wrk -t1 -c32 -d10 --latency ${headers.join(' ')} '${url}${route.path}'`,
    )
  }
  console.log('Ctrl-C ends all of them.')
  await new Promise((resolve) => setTimeout(resolve, 86_400_000))
}

type Plan = { readonly load: Child; readonly pairs: number; readonly seconds: number; readonly connections: number }

/** Samples of the contenders in rounds; within one they take turns. A round before that is for warming up. */
async function alternate(contenders: readonly Contender[], route: Route, plan: Plan): Promise<Quiet<Sample[]>> {
  const processes = [plan.load, ...contenders.map(({ process: child }) => child)]
  const waited = (): number => processes.reduce((sum, child) => sum + child.waitedMs(), 0)
  const round = async () => {
    const before = waited()
    const began = performance.now()
    const result: Sample[] = []
    for (const contender of contenders) {
      const sample = await measureRound(contender, route, plan)
      if (sample.bad > 0) throw new Error(`${contender.name} answered ${sample.bad} requests with an error`)
      result.push(sample)
    }
    return { result, waitedShare: (waited() - before) / (performance.now() - began) }
  }
  await round()
  return await quietRounds(plan.pairs, round)
}

async function measureRound(contender: Contender, { path, headers }: Route, plan: Plan): Promise<Sample> {
  const { connections, seconds } = plan
  const round: Round = { url: `${contender.url}${path}`, headers, connections, seconds }
  const cpuBefore = contender.process.cpuMs()
  const result = await plan.load.ask<RoundResult>(round)
  const cpuMs = contender.process.cpuMs() - cpuBefore
  return { ...result, perSecond: result.requests / result.seconds, cpuMicros: (cpuMs * 1_000) / result.requests }
}

function compare(route: Route, connections: number, quiet: Quiet<Sample[]>) {
  const [ours = [], bare = [], short = []] = [0, 1, 2].map((contender) => {
    return quiet.rounds.flatMap((samples) => samples[contender] ?? [])
  })
  const ratios = (field: keyof Sample, to: readonly Sample[]): number[] =>
    ours.map((sample, round) => sample[field] / (to[round]?.[field] ?? NaN))
  const middle = (field: keyof Sample, of: readonly Sample[]): number => median(of.map((sample) => sample[field]))
  const figures = (of: readonly Sample[]) => ({
    perSecond: middle('perSecond', of),
    p50Ms: middle('p50Ms', of),
    p99Ms: middle('p99Ms', of),
    p999Ms: middle('p999Ms', of),
    cpuMicros: middle('cpuMicros', of),
    loadCpuShare: middle('loadCpuShare', of),
  })
  return {
    route: route.name,
    connections,
    waitedShare: quiet.waitedShare,
    ran: quiet.ran,
    waited: describeQuiet(quiet),
    ratios: ratios('perSecond', bare),
    ratio: median(ratios('perSecond', bare)),
    ratioToShort: median(ratios('perSecond', short)),
    cpuRatio: 1 / median(ratios('cpuMicros', bare)),
    p50Ratio: median(ratios('p50Ms', bare)),
    p99Ratio: median(ratios('p99Ms', bare)),
    zhongkong: figures(ours),
    bare: figures(bare),
    bareShort: figures(short),
  }
}

function report(rows: readonly ReturnType<typeof compare>[]): Measured {
  const thousands = (perSecond: number): string => `${(perSecond / 1_000).toFixed(1)} k`
  const ratios = table(
    ['route', 'c', 'of bare', '(pairs)', 'of bare, short', 'by CPU time', 'p50', 'p99', 'waited, rounds'],
    rows.map((row) => [
      row.route,
      row.connections,
      row.ratio.toFixed(2),
      spread(row.ratios, 2),
      row.ratioToShort.toFixed(2),
      row.cpuRatio.toFixed(2),
      `${row.p50Ratio.toFixed(2)} ×`,
      `${row.p99Ratio.toFixed(2)} ×`,
      row.waited,
    ]),
  )
  const absolute = table(
    ['route', 'c', 'server', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'CPU µs each', 'core of the load'],
    rows.flatMap(({ route, connections, zhongkong, bare, bareShort }) =>
      Object.entries({ zhongkong, bare, 'bare, short': bareShort }).map(([name, at]) => [
        route,
        connections,
        name,
        thousands(at.perSecond),
        at.p50Ms.toFixed(2),
        at.p99Ms.toFixed(2),
        at.p999Ms.toFixed(2),
        at.cpuMicros.toFixed(1),
        `${(at.loadCpuShare * 100).toFixed(0)} %`,
      ]),
    ),
  )
  return {
    tables: [
      {
        title: 'zhongkong as a ratio to bare node:http (throughput: more is better; latency: less is better)',
        text: ratios,
      },
      { title: 'The medians behind it', text: absolute },
    ],
    numbers: rows,
  }
}
