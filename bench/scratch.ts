/** A folder for one measurement, removed when the process ends. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Durable writes are as slow as the disk behind this folder: `TMPDIR` chooses another one. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'zhongkong-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}
