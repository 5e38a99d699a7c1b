/** "Did you mean …?": the known word nearest to a mistyped one. */

/** The candidate with the fewest typing slips from `word`, or null when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const slipsMax = Math.max(1, Math.min(3, Math.floor(word.length / 3)))
  let best: string | null = null
  let bestSlips = slipsMax + 1
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= bestSlips) continue
    const slips = slipsBetween(word.toLowerCase(), candidate.toLowerCase())
    if (slips < bestSlips) {
      best = candidate
      bestSlips = slips
    }
  }
  return best
}

/** Insertions, deletions, substitutions and swaps of neighbours that lead from one word to the other. */
function slipsBetween(left: string, right: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column)
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1]
      let slips = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]
      if (row > 1 && column > 1 && swapped) slips = Math.min(slips, (beforePrevious[column - 2] ?? 0) + 1)
      current.push(slips)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[right.length] ?? 0
}
