/** From what a URL says to the shards of a store that has been looked at and is ready for use. */
import { readFileSync } from 'node:fs'
import type { Env } from '../base/env.ts'
import { asZhongkongError, ZhongkongError } from '../base/errors.ts'
import type { RedisTarget } from '../base/redis-url.ts'
import { RedisCaller } from './redis-caller.ts'
import { checkServer, type RedisServerState } from './redis-checks.ts'
import { loadRedis, type RedisLibrary } from './redis-connection.ts'
import { layoutNumber, RedisLayout, shardsOf } from './redis-layout.ts'
import { listOf, textOf } from './redis-reply.ts'
import { RedisShards } from './redis-shards.ts'
import { connector, topologyOf } from './redis-topology.ts'
import type { Notice } from './store.ts'

export type OpeningOptions = {
  readonly target: RedisTarget
  readonly env: Env
  readonly onNotice?: (notice: Notice) => void
  readonly onLoss: () => void
  readonly library?: RedisLibrary
}

export type OpenedRedis = { readonly shards: RedisShards; readonly caller: RedisCaller }

/** Throws only `ZhongkongError`, and leaves nothing open when it does. */
export async function openRedis(options: OpeningOptions): Promise<OpenedRedis> {
  const { target, env, onLoss } = options
  const { clock } = env
  const tls = target.isTls ? { ca: target.caPath === null ? null : readCa(target.caPath) } : null
  const connect = connector({ library: options.library ?? (await loadRedis()), clock, tls }, target)
  const caller = new RedisCaller(clock, connect, topologyOf(target, connect, clock))
  const layout = new RedisLayout(target.prefix)
  const of = (count: number, wasUsed: boolean): RedisShards =>
    new RedisShards({ env, caller, layout, count, wait: target.wait, wasUsed, onLoss })
  try {
    // Before its number of shards is known, a store is asked through as many as it would be made with.
    const usual = of(shardsOf[target.kind], false)
    await inspect(usual, options)
    const { count, wasUsed } = await readMeta(usual, shardsOf[target.kind])
    const shards = of(count, wasUsed)
    await shards.look()
    // Last of all: a store that says it is made has all its shards.
    if (!wasUsed) await noteMade(shards)
    return { shards, caller }
  } catch (error) {
    caller.close()
    throw asZhongkongError(error)
  }
}

/** Notes that all shards are there, and how many. */
export async function noteMade(shards: RedisShards): Promise<void> {
  const fields = { shards: shards.count, layout: layoutNumber, made: 1 }
  await shards.command(['HSET', shards.layout.metaKey, ...Object.entries(fields).flat().map(String)])
}

/** Every server that keeps a shard, as far as it lets itself be looked at. */
async function inspect(shards: RedisShards, { target, onNotice }: OpeningOptions): Promise<void> {
  const states = await Promise.all(
    Array.from({ length: shards.count }, async (_, shard) => await stateOf(shards, shard)),
  )
  const notices = states.flatMap((state) => checkServer(state, target))
  for (const notice of new Map(notices.map((each) => [each.en, each])).values()) onNotice?.(notice)
}

async function stateOf(shards: RedisShards, shard: number): Promise<RedisServerState> {
  const info = textOf(await shards.command(['INFO'], shard))
  const setting = async (name: string): Promise<string> => {
    const [, value] = listOf(await shards.command(['CONFIG', 'GET', name], shard))
    return textOf(value)
  }
  try {
    return { info, settings: { save: await setting('save'), appendfsync: await setting('appendfsync') } }
  } catch (error) {
    if (error instanceof ZhongkongError && error.code === 'store_unavailable') return { info, settings: null }
    throw error
  }
}

async function readMeta(shards: RedisShards, usual: number): Promise<{ count: number; wasUsed: boolean }> {
  const key = shards.layout.metaKey
  // Of several nodes that make the store together, one decides.
  await shards.command(['HSETNX', key, 'shards', String(usual)])
  const [count, layout, made] = listOf(await shards.command(['HMGET', key, 'shards', 'layout', 'made']))
  if (Number(layout) > layoutNumber) {
    throw new ZhongkongError(
      'store_newer',
      `this Redis has layout ${Number(layout)}; this zhongkong knows layout ${layoutNumber}`,
    )
  }
  return { count: Number(count), wasUsed: made === '1' }
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ZhongkongError('config_unreadable', `store: ${path}, the authority of Redis, cannot be read`, {
      cause: error,
    })
  }
}
