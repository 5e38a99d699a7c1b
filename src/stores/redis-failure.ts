/** What a failure of Redis means for the caller of a store, and what people can do about it. */
import { ZhongkongError, type ErrorCode } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import { RedisLost, RedisRefusal } from './redis-connection.ts'

type Meaning = { readonly code: ErrorCode; readonly says: string; readonly hint?: Text }

/** By the first word of the server's answer. */
const meanings: Readonly<Record<string, Meaning>> = {
  OOM: {
    code: 'store_full',
    says: 'Redis has used all the memory it may use (maxmemory)',
    hint: { en: 'Raise maxmemory, or give Redis less to hold.', zh: '请调大 maxmemory，或减少 Redis 中的数据。' },
  },
  MISCONF: {
    code: 'store_full',
    says: 'Redis cannot save to its disk, and refuses writes',
    hint: {
      en: 'Look into the log of Redis: its disk is full or closed to it.',
      zh: '请查看 Redis 日志：磁盘已满或无法写入。',
    },
  },
  READONLY: {
    code: 'store_full',
    says: 'this Redis is a replica, which cannot be written',
    hint: {
      en: 'Give the address of the master, or use redis+sentinel:// so that it is found.',
      zh: '请填写主节点地址，或使用 redis+sentinel:// 自动查找主节点。',
    },
  },
  NOREPLICAS: {
    code: 'store_full',
    says: 'Redis refuses writes because too few replicas are connected (min-replicas-to-write)',
    hint: { en: 'Bring the replicas back.', zh: '请恢复副本。' },
  },
  LOADING: { code: 'store_unavailable', says: 'Redis is loading its data' },
  BUSY: { code: 'store_unavailable', says: 'Redis is busy with a script' },
  MASTERDOWN: { code: 'store_unavailable', says: 'this Redis is a replica without its master' },
  CLUSTERDOWN: { code: 'store_unavailable', says: 'the Redis Cluster is down' },
  TRYAGAIN: { code: 'store_unavailable', says: 'the Redis Cluster is moving these keys' },
  ...Object.fromEntries(['NOAUTH', 'WRONGPASS', 'NOPERM'].map((code) => [code, refusedLogin()])),
}

function refusedLogin(): Meaning {
  return {
    code: 'store_unavailable',
    says: 'Redis refuses this user, its password, or what it wants to do',
    hint: {
      en: 'Check user and password in the URL. The user needs its keys and channel (~{zhongkong:* &zhongkong:*) and +@all -@dangerous +info.',
      zh: '请检查地址中的用户名与密码。该用户需要访问自己的键与频道（~{zhongkong:* &zhongkong:*），权限 +@all -@dangerous +info。',
    },
  }
}

/** Anything that a call of Redis threw, as callers of a store are told. No URL and no password is in it. */
export function redisError(error: unknown): ZhongkongError {
  if (error instanceof ZhongkongError) return error
  if (error instanceof RedisRefusal) return ofRefusal(error)
  if (!(error instanceof RedisLost)) {
    return new ZhongkongError('store_unavailable', 'Redis gave an answer that is not understood', { cause: error })
  }
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof RedisRefusal) return ofRefusal(cause)
  }
  return new ZhongkongError('store_unavailable', `${error.message}${reasonOf(error.cause)}`, { cause: error })
}

function ofRefusal(error: RedisRefusal): ZhongkongError {
  const meaning = meanings[error.code]
  if (meaning === undefined) {
    // The server's own words may quote an argument, and bodies are arguments.
    return new ZhongkongError('store_unavailable', `Redis answered with the error ${error.code}`, { cause: error })
  }
  const options = { cause: error, ...(meaning.hint === undefined ? {} : { hint: meaning.hint }) }
  return new ZhongkongError(meaning.code, meaning.says, options)
}

/** `: ECONNREFUSED` and the like, from as deep as it stands. */
function reasonOf(cause: unknown): string {
  for (let deeper = cause; deeper instanceof Error; deeper = deeper.cause) {
    if ('code' in deeper && typeof deeper.code === 'string') return ` (${deeper.code})`
  }
  return cause instanceof RedisLost ? `: ${cause.message}` : ''
}
