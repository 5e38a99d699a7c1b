/**
 * The spill: a folder with one sealed file for each source whose grant the store could not take. A file appears under its
 * name when it is whole and on disk, so a crash leaves the old one or the new one.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { isJsonObject, parsedObject, type JsonObject } from '../base/json.ts'
import { sha256 } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import { writeAtomically } from '../base/write-atomically.ts'
import type { Keyring } from './keyring.ts'
import { seal, unseal, type Place } from './sealed.ts'
import { codeOf } from './sqlite-file.ts'
import type { Spill, Spilled } from './store.ts'

export type SpillOptions = {
  readonly folder: string
  readonly keyring: Keyring
  readonly random: Random
  /** Hears of what lies there and cannot be put back. */
  readonly onNotice?: ((notice: Text) => void) | undefined
}

/** No file of ours is larger, in bytes. */
const bytesMax = 65_536
const ending = '.spill'
/** Read at a time: an outage may have left more files than a process may have open. */
const filesAtOnce = 64

/** Nothing is made before something is saved. */
export function openSpill({ folder, keyring, random, onNotice }: SpillOptions): Spill {
  // The name of a source may be longer than a file's, and says who somebody's customers are.
  const pathOf = (name: string): string => join(folder, sha256(name).toString('hex').slice(0, 32) + ending)
  return {
    save: async (name, spilled) => {
      const content = seal(JSON.stringify({ name, ...spilled }), place, keyring, random)
      const suffix = Buffer.from(random.bytes(6)).toString('hex')
      try {
        await writeAtomically({ path: pathOf(name), content, mode: 0o600, suffix })
      } catch (thrown) {
        throw new ZhongkongError('store_unavailable', `nothing can be written to ${folder}: ${codeOf(thrown)}`, {
          cause: thrown,
        })
      }
    },
    drop: async (name) => await rm(pathOf(name), { force: true }),
    left: async () => {
      const files = await filesIn(folder, onNotice)
      const left: Left[] = []
      for (let at = 0; at < files.length; at += filesAtOnce) {
        const some = files.slice(at, at + filesAtOnce)
        const found = await Promise.all(some.map((file) => readSpilled(join(folder, file), keyring)))
        left.push(...found.filter((each) => each !== null))
      }
      if (left.length < files.length) onNotice?.(unreadable(folder, files.length - left.length))
      return left
    },
  }
}

async function filesIn(folder: string, onNotice: SpillOptions['onNotice']): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((file) => file.endsWith(ending))
  } catch (thrown) {
    const code = codeOf(thrown)
    if (code !== 'ENOENT') {
      onNotice?.({
        en: `The spill folder ${folder} cannot be read (${code}): refresh tokens that lie there are not put back.`,
        zh: `无法读取 spill 目录 ${folder}（${code}）：其中的 refresh token 未能写回存储。`,
      })
    }
    return []
  }
}

function unreadable(folder: string, files: number): Text {
  return {
    en: `${files} of the files in ${folder} cannot be opened, and what they hold is not put back. Give back the encryption key with which they were written, or remove them.`,
    zh: `${folder} 中有 ${files} 个文件无法打开，其中的凭据未能写回存储。请恢复写入时使用的加密密钥，或删除这些文件。`,
  }
}

/** A line break is in no source's name, so this is the place of no record. */
const place: Place = { name: 'spill\n', revision: 0 }

type Left = { readonly name: string; readonly spilled: Spilled }

/** Null for a file that is none of ours, such as one that was sealed with another key. */
async function readSpilled(path: string, keyring: Keyring): Promise<Left | null> {
  try {
    const bytes = await readFile(path)
    if (bytes.length > bytesMax) return null
    const read = parsedObject(unseal(bytes.toString('latin1'), place, keyring))
    return read === null ? null : leftOf(read)
  } catch {
    return null
  }
}

function leftOf(read: JsonObject): Left | null {
  const { name, value, lifetimeMs, sentAt, asked, since, identity, definition } = read
  if (typeof name !== 'string' || typeof value !== 'string' || typeof identity !== 'string') return null
  if (typeof sentAt !== 'number' || (lifetimeMs !== null && typeof lifetimeMs !== 'number')) return null
  if (asked !== null && typeof asked !== 'string') return null
  const more = { ...(typeof since === 'number' ? { since } : {}), ...(isJsonObject(definition) ? { definition } : {}) }
  return { name, spilled: { value, lifetimeMs, sentAt, asked, identity, ...more } }
}
