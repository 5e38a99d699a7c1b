/** The version of this package, from its own package.json. */
import { createRequire } from 'node:module'

export function packageVersion(): string {
  const description: unknown = createRequire(import.meta.url)('zhongkong/package.json')
  const isDescription = typeof description === 'object' && description !== null && 'version' in description
  return isDescription ? String(description.version) : 'unknown'
}
