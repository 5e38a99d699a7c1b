/** A seed tells the same story every time, or a violation that was found could not be looked at. */
import { expect, test } from 'vitest'
import { runSeed } from './run-seed.ts'

async function storyOf(seed: number): Promise<{ readonly lines: readonly string[]; readonly history: number }> {
  const lines: string[] = []
  const { history, violations } = await runSeed({ seed, nodes: 3, hours: 6, trace: (line) => lines.push(line) })
  expect(violations).toEqual([])
  return { lines, history }
}

test.each([3, 6])(
  'seed %i is replayed line by line',
  async (seed) => {
    const first = await storyOf(seed)
    expect(first.lines.length).toBeGreaterThan(500)
    expect(await storyOf(seed)).toEqual(first)
    expect((await storyOf(seed + 1)).history).not.toBe(first.history)
  },
  60_000,
)
