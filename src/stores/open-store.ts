/** From the `store` setting to an open, sealed store. */
import { resolve } from 'node:path'
import { isDatabaseUrl, parseDatabaseUrl } from '../base/database-url.ts'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { isRedisUrl, parseRedisUrl } from '../base/redis-url.ts'
import type { Text } from '../base/text.ts'
import { openKeyFile, readKeyFile, writeKeyFile } from './key-file.ts'
import { keyringFrom, masterKeyBytes, type Keyring } from './keyring.ts'
import { createMemoryStore } from './memory.ts'
import { keyIdOf, sealed } from './sealed.ts'
import { openSpill, type SpillOptions } from './spill.ts'
import { openSqliteStore } from './sqlite.ts'
import type { EntryStore, Notice, Store } from './store.ts'

export type OpenStoreOptions = {
  /** `memory:`, `sqlite:PATH`, or a server's (base/redis-url.ts, base/database-url.ts). */
  readonly url: string
  /** 32 bytes; null uses the key file beside the database, for `memory:` a key of the moment, and will not do for others. */
  readonly encryptionKey: Uint8Array | null
  /** The folder for grants that a store on a server cannot take; beside the database for `sqlite:`. */
  readonly spillFolder?: string
  readonly env: Env
  /** Told of everything that was mended, and of settings of a server by which writes may be lost, for the log. */
  readonly onNotice?: (notice: Notice) => void
  /** Told of the keys by which the store is sealed, for backups. */
  readonly onKeys?: (keyring: Keyring) => void
}

/** Opens the store of a URL. Throws `config_invalid` for a kind it does not know, and whatever the store throws. */
export async function openStore(options: OpenStoreOptions): Promise<EntryStore> {
  const { url, env } = options
  if (url === 'memory:') {
    const ring = keyringFrom(options.encryptionKey ?? env.random.bytes(masterKeyBytes))
    options.onKeys?.(ring)
    return sealed(createMemoryStore(env), ring, env.random)
  }
  if (url.startsWith('sqlite:')) return await openSealedSqlite(sqlitePath(url), options)
  const open = serverOpening(url, options)
  if (open === null) throw noStore(url)
  return await openSealedServer(open, options)
}

type ServerOpening = () => Promise<Store>

/** How a server's store is opened; null for a URL that is none. Each kind is loaded only when it is asked for. */
function serverOpening(url: string, { env, onNotice }: OpenStoreOptions): ServerOpening | null {
  const common = { env, ...(onNotice === undefined ? {} : { onNotice }) }
  if (isRedisUrl(url)) {
    const answer = parseRedisUrl(url)
    if ('problem' in answer) throw wrongUrl(answer.problem)
    return async () => await (await import('./redis.ts')).openRedisStore({ ...common, target: answer.target })
  }
  if (!isDatabaseUrl(url)) return null
  const answer = parseDatabaseUrl(url)
  if (!answer.ok) throw wrongUrl(answer.why)
  return answer.url.kind === 'postgres'
    ? async () => await (await import('./postgres.ts')).openPostgresStore({ ...common, url: answer.url })
    : async () => await (await import('./mysql.ts')).openMysqlStore({ ...common, url: answer.url })
}

async function openSealedServer(
  open: ServerOpening,
  { encryptionKey, spillFolder, env, onNotice, onKeys }: OpenStoreOptions,
): Promise<EntryStore> {
  if (encryptionKey === null) throw keyNeeded()
  const ring = keyringFrom(encryptionKey)
  const store = await open()
  try {
    const first = (await store.scan({ limit: 1 })).records[0]
    if (first !== undefined && !ring.byId.has(keyIdOf(first.body) ?? '')) throw otherKey(`the ${store.kind} store`)
    onKeys?.(ring)
    const whole = sealed(store, ring, env.random)
    return spillFolder === undefined
      ? whole
      : withSpill(whole, { folder: spillFolder, keyring: ring, random: env.random, onNotice })
  } catch (error) {
    await store.close()
    throw error
  }
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
    options.onKeys?.(keys.ring)
    const folder = options.spillFolder ?? `${path}.spill`
    const whole = sealed(store, keys.ring, env.random)
    return withSpill(whole, { folder, keyring: keys.ring, random: env.random, onNotice })
  } catch (error) {
    await store.close()
    throw error
  }
}

function withSpill(store: EntryStore, options: SpillOptions): EntryStore {
  return Object.assign(store, { spill: openSpill(options) })
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
      en: 'Give back the key with which it was written: encryption_key, or the key file beside the database.',
      zh: '请恢复写入时使用的密钥：encryption_key，或数据库旁边的密钥文件。',
    },
  })
}

function keyNeeded(): ZhongkongError {
  return new ZhongkongError('config_invalid', 'a store on a server needs an encryption_key, the same for every node', {
    hint: {
      en: 'Make one with "openssl rand -hex 32" and give it to every node as encryption_key.',
      zh: '用 "openssl rand -hex 32" 生成一个密钥，并作为 encryption_key 提供给每个节点。',
    },
  })
}

function wrongUrl(why: Text): ZhongkongError {
  return new ZhongkongError('config_invalid', `store: ${why.en}`, { hint: why })
}

/** The URL itself is not repeated: it may hold a password. */
function noStore(url: string): ZhongkongError {
  const kind = /^[a-z+]{1,30}:/.exec(url)?.[0] ?? 'this'
  return new ZhongkongError('config_invalid', `store: ${kind} is no kind of store`, {
    hint: {
      en: 'Use "sqlite:PATH", "memory:", or the URL of a server: redis://, postgres:// or mysql://.',
      zh: '请使用 "sqlite:路径"、"memory:"，或服务器地址：redis://、postgres://、mysql://。',
    },
  })
}
