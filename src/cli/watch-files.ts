/**
 * Notices that files changed, however they are replaced: written in place, renamed over, or swapped by a symbolic link
 * (Kubernetes mounts a ConfigMap so). A watch on a file loses it at the second rename, so the folder is watched; what
 * happened there is only a reason to look, and the content decides. A slow look every half minute covers file systems
 * that tell nothing.
 */
import { createHash } from 'node:crypto'
import { watch, type FSWatcher } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export type WatchOptions = {
  readonly paths: readonly string[]
  readonly onChange: () => void
  /** Milliseconds from the first sign of a change to the look; editors write in several steps. Default 200. */
  readonly settleMs?: number
  /** Milliseconds between looks without a sign. Default 30 000. */
  readonly pollMs?: number
}

/** Watches from now on: what the files hold when this resolves is the state that changes are told against. */
export async function watchFiles(options: WatchOptions): Promise<{ readonly stop: () => void }> {
  const { paths, onChange, settleMs = 200, pollMs = 30_000 } = options
  let known = await contentOf(paths)
  let pending: NodeJS.Timeout | undefined
  let isStopped = false

  const look = async (): Promise<void> => {
    const found = await contentOf(paths)
    if (isStopped || found === known) return
    known = found
    onChange()
  }
  const onSign = (): void => {
    // The first sign starts the wait and later ones do not prolong it: a folder that is never quiet must not starve us.
    pending ??= setTimeout(() => {
      pending = undefined
      void look()
    }, settleMs)
  }
  const watchers = new Map<string, FSWatcher>()
  const watchFolders = (): void => {
    for (const folder of new Set(paths.map((path) => dirname(path)))) {
      if (!watchers.has(folder)) watchFolder(folder, { watchers, onSign })
    }
  }
  watchFolders()
  const poll = setInterval(() => {
    watchFolders()
    onSign()
  }, pollMs)
  poll.unref()
  // What changed between the first look and the watch left no sign.
  onSign()
  return {
    stop: () => {
      isStopped = true
      clearInterval(poll)
      clearTimeout(pending)
      for (const watcher of watchers.values()) watcher.close()
    },
  }
}

type Watching = { readonly watchers: Map<string, FSWatcher>; readonly onSign: () => void }

/** A folder that cannot be watched (too many watches, a network disk) is left to the slow look, and tried again there. */
function watchFolder(folder: string, { watchers, onSign }: Watching): void {
  try {
    const watcher = watch(folder, { persistent: false }, onSign)
    watcher.on('error', () => {
      watcher.close()
      watchers.delete(folder)
    })
    watchers.set(folder, watcher)
  } catch {
    watchers.delete(folder)
  }
}

/** A digest of all the files; one that cannot be read counts as absent, so that its loss is a change too. */
async function contentOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    const content = await readFile(path).catch(() => null)
    hash.update(content === null ? 'absent;' : `${content.length};`)
    if (content !== null) hash.update(content)
  }
  return hash.digest('hex')
}
