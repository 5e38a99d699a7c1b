/**
 * Writes each rotation to a file, for programs that read a file.
 *
 * What holds: a reader sees one whole version; a file never goes back to an older version while a newer one is there;
 * a write that failed is tried again until it works, with the newest value only; a source that is removed while we run
 * takes its file with it (one removed while we were down leaves it: we cannot know that the file was ours). A token that
 * ends without a successor stays in its file: `expires_at` says so.
 */
import { readFile, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { backoffMs } from '../base/backoff.ts'
import type { Env } from '../base/env.ts'
import { isJsonObject, type JsonObject } from '../base/json.ts'
import { compileGlobs, type Matcher } from '../model/glob.ts'
import { sourceName } from '../model/source.ts'
import type { Bus } from './bus.ts'
import { removeAbandoned, writeAtomically } from '../base/write-atomically.ts'

/** One sink of the configuration: which sources, where to, and how. */
export type FileSinkTarget = {
  /** Globs over source names. */
  readonly sources: readonly string[]
  /** `{name}` stands for the source's name (slashes become `__`). */
  readonly path: string
  readonly format: 'json' | 'plain'
  readonly mode: number
}

export type SinkToken = {
  readonly token: string
  readonly version: number
  /** The instant up to which a reader may rely on the token, epoch milliseconds. */
  readonly expiresAt: number
  /** Epoch milliseconds. */
  readonly issuedAt: number
  readonly fields: JsonObject
}

/** What could not be written, told once for each row of failures. */
export type SinkFault = { readonly name: string; readonly path: string; readonly cause: unknown }

export type FileSinkOptions = {
  readonly sinks: readonly FileSinkTarget[]
  /** The current token of a source; null when there is none. */
  readonly read: (name: string) => Promise<SinkToken | null>
  readonly bus: Bus
  readonly env: Env
  readonly onFault: (fault: SinkFault) => void
}

export type FileSink = {
  /** Brings the files of these sources up to date; call it at start and after a reload. */
  readonly catchUp: (names: Iterable<string>) => void
  /** Removes the files of a source that is gone. */
  readonly remove: (name: string) => void
  /** Resolves when nothing is waiting to be written, failing writes included. */
  readonly settled: () => Promise<void>
  /** No new writes; those under way end, or are left after a bounded time. */
  readonly close: () => Promise<void>
}

type Job = {
  readonly name: string
  readonly target: FileSinkTarget
  readonly path: string
  /** What the file should be at the next look. */
  wanted: 'current' | 'absent'
  isDirty: boolean
  running: Promise<void> | null
  failures: number
  written: Written | null
}

/** What a file holds. Seconds, because that is what a JSON file says of itself. */
type Written = { readonly version: number; readonly issuedAtSeconds: number }

const retry = { baseMs: 500, capMs: 60_000 }
/** Files written at the same time; a storm of rotations must not use up the process's file descriptors. */
const writesMax = 16
/** How long closing waits for writes under way, in milliseconds: a hanging network disk must not keep us. */
const closeMsMax = 3_000

/** Starts writing; nothing is written before the first rotation or `catchUp`. */
export function createFileSink(options: FileSinkOptions): FileSink {
  const writer = new Writer(options)
  return {
    catchUp: (names) => {
      for (const name of names) writer.touch(name, 'current')
    },
    remove: (name) => writer.touch(name, 'absent'),
    settled: () => writer.settled(),
    close: () => writer.close(),
  }
}

class Writer {
  readonly #options: FileSinkOptions
  readonly #targets: readonly { readonly target: FileSinkTarget; readonly matches: Matcher }[]
  readonly #jobs = new Map<string, Job>()
  readonly #slots = createSlots(writesMax)
  readonly #closing = new AbortController()
  readonly #unsubscribe: () => void

  constructor(options: FileSinkOptions) {
    this.#options = options
    this.#targets = options.sinks.map((target) => ({ target, matches: compileGlobs(target.sources) }))
    this.#unsubscribe = options.bus.on((event) => {
      if (event.type === 'rotated' || event.type === 'repeated') this.touch(event.name, 'current')
      else if (event.type === 'removed') this.touch(event.name, 'absent')
    })
  }

  touch(name: string, wanted: Job['wanted']): void {
    if (this.#closing.signal.aborted) return
    for (const { target, matches } of this.#targets) {
      if (!matches(name)) continue
      const path = pathFor(target.path, name)
      const job = path === null ? null : this.#jobAt(path, name, target)
      if (path === null || job?.name !== name) {
        const cause = new Error(job === null ? 'the name fits no file' : `the file already holds source ${job.name}`)
        this.#options.onFault({ name, path: path ?? target.path, cause })
        continue
      }
      job.wanted = wanted
      job.isDirty = true
      job.running ??= this.#run(job)
    }
  }

  async settled(): Promise<void> {
    for (;;) {
      const running = [...this.#jobs.values()].flatMap((job) => (job.running === null ? [] : [job.running]))
      if (running.length === 0) return
      await Promise.all(running)
    }
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    this.#closing.abort()
    const waited = new AbortController()
    await Promise.race([this.settled(), this.#options.env.clock.sleep(closeMsMax, waited.signal)])
    waited.abort()
  }

  #jobAt(path: string, name: string, target: FileSinkTarget): Job {
    const known = this.#jobs.get(path)
    if (known !== undefined) return known
    const made: Job = {
      name,
      target,
      path,
      wanted: 'current',
      isDirty: false,
      running: null,
      failures: 0,
      written: null,
    }
    this.#jobs.set(path, made)
    return made
  }

  /** Never rejects; ends when the file is as wanted. */
  async #run(job: Job): Promise<void> {
    const { env, onFault } = this.#options
    // The caller stores our promise before anything happens here.
    await Promise.resolve()
    while (job.isDirty && !this.#closing.signal.aborted) {
      job.isDirty = false
      try {
        await this.#slots.use(() => bringUpToDate(job, this.#options))
        job.failures = 0
      } catch (cause) {
        job.isDirty = true
        job.failures += 1
        if (job.failures === 1) onFault({ name: job.name, path: job.path, cause })
        await env.clock.sleep(backoffMs(job.failures, retry, env.random.next()), this.#closing.signal)
      }
    }
    job.running = null
    if (job.wanted === 'absent') this.#jobs.delete(job.path)
  }
}

async function bringUpToDate(job: Job, { read, env }: FileSinkOptions): Promise<void> {
  if (job.wanted === 'absent') {
    await rm(job.path, { force: true })
    job.written = null
    return
  }
  const token = await read(job.name)
  if (token === null) return
  if (job.written === null) {
    await removeAbandoned(job.path, env.clock.now())
    job.written = await versionIn(job)
  }
  const found: Written = { version: token.version, issuedAtSeconds: Math.floor(token.issuedAt / 1_000) }
  if (job.written !== null && isOlder(found, job.written)) return
  const suffix = Buffer.from(env.random.bytes(6)).toString('hex')
  const content = job.target.format === 'plain' ? token.token : jsonText(job.name, token, env.clock.now())
  await writeAtomically({ path: job.path, content, mode: job.target.mode, suffix })
  job.written = found
}

/** Versions begin again when a store is made anew, so a lower version that was issued later is not an older one. */
function isOlder(token: Written, than: Written): boolean {
  return token.version < than.version && token.issuedAtSeconds <= than.issuedAtSeconds
}

/** What another node, or we before a restart, left in the file; null when it cannot be told. */
async function versionIn(job: Job): Promise<Written | null> {
  if (job.target.format === 'plain') return null
  try {
    const content: unknown = JSON.parse(await readFile(job.path, 'utf8'))
    if (!isJsonObject(content)) return null
    const { version, issued_at: issuedAtSeconds } = content
    if (typeof version !== 'number' || typeof issuedAtSeconds !== 'number') return null
    return { version, issuedAtSeconds }
  } catch {
    // Absent, unreadable or not ours: it is replaced.
    return null
  }
}

function jsonText(name: string, token: SinkToken, now: number): string {
  const content = {
    name,
    token: token.token,
    expires_in: Math.max(0, Math.floor((token.expiresAt - now) / 1_000)),
    expires_at: Math.floor(token.expiresAt / 1_000),
    issued_at: Math.floor(token.issuedAt / 1_000),
    version: token.version,
    fields: token.fields,
  }
  return `${JSON.stringify(content, null, 2)}\n`
}

/** The file of a source; null for a name that could lead out of its folder. */
function pathFor(template: string, name: string): string | null {
  const part = name.replaceAll('/', '__')
  // The pattern keeps out separators of other systems, control characters and a leading dot, so `part` is one plain name.
  if (!sourceName.test(name) || /[\\\0]/.test(part) || part.startsWith('.')) return null
  return resolve(template.replaceAll('{name}', () => part))
}

/** At most `count` pieces of work at once; the others wait their turn. */
function createSlots(count: number): { use: (work: () => Promise<void>) => Promise<void> } {
  const waiting: (() => void)[] = []
  let free = count
  return {
    use: async (work) => {
      if (free > 0) free -= 1
      else await new Promise<void>((resume) => waiting.push(resume))
      try {
        await work()
      } finally {
        const next = waiting.shift()
        if (next === undefined) free += 1
        else next()
      }
    },
  }
}
