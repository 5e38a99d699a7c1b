/** `zhongkong backup FILE`: everything in the store, sealed, in one file; while nodes run. */
import { basename, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import type { Env } from '../../base/env.ts'
import { realEnv } from '../../base/real-env.ts'
import type { Text } from '../../base/text.ts'
import { BackupWriter } from '../backup/backup-format.ts'
import { progress } from '../backup/backup-progress.ts'
import { openBackupStore, storeOptions } from '../backup/backup-store.ts'
import { writeBackupFile, writeBackupStream } from '../backup/backup-target.ts'
import { takeBackup } from '../backup/take-backup.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { CliFault, usage } from '../fault.ts'
import { argument } from '../option.ts'
import { printable, wrap } from '../terminal.ts'

export const name = 'backup'

export const summary: Text = {
  en: 'write everything in the store into one encrypted file',
  zh: '把存储中的全部内容写入一个加密文件',
}

export const args: readonly CommandArgument[] = [
  {
    name: 'file',
    required: true,
    summary: { en: 'the file, or - for standard output', zh: '文件，或 - 表示标准输出' },
  },
]

export const options: readonly CommandOption[] = storeOptions

export const notes: Text = {
  en: `Servers may run meanwhile. The file is sealed with the key of the store
(encryption_key, or the key file of a SQLite store) or that of --key; without
it the backup is of no use, so keep both, in different places. It can be
restored into a store of any kind. Without a configuration, --store names the
store, and ZHONGKONG_ENCRYPTION_KEY holds its key.

Examples:
  zhongkong backup /var/backups/zhongkong.backup
  zhongkong backup - | ssh elsewhere 'cat > zhongkong.backup'`,
  zh: `备份时服务器可以照常运行。文件用存储的密钥（encryption_key，或 SQLite
存储的密钥文件）或 --key 指定的密钥加密；没有密钥，备份就无法使用，
请把两者分开保存。
备份可以恢复到任何类型的存储。没有配置文件时，用 --store 指定存储，
用 ZHONGKONG_ENCRYPTION_KEY 提供密钥。

示例：
  zhongkong backup /var/backups/zhongkong.backup
  zhongkong backup - | ssh 其他机器 'cat > zhongkong.backup'`,
}

/** What the command needs of the outside. */
export type BackupOutside = { readonly env: Env; readonly stdout: Writable & { readonly isTTY?: boolean } }

export async function run(input: CommandInput, io: Io): Promise<number> {
  const env = realEnv()
  try {
    return await runBackup(input, io, { env, stdout: process.stdout })
  } finally {
    await env.close()
  }
}

export async function runBackup(input: CommandInput, io: Io, { env, stdout }: BackupOutside): Promise<number> {
  const file = argument(input, 0)
  if (file === '-' && stdout.isTTY === true) {
    throw usage({ en: 'a backup is not printed on a terminal', zh: '备份内容不会输出到终端' }, toFile)
  }
  const opened = await openBackupStore(input, io, { env, mustExist: true })
  if (opened === null) return 2
  const { store, keyrings } = opened
  const hex = (bytes: number): string => Buffer.from(env.random.bytes(bytes)).toString('hex')
  const broken: string[] = []
  try {
    const writer = new BackupWriter(keyrings[0].sealing, { id: hex(16), madeAt: await store.now() })
    const step = progress(io, env.clock, (count) => ({ en: `${count} entries…`, zh: `已写入 ${count} 条…` }))
    const lines = watched(takeBackup(store, writer, broken), step, io.signal)
    if (file === '-') await writeBackupStream(stdout, lines)
    else await writeBackupFile(resolve(io.directory, file), lines, hex(6))
    // Standard output may be the backup itself.
    const say = file === '-' ? io.err : io.out
    say(doneText(writer.count, file === '-' ? null : basename(file))[io.language])
  } finally {
    await store.close()
  }
  if (broken.length === 0) return 0
  io.err(wrap(brokenText(broken)[io.language], io.columns))
  return 1
}

const toFile: Text = {
  en: 'Name a file, or send it on: zhongkong backup - | …',
  zh: '请指定文件，或用管道传递：zhongkong backup - | …',
}

/** The lines, with a step for each, until somebody has had enough. */
async function* watched(lines: AsyncIterable<string>, step: () => void, signal: AbortSignal): AsyncGenerator<string> {
  for await (const line of lines) {
    if (signal.aborted) throw new CliFault(1, { en: 'stopped; nothing was kept', zh: '已中止，没有保留任何内容' })
    yield line
    step()
  }
}

function doneText(count: number, file: string | null): Text {
  const into = file === null ? { en: '', zh: '' } : { en: ` into ${file}`, zh: `到 ${file}` }
  return {
    en: `${count} ${count === 1 ? 'entry' : 'entries'} backed up${into.en}`,
    zh: `已备份 ${count} 条记录${into.zh}`,
  }
}

function brokenText(broken: readonly string[]): Text {
  const some = broken.slice(0, 10).map(printable)
  const more = broken.length > some.length ? ', …' : ''
  return {
    en: `${broken.length} could not be opened, and are not in the backup: ${some.join(', ')}${more}`,
    zh: `有 ${broken.length} 条无法解密，未包含在备份中：${some.join('、')}${more === '' ? '' : ' 等'}`,
  }
}
