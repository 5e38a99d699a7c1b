/** Tickets that do not come: told once by all nodes together, and asked for again, no more often than every ten minutes. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hour, Stage, type Node } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import type { Attempt } from '../model/failure.ts'

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

const missing = { code: 'ticket_missing', message: 'no ticket' }
const suite = sampleSource({
  name: 'suite',
  reissue: 'same-until-expiry',
  identity: 'suite:1',
  semantics: { grant: { rotates: 'never', graceMs: 0, pushedEveryMs: 10 * minute, missing } },
})

async function push(node: Node, value = `ticket at ${stage.clock.now()}`): Promise<void> {
  const given = { value, at: stage.clock.now(), lifetimeMs: 30 * minute }
  await stage.until(node.keeper.deliver('suite', given))
}

/** Pushes on time for so long. */
async function pushes(node: Node, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10 * minute) {
    await push(node)
    await stage.pass(10 * minute)
  }
}

function lates(...nodes: readonly Node[]): number[] {
  return nodes.flatMap(({ events }) => events.flatMap((event) => (event.type === 'push-late' ? [event.lateMs] : [])))
}

function asked(...nodes: readonly Node[]): Extract<ZhongkongEvent, { type: 'push-asked' }>[] {
  return nodes.flatMap(({ events }) => events.filter((event) => event.type === 'push-asked'))
}

describe('a platform that pushes on time', () => {
  test('is neither told of nor asked', async () => {
    const node = await stage.open(suite)
    await pushes(node, 3 * hour)
    expect(lates(node)).toEqual([])
    // At the very first there was no ticket, so the platform was asked for one.
    expect(stage.upstream.asksForPush).toHaveLength(1)
    expect(await stage.token(node.keeper, 'suite')).toMatch(/^suite-/)
  })
})

describe('a platform that stops pushing', () => {
  test('is told of after twice its pace, once per silence, and asked every ten minutes until it pushes', async () => {
    const node = await stage.open(suite)
    await pushes(node, hour)
    const before = stage.upstream.asksForPush.length
    await stage.pass(9 * minute)
    expect([lates(node), stage.upstream.asksForPush.length]).toEqual([[], before])
    await stage.pass(2 * minute)
    expect(lates(node)).toHaveLength(1)
    expect(lates(node)[0]).toBeGreaterThan(20 * minute)
    expect(lates(node)[0]).toBeLessThan(22 * minute)
    expect(stage.upstream.asksForPush).toHaveLength(before + 1)
    await stage.pass(hour)
    expect(lates(node)).toHaveLength(1)
    const gaps = stage.upstream.asksForPush.slice(before).map((at, index, all) => at - (all[index - 1] ?? -Infinity))
    expect(gaps.length).toBeGreaterThanOrEqual(5)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10 * minute)
    await pushes(node, hour)
    await stage.pass(25 * minute)
    expect(lates(node)).toHaveLength(2)
  })

  test('is told of by one of several nodes, and asked by one at a time', async () => {
    const nodes = [await stage.open(suite), await stage.open(suite), await stage.open(suite)]
    await pushes(nodes[0]!, hour)
    const before = stage.upstream.asksForPush.length
    expect(before).toBe(1)
    await stage.pass(hour)
    expect(lates(...nodes)).toHaveLength(1)
    const times = stage.upstream.asksForPush.slice(before)
    expect(times.length).toBeGreaterThanOrEqual(4)
    expect(times.every((at, index) => index === 0 || at - times[index - 1]! >= 10 * minute)).toBe(true)
  })

  test('is told of once, and asked once, though all nodes look at the same moment', async () => {
    const nodes = [await stage.open(suite), await stage.open(suite), await stage.open(suite)]
    await pushes(nodes[0]!, hour)
    const before = stage.upstream.asksForPush.length
    // Whatever is read is two seconds old when it is acted upon.
    for (const { wire } of nodes) wire.afterRead = () => stage.clock.time.wait(2 * second)
    await stage.pass(15 * minute)
    expect([lates(...nodes).length, stage.upstream.asksForPush.length]).toEqual([1, before + 1])
  })

  test('is told of also where it never began, and where it cannot be asked', async () => {
    stage.upstream.pushAnswer = undefined
    const node = await stage.open(suite)
    await stage.pass(19 * minute)
    expect(lates(node)).toEqual([])
    await stage.pass(2 * hour)
    expect(lates(node)).toHaveLength(1)
    // Once, to learn that it cannot be.
    expect([stage.upstream.asksForPush.length, asked(node)]).toEqual([1, []])
  })

  test('is told of and asked also for a source that was added while running, and no more when that is removed', async () => {
    const node = await stage.open()
    const definition = { provider: 'sample', account: 'one', grant: true, pushed: 10 * minute }
    await stage.until(node.keeper.put('added', definition))
    await stage.pass(30 * minute)
    expect([lates(node).length, stage.upstream.asksForPush.length]).toEqual([1, 3])
    await stage.until(node.keeper.remove('added'))
    await stage.pass(hour)
    expect(stage.upstream.asksForPush).toHaveLength(3)
  })

  test('is not told of for the time in which nobody here listened', async () => {
    const node = await stage.open(suite)
    await pushes(node, hour)
    stage.kill(node)
    await stage.pass(5 * hour)
    const next = await stage.open(suite)
    await stage.pass(15 * minute)
    expect(lates(next)).toEqual([])
    // The ticket has ended meanwhile, so it is asked for at once all the same.
    expect(stage.upstream.asksForPush.length).toBeGreaterThan(1)
    await push(next)
    await stage.pass(19 * minute)
    expect(lates(next)).toEqual([])
  })
})

describe('a ticket that the platform refuses', () => {
  test('is asked for anew within seconds', async () => {
    const node = await stage.open(suite)
    await push(node)
    await stage.pass(15 * minute)
    await push(node)
    const refused: Attempt = {
      outcome: 'rejected',
      class: 'needs-authorization',
      failure: { code: 'upstream_rejected', message: 'invalid ticket' },
    }
    stage.upstream.does('suite', () => refused)
    const before = stage.upstream.asksForPush.length
    const startedAt = stage.clock.now()
    void node.keeper.refresh('suite').catch(() => undefined)
    await stage.pass(10 * second)
    expect(stage.upstream.asksForPush).toHaveLength(before + 1)
    expect(stage.upstream.asksForPush.at(-1)! - startedAt).toBeLessThan(8 * second)
    // By the platform's clock, which is a little behind, it was made before the refusal.
    stage.upstream.recovers('suite')
    const given = { value: 'another', at: startedAt + 50, lifetimeMs: 30 * minute }
    expect(await stage.until(node.keeper.deliver('suite', given))).toBe(true)
    await stage.pass(2 * second)
    expect((await stage.until(node.keeper.state('suite')))?.state).toBe('fresh')
  })
})

describe('when asking fails', () => {
  test('the reason is told, and it is tried again ten minutes later', async () => {
    const failure = { code: 'upstream_unreachable', message: 'no connection' }
    stage.upstream.pushAnswer = { outcome: 'not-sent', failure }
    const node = await stage.open(suite)
    await stage.pass(minute)
    expect(asked(node)).toMatchObject([{ failure }])
    stage.upstream.pushAnswer = null
    await stage.pass(10 * minute)
    expect(asked(node)).toMatchObject([{ failure }, { failure: null }])
  })

  test('for want of a store, nobody is asked and nothing is told', async () => {
    const node = await stage.open(suite)
    await pushes(node, hour)
    const before = stage.upstream.asksForPush.length
    node.wire.isReadOnly = true
    await stage.pass(hour)
    expect([stage.upstream.asksForPush.length, lates(node)]).toEqual([before, []])
    node.wire.isReadOnly = false
    await stage.pass(2 * minute)
    expect([stage.upstream.asksForPush.length, lates(node).length]).toEqual([before + 1, 1])
  })
})

describe('a source without pushed grants', () => {
  test('is left alone', async () => {
    const node = await stage.open(sampleSource())
    await stage.pass(3 * hour)
    expect([stage.upstream.asksForPush, lates(node), (await stage.entry()).silence]).toEqual([[], [], undefined])
  })
})
