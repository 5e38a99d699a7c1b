/** How long to wait after the k-th failure in a row: exponential, with half of it left to chance. */

export type Backoff = { readonly baseMs: number; readonly capMs: number }

/** Milliseconds to wait. `failures` counts from 1; `chance` is uniform in [0, 1). Never below half of `baseMs`. */
export function backoffMs(failures: number, backoff: Backoff, chance: number): number {
  const exponent = Math.min(Math.max(failures - 1, 0), 30)
  const full = Math.min(backoff.capMs, backoff.baseMs * 2 ** exponent)
  return Math.round(full * (0.5 + chance / 2))
}
