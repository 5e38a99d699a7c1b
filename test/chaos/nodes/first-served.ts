/** When each version was first seen, and by whom: the moment from which every node can be asked for it. */
import type { History, ReadLine } from './history.ts'

export type Serving = {
  readonly version: number
  readonly token: string
  readonly at: number
  readonly node: number
}

type Knowing = {
  readonly at: number
  readonly since: number | null
  readonly newsMs: number
  /** Whether the store may have been too slow for a process that did not have the token yet. */
  readonly isSlow: boolean
}

export class FirstServed {
  /** By source: each version's first appearance, in order of versions. */
  readonly #first = new Map<string, Map<number, Serving>>()
  readonly #byToken = new Map<string, Serving>()
  /** By process, worker and source: what it has served, in order of time. */
  readonly #own = new Map<string, Serving[]>()

  constructor(history: History) {
    for (const line of history.lines) {
      if (line.type !== 'read' || line.status !== 200) continue
      const { source, version, token, at, node } = line
      const serving = { version, token, at, node }
      const known = this.#first.get(source) ?? new Map<number, Serving>()
      if (!known.has(version)) known.set(version, serving)
      this.#first.set(source, known)
      if (!this.#byToken.has(`${source} ${token}`)) this.#byToken.set(`${source} ${token}`, serving)
      const key = keyOf(line)
      const own = this.#own.get(key) ?? []
      if ((own.at(-1)?.version ?? 0) < version) own.push(serving)
      this.#own.set(key, own)
    }
  }

  /** The first appearance of a token; null when nobody has ever been given it. */
  of(source: string, token: string): Serving | null {
    return this.#byToken.get(`${source} ${token}`) ?? null
  }

  /** The first appearance of a version. */
  ofVersion(source: string, version: number): Serving | null {
    return this.#first.get(source)?.get(version) ?? null
  }

  versions(source: string): readonly Serving[] {
    return [...(this.#first.get(source)?.values() ?? [])]
  }

  /** The earliest appearance of a higher version. */
  after(source: string, version: number): Serving | null {
    const later = this.versions(source).filter((each) => each.version > version)
    return later.reduce<Serving | null>((first, each) => (first === null || each.at < first.at ? each : first), null)
  }

  /**
   * The latest token that a node must know of at an instant: what this process has served, or, where it has been in touch
   * with the store (`since`, null when it has not), what anybody served so long ago that it must have heard. A process
   * hears of those tokens only that were read there, and asks the store for the others.
   */
  knownTo(read: ReadLine, { at, since, newsMs, isSlow }: Knowing): Serving | null {
    const before = (limit: number) => (each: Serving) => each.at < limit
    const own = this.#own.get(keyOf(read))?.filter(before(at)) ?? []
    const isToldOf = since !== null && at >= since + newsMs && (own.length > 0 || !isSlow)
    const heard = !isToldOf ? [] : this.versions(read.source).filter(before(at - newsMs))
    return [...own, ...heard].reduce<Serving | null>(
      (best, each) => (best === null || each.version > best.version ? each : best),
      null,
    )
  }
}

function keyOf({ node, process, worker, source }: ReadLine): string {
  return `${node} ${process} ${worker} ${source}`
}
