/** From the `store` setting to an open, sealed store. */
import { resolve } from 'node:path'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import { openKeyFile, readKeyFile, writeKeyFile } from './key-file.ts'
import { keyringFrom, masterKeyBytes, type Keyring } from './keyring.ts'
import { createMemoryStore } from './memory.ts'
import { keyIdOf, sealed } from './sealed.ts'
import { openSqliteStore } from './sqlite.ts'
import type { EntryStore } from './store.ts'

export type OpenStoreOptions = {
  /** `memory:` or `sqlite:PATH`. */
  readonly url: string
  /** 32 bytes; null uses the key file beside the database, and for `memory:` a key of the moment. */
  readonly encryptionKey: Uint8Array | null
  readonly env: Env
  /** Told of everything that was mended, for the log. */
  readonly onNotice?: (notice: Text) => void
}

/** Opens the store of a URL. Throws `config_invalid` for a kind it does not know, and whatever the store throws. */
export async function openStore(options: OpenStoreOptions): Promise<EntryStore> {
  const { url, env } = options
  if (url === 'memory:') {
    const key = options.encryptionKey ?? env.random.bytes(masterKeyBytes)
    return sealed(createMemoryStore(env), keyringFrom(key), env.random)
  }
  if (url.startsWith('sqlite:')) return await openSealedSqlite(sqlitePath(url), options)
  throw unsupported(url)
}

async function openSealedSqlite(path: string, options: OpenStoreOptions): Promise<EntryStore> {
  const { env, onNotice } = options
  const keyPath = `${path}.key`
  let keyOfFile: Uint8Array | null = null
  const store = await openSqliteStore({
    path,
    env,
    onNotice: (notice) => {
      // Whoever deleted the database may have deleted its key as well.
      if (keyOfFile !== null) keepKeyFile(keyPath, keyOfFile, env)
      onNotice?.(notice)
    },
  })
  try {
    const first = (await store.scan({ limit: 1 })).records[0]
    const keys = keysOf(keyPath, options, first === undefined)
    keyOfFile = keys.ofFile
    if (first !== undefined && !keys.ring.byId.has(keyIdOf(first.body) ?? '')) throw otherKey(path)
    return sealed(store, keys.ring, env.random)
  } catch (error) {
    await store.close()
    throw error
  }
}

/** A given key seals; what the key file sealed before one was given can still be opened. */
function keysOf(
  keyPath: string,
  { encryptionKey, env }: OpenStoreOptions,
  mayCreate: boolean,
): { readonly ring: Keyring; readonly ofFile: Uint8Array | null } {
  if (encryptionKey === null) {
    const ofFile = openKeyFile(keyPath, { random: env.random, mayCreate })
    return { ring: keyringFrom(ofFile), ofFile }
  }
  const older = readKeyFile(keyPath)
  return { ring: older === null ? keyringFrom(encryptionKey) : keyringFrom(encryptionKey, older), ofFile: older }
}

function keepKeyFile(path: string, key: Uint8Array, env: Env): void {
  try {
    writeKeyFile(path, key, env.random)
  } catch {
    // The disk is full or closed to us. The key is in memory, and the next notice tries again.
  }
}

function sqlitePath(url: string): string {
  const path = url.slice('sqlite:'.length)
  if (path !== '' && !path.startsWith(':memory:') && !path.includes('\0')) return resolve(path)
  throw new ZhongkongError('config_invalid', `store: ${JSON.stringify(url)} names no file`, {
    hint: {
      en: 'Write "sqlite:./data/zhongkong.db", or "memory:" for a store that ends with the process.',
      zh: '请写成 "sqlite:./data/zhongkong.db"；如只需进程内存储，请用 "memory:"。',
    },
  })
}

function otherKey(path: string): ZhongkongError {
  return new ZhongkongError('seal_broken', `${path} was written with another encryption key than the one given`, {
    hint: {
      en: `Give back the key with which it was written: encryption_key, or the key file ${path}.key.`,
      zh: `请恢复写入该数据库时使用的密钥：encryption_key，或密钥文件 ${path}.key。`,
    },
  })
}

/** Kinds that a later version brings. */
const laterKinds = /^(rediss?|redis\+[a-z]+|postgres|postgresql|mysql):/

/** The URL itself is not repeated: it may hold a password. */
function unsupported(url: string): ZhongkongError {
  const isLater = laterKinds.test(url)
  const kind = /^[a-z+]{1,30}:/.exec(url)?.[0] ?? 'this kind of store'
  const why = isLater ? 'is not supported by this version yet' : 'is no kind of store'
  return new ZhongkongError('config_invalid', `store: ${kind} ${why}`, {
    hint: {
      en: `Use "sqlite:PATH" or "memory:".${isLater ? ' Redis, PostgreSQL and MySQL come with a later version.' : ''}`,
      zh: `请使用 "sqlite:路径" 或 "memory:"。${isLater ? 'Redis、PostgreSQL 与 MySQL 将在后续版本中支持。' : ''}`,
    },
  })
}
