/**
 * The shards of one store: runs scripts on them, and remembers the line of each (redis-scripts.ts). When a line changes,
 * the server lost something or may have: revisions that were learnt before count for nothing (lined-revision.ts).
 */
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { countOf, isOnLine, nextLine, onLine } from './lined-revision.ts'
import type { RedisCaller } from './redis-caller.ts'
import { RedisLost, type RedisConnection } from './redis-connection.ts'
import type { FeedPlace } from './redis-feed.ts'
import { redisError } from './redis-failure.ts'
import { type RedisLayout, shardOf } from './redis-layout.ts'
import { listOf, numberOf, textOf, type Reply } from './redis-reply.ts'
import { scripts, type RedisScript } from './redis-scripts.ts'
import { storeMsMax } from './store.ts'

/** A call that has had no answer for so long is given up, in milliseconds; the rest is for telling so. */
const callMsMax = storeMsMax - 100

type Shard = {
  /** '' before the first answer. */
  line: string
  /** The lines that this process has seen, counted. */
  number: number
}

/** What a script answered, and the number of the line that it was answered on. */
export type ShardReply = { readonly fields: readonly Reply[]; readonly line: number }

export type ShardsOptions = {
  readonly env: Env
  readonly caller: RedisCaller
  readonly layout: RedisLayout
  readonly count: number
  /** The replicas that must have a write before it counts. */
  readonly wait: number
  /** What is there was made before: shards that are missing were lost. */
  readonly wasUsed: boolean
  /** A line changed. */
  readonly onLoss: () => void
}

export type ShardWrite = {
  readonly name: string
  readonly ifRevision: number
  readonly place: string
  readonly body: string | null
}

export class RedisShards {
  readonly count: number
  readonly layout: RedisLayout
  readonly #env: Env
  readonly #caller: RedisCaller
  readonly #wait: number
  readonly #onLoss: () => void
  readonly #shards: readonly Shard[]
  /** What a shard is told to be known of before its first answer. */
  readonly #before: string
  readonly #running = new Set<Promise<unknown>>()
  #closing: Promise<void> | null = null

  constructor(options: ShardsOptions) {
    this.count = options.count
    this.layout = options.layout
    this.#env = options.env
    this.#caller = options.caller
    this.#wait = options.wait
    this.#onLoss = options.onLoss
    this.#before = options.wasUsed ? 'some' : ''
    this.#shards = Array.from({ length: options.count }, () => ({ line: '', number: 0 }))
  }

  assertOpen(): void {
    if (this.#closing !== null) throw closedError()
  }

  /** Where each shard stands. */
  async look(): Promise<readonly FeedPlace[]> {
    return await this.askAll(
      scripts.look,
      () => [],
      ({ fields: [line, write] }) => ({ line: textOf(line), write: numberOf(write) }),
    )
  }

  /** Runs a script that may be repeated on the shard of a name. The first of the answer is the line. */
  async askFor(name: string, script: RedisScript, args: readonly string[]): Promise<ShardReply> {
    return await this.#track(this.#ask(shardOf(name, this.count), script, args))
  }

  /** The same on all shards at once. */
  async askAll<T>(
    script: RedisScript,
    argsOf: (shard: number) => readonly string[],
    read: (reply: ShardReply) => T,
  ): Promise<readonly T[]> {
    const asking = this.#shards.map(async (_, shard) => read(await this.#ask(shard, script, argsOf(shard))))
    return await this.#track(Promise.all(asking))
  }

  /** The new revision; null for the lost race, and for a revision of another line. */
  async write(write: ShardWrite): Promise<number | null> {
    return await this.#track(this.#write(write))
  }

  /** The clock of the store, at least `seen`. */
  async now(seen: number): Promise<number> {
    const call = { keys: [this.layout.clockKey], args: [String(seen)] }
    return await this.#track(
      this.#run(0, 'main', true, async (on, endsAt) => await on.run(scripts.now, call, endsAt)).then(numberOf),
    )
  }

  /** One command that may be repeated, with the first shard. */
  async command(args: readonly string[], shard = 0): Promise<Reply> {
    return await this.#track(this.#run(shard, 'main', true, async (on, endsAt) => await on.send(args, endsAt)))
  }

  /** Carried-out calls are waited for. Idempotent. */
  async close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled(this.#running)
      this.#caller.close()
    })()
    await this.#closing
  }

  async #ask(shard: number, script: RedisScript, args: readonly string[]): Promise<ShardReply> {
    const call = { keys: this.layout.shardKeys(shard), args: [this.#lineOf(shard), this.#newLine(), ...args] }
    const fields = listOf(
      await this.#run(shard, 'main', true, async (on, endsAt) => await on.run(script, call, endsAt)),
    )
    return { fields, line: this.#follow(shard, textOf(fields[0])) }
  }

  async #write({ name, ifRevision, place, body }: ShardWrite): Promise<number | null> {
    const shard = shardOf(name, this.count)
    const line = this.#shards[shard]?.number ?? 0
    if (!isOnLine(line, ifRevision)) return null
    const text = body === null ? '-' : `+${body}`
    const count = countOf(ifRevision)
    const known = this.#lineOf(shard)
    const { clock } = this.#env
    const lane = this.#wait > 0 ? 'writes' : 'main'
    let end = ''
    await this.#run(shard, lane, false, async (on, endsAt) => {
      // Once more when it was late: the server's clock had gone ahead, which the first answer corrects.
      for (let tries = 1; tries <= 2; tries += 1) {
        const latest = String(on.serverTimeAt(endsAt))
        const args = [known, this.#newLine(), name, String(count), place, text, latest, this.layout.channel]
        const before = clock.monotonic()
        const reply = listOf(await on.run(scripts.write, { keys: this.layout.shardKeys(shard), args }, endsAt))
        on.sawServerTime(numberOf(reply[0]), before)
        end = textOf(reply[1])
        if (end === 'other-line') this.#follow(shard, textOf(reply[2]))
        if (end === 'written') await this.#waitForReplicas(on, endsAt)
        if (end !== 'late') return null
      }
      throw new ZhongkongError('store_unavailable', 'Redis came to the write too late')
    })
    return end === 'written' ? onLine(line, count + 1) : null
  }

  async #waitForReplicas(on: RedisConnection, endsAt: number): Promise<void> {
    if (this.#wait === 0) return
    const left = Math.max(1, Math.floor((endsAt - this.#env.clock.monotonic()) / 2))
    const having = numberOf(await this.#askOfWrite(on, ['WAIT', String(this.#wait), String(left)], endsAt))
    if (having >= this.#wait) return
    throw new ZhongkongError('store_unavailable', `only ${having} of ${this.#wait} replicas have the write`, {
      hint: { en: 'Bring the replicas of Redis back.', zh: '请恢复 Redis 副本。' },
    })
  }

  /** The write is done. Even where the question was never sent, both must not be tried again: it would look like a race. */
  async #askOfWrite(on: RedisConnection, args: readonly string[], endsAt: number): Promise<Reply> {
    try {
      return await on.send(args, endsAt)
    } catch (error) {
      throw new RedisLost('the connection broke before replicas were known to have the write', false, error)
    }
  }

  async #run(
    shard: number,
    lane: 'main' | 'writes',
    isRepeatable: boolean,
    work: (connection: RedisConnection, endsAt: number) => Promise<Reply>,
  ): Promise<Reply> {
    const endsAt = this.#env.clock.monotonic() + callMsMax
    const slot = this.layout.slot(shard)
    return await this.#caller.call({ slot, lane, isRepeatable, endsAt, work: (on) => work(on, endsAt) })
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    if (this.#closing !== null) {
      work.catch(() => undefined)
      throw closedError()
    }
    this.#running.add(work)
    try {
      return await work
    } catch (error) {
      throw redisError(error)
    } finally {
      this.#running.delete(work)
    }
  }

  /** The number of the line, which is the next one if it is another than that of the answer before. */
  #follow(shard: number, line: string): number {
    const state = this.#shards[shard]
    if (state === undefined || state.line === line) return state?.number ?? 0
    const isLoss = state.line !== ''
    state.line = line
    if (isLoss) {
      state.number = nextLine(state.number)
      this.#onLoss()
    }
    return state.number
  }

  #lineOf(shard: number): string {
    const line = this.#shards[shard]?.line ?? ''
    return line === '' ? this.#before : line
  }

  #newLine(): string {
    return Buffer.from(this.#env.random.bytes(8)).toString('hex')
  }
}

function closedError(): ZhongkongError {
  return new ZhongkongError('store_unavailable', 'the store is closed')
}
