/**
 * Group commit: what is asked for in one tick, or while a commit runs, is committed together. One sync to disk then
 * carries many writes, and each is still judged and answered on its own.
 */
import { ZhongkongError } from '../base/errors.ts'

/** So many in one commit: enough that the sync no longer counts, few enough not to hold the process up. */
const batchMax = 256
/** More than this never waits: something is wrong, and memory is better kept for serving. */
const waitingMax = 20_000

type Waiting<W, R> = {
  readonly work: W
  readonly since: number
  readonly resolve: (result: R) => void
  readonly reject: (reason: unknown) => void
}

export class GroupCommit<W, R> {
  readonly #monotonic: () => number
  readonly #commit: (batch: readonly W[], since: number) => Promise<readonly R[]>
  #queue: Waiting<W, R>[] = []
  #running: Promise<void> | null = null

  /**
   * `commit` does a whole batch and answers one result for each member, in order; `since` is the monotonic instant at
   * which the longest waiting member was asked for.
   */
  constructor(monotonic: () => number, commit: (batch: readonly W[], since: number) => Promise<readonly R[]>) {
    this.#monotonic = monotonic
    this.#commit = commit
  }

  submit(work: W): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length >= waitingMax) {
        reject(new ZhongkongError('store_unavailable', `${waitingMax} writes already wait for the store`))
        return
      }
      this.#queue.push({ work, since: this.#monotonic(), resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing waits and nothing runs. */
  async settled(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      // The rest of this tick may bring more.
      await new Promise((resolve) => setImmediate(resolve))
      const batch = this.#queue.splice(0, batchMax)
      await this.#runBatch(batch)
    }
    this.#running = null
  }

  async #runBatch(batch: readonly Waiting<W, R>[]): Promise<void> {
    try {
      const results = await this.#commit(
        batch.map((waiting) => waiting.work),
        Math.min(...batch.map((waiting) => waiting.since)),
      )
      batch.forEach((waiting, index) => {
        const result = results[index]
        if (result === undefined) waiting.reject(new ZhongkongError('internal', 'a commit answered too few results'))
        else waiting.resolve(result)
      })
    } catch (error) {
      for (const waiting of batch) waiting.reject(error)
    }
  }
}
