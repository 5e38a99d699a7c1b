/**
 * How everything that is under way ends when the client is closed. Each piece of work has a signal of its own: Node takes
 * more than ten listeners on one signal for a leak, and says so to people.
 */
import type { World } from './world.ts'

export class Closing {
  readonly #open = new Set<AbortController>()
  isClosed = false

  /** A controller for one piece of work, which ends it with `done`. */
  begin(): AbortController {
    const made = new AbortController()
    if (this.isClosed) made.abort()
    else this.#open.add(made)
    return made
  }

  done(work: AbortController): void {
    this.#open.delete(work)
  }

  async sleep({ clock }: World, ms: number): Promise<void> {
    const work = this.begin()
    await clock.sleep(ms, work.signal)
    this.done(work)
  }

  close(): void {
    this.isClosed = true
    for (const work of this.#open) work.abort()
    this.#open.clear()
  }
}

/**
 * Settles like the work, or rejects when the signal aborts. In Node a Request may be collected while its answer is still
 * coming, and then nobody passes its signal on: the work alone might never end.
 */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const end = (): void => reject(new Error('aborted'))
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    work.then(resolve, reject)
  })
}
