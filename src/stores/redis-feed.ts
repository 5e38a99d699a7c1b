/**
 * The change feed over shards: a cursor is the place in each shard, `line.write` joined by commas. Within a shard the order
 * is that of writes. Shards are merged by the servers' time: on one master that is the order of writes as well; on the
 * masters of a Cluster, whose clocks differ a little, changes that close together have no other order.
 */

export type FeedPlace = { readonly line: string; readonly write: number }

export type FeedRow = {
  readonly name: string
  readonly revision: number
  readonly write: number
  /** Microseconds by the server's clock. */
  readonly at: number
}

/** What a shard answered: its place now, and what changed since the place asked for. */
export type FeedPage = { readonly place: FeedPlace; readonly rows: readonly FeedRow[] }

export function formatCursor(places: readonly FeedPlace[]): string {
  return places.map(({ line, write }) => `${line}.${write}`).join(',')
}

/** The places of a cursor, null for a text that is no cursor of so many shards. */
export function parseCursor(text: string, shards: number): readonly FeedPlace[] | null {
  const places = text.split(',').map((part) => /^([0-9a-z]{1,32})\.(0|[1-9]\d{0,15})$/.exec(part))
  if (places.length !== shards) return null
  const read = places.flatMap((match) =>
    match?.[1] === undefined ? [] : [{ line: match[1], write: Number(match[2]) }],
  )
  return read.length === shards ? read : null
}

/** True when the place can still be followed: the same line, and not ahead of it. */
export function isFollowed(since: FeedPlace, now: FeedPlace): boolean {
  return since.line === now.line && since.write <= now.write
}

export type Merged = {
  readonly changed: readonly { readonly name: string; readonly revision: number }[]
  readonly places: readonly FeedPlace[]
  readonly more: boolean
}

/** The first `limit` rows of all pages, each of which holds `limit + 1` rows if its shard has so many. */
export function mergePages(pages: readonly FeedPage[], limit: number): Merged {
  const next = pages.map(() => 0)
  const changed: { name: string; revision: number }[] = []
  while (changed.length < limit) {
    const shard = earliest(pages, next)
    const row = shard === null ? undefined : pages[shard]?.rows[next[shard] ?? 0]
    if (shard === null || row === undefined) break
    changed.push({ name: row.name, revision: row.revision })
    next[shard] = (next[shard] ?? 0) + 1
  }
  const places = pages.map(({ place, rows }, shard) => {
    const left = rows[next[shard] ?? 0]
    return left === undefined ? place : { line: place.line, write: left.write - 1 }
  })
  return { changed, places, more: earliest(pages, next) !== null }
}

/** The shard whose next row is the oldest; null when all are at their end. */
function earliest(pages: readonly FeedPage[], next: readonly number[]): number | null {
  let best: { readonly shard: number; readonly at: number } | null = null
  for (const [shard, { rows }] of pages.entries()) {
    const at = rows[next[shard] ?? 0]?.at
    if (at !== undefined && (best === null || at < best.at)) best = { shard, at }
  }
  return best?.shard ?? null
}
