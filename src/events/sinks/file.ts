/**
 * Writes tokens to files, for programs that read a file.
 *
 * What holds: a reader sees one whole version; a file never goes back to an older version while a newer one is there; a
 * source that is removed while we run takes its file with it (one removed while we were down leaves it: we cannot know
 * that the file was ours). A token that ends without a successor stays in its file: `expires_at` says so.
 */
import { lstat, readFile, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Env } from '../../base/env.ts'
import { isJsonObject } from '../../base/json.ts'
import { removeAbandoned, writeAtomically, type FileOwner } from '../../base/write-atomically.ts'
import { jsonContent } from '../../model/sink-layout.ts'
import type { FileSinkConfig } from '../../model/sink.ts'
import { sourceName } from '../../model/source.ts'
import { isOlder, SinkRefusal, writtenOf, type Sink, type SinkToken, type SinkTools, type Written } from './sink.ts'

export const kind = 'file'

/** Paths that two names can lead to, of which the owner is remembered. */
const sharedMax = 10_000
/** A file that should hold a token and is larger is not ours, in bytes. */
const bytesMax = 1_048_576

export function openSink(config: FileSinkConfig, { env }: SinkTools): Sink {
  const owners = new Map<string, string>()
  const drafts = new Set<string>()
  return {
    to: config.path,
    lanes: 16,
    recheckMs: 60_000,
    put: async (name, token) => {
      const path = ownPath(config, name, owners)
      const content = contentOf(config, name, token)
      const found = await foundAt(path, config.format)
      if (found?.written != null && isOlder(writtenOf(token), found.written)) return 'older'
      const owner = await ownerOf(config)
      if (found !== null && isAsWanted(found, { config, name, token, owner })) return 'unchanged'
      await removeAbandonedOnce(path, drafts, env)
      const suffix = Buffer.from(env.random.bytes(6)).toString('hex')
      await writeAtomically({ path, content: content(env.clock.now()), mode: config.mode, suffix, owner })
      return 'written'
    },
    remove: async (name) => {
      const path = ownPath(config, name, owners)
      await rm(path, { force: true })
      owners.delete(path)
    },
    close: () => undefined,
  }
}

/** The file of a source. Throws for a name that could lead out of its folder, or to the file of another source. */
function ownPath({ path: template }: FileSinkConfig, name: string, owners: Map<string, string>): string {
  const part = name.replaceAll('/', '__')
  // The pattern keeps out separators of other systems, control characters and a leading dot, so `part` is one plain name.
  if (!sourceName.test(name) || /[\\\0]/.test(part) || part.startsWith('.')) {
    throw new SinkRefusal('the name fits no file')
  }
  const path = resolve(template.replaceAll('{name}', () => part))
  if (!part.includes('__') && template.includes('{name}')) return path
  const owner = owners.get(path)
  if (owner !== undefined && owner !== name) throw new SinkRefusal(`the file already holds source ${owner}`)
  if (owner === undefined && owners.size >= sharedMax) owners.clear()
  owners.set(path, name)
  return path
}

type Found = {
  readonly text: string
  readonly mode: number
  readonly owner: { readonly uid: number; readonly gid: number }
  readonly written: Written | null
}

/** What another node, or we before, left in the file; null when there is none that could be ours. */
async function foundAt(path: string, format: FileSinkConfig['format']): Promise<Found | null> {
  try {
    const there = await lstat(path)
    // A link is replaced whatever it leads to, and a pipe would never end.
    if (!there.isFile() || there.size > bytesMax) return null
    const text = await readFile(path, 'utf8')
    return { text, mode: there.mode & 0o777, owner: there, written: writtenIn(text, format) }
  } catch {
    // Absent, unreadable or not ours: it is replaced.
    return null
  }
}

function writtenIn(text: string, format: FileSinkConfig['format']): Written | null {
  if (format === 'plain') return null
  const content = format === 'json' ? jsonIn(text) : envIn(text)
  const { version, issued_at: issuedAtSeconds } = content
  if (typeof version !== 'number' || typeof issuedAtSeconds !== 'number') return null
  return { version, issuedAtSeconds }
}

type Content = { readonly version?: unknown; readonly issued_at?: unknown; readonly expires_at?: unknown }

function jsonIn(text: string): Content & { readonly token?: unknown } {
  try {
    const content: unknown = JSON.parse(text)
    return isJsonObject(content) ? content : {}
  } catch {
    return {}
  }
}

function envIn(text: string): Content {
  const number = (ending: string): number | undefined => {
    const match = new RegExp(`^[A-Z0-9_]+_${ending}=(\\d{1,15})$`, 'm').exec(text)
    return match === null ? undefined : Number(match[1])
  }
  return { version: number('VERSION'), issued_at: number('ISSUED_AT') }
}

type WantedFile = {
  readonly config: FileSinkConfig
  readonly name: string
  readonly token: SinkToken
  readonly owner: FileOwner | null
}

/** Everything but `expires_in`, which counts from the moment of writing. */
function isAsWanted(found: Found, { config, name, token, owner }: WantedFile): boolean {
  if (found.mode !== config.mode && process.platform !== 'win32') return false
  const { uid, gid } = found.owner
  if ((owner?.uid ?? uid) !== uid || (owner?.gid ?? gid) !== gid) return false
  if (config.format !== 'json') return found.text === contentOf(config, name, token)(0)
  const there = jsonIn(found.text)
  const wanted = jsonContent(name, token)
  return there.token === wanted.token && there.version === wanted.version && there.expires_at === wanted.expires_at
}

function contentOf({ format }: FileSinkConfig, name: string, token: SinkToken): (now: number) => string {
  if (format === 'plain') return () => token.token
  if (format === 'env') {
    const text = envText(name, token)
    return () => text
  }
  return (now) => {
    const { name: called, token: value, ...rest } = jsonContent(name, token)
    const expiresIn = Math.max(0, Math.floor((token.expiresAt - now) / 1_000))
    return `${JSON.stringify({ name: called, token: value, expires_in: expiresIn, ...rest }, null, 2)}\n`
  }
}

/** Lines that a shell, systemd (EnvironmentFile=) and compose (env_file:) read alike. */
function envText(name: string, { token, expiresAt, issuedAt, version }: SinkToken): string {
  const upper = name.toUpperCase().replace(/[^A-Z0-9]/g, '_')
  const start = /^\d/.test(upper) ? `_${upper}` : upper
  // Whoever sources the file would run what a hostile upstream put after a line end.
  if (/[\u0000-\u001f\u007f]/.test(token)) throw new SinkRefusal('a token with control characters fits no env file')
  const isPlain = /^[A-Za-z0-9_.+/=:@%,-]*$/.test(token)
  const value = isPlain ? token : `'${token.replaceAll("'", String.raw`'\''`)}'`
  const seconds = (instant: number): string => String(Math.floor(instant / 1_000))
  return [
    `${start}_TOKEN=${value}`,
    `${start}_EXPIRES_AT=${seconds(expiresAt)}`,
    `${start}_ISSUED_AT=${seconds(issuedAt)}`,
    `${start}_VERSION=${version}`,
    '',
  ].join('\n')
}

/** Once for each file and life of this process, as a folder may hold very many. */
async function removeAbandonedOnce(path: string, looked: Set<string>, env: Env): Promise<void> {
  if (looked.has(path)) return
  if (looked.size >= sharedMax) looked.clear()
  looked.add(path)
  await removeAbandoned(path, env.clock.now())
}

/** Looked up each time: the account may be made while we run. Throws when there is none of that name. */
async function ownerOf({ owner, group }: FileSinkConfig): Promise<FileOwner | null> {
  if (owner === undefined && group === undefined) return null
  return {
    uid: owner === undefined ? null : await idOf(owner, '/etc/passwd'),
    gid: group === undefined ? null : await idOf(group, '/etc/group'),
  }
}

async function idOf(named: string, list: string): Promise<number> {
  if (/^\d+$/.test(named)) return Number(named)
  for (const line of (await readFile(list, 'utf8')).split('\n')) {
    const [name, , id] = line.split(':')
    if (name === named && id !== undefined) return Number(id)
  }
  throw new Error(`${list} has no ${named}; give its number`)
}
