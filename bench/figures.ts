/** Medians, quantiles and tables. */

/** The middle value; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** The value that a share of all does not exceed; NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

/** The lowest and the highest, as they are written behind a median. */
export function spread(values: readonly number[], digits: number): string {
  return `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`
}

/** Counts of microseconds; everything from a second up is counted as one second. */
export class LatencyCounts {
  readonly #counts = new Uint32Array(1_000_001)
  #total = 0

  add(micros: number): void {
    const at = Math.min(Math.max(0, Math.round(micros)), 1_000_000)
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#total += 1
  }

  get total(): number {
    return this.#total
  }

  /** The latency that a share of the requests did not exceed, in milliseconds. */
  quantileMs(share: number): number {
    const wanted = Math.ceil(this.#total * share)
    let seen = 0
    for (let at = 0; at < this.#counts.length; at += 1) {
      seen += this.#counts[at] ?? 0
      if (seen >= wanted) return at / 1_000
    }
    return NaN
  }
}

export type Row = readonly (string | number)[]

/** A table as GitHub reads it, and people too. */
export function table(head: readonly string[], rows: readonly Row[]): string {
  const texts = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, column) => Math.max(3, ...texts.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => pad(row[column] ?? '', width, column)).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...texts.slice(1).map(line)].join('\n')
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width)
}
