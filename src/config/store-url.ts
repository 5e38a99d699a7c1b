/** What `store` may be. */
import { resolve } from 'node:path'
import { isDatabaseUrl, parseDatabaseUrl } from '../base/database-url.ts'
import { isRedisUrl, parseRedisUrl } from '../base/redis-url.ts'
import type { Text } from '../base/text.ts'

export type StoreUrl =
  | { readonly kind: 'memory' }
  | { readonly kind: 'sqlite'; readonly path: string }
  /** A server that several nodes share. */
  | { readonly kind: 'shared' }
  /** A known kind, written wrongly. */
  | { readonly kind: 'wrong'; readonly why: Text }
  | { readonly kind: 'unknown' }

/** Reads a store's URL; a relative path of SQLite counts from `directory`. */
export function parseStore(text: string, directory: string): StoreUrl {
  // YAML takes an unquoted `memory:` for a key, so people leave the colon out.
  if (text === 'memory:' || text === 'memory') return { kind: 'memory' }
  if (isRedisUrl(text)) {
    const answer = parseRedisUrl(text)
    return 'problem' in answer ? { kind: 'wrong', why: answer.problem } : { kind: 'shared' }
  }
  if (isDatabaseUrl(text)) {
    const answer = parseDatabaseUrl(text)
    return answer.ok ? { kind: 'shared' } : { kind: 'wrong', why: answer.why }
  }
  if (!text.startsWith('sqlite:')) return { kind: 'unknown' }
  // sqlite:///abs/path and sqlite://rel/path are how other programs write the same.
  const path = text.slice('sqlite:'.length).replace(/^\/\/(?=.)/, '')
  if (path === '' || path === ':memory:' || path.endsWith('/') || path.includes('\0')) return { kind: 'unknown' }
  return { kind: 'sqlite', path: resolve(directory, path) }
}

const secretOption = /([?&](?:sentinel_password|listen)=)([^&]+)/gi

/** The URL as it may be shown, without user and passwords. A password may hold any sign, so the last `@` ends it. */
export function shownStore(text: string): string {
  return text.replace(/^([a-z][a-z0-9+]*:\/\/).*@/i, '$1***@').replace(secretOption, '$1***')
}

/** Whether the URL holds a password. */
export function holdsPassword(text: string): boolean {
  const login = isDatabaseUrl(text) ? /^[^/]*\/\/([^/?#]*)@/ : /^rediss?(?:\+[a-z]+)?:\/\/(.*)@/i
  if (/:./.test(login.exec(text)?.[1] ?? '')) return true
  return [...text.matchAll(secretOption)].some(([, option = '', value = '']) => {
    return !/listen/i.test(option) || holdsPassword(decoded(value))
  })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
