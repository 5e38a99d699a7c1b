/** What a Redis must be like to keep tokens, looked at when the store opens. */
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { RedisTarget } from '../base/redis-url.ts'
import type { Notice } from './store.ts'

/** One server, as it describes itself. */
export type RedisServerState = {
  /** The answer of INFO. */
  readonly info: string
  /** As `CONFIG GET` has them; null when the server does not tell, as many that are rented. */
  readonly settings: { readonly save: string; readonly appendfsync: string } | null
}

/** Refuses a server that cannot hold the contract (`config_invalid`); answers what people should know of the others. */
export function checkServer(
  { info, settings }: RedisServerState,
  { kind, wait }: Pick<RedisTarget, 'kind' | 'wait'>,
): readonly Notice[] {
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
    ...persistenceNotices(fields, settings),
    ...replicaNotices(fields, { kind, wait }),
  ]
}

function persistenceNotices(
  fields: ReadonlyMap<string, string>,
  settings: RedisServerState['settings'],
): readonly Notice[] {
  const appends = fields.get('aof_enabled') === '1'
  if (settings === null) return [appends ? notices.syncUnknown : notices.persistenceUnknown]
  if (appends) return settings.appendfsync === 'no' ? [notices.neverSynced] : []
  return [settings.save === '' ? notices.noPersistence : notices.snapshotsOnly]
}

/** What replaces this server when it dies has only those writes that it waited for. */
function replicaNotices(
  fields: ReadonlyMap<string, string>,
  { kind, wait }: Pick<RedisTarget, 'kind' | 'wait'>,
): readonly Notice[] {
  const replicas = Number(fields.get('connected_slaves') ?? 0)
  if (wait > replicas) return [notices.replicasMissing(wait, replicas)]
  return wait === 0 && (replicas > 0 || kind === 'sentinel') ? [notices.notWaited] : []
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
    isCalm: true,
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
    isCalm: true,
  },
  syncUnknown: {
    en: 'Redis appends to a file, and does not tell how often that reaches the disk (CONFIG is forbidden).',
    zh: 'Redis 已开启 AOF，但不允许查询多久落盘一次（CONFIG 被禁用）。',
    isCalm: true,
  },
  neverSynced: {
    en: 'Redis leaves it to the system when writes reach the disk (appendfsync no): a crash of the machine loses half a minute or more. Set "appendfsync always", or everysec.',
    zh: 'Redis 何时落盘由操作系统决定（appendfsync no）：机器崩溃会丢失半分钟甚至更久的写入。请设置 "appendfsync always" 或 everysec。',
  },
  notWaited: {
    en: 'Redis has replicas, and no write waits for them: a failover may lose the last writes. Add ?wait=1 to the URL of the store.',
    zh: 'Redis 有副本，但写入不等待副本：主从切换可能丢失最近的写入。请在 store 地址中加上 ?wait=1。',
  },
  replicasMissing: (wait: number, replicas: number): Notice => ({
    en: `Each write waits for ${wait} replica(s) of Redis, and ${replicas} are connected: until there are more, nothing is fetched.`,
    zh: `每次写入要等待 ${wait} 个 Redis 副本，目前只连接了 ${replicas} 个：数量足够之前不会获取新令牌。`,
  }),
} satisfies Record<string, Notice | ((...given: never[]) => Notice)>
