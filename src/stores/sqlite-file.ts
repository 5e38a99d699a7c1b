/**
 * The database as files: making them private, noticing that they were taken away, setting a damaged one aside, and
 * putting back one that was deleted while it was open.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { SqliteDatabase } from './sqlite-driver.ts'

const logSuffixes = ['-wal', '-shm'] as const

/**
 * Makes the directory (0700) and the file (0600) where they are missing; SQLite gives its log files the same mode.
 * An existing database is never opened here: closing any descriptor of it drops the locks that SQLite holds on it for
 * this whole process (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
 */
export function prepareFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const file = statSync(path, { throwIfNoEntry: false })
    if (file === undefined) createFile(path)
    // Making a directory private would take it from everybody, its owner's programs included.
    else if (!file.isFile()) throw noFile(path, file.isDirectory())
    else if ((file.mode & 0o077) !== 0) chmodSync(path, 0o600)
  } catch (error) {
    throw fileError(error, path)
  }
}

function noFile(path: string, isDirectory: boolean): ZhongkongError {
  const inside = `sqlite:${path}/zhongkong.db`
  const hint = isDirectory
    ? { en: `Name a file in it: ${inside}`, zh: `请写成其中的文件：${inside}` }
    : { en: 'Name a plain file, or one that is not there yet.', zh: '请改为普通文件，或尚不存在的文件。' }
  return new ZhongkongError('config_invalid', `store: ${path} is ${isDirectory ? 'a directory' : 'no plain file'}`, {
    hint,
  })
}

/** False when the file exists already. */
function createFile(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx', 0o600))
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** The files behind a path, so that deleted, moved or replaced ones are noticed: SQLite itself goes on with the old ones. */
export type FileIdentity = { readonly database: string | null; readonly log: string | null }

export function identifyFiles(path: string): FileIdentity {
  return { database: identify(path), log: identify(`${path}-wal`) }
}

export function isSameFiles(left: FileIdentity, right: FileIdentity): boolean {
  return left.database === right.database && left.log === right.log
}

function identify(path: string): string | null {
  const file = statSync(path, { throwIfNoEntry: false })
  return file === undefined ? null : `${file.dev}:${file.ino}`
}

/** The file that keeps a damaged store from silently starting again as an empty one. */
function notePath(path: string): string {
  return `${path}.quarantined`
}

/** Throws `store_corrupt` while the note of a quarantine lies beside the database. */
export function refuseQuarantined(path: string): void {
  if (existsSync(notePath(path))) throw quarantined(path, `${path} was damaged and is set aside beside it`)
}

/**
 * Sets a damaged database aside, its log files with it, and leaves a note. The note comes first: whatever happens in
 * between, the next start fails rather than begins empty. Only the file that was `examined` is moved: somebody may have
 * put a good one in its place. Answers the error to throw.
 */
export function quarantine(path: string, examined: FileIdentity, words: string): ZhongkongError {
  if (identify(path) !== examined.database) {
    return new ZhongkongError('store_unavailable', `${path} was damaged and is another file by now`)
  }
  const aside = `${path}.corrupt-${timestamp()}`
  const error = quarantined(path, `${path} is damaged (${words}); it was set aside as ${aside}`)
  try {
    const lines = [error.message, error.hint?.en ?? '', error.hint?.zh ?? '', '']
    writeFileSync(notePath(path), lines.join('\n'), { mode: 0o600 })
    for (const suffix of ['', ...logSuffixes]) {
      if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix)
    }
  } catch (failure) {
    throw fileError(failure, path)
  }
  return error
}

function quarantined(path: string, what: string): ZhongkongError {
  const command = `rm ${shellQuote(notePath(path))}`
  const detail = `${what}. The store does not start until you have chosen. Restore a backup to ${path}, or decide to start empty; then run: ${command}`
  return new ZhongkongError('store_corrupt', detail, {
    hint: {
      en:
        `To go back to a backup, copy it to ${path}, then run: ${command}\n` +
        `To start again with an empty store, just run: ${command}\n` +
        'Starting empty fetches every token anew and loses the sources that were added while running.',
      zh:
        `如要恢复备份：先将备份复制到 ${path}，再执行：${command}\n` +
        `如要以空存储重新开始：直接执行：${command}\n` +
        '以空存储开始会重新获取所有令牌，并丢失运行期间添加的来源。',
    },
  })
}

/** The time of now, fit for a file name. */
function timestamp(): string {
  return new Date().toISOString().replaceAll(/[:.]/g, '-')
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** A rescue takes no longer than this unless its process died, in milliseconds. */
const rescueMsMax = 60_000

/**
 * Puts back a database that was deleted while `database` had it open: until it is closed, all its content can still be
 * read. One process does it at a time, and an existing file is never touched. False when another process is at it.
 */
export function rescue(database: SqliteDatabase, path: string): boolean {
  const lock = `${path}.rescue`
  const copy = `${path}.rescued`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (!takeLock(lock)) return false
  } catch (error) {
    throw fileError(error, path)
  }
  try {
    if (existsSync(path)) return true
    rmSync(copy, { force: true })
    writeFileSync(copy, '', { mode: 0o600 })
    database.exec(`VACUUM INTO '${copy.replaceAll("'", "''")}'`)
    syncFile(copy)
    // The log files belong to the deleted database: SQLite would play them into the new one.
    for (const suffix of logSuffixes) rmSync(path + suffix, { force: true })
    renameSync(copy, path)
    syncFile(dirname(path))
    return true
  } finally {
    rmSync(copy, { force: true })
    rmSync(lock, { force: true })
  }
}

function takeLock(lock: string): boolean {
  const held = statSync(lock, { throwIfNoEntry: false })
  if (held !== undefined && Date.now() - held.mtimeMs > rescueMsMax) rmSync(lock, { force: true })
  return createFile(lock)
}

/** Makes what was written to a file, or the names in a directory, survive a loss of power. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** A failure of the file system as callers see it. */
export function fileError(error: unknown, path: string): ZhongkongError {
  if (error instanceof ZhongkongError) return error
  const code = codeOf(error)
  const isFull = ['ENOSPC', 'EDQUOT', 'EROFS'].includes(code)
  const hint = hints[code]
  return new ZhongkongError(isFull ? 'store_full' : 'store_unavailable', `${path}: ${code || 'file system failure'}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  })
}

const notAllowed: Text = {
  en: 'This user may not write there: give the directory to it (chown), or name another path in store.',
  zh: '当前用户无权写入该位置：请用 chown 把目录交给该用户，或在 store 中换一个路径。',
}
const noDirectory: Text = {
  en: 'A part of the path before the file is no directory: mend the path in store.',
  zh: '路径中间的某一级不是目录：请修正 store 中的路径。',
}
const hints: Readonly<Partial<Record<string, Text>>> = {
  EACCES: notAllowed,
  EPERM: notAllowed,
  EEXIST: noDirectory,
  ENOTDIR: noDirectory,
}
