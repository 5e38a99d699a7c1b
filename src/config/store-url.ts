/** What `store` may be. */
import { resolve } from 'node:path'

export type StoreUrl =
  | { readonly kind: 'memory' }
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'later'; readonly scheme: string }
  | { readonly kind: 'unknown' }

const later = /^(rediss?(?:\+(?:sentinel|cluster))?|postgres(?:ql)?|mysql|mariadb):/i

/** Reads a store's URL; a relative path of SQLite counts from `directory`. */
export function parseStore(text: string, directory: string): StoreUrl {
  // YAML takes an unquoted `memory:` for a key, so people leave the colon out.
  if (text === 'memory:' || text === 'memory') return { kind: 'memory' }
  const scheme = later.exec(text)?.[1]
  if (scheme !== undefined) return { kind: 'later', scheme: scheme.toLowerCase() }
  if (!text.startsWith('sqlite:')) return { kind: 'unknown' }
  // sqlite:///abs/path and sqlite://rel/path are how other programs write the same.
  const path = text.slice('sqlite:'.length).replace(/^\/\/(?=.)/, '')
  if (path === '' || path === ':memory:' || path.endsWith('/') || path.includes('\0')) return { kind: 'unknown' }
  return { kind: 'sqlite', path: resolve(directory, path) }
}
