/** Each rule on a history that keeps it and on one that was doctored; and each excuse, which must not excuse more. */
import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import type { History, Line, ReadLine, RefreshTold } from './history.ts'

type Part = Line extends infer L ? (L extends Line ? Partial<Omit<L, 'type'>> & { type: L['type'] } : never) : never

type Lines = Line | readonly Lines[]

const source = 'a'
const lifetimeMs = 60_000
const overlapMs = 15_000

/** A history of three nodes that are there from the beginning, with these lines. */
function historyOf(lines: readonly Lines[], begun = 0): History {
  const ready = [0, 1, 2].map((node): Line => ({ type: 'node', at: begun, node, process: 1, what: 'ready' }))
  const all = [...ready, ...(lines.flat(9) as Line[])].toSorted((left, right) => left.at - right.at)
  const facts = { lifetimeMs, overlapMs, dueAgeMs: 18_000, dueAgeMsMin: 8_500, leaseMs: 8_000, minIntervalMs: 15_000 }
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
  return {
    type: 'read',
    at,
    from: at - 2,
    node,
    process: 1,
    worker: 'w',
    source,
    status: 200,
    version,
    token,
    ...told,
    ...more,
  }
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
    // Who has never served it has to read it, from a store that the machine leaves no time to answer.
    const held = (ms: number): Line => line({ type: 'late', at: 19_900, ms })
    expect(broken([first, read(10_200, 0, 1), held(1_000), refused(20_000, 1)])).toEqual([])
    expect(broken([first, read(10_200, 0, 1), held(999), refused(20_000, 1)])).toEqual(['read'])
    expect(broken([known, held(1_000), refused(20_000, 1)])).toEqual(['read'])
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

it('a promise ends early where a process that had been frozen reads its own answer late', () => {
  // Its request came first, and it cannot know that: it asks anew when it wakes.
  const lost = issue(2, 25_000, { node: 2 })
  const all = (at: number, version: number, token: string): Line[] =>
    [0, 1].map((node) => read(at, node, version, { token }))
  const taken = [issue(3, 36_000), all(36_200, 2, 't3')]
  const again = [issue(4, 42_500, { node: 2 }), all(42_700, 3, 't4')]
  const promised = read(37_000, 1, 2, { token: 't3', expiresInMs: 30_000 })
  const lines = [first, everybody(10_200, 1), lost, taken, promised, again]
  expect(broken([...lines, frozen(2, 25_060, 42_000)])).not.toContain('promise')
  expect(broken([...lines, frozen(2, 25_060, 38_000)])).toContain('promise')
  // It had been answered before: whoever was frozen later has nothing to read.
  expect(broken([...lines, frozen(2, 27_000, 42_000)])).toContain('promise')
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
    const within = (ms: number): (readonly Line[])[] =>
      Array.from({ length: 21 }, (_, at) => issue(at + 1, 10_000 + (at * ms) / 20))
    expect(broken(within(59_500))).toEqual(['budget'])
    expect(broken(within(59_500).slice(1))).toEqual([])
    // The first was longer on its way than the last.
    expect(broken(within(59_700))).toEqual([])
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

describe('a node that lost touch', () => {
  const later = [3, 4, 5].flatMap((version) => {
    const at = 42_000 + (version - 3) * 15_000
    return [issue(version, at), read(at + 200, 0, version), read(at + 200, 2, version)]
  })
  const rotated = [first, everybody(10_200, 1), issue(2, 25_000), read(25_200, 0, 2), read(25_200, 2, 2), later]
  const dead = { accepted: false }

  it('may hand out what was replaced since, for as long as it need not notice', () => {
    const lost = [rotated, away([1], 24_500, 90_000)]
    expect(broken([lost, read(66_000, 1, 1, dead)])).toEqual([])
    expect(broken([lost, read(69_000 + 1_100, 1, 1, dead)])).toEqual(['dead'])
    const silent = [rotated, away([1], 21_000, 90_000)]
    expect(broken([silent, read(66_000, 1, 1, dead)])).toEqual([])
    expect(broken([silent, read(66_600, 1, 1, dead)])).toEqual(['dead'])
    expect(broken([silent, read(66_600, 1, 1, { ...dead, stale: true })])).toEqual([])
  })

  it('may not hand out what had been replaced before', () => {
    expect(broken([rotated, away([1], 28_000, 60_000), read(45_000, 1, 1, dead)])).toEqual(['dead'])
  })

  it('says nothing of tokens that have ended by themselves', () => {
    const lost = [rotated, away([1], 24_500, 90_000)]
    expect(broken([lost, read(71_000, 1, 1, { ...dead, stale: true })])).toEqual(['dead'])
  })
})

describe('a wait', () => {
  const waiting = (from: number, at: number, node: number, version: number, more: Partial<ReadLine> = {}): ReadLine =>
    read(at, node, version, { from, wait: { newerThan: 1, forMs: 20_000 }, ...more })
  const rotated = [first, everybody(10_200, 1), issue(2, 25_000), everybody(25_200, 2)]
  const nothing = { status: 304, token: '' }

  it('ends with a newer version, or when its time is over', () => {
    expect(broken([rotated, waiting(11_000, 25_210, 1, 2)])).toEqual([])
    expect(broken([first, everybody(10_200, 1), waiting(10_500, 30_500, 1, 1, nothing)])).toEqual([])
    expect(broken([first, everybody(10_200, 1), waiting(10_500, 15_000, 1, 1, nothing)])).toEqual(['wait'])
  })

  it('is not answered with what the caller has, nor with less', () => {
    expect(broken([rotated, waiting(11_000, 14_000, 1, 1)])).toEqual(['wait'])
    const third = [rotated, issue(3, 34_000), everybody(34_200, 3)]
    const older = waiting(36_000, 36_010, 1, 2, { wait: { newerThan: 3, forMs: 20_000 }, worker: 'x' })
    expect(broken([third, older])).toEqual(['news', 'wait'])
    // Another worker is as another node: it hears of it within a second.
    const soon = { ...older, from: 34_300, at: 34_310 }
    expect(broken([third, soon])).toEqual([])
    expect(broken([third, { ...soon, worker: 'w' }])).toEqual(['versions'])
  })

  it('does not sleep on when there is something newer', () => {
    expect(broken([rotated, waiting(11_000, 31_000, 1, 1, nothing)])).toEqual(['wait'])
    expect(broken([rotated, away([1], 20_000, 30_000), waiting(11_000, 31_000, 1, 1, nothing)])).toEqual([])
  })

  it('does not fail while a token lives', () => {
    const failed = { status: 503, token: '', failure: 'token_unavailable' }
    expect(broken([rotated, waiting(11_000, 14_000, 1, 0, failed)])).toEqual(['read'])
    expect(broken([rotated, waiting(11_000, 14_000, 1, 0, { ...failed, status: 0 })])).toEqual(['answer'])
    expect(broken([rotated, frozen(1, 12_000, 13_000), waiting(11_000, 14_000, 1, 0, failed)])).toEqual([])
  })
})

describe('a read that fails', () => {
  const failed = { status: 503, token: '', failure: 'token_unavailable' }
  const known = [issue(1, 10_000), read(10_200, 0, 1), read(10_200, 1, 1), read(10_200, 2, 1)]
  const at = (ms: number): ReadLine => read(ms, 1, 0, failed)

  it('may be due to a lease that a process took before it was frozen, one grace ago, when the token was due', () => {
    const lines = (freeze: readonly Line[], ms: number): string[] => broken([known, freeze, at(ms)], -60_000)
    expect(lines([], 36_000)).toEqual(['read'])
    expect(lines(frozen(2, 20_500, 30_000), 36_000)).toEqual([])
    // It was not due yet; and what was frozen later did not take it.
    expect(lines(frozen(2, 12_000, 13_000), 29_000)).toEqual(['read'])
    expect(lines(frozen(2, 30_000, 34_000), 36_000)).toEqual(['read'])
  })
})

describe('a call for a refresh', () => {
  const call = (at: number, kind: RefreshTold['kind'], version: number, more: Partial<ReadLine & RefreshTold> = {}) => {
    const { refreshed = false, reason = '', ...others } = more
    const refresh = { kind, token: `t${kind === 'old' ? version - 1 : version}`, version, refreshed, reason }
    const told = kind === 'old' ? version : refreshed ? version + 1 : version
    return read(at, 1, told, { ...others, refresh: kind === 'old' ? { ...refresh, version: version - 1 } : refresh })
  }
  const known = [first, everybody(10_200, 1)]
  const rotated = [known, issue(2, 25_000), everybody(25_200, 2)]

  it('is the cause of one request, and nothing else is before its time', () => {
    const calm = (lines: readonly Lines[]): string[] => broken(lines, -60_000)
    const early = [issue(2, 15_000), everybody(15_200, 2)]
    expect(calm([known, early])).toEqual(['needless'])
    const wish = call(15_200, 'wish', 1, { refreshed: true, from: 14_990 })
    expect(calm([known, wish, early])).toEqual([])
    const again = [issue(3, 17_000), everybody(17_200, 3)]
    expect(calm([known, wish, early, again])).toEqual(['needless'])
    expect(calm([known, call(14_990, 'old', 1, { reason: 'not_current' }), early])).toContain('needless')
    // A second request follows on one whose answer was lost, and on an attempt that was lost before it was sent.
    expect(calm([first, read(10_200, 0, 1), issue(2, 22_000, { lost: true }), issue(3, 24_000)])).toEqual([])
    expect(calm([known, away([2], 12_000, 13_000), early])).toEqual([])
  })

  it('is answered with what happened', () => {
    expect(broken([rotated, call(30_000, 'old', 2, { reason: 'not_current' })])).toEqual([])
    expect(broken([rotated, call(30_000, 'old', 2, { refreshed: true })])).toEqual(['refresh'])
    expect(broken([rotated, call(30_000, 'current', 2, { reason: 'not_current' })])).toEqual(['refresh'])
    expect(broken([rotated, call(30_000, 'current', 2, { reason: 'recently_refreshed' })])).toEqual([])
    expect(broken([rotated, call(43_500, 'current', 2, { reason: 'recently_refreshed' })])).toContain('refresh')
    expect(broken([rotated, call(30_000, 'current', 2, { reason: 'unchanged' })])).toEqual(['refresh'])
    expect(broken([rotated, call(30_000, 'current', 2, { reason: 'alive' })])).toEqual([])
    expect(broken([rotated, call(30_000, 'current', 2)])).toEqual(['refresh'])
    const same = call(25_300, 'wish', 1, { refreshed: true, version: 1, token: 't1', from: 24_990 })
    expect(broken([known, issue(2, 25_000), same])).toEqual(['refresh'])
  })

  it('is refused only where something stands in the way', () => {
    const no = { status: 503, token: '', failure: 'token_unavailable' }
    expect(broken([rotated, call(40_000, 'wish', 2, no)])).toEqual(['refresh'])
    expect(broken([rotated, call(40_000, 'wish', 2, { ...no, saysNotWhen: true })])).toEqual(['answer'])
    expect(broken([rotated, away([2], 36_000, 36_500), call(40_000, 'wish', 2, no)])).toEqual([])
    expect(broken([rotated, issue(3, 39_000, { lost: true }), call(40_000, 'wish', 2, no)])).toEqual([])
    // A report of what this process has replaced needs neither store nor upstream.
    expect(broken([rotated, away([0, 1, 2], 36_000, 39_000), call(38_000, 'old', 2, no)])).toEqual(['read'])
  })

  it('is no promise broken, where two issues on schedule would be', () => {
    const promised = read(20_000, 1, 1, { expiresInMs: 20_000 })
    const twice = [rotated, issue(3, 33_600), everybody(33_800, 3)]
    expect(broken([twice, promised])).toEqual(['promise'])
    const wish = call(33_800, 'wish', 2, { refreshed: true, from: 33_500 })
    expect(broken([twice, promised, wish])).toEqual([])
  })
})

describe('a worker', () => {
  const worker = (at: number, what: 'killed' | 'stopped' | 'woken' | 'ended'): Line =>
    line({ type: 'worker', at, node: 1, pid: 77, what })
  const end = line({ type: 'late', at: 80_000, ms: 0 })
  const known = [first, everybody(10_200, 1)]

  it('that hangs is put out of its place', () => {
    expect(broken([worker(30_000, 'stopped'), worker(66_000, 'ended'), end])).toEqual([])
    expect(broken([worker(30_000, 'stopped'), worker(69_000, 'woken'), end])).toEqual(['hung'])
    expect(broken([worker(30_000, 'stopped'), end])).toEqual(['hung'])
    expect(broken([worker(60_000, 'stopped'), end])).toEqual([])
  })

  it('that is struck answers nothing, and the other one goes on', () => {
    const silent = refused(20_000, 1, { status: 0, failure: 'no answer in time', worker: '' })
    expect(broken([known, worker(19_999, 'killed'), silent])).toEqual([])
    expect(broken([known, worker(19_500, 'killed'), silent])).toEqual([])
    expect(broken([known, worker(19_400, 'killed'), silent])).toEqual(['answer'])
    expect(broken([known, worker(19_000, 'killed'), line({ type: 'late', at: 19_900, ms: 900 }), silent])).toEqual([])
    expect(broken([known, worker(15_000, 'stopped'), silent, worker(22_000, 'woken')])).toEqual([])
    expect(broken([known, worker(15_000, 'stopped'), refused(20_000, 1), worker(22_000, 'woken')])).toEqual(['read'])
    const closed = refused(21_500, 1, { status: 0, failure: 'connect ECONNREFUSED 127.0.0.1:1', worker: '' })
    expect(broken([known, worker(19_000, 'killed'), closed])).toEqual([])
    expect(broken([known, worker(19_000, 'killed'), silent])).toEqual(['answer'])
    // Somebody served meanwhile, or it took too long.
    expect(broken([known, worker(19_000, 'killed'), read(20_000, 1, 1), closed])).toEqual(['answer'])
    expect(broken([known, worker(17_000, 'killed'), closed])).toEqual(['answer'])
    const rotated = [known, issue(2, 25_000), read(25_200, 0, 2)]
    const stopped = [worker(24_000, 'stopped'), worker(40_500, 'woken')]
    expect(broken([rotated, stopped, read(41_000, 1, 1, { accepted: false, worker: 'hung' })])).toEqual([])
    const awake = read(30_000, 1, 2, { worker: 'hung' })
    const back = read(41_000, 1, 1, { accepted: false, worker: 'hung' })
    expect(broken([rotated, stopped, awake, back])).toEqual(['dead', 'news', 'versions'])
  })
})

it('an excuse that is used too often is none', () => {
  const soon = Array.from({ length: 600 }, (_, index) => read(10_200 + index, 0, 1))
  const sorry = (count: number) => Array.from({ length: count }, (_, index) => refused(10_201 + index, 1))
  const cold = [first, soon, away([1], 8_000, 30_000)]
  expect(broken([cold, sorry(10)])).toEqual([])
  expect(broken([cold, sorry(100)])).toEqual(['excuses'])
})
