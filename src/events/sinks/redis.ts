/**
 * Writes tokens to a Redis under the keys that other programs read: those of SDKs and older token servers, or of templates.
 *
 * Beside each key stands a companion with the version of its value, in the same slot of a Cluster, so that a script can
 * refuse an older value whoever wrote the newer one. A key lives as long as a reader may rely on its token, no longer; it
 * is put back soon when Redis loses it, or when somebody else wrote there.
 */
import { keysAndValues } from '../../model/sink-layout.ts'
import type { RedisSinkConfig } from '../../model/sink.ts'
import { SinkRefusal, writtenOf, type RedisScripts, type Sink, type SinkTools } from './sink.ts'

export const kind = 'redis'

/** Sources whose keys are remembered, so that they go with the source; those of others end by themselves. */
const rememberedMax = 10_000
/** How much longer than its key a companion lives, in milliseconds. */
const companionMs = 3_600_000

/**
 * KEYS: the key and its companion. ARGV: the value, its life in milliseconds, version, second of issue, the companion's
 * extra life. A life that is right within two seconds is left alone, so that looking writes nothing.
 */
const putScript = `
local held = redis.call('GET', KEYS[2])
local mine = ARGV[3] .. ' ' .. ARGV[4]
if held then
  local version, issued = string.match(held, '^(%d+) (%d+)$')
  if version and tonumber(ARGV[3]) < tonumber(version) and tonumber(ARGV[4]) <= tonumber(issued) then return 'older' end
end
local life = tonumber(ARGV[2])
if held == mine and redis.call('GET', KEYS[1]) == ARGV[1] then
  local left = redis.call('PTTL', KEYS[1])
  if left > life - 2000 and left < life + 2000 then return 'unchanged' end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', life)
redis.call('SET', KEYS[2], mine, 'PX', life + tonumber(ARGV[5]))
return 'written'
`

/** Without its companion, a key is not ours to delete. */
const removeScript = `
if redis.call('DEL', KEYS[2]) == 1 then return redis.call('DEL', KEYS[1]) end
return 0
`

export function openSink({ url, layout }: RedisSinkConfig, { env, describe, openRedis }: SinkTools): Sink {
  const redis: RedisScripts = openRedis(url)
  const keysOf = new Map<string, readonly string[]>()
  return {
    to: redis.to,
    lanes: 32,
    recheckMs: 15_000,
    put: async (name, token) => {
      const of = await describe(name)
      // It was removed meanwhile, which comes as news of its own.
      if (of === undefined) return 'unchanged'
      const entries = keysAndValues(layout, of, token)
      if (entries.length === 0) throw new SinkRefusal(`the layout has no key for a source of kind ${of.kind}`)
      remember(keysOf, name, entries)
      // The sooner of rounding: no key outlives its token.
      const lifeMs = Math.floor(token.expiresAt - env.clock.now())
      if (lifeMs < 1) return 'unchanged'
      const { version, issuedAtSeconds } = writtenOf(token)
      const outcomes = await Promise.all(
        entries.map(({ key, value }) => {
          const args = [value, lifeMs, version, issuedAtSeconds, companionMs].map(String)
          return redis.run(putScript, [key, companionOf(key)], args)
        }),
      )
      if (outcomes.includes('written')) return 'written'
      return outcomes.includes('older') ? 'older' : 'unchanged'
    },
    remove: async (name) => {
      const keys = keysOf.get(name) ?? []
      await Promise.all(keys.map((key) => redis.run(removeScript, [key, companionOf(key)], [])))
      keysOf.delete(name)
    },
    close: () => redis.close(),
  }
}

/** No layout has braces in its keys, so the whole key is the tag, and both are in one slot. */
function companionOf(key: string): string {
  return `zhongkong:sink:{${key}}`
}

function remember(keysOf: Map<string, readonly string[]>, name: string, entries: readonly { key: string }[]): void {
  if (!keysOf.has(name) && keysOf.size >= rememberedMax) keysOf.clear()
  keysOf.set(
    name,
    entries.map(({ key }) => key),
  )
}
