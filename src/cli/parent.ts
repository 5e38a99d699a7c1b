/**
 * Ends with npm. npm starts a script through a shell; told to end, it ends the shell, and the program goes on without
 * anybody who could end it. Under npm the program therefore looks whether its parent is still there.
 */
import type { Io } from './command.ts'

const lookMs = 500

/** The same Io, whose signal also aborts when the parent process ends; without npm it is returned as it is. */
export function endingWithParent(io: Io, parent: () => number = () => process.ppid): Io {
  if (!io.environment.npm_lifecycle_event) return io
  const first = parent()
  const gone = new AbortController()
  const look = setInterval(() => {
    if (parent() !== first) gone.abort()
  }, lookMs)
  look.unref()
  const signal = AbortSignal.any([io.signal, gone.signal])
  signal.addEventListener('abort', () => clearInterval(look), { once: true })
  return { ...io, signal }
}
