/**
 * The one bridge between sockets and the handler. Everything a hostile or slow peer can do to a connection is bounded
 * here: time to send headers and requests, their size, the number of connections, and the time that closing takes.
 */
import { chmod, readFile, rm, stat } from 'node:fs/promises'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { nextTick } from 'node:process'
import { createSecureContext } from 'node:tls'
import { getRequestListener } from '@hono/node-server'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import { isLoopback, plainAddress } from './address.ts'
import { responseOf } from './answer.ts'
import { carryOver } from './gateway/socket-bridge.ts'
import { limitBody } from './limit-body.ts'
import { languageOf, problem } from './problem.ts'
import { answerRead, answerReport } from './quick-path.ts'
import type { Handler, Peer } from './server.ts'
import { mayBeReport } from './take-report.ts'

export type ListenOptions = {
  readonly handler: Handler
  /** `HOST:PORT`, `[v6]:PORT` (port 0: any free one) or `unix:/path`. */
  readonly listen: string
  /** Paths of the certificate chain and the key, PEM. */
  readonly tls?: PemFiles | null
  /** Another process has made sure that the address is free, and shares it among several. */
  readonly isShared?: boolean
  /** Reads `tls` in place of the disk. */
  readonly readPem?: ReadPem
  readonly env: Env
  readonly limits?: Partial<Limits>
}

export type PemFiles = { readonly cert: string; readonly key: string }

/** Rejects as `node:fs` does. */
export type ReadPem = (path: string) => Promise<Uint8Array>

export type Limits = {
  /** Time to send all headers, in milliseconds. */
  readonly headersMs: number
  /** Time to send the whole request, in milliseconds, but for calls through the gateway; the answer may take longer. */
  readonly requestMs: number
  /** How long an idle connection is kept, in milliseconds. */
  readonly keepAliveMs: number
  readonly headerBytes: number
  readonly headers: number
  readonly connections: number
  /** Connections of one address; loopback addresses are free, as a proxy may be there. */
  readonly connectionsPerAddress: number
  /** How long closing waits for answers that are under way, in milliseconds. */
  readonly closeMs: number
}

export const limitsDefault: Limits = {
  headersMs: 5_000,
  requestMs: 10_000,
  keepAliveMs: 5_000,
  headerBytes: 8_192,
  headers: 100,
  // Thousands may listen to events, and all of them may be behind one proxy.
  connections: 16_384,
  connectionsPerAddress: 4_096,
  closeMs: 8_000,
}

export type Listening = {
  /** `http://HOST:PORT`, `https://…` or `unix:/path`. */
  readonly url: string
  /** 0 on a unix socket. */
  readonly port: number
  /**
   * Reads certificate and key again; connections from now on use them. Throws `config_invalid` or `config_unreadable`, and
   * keeps the old ones, when they are no pair.
   */
  readonly renewTls: () => Promise<void>
  /** Takes no new connections, ends waits, lets answers under way finish. Ends within `closeMs` and a little. */
  readonly close: () => Promise<void>
}

export async function listen(options: ListenOptions): Promise<Listening> {
  const { handler, env } = options
  const limits = { ...limitsDefault, ...options.limits }
  const tls = options.tls ?? null
  const where = parseListen(options.listen)
  const closing = new AbortController()
  const listener = listenerOf(handler, closing.signal, { env, limits })
  const pairNow = (files: PemFiles): Promise<Pair> => readPair(files, options.readPem)
  const server =
    tls === null
      ? createServer(serverOptions(limits), listener)
      : createTlsServer(secureOptions(limits, await pairNow(tls)), listener)
  server.maxHeadersCount = limits.headers
  limitConnections(server, limits)
  if ('path' in where && options.isShared !== true) await removeStaleSocket(where.path)
  await bind(server, where)

  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  let closed: Promise<void> | undefined
  return {
    url:
      'path' in where ? `unix:${where.path}` : `${tls === null ? 'http' : 'https'}://${bracketed(where.host)}:${port}`,
    port,
    renewTls: async () => {
      if (tls !== null && 'setSecureContext' in server) server.setSecureContext(await pairNow(tls))
    },
    close: () => (closed ??= close(server, { env, handler, closing, closeMs: limits.closeMs })),
  }
}

function serverOptions(limits: Limits): ServerOptions {
  return {
    headersTimeout: limits.headersMs,
    // Node has one limit for all requests; those through the gateway may be as long as they keep moving.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.headerBytes,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(limits.headersMs / 2)),
    // A second Authorization or Host then makes one value that is no key and no host, instead of being dropped silently.
    joinDuplicateHeaders: true,
    insecureHTTPParser: false,
  }
}

function secureOptions(limits: Limits, pair: Pair): ServerOptions & Pair & { readonly handshakeTimeout: number } {
  return { ...serverOptions(limits), ...pair, handshakeTimeout: limits.headersMs }
}

/** A certificate and its key, as TLS takes them. */
export type Pair = { readonly cert: Buffer; readonly key: Buffer; readonly minVersion: 'TLSv1.2' }

/** The pair as it is now. It is tried first: a server takes parts of a bad one before it throws. */
export async function readPair(tls: PemFiles, read: ReadPem = (path) => readFile(path)): Promise<Pair> {
  // One after the other, so that of two that are missing it is always the first that is named.
  const cert = await pemOf(tls.cert, read)
  const key = await pemOf(tls.key, read)
  const pair: Pair = { cert, key, minVersion: 'TLSv1.2' }
  try {
    createSecureContext(pair)
    return pair
  } catch (thrown) {
    const why = `${tls.cert} and ${tls.key} are no pair of certificate and key (${wordOf(thrown)})`
    throw new ZhongkongError('config_invalid', why, { cause: thrown, hint: pairHint })
  }
}

const pairHint: Text = {
  en: "Write both files anew as PEM: the chain with the server's own certificate first, and its key without a passphrase.",
  zh: '请重新写入这两个 PEM 文件：证书链以服务器自身的证书开头，对应的私钥不能带口令。',
}

async function pemOf(path: string, read: ReadPem): Promise<Buffer> {
  try {
    return Buffer.from(await read(path))
  } catch (thrown) {
    throw new ZhongkongError('config_unreadable', `${path} cannot be read (${wordOf(thrown)})`, {
      cause: thrown,
      hint: { en: 'Check server.tls and the rights to the file.', zh: '请检查 server.tls 以及该文件的权限。' },
    })
  }
}

/** OpenSSL's reason or the system's code; neither holds anything of the files. */
function wordOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown'
  if ('reason' in thrown && typeof thrown.reason === 'string') return thrown.reason
  return 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unknown'
}

type Bounds = { readonly env: Env; readonly limits: Limits }

/** The quick path where it can answer, the gateway for what is its own, the handler through node-server's bridge everywhere else. */
function listenerOf(handler: Handler, closing: AbortSignal, { env, limits }: Bounds): RequestListener {
  const full = getRequestListener((request, bridge) => handler(request, peerOf(bridge.incoming.socket)), {
    overrideGlobalObjects: false,
    errorHandler: () =>
      responseOf(
        problem(
          new ZhongkongError('bad_request', 'the request line or its Host header is malformed'),
          languageOf(null),
        ),
        '-',
      ),
  })
  const pending = new Set<ServerResponse>()
  // Answers under way when closing begins are the last ones on their connections.
  closing.addEventListener('abort', () => {
    for (const outgoing of pending) outgoing.shouldKeepAlive = false
  })
  return (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (closing.aborted) outgoing.shouldKeepAlive = false
    // Node leaves out those beyond its limit without a word: a proxy's X-Forwarded-For, say, or what says that there is a body.
    if (incoming.rawHeaders.length > 2 * limits.headers) {
      outgoing.writeHead(431, { Connection: 'close' }).end()
      return
    }
    const quick = { handler, incoming, outgoing, peer: peerOf(incoming.socket) }
    if (answerRead(quick)) return
    pending.add(outgoing)
    outgoing.once('close', () => pending.delete(outgoing))
    const answer = (): void => {
      void limitBody(incoming, outgoing, { clock: env.clock, ms: limits.requestMs })
      void full(incoming, outgoing)
    }
    if (incoming.method === 'POST' && mayBeReport(incoming.url ?? '')) {
      // What came along with the headers is there by then.
      nextTick(() => answerReport(quick) || answer())
      return
    }
    if (!handler.mayCarry(incoming.url ?? '')) {
      answer()
      return
    }
    carryOver(handler, incoming, outgoing, { peer: quick.peer, clock: env.clock }).then(
      (isAnswered) => {
        if (!isAnswered) answer()
      },
      // A header that Node refuses to write, at worst.
      () => outgoing.destroy(),
    )
  }
}

const peers = new WeakMap<object, Peer>()

/** Who a connection belongs to: its socket's address and nothing that was sent. */
function peerOf(socket: Pick<Socket, 'remoteAddress' | 'destroy'>): Peer {
  const known = peers.get(socket)
  if (known !== undefined) return known
  const address = socket.remoteAddress === undefined ? null : plainAddress(socket.remoteAddress)
  const hangUp = (): void => void socket.destroy()
  const peer = { address, isLoopback: address === null || isLoopback(address), hangUp }
  peers.set(socket, peer)
  return peer
}

/**
 * Not by `server.maxConnections`: in a cluster, Node hands a connection that exceeds it to the next worker, and round
 * and round for as long as all are full.
 */
function limitConnections(server: Server | TlsServer, { connections, connectionsPerAddress }: Limits): void {
  let open = 0
  const counts = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    open += 1
    socket.once('close', () => (open -= 1))
    if (open > connections) socket.destroy()
    const { address, isLoopback: isFree } = peerOf(socket)
    if (address === null || isFree) return
    const count = (counts.get(address) ?? 0) + 1
    counts.set(address, count)
    socket.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1
      if (left === 0) counts.delete(address)
      else counts.set(address, left)
    })
    if (count > connectionsPerAddress) socket.destroy()
  })
}

type Where = { readonly path: string } | { readonly host: string; readonly port: number }

/** Throws for a text that is no address to listen on. */
export function parseListen(text: string): Where {
  if (text.startsWith('unix:') && text.length > 5) return { path: text.slice(5) }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535) {
    throw new ZhongkongError('config_invalid', `${text} is no HOST:PORT, [v6]:PORT or unix:/path`)
  }
  return { host, port }
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

async function bind(server: Server | TlsServer, where: Where): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen('path' in where ? { path: where.path } : { host: where.host, port: where.port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  // Owner and group may connect; others may not.
  if ('path' in where) await chmod(where.path, 0o660)
}

/** A process that was killed leaves its socket file behind. It is removed only if nobody answers there. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found === null) return
  if (!found.isSocket()) {
    throw new ZhongkongError('config_invalid', `${path} exists and is no socket`, {
      hint: { en: 'Remove it, or choose another path.', zh: '请删除该文件，或换一个路径。' },
    })
  }
  const isAnswered = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (isAnswered) {
    throw new ZhongkongError('config_invalid', `another process is listening on ${path}`, {
      hint: { en: 'End that process, or choose another path.', zh: '请结束该进程，或换一个路径。' },
    })
  }
  await rm(path, { force: true })
}

type Ending = {
  readonly env: Env
  readonly handler: Handler
  readonly closing: AbortController
  readonly closeMs: number
}

async function close(server: Server | TlsServer, { env, handler, closing, closeMs }: Ending): Promise<void> {
  closing.abort()
  handler.drain()
  const stopped = new AbortController()
  server.close(() => stopped.abort())
  const endsAt = env.clock.monotonic() + closeMs
  while (!stopped.signal.aborted && env.clock.monotonic() < endsAt) {
    // A connection becomes idle when its answer has left; node closes only those that were idle when asked.
    server.closeIdleConnections()
    await env.clock.sleep(50, stopped.signal)
  }
  server.closeAllConnections()
}
