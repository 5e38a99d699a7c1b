/** How a sink is doing: what it took, what fails, what was dropped; and the events that tell of it. */
import type { Env } from '../../base/env.ts'
import type { ZhongkongEvent } from '../../model/event.ts'
import type { Dropped, SinkConfig, SinkStatus } from '../../model/sink.ts'

export type RecordOptions = {
  /** How the sink is called. */
  readonly name: string
  readonly kind: SinkConfig['kind']
  readonly env: Env
  readonly emit: (event: ZhongkongEvent) => void
}

/** The last that were dropped, of which there may be any number. */
const droppedMax = 50
/** What was dropped is told this often at most, in milliseconds. */
const tellDroppedMs = 60_000

export class SinkRecord {
  readonly #options: RecordOptions
  /** Sources whose last try failed; all of them wait, so there is a limit. */
  readonly #troubled = new Set<string>()
  #trouble: { readonly since: number; readonly message: string } | null = null
  #failures = 0
  #delivered = 0
  #lastDeliveredAt: number | null = null
  #droppedCount = 0
  #dropped: readonly Dropped[] = []
  #toldDroppedAt = -Infinity

  constructor(options: RecordOptions) {
    this.#options = options
  }

  /** Failures since the last success of any source. */
  get failures(): number {
    return this.#failures
  }

  wrote(): void {
    this.#delivered += 1
    this.#lastDeliveredAt = this.#options.env.clock.now()
  }

  failed(source: string, message: string): void {
    const { env, emit, name } = this.#options
    this.#failures += 1
    this.#troubled.add(source)
    const isNew = this.#trouble === null
    this.#trouble = { since: this.#trouble?.since ?? env.clock.now(), message }
    if (isNew) emit({ type: 'sink-failing', at: env.clock.now(), sink: name, source, message })
  }

  /** The sink took something. */
  worked(): void {
    this.#failures = 0
  }

  /** A source fails no more, or is not tried any more. True when it was the last that failed. */
  settle(source: string): boolean {
    const { env, emit, name } = this.#options
    this.#troubled.delete(source)
    if (this.#trouble === null || this.#troubled.size > 0) return false
    const failedMs = env.clock.now() - this.#trouble.since
    this.#trouble = null
    emit({ type: 'sink-recovered', at: env.clock.now(), sink: name, failedMs })
    return true
  }

  /** Without a message of its own it is what last went wrong. */
  drop(
    source: string,
    { version, reason, message }: Pick<Dropped, 'version' | 'reason'> & { readonly message?: string },
  ): void {
    const { env, emit, name } = this.#options
    const dropped = { source, version, reason, message: message ?? this.#trouble?.message ?? '', at: env.clock.now() }
    this.#droppedCount += 1
    this.#dropped = [dropped, ...this.#dropped].slice(0, droppedMax)
    if (env.clock.monotonic() - this.#toldDroppedAt < tellDroppedMs) return
    this.#toldDroppedAt = env.clock.monotonic()
    emit({ type: 'sink-dropped', sink: name, ...dropped })
  }

  status(to: string, pending: number): SinkStatus {
    return {
      name: this.#options.name,
      kind: this.#options.kind,
      to,
      state: this.#trouble === null ? 'ok' : 'failing',
      pending,
      delivered: this.#delivered,
      failures: this.#failures,
      trouble: this.#trouble,
      lastDeliveredAt: this.#lastDeliveredAt,
      droppedCount: this.#droppedCount,
      dropped: this.#dropped,
    }
  }
}
