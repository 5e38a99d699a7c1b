/** Where the lines of a backup go: a file that appears when it is whole, or a stream. */
import { once } from 'node:events'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { syncFolder } from '../../base/write-atomically.ts'
import { CliFault, usage } from '../fault.ts'
import { firstWords } from './backup-format.ts'

/** Lines are gathered up to this many characters before they are written. */
const chunkLength = 65_536

/**
 * Writes a file of mode 0600 that has its name only when all of it is on disk. An older backup is replaced by it;
 * whatever else stands there is refused.
 */
export async function writeBackupFile(path: string, lines: AsyncIterable<string>, suffix: string): Promise<void> {
  await refuseOther(path)
  const draft = join(dirname(path), `.${basename(path)}.${suffix}.tmp`)
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const file = await open(draft, 'wx', 0o600)
    try {
      await writeChunks(lines, (chunk) => file.writeFile(chunk))
      await file.sync()
    } finally {
      await file.close()
    }
    await refuseOther(path)
    await rename(draft, path)
  } catch (thrown) {
    await rm(draft, { force: true })
    throw fileFault(path, thrown)
  }
  await syncFolder(dirname(path))
}

/** Waits for a reader that is slower than we are, so that nothing piles up. */
export async function writeBackupStream(stream: Writable, lines: AsyncIterable<string>): Promise<void> {
  await writeChunks(lines, async (chunk) => {
    if (!stream.write(chunk)) await once(stream, 'drain')
  })
}

async function writeChunks(lines: AsyncIterable<string>, write: (chunk: string) => Promise<void>): Promise<void> {
  let chunk = ''
  for await (const line of lines) {
    chunk += `${line}\n`
    if (chunk.length < chunkLength) continue
    await write(chunk)
    chunk = ''
  }
  await write(chunk)
}

/** A slip such as `zhongkong backup zhongkong.db` must not cost the database. */
async function refuseOther(path: string): Promise<void> {
  const file = await open(path, 'r').catch(() => null)
  if (file === null) return
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(firstWords.length), 0, firstWords.length, 0)
    if (buffer.toString('utf8', 0, bytesRead) === firstWords) return
  } finally {
    await file.close()
  }
  throw usage(
    { en: `${basename(path)} is there already, and is no backup`, zh: `${basename(path)} 已存在，且不是备份文件` },
    { en: 'Choose another name; only an older backup is replaced.', zh: '请换一个名称；只会替换旧的备份文件。' },
  )
}

/** What the file system refused, told with the file's name; anything else as it is. */
export function fileFault(path: string, thrown: unknown): unknown {
  if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) return thrown
  const name = basename(path)
  const text = {
    en: `${name} cannot be written (${String(thrown.code)})`,
    zh: `无法写入 ${name}（${String(thrown.code)}）`,
  }
  return new CliFault(1, text, null, thrown)
}
