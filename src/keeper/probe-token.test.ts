/** Reports where the platform can be asked whether a token lives: what they cost, and who is found to be wrong. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hour, Stage, typesOf } from '../../test/keeper/stage.ts'
import { day, minute, sampleSource, second } from '../../test/model/samples.ts'
import type { Keeper } from './keeper.ts'
import type { ZhongkongEvent } from '../model/event.ts'

const weixin = sampleSource({ semantics: { probe: true } })
const stable = sampleSource({
  reissue: 'same-until-window',
  semantics: { probe: true, limits: { force: { perDay: 20, gapMs: 30 * second } } },
})

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

function report(keeper: Keeper, stale: string, client = 'shop') {
  return stage.until(keeper.refresh('weixin', { stale, witness: { kind: 'report', client } }))
}

/** Everything that was told about conflicts and false reports. */
function alarms(events: readonly ZhongkongEvent[]): ZhongkongEvent[] {
  return events.filter(({ type }) => ['conflict', 'conflict-over', 'false-reports'].includes(type))
}

/** What the platform says is what is so. */
function honest(dead: ReadonlySet<string>): void {
  stage.upstream.says = (token) => Promise.resolve(dead.has(token) ? 'dead' : 'alive')
}

describe('a report of the current token', () => {
  test('is told of the one that took its place while the platform was asked', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.pass(minute)
    let answer = (): void => undefined
    stage.upstream.says = () => new Promise((resolve) => (answer = () => resolve('alive')))
    const reported = keeper.refresh('weixin', { stale: 'weixin-1' })
    await stage.pass(second)
    await stage.until(keeper.refresh('weixin', {}))
    answer()
    const told = { refreshed: false, reason: 'not_current', snapshot: { token: 'weixin-2' } }
    expect(await stage.until(reported)).toMatchObject(told)
  })

  test('costs one probe and no issue while the token lives, however many report it', async () => {
    const { keeper, events } = await stage.opened(weixin)
    await stage.pass(minute)
    const reports = await stage.until(
      Promise.all(
        Array.from({ length: 100 }, (_, index) => {
          const witness = { kind: 'report', client: `c${index}` } as const
          return keeper.refresh('weixin', { stale: 'weixin-1', witness })
        }),
      ),
    )
    for (const each of reports) expect(each).toMatchObject({ refreshed: false, reason: 'alive' })
    expect(stage.upstream.probed).toHaveLength(1)
    expect(stage.upstream.count()).toBe(1)
    expect(typesOf(events)).not.toContain('reported')
    expect((await stage.entry()).doubt).toBeNull()
  })

  test('of a dead token leads to a new one at once', async () => {
    const { keeper, events } = await stage.opened(weixin)
    await stage.pass(minute)
    honest(new Set(['weixin-1']))
    expect(await report(keeper, 'weixin-1')).toMatchObject({ refreshed: true, snapshot: { token: 'weixin-2' } })
    expect(typesOf(events).filter((type) => type === 'probed' || type === 'reported')).toEqual(['probed', 'reported'])
  })

  test('is taken as it was before, when the platform says nothing clear, hangs, or the provider breaks', async () => {
    const { keeper, events } = await stage.opened(weixin)
    const answers: (typeof stage.upstream.says)[] = [
      () => Promise.resolve('unclear'),
      () => new Promise(() => undefined),
      () => Promise.reject(new Error('broken')),
    ]
    for (const [index, says] of answers.entries()) {
      stage.upstream.says = says
      await stage.pass(minute)
      const answer = await report(keeper, `weixin-${index + 1}`)
      expect(answer).toMatchObject({ refreshed: true, snapshot: { token: `weixin-${index + 2}` } })
    }
    expect(alarms(events)).toEqual([])
  })

  test('asks nothing while the store cannot be written', async () => {
    const { keeper, wire } = await stage.opened(weixin)
    await stage.pass(minute)
    wire.isReadOnly = true
    expect(await stage.code(report(keeper, 'weixin-1'))).toBe('store_full')
    expect(stage.upstream.probed).toEqual([])
    wire.isReadOnly = false
  })

  test('never costs a forced issue where the token lives', async () => {
    const { keeper } = await stage.opened(stable)
    for (let count = 0; count < 100; count += 1) {
      await stage.pass(30 * second)
      await report(keeper, 'weixin-1', `c${count % 7}`)
    }
    expect(stage.upstream.count()).toBe(1)
  })

  test('is not looked into when the keeper itself was refused, and counts as proven', async () => {
    const ticket = sampleSource({ name: 'ticket', needs: ['weixin'], identity: 'sample:ticket' })
    stage.upstream.lifetimeMs = 20 * minute
    const { keeper } = await stage.opened(weixin, ticket)
    await stage.pass(minute)
    stage.upstream.does('ticket', (asked) => {
      if (asked.inputs.weixin !== 'weixin-1') return stage.upstream.issued('ticket')
      const failure = { code: 'upstream_rejected', message: 'invalid credential' }
      return { outcome: 'rejected', class: 'transient', failure, refusedInput: 'weixin' }
    })
    await stage.until(Promise.allSettled([keeper.refresh('ticket')]))
    await stage.pass(10 * second)
    expect(await stage.token(keeper)).toBe('weixin-2')
    expect(stage.upstream.probed).toEqual([])
    expect((await stage.entry()).conflict).toMatchObject({ count: 1, sign: 'refused' })
  })
})

describe('a client that reports living tokens', () => {
  test('costs probes that grow rare, no issue, and is told of once', async () => {
    const { keeper, events } = await stage.opened(weixin)
    await stage.pass(minute)
    for (let seconds = 0; seconds < 3_600; seconds += 1) {
      await report(keeper, 'weixin-1')
      await stage.pass(second)
    }
    expect(stage.upstream.count()).toBe(1)
    expect(stage.upstream.probed.length).toBeLessThanOrEqual(3 + 60)
    expect(alarms(events)).toEqual([
      { type: 'false-reports', name: 'weixin', at: expect.any(Number) as number, client: 'shop', times: 3 },
    ])
  })

  test('does not keep another client from being heard', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.pass(minute)
    for (let seconds = 0; seconds < 600; seconds += 1) {
      await report(keeper, 'weixin-1')
      await stage.pass(second)
    }
    await stage.pass(5 * second)
    honest(new Set(['weixin-1']))
    expect(await report(keeper, 'weixin-1', 'blog')).toMatchObject({ snapshot: { token: 'weixin-2' } })
  })
})

test('a report that is not believed at once is looked into all the same, within a minute', async () => {
  const { keeper } = await stage.opened(weixin)
  await stage.pass(minute)
  for (let times = 0; times < 8; times += 1) {
    await report(keeper, 'weixin-1')
    await stage.pass(times === 7 ? second : 2 * minute)
  }
  honest(new Set(['weixin-1']))
  expect(await report(keeper, 'weixin-1')).toMatchObject({ refreshed: false, reason: 'alive' })
  await stage.pass(minute)
  expect(await stage.token(keeper)).toBe('weixin-2')
})

test('programs that only ask again do not keep a report from being looked into', async () => {
  const { keeper } = await stage.opened(weixin)
  await stage.until(keeper.get('weixin'))
  await stage.pass(minute)
  const hint = (): void => keeper.hint('weixin', 1, { kind: 're-ask', client: 'many' })
  for (let times = 0; times < 4; times += 1) {
    hint()
    await stage.pass(8 * minute)
  }
  for (let times = 0; times < 8; times += 1) {
    await report(keeper, 'weixin-1')
    await stage.pass(times === 7 ? 3 * second : 2 * minute)
  }
  const other = report(keeper, 'weixin-1', 'blog')
  hint()
  expect(await other).toMatchObject({ reason: 'alive' })
  await stage.pass(15 * second)
  honest(new Set(['weixin-1']))
  expect(await report(keeper, 'weixin-1')).toMatchObject({ refreshed: false, reason: 'alive' })
  await stage.pass(minute)
  expect(await stage.token(keeper)).toBe('weixin-2')
})

test('who comes while the question is on its way, and knows of a death that the answer does not, is heard soon', async () => {
  const { keeper } = await stage.opened(weixin)
  await stage.pass(minute)
  stage.upstream.latencyMs = 1_000
  const first = report(keeper, 'weixin-1')
  await stage.pass(500)
  const later = report(keeper, 'weixin-1', 'blog')
  expect([await first, await later]).toMatchObject([{ reason: 'alive' }, { reason: 'alive' }])
  honest(new Set(['weixin-1']))
  await stage.pass(15 * second)
  expect(await stage.token(keeper)).toBe('weixin-2')
})

describe('several nodes', () => {
  test('ask once, and all take the answer', async () => {
    const first = await stage.opened(weixin)
    const second = await stage.opened(weixin)
    await stage.pass(minute)
    const reports = await stage.until(
      Promise.all([first, second, first].map(({ keeper }) => keeper.refresh('weixin', { stale: 'weixin-1' }))),
    )
    for (const each of reports) expect(each).toMatchObject({ reason: 'alive' })
    expect(stage.upstream.probed).toHaveLength(1)
  })

  test('wait four seconds for one that died while it asked, and ask again', async () => {
    const first = await stage.opened(weixin)
    const second = await stage.opened(weixin)
    await stage.pass(minute)
    stage.upstream.latencyMs = 2_000
    void first.keeper.refresh('weixin', { stale: 'weixin-1' }).catch(() => undefined)
    await stage.pass(500)
    stage.kill(first)
    stage.upstream.latencyMs = 100
    honest(new Set(['weixin-1']))
    expect(await report(second.keeper, 'weixin-1')).toMatchObject({ snapshot: { token: 'weixin-2' } })
  })

  test('tell of a conflict once, by the one that saw the second death, and of its end', async () => {
    const nodes = [await stage.opened(weixin), await stage.opened(weixin)]
    for (let death = 1; death <= 4; death += 1) {
      await stage.pass(10 * minute)
      honest(new Set([`weixin-${death}`]))
      const { keeper } = nodes[death % 2]!
      expect(await report(keeper, `weixin-${death}`)).toMatchObject({ refreshed: true })
    }
    const told = (): ZhongkongEvent[] => nodes.flatMap(({ events }) => alarms(events))
    expect(told()).toMatchObject([{ type: 'conflict', deaths: 2, sign: 'refused' }])
    for (const { keeper } of nodes) {
      const state = await stage.until(keeper.state('weixin'))
      expect(state?.contest).toMatchObject({ deaths: 4, sign: 'refused' })
    }
    await stage.pass(day + 2 * hour)
    expect(told()).toMatchObject([{ type: 'conflict' }, { type: 'conflict-over', deaths: 4 }])
    expect((await stage.until(nodes[0]!.keeper.state('weixin')))?.contest).toBeNull()
  })
})

describe('a hint', () => {
  const witness = { kind: 're-ask', client: 'shop' } as const

  test('leads to a new token when the platform says that this one is dead', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    honest(new Set(['weixin-1']))
    keeper.hint('weixin', 1, witness)
    await stage.pass(2 * second)
    expect(await stage.token(keeper)).toBe('weixin-2')
  })

  test('costs next to nothing otherwise, and never an issue', async () => {
    const { keeper, events } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    await stage.pass(minute)
    for (let seconds = 0; seconds < 3_600; seconds += 1) {
      keeper.hint('weixin', 1, { kind: 're-ask', client: `c${seconds % 50}` })
      await stage.pass(second)
    }
    expect(stage.upstream.probed.length).toBeLessThanOrEqual(8)
    stage.upstream.says = () => Promise.resolve('unclear')
    await stage.pass(hour / 10)
    keeper.hint('weixin', 1, { kind: 're-ask', client: 'shop' })
    await stage.pass(minute)
    expect(stage.upstream.count()).toBe(1)
    expect(alarms(events)).toEqual([])
  })

  test('about another version, a token of a moment ago or a source that is unknown, is nothing', async () => {
    const { keeper } = await stage.opened(weixin)
    await stage.until(keeper.get('weixin'))
    keeper.hint('weixin', 1, witness)
    await stage.pass(minute)
    keeper.hint('weixin', 2, witness)
    keeper.hint('nothing', 1, witness)
    await stage.pass(minute)
    expect(stage.upstream.probed).toEqual([])
  })
})
