/**
 * A Redis that is no store of ours: others read there what we write. Scripts only, over the same connections, sentinels and
 * Clusters as the store's; without its checks of persistence, as whatever is lost there is written again.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { parseRedisUrl, type RedisTarget } from '../base/redis-url.ts'
import { RedisCaller } from './redis-caller.ts'
import { describe, loadRedis } from './redis-connection.ts'
import { redisError } from './redis-failure.ts'
import { crc16 } from './redis-layout.ts'
import { connector, topologyOf, type Connect } from './redis-topology.ts'

export type SinkScripts = {
  /** `host:port`, several with commas. */
  readonly to: string
  /** Runs a script whose keys share a slot. Rejects with a `ZhongkongError` within `callMsMax`. */
  run(script: string, keys: readonly string[], args: readonly string[]): Promise<string | number | null>
  close(): void
}

const callMsMax = 5_000

/** Connects when it is first used. Throws `config_invalid` for what is no URL of a Redis. */
export function openSinkScripts(url: string, env: Env): SinkScripts {
  const parsed = parseRedisUrl(url)
  if ('problem' in parsed) throw new ZhongkongError('config_invalid', `a sink: ${parsed.problem.en}`)
  const { target } = parsed
  const known = new Map<string, { source: string; sha: string }>()
  let opening: Promise<RedisCaller> | null = null
  let opened: RedisCaller | null = null
  let isClosed = false
  const caller = async (): Promise<RedisCaller> => {
    opening ??= openCaller(target, env).catch((thrown: unknown) => {
      // A package or a file that is missing may be there the next time.
      opening = null
      throw thrown
    })
    opened = await opening
    if (isClosed) opened.close()
    return opened
  }
  return {
    to: target.addresses.map(describe).join(','),
    run: async (text, keys, args) => {
      const script = known.get(text) ?? { source: text, sha: createHash('sha1').update(text).digest('hex') }
      known.set(text, script)
      try {
        const endsAt = env.clock.monotonic() + callMsMax
        const reply = await (
          await caller()
        ).call({
          slot: slotOf(keys[0] ?? ''),
          lane: 'main',
          isRepeatable: true,
          endsAt,
          work: (connection) => connection.run(script, { keys, args }, endsAt),
        })
        return typeof reply === 'string' || typeof reply === 'number' ? reply : null
      } catch (thrown) {
        throw redisError(thrown)
      }
    },
    close: () => {
      isClosed = true
      opened?.close()
    },
  }
}

async function openCaller(target: RedisTarget, env: Env): Promise<RedisCaller> {
  const { clock } = env
  const tls = target.isTls ? { ca: target.caPath === null ? null : readCa(target.caPath) } : null
  const connect = connector({ library: await loadRedis(), clock, tls }, target)
  // The scripts of the store have no business there.
  const plain: Connect = (address, endsAt, purpose) =>
    connect(address, endsAt, purpose === 'scripts' ? 'questions' : purpose)
  return new RedisCaller(clock, plain, topologyOf(target, plain, clock))
}

/** What stands in the first braces decides, as Redis Cluster has it. */
export function slotOf(key: string): number {
  const tag = /\{([^}]+)\}/.exec(key)?.[1]
  return crc16(tag ?? key) % 16_384
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ZhongkongError('config_unreadable', `a sink: ${path}, the authority of Redis, cannot be read`, {
      cause: error,
    })
  }
}
