/**
 * One connection to one Redis server, on the library `@redis/client`. It never reconnects by itself and never waits in
 * vain: node-redis has no deadline for what was sent already, so a connection that leaves a call without its answer is
 * given up as a whole, with everything that waits behind it. Whoever needs the server then opens another one.
 */
import { deadline, until, type Clock } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { RedisAddress, RedisLogin } from '../base/redis-url.ts'
import { listOf, numberOf, type Reply } from './redis-reply.ts'
import { scripts, type RedisScript } from './redis-scripts.ts'

/** The part of a node-redis client that is used here. */
type Client = {
  connect(): Promise<unknown>
  sendCommand(args: readonly string[]): Promise<unknown>
  subscribe(channel: string, listener: () => void): Promise<void>
  destroy(): void
  on(event: 'connect' | 'error' | 'terminated', listener: (cause: unknown) => void): unknown
}

/** The package as it is: its `createClient`, and what its clients can do beside the above. */
type RedisPackage = {
  readonly createClient: (options: object) => { duplicate(options: object): Client }
  readonly ErrorReply: ErrorClass
}

/** The part of `@redis/client` that is used here. */
export type RedisLibrary = { readonly createClient: (options: object) => Client; readonly ErrorReply: ErrorClass }

type ErrorClass = abstract new (...args: never[]) => Error

/** The server answered, with an error: `code` is its first word. The command was not carried out. */
export class RedisRefusal extends Error {
  readonly code: string

  constructor(message: string) {
    super(message)
    this.name = 'RedisRefusal'
    this.code = /^[A-Z]+/.exec(message)?.[0] ?? 'ERR'
  }
}

/** There is no connection (any more). What was sent may or may not have been carried out, unless `isUnsent`. */
export class RedisLost extends Error {
  readonly isUnsent: boolean

  constructor(message: string, isUnsent: boolean, cause?: unknown) {
    super(message, { cause })
    this.name = 'RedisLost'
    this.isUnsent = isUnsent
  }
}

export type ConnectionOptions = {
  readonly library: RedisLibrary
  readonly clock: Clock
  readonly address: RedisAddress
  readonly login: RedisLogin
  readonly database: number
  readonly runsScripts: boolean
  /** Certificates of authorities, in PEM, beside those the system trusts; null for a connection without TLS. */
  readonly tls: { readonly ca: string | null } | null
}

/** Loads the library, which people install only when they use Redis. Throws `dependency_missing`. */
export async function loadRedis(): Promise<RedisLibrary> {
  // A variable, so that neither compiler nor bundler looks for the package: it is an optional dependency.
  const packageName = '@redis/client'
  try {
    const { createClient, ErrorReply } = (await import(packageName)) as RedisPackage
    // For a client of its own options, the package makes a class with every command of Redis, which holds up the process
    // for tens of milliseconds: too much for each try to reach a server that is away. Copies of one client share it.
    const pattern = createClient({ RESP: 2 })
    return { createClient: (options) => pattern.duplicate(options), ErrorReply }
  } catch (error) {
    throw new ZhongkongError('dependency_missing', `a store on Redis needs the package ${packageName}`, {
      cause: error,
      hint: {
        en: `Run "npm install ${packageName}@6" beside zhongkong.`,
        zh: `请在 zhongkong 所在目录执行 "npm install ${packageName}@6"。`,
      },
    })
  }
}

/** How often calls without an answer are looked for, in milliseconds. */
const watchMs = 50
/** More calls than this never wait on one connection: something is wrong, and memory is better kept for serving. */
const waitingMax = 20_000

type Waiting = { readonly endsAt: number; readonly reject: (reason: Error) => void }

export class RedisConnection {
  readonly address: RedisAddress
  readonly #client: Client
  readonly #library: RedisLibrary
  readonly #clock: Clock
  readonly #waiting = new Set<Waiting>()
  #serverMinusMonotonic = NaN
  #isWatching = false
  #lost: RedisLost | null = null

  /** Use `openConnection`. */
  constructor(client: Client, { library, clock, address }: ConnectionOptions) {
    this.address = address
    this.#client = client
    this.#library = library
    this.#clock = clock
    // A client destroyed while its socket connects forgets the socket, which must go as well once it is there.
    client.on('connect', () => {
      if (this.#lost !== null) client.destroy()
    })
    client.on('error', (error) => this.#giveUp(`the connection to ${describe(address)} broke`, error))
    client.on('terminated', (error) => this.#giveUp(`the connection to ${describe(address)} broke`, error))
  }

  get isOpen(): boolean {
    return this.#lost === null
  }

  /** Nothing waits for an answer. */
  get isIdle(): boolean {
    return this.#waiting.size === 0
  }

  /** Sends one command. Rejects with `RedisRefusal` or `RedisLost`, the latter at `endsAt` (monotonic) at the latest. */
  async send(args: readonly string[], endsAt: number): Promise<Reply> {
    return await this.#call(async () => (await this.#client.sendCommand(args)) as Reply, endsAt)
  }

  /** Runs a script, which is sent whole only when the server does not know it. */
  async run(script: RedisScript, { keys, args }: ScriptCall, endsAt: number): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await this.send(['EVALSHA', script.sha, ...rest], endsAt)
    } catch (error) {
      if (!(error instanceof RedisRefusal) || error.code !== 'NOSCRIPT') throw error
      return await this.send(['EVAL', script.source, ...rest], endsAt)
    }
  }

  /** Afterwards the connection can do nothing else but `send(['PING'])`. */
  async subscribe(channel: string, onMessage: () => void, endsAt: number): Promise<void> {
    await this.#call(async () => await this.#client.subscribe(channel, onMessage), endsAt)
  }

  destroy(): void {
    this.#giveUp(`the connection to ${describe(this.address)} was closed`)
  }

  async connect(endsAt: number): Promise<void> {
    await this.#call(async () => await this.#client.connect(), endsAt)
  }

  /** Learns the server's time, and teaches it the scripts, so that no call has to bring one along. */
  async prepare(endsAt: number): Promise<void> {
    const before = this.#clock.monotonic()
    const time = this.send(['TIME'], endsAt)
    // Whoever forbids SCRIPT gets whole scripts instead.
    const loads = Object.values(scripts).map((script) => this.send(['SCRIPT', 'LOAD', script.source], endsAt))
    const [answer] = await Promise.all([time, Promise.allSettled(loads)])
    const [seconds, micros] = listOf(answer)
    this.sawServerTime(numberOf(seconds) * 1_000 + numberOf(micros) / 1_000, before)
  }

  /** The server's time, in milliseconds, at a monotonic instant to come. Early by no more than clocks drift. */
  serverTimeAt(instant: number): number {
    return Math.ceil(instant + this.#serverMinusMonotonic)
  }

  /** An answer held the server's time; it was asked for at the monotonic instant `before`. */
  sawServerTime(ms: number, before: number): void {
    const [least, most] = [ms - this.#clock.monotonic(), ms - before]
    const isPossible = least <= this.#serverMinusMonotonic && this.#serverMinusMonotonic <= most
    if (!isPossible) this.#serverMinusMonotonic = most
  }

  async #call<T>(work: () => Promise<T>, endsAt: number): Promise<T> {
    if (this.#lost !== null) throw new RedisLost(this.#lost.message, true, this.#lost.cause)
    if (this.#waiting.size >= waitingMax) throw new RedisLost(`${waitingMax} calls already wait for Redis`, true)
    return await new Promise<T>((resolve, reject) => {
      const waiting: Waiting = { endsAt, reject }
      this.#waiting.add(waiting)
      if (!this.#isWatching) void this.#watch()
      work().then(
        (answer) => {
          this.#waiting.delete(waiting)
          resolve(answer)
        },
        (error: unknown) => {
          this.#waiting.delete(waiting)
          if (error instanceof this.#library.ErrorReply) reject(new RedisRefusal(error.message))
          else reject(this.#giveUp(`the connection to ${describe(this.address)} broke`, error))
        },
      )
    })
  }

  async #watch(): Promise<void> {
    this.#isWatching = true
    while (this.#waiting.size > 0) {
      const instant = this.#clock.monotonic()
      let earliest = Infinity
      for (const { endsAt } of this.#waiting) earliest = Math.min(earliest, endsAt)
      if (instant >= earliest) {
        this.#giveUp(`${describe(this.address)} did not answer in time`)
        break
      }
      await this.#clock.sleep(Math.min(watchMs, earliest - instant))
    }
    this.#isWatching = false
  }

  /** Rejects all that waits: what has no answer now will never be heard of again. */
  #giveUp(message: string, cause?: unknown): RedisLost {
    if (this.#lost !== null) return this.#lost
    const lost = new RedisLost(message, false, cause)
    this.#lost = lost
    // A refused handshake ends the connection too, and its own words are what people need.
    const reason = cause instanceof this.#library.ErrorReply ? new RedisRefusal(cause.message) : lost
    for (const waiting of this.#waiting) waiting.reject(reason)
    this.#waiting.clear()
    this.#client.destroy()
    return lost
  }
}

export type ScriptCall = { readonly keys: readonly string[]; readonly args: readonly string[] }

/** Opens a connection by `endsAt` (monotonic). Rejects with `RedisLost` (unsent) or `RedisRefusal`. */
export async function openConnection(options: ConnectionOptions, endsAt: number): Promise<RedisConnection> {
  const { library, clock, address, login, database, tls } = options
  const client = library.createClient({
    socket: {
      host: address.host,
      port: address.port,
      connectTimeout: Math.max(1, Math.ceil(endsAt - clock.monotonic())),
      reconnectStrategy: false,
      ...(tls === null ? {} : { tls: true, ...(tls.ca === null ? {} : { ca: tls.ca }) }),
    },
    ...(login.user === null ? {} : { username: login.user }),
    ...(login.password === null ? {} : { password: login.password }),
    database,
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    // A timer for each command, which would not even end one that was sent.
    commandOptions: { timeout: 0 },
  })
  const connection = new RedisConnection(client, options)
  try {
    await connection.connect(endsAt)
    if (options.runsScripts) await connection.prepare(endsAt)
    return connection
  } catch (error) {
    connection.destroy()
    if (error instanceof RedisLost) throw new RedisLost(error.message, true, error.cause)
    throw error
  }
}

/** Waits for what others may have begun, with a later end than ours. Rejects with `RedisLost` (unsent) at `endsAt`. */
export async function endingBy<T>(clock: Clock, endsAt: number, work: Promise<T>): Promise<T> {
  const { signal, done } = deadline(clock, endsAt - clock.monotonic())
  try {
    return await until(work, signal)
  } catch (error) {
    throw signal.aborted ? new RedisLost('Redis did not answer in time', true, error) : error
  } finally {
    done()
  }
}

export function describe({ host, port }: RedisAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
