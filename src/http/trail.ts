/**
 * How circles of followers are noticed. A zhongkong that follows another sends its trail along (`Zhongkong-Via`): an id
 * for its own source, and the ids that its own followers sent for that source of late. Whoever finds itself in a trail
 * is asked on its own behalf, and refuses.
 *
 * An id stands for one source of one process, so that a node may serve one source to another node and follow a second
 * one of it. It says nothing to strangers.
 */
import type { Clock } from '../base/env.ts'
import { sha256 } from '../base/secret.ts'

export const trailHeader = 'zhongkong-via'

/** Followers ask at least every half minute, in milliseconds; one that has been silent for so long follows no more. */
const silentMsMax = 150_000
/** Ids that are remembered for a source, and sent: with more, the header would be too large for some servers. */
const idsMax = 256
/** Sources whose followers are remembered. */
const sourcesMax = 10_000

export type Trail = {
  /** What this node sends when it asks another zhongkong for its source `name`. */
  of(name: string): readonly string[]
  /** Takes note of the trail that came with a question for `name`; false when it leads back to this very source. */
  follow(name: string, header: string): boolean
}

/** `node` is a name that no other process has. */
export function createTrail(node: string, clock: Clock): Trail {
  const followers = new Map<string, Map<string, number>>()
  const idOf = (name: string): string => sha256(`${node}\n${name}`).toString('hex').slice(0, 12)
  const living = (name: string): string[] => {
    const from = clock.monotonic() - silentMsMax
    return [...(followers.get(name) ?? [])].filter(([, at]) => at >= from).map(([id]) => id)
  }
  return {
    of: (name) => [idOf(name), ...living(name)].slice(0, idsMax),
    follow: (name, header) => {
      const ids = header.split(',', idsMax).map((id) => id.trim())
      if (ids.includes(idOf(name))) return false
      const known = followers.get(name) ?? new Map<string, number>()
      followers.delete(name)
      followers.set(name, known)
      for (const id of ids.filter((each) => /^[0-9a-f]{12}$/.test(each))) {
        // Said anew, an id moves to the end: what is at the front has been silent longest.
        known.delete(id)
        known.set(id, clock.monotonic())
      }
      shorten(known, idsMax)
      shorten(followers, sourcesMax)
      return true
    },
  }
}

function shorten(map: Map<string, unknown>, max: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= max) return
    map.delete(oldest)
  }
}
