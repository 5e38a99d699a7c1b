import { describe, expect, it } from 'vitest'
import { createMemory } from './memory.ts'

const told = (key: string, content: string) => ({ key, content })

describe('the memory', () => {
  it('lets a message be handled once, whoever signs it again', async () => {
    const memory = createMemory<string>()
    let handled = 0
    const handle = async () => `answer ${(handled += 1)}`
    const first = memory.hear('a', told('k1', 'm'), handle)
    expect(first.how).toBe('first')
    const second = memory.hear('a', told('k2', 'm'), handle)
    expect(second.how).toBe('joined')
    if (first.how !== 'first' || second.how !== 'joined') throw new Error()
    expect([await first.outcome, await second.outcome]).toEqual(['answer 1', 'answer 1'])
    expect(memory.hear('a', told('k1', 'm'), handle)).toEqual({ how: 'handled' })
    expect(memory.hear('a', told('k3', 'm'), handle)).toEqual({ how: 'handled' })
    expect(handled).toBe(1)
  })

  it('lets it be handled again when that failed, and who had joined fails with it', async () => {
    const memory = createMemory<string>()
    const fail = async () => Promise.reject(new Error('not kept'))
    const first = memory.hear('a', told('k', 'm'), fail)
    const joined = memory.hear('a', told('k', 'm'), fail)
    for (const each of [first, joined]) {
      if (!('outcome' in each)) throw new Error()
      await expect(each.outcome).rejects.toThrow('not kept')
    }
    expect(memory.hear('a', told('k', 'm'), async () => 'kept').how).toBe('first')
  })

  it('lets a signature stand for the content it came with only, handled or not', async () => {
    const memory = createMemory<string>()
    const hear = (content: string) => memory.hear('a', told('k', content), async () => '').how
    expect(memory.bind('a', told('k', 'm'))).toBe(true)
    expect(memory.bind('a', told('k', 'm'))).toBe(true)
    expect(memory.bind('a', told('k', 'other'))).toBe(false)
    expect([hear('other'), hear('m'), hear('other')]).toEqual(['forged', 'first', 'forged'])
  })

  it('keeps sources apart', () => {
    const memory = createMemory<string>()
    const how = (source: string, key: string, content: string) =>
      memory.hear(source, told(key, content), async () => '').how
    expect([how('a', 'k', 'm'), how('b', 'k', 'm'), how('b', 'k', 'n')]).toEqual(['first', 'first', 'forged'])
    expect(how('a"', 'k', 'm')).toBe('first')
  })

  it('forgets the oldest first, and never grows beyond its limit', async () => {
    const memory = createMemory<string>(3)
    const hear = async (at: number) => {
      const hearing = memory.hear('a', told(`k${at}`, `m${at}`), async () => '')
      if ('outcome' in hearing) await hearing.outcome
      return hearing.how
    }
    for (let at = 0; at < 4; at += 1) expect(await hear(at)).toBe('first')
    expect(await hear(3)).toBe('handled')
    expect(await hear(1)).toBe('handled')
    expect(await hear(0)).toBe('first')
  })
})
