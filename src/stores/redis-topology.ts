/**
 * Which server to ask for a key: the one of the URL, the master that sentinels name, or the master of the key's slot in
 * a Cluster. What was found out is kept until `forget` says that it may no longer be true.
 */
import type { Clock } from '../base/env.ts'
import type { RedisAddress, RedisTarget } from '../base/redis-url.ts'
import {
  describe,
  endingBy,
  openConnection,
  RedisLost,
  type ConnectionOptions,
  type RedisConnection,
} from './redis-connection.ts'
import { isList, type Reply } from './redis-reply.ts'

/** Opens a connection of this store: for scripts, for other questions to a server, or to a sentinel. */
export type Connect = (
  address: RedisAddress,
  endsAt: number,
  purpose: 'scripts' | 'questions' | 'sentinel',
) => Promise<RedisConnection>

export type RedisTopology = {
  /** The server that may write the keys of a slot. Rejects with `RedisLost` (unsent) or `RedisRefusal`. */
  locate(slot: number, endsAt: number): Promise<RedisAddress>
  /** Whether the address is one of this store's, as far as was found out last. */
  names(address: RedisAddress): boolean
  /** Something spoke against what is known. */
  forget(): void
  close(): void
}

export function connector(options: Pick<ConnectionOptions, 'library' | 'clock' | 'tls'>, target: RedisTarget): Connect {
  return async (address, endsAt, purpose) => {
    const runsScripts = purpose === 'scripts'
    const login = purpose === 'sentinel' ? target.sentinelLogin : target.login
    const database = purpose === 'sentinel' ? 0 : target.database
    return await openConnection({ ...options, address, login, database, runsScripts }, endsAt)
  }
}

export function topologyOf(target: RedisTarget, connect: Connect, clock: Clock): RedisTopology {
  switch (target.kind) {
    case 'single':
      return new SingleServer(target.addresses[0] ?? { host: 'localhost', port: 6_379 })
    case 'sentinel':
      return new SentinelMaster(target, connect, clock)
    case 'cluster':
      return new ClusterSlots(target, connect, clock)
  }
}

class SingleServer implements RedisTopology {
  readonly #address: RedisAddress

  constructor(address: RedisAddress) {
    this.#address = address
  }

  async locate(): Promise<RedisAddress> {
    return await Promise.resolve(this.#address)
  }

  names(address: RedisAddress): boolean {
    return isSame(address, this.#address)
  }

  forget(): void {
    // There is only one. The next connection asks the name service again, which is how some providers fail over.
  }

  close(): void {
    // Nothing is open.
  }
}

/** How long one sentinel or node may take to say what it knows, in milliseconds; others are asked beside or after it. */
const askMsMax = 600

/** Keeps one connection to each address that is asked again and again. */
class Asking {
  readonly #connect: (address: RedisAddress, endsAt: number) => Promise<RedisConnection>
  readonly #clock: Clock
  readonly #open = new Map<string, RedisConnection>()
  #isClosed = false

  constructor(connect: (address: RedisAddress, endsAt: number) => Promise<RedisConnection>, clock: Clock) {
    this.#connect = connect
    this.#clock = clock
  }

  async ask(address: RedisAddress, args: readonly string[], endsAt: number): Promise<Reply> {
    const until = Math.min(endsAt, this.#clock.monotonic() + askMsMax)
    const key = describe(address)
    const known = this.#open.get(key)
    if (known?.isOpen === true) return await known.send(args, until)
    const connection = await this.#connect(address, until)
    if (this.#isClosed) connection.destroy()
    this.#open.get(key)?.destroy()
    this.#open.set(key, connection)
    return await connection.send(args, until)
  }

  close(): void {
    this.#isClosed = true
    for (const connection of this.#open.values()) connection.destroy()
    this.#open.clear()
  }
}

/** Sentinels are asked again after so long, in milliseconds, and what they said longer ago is not relied on. */
const askAgainMs = 500
const reliedMs = 1_500

/**
 * All sentinels are asked at once, and the one that knows of the latest failover is believed: one that was cut off
 * together with an old master still names that. They are asked again and again, because an old master that lives may
 * take writes for seconds after it was replaced; and the last answer counts for as long as no sentinel gives another.
 */
class SentinelMaster implements RedisTopology {
  readonly #target: RedisTarget
  readonly #clock: Clock
  readonly #asking: Asking
  #master: RedisAddress | null = null
  #askedAt = -Infinity
  #finding: Promise<RedisAddress> | null = null

  constructor(target: RedisTarget, connect: Connect, clock: Clock) {
    this.#target = target
    this.#clock = clock
    this.#asking = new Asking((address, endsAt) => connect(address, endsAt, 'sentinel'), clock)
  }

  async locate(_slot: number, endsAt: number): Promise<RedisAddress> {
    const age = this.#clock.monotonic() - this.#askedAt
    if (this.#master !== null && age < askAgainMs) return this.#master
    this.#finding ??= this.#ask(this.#clock.monotonic() + askMsMax).finally(() => (this.#finding = null))
    if (this.#master === null || age >= reliedMs) return await endingBy(this.#clock, endsAt, this.#finding)
    // Calls need not wait for a sentinel that is slow.
    this.#finding.catch(() => undefined)
    return this.#master
  }

  names(address: RedisAddress): boolean {
    return this.#master !== null && isSame(address, this.#master)
  }

  forget(): void {
    this.#askedAt = -Infinity
  }

  close(): void {
    this.#asking.close()
  }

  async #ask(endsAt: number): Promise<RedisAddress> {
    const { addresses, master } = this.#target
    const answers = await Promise.allSettled(
      addresses.map((address) => this.#asking.ask(address, ['SENTINEL', 'MASTER', master], endsAt)),
    )
    let latest: { readonly epoch: number; readonly address: RedisAddress } | null = null
    for (const answer of answers) {
      const fields = answer.status === 'fulfilled' ? fieldsOf(answer.value) : new Map<string, string>()
      const [host, port, epoch] = [fields.get('ip'), Number(fields.get('port')), Number(fields.get('config-epoch'))]
      if (host === undefined || !Number.isInteger(port)) continue
      if (latest === null || epoch > latest.epoch) latest = { epoch, address: { host, port } }
    }
    this.#askedAt = this.#clock.monotonic()
    if (latest === null) {
      if (this.#master !== null) return this.#master
      const failed = answers.find((answer) => answer.status === 'rejected')
      throw new RedisLost(`no sentinel names the master "${master}"`, true, failed?.reason)
    }
    this.#master = latest.address
    return latest.address
  }
}

function fieldsOf(reply: Reply): Map<string, string> {
  const fields = new Map<string, string>()
  if (!isList(reply)) return fields
  for (let index = 0; index + 1 < reply.length; index += 2) fields.set(String(reply[index]), String(reply[index + 1]))
  return fields
}

type SlotRange = { readonly first: number; readonly last: number; readonly master: RedisAddress }

/** Nodes are asked one after the other, beginning with the one that answered last. */
class ClusterSlots implements RedisTopology {
  readonly #clock: Clock
  readonly #asking: Asking
  readonly #seeds: readonly RedisAddress[]
  #ranges: readonly SlotRange[] = []
  /** Every node that was named last, and the given ones; the best to ask first. */
  #nodes: readonly RedisAddress[]
  #finding: Promise<void> | null = null

  constructor(target: RedisTarget, connect: Connect, clock: Clock) {
    this.#clock = clock
    this.#seeds = target.addresses
    this.#nodes = target.addresses
    this.#asking = new Asking((address, endsAt) => connect(address, endsAt, 'questions'), clock)
  }

  async locate(slot: number, endsAt: number): Promise<RedisAddress> {
    if (this.#ranges.length === 0) await this.#find(endsAt)
    const range = this.#ranges.find(({ first, last }) => first <= slot && slot <= last)
    if (range !== undefined) return range.master
    this.forget()
    throw new RedisLost('a part of the Cluster has no master', true)
  }

  names(address: RedisAddress): boolean {
    return this.#nodes.some((node) => isSame(address, node))
  }

  forget(): void {
    this.#ranges = []
  }

  close(): void {
    this.#asking.close()
  }

  async #find(endsAt: number): Promise<void> {
    this.#finding ??= this.#ask(endsAt).finally(() => (this.#finding = null))
    await endingBy(this.#clock, endsAt, this.#finding)
  }

  async #ask(endsAt: number): Promise<void> {
    let failure: unknown = null
    for (const node of this.#nodes) {
      try {
        const { ranges, nodes } = readSlots(await this.#asking.ask(node, ['CLUSTER', 'SLOTS'], endsAt), node)
        if (ranges.length === 0) continue
        this.#ranges = ranges
        this.#nodes = unique([node, ...nodes, ...this.#seeds])
        return
      } catch (error) {
        // Another node may know; when none does, the last words are passed on.
        failure = error
      }
    }
    // Whoever was asked first did not help: the next time begins elsewhere.
    this.#nodes = [...this.#nodes.slice(1), ...this.#nodes.slice(0, 1)]
    throw new RedisLost('no node of the Cluster tells where its slots are', true, failure)
  }
}

function readSlots(reply: Reply, asked: RedisAddress): { ranges: SlotRange[]; nodes: RedisAddress[] } {
  const ranges: SlotRange[] = []
  const nodes: RedisAddress[] = []
  for (const row of isList(reply) ? reply : []) {
    if (!isList(row)) continue
    const [first, last, ...places] = row
    // A node that does not know its own address leaves it out.
    const addresses = places.filter(isList).map(([host, port]) => ({
      host: typeof host === 'string' && host !== '' ? host : asked.host,
      port: Number(port),
    }))
    const master = addresses[0]
    if (master !== undefined) ranges.push({ first: Number(first), last: Number(last), master })
    nodes.push(...addresses)
  }
  return { ranges, nodes }
}

function isSame(one: RedisAddress, other: RedisAddress): boolean {
  return one.host === other.host && one.port === other.port
}

function unique(addresses: readonly RedisAddress[]): readonly RedisAddress[] {
  return [...new Map(addresses.map((address) => [describe(address), address])).values()]
}
