/** Waiting in commands that watch. */
import { realClock } from '../base/real-env.ts'

/** Resolves after `ms`, or at once when the signal aborts; says whether to go on. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await realClock.sleep(ms, signal)
  return !signal.aborted
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
