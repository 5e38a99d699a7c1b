/** Real Redis servers for tests: one, one with replicas and sentinels, and a Cluster of six. */
import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { obtainServer, type ServerPrograms } from './obtain-server.ts'
import {
  freePorts,
  removeFolder,
  serverFolder,
  startProcess,
  untilReady,
  type ServerProcess,
} from './server-process.ts'

export type RedisServer = {
  readonly port: number
  readonly url: string
  readonly process: () => ServerProcess
  /** One command, on a connection of its own; the raw answer, without its type for plain texts and numbers. */
  readonly command: (...words: readonly string[]) => Promise<string>
  /** Starts it again on the same port and folder, after it was ended. */
  readonly start: () => Promise<void>
  /** Ends the process and removes its folder. */
  readonly dispose: () => Promise<void>
}

export type RedisSettings = {
  /** Lines of redis.conf. */
  readonly settings?: readonly string[]
  /** With a certificate for 127.0.0.1, whose authority is at `certificateOf(server)`. */
  readonly tls?: boolean
  readonly port?: number
  /** Everybody must say this. */
  readonly password?: string
}

type Started = RedisServer & { readonly folder: string }

export async function startRedis(options: RedisSettings = {}): Promise<Started> {
  const programs = obtainServer('redis')
  const folder = serverFolder('redis')
  const [free = 0, plain = 0] = await freePorts(2)
  const port = options.port ?? free
  const lines = [
    'bind 127.0.0.1',
    'protected-mode no',
    'save ""',
    'appendonly no',
    // Redis waits five seconds for more replicas before it feeds the first.
    'repl-diskless-sync-delay 0',
    `dir ${folder}`,
    ...(options.tls === true
      ? [`port ${plain}`, `tls-port ${port}`, 'tls-auth-clients no', ...certificateSettings(folder)]
      : [`port ${port}`]),
    ...(options.password === undefined ? [] : [`requirepass ${options.password}`]),
    ...(options.settings ?? []),
  ]
  writeFileSync(join(folder, 'redis.conf'), lines.join('\n'))
  const { password = null } = options
  const commandPort = options.tls === true ? plain : port
  const scheme = options.tls === true ? 'rediss' : 'redis'
  const ca = options.tls === true ? `?ca=${join(folder, 'ca.pem')}` : ''
  return await run({
    programs,
    folder,
    port,
    commandPort,
    password,
    url: `${scheme}://127.0.0.1:${port}${ca}`,
    args: [],
  })
}

type Running = {
  readonly programs: ServerPrograms
  readonly folder: string
  readonly port: number
  readonly commandPort: number
  readonly password: string | null
  readonly url: string
  readonly args: readonly string[]
}

async function run({ programs, folder, port, commandPort, password, url, args }: Running): Promise<Started> {
  const begin = (): ServerProcess => startProcess({ programs, args: [join(folder, 'redis.conf'), ...args], folder })
  const command = async (...words: readonly string[]): Promise<string> => await ask(commandPort, words, password)
  const isReady = async (): Promise<boolean> => (await command('PING')) === 'PONG'
  let server = begin()
  await untilReady(server, isReady)
  return {
    port,
    url,
    folder,
    process: () => server,
    command,
    start: async () => {
      await server.end('SIGKILL')
      server = begin()
      await untilReady(server, isReady)
    },
    dispose: async () => {
      await server.end('SIGKILL')
      removeFolder(folder)
    },
  }
}

/** One command in the old protocol. Lists come as their parts, joined by line ends. Errors throw. */
async function ask(port: number, words: readonly string[], password: string | null): Promise<string> {
  const commands = [...(password === null ? [] : [['AUTH', password]]), words]
  return await new Promise((resolve, reject) => {
    const socket = connectPlain(port, '127.0.0.1')
    let answer = ''
    socket.setTimeout(5_000, () => socket.destroy(new Error('Redis did not answer the test')))
    socket.once('error', reject)
    socket.once('connect', () => socket.write(commands.map(requestOf).join('')))
    socket.on('data', (data) => {
      answer += data.toString('utf8')
      const greeting = password === null ? { end: 0 } : readReply(answer, 0)
      const whole = greeting === null ? null : readReply(answer, greeting.end)
      if (greeting === null || whole === null) return
      socket.destroy()
      if (answer[greeting.end] === '-') reject(new Error(answer.slice(greeting.end + 1).trim()))
      else resolve(whole.text)
    })
    socket.once('close', () => reject(new Error(`Redis closed the connection: ${answer}`)))
  })
}

function requestOf(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function readReply(text: string, from: number): { readonly text: string; readonly end: number } | null {
  const lineEnd = text.indexOf('\r\n', from)
  if (lineEnd < 0) return null
  const head = text.slice(from + 1, lineEnd)
  const start = lineEnd + 2
  if (text[from] === '$') {
    if (head === '-1') return { text: '', end: start }
    // Lengths count bytes; the tests' own questions are answered in ASCII.
    const end = start + Number(head) + 2
    return text.length < end ? null : { text: text.slice(start, end - 2), end }
  }
  if (text[from] !== '*') return { text: head, end: start }
  const parts: string[] = []
  let end = start
  for (let count = 0; count < Number(head); count += 1) {
    const part = readReply(text, end)
    if (part === null) return null
    parts.push(part.text)
    end = part.end
  }
  return { text: parts.join('\n'), end }
}

function certificateSettings(folder: string): string[] {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=test authority',
    '-days',
    '2',
  )
  openssl('req', ...key, '-keyout', 'key.pem', '-out', 'request.pem', '-subj', '/CN=127.0.0.1')
  writeFileSync(join(folder, 'names'), 'subjectAltName=IP:127.0.0.1')
  const authority = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial']
  openssl('x509', '-req', '-in', 'request.pem', ...authority, '-out', 'cert.pem', '-days', '2', '-extfile', 'names')
  chmodSync(join(folder, 'key.pem'), 0o644)
  return ['tls-cert-file cert.pem', 'tls-key-file key.pem', 'tls-ca-cert-file ca.pem'].map((line) => {
    const [name, file = ''] = line.split(' ')
    return `${name} ${join(folder, file)}`
  })
}

export type RedisSentinels = {
  /** For the store: all sentinels and the name of the master. */
  readonly url: string
  readonly servers: readonly RedisServer[]
  readonly sentinels: readonly RedisServer[]
  /** The port of the master, as most sentinels have it. */
  readonly masterPort: () => Promise<number>
  /** Cuts a server off from the sentinels and from its replicas; everybody else still reaches it. */
  readonly partition: (server: RedisServer) => Promise<void>
  readonly heal: (server: RedisServer) => Promise<void>
  readonly dispose: () => Promise<void>
}

/** Sentinels and replicas have names of their own, so that a server can refuse just them. */
const password = 'secret'
const insiders = ['watcher', 'follower'] as const
const insiderSettings = [
  ...insiders.map((name) => `user ${name} on >${password} ~* &* +@all`),
  'masteruser follower',
  `masterauth ${password}`,
]

/** A master with replicas, and three sentinels that replace it when it is silent for `downMs`. */
export async function startSentinels(
  replicas = 1,
  downMs = 1_000,
  settings: readonly string[] = [],
): Promise<RedisSentinels> {
  const all = [...insiderSettings, ...settings]
  const master = await startRedis({ password, settings: all })
  const followers = await Promise.all(
    Array.from({ length: replicas }, () =>
      startRedis({ password, settings: [...all, `replicaof 127.0.0.1 ${master.port}`] }),
    ),
  )
  const servers = [master, ...followers]
  const replicaPorts = followers.map(({ port }) => port)
  await until(async () => {
    const online = (await master.command('INFO', 'replication')).match(/state=online/g) ?? []
    return online.length === replicas
  })
  const ports = await freePorts(3)
  const sentinels = await Promise.all(
    ports.map(async (port) => await startSentinel({ port, ports, masterPort: master.port, replicaPorts, downMs })),
  )
  const seen = async (sentinel: RedisServer): Promise<boolean> => {
    const state = await sentinel.command('SENTINEL', 'MASTER', 'mymaster')
    return state.includes('num-other-sentinels\n2') && state.includes(`num-slaves\n${replicas}`)
  }
  await until(async () => (await Promise.all(sentinels.map(seen))).every(Boolean))
  return {
    url: `redis+sentinel://:${password}@${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/mymaster`,
    servers,
    sentinels,
    masterPort: async () => {
      const named = await Promise.all(
        sentinels.map(async (sentinel) => await sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')),
      )
      const ports = named.map((answer) => Number(answer.split('\n')[1]))
      return ports.find((port) => ports.filter((other) => other === port).length >= 2) ?? 0
    },
    partition: async (server) => {
      for (const name of insiders) {
        await server.command('ACL', 'SETUSER', name, 'off')
        await server.command('CLIENT', 'KILL', 'USER', name)
      }
    },
    heal: async (server) => {
      for (const name of insiders) await server.command('ACL', 'SETUSER', name, 'on')
    },
    dispose: async () => {
      await Promise.all([...sentinels, ...servers].map(async (server) => await server.dispose()))
    },
  }
}

type SentinelPlace = {
  readonly port: number
  /** Of all sentinels. */
  readonly ports: readonly number[]
  readonly masterPort: number
  readonly replicaPorts: readonly number[]
  readonly downMs: number
}

/** Told of all others at once, as finding each other takes them seconds. */
async function startSentinel({ port, ports, masterPort, replicaPorts, downMs }: SentinelPlace): Promise<RedisServer> {
  const programs = obtainServer('redis')
  const folder = serverFolder('sentinel')
  const idOf = (of: number): string => String(of).padStart(40, 'a')
  const others = ports.filter((other) => other !== port)
  const lines = [
    'bind 127.0.0.1',
    'protected-mode no',
    `port ${port}`,
    `dir ${folder}`,
    `sentinel myid ${idOf(port)}`,
    `sentinel monitor mymaster 127.0.0.1 ${masterPort} 2`,
    'sentinel auth-user mymaster watcher',
    `sentinel auth-pass mymaster ${password}`,
    `sentinel down-after-milliseconds mymaster ${downMs}`,
    'sentinel failover-timeout mymaster 6000',
    ...replicaPorts.map((replica) => `sentinel known-replica mymaster 127.0.0.1 ${replica}`),
    ...others.map((other) => `sentinel known-sentinel mymaster 127.0.0.1 ${other} ${idOf(other)}`),
  ]
  writeFileSync(join(folder, 'redis.conf'), lines.join('\n'))
  const url = `redis://127.0.0.1:${port}`
  return await run({ programs, folder, port, commandPort: port, password: null, url, args: ['--sentinel'] })
}

export type RedisCluster = {
  readonly url: string
  readonly nodes: readonly RedisServer[]
  /** The node that owns a slot. */
  readonly ownerOf: (slot: number) => Promise<RedisServer>
  readonly dispose: () => Promise<void>
}

/** Three masters with a replica each. */
export async function startCluster(): Promise<RedisCluster> {
  const settings = [
    'cluster-enabled yes',
    'cluster-config-file nodes.conf',
    'cluster-node-timeout 1500',
    'cluster-replica-validity-factor 0',
  ]
  // The bus listens 10 000 above; both are below the ports of outgoing connections.
  const ports = await clusterPorts(6)
  const nodes = await Promise.all(ports.map(async (port) => await startRedis({ settings, port })))
  const masters = nodes.slice(0, 3)
  const share = Math.ceil(16_384 / 3)
  for (const [index, node] of masters.entries()) {
    const count = Math.min(share, 16_384 - index * share)
    const slots = Array.from({ length: count }, (_, place) => String(index * share + place))
    await node.command('CLUSTER', 'ADDSLOTS', ...slots)
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
  }
  for (const node of nodes.slice(1)) await node.command('CLUSTER', 'MEET', '127.0.0.1', String(nodes[0]!.port))
  await until(async () => (await Promise.all(nodes.map(knowsAll))).every(Boolean))
  for (const [index, replica] of nodes.slice(3).entries()) {
    await replica.command('CLUSTER', 'REPLICATE', await masters[index]!.command('CLUSTER', 'MYID'))
  }
  await until(async () => (await Promise.all(nodes.map(isReady))).every(Boolean))
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    ownerOf: async (slot) => {
      const running = nodes.find((node) => !node.process().hasEnded())!
      const rows = (await running.command('CLUSTER', 'NODES')).split('\n')
      const owner = rows.find((row) => row.includes('master') && !row.includes('fail') && holds(row, slot)) ?? ''
      const port = Number(/ 127\.0\.0\.1:(\d+)@/.exec(owner)?.[1])
      return nodes.find((node) => node.port === port)!
    },
    dispose: async () => {
      await Promise.all(nodes.map(async (node) => await node.dispose()))
    },
  }
}

async function clusterPorts(count: number): Promise<number[]> {
  const ports = await freePorts(count * 3)
  return ports.filter((port) => port < 20_000).length >= count
    ? ports.filter((port) => port < 20_000).slice(0, count)
    : await clusterPorts(count)
}

async function knowsAll(node: RedisServer): Promise<boolean> {
  return (await node.command('CLUSTER', 'INFO')).includes('cluster_known_nodes:6')
}

async function isReady(node: RedisServer): Promise<boolean> {
  if (!(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) return false
  const slots = (await node.command('CLUSTER', 'NODES'))
    .split('\n')
    .filter((row) => row.includes(' slave ') || row.includes(',slave '))
  const replication = await node.command('INFO', 'replication')
  return (
    slots.length === 3 && (replication.includes('connected_slaves:1') || replication.includes('master_link_status:up'))
  )
}

function holds(row: string, slot: number): boolean {
  return row
    .split(' ')
    .slice(8)
    .some((range) => {
      const [first, last = first] = range.split('-').map(Number)
      return first !== undefined && last !== undefined && first <= slot && slot <= last
    })
}

/** Waits for what servers do on their own; throws after `msMax`. */
export async function until(isTrue: () => Promise<boolean>, msMax = 15_000): Promise<void> {
  const endsAt = performance.now() + msMax
  while (!(await isTrue().catch(() => false))) {
    if (performance.now() > endsAt) throw new Error(`not within ${msMax} ms: ${isTrue.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
