/** Files as the configuration reads them: bounded, as text, with the mode that tells who else may read them. */
import { open } from 'node:fs/promises'
import type { Text } from '../base/text.ts'

export type FileRead = { readonly bytes: Uint8Array; readonly mode: number }

/** Reads at most `bytesMax + 1` bytes, so that the caller sees that a file is too long; rejects as `node:fs` does. */
export type ReadFile = (path: string, bytesMax: number) => Promise<FileRead>

/** Works for pipes too (`-c /dev/stdin`), whose size nobody knows beforehand. */
export const readRealFile: ReadFile = async (path, bytesMax) => {
  const handle = await open(path, 'r')
  try {
    const { mode } = await handle.stat()
    const chunks: Uint8Array[] = []
    let length = 0
    while (length <= bytesMax) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(Math.min(65_536, bytesMax + 1 - length)))
      if (bytesRead === 0) break
      chunks.push(buffer.subarray(0, bytesRead))
      length += bytesRead
    }
    return { bytes: Buffer.concat(chunks), mode }
  } finally {
    await handle.close()
  }
}

export type TextRead =
  | { readonly ok: true; readonly text: string; readonly mode: number }
  | {
      readonly ok: false
      readonly reason: 'missing' | 'unreadable' | 'too-large' | 'not-text'
      readonly because: Text
    }

/** The text of a file, or why there is none; never throws. */
export async function readText(readFile: ReadFile, path: string, bytesMax: number): Promise<TextRead> {
  let read: FileRead
  try {
    read = await readFile(path, bytesMax)
  } catch (thrown) {
    const code = codeOf(thrown)
    const reason = code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable'
    return {
      ok: false,
      reason,
      because: causes[code] ?? { en: `it cannot be read (${code})`, zh: `无法读取（${code}）` },
    }
  }
  if (read.bytes.length > bytesMax) {
    const limit = bytesMax >= 1_048_576 ? `${bytesMax / 1_048_576} MiB` : `${bytesMax / 1_024} KiB`
    return { ok: false, reason: 'too-large', because: { en: `it is larger than ${limit}`, zh: `超过 ${limit}` } }
  }
  const notText: TextRead = {
    ok: false,
    reason: 'not-text',
    because: { en: 'it is not a UTF-8 text', zh: '不是 UTF-8 文本' },
  }
  if (read.bytes.includes(0)) return notText
  try {
    // The decoder drops a byte order mark, which editors on Windows like to write.
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(read.bytes), mode: read.mode }
  } catch {
    return notText
  }
}

/** True when people other than the owner may read a file of this mode. */
export function isOpenToOthers(mode: number): boolean {
  return process.platform !== 'win32' && (mode & 0o044) !== 0
}

const causes: Readonly<Record<string, Text>> = {
  ENOENT: { en: 'it does not exist', zh: '文件不存在' },
  ENOTDIR: { en: 'it does not exist', zh: '文件不存在' },
  EACCES: { en: 'this user may not read it', zh: '当前用户无权读取' },
  EPERM: { en: 'this user may not read it', zh: '当前用户无权读取' },
  EISDIR: { en: 'it is a directory', zh: '它是一个目录' },
}

function codeOf(thrown: unknown): string {
  if (typeof thrown === 'object' && thrown !== null && 'code' in thrown && typeof thrown.code === 'string') {
    return thrown.code
  }
  return 'unknown'
}
