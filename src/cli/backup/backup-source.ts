/** Where the lines of a backup come from: a file that is read twice, once to check it and once to restore it. */
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { CliFault } from '../fault.ts'
import { fileFault } from './backup-target.ts'

/** No entry is larger than this, in bytes; a longer line is no backup's. */
const lineBytesMax = 4 * 1_048_576

/** The lines of a file; throws a `CliFault` when it cannot be read. */
export async function* linesOfFile(path: string): AsyncGenerator<string> {
  try {
    yield* linesOf(createReadStream(path))
  } catch (thrown) {
    if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) throw thrown
    const [name, code] = [basename(path), String(thrown.code)]
    throw new CliFault(1, { en: `${name} cannot be read (${code})`, zh: `无法读取 ${name}（${code}）` }, null, thrown)
  }
}

/** Puts a stream into a file, so that it can be read twice. All that is in it is sealed; the caller removes it. */
export async function spool(chunks: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      for await (const chunk of chunks) await file.writeFile(chunk)
    } finally {
      await file.close()
    }
  } catch (thrown) {
    await rm(path, { force: true })
    throw fileFault(path, thrown)
  }
}

/** The lines of a stream, without their ends. A last line that does not end counts as well. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, at)]).toString('utf8')
      parts = []
      length = 0
      from = at + 1
    }
    length += chunk.length - from
    if (length > lineBytesMax) throw tooLong()
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
  if (length > 0) yield Buffer.concat(parts).toString('utf8')
}

function tooLong(): CliFault {
  return new CliFault(1, {
    en: 'this is no backup of zhongkong: a line in it is far too long',
    zh: '这不是 zhongkong 的备份文件：其中有一行过长',
  })
}
