/**
 * Claim: a call through the gateway costs little more than the call itself, no less than half of what nginx can pass on, and
 * a body of any size takes no memory. Requests per second and latency of an ordinary call, made directly, through
 * `/proxy/NAME` with an API key, at the root with a token, and through nginx where that is installed; then one upload.
 *
 * zhongkong and nginx stand on one core, the platform and the load on another, so a direct call has the core of the
 * platform to itself. Rounds alternate, and each figure is the median of the ratios of neighbouring rounds.
 *
 * Options: --pairs N (7), --seconds N of a round (1), --connections 1,32, --upload MB (1024).
 */
import { createHash, randomBytes } from 'node:crypto'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { canPin, cores, startProgram, startZhongkong, type Child } from './child.ts'
import { median, spread, table } from './figures.ts'
import type { Round, RoundResult } from './load.ts'
import type { Measure } from './main.ts'
import { describeQuiet, quietRounds, type Quiet } from './quiet.ts'
import { scratchFolder } from './scratch.ts'

type Way = {
  readonly name: string
  /** Whose processor time is told; of nginx it is not. */
  readonly process: Child | null
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}
type Sample = RoundResult & { readonly perSecond: number; readonly cpuMicros: number }

const path = '/cgi-bin/user/get'
const uploadPath = '/cgi-bin/media/upload'

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '1' },
      connections: { type: 'string', default: '1,32' },
      upload: { type: 'string', default: '1024' },
    },
  })
  const upstream = startProgram('gateway-upstream', [], { core: cores.around })
  const platform = await upstream.ask<string>({})
  const key = `zk_${randomBytes(32).toString('base64url')}`
  const { server, url } = await startServer(platform, key)
  const nginx = await startNginx(platform)
  const load = startProgram('load', [], { core: cores.around })
  const authorization = { Authorization: `Bearer ${key}` }
  const token = await tokenOf(url, authorization)
  const ways: readonly Way[] = [
    { name: 'direct', process: upstream, url: `${platform}${path}?access_token=${token}`, headers: {} },
    { name: '/proxy/weixin', process: server, url: `${url}/proxy/weixin${path}`, headers: authorization },
    { name: 'root, with a token', process: server, url: `${url}${path}?access_token=${token}`, headers: {} },
    ...(nginx === null
      ? []
      : [{ name: 'nginx', process: null, url: `${nginx.url}${path}?access_token=${token}`, headers: {} }]),
  ]
  const rows: ReturnType<typeof compare>[] = []
  for (const connections of values.connections.split(',').map(Number)) {
    const plan = { connections, seconds: Number(values.seconds), pairs: Number(values.pairs) }
    rows.push(...compareAll(ways, connections, await alternate(ways, [load, server, upstream], plan)))
  }
  const upload = await measureUpload(server, `${url}/proxy/weixin${uploadPath}`, authorization, Number(values.upload))
  await Promise.all([load, server, upstream].map((child) => child.stop()))
  nginx?.process.kill('SIGTERM')
  if (nginx === null) console.error('nginx is not installed: it is not compared.')
  return {
    tables: [
      {
        title: 'An ordinary call (ratio: of the direct call’s throughput; more: than its latency)',
        text: tableOf(rows),
      },
      {
        title: 'One upload',
        text: table(
          ['MB', 'MB/s', 'MB of growth'],
          [[upload.megabytes, upload.perSecond.toFixed(0), upload.growth.toFixed(1)]],
        ),
      },
    ],
    numbers: { rows, upload, nginx: nginx !== null },
  }
}

function tableOf(rows: readonly ReturnType<typeof compare>[]): string {
  return table(
    [
      'way',
      'c',
      'requests/s',
      'ratio',
      '(pairs)',
      'of nginx',
      'p50 ms',
      'more',
      'p99 ms',
      'CPU µs each',
      'waited, rounds',
    ],
    rows.map((row) => [
      row.name,
      row.connections,
      row.perSecond.toFixed(0),
      row.ratio.toFixed(2),
      spread(row.ratios, 2),
      Number.isNaN(row.ofNginx) ? '–' : row.ofNginx.toFixed(2),
      row.p50Ms.toFixed(3),
      row.moreMs.toFixed(3),
      row.p99Ms.toFixed(2),
      Number.isNaN(row.cpuMicros) ? '–' : row.cpuMicros.toFixed(0),
      row.waited,
    ]),
  )
}

async function startServer(platform: string, key: string): Promise<{ readonly server: Child; readonly url: string }> {
  const folder = scratchFolder()
  const hash = createHash('sha256').update(key).digest('hex')
  const config = {
    server: { listen: '127.0.0.1:0' },
    store: `sqlite:${join(folder, 'zhongkong.db')}`,
    sources: { weixin: { provider: 'wechat', appid: 'wx1', secret: 'bench', base_url: platform } },
    clients: { shop: { key: `sha256:${hash}`, read: ['weixin'], gateway: ['weixin'] } },
  }
  writeFileSync(join(folder, 'zhongkong.yaml'), JSON.stringify(config), { mode: 0o600 })
  const server = startZhongkong(['serve', '-c', join(folder, 'zhongkong.yaml')], { core: cores.measured })
  return { server, url: (await server.line('zhongkong ready on ')).split(' ').at(-1) ?? '' }
}

/** One worker that keeps its connections, as one would set it up for this; null where there is no nginx. */
async function startNginx(platform: string): Promise<{ readonly process: ChildProcess; readonly url: string } | null> {
  if (spawnSync('nginx', ['-v']).status !== 0) return null
  const folder = scratchFolder()
  const port = await freePort()
  const lines = [
    'daemon off; worker_processes 1; error_log stderr crit;',
    `pid ${folder}/nginx.pid; events { worker_connections 1024; }`,
    `http { access_log off; keepalive_requests 100000000; client_body_temp_path ${folder}; proxy_temp_path ${folder};`,
    `fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};`,
    `upstream platform { server ${platform.slice('http://'.length)}; keepalive 64; keepalive_requests 100000000; }`,
    `server { listen 127.0.0.1:${port}; location / {`,
    'proxy_pass http://platform; proxy_http_version 1.1; proxy_set_header Connection "";',
    '} } }',
  ]
  writeFileSync(join(folder, 'nginx.conf'), lines.join('\n'))
  const command = ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')]
  const [program = 'nginx', ...rest] = canPin ? ['taskset', '-c', String(cores.measured), ...command] : command
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
  process.once('exit', () => child.kill('SIGTERM'))
  const url = `http://127.0.0.1:${port}`
  for (let look = 0; look < 100; look += 1) {
    if ((await fetch(url).catch(() => null)) !== null) return { process: child, url }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('nginx did not start')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function tokenOf(url: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const answer = await fetch(`${url}/v1/tokens/weixin`, { headers })
  const { token } = (await answer.json()) as { token: string }
  return token
}

type Plan = { readonly connections: number; readonly seconds: number; readonly pairs: number }

async function alternate(ways: readonly Way[], processes: readonly Child[], plan: Plan): Promise<Quiet<Sample[]>> {
  const [load] = processes
  const waited = (): number => processes.reduce((sum, child) => sum + child.waitedMs(), 0)
  const round = async () => {
    const before = waited()
    const began = performance.now()
    const result: Sample[] = []
    for (const { name, url, headers, process: child } of ways) {
      const cpuBefore = child?.cpuMs() ?? NaN
      const asked: Round = { url, headers, connections: plan.connections, seconds: plan.seconds }
      const sample = await load?.ask<RoundResult>(asked)
      if (sample === undefined || sample.bad > 0) throw new Error(`${name}: ${sample?.bad ?? 'no'} bad answers`)
      const cpuMicros = (((child?.cpuMs() ?? NaN) - cpuBefore) * 1_000) / sample.requests
      result.push({ ...sample, cpuMicros, perSecond: sample.requests / sample.seconds })
    }
    return { result, waitedShare: (waited() - before) / (performance.now() - began) }
  }
  await round()
  return await quietRounds(plan.pairs, round)
}

function compareAll(ways: readonly Way[], connections: number, quiet: Quiet<Sample[]>) {
  return ways.map((_, at) => compare(ways, { at, connections }, quiet))
}

function compare(
  ways: readonly Way[],
  { at, connections }: { at: number; connections: number },
  quiet: Quiet<Sample[]>,
) {
  const nginx = ways.findIndex(({ name }) => name === 'nginx')
  const ratiosTo = (other: number): number[] =>
    quiet.rounds.map((samples) => (samples[at]?.perSecond ?? NaN) / (samples[other]?.perSecond ?? NaN))
  const middle = (read: (samples: Sample[]) => number): number => median(quiet.rounds.map(read))
  return {
    name: ways[at]?.name ?? '',
    connections,
    perSecond: middle((samples) => samples[at]?.perSecond ?? NaN),
    ratios: ratiosTo(0),
    ratio: median(ratiosTo(0)),
    ofNginx: nginx === -1 ? NaN : median(ratiosTo(nginx)),
    p50Ms: middle((samples) => samples[at]?.p50Ms ?? NaN),
    moreMs: middle((samples) => (samples[at]?.p50Ms ?? NaN) - (samples[0]?.p50Ms ?? NaN)),
    p99Ms: middle((samples) => samples[at]?.p99Ms ?? NaN),
    cpuMicros: middle((samples) => samples[at]?.cpuMicros ?? NaN),
    waited: describeQuiet(quiet),
  }
}

/** What the process has grown by, at most, above what it had after small uploads. */
async function measureUpload(
  server: Child,
  url: string,
  headers: Readonly<Record<string, string>>,
  megabytes: number,
): Promise<{ readonly megabytes: number; readonly perSecond: number; readonly growth: number }> {
  for (let call = 0; call < 8; call += 1) await upload(url, headers, 8)
  const before = server.memoryBytes()
  const began = performance.now()
  const taken = await upload(url, headers, megabytes)
  if (taken !== megabytes * 2 ** 20) throw new Error(`the platform has ${taken} bytes`)
  const seconds = (performance.now() - began) / 1_000
  return { megabytes, perSecond: megabytes / seconds, growth: (server.memoryPeakBytes() - before) / 2 ** 20 }
}

async function upload(url: string, headers: Readonly<Record<string, string>>, megabytes: number): Promise<number> {
  return await new Promise((resolve, reject) => {
    const sent = { ...headers, 'Content-Length': megabytes * 2 ** 20 }
    const outgoing = request(url, { method: 'POST', headers: sent, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.once('end', () => resolve((JSON.parse(text) as { bytes: number }).bytes))
    })
    outgoing.once('error', reject)
    const chunk = Buffer.alloc(2 ** 18, 'media')
    let left = megabytes * 4
    const more = (): void => {
      while (left > 0) {
        left -= 1
        if (!outgoing.write(chunk)) {
          outgoing.once('drain', more)
          return
        }
      }
      outgoing.end()
    }
    more()
  })
}
