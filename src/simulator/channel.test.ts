import { describe, expect, it } from 'vitest'
import { Channel, type Issue, type Reissue, type TokenBook } from './channel.ts'

function channel(reissue: Reissue): { line: Channel; book: TokenBook; heard: number[] } {
  const book: TokenBook = new Map<string, Issue>()
  const heard: number[] = []
  let serial = 0
  const line = new Channel({
    account: 'a',
    use: 'access',
    book,
    terms: () => ({ reissue, ttlMs: 1_000, overlapMs: 100, windowMs: 200 }),
    mint: () => `t${String((serial += 1))}`,
    onForeign: (at) => heard.push(at),
  })
  return { line, book, heard }
}

/** For each value, whether it lives at `now`. */
function lives(book: TokenBook, now: number): Record<string, boolean> {
  return Object.fromEntries([...book].map(([value, issue]) => [value, issue.channel.verdict(issue, now) === 'alive']))
}

describe('a channel', () => {
  it.each<[Reissue, string[]]>([
    ['retires-previous', ['t1', 't2', 't3', 't4', 't5']],
    ['same-until-window', ['t1', 't1', 't2', 't2', 't3']],
    ['same-until-expiry', ['t1', 't1', 't1', 't2', 't3']],
    ['extends', ['t1', 't1', 't1', 't1', 't2']],
    ['independent', ['t1', 't2', 't3', 't4', 't5']],
  ])('%s: asked at 0, 800, 801, 1600 and 9000 it gives %j', (reissue, values) => {
    const { line } = channel(reissue)
    expect([0, 800, 801, 1_600, 9_000].map((now) => line.ask(now).issue.value)).toEqual(values)
  })

  it.each<[Reissue, number]>([
    ['retires-previous', 2],
    ['same-until-window', 2],
    ['same-until-expiry', 2],
    ['extends', 1],
    ['independent', 11],
  ])('%s: remembers few values, however many it gave out', (reissue, most) => {
    const { line, book } = channel(reissue)
    for (let now = 0; now < 1_000_000; now += 100) line.ask(now)
    expect(book.size).toBeLessThanOrEqual(most)
  })

  it('keeps no more than ten thousand values side by side, the latest ones', () => {
    const { line, book } = channel('independent')
    for (let count = 0; count < 10_010; count += 1) line.ask(0)
    expect(book.size).toBe(10_001)
    expect([book.has('t9'), book.has('t10')]).toEqual([false, true])
  })

  it('gives a new value by force, and leaves the one before its overlap', () => {
    const { line, book } = channel('same-until-window')
    line.ask(0)
    line.ask(10, true)
    expect(lives(book, 109)).toEqual({ t1: true, t2: true })
    expect(lives(book, 110)).toEqual({ t1: false, t2: true })
  })

  it('tells a value that reached its end from one that was cut short', () => {
    const { line } = channel('same-until-expiry')
    const { issue } = line.ask(0)
    expect([line.verdict(issue, 999), line.verdict(issue, 1_000)]).toEqual(['alive', 'expired'])
    line.revokeAll(500)
    expect([line.verdict(issue, 500), line.verdict(issue, 1_000)]).toEqual(['stale', 'expired'])
  })

  it('does not repeat a value that was revoked', () => {
    const { line } = channel('same-until-window')
    line.ask(0)
    expect([line.revokeAll(10), line.revokeAll(10)]).toEqual([1, 0])
    expect(line.ask(10)).toMatchObject({ fresh: true, issue: { value: 't2' } })
  })

  it('lets foreigners come in the order of their time, whenever it is looked at', () => {
    const { line, book, heard } = channel('retires-previous')
    line.ask(0)
    line.rotateAt(200)
    line.rotateAt(100)
    expect(line.current(99)?.value).toBe('t1')
    expect(line.current(500)?.value).toBe('t2')
    expect(heard).toEqual([100, 200])
    expect(lives(book, 299)).toEqual({ t3: true, t2: true })
    expect(lives(book, 300)).toEqual({ t3: false, t2: true })
  })

  it('forgets everything when dropped', () => {
    const { line, book } = channel('independent')
    line.ask(0)
    line.ask(1)
    line.drop()
    expect(book.size).toBe(0)
  })
})
