/**
 * The outside world as one value. Everything that needs time, chance or the network receives an `Env`,
 * so that the whole program can run under a virtual clock. Only `realEnv` (in `base/real-env.ts`) touches the real world.
 */
import type { Readable } from 'node:stream'

/** Two clocks that never agree for ever, and the only way to wait. */
export type Clock = {
  /** Wall time in epoch milliseconds. May jump; use it for what people see, never for deadlines. */
  now(): number
  /** Monotonic time in milliseconds from an arbitrary origin. Use it for every deadline inside one process. */
  monotonic(): number
  /**
   * Resolves after `ms` (clamped to 0…60 000: nothing here sleeps longer than a minute without looking),
   * or as soon as `signal` aborts. It never rejects: the caller looks again after every wake-up.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Chance. `next` is uniform in [0, 1); `bytes` is fit for keys and nonces in the real world. */
export type Random = {
  next(): number
  bytes(length: number): Uint8Array
}

export type FetchOptions = {
  /** URL of an HTTP proxy for this request. */
  readonly proxy?: string
  /** Authorities to trust for this request in place of the system's, PEM. */
  readonly ca?: string
}

/** Fetch-shaped; redirects are never followed, bodies are never larger than the caller reads. */
export type Fetch = (request: Request, options?: FetchOptions) => Promise<Response>

/** A request that is passed on: its body goes as it comes, and nothing is added to its headers but what HTTP needs. */
export type Passing = {
  readonly method: string
  /** Scheme, host and port. */
  readonly origin: string
  /** Path and query, which are sent as they are. */
  readonly path: string
  /** Name after value. */
  readonly headers: readonly string[]
  readonly body: AsyncIterable<Uint8Array> | Uint8Array | null
  readonly signal: AbortSignal
  readonly proxy?: string
}

export type Passed = {
  readonly status: number
  /** Name after value, as they came. */
  readonly headers: readonly string[]
  /** As it comes, nothing decoded; fails when the other side breaks off or falls silent. Must be read or destroyed. */
  readonly body: Readable
}

/** Passes a request on; redirects are not followed. Rejects when no answer has begun. */
export type Pass = (request: Passing) => Promise<Passed>

/** The processes of this machine, as far as one can be told from another for certain. */
export type Processes = {
  /** The name of this one, which no other process has or ever had. */
  readonly self: string
  /** True for the name of a process of this machine that has ended; false for any other name. */
  isGone(name: string): boolean
}

export type Env = {
  readonly clock: Clock
  readonly random: Random
  readonly fetch: Fetch
  /** For bodies too large to be held; absent where nothing is passed on. */
  readonly pass?: Pass
  /** Absent where processes cannot be told apart: then nobody is known to be gone. */
  readonly processes?: Processes
}

/** The longest single sleep, in milliseconds. */
export const sleepMsMax = 60_000

/**
 * A signal that aborts after `ms`, or with `parent`. Call `done()` as soon as the work has ended:
 * it stops the sleep behind it.
 */
export function deadline(clock: Clock, ms: number, parent?: AbortSignal): { signal: AbortSignal; done: () => void } {
  const expiry = new AbortController()
  const stop = new AbortController()
  const onParent = (): void => expiry.abort(parent?.reason)
  if (parent?.aborted) onParent()
  parent?.addEventListener('abort', onParent, { once: true })
  const endsAt = clock.monotonic() + ms
  void (async () => {
    while (!stop.signal.aborted && !expiry.signal.aborted) {
      const left = endsAt - clock.monotonic()
      if (left <= 0) {
        expiry.abort(new DOMException(`no answer within ${String(ms)} ms`, 'TimeoutError'))
        return
      }
      await clock.sleep(left, stop.signal)
    }
  })()
  const done = (): void => {
    parent?.removeEventListener('abort', onParent)
    // With a reason of ours: without one, each abort makes a DOMException with its stack, which costs more than all the rest.
    stop.abort('done')
  }
  return { signal: expiry.signal, done }
}

/** Settles like `promise`, or rejects with the signal's reason when that aborts first. The promise itself is not stopped. */
export async function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody may be left to hear how the promise ends; that must not count as a rejection that nobody handled.
  promise.catch(() => undefined)
  signal.throwIfAborted()
  return await new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
