/**
 * The key of a store that was given none: a file of mode 0600 beside the database, never inside it. It holds the key as
 * 64 hex digits, so `encryption_key: file:PATH` reads it as well.
 */
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ZhongkongError } from '../base/errors.ts'
import type { Random } from '../base/env.ts'
import { masterKeyBytes } from './keyring.ts'
import { codeOf, syncFile } from './sqlite-file.ts'

export type KeyFileOptions = {
  readonly random: Random
  /** False when records exist already: a new key could not open them. */
  readonly mayCreate: boolean
}

/** The key in the file; null when there is none. */
export function readKeyFile(path: string): Uint8Array | null {
  const file = statSync(path, { throwIfNoEntry: false })
  return file === undefined ? null : readKey(path, file.mode)
}

/** The key in the file, making both on first use. Throws `seal_broken` when the file is missing, open to others, or no key. */
export function openKeyFile(path: string, { random, mayCreate }: KeyFileOptions): Uint8Array {
  const existing = readKeyFile(path)
  if (existing !== null) return existing
  if (!mayCreate) throw keyMissing(path)
  writeKeyFile(path, random.bytes(masterKeyBytes), random)
  // Of processes that start together one has made the file. All of them, this one too, take what stands in it.
  const made = readKeyFile(path)
  if (made === null) throw keyMissing(path)
  return made
}

/**
 * Writes a key file unless there is one. It appears under its name only when it is complete and on disk, so nobody reads
 * half a key, and a crash leaves none.
 */
export function writeKeyFile(path: string, key: Uint8Array, random: Random): void {
  const draft = `${path}.${Buffer.from(random.bytes(6)).toString('hex')}`
  try {
    writeFileSync(draft, `${Buffer.from(key).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
    syncFile(draft)
    place(draft, path)
    syncFile(dirname(path))
  } catch (error) {
    throw new ZhongkongError('store_unavailable', `the key file ${path} cannot be written: ${codeOf(error)}`, {
      cause: error,
    })
  } finally {
    rmSync(draft, { force: true })
  }
}

function place(draft: string, path: string): void {
  try {
    linkSync(draft, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    // Some file systems have no links. There the file may be seen half written, for an instant, on its first day.
    writeFileSync(path, readFileSync(draft), { mode: 0o600, flag: 'wx', flush: true })
  }
}

function readKey(path: string, mode: number): Uint8Array {
  // Windows has no such modes; there the directory's own protection has to do.
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw keyOpenToOthers(path)
  const text = readText(path).trim()
  if (!/^[0-9a-f]{64}$/i.test(text)) throw noKey(path)
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ZhongkongError('store_unavailable', `the key file ${path} cannot be read: ${codeOf(error)}`, {
      cause: error,
    })
  }
}

function keyMissing(path: string): ZhongkongError {
  return new ZhongkongError(
    'seal_broken',
    `the database holds records, but the key file ${path} that opens them is gone`,
    {
      hint: {
        en: `Put the key file back from a backup, or set encryption_key. Without the key the records cannot be read; to give them up, delete the database as well and start again.`,
        zh: `请从备份恢复该密钥文件，或设置 encryption_key。没有密钥就无法读取记录；如确定放弃这些记录，请将数据库一并删除后重新启动。`,
      },
    },
  )
}

function keyOpenToOthers(path: string): ZhongkongError {
  const command = `chmod 600 '${path}'`
  return new ZhongkongError('seal_broken', `the key file ${path} may be read by others; run: ${command}`, {
    hint: {
      en: `Run: ${command}. If others may have read it, the secrets in the store must be taken as known to them.`,
      zh: `请执行：${command}。如果他人可能已读取该文件，应视为存储中的密钥和令牌已经泄露。`,
    },
  })
}

function noKey(path: string): ZhongkongError {
  return new ZhongkongError('seal_broken', `the key file ${path} does not hold a key: 64 hex digits are expected`, {
    hint: {
      en: 'Put the key file back from a backup. Delete it only if the database is new or deleted too.',
      zh: '请从备份恢复该密钥文件。只有在数据库是新建的或已一并删除时，才可以删除它。',
    },
  })
}
