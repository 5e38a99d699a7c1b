/**
 * A revision as callers have it: how often the record was written, and in the digits above that the line on which it was
 * learnt. A line is one unbroken history of a store. It ends where a server may have lost its last writes, because its
 * replica took over, or its disk did: from there on revisions come again, for other bodies. With the line in it, one that
 * was learnt before is not the same number as one learnt after, whoever else has read the name meanwhile.
 *
 * Lines are counted by each process for itself, from 0, so records keep the bare count. Nothing at all is 0 on every line.
 */

/** Counts stay below it until the year 2109, as the highest are epoch milliseconds (`revision_floor`). */
const lineSize = 2 ** 42
/** So many lines fit into a whole number; the next is the first again, when nobody remembers a revision of it. */
const lines = 2 ** 11

export function onLine(line: number, count: number): number {
  return count === 0 ? 0 : line * lineSize + count
}

/** How often the record was written. */
export function countOf(revision: number): number {
  return revision % lineSize
}

/** False for a revision that was learnt on another line. */
export function isOnLine(line: number, revision: number): boolean {
  return onLine(line, countOf(revision)) === revision
}

export function nextLine(line: number): number {
  return (line + 1) % lines
}
