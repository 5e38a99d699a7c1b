/** A line now and then about work that takes long. */
import type { Clock } from '../../base/env.ts'
import type { Text } from '../../base/text.ts'
import type { Io } from '../command.ts'

/** Milliseconds from line to line; work that is done sooner says nothing. */
const everyMs = 5_000

/** Called for each step; prints the number of steps every few seconds. */
export function progress(io: Io, clock: Clock, say: (count: string) => Text): () => void {
  let count = 0
  let nextAt = clock.monotonic() + everyMs
  return () => {
    count += 1
    if (clock.monotonic() < nextAt) return
    nextAt = clock.monotonic() + everyMs
    io.err(say(count.toLocaleString('en'))[io.language])
  }
}
