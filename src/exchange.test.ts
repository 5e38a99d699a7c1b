import { describe, expect, it } from 'vitest'
import { Exchanges } from './exchange.ts'

/** Steps that count how often they were taken, and fail as often as they are told to. */
function steps(failing: { exchange?: number; keep?: number } = {}) {
  const left = { exchange: 0, keep: 0, ...failing }
  const taken = { exchange: 0, keep: 0 }
  const step = async (which: 'exchange' | 'keep', answer: string): Promise<string> => {
    taken[which] += 1
    await Promise.resolve()
    left[which] -= 1
    if (left[which] >= 0) throw new Error(`no ${which}`)
    return answer
  }
  return {
    taken,
    exchange: () => step('exchange', 'token'),
    keep: (brought: string) => step('keep', `kept ${brought}`),
  }
}

describe('a code', () => {
  it('is exchanged and kept once, whoever brings it, at the same moment and later', async () => {
    const exchanges = new Exchanges<string>()
    const person = steps()
    const push = steps()
    const both = [exchanges.take('platform', 'c', person), exchanges.take('platform', 'c', push)]
    expect(await Promise.all(both)).toEqual(['kept token', 'kept token'])
    expect(await exchanges.take('platform', 'c', push)).toBe('kept token')
    expect([person.taken, push.taken]).toEqual([
      { exchange: 1, keep: 1 },
      { exchange: 0, keep: 0 },
    ])
  })

  it('whose gains could not be stored is not exchanged again: they are stored when it comes again', async () => {
    const exchanges = new Exchanges<string>()
    const { taken, ...both } = steps({ keep: 2 })
    for (const expected of ['no keep', 'no keep']) {
      await expect(exchanges.take('platform', 'c', both)).rejects.toThrow(expected)
    }
    expect(await exchanges.take('platform', 'c', both)).toBe('kept token')
    expect(taken).toEqual({ exchange: 1, keep: 3 })
  })

  it('that brought nothing may be tried again', async () => {
    const exchanges = new Exchanges<string>()
    const { taken, ...both } = steps({ exchange: 1 })
    await expect(exchanges.take('platform', 'c', both)).rejects.toThrow('no exchange')
    expect(await exchanges.take('platform', 'c', both)).toBe('kept token')
    expect(taken).toEqual({ exchange: 2, keep: 1 })
  })

  it('of another source is another one, and the oldest of many is forgotten', async () => {
    const exchanges = new Exchanges<string>()
    const { taken, ...both } = steps()
    await exchanges.take('one', 'c', both)
    await exchanges.take('two', 'c', both)
    expect(taken.exchange).toBe(2)
    for (let count = 0; count < 1_000; count += 1) await exchanges.take('many', `c${count}`, both)
    await exchanges.take('one', 'c', both)
    expect(taken.exchange).toBe(1_003)
  })
})
