/**
 * A configuration as the bytes of all its files, read once and then read again from here by several processes: however
 * the disk changes meanwhile, all of them understand the same, secret files and certificates included.
 */
import { configBytesMax } from '../config/load-config.ts'
import { readRealFile, type FileRead, type ReadFile } from '../config/read-file.ts'

/** By path, what reading gave: the file, or the system's code why there was none. Plain, so that it can be sent. */
export type ConfigFiles = ReadonlyMap<string, FileRead | { readonly code: string }>

/** Reads each file once from the disk; `files` holds what was read so far. */
export function recordingFiles(): { readonly files: ConfigFiles; readonly readFile: ReadFile } {
  const files = new Map<string, FileRead | { readonly code: string }>()
  const readFile: ReadFile = async (path, bytesMax) => {
    if (!files.has(path)) files.set(path, await readRealFile(path, configBytesMax).catch(codeOf))
    return await replayedFiles(files)(path, bytesMax)
  }
  return { files, readFile }
}

/** Reads what was recorded; what was not is not there. A file that is too long is longer than what was asked for. */
export function replayedFiles(files: ConfigFiles): ReadFile {
  return (path) => {
    const found = files.get(path) ?? { code: 'ENOENT' }
    if ('code' in found) return Promise.reject(Object.assign(new Error(found.code), { code: found.code }))
    return Promise.resolve(found)
  }
}

function codeOf(thrown: unknown): { readonly code: string } {
  return { code: thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown' }
}
