/** What a Redis must be like to keep tokens, looked at when the store opens. */
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { RedisTarget } from '../base/redis-url.ts'

/** One server, as it describes itself. */
export type RedisServerState = {
  /** The answer of INFO. */
  readonly info: string
  /** `CONFIG GET save`; null when the server does not tell, as many that are rented. */
  readonly save: string | null
}

/** Refuses a server that cannot hold the contract (`config_invalid`); answers what people should know of the others. */
export function checkServer({ info, save }: RedisServerState, kind: RedisTarget['kind']): readonly Text[] {
  const fields = new Map(
    info.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
  refuseOld(fields.get('redis_version') ?? '')
  refuseOtherKind(fields.get('cluster_enabled') === '1', kind)
  const policy = fields.get('maxmemory_policy')
  // Nothing of ours has a time to live, so that `volatile-…` takes nothing from us.
  const isEvicting = policy?.startsWith('allkeys-') === true
  if (isEvicting && Number(fields.get('maxmemory')) > 0) throw evicts(policy)
  return [
    ...(isEvicting ? [notices.mayEvict(policy)] : []),
    ...(policy === undefined ? [notices.evictionUnknown] : []),
    ...persistenceNotices(fields, save),
  ]
}

function persistenceNotices(fields: ReadonlyMap<string, string>, save: string | null): readonly Text[] {
  if (fields.get('aof_enabled') === '1') return []
  if (save === null) return [notices.persistenceUnknown]
  return [save === '' ? notices.noPersistence : notices.snapshotsOnly]
}

function refuseOld(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 6 || (major === 6 && minor >= 2)) return
  const shown = /^[\d.]{1,20}$/.test(version) ? version : 'of an unknown version'
  throw new ZhongkongError('config_invalid', `store: this Redis is ${shown}; 6.2 or later is needed`, {
    hint: { en: 'Upgrade Redis, or use Valkey.', zh: '请升级 Redis，或改用 Valkey。' },
  })
}

function refuseOtherKind(isCluster: boolean, kind: RedisTarget['kind']): void {
  if (isCluster === (kind === 'cluster')) return
  const what = isCluster ? 'this Redis is a node of a Cluster' : 'this Redis is not a node of a Cluster'
  throw new ZhongkongError('config_invalid', `store: ${what}`, {
    hint: isCluster
      ? { en: 'Write redis+cluster://HOST:PORT,HOST:PORT', zh: '请写成 redis+cluster://主机:端口,主机:端口' }
      : { en: 'Write redis://HOST:PORT', zh: '请写成 redis://主机:端口' },
  })
}

function evicts(policy: string): ZhongkongError {
  return new ZhongkongError(
    'config_invalid',
    `store: this Redis throws keys away when it is full (maxmemory-policy ${policy})`,
    {
      hint: {
        en: 'Tokens are no cache. Set "maxmemory-policy noeviction", or use another Redis.',
        zh: '令牌不是缓存，不能被淘汰。请设置 "maxmemory-policy noeviction"，或使用另一个 Redis。',
      },
    },
  )
}

const notices = {
  mayEvict: (policy: string): Text => ({
    en: `Redis has maxmemory-policy ${policy}: once maxmemory is set, it throws tokens away. Set noeviction.`,
    zh: `Redis 的 maxmemory-policy 为 ${policy}：一旦设置 maxmemory，令牌会被淘汰。请设置为 noeviction。`,
  }),
  evictionUnknown: {
    en: 'Redis does not tell its maxmemory-policy, so it could not be checked. It must be noeviction.',
    zh: 'Redis 没有提供 maxmemory-policy，无法检查。该值必须为 noeviction。',
  },
  noPersistence: {
    en: 'Redis keeps nothing on disk: when it restarts, all tokens are lost and fetched anew. Set "appendonly yes".',
    zh: 'Redis 没有开启持久化：重启后所有令牌都会丢失并重新获取。请设置 "appendonly yes"。',
  },
  snapshotsOnly: {
    en: 'Redis writes to disk only now and then: a crash loses the last minutes. Set "appendonly yes".',
    zh: 'Redis 只做定期快照：崩溃会丢失最近几分钟的写入。请设置 "appendonly yes"。',
  },
  persistenceUnknown: {
    en: 'Redis has no append-only file, and does not tell whether it saves at all (CONFIG is forbidden).',
    zh: 'Redis 没有开启 AOF，且不允许查询是否保存快照（CONFIG 被禁用）。',
  },
} satisfies Record<string, Text | ((policy: string) => Text)>
