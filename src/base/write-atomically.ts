/**
 * A file that others read while we replace it: they see the old content or the new, never a part of either, also when
 * the power goes. The new content is written beside the file, made durable, and renamed over it.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

export type AtomicWrite = {
  readonly path: string
  readonly content: string
  /** Permission bits of the file, whatever the umask says. */
  readonly mode: number
  /** Makes the name of the file beside it; hexadecimal digits. */
  readonly suffix: string
  /** Absent or null: whoever runs this process. Giving files away takes root's right to do so. */
  readonly owner?: FileOwner | null
}

/** Null leaves that part as it is. */
export type FileOwner = { readonly uid: number | null; readonly gid: number | null }

/** Replaces the file. Folders that are missing are made for the owner only. A symbolic link is replaced, not followed. */
export async function writeAtomically({ path, content, mode, suffix, owner }: AtomicWrite): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = join(folder, `.${basename(path)}.${suffix}.tmp`)
  try {
    // 'wx' fails on anything that is there already, a planted symbolic link included.
    const file = await open(draft, 'wx', 0o600)
    try {
      // Before there is anything in it, and before the mode, which a change of owner may reset.
      if (owner != null) await file.chown(owner.uid ?? -1, owner.gid ?? -1)
      await file.writeFile(content)
      await file.chmod(mode)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (thrown) {
    await rm(draft, { force: true })
    throw thrown
  }
  await syncFolder(folder)
}

/** Makes the rename durable. Windows cannot open folders; there the rename is as durable as it gets. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A draft this old, in milliseconds, was left by a process that died: nobody takes that long to write a token. */
const abandonedMs = 60_000

/** Removes drafts of `path` that a process left when it died. */
export async function removeAbandoned(path: string, now: number): Promise<void> {
  const folder = dirname(path)
  const names = await readdir(folder).catch(() => [])
  const start = `.${basename(path)}.`
  for (const name of names) {
    if (!name.startsWith(start) || !/^[0-9a-f]+\.tmp$/.test(name.slice(start.length))) continue
    const draft = join(folder, name)
    const found = await stat(draft).catch(() => null)
    if (found !== null && now - found.mtimeMs > abandonedMs) await rm(draft, { force: true })
  }
}
