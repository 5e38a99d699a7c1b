/** Which node was there, awake and in touch with the store, and since when. */
import type { History, Line, ReadLine } from './history.ts'

/** Times in milliseconds; the end is Infinity while it lasts. */
export type Span = { readonly from: number; readonly to: number }

/** Which worker, and within what time news reaches it when all is well. */
export type Hearing = { readonly worker: string; readonly newsMs: number }

/** Since when a node can have heard nothing, but for breaks that were too short; and since when nothing for sure. */
export type Silence = { readonly since: number; readonly atLeastSince: number }

/** From the store's return to a node that follows it again: it tries every two seconds at the latest, which takes a moment. */
export const recoverMs = 4_000

/**
 * From the end of the last worker of a node that had begun to the next one that listens: a server waits for a second at
 * the most, and then a process has to start.
 */
const desertedMsMax = 4_000

/** What is asked so long after a worker was stopped is not answered by it, in milliseconds. */
const askedMs = 100

/**
 * Of a node with several workers, `worker` is the one that answered, in its own word; empty where that is not known, and
 * then a worker that was stopped counts for nothing, as the others went on.
 */
export class Presence {
  /** By node: while its process answers. */
  readonly #ready = new Map<number, (Span & { readonly process: number })[]>()
  readonly #stopped = new Map<number, Span[]>()
  readonly #away = new Map<number, (Span & { readonly mayWork: boolean })[]>()
  /** By node: while one of its workers was stopped, and which of its workers answered meanwhile. */
  readonly #halves = new Map<number, (Span & { readonly awake: Set<string> })[]>()
  readonly #workerKills = new Map<number, number[]>()
  /** By node: when workers ended, whoever ended them. */
  readonly #workerEnds = new Map<number, number[]>()
  /** By node: when what was answered had been asked. */
  readonly #answered = new Map<number, number[]>()
  readonly #late: readonly { readonly at: number; readonly ms: number }[]

  constructor(history: History) {
    const endsOf = (node: number, process: number): number =>
      history.lines.find(
        (line) =>
          line.type === 'node' &&
          line.node === node &&
          line.process === process &&
          (line.what === 'killed' || line.what === 'ended'),
      )?.at ?? Infinity
    for (const line of history.lines) {
      if (line.type === 'node' && line.what === 'ready') {
        push(this.#ready, line.node, {
          from: line.at,
          to: endsOf(line.node, line.process),
          process: line.process,
        })
      }
      if (line.type === 'node' && line.what === 'stopped')
        open(this.#stopped, line.node, { from: line.at, to: Infinity })
      if (line.type === 'node' && (line.what === 'woken' || line.what === 'killed')) {
        close(this.#stopped, line.node, line.at)
      }
      if (line.type === 'worker' && line.what === 'killed') push(this.#workerKills, line.node, line.at)
      if (line.type === 'worker' && (line.what === 'killed' || line.what === 'ended')) {
        push(this.#workerEnds, line.node, line.at)
      }
      if (line.type === 'worker' && line.what === 'stopped') {
        open(this.#halves, line.node, { from: line.at, to: Infinity, awake: new Set() })
      }
      if (line.type === 'worker' && (line.what === 'woken' || line.what === 'ended')) {
        close(this.#halves, line.node, line.at)
      }
      if (line.type === 'store') {
        for (const node of line.nodes) {
          if (line.what === 'back') close(this.#away, node, line.at)
          else open(this.#away, node, { from: line.at, to: Infinity, mayWork: line.mayWork === true })
        }
      }
    }
    this.#late = history.lines.filter((line) => line.type === 'late')
    for (const node of this.#workerEnds.keys()) {
      const isAnswer = (line: Line): line is ReadLine => line.type === 'read' && line.node === node && line.status !== 0
      this.#answered.set(
        node,
        history.lines.filter(isAnswer).map(({ from }) => from),
      )
    }
    for (const line of history.lines) {
      if (line.type !== 'read' || line.worker === '') continue
      for (const half of this.#halves.get(line.node) ?? []) {
        if (line.from > half.from + askedMs && line.at < half.to) half.awake.add(line.worker)
      }
    }
  }

  /** The process of a node that answers throughout, neither stopped nor ended; null when there is none. */
  process(node: number, { from, to }: Span): number | null {
    const span = this.#ready.get(node)?.find((each) => each.from <= from && each.to >= to)
    return span === undefined || meets(this.#stopped.get(node), { from, to }) ? null : span.process
  }

  /** Whether a process was ended, or frozen at some time, between two instants. */
  isStruck(node: number, span: Span): boolean {
    const ends = (this.#ready.get(node) ?? []).map(({ to }) => ({ from: to, to }))
    return meets(ends, span) || meets(this.#stopped.get(node), span)
  }

  /** Whether a worker of a node was ended, or stopped at some time, between two instants. */
  isWorkerStruck(node: number, span: Span): boolean {
    const kills = (this.#workerKills.get(node) ?? []).map((at) => ({ from: at, to: at }))
    return meets(kills, span) || meets(this.#halves.get(node), span)
  }

  /** Whether a worker of a node had ended shortly before an instant, and nobody answered there since. */
  isDeserted(node: number, at: number): boolean {
    const ends = this.#workerEnds.get(node)?.filter((end) => end <= at) ?? []
    return ends.some((end) => {
      const allowedMs = desertedMsMax + this.lateMs({ from: end, to: at })
      return at - end <= allowedMs && !this.#answered.get(node)!.some((from) => from > end && from < at)
    })
  }

  /** Whether the store was out of reach of a node, or the node frozen, at some time in the span or shortly before it. */
  isOutOfTouch(node: number, { from, to }: Span, worker = ''): boolean {
    const before = { from: from - recoverMs, to }
    const starts = (this.#ready.get(node) ?? []).filter((each) => each.from > from - recoverMs && each.from <= to)
    return meets(this.#gaps(node, worker), before) || starts.length > 0
  }

  /** The silence that a node is in, or has hardly come out of; null when it must know what there is to know. */
  silence(node: number, at: number, { worker, newsMs }: Hearing): Silence | null {
    const gaps = this.#gaps(node, worker)
      .map(({ from, to }) => ({ from, to: to + recoverMs + newsMs }))
      .filter(({ from }) => from <= at)
      .toSorted((left, right) => right.from - left.from)
    const last = gaps.find(({ to }) => to > at)
    if (last === undefined) return null
    let since = last.from
    for (const { from, to } of gaps) if (to > since) since = Math.min(since, from)
    return { since, atLeastSince: last.from }
  }

  /** Whether a node was there all the time, with its store within reach. */
  isWell(node: number, span: Span): boolean {
    return this.process(node, span) !== null && !meets(this.#away.get(node), span)
  }

  /** Whether the store was out of reach of a node for sure throughout a span. */
  isWithoutStore(node: number, { from, to }: Span): boolean {
    return this.#away.get(node)?.some((away) => !away.mayWork && away.from <= from && away.to >= to) ?? false
  }

  /** Since when a node has been there and in touch without a break, at an instant; null when it is not. */
  inTouchSince(node: number, at: number, worker = ''): number | null {
    const up = this.#ready.get(node)?.find(({ from, to }) => from <= at && to >= at)
    const gaps = this.#gaps(node, worker)
    if (up === undefined || gaps.some(({ from, to }) => from <= at && to > at)) return null
    return Math.max(up.from, ...gaps.filter(({ to }) => to <= at).map(({ to }) => to + recoverMs))
  }

  /** The longest time within a span for which one node was there and in touch. */
  longestInTouch(nodes: number, { from, to }: Span): number {
    const all = Array.from({ length: nodes }, (_, node) => node)
    const ends = all.flatMap((node) => this.#gapsOf(node).map((gap) => gap.from)).filter((at) => at > from && at < to)
    const lengths = [...ends, to].flatMap((end) =>
      all.map((node) => {
        const since = this.inTouchSince(node, end - 1)
        return since === null ? 0 : end - Math.max(from, since)
      }),
    )
    return Math.max(0, ...lengths)
  }

  /** Whether a node, or one of its workers, was woken within so many milliseconds before an instant. */
  wasWoken(node: number | null, at: number, withinMs: number): boolean {
    const nodes = node === null ? [...this.#stopped.keys(), ...this.#halves.keys()] : [node]
    return nodes
      .flatMap((each) => [...(this.#stopped.get(each) ?? []), ...(this.#halves.get(each) ?? [])])
      .some(({ to }) => to <= at && to > at - withinMs)
  }

  /**
   * How long the watcher itself was held up in a span and the second before it, which stretches what it measured. The
   * nodes had no more of the machine than it had.
   */
  lateMs({ from, to }: Span): number {
    const held = this.#late.filter(({ at, ms }) => at >= from - 1_000 && at - ms <= to)
    return held.reduce((sum, { ms }) => sum + ms, 0)
  }

  /** While a node, or that worker of it, heard nothing of the store. */
  #gaps(node: number, worker: string): readonly Span[] {
    const halves = (this.#halves.get(node) ?? []).filter(({ awake }) => worker !== '' && !awake.has(worker))
    return [...(this.#away.get(node) ?? []), ...(this.#stopped.get(node) ?? []), ...halves]
  }

  #gapsOf(node: number): readonly Span[] {
    const ends = (this.#ready.get(node) ?? []).map(({ to }) => ({ from: to, to }))
    return [...(this.#away.get(node) ?? []), ...(this.#stopped.get(node) ?? []), ...ends]
  }
}

function push<T>(map: Map<number, T[]>, key: number, value: T): void {
  map.set(key, [...(map.get(key) ?? []), value])
}

function open<T extends Span>(map: Map<number, T[]>, node: number, span: T): void {
  if (map.get(node)?.at(-1)?.to !== Infinity) push(map, node, span)
}

function close<T extends Span>(map: Map<number, T[]>, node: number, at: number): void {
  const spans = map.get(node) ?? []
  map.set(
    node,
    spans.map((span) => (span.to === Infinity ? { ...span, to: at } : span)),
  )
}

function meets(spans: readonly Span[] | undefined, { from, to }: Span): boolean {
  return spans?.some((span) => span.from <= to && span.to >= from) ?? false
}
