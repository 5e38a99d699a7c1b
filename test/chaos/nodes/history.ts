/**
 * What happened in a run, line by line, in milliseconds of one clock since it began: whole nodes, their common store,
 * the upstream and the programs that read are all watched by the one process that holds the simulator. Tokens stand in
 * it as digests. A checker reads it afterwards and needs nothing else.
 */
import { createHash } from 'node:crypto'

/** What the upstream grants to a source, and the house's policy for it. Times in milliseconds. */
export type SourceFacts = {
  readonly lifetimeMs: number
  /** A second issue ends the token before after this time, a third one at once; null: tokens live side by side. */
  readonly overlapMs: number | null
  /** The latest age at which a token is replaced on schedule; null where that is not followed. */
  readonly dueAgeMs: number | null
  readonly leaseMs: number
  /** The youngest age at which that happens; null likewise. */
  readonly dueAgeMsMin: number | null
  /** A reported token that is younger is kept. */
  readonly minIntervalMs: number
}

export type NodeLine = {
  readonly type: 'node'
  readonly at: number
  readonly node: number
  /** Which of the processes that the node has been, counted from 1. */
  readonly process: number
  readonly what: 'started' | 'ready' | 'killed' | 'stopped' | 'woken' | 'ended'
}

/** One worker of a node of several is struck; the others go on. `ended`: the server put another one in its place. */
export type WorkerLine = {
  readonly type: 'worker'
  readonly at: number
  readonly node: number
  readonly pid: number
  readonly what: 'killed' | 'stopped' | 'woken' | 'ended'
}

/**
 * The store is out of reach of these nodes, or within reach again. `mayWork`: one of its servers fails, and another one
 * may already have taken its place.
 */
export type StoreLine = {
  readonly type: 'store'
  readonly at: number
  readonly what: 'away' | 'back'
  readonly nodes: readonly number[]
  readonly mayWork?: true
}

export type BlowLine = { readonly type: 'blow'; readonly at: number; readonly kind: string; readonly text: string }

/** A request at the upstream: it arrives, a token is issued or repeated, and it is answered, or given up by its sender. */
export type AskedLine = {
  readonly type: 'asked'
  readonly at: number
  readonly id: number
  readonly source: string
  /** Which node sent it; null when that cannot be told. */
  readonly node: number | null
}
export type IssuedLine = {
  readonly type: 'issued'
  readonly at: number
  readonly id: number
  readonly source: string
  readonly token: string
}
export type EndedLine = {
  readonly type: 'answered' | 'abandoned'
  readonly at: number
  readonly id: number
  readonly source: string
}

/** What a program was told of a source: it read it, waited for a newer version, or asked for a refresh. */
export type ReadLine = {
  readonly type: 'read'
  /** When the answer was there, and when it was asked for. */
  readonly at: number
  readonly from: number
  readonly node: number
  readonly process: number
  /** Which worker of the process answered, in its own word; empty without an answer. */
  readonly worker: string
  readonly source: string
  /** 0: no answer. 304: there is nothing newer. */
  readonly status: number
  readonly version: number
  readonly token: string
  readonly expiresInMs: number
  readonly stale: boolean
  /** Whether the simulator took the token when the answer was there. */
  readonly accepted: boolean
  /** In words, when there was no token. */
  readonly failure?: string
  /** A refusal that does not say when to come again. */
  readonly saysNotWhen?: true
  /** It was to wait so long, in milliseconds, for a newer version than this one. */
  readonly wait?: { readonly newerThan: number; readonly forMs: number }
  readonly refresh?: RefreshTold
}

/**
 * A call for a refresh and what was said of it. `current`: reports the token that this node gave a moment before;
 * `old`: reports one that this node had replaced for its caller; `wish`: reports nothing.
 */
export type RefreshTold = {
  readonly kind: 'current' | 'old' | 'wish'
  /** What the caller had: the reported token, or the one that it read before. */
  readonly token: string
  readonly version: number
  readonly refreshed: boolean
  readonly reason: string
}

/** The watching process itself was held up so long before this instant, so everything it saw may be older. */
export type LateLine = { readonly type: 'late'; readonly at: number; readonly ms: number }

export type Line =
  NodeLine | WorkerLine | StoreLine | BlowLine | AskedLine | IssuedLine | EndedLine | ReadLine | LateLine

export type History = {
  readonly nodes: number
  readonly sources: Readonly<Record<string, SourceFacts>>
  /** Changes reach every node within this, in milliseconds, while all are well. */
  readonly newsMs: number
  /** In order of `at`. */
  readonly lines: readonly Line[]
}

/** What everybody may see of a token. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 10)
}

/** The lines of one source (and those of all) around an instant, as text. */
export function excerpt(history: History, around: number, source: string | null, withinMs = 3_000): string[] {
  const near = history.lines.filter((line) => Math.abs(line.at - around) <= withinMs)
  const own = near.filter((line) => source === null || !('source' in line) || line.source === source)
  const told: string[] = []
  const heard = new Map<string, string>()
  for (const line of own) {
    const text = describe(line)
    // Readers ask again and again and mostly hear the same, but for the seconds that are left.
    if (line.type === 'read' && Math.abs(line.at - around) >= 1) {
      const key = `${line.node} ${line.worker} ${line.source}`
      const what = text.replace(/ for \d+ s/, '')
      if (heard.get(key) === what) continue
      heard.set(key, what)
    }
    told.push(`${(line.at / 1_000).toFixed(3).padStart(8)} ${text}`)
  }
  return told
}

function describe(line: Line): string {
  switch (line.type) {
    case 'node':
      return `node ${line.node} process ${line.process} ${line.what}`
    case 'worker':
      return `node ${line.node} worker ${line.pid} ${line.what}`
    case 'store':
      return `store ${line.what} for ${line.nodes.join(', ')}`
    case 'blow':
      return `BLOW ${line.kind}: ${line.text}`
    case 'asked':
      return `upstream #${line.id} asked for ${line.source} by node ${line.node ?? '?'}`
    case 'issued':
      return `upstream #${line.id} issued ${line.source} ${line.token}`
    case 'answered':
    case 'abandoned':
      return `upstream #${line.id} ${line.type}`
    case 'late':
      return `the watcher was held up for ${Math.round(line.ms)} ms`
    case 'read': {
      const from = `node ${line.node} ${line.worker} ${line.source}${describeCall(line)}: ${line.status}`
      if (line.status !== 200) return `${from} ${line.failure ?? ''}`
      const seconds = `${Math.round(line.expiresInMs / 1_000)} s`
      const marks = [line.stale ? 'stale' : '', line.accepted ? '' : 'refused upstream'].filter(Boolean).join(', ')
      return `${from} v${line.version} ${line.token} for ${seconds}${marks === '' ? '' : ` (${marks})`}`
    }
  }
}

function describeCall({ wait, refresh }: ReadLine): string {
  if (refresh !== undefined) return ` ${refresh.kind} v${refresh.version} ${refresh.token} ${refresh.reason}`
  return wait === undefined ? '' : ` newer than v${wait.newerThan}`
}
