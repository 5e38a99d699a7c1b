/** A plain table: no borders, columns aligned also in Chinese, never wider than the terminal. */
import { cut, pad, printable, widthOf } from './terminal.ts'

export type Column = {
  readonly title: string
  /** Columns of the terminal that this one may take at most; the last column takes what is left. */
  readonly widthMax: number
}

const gap = '  '

/** Lines of a table whose last column is cut to end at `width`. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): readonly string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map(printable))]
  const widths = columns.map((column, index) => {
    const widest = Math.max(...cells.map((row) => widthOf(row[index] ?? '')))
    return Math.min(widest, column.widthMax)
  })
  const before = widths.slice(0, -1).reduce((sum, columnWidth) => sum + columnWidth + gap.length, 0)
  widths[widths.length - 1] = Math.max(width - before, 8)
  return cells.map((row) =>
    columns
      .map((_, index) => {
        const columnWidth = widths[index] ?? 0
        return pad(cut(row[index] ?? '', columnWidth), columnWidth)
      })
      .join(gap)
      .trimEnd(),
  )
}
