/** Writes a history while it happens, by the one clock of the process that watches. */
import type { History, Line, SourceFacts } from './history.ts'

type Untimed<T> = T extends Line ? Omit<T, 'at'> : never

/** The watcher looks at its own clock so often, in milliseconds, and a delay of more than this is written down. */
const beatMs = 50
const lateMsMin = 100

export class Recorder {
  readonly #startedAt = performance.now()
  readonly #lines: Line[] = []
  readonly #beat: NodeJS.Timeout
  readonly #timers = new Map<NodeJS.Timeout, () => void>()
  #beatAt = this.now()
  #isClosed = false

  constructor() {
    this.#beat = setInterval(() => {
      const now = this.now()
      const ms = now - this.#beatAt - beatMs
      this.#beatAt = now
      if (ms > lateMsMin) this.add({ type: 'late', ms })
    }, beatMs)
  }

  /** Milliseconds since the run began. */
  now(): number {
    return performance.now() - this.#startedAt
  }

  add(line: Untimed<Line>): void {
    if (!this.#isClosed) this.#lines.push({ ...line, at: this.now() })
  }

  /** Ends early when the recorder is closed. */
  async pause(ms: number): Promise<void> {
    if (this.#isClosed) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        resolve()
      }, ms)
      this.#timers.set(timer, resolve)
    })
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Nothing is written any more, and nobody waits. */
  close(): void {
    this.#isClosed = true
    clearInterval(this.#beat)
    for (const [timer, resolve] of this.#timers) {
      clearTimeout(timer)
      resolve()
    }
  }

  history(nodes: number, sources: Readonly<Record<string, SourceFacts>>, newsMs: number): History {
    return { nodes, sources, newsMs, lines: this.#lines.toSorted((left, right) => left.at - right.at) }
  }
}
