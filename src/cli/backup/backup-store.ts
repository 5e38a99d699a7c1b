/** The store that a backup is taken from or restored into, and the keys that are known for backups. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { Env } from '../../base/env.ts'
import { parseEncryptionKey } from '../../config/encryption-key.ts'
import { keyringFrom, type Keyring } from '../../stores/keyring.ts'
import { openStore } from '../../stores/open-store.ts'
import type { EntryStore } from '../../stores/store.ts'
import type { CommandInput, CommandOption, Io } from '../command.ts'
import { configPath, hasConfig, printIssues, readConfig } from '../config-file.ts'
import { CliFault, usage } from '../fault.ts'
import { textOption } from '../option.ts'

/** The options by which both commands find their store. */
export const storeOptions: readonly CommandOption[] = [
  {
    flags: '-c, --config <file>',
    summary: {
      en: 'the configuration (ZHONGKONG_CONFIG, or zhongkong.yaml here)',
      zh: '配置文件（未指定时用 ZHONGKONG_CONFIG，再用当前目录的 zhongkong.yaml）',
    },
  },
  { flags: '--store <url>', summary: { en: 'this store instead of store', zh: '存储地址，取代 store' } },
  {
    flags: '--key <file>',
    summary: {
      en: "the key of the backup, 32 bytes as hex or base64 (default: the store's)",
      zh: '备份的密钥文件，32 字节，hex 或 base64（默认用存储的密钥）',
    },
  },
]

export type BackupStore = {
  readonly store: EntryStore
  /** The keys by which backups are sealed and opened, the chosen one first. */
  readonly keyrings: readonly [Keyring, ...Keyring[]]
}

/**
 * Opens the store that configuration and options name; null when the configuration is wrong, which has been told. A
 * database that is only to be read must be there: a slip in its path would otherwise make an empty one, and a backup of that.
 */
export async function openBackupStore(
  input: CommandInput,
  io: Io,
  { env, mustExist }: { readonly env: Env; readonly mustExist: boolean },
): Promise<BackupStore | null> {
  const named = await nameStore(input, io)
  if (named === null) return null
  if (named.url === 'memory:') {
    throw usage(
      {
        en: 'a memory store ends with its process: there is nothing to work on',
        zh: '内存存储随进程结束，没有可操作的内容',
      },
      { en: 'Name the store with --store URL.', zh: '请用 --store 地址 指定存储。' },
    )
  }
  if (mustExist) refuseMissing(named.url)
  const given = await givenKey(input, io)
  const known: Keyring[] = given === null ? [] : [given]
  const store = await openStore({
    ...named,
    env,
    onNotice: (notice) => io.err(notice[io.language]),
    onKeys: (keyring) => known.push(keyring),
  })
  const [first, ...rest] = known
  if (first === undefined) throw new Error('the store was opened without a key')
  return { store, keyrings: [first, ...rest] }
}

type NamedStore = { readonly url: string; readonly encryptionKey: Uint8Array | null }

async function nameStore(input: CommandInput, io: Io): Promise<NamedStore | null> {
  const [file, store] = [textOption(input, 'config'), textOption(input, 'store')]
  if (store !== undefined && file === undefined && !hasConfig(io)) {
    const text = io.environment.ZHONGKONG_ENCRYPTION_KEY
    const encryptionKey = text === undefined || text === '' ? null : keyOf(text, 'ZHONGKONG_ENCRYPTION_KEY')
    // The server takes both ways to say it.
    const url = store === 'memory' ? 'memory:' : store.startsWith('sqlite:') ? sqliteUrl(store, io) : store
    return { url, encryptionKey }
  }
  const overrides = store === undefined ? {} : { store }
  const { config, issues } = await readConfig({ path: configPath(io, file), overrides }, io)
  if (config !== null) return { url: config.store, encryptionKey: config.encryptionKey }
  printIssues(issues, io)
  return null
}

function sqliteUrl(url: string, io: Io): string {
  const path = url.slice('sqlite:'.length)
  return path === '' ? url : `sqlite:${resolve(io.directory, path)}`
}

function refuseMissing(url: string): void {
  const path = url.slice('sqlite:'.length)
  if (!url.startsWith('sqlite:') || existsSync(path)) return
  throw new CliFault(
    1,
    { en: `there is no database at ${path}`, zh: `${path} 处没有数据库` },
    { en: 'Check `store`, or --store.', zh: '请检查 `store` 或 --store。' },
  )
}

async function givenKey(input: CommandInput, io: Io): Promise<Keyring | null> {
  const said = textOption(input, 'key')
  if (said === undefined) return null
  const path = resolve(io.directory, said)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown'
    throw usage({ en: `${basename(path)} cannot be read (${code})`, zh: `无法读取 ${basename(path)}（${code}）` })
  }
  return keyringFrom(keyOf(text.trim(), basename(path)))
}

/** What stands where a key should is not repeated: it may be another secret. */
function keyOf(text: string, place: string): Uint8Array {
  const key = parseEncryptionKey(text)
  if (key !== null) return key
  throw usage(
    {
      en: `${place} holds no key: 32 bytes as hex or base64 are expected`,
      zh: `${place} 中不是密钥：应为 32 字节的 hex 或 base64`,
    },
    { en: 'Make one with: openssl rand -hex 32', zh: '生成方法：openssl rand -hex 32' },
  )
}
