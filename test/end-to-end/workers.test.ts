/** Several workers behind one address, as real processes: one server to whoever asks, whichever of them answers. */
import { createServer } from 'node:net'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, test as plainTest } from 'vitest'
import { selfSigned } from '../http/self-signed.ts'
import { repository } from '../repository.ts'
import { classic, issuesOf, type Definition } from './accounts.ts'
import { startCli } from './cli-process.ts'
import { askApart, connection, connectionToEach, isAlive, logOf, workersOf, type Connection } from './connections.ts'
import { eventually, moment, openStage, type Stage } from './stage.ts'

/** Each test has a stage of its own. Workers are many processes, so the tests that keep them busy run one after the other. */
const test = plainTest.extend<{ stage: Stage }>({
  // The empty pattern is how vitest is told that this needs nothing else.
  stage: async ({}, use) => {
    const stage = await openStage()
    await use(stage)
    await stage.close()
  },
})

type Extra = Readonly<Record<string, unknown>>

const configure = (stage: Stage, workers: number, sources: Readonly<Record<string, Definition>>, extra: Extra = {}) =>
  stage.configure({ store: 'sqlite:tokens.db', server: { workers }, sources, ...extra })

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The certificate that a new connection is shown. */
async function fingerprintAt(port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    }).on('error', reject)
  })
}

const allGone = (pids: readonly number[]): Promise<boolean | null> => Promise.resolve(pids.some(isAlive) ? null : true)

test('three workers on no store yet: one line when all answer, one issue, one set of metrics, and an end for all', async ({
  stage,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const weixin = classic(upstream, 'wx-crew')
  const server = await stage.serve(await configure(stage, 3, { weixin }))
  const pids = workersOf(server)
  expect(pids).toHaveLength(3)
  const answers = await Promise.all(Array.from({ length: 60 }, () => askApart(server.url, '/v1/tokens/weixin')))
  expect(new Set(answers.map(({ worker }) => worker)).size).toBe(3)
  expect(new Set(answers.map(({ status, json }) => `${status} ${json.version} ${json.token}`)).size).toBe(1)
  expect(issuesOf(upstream, 'wx-crew')).toBe(1)
  expect(server.stdout().match(/ready on/g)).toHaveLength(1)

  const { text } = await askApart(server.url, '/metrics')
  expect(text).toMatch(/_count\{route="\/v1\/tokens\/\{name\}",status="200"\} 60$/m)
  expect(text).toMatch(/^zhongkong_rotations_total 1$/m)
  expect(text).toMatch(/^zhongkong_store_up 1$/m)
  expect(text).toMatch(/^zhongkong_token_left_seconds\{source="weixin"\} \d+/m)
  expect(text.match(/^zhongkong_info/gm)).toHaveLength(1)
  expect(logOf(server).some(({ worker, event }) => event === 'rotated' && Number(worker) >= 1)).toBe(true)

  const ended = await server.stop('SIGTERM')
  expect(ended).toMatchObject({ code: 0, signal: null })
  expect(ended.tookMs).toBeLessThan(10_000)
  expect(pids.filter(isAlive)).toEqual([])
}, 60_000)

test('200 reports of one dead token over 200 connections cost one issue, and every worker serves the new token within a second', async ({
  stage,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const weixin = classic(upstream, 'wx-storm', { delayMs: { token: 200 } })
  const server = await stage.serve(await configure(stage, 3, { weixin }))
  const each = await connectionToEach(server.url, 3)
  const first = await askApart(server.url, '/v1/tokens/weixin')
  for (const one of each.values()) expect((await one.ask('/v1/tokens/weixin')).json.version).toBe(1)
  await moment(1_100)
  upstream.simulator.revoke({ account: 'wx-storm' })
  const report = { stale: first.json.token }
  const told = await Promise.all(
    Array.from({ length: 200 }, () => askApart(server.url, '/v1/tokens/weixin/refresh', report)),
  )
  const latest = upstream.simulator.latest('wx-storm')
  expect(new Set(told.map(({ status, json }) => `${status} ${json.version} ${json.token}`))).toEqual(
    new Set([`200 2 ${latest}`]),
  )
  expect(new Set(told.map(({ worker }) => worker)).size).toBe(3)
  expect(issuesOf(upstream, 'wx-storm')).toBe(2)

  // One worker refreshes; what the others serve follows.
  const [refreshing, ...others] = each.values()
  const { json } = await refreshing!.ask('/v1/tokens/weixin/refresh', {})
  expect(json.version).toBe(3)
  const before = performance.now()
  await Promise.all(others.map((other) => followed(other, 3)))
  expect(performance.now() - before).toBeLessThan(1_000)
  expect(issuesOf(upstream, 'wx-storm')).toBe(3)
  for (const one of each.values()) one.close()
}, 60_000)

async function followed(one: Connection, version: number): Promise<void> {
  await eventually(`version ${version} is served`, 5_000, async () =>
    (await one.ask('/v1/tokens/weixin')).json.version === version ? true : null,
  )
}

test('kill -9 of a worker under load breaks its own connections only; another takes its place, and counters never go back', async ({
  stage,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const server = await stage.serve(await configure(stage, 3, { weixin: classic(upstream, 'wx-kill') }))
  const readsIn = async (): Promise<number> => {
    const { text } = await askApart(server.url, '/metrics')
    return Number(/_count\{route="\/v1\/tokens\/\{name\}",status="200"\} (\d+)/.exec(text)?.[1])
  }
  await askApart(server.url, '/v1/tokens/weixin')
  let isOver = false
  let reads = 0
  const broken: string[] = []
  const wrong: string[] = []
  const reader = async (): Promise<void> => {
    let mine = connection(server.url)
    let last = 'none'
    while (!isOver) {
      try {
        const { status, worker } = await mine.ask('/v1/tokens/weixin')
        if (status !== 200) wrong.push(String(status))
        last = worker
        reads += 1
      } catch (thrown) {
        broken.push(last)
        if (!/ECONNRESET|hang up|EPIPE/.test(String(thrown))) wrong.push(String(thrown))
        mine.close()
        mine = connection(server.url)
        last = 'none'
      }
      await moment(2)
    }
    mine.close()
  }
  const load = Array.from({ length: 12 }, reader)
  const before = new Set((await connectionToEach(server.url, 3)).keys())
  const victim = workersOf(server)[1]!
  process.kill(victim, 'SIGKILL')
  await eventually('another worker is there', 15_000, async () =>
    logOf(server).some(({ msg }) => msg === 'a worker took the place') ? true : null,
  )
  await moment(300)
  isOver = true
  await Promise.all(load)
  const after = new Set((await connectionToEach(server.url, 3)).keys())
  const [gone, ...more] = [...before].filter((worker) => !after.has(worker))
  expect(more).toEqual([])
  expect(wrong).toEqual([])
  expect(reads).toBeGreaterThan(500)
  // A connection that was being handed over when the worker died has not seen an answer of it yet.
  const strangers = broken.filter((worker) => worker !== gone)
  expect(strangers.filter((worker) => worker !== 'none')).toEqual([])
  expect(strangers.length).toBeLessThanOrEqual(1)
  // What the dead have counted stays counted; nobody reads at this moment.
  const counted = await readsIn()
  expect(counted).toBeGreaterThanOrEqual(500)
  process.kill(workersOf(server)[0]!, 'SIGKILL')
  await eventually('the death is noticed', 5_000, async () =>
    logOf(server).filter(({ msg }) => String(msg).includes('another takes its place')).length === 2 ? true : null,
  )
  expect(await readsIn()).toBe(counted)
  const death = logOf(server).find(({ msg }) => msg === 'a worker ended; another takes its place')
  expect(death).toMatchObject({ signal: 'SIGKILL', inMs: expect.any(Number) })
  expect(death?.inMs).toBeGreaterThanOrEqual(125)
}, 60_000)

test('kill -9 of the supervisor ends every worker', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const server = await stage.serve(await configure(stage, 2, { weixin: classic(upstream, 'wx-orphan') }))
  const pids = workersOf(server)
  expect(pids).toHaveLength(2)
  await server.stop('SIGKILL')
  await eventually('the workers are gone', 3_000, () => allGone(pids))
}, 60_000)

test('a reload reaches every worker or none, and a worker that comes later begins with what is in force', async ({
  stage,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const [weixin, second] = [classic(upstream, 'wx-one'), classic(upstream, 'wx-two')]
  const path = await configure(stage, 3, { weixin })
  const server = await stage.serve(path)
  const each = await connectionToEach(server.url, 3)
  const statuses = async (name: string): Promise<number[]> =>
    await Promise.all([...each.values()].map(async (one) => (await one.ask(`/v1/tokens/${name}`)).status))
  const logged = (msg: RegExp): Promise<unknown> =>
    eventually(String(msg), 10_000, async () =>
      logOf(server).some((line) => msg.test(String(line.msg))) ? true : null,
    )
  // The store changes with the next start only: a worker that comes meanwhile must not begin on another one.
  await configure(stage, 3, { weixin, second }, { store: 'sqlite:another.db' })
  await logged(/was reloaded/)
  await eventually('every worker has the new source', 5_000, async () =>
    (await statuses('second')).every((status) => status === 200) ? true : null,
  )
  expect(logOf(server).filter(({ msg }) => String(msg).includes('was reloaded'))).toHaveLength(1)
  expect(issuesOf(upstream, 'wx-two')).toBe(1)

  await writeFile(path, '{ "sources": { "weixin": 3 } }')
  await logged(/not reloaded/)
  expect(await statuses('second')).toEqual([200, 200, 200])
  const [victim] = workersOf(server)
  process.kill(victim!, 'SIGKILL')
  await logged(/took the place/)
  const replaced = await connectionToEach(server.url, 3)
  const newcomer = [...replaced].find(([worker]) => !each.has(worker))?.[1]
  expect((await newcomer!.ask('/v1/tokens/second')).json.token).toBe(upstream.simulator.latest('wx-two'))
  expect(issuesOf(upstream, 'wx-two')).toBe(1)
  for (const one of [...each.values(), ...replaced.values()]) one.close()
}, 60_000)

test('a newcomer that cannot start is tried again while others serve, and ends the server when nobody does', async ({
  stage,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await configure(stage, 2, { weixin: classic(upstream, 'wx-late') })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = stage.start(['serve', '-c', path, '--listen', `127.0.0.1:${port}`])
  await eventually('it is ready', 15_000, async () => (server.stdout().includes('ready on') ? true : null))
  await askApart(url, '/v1/tokens/weixin')
  const ends = (): number => logOf(server).filter(({ msg }) => String(msg).includes('another takes its place')).length
  // Who opens the store finds it set aside; who has it open goes on.
  const note = join(stage.folder, 'tokens.db.quarantined')
  await writeFile(note, '')
  process.kill(workersOf(server)[1]!, 'SIGKILL')
  await eventually('the newcomer has failed', 15_000, async () => (ends() >= 2 ? true : null))
  expect((await askApart(url, '/v1/tokens/weixin')).status).toBe(200)
  expect(server.stderr()).toMatch(/^error: .*set aside/m)
  await rm(note)
  await eventually('the next one has not', 20_000, async () =>
    logOf(server).some(({ msg }) => msg === 'a worker took the place') ? true : null,
  )
  expect((await connectionToEach(url, 2)).size).toBe(2)

  await writeFile(note, '')
  const [one, other] = workersOf(server)
  process.kill(one!, 'SIGKILL')
  process.kill(other!, 'SIGKILL')
  const alone = await stage.run(['serve', '-c', await configure(stage, 1, {}), '--listen', '127.0.0.1:0'])
  expect(await server.ended).toMatchObject({ code: alone.code, signal: null })
  expect(alone.code).not.toBe(0)
  expect(logOf(server).some(({ msg }) => String(msg).includes('cannot go on'))).toBe(false)
}, 60_000)

test('a renewed certificate is used by every worker, and one that does not fit by none', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const [first, second] = [selfSigned(), selfSigned()]
  const put = async (cert: string, key: string): Promise<void> => {
    await writeFile(join(stage.folder, 'tls.crt'), cert)
    await writeFile(join(stage.folder, 'tls.key'), key, { mode: 0o600 })
  }
  await put(first.cert, first.key)
  const server = { workers: 2, tls: { cert: 'tls.crt', key: 'tls.key' } }
  const path = await configure(stage, 2, { weixin: classic(upstream, 'wx-tls') }, { server })
  const served = await stage.serve(path)
  const shown = async (): Promise<Set<string>> =>
    new Set(await Promise.all(Array.from({ length: 12 }, () => fingerprintAt(Number(new URL(served.url).port)))))
  const hangUp = async (msg: RegExp): Promise<void> => {
    const before = logOf(served).length
    process.kill(served.pid, 'SIGHUP')
    await eventually(String(msg), 10_000, async () =>
      logOf(served)
        .slice(before)
        .some((line) => msg.test(String(line.msg)))
        ? true
        : null,
    )
  }
  expect(await shown()).toEqual(new Set([first.fingerprint]))
  await put(second.cert, first.key)
  await hangUp(/not reloaded/)
  expect(await shown()).toEqual(new Set([first.fingerprint]))
  await put(second.cert, second.key)
  await hangUp(/was reloaded/)
  await eventually('every worker shows the new one', 5_000, async () => {
    const found = await shown()
    return found.size === 1 && found.has(second.fingerprint) ? true : null
  })
  // Somebody is just writing the files: a worker that comes now begins with the pair that the others have.
  await put('half a certifica', second.key)
  process.kill(workersOf(served)[0]!, 'SIGKILL')
  await eventually('another worker is there', 15_000, async () =>
    logOf(served).some(({ msg }) => msg === 'a worker took the place') ? true : null,
  )
  expect(await shown()).toEqual(new Set([second.fingerprint]))
}, 60_000)

test('two servers of two workers each, started together on no file, come up and share one token', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await configure(stage, 2, { weixin: classic(upstream, 'wx-four', { delayMs: { token: 300 } }) })
  const servers = await Promise.all([stage.serve(path), stage.serve(path)])
  const answers = await Promise.all(
    servers.flatMap(({ url }) => Array.from({ length: 8 }, () => askApart(url, '/v1/tokens/weixin'))),
  )
  expect(new Set(answers.map(({ worker }) => worker)).size).toBe(4)
  expect(new Set(answers.map(({ status, json }) => `${status} ${json.token}`)).size).toBe(1)
  expect(issuesOf(upstream, 'wx-four')).toBe(1)
}, 60_000)

test('a unix socket is shared too, also after a supervisor that was killed', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await configure(stage, 2, { weixin: classic(upstream, 'wx-unix') })
  const address = `unix:${join(stage.folder, 'zk.sock')}`
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const server = stage.start(['serve', '-c', path, '--listen', address])
    await eventually('it is ready', 15_000, async () => (server.stdout().includes(`ready on ${address}`) ? true : null))
    const each = await connectionToEach(address, 2)
    for (const one of each.values()) expect((await one.ask('/v1/tokens/weixin')).status).toBe(200)
    for (const one of each.values()) one.close()
    const pids = workersOf(server)
    await server.stop(signal)
    await eventually('the workers are gone', 3_000, () => allGone(pids))
  }
}, 60_000)

test('a worker that hangs while the server goes on is killed, and another takes its place', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await configure(stage, 2, { weixin: classic(upstream, 'wx-silent') })
  const script = join(repository, 'test', 'end-to-end', 'impatient-server.mjs')
  const server = startCli([path], { directory: stage.folder, script })
  try {
    const url = await eventually('it is ready', 15_000, async () => readyIn(server.stdout()))
    const [hung, other] = workersOf(server)
    expect((await askApart(url, '/v1/tokens/weixin')).status).toBe(200)
    process.kill(hung!, 'SIGSTOP')
    await eventually('another takes its place', 20_000, async () =>
      logOf(server).some(({ msg }) => msg === 'a worker took the place') ? true : null,
    )
    expect(isAlive(hung!)).toBe(false)
    expect(workersOf(server)).toContain(other)
    for (const one of (await connectionToEach(url, 2)).values()) {
      expect((await one.ask('/v1/tokens/weixin')).status).toBe(200)
      one.close()
    }
    expect(issuesOf(upstream, 'wx-silent')).toBe(1)
    const told = logOf(server).filter(({ level }) => level === 'warn')
    expect(told.find(({ msg }) => msg === 'a worker did not answer and was killed')).toMatchObject({
      silentMs: 5_000,
    })
    expect(told.find(({ msg }) => msg === 'a worker ended; another takes its place')).toMatchObject({
      signal: 'SIGKILL',
    })
    expect((await server.stop('SIGTERM')).code).toBe(0)
  } finally {
    await server.stop('SIGKILL')
  }
}, 60_000)

const readyIn = (text: string): string | null => /^zhongkong ready on (\S+)$/m.exec(text)?.[1] ?? null

test('a port in use and a store that cannot be opened are told once, with the exit code of a single process', async ({
  stage,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const sources = { weixin: classic(upstream, 'wx-never') }
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const address = taken.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const told = async (workers: number, args: readonly string[]) => {
    const path = await configure(stage, workers, sources)
    const { code, stderr } = await stage.run(['serve', '-c', path, ...args])
    return { code, errors: stderr.split('\n').filter((line) => !line.startsWith('{')) }
  }
  const busy = ['--listen', `127.0.0.1:${port}`]
  expect(await told(3, busy)).toEqual(await told(1, busy))
  expect((await told(3, busy)).errors[0]).toMatch(/in use by another program/)
  const nowhere = ['--listen', '127.0.0.1:0', '--store', `sqlite:${stage.folder}`]
  expect(await told(3, nowhere)).toEqual(await told(1, nowhere))
  expect((await told(3, nowhere)).code).toBe(2)
  taken.close()
}, 60_000)

// These mostly wait, each for its own, so they do it at the same time.

test.concurrent(
  'a worker that ends again and again is put back after longer and longer pauses, which are short where nobody serves',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const path = await configure(stage, 2, { weixin: classic(upstream, 'wx-loop') })
    const port = await freePort()
    const server = stage.start(['serve', '-c', path, '--listen', `127.0.0.1:${port}`])
    await eventually('it is ready', 15_000, async () => (server.stdout().includes('ready on') ? true : null))
    const told = (what: string): Record<string, unknown>[] =>
      logOf(server).filter(({ msg }) => String(msg).includes(what))
    const at = ({ time }: Record<string, unknown>): number => Date.parse(String(time))
    const rounds = 6
    for (let round = 1; round <= rounds; round += 1) {
      for (const pid of workersOf(server)) process.kill(pid, 'SIGKILL')
      await eventually('both are back', 15_000, async () => (told('took the place').length === 2 * round ? true : null))
    }
    expect((await askApart(`http://127.0.0.1:${port}`, '/v1/tokens/weixin')).status).toBe(200)
    expect(issuesOf(upstream, 'wx-loop')).toBe(1)
    const deaths = told('another takes its place')
    expect(deaths).toHaveLength(2 * rounds)
    const startsMs: number[] = []
    for (let index = 0; index < deaths.length; index += 1) {
      // The first of each two ends while the other still serves. Half of each pause is left to chance.
      const full = 250 * 2 ** Math.floor(index / 2)
      const longest = index % 2 === 0 ? full : Math.min(full, 1_000)
      const { worker, inMs } = deaths[index]!
      expect(inMs).toBeGreaterThanOrEqual(longest / 2)
      expect(inMs).toBeLessThanOrEqual(longest)
      const back = told('took the place').find((each) => each.worker === worker && at(each) > at(deaths[index]!))
      startsMs.push(at(back!) - at(deaths[index]!) - Number(inMs))
    }
    // In the last round, at least four seconds were said while the other served, and then it was one at the most.
    expect(startsMs.at(-2)).toBeLessThan(0)
  },
  60_000,
)

test.concurrent(
  'scheduled rotations of short-lived tokens cost one issue each, however many workers look',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const weixin = classic(upstream, 'wx-short', { ttlSeconds: 6 })
    const server = await stage.serve(await configure(stage, 4, { weixin }))
    const each = await connectionToEach(server.url, 4)
    const endsAt = performance.now() + 10_000
    let version = 0
    while (performance.now() < endsAt) {
      for (const one of each.values()) {
        const { status, json } = await one.ask('/v1/tokens/weixin')
        expect(status).toBe(200)
        version = Math.max(version, Number(json.version))
      }
      await moment(50)
    }
    expect(version).toBeGreaterThan(2)
    expect(issuesOf(upstream, 'wx-short') - version).toBeLessThanOrEqual(1)
    const settled = await eventually('no refresh is under way', 5_000, async () => {
      const { json } = await askApart(server.url, '/v1/tokens/weixin')
      return issuesOf(upstream, 'wx-short') === json.version ? Number(json.version) : null
    })
    expect(settled).toBeGreaterThanOrEqual(version)
    for (const one of each.values()) one.close()
  },
  60_000,
)

test.concurrent(
  'a worker that hangs holds up neither metrics nor the end, and is killed with it',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const server = await stage.serve(await configure(stage, 3, { weixin: classic(upstream, 'wx-hang') }))
    const each = await connectionToEach(server.url, 3)
    const pids = workersOf(server)
    process.kill(pids[2]!, 'SIGSTOP')
    // The frozen one cannot answer; which of the connections is its own, nobody knows.
    const asked = [...each.values()].map(async (one) => (await one.ask('/metrics')).status)
    asked.forEach((answer) => void answer.catch(() => undefined))
    expect(await Promise.race([asked[0], asked[1]])).toBe(200)
    const ended = await server.stop('SIGTERM')
    expect(ended.code).toBe(0)
    // Nine and a half seconds, and what a busy machine adds.
    expect(ended.tookMs).toBeLessThan(12_000)
    await eventually('the workers are gone', 1_000, () => allGone(pids))
    expect(logOf(server).filter(({ msg }) => String(msg).includes('was killed'))).toHaveLength(1)
  },
  60_000,
)

test.concurrent(
  'a file sink ends with the newest version whoever rotated, and never goes back, its writer killed meanwhile',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const weixin = classic(upstream, 'wx-file')
    const sinks = [{ kind: 'file', path: join(stage.folder, '{name}.json') }]
    const server = await stage.serve(await configure(stage, 3, { weixin }, { sinks }))
    const inFile = async (): Promise<number> => {
      const content = await readFile(join(stage.folder, 'weixin.json'), 'utf8').catch(() => '{"version":0}')
      return (JSON.parse(content) as { version: number }).version
    }
    const seen: number[] = []
    let isOver = false
    const watching = (async () => {
      while (!isOver) {
        seen.push(await inFile())
        await moment(3)
      }
    })()
    const rotate = async (): Promise<number> => {
      // A report or refresh waits out the second in which the platform would give the same token again.
      await moment(1_050)
      return Number((await askApart(server.url, '/v1/tokens/weixin/refresh', {})).json.version)
    }
    const caughtUp = (version: number): Promise<unknown> =>
      eventually(`the file holds version ${version}`, 10_000, async () => ((await inFile()) === version ? true : null))
    for (let turn = 0; turn < 4; turn += 1) await caughtUp(await rotate())
    // The first worker writes the files; those who rotate meanwhile are its siblings.
    process.kill(workersOf(server)[0]!, 'SIGKILL')
    await caughtUp(await rotate())
    await caughtUp(await rotate())
    isOver = true
    await watching
    expect(seen).toEqual(seen.toSorted((left, right) => left - right))
    // Whichever worker is asked, it tells what the one that writes has told.
    await eventually('every worker tells how the sink is doing', 10_000, async () => {
      const told = await Promise.all(Array.from({ length: 12 }, () => askApart(server.url, '/v1/sinks')))
      const sinkOf = ({ json }: (typeof told)[0]) => (json.sinks as { state: string; delivered: number }[])[0]
      return told.every((one) => sinkOf(one)?.state === 'ok' && (sinkOf(one)?.delivered ?? 0) > 0) ? true : null
    })
  },
  60_000,
)
