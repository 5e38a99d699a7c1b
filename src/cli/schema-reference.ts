/** How a new configuration names its JSON Schema on the first line, so that editors complete and check it. */
import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const file = join('docs', 'config.schema.json')

/** The shipped schema, as a path from `directory`; where it would be installed when it is not found. */
export function schemaReference(directory: string): string {
  let at = dirname(fileURLToPath(import.meta.url))
  for (let parent = dirname(at); parent !== at; at = parent, parent = dirname(at)) {
    if (!existsSync(join(at, file))) continue
    const path = relative(directory, join(at, file)).replaceAll('\\', '/')
    return path.startsWith('.') ? path : `./${path}`
  }
  return './node_modules/zhongkong/docs/config.schema.json'
}
