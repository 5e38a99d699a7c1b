/** The client's clock, chance and network. The only file of this room that touches them; tests and simulations bring their own. */

/** An `Env` of the server is one, too. */
export type World = {
  /** The signal beside the request is its own once more: Node forgets that one with a request that was collected. */
  readonly fetch: (request: Request, more?: { readonly signal: AbortSignal | null }) => Promise<Response>
  readonly clock: {
    /** Wall time, epoch milliseconds; may jump. */
    now(): number
    /** Monotonic time in milliseconds; may stand still while the machine sleeps. */
    monotonic(): number
    /** Resolves after `ms`, or as soon as `signal` aborts. */
    sleep(ms: number, signal?: AbortSignal): Promise<void>
  }
  readonly random: { next(): number }
}

export const realWorld: World = {
  fetch: (request, more) => fetch(request, more),
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const finish = (): void => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', finish)
          resolve()
        }
        const timer = setTimeout(finish, ms)
        signal?.addEventListener('abort', finish)
        if (signal?.aborted === true) finish()
      }),
  },
  random: { next: () => Math.random() },
}

/** A wait that grows with the failures in a row, up to a cap, with chance in it so that clients do not come back together. */
export function backoffMs(world: World, failures: number, baseMs: number, capMs: number): number {
  return Math.min(capMs, baseMs * 2 ** Math.min(failures, 16)) * (0.5 + world.random.next() / 2)
}
