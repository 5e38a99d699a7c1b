/** The clock of `Env` on virtual time, with a count of the sleeps that nobody has ended. */
import type { Clock } from '../../src/base/env.ts'
import { VirtualTime } from '../simulation/virtual-time.ts'

/** A day in 2026, so that printed times look like times. */
export const startAt = Date.UTC(2026, 0, 5, 8)

export class VirtualClock implements Clock {
  readonly time = new VirtualTime(startAt)
  /** Wall time minus true time: a clock that somebody stepped. */
  wallOffset = 0
  /** True time that the monotonic clock has missed: a machine that was suspended. */
  suspendedMs = 0
  sleeping = 0

  now(): number {
    return this.time.now() + this.wallOffset
  }

  monotonic(): number {
    return this.time.now() - startAt - this.suspendedMs
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return
    this.sleeping += 1
    await new Promise<void>((resolve) => {
      const bounded = Number.isFinite(ms) ? Math.min(Math.max(ms, 0), 60_000) : 60_000
      const finish = (): void => {
        cancel()
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      const cancel = this.time.after(bounded, finish)
      signal?.addEventListener('abort', finish, { once: true })
    })
    this.sleeping -= 1
  }

  /** Lets `ms` pass, with all that happens in it. */
  async pass(ms: number): Promise<void> {
    await this.time.runUntil(this.time.now() + ms)
  }

  /** Lets time pass until a promise has settled, and answers as it does. */
  async until<T>(promise: Promise<T>, msMax = 60_000): Promise<T> {
    let isSettled = false
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    )
    const giveUpAt = this.time.now() + msMax
    await this.pass(0)
    while (!isSettled) {
      if (this.time.now() >= giveUpAt) throw new Error(`nothing came within ${msMax} ms of virtual time`)
      await this.pass(20)
    }
    return await promise
  }
}
