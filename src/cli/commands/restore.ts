/** `zhongkong restore FILE`: the entries of a backup into a store of any kind; while nodes run. */
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Env } from '../../base/env.ts'
import { realEnv } from '../../base/real-env.ts'
import type { Text } from '../../base/text.ts'
import { readBackup, type BackupRead, type Kept } from '../backup/backup-format.ts'
import { progress } from '../backup/backup-progress.ts'
import { linesOfFile, spool } from '../backup/backup-source.ts'
import { openBackupStore, storeOptions, type BackupStore } from '../backup/backup-store.ts'
import { restoreEntry, type Restored } from '../backup/restore-entry.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { CliFault } from '../fault.ts'
import { argument, flagOption } from '../option.ts'

export const name = 'restore'

export const summary: Text = {
  en: 'put the entries of a backup into the store',
  zh: '把备份中的记录恢复到存储',
}

export const args: readonly CommandArgument[] = [
  {
    name: 'file',
    required: true,
    summary: { en: 'the backup, or - for standard input', zh: '备份文件，或 - 表示标准输入' },
  },
]

export const options: readonly CommandOption[] = [
  ...storeOptions,
  {
    flags: '--force',
    summary: { en: 'also where the store has a newer entry', zh: '存储中的记录较新时也用备份替换' },
  },
  { flags: '--dry-run', summary: { en: 'check the backup, restore nothing', zh: '只检查备份，不恢复' } },
]

export const notes: Text = {
  en: `The backup is read to its end before anything is written: one that is cut
short, damaged or sealed with another key changes nothing. An entry of which
the store has a newer version stays. Running it again is safe, and servers may
run meanwhile. To move to another kind of store: back up the one, restore into
the other, and start servers with the new store.

Examples:
  zhongkong restore --dry-run zhongkong.backup
  zhongkong restore -c new.yaml --key zhongkong.db.key zhongkong.backup`,
  zh: `写入之前会先完整读取备份：不完整、已损坏或密钥不符的备份不会带来任何改动。
存储中版本更新的记录会保留。可以重复执行，服务器可以照常运行。
更换存储类型：备份旧存储，恢复到新存储，再用新存储启动服务器。

示例：
  zhongkong restore --dry-run zhongkong.backup
  zhongkong restore -c new.yaml --key zhongkong.db.key zhongkong.backup`,
}

/** Entries that are written at the same time: stores write several as fast as one. */
const atOnceMax = 32

/** What the command needs of the outside. */
export type RestoreOutside = {
  readonly env: Env
  readonly stdin: AsyncIterable<Uint8Array>
  /** Where a backup from standard input is kept meanwhile. */
  readonly folder: string
}

export async function run(input: CommandInput, io: Io): Promise<number> {
  const env = realEnv()
  try {
    return await runRestore(input, io, { env, stdin: process.stdin, folder: tmpdir() })
  } finally {
    await env.close()
  }
}

export async function runRestore(input: CommandInput, io: Io, outside: RestoreOutside): Promise<number> {
  const { env } = outside
  const file = argument(input, 0)
  const opened = await openBackupStore(input, io, { env, mustExist: false })
  if (opened === null) return 2
  const mark = Buffer.from(env.random.bytes(6)).toString('hex')
  const path = file === '-' ? join(outside.folder, `.zhongkong.${mark}.tmp`) : resolve(io.directory, file)
  try {
    if (file === '-') await spool(outside.stdin, path)
    const checked = await checkWhole(path, opened, io, env)
    if (flagOption(input, 'dryRun')) {
      io.out(checkedText(checked)[io.language])
      return 0
    }
    const counts = await restoreAll(path, opened, { io, env, isForced: flagOption(input, 'force') })
    io.out(restoredText(counts)[io.language])
    if (counts.broken === 0) return 0
    io.err(brokenText(counts.broken)[io.language])
    return 1
  } finally {
    if (file === '-') await rm(path, { force: true })
    await opened.store.close()
  }
}

async function checkWhole(path: string, { keyrings }: BackupStore, io: Io, env: Env): Promise<BackupRead> {
  const step = progress(io, env.clock, (count) => ({ en: `${count} entries checked…`, zh: `已检查 ${count} 条…` }))
  return await readBackup(linesOfFile(path), keyrings, () => {
    step()
    if (io.signal.aborted) throw stopped()
    return Promise.resolve()
  })
}

type Counts = Record<Restored, number>
type Work = { readonly io: Io; readonly env: Env; readonly isForced: boolean }

async function restoreAll(
  path: string,
  { store, keyrings }: BackupStore,
  { io, env, isForced }: Work,
): Promise<Counts> {
  const step = progress(io, env.clock, (count) => ({ en: `${count} entries restored…`, zh: `已恢复 ${count} 条…` }))
  const counts: Counts = { restored: 0, newer: 0, same: 0, broken: 0 }
  const underWay = new Set<Promise<void>>()
  let fault: { readonly thrown: unknown } | null = null
  const one = async (kept: Kept): Promise<void> => {
    try {
      counts[await restoreEntry(store, kept, isForced)] += 1
      step()
    } catch (thrown) {
      fault ??= { thrown }
    }
  }
  const check = (): void => {
    if (fault !== null) throw fault.thrown
    if (io.signal.aborted) throw stopped()
  }
  try {
    await readBackup(linesOfFile(path), keyrings, async (kept) => {
      while (underWay.size >= atOnceMax) await Promise.race(underWay)
      check()
      const task = one(kept).finally(() => underWay.delete(task))
      underWay.add(task)
    })
  } finally {
    await Promise.all(underWay)
  }
  check()
  return counts
}

function stopped(): CliFault {
  return new CliFault(
    1,
    { en: 'stopped before the end', zh: '在完成之前被中止' },
    { en: 'What was restored stays. Run it again to go on.', zh: '已恢复的内容会保留，重新执行即可继续。' },
  )
}

function checkedText({ header, count }: BackupRead): Text {
  const madeAt = new Date(header.madeAt).toISOString()
  return {
    en: `the backup is whole: ${count} ${count === 1 ? 'entry' : 'entries'}, made at ${madeAt}`,
    zh: `备份完整：共 ${count} 条记录，生成于 ${madeAt}`,
  }
}

function restoredText({ restored, newer, same, broken }: Counts): Text {
  const total = restored + newer + same + broken
  const en = [`${restored} restored`, ...(same === 0 ? [] : [`${same} the same already`])]
  const zh = [`已恢复 ${restored} 条`, ...(same === 0 ? [] : [`${same} 条本已相同`])]
  if (newer > 0) {
    en.push(`${newer} newer in the store, which stay`)
    zh.push(`${newer} 条在存储中较新，予以保留`)
  }
  return { en: `${en.join(', ')} (of ${total})`, zh: `${zh.join('，')}（共 ${total} 条）` }
}

function brokenText(count: number): Text {
  return {
    en: `${count} of the store cannot be opened with its key, and stay as they are`,
    zh: `存储中有 ${count} 条记录无法用其密钥解密，保持原样`,
  }
}
