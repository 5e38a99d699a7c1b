/** What a node tells of other nodes' deeds, by the entries that they left. */
import { expect, test } from 'vitest'
import { day, hour, sampleEntry, t0 } from '../../test/model/samples.ts'
import type { Conflict } from './entry.ts'
import { heard } from './heard.ts'

const now = t0 + 2 * day
const last = now - day - hour
const conflict: Conflict = { since: last - hour, count: 2, sign: 'refused' }

test.each([
  ['the row is gone', {}],
  ['another death begins a row of its own', { conflict: { since: now, count: 1, sign: 'refused' } }],
] as const)('that a conflict is over is told when %s', (_, row) => {
  const before = sampleEntry({ conflict, earlyDeaths: [conflict.since, last] })
  const after = sampleEntry({ ...row, earlyDeaths: 'conflict' in row ? [now] : [] })
  const told = heard('weixin', { before, after }, { at: now, now, toWall: (at) => at })
  expect(told).toEqual([{ type: 'conflict-over', name: 'weixin', at: now, deaths: 2, lastedMs: hour }])
})
