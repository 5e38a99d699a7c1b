/** Each rule on a history that keeps it and on one that was doctored; and each excuse, which must not excuse more. */
import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import type { History, Line, ReadLine } from './history.ts'

type Part = Line extends infer L ? (L extends Line ? Partial<Omit<L, 'type'>> & { type: L['type'] } : never) : never

type Lines = Line | readonly Lines[]

const source = 'a'
const lifetimeMs = 60_000
const overlapMs = 15_000

/** A history of three nodes that are there from the beginning, with these lines. */
function historyOf(lines: readonly Lines[], begun = 0): History {
  const ready = [0, 1, 2].map((node): Line => ({ type: 'node', at: begun, node, process: 1, what: 'ready' }))
  const all = [...ready, ...(lines.flat(9) as Line[])].toSorted((left, right) => left.at - right.at)
  const facts = { lifetimeMs, overlapMs, dueAgeMs: 18_000, leaseMs: 8_000 }
  return { nodes: 3, sources: { [source]: facts }, newsMs: 1_000, lines: all }
}

/** A request that is answered after 100 ms with a new token, or one that is given up. */
function issue(id: number, at: number, { node = 0, lost = false, token = `t${id}` } = {}): readonly Line[] {
  return [
    { type: 'asked', at, id, source, node },
    { type: 'issued', at: at + 50, id, source, token },
    { type: lost ? 'abandoned' : 'answered', at: at + 100, id, source },
  ]
}

/** A read, answered within 2 ms, of the token of that version. */
function read(at: number, node: number, version: number, more: Partial<ReadLine> = {}): ReadLine {
  const token = `t${version}`
  const told = { expiresInMs: 5_000, stale: false, accepted: true }
  return { type: 'read', at, from: at - 2, node, process: 1, source, status: 200, version, token, ...told, ...more }
}

const refused = (at: number, node: number, more: Partial<ReadLine> = {}): ReadLine =>
  read(at, node, 0, { status: 503, token: '', accepted: false, failure: 'token_unavailable', ...more })

const line = (part: Part): Line => part as Line
const frozen = (node: number, from: number, to: number): Line[] => [
  line({ type: 'node', at: from, node, process: 1, what: 'stopped' }),
  line({ type: 'node', at: to, node, process: 1, what: 'woken' }),
]
const away = (nodes: readonly number[], from: number, to: number): Line[] => [
  line({ type: 'store', at: from, what: 'away', nodes }),
  line({ type: 'store', at: to, what: 'back', nodes }),
]

/** The rules that a history breaks. */
const broken = (lines: readonly Lines[], begun = 0): string[] => [
  ...new Set(checkHistory(historyOf(lines, begun)).violations.map(({ rule }) => rule)),
]

/** A node has been there for long when it is asked. */
const first = issue(1, 10_000)
const everybody = (at: number, version: number): ReadLine[] => [0, 1, 2].map((node) => read(at, node, version))

it('a sound history breaks no rule', () => {
  const lines = [first, everybody(10_200, 1), issue(2, 25_000), everybody(25_200, 2), read(30_000, 1, 2)]
  expect(checkHistory(historyOf(lines)).violations).toEqual([])
})

describe('reads of a living token', () => {
  const known = [first, everybody(10_200, 1)]

  it('do not fail', () => {
    expect(broken([known, refused(20_000, 1)])).toEqual(['read'])
  })

  it('do not fail on a node that others must have told of it', () => {
    expect(broken([first, read(10_200, 0, 1), refused(20_000, 1)])).toEqual(['read'])
    expect(broken([first, read(10_200, 0, 1), refused(10_500, 1)])).toEqual([])
  })

  it('do not fail on a node that served it, though the store is away', () => {
    expect(broken([known, away([1], 15_000, 30_000), refused(20_000, 1)])).toEqual(['read'])
    const cold = [first, read(10_200, 0, 1), away([1], 8_000, 30_000), refused(20_000, 1)]
    expect(broken(cold)).toEqual([])
  })

  it('may fail when the token has ended, the process was struck, or an unanswered attempt cut it short', () => {
    expect(broken([known, away([0, 1, 2], 11_000, 80_000), refused(69_000, 1)])).toEqual([])
    expect(broken([known, frozen(1, 19_000, 20_500), refused(21_000, 1, { from: 19_500 })])).toEqual([])
    const cut = [known, away([0, 1, 2], 20_100, 60_000), issue(2, 20_000, { lost: true })]
    expect(broken([cut, refused(33_500, 1)])).toEqual([])
    expect(broken([cut, refused(30_000, 1)])).toEqual(['read'])
  })

  it('are refused with 503 and nothing else', () => {
    expect(broken([refused(20_000, 1, { status: 500 })])).toEqual(['answer'])
    expect(broken([refused(20_000, 1, { status: 0, failure: 'ECONNREFUSED' })])).toEqual(['answer'])
    expect(broken([refused(20_000, 1, { saysNotWhen: true })])).toEqual(['answer'])
    const killed = line({ type: 'node', at: 20_000, node: 1, process: 1, what: 'killed' })
    expect(broken([killed, refused(20_001, 1, { status: 0, failure: 'ECONNRESET' })])).toEqual([])
  })
})

describe('a token that its upstream refuses', () => {
  const dead = { accepted: false }
  const rotated = [first, everybody(10_200, 1), issue(2, 25_000), read(25_200, 0, 2)]

  it('is not handed out after its end', () => {
    const lone = [first, everybody(10_200, 1), away([0, 1, 2], 11_000, 90_000)]
    expect(broken([lone, read(71_000, 0, 1, dead)])).toEqual(['dead'])
  })

  it('is not handed out after its overlap, but by a node that is out of touch or says that it is stale', () => {
    expect(broken([rotated, read(41_000, 1, 1, dead)])).toEqual(['dead', 'news'])
    expect(broken([rotated, away([1], 24_000, 46_000), read(41_000, 1, 1, dead)])).toEqual([])
    expect(broken([rotated, away([1], 24_000, 36_000), read(41_000, 1, 1, dead)])).toEqual([])
    expect(broken([rotated, away([1], 24_000, 34_000), read(42_000, 1, 1, dead)])).toEqual(['dead'])
    expect(broken([rotated, read(26_100, 1, 1, { stale: true }), read(26_000, 1, 1)])).toEqual([])
  })

  it('may be handed out for a moment when two issues in a row leave no grace', () => {
    const twice = [first, everybody(10_200, 1), issue(2, 25_000, { lost: true }), issue(3, 33_500, { node: 1 })]
    const after = read(33_900, 1, 2, { token: 't3' })
    expect(broken([twice, after, read(34_000, 2, 1, dead)])).toEqual([])
    expect(broken([twice, after, read(36_500, 2, 1, dead)])).toEqual(['dead', 'news'])
  })

  it('may be handed out for as long as a lease holds up the second of them, and no longer', () => {
    const lost = [issue(2, 25_000, { lost: true }), issue(3, 35_000, { node: 1, lost: true })]
    const lines = [first, everybody(10_200, 1), lost]
    expect(broken([lines, read(44_000, 2, 1, dead)])).toEqual([])
    expect(broken([lines, read(46_500, 2, 1, dead)])).toEqual(['dead', 'takeover'])
    expect(broken([lines, read(46_500, 2, 1, { ...dead, stale: true })])).toEqual(['takeover'])
  })

  it('is one that was issued for that source, and both books say the same', () => {
    expect(broken([first, read(10_200, 0, 1, { token: 'other' })])).toEqual(['origin'])
    expect(broken([first, read(10_200, 0, 1, dead)])).toEqual(['books'])
  })
})

it('a promise holds while a token is replaced once only', () => {
  const promised = read(20_000, 1, 1, { expiresInMs: 30_000 })
  expect(broken([first, everybody(10_200, 1), promised, issue(2, 25_000), everybody(25_200, 2)])).toEqual(['promise'])
  const twice = [issue(2, 25_000, { lost: true }), issue(3, 33_500)]
  const handed = [0, 1, 2].map((node) => read(33_700, node, 2, { token: 't3' }))
  expect(broken([first, everybody(10_200, 1), promised, twice, handed])).toEqual([])
})

it('news reaches every node that is in touch', () => {
  const lines = [first, everybody(10_200, 1), issue(2, 25_000), read(25_200, 0, 2)]
  expect(broken([lines, read(26_000, 1, 1)])).toEqual([])
  expect(broken([lines, read(26_500, 1, 1)])).toEqual(['news'])
  expect(broken([lines, away([1], 24_000, 30_000), read(26_500, 1, 1)])).toEqual([])
  expect(broken([lines, line({ type: 'late', at: 26_000, ms: 400 }), read(26_500, 1, 1)])).toEqual([])
})

describe('versions', () => {
  it('never go back through one process', () => {
    const lines = [first, everybody(10_200, 1), issue(2, 25_000), read(25_200, 0, 2)]
    expect(broken([lines, read(25_300, 0, 1)])).toEqual(['versions'])
    // What was asked before may be answered after.
    expect(broken([lines, read(25_300, 0, 1, { from: 25_150 })])).toEqual([])
    expect(broken([lines, read(25_300, 1, 1)])).toEqual([])
  })

  it('are one token each, unless the one who served it could not write it', () => {
    const two = [first, read(10_200, 0, 1), issue(2, 25_000), read(25_200, 0, 2), issue(3, 34_000, { node: 1 })]
    expect(broken([two, read(34_200, 1, 2, { token: 't3' })])).toEqual(['versions'])
    const alone = [two, away([0], 25_050, 60_000), read(34_200, 1, 2, { token: 't3' })]
    expect(broken(alone)).toEqual([])
  })
})

describe('requests', () => {
  it('are one at a time, but for one that left late because its process was frozen', () => {
    expect(broken([issue(1, 10_000), issue(2, 10_050)])).toEqual(['flights', 'budget'])
    const hanging = line({ type: 'asked', at: 10_000, id: 1, source, node: 0 })
    expect(broken([hanging, issue(2, 19_000, { node: 1 })])).toEqual(['flights'])
    const woken = [frozen(0, 5_000, 18_900), issue(1, 18_950), issue(2, 19_000, { node: 1 })]
    expect(broken(woken)).toEqual([])
  })

  it('are not more than the budget allows', () => {
    expect(broken([issue(1, 10_000), issue(2, 10_500)])).toEqual(['budget'])
    const many = Array.from({ length: 21 }, (_, index) => issue(index + 1, 10_000 + index * 1_000))
    expect(broken(many)).toEqual(['budget'])
    expect(broken(many.slice(1))).toEqual([])
  })

  it('are not sent by a node that cannot write the store', () => {
    expect(broken([away([0, 1, 2], 10_000, 30_000), issue(1, 12_000)])).toEqual([])
    expect(broken([away([0, 1, 2], 10_000, 30_000), issue(1, 15_000)])).toEqual(['store-away'])
    const one = [away([0], 10_000, 30_000), read(15_200, 1, 1)]
    expect(broken([one, issue(1, 15_000, { node: 1 })])).toEqual([])
    expect(broken([one, issue(1, 15_000, { node: 0 })])).toEqual(['store-away'])
  })

  it('come when they are due, at the latest when the lease of the dead has ended', () => {
    const end = (at: number): Line => line({ type: 'blow', at, kind: 'kill', text: 'the end' })
    const told = [issue(1, 10_000), everybody(10_200, 1)]
    expect(broken([told, issue(2, 37_500)])).toEqual([])
    expect(broken([told, issue(2, 38_500)])).toEqual(['schedule'])
    expect(broken([told, end(40_000)])).toEqual(['schedule'])
    // One that nobody heard of an answer to is not waited for.
    expect(broken([issue(1, 10_000, { lost: true }), issue(2, 19_500, { node: 1 })])).toEqual([])
    expect(broken([issue(1, 10_000, { lost: true }), issue(2, 20_500, { node: 1 })])).toEqual(['takeover'])
    // Nobody could: all were out of reach of the store until shortly before.
    expect(broken([told, away([0, 1, 2], 20_000, 50_000), issue(2, 63_500)])).toEqual([])
    expect(broken([told, away([0, 1, 2], 20_000, 50_000), issue(2, 64_500)])).toEqual(['schedule'])
    // One was well all the time.
    expect(broken([told, away([0, 1], 20_000, 60_000), issue(2, 60_000)])).toEqual(['schedule'])
  })
})
