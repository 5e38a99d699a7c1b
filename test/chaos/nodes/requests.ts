/** What reached the upstream: each request with its end and the token that was made for it. */
import type { History } from './history.ts'

export type Request = {
  readonly id: number
  readonly node: number | null
  readonly at: number
  /** When it was answered or given up; Infinity when it was neither. */
  readonly endedAt: number
  readonly wasAbandoned: boolean
  /** The new token that was issued to it; null when there was none. */
  readonly token: string | null
}

/** By source, oldest first. */
export function requestsOf({ lines, sources }: History): ReadonlyMap<string, readonly Request[]> {
  const ends = new Map<number, { at: number; wasAbandoned: boolean }>()
  const tokens = new Map<number, string>()
  for (const line of lines) {
    if (line.type === 'answered' || line.type === 'abandoned') {
      ends.set(line.id, { at: line.at, wasAbandoned: line.type === 'abandoned' })
    }
    if (line.type === 'issued') tokens.set(line.id, line.token)
  }
  const found = new Map<string, Request[]>(Object.keys(sources).map((source) => [source, []]))
  for (const line of lines) {
    if (line.type !== 'asked') continue
    const { id, node, at } = line
    const end = ends.get(id)
    found.get(line.source)?.push({
      id,
      node,
      at,
      endedAt: end?.at ?? Infinity,
      wasAbandoned: end?.wasAbandoned ?? true,
      token: tokens.get(id) ?? null,
    })
  }
  return found
}
