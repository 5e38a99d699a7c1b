/** The change feed over shards: no row is skipped, whatever the pages. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCursor, isFollowed, mergePages, parseCursor, type FeedPage, type FeedRow } from './redis-feed.ts'

describe('a cursor', () => {
  it('is read back as it was written', () => {
    const places = [
      { line: 'a1', write: 0 },
      { line: 'b2', write: 41 },
    ]
    expect(parseCursor(formatCursor(places), 2)).toEqual(places)
  })

  it.each(['', 'x', 'a.1', 'a.1,b.2,c.3', 'a.1,b', 'a.01,b.2', 'a.1,b.-1', 'a.1,B.2', 'a.1,b.2x'])(
    '%j is no cursor of two shards',
    (text) => {
      expect(parseCursor(text, 2)).toBeNull()
    },
  )

  it('of another line, or ahead of its shard, cannot be followed', () => {
    expect(isFollowed({ line: 'a', write: 5 }, { line: 'a', write: 5 })).toBe(true)
    expect(isFollowed({ line: 'a', write: 6 }, { line: 'a', write: 5 })).toBe(false)
    expect(isFollowed({ line: 'b', write: 1 }, { line: 'a', write: 5 })).toBe(false)
  })
})

describe('pages of shards', () => {
  it('merged page by page give every row once, those of one shard in order, all by time when clocks agree', () => {
    const writes = fc.array(fc.nat(3), { maxLength: 60 })
    fc.assert(
      fc.property(writes, fc.integer({ min: 1, max: 7 }), (shardsOfWrites, limit) => {
        const all: FeedRow[][] = [[], [], [], []]
        shardsOfWrites.forEach((shard, at) => {
          const rows = all[shard] ?? []
          rows.push({ name: `n${at}`, revision: 1, write: rows.length + 1, at })
        })
        let places = all.map(() => ({ line: 'l', write: 0 }))
        const heard: string[] = []
        for (let more = true; more;) {
          const pages: FeedPage[] = all.map((rows, shard) => ({
            place: { line: 'l', write: rows.length },
            rows: rows.filter((row) => row.write > (places[shard]?.write ?? 0)).slice(0, limit + 1),
          }))
          const merged = mergePages(pages, limit)
          expect(merged.changed.length).toBeLessThanOrEqual(limit)
          heard.push(...merged.changed.map(({ name }) => name))
          places = merged.places.map((place) => ({ ...place }))
          more = merged.more
        }
        expect(heard).toEqual(shardsOfWrites.map((_, at) => `n${at}`))
      }),
    )
  })
})
