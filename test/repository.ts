/** The folder of this clone, whether a test runs from its source or compiled in `dist`. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

export const repository = above(import.meta.dirname)

function above(folder: string): string {
  if (existsSync(join(folder, 'package-lock.json'))) return folder
  if (dirname(folder) === folder) throw new Error('this is run from outside of a clone')
  return above(dirname(folder))
}
