/**
 * The store on Redis 6.2 and later, or Valkey: one server, the master that sentinels name, or a Cluster.
 *
 * Each operation is one script (redis-scripts.ts), so that it happens as a whole. What Redis does not promise is made up
 * for: a write that nobody waits for any more is refused by its script; a server that restarted, or was replaced by its
 * replica, may have lost its last writes, and then cursors are answered by a reset, and a revision counts only if it
 * was learnt afterwards (lined-revision.ts), so that nothing is written over what nobody saw.
 */
import { attentive } from '../base/attentive-clock.ts'
import type { Env } from '../base/env.ts'
import type { RedisTarget } from '../base/redis-url.ts'
import { onLine } from './lined-revision.ts'
import type { RedisCaller } from './redis-caller.ts'
import type { RedisLibrary } from './redis-connection.ts'
import { formatCursor, isFollowed, mergePages, parseCursor, type FeedPage } from './redis-feed.ts'
import { livingOf, placeOf, recordOf } from './redis-layout.ts'
import { noteMade, openRedis } from './redis-opening.ts'
import { numberOf, textOf } from './redis-reply.ts'
import { scripts } from './redis-scripts.ts'
import type { RedisShards, ShardReply } from './redis-shards.ts'
import { RedisWatch } from './redis-watch.ts'
import {
  checkChange,
  checkInstant,
  checkLimit,
  checkName,
  checkRevision,
  formatDuePlace,
  parseDuePlace,
} from './store-arguments.ts'
import type { Change, Changes, NamedRecord, Notice, ScanPage, ScanQuery, Store, StoredRecord } from './store.ts'

export type RedisOptions = {
  readonly target: RedisTarget
  readonly env: Env
  /** Told of what people should know of this Redis, for the log. */
  readonly onNotice?: (notice: Notice) => void
  /** The library; another one only in tests. */
  readonly library?: RedisLibrary
}

/** Opens the store, making what is missing of it. Throws only `ZhongkongError`. */
export async function openRedisStore(given: RedisOptions): Promise<Store> {
  const options = { ...given, env: attentive(given.env) }
  let store: RedisStore | null = null
  const onLoss = (): void => store?.lost()
  const { shards, caller } = await openRedis({ ...options, onLoss })
  store = new RedisStore(options, shards, caller)
  return store
}

/** One notice for all shards and looks that find the same loss, in milliseconds. */
const noticeRestMs = 5_000

class RedisStore implements Store {
  readonly kind: string
  readonly #env: Env
  readonly #onNotice: (notice: Notice) => void
  readonly #shards: RedisShards
  readonly #watch: RedisWatch
  #latest = 0
  #noticedAt = -Infinity
  /** Keys were lost, perhaps that one too by which the next node knows how many shards there are. */
  #isMetaDoubtful = false

  constructor({ env, target, onNotice }: RedisOptions, shards: RedisShards, caller: RedisCaller) {
    this.kind = target.kind === 'single' ? 'redis' : `redis-${target.kind}`
    this.#env = env
    this.#onNotice = onNotice ?? (() => undefined)
    this.#shards = shards
    this.#watch = new RedisWatch(env.clock, {
      look: async () => {
        if (this.#isMetaDoubtful) await noteMade(shards)
        this.#isMetaDoubtful = false
        return formatCursor(await shards.look())
      },
      subscribe: async (onMessage, endsAt) => await caller.subscribe(shards.layout.channel, onMessage, endsAt),
    })
  }

  async read(name: string): Promise<StoredRecord> {
    this.#shards.assertOpen()
    const { fields, line } = await this.#shards.askFor(checkName(name), scripts.read, [name])
    const [, floor, row] = fields
    const record = typeof row === 'string' ? recordOf(row) : null
    return record === null
      ? { body: null, revision: onLine(line, numberOf(floor)) }
      : { body: record.body, revision: onLine(line, record.revision) }
  }

  async write(name: string, change: Change, ifRevision: number): Promise<number | null> {
    const { body, dueAt } = checkChange(change)
    checkRevision(ifRevision)
    this.#shards.assertOpen()
    const revision = await this.#shards.write({ name: checkName(name), ifRevision, place: placeOf(dueAt), body })
    if (revision !== null) this.#watch.notify()
    return revision
  }

  async scan(query: ScanQuery): Promise<ScanPage<NamedRecord>> {
    const limit = checkLimit(query.limit)
    const range = rangeOf(query)
    this.#shards.assertOpen()
    const shards = this.#shards.count
    // A page need not be full, so each shard brings about its part, and a little more as they are never quite even.
    const part = shards === 1 ? limit + 1 : Math.ceil((1.3 * limit) / shards) + 2
    const pages = await this.#shards.askAll(
      scripts.scan,
      () => [...range, String(part)],
      (reply) => readScan(reply, part),
    )
    return mergeScans(pages, query, limit)
  }

  async changes(since: string | null, limit: number): Promise<Changes> {
    checkLimit(limit)
    this.#shards.assertOpen()
    const from = since === null ? null : parseCursor(since, this.#shards.count)
    if (from === null) {
      const cursor = formatCursor(await this.#shards.look())
      return { changed: [], cursor, more: false, reset: since !== null }
    }
    const pages = await this.#shards.askAll(
      scripts.changes,
      (shard) => [String(from[shard]?.write ?? 0), String(limit + 1)],
      readFeed,
    )
    const isWhole = from.every((place, shard) => pages[shard] !== undefined && isFollowed(place, pages[shard].place))
    if (!isWhole) {
      const cursor = formatCursor(pages.map(({ place }) => place))
      return { changed: [], cursor, more: false, reset: true }
    }
    const { changed, places, more } = mergePages(pages, limit)
    return { changed, cursor: formatCursor(places), more, reset: false }
  }

  watch(onChange: () => void): () => void {
    this.#shards.assertOpen()
    return this.#watch.add(onChange)
  }

  async now(): Promise<number> {
    this.#shards.assertOpen()
    this.#latest = Math.max(this.#latest, await this.#shards.now(this.#latest))
    return this.#latest
  }

  async close(): Promise<void> {
    const closing = this.#shards.close()
    await this.#watch.close()
    await closing
  }

  /** A shard has a new line. */
  lost(): void {
    this.#isMetaDoubtful = true
    this.#watch.notify()
    const instant = this.#env.clock.monotonic()
    if (instant < this.#noticedAt + noticeRestMs) return
    this.#noticedAt = instant
    this.#onNotice(newLine)
  }
}

/** The kind of a scan and its range, as the script wants them. */
function rangeOf({ dueBefore, after }: ScanQuery): readonly string[] {
  if (dueBefore === undefined) return ['name', after === undefined ? '-' : `(${after}`, '+']
  const place = after === undefined ? null : parseDuePlace(after)
  const from = place === null ? '-' : `(${placeOf(place.dueAt)}/${place.name}`
  return ['due', from, `(${placeOf(checkInstant(dueBefore))}`]
}

type ScanPart = { readonly records: readonly NamedRecord[]; readonly hasMore: boolean }

function readScan({ fields: [, found, ...pairs], line }: ShardReply, limit: number): ScanPart {
  const records: NamedRecord[] = []
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    const record = livingOf(textOf(pairs[index]), textOf(pairs[index + 1]))
    if (record !== null) records.push({ ...record, revision: onLine(line, record.revision) })
  }
  return { records, hasMore: numberOf(found) >= limit }
}

/** Up to where every shard was seen: beyond the last record of a shard that has more, others may lie in between. */
function mergeScans(parts: readonly ScanPart[], query: ScanQuery, limit: number): ScanPage<NamedRecord> {
  const isByName = query.dueBefore === undefined
  const order = (left: NamedRecord, right: NamedRecord): number =>
    (isByName ? 0 : left.dueAt - right.dueAt) || (left.name < right.name ? -1 : left.name > right.name ? 1 : 0)
  const all = parts.flatMap(({ records }) => records).sort(order)
  const ends = parts.flatMap(({ records, hasMore }) => (hasMore ? records.slice(-1) : [])).sort(order)
  const bound = ends[0]
  const seen = bound === undefined ? all : all.filter((record) => order(record, bound) <= 0)
  const records = seen.slice(0, limit)
  const last = records.at(-1)
  if (last === undefined || (bound === undefined && seen.length <= limit)) return { records, next: null }
  return { records, next: isByName ? last.name : formatDuePlace(last) }
}

function readFeed({ fields: [name, write, ...parts], line }: ShardReply): FeedPage {
  const rows = []
  for (let index = 0; index + 3 < parts.length; index += 4) {
    rows.push({
      name: textOf(parts[index]),
      write: numberOf(parts[index + 1]),
      at: numberOf(parts[index + 2]),
      revision: onLine(line, numberOf(parts[index + 3])),
    })
  }
  return { place: { line: textOf(name), write: numberOf(write) }, rows }
}

const newLine: Notice = {
  en: 'Redis restarted, failed over or lost keys. Its last writes may be gone, so everything is looked at anew.',
  zh: 'Redis 发生过重启、主从切换或数据丢失，最近的写入可能已丢失，现在重新检查全部来源。',
}
