/** Writes files that were not there, or keeps the old ones under another name: nothing is ever lost. */
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { CliFault, usage } from './fault.ts'

export type NewFile = { readonly path: string; readonly text: string; readonly mode: number }

/**
 * Writes all, or refuses before the first when one is there and `replace` is false. Answers the names under which old
 * files were kept.
 */
export async function writeNewFiles(
  files: readonly NewFile[],
  { replace }: { readonly replace: boolean },
): Promise<string[]> {
  try {
    const present: string[] = []
    for (const { path } of files) if (await exists(path)) present.push(path)
    if (present.length > 0 && !replace) throw alreadyThere(present)
    const kept: string[] = []
    for (const { path, text, mode } of files) {
      await mkdir(dirname(path), { recursive: true })
      if (present.includes(path)) kept.push(await setAside(path))
      await writeWhole(path, text, mode)
    }
    return kept
  } catch (thrown) {
    if (thrown instanceof CliFault) throw thrown
    const reason = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown'
    const message = { en: `the files cannot be written (${reason})`, zh: `无法写入文件（${reason}）` }
    throw new CliFault(1, message, null, thrown)
  }
}

function alreadyThere(paths: readonly string[]): CliFault {
  const names = paths.map((path) => basename(path)).join(', ')
  return usage(
    {
      en: `${names} ${paths.length === 1 ? 'is' : 'are'} there already; nothing was written`,
      zh: `${names} 已存在，没有写入任何文件`,
    },
    {
      en: 'Use --force (the old file is kept as *.old), or --out DIR.',
      zh: '使用 --force（旧文件另存为 *.old）或 --out 目录。',
    },
  )
}

/** A file that appeared meanwhile is not replaced, and one that could not be written whole does not stay. */
async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } catch (thrown) {
    await rm(path, { force: true })
    throw thrown
  } finally {
    await handle.close()
  }
}

async function setAside(path: string): Promise<string> {
  for (let count = 1; ; count += 1) {
    const name = count === 1 ? `${path}.old` : `${path}.old${count}`
    if (await exists(name)) continue
    await rename(path, name)
    return name
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return false
    throw thrown
  }
}
