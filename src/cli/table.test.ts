import { describe, expect, it } from 'vitest'
import { tableLines } from './table.ts'
import { widthOf } from './terminal.ts'

const columns = [
  { title: '来源', widthMax: 8 },
  { title: 'STATE', widthMax: 10 },
  { title: 'LAST', widthMax: 100 },
]

describe('a table', () => {
  it('aligns columns by what is seen, in Chinese too', () => {
    const lines = tableLines(
      columns,
      [
        ['weixin', '正常', 'x'],
        ['c', 'fresh', 'y'],
      ],
      40,
    )
    expect(lines).toEqual(['来源    STATE  LAST', 'weixin  正常   x', 'c       fresh  y'])
  })

  it('is never wider than the terminal', () => {
    const rows = [['averylongname', 'fresh', '这是一段很长的错误信息'.repeat(10)]]
    for (const line of tableLines(columns, rows, 40)) expect(widthOf(line)).toBeLessThanOrEqual(40)
  })

  it('shows control characters of a server as spaces', () => {
    expect(tableLines(columns, [['a\u001b[2J', 'x', 'y']], 40).join()).not.toContain('\u001b')
  })
})
