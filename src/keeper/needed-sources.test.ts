/** Sources that are asked with the token of another one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, hang, Stage } from '../../test/keeper/stage.ts'
import { minute, sampleSource, second } from '../../test/model/samples.ts'

const weixin = sampleSource()
const ticket = sampleSource({
  name: 'ticket',
  reissue: 'same-until-expiry',
  needs: ['weixin'],
  identity: 'sample:ticket',
})

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

describe('a source that is asked with the token of another', () => {
  test('is asked once that is there, with it', async () => {
    const { keeper } = await stage.open(ticket, weixin)
    const readings = await stage.until(Promise.all(Array.from({ length: 20 }, () => keeper.get('ticket'))))
    expect(readings[0]?.snapshot.token).toBe('ticket-1')
    expect(stage.upstream.asked.map(({ name, inputs }) => ({ name, inputs }))).toEqual([
      { name: 'weixin', inputs: {} },
      { name: 'ticket', inputs: { weixin: 'weixin-1' } },
    ])
  })

  test('comes within a moment of it, also when the first fetches failed', async () => {
    stage.upstream.does('weixin', () => busy)
    const { keeper } = await stage.open(ticket, weixin)
    const refused = await stage.until(keeper.get('ticket').catch((thrown: unknown) => thrown))
    expect(refused).toMatchObject({ code: 'token_unavailable', message: expect.stringContaining('weixin') as string })
    await stage.pass(30 * second)
    expect(stage.upstream.count('ticket')).toBe(0)
    stage.upstream.recovers('weixin')
    await stage.until(
      keeper
        .get('weixin', { waitMs: 30 * second })
        .catch(() => keeper.next('weixin', 0, 30 * second).catch(() => null)),
    )
    await stage.pass(20 * second)
    expect(keeper.peek('weixin')?.token ?? (await stage.token(keeper))).toBe('weixin-1')
    await stage.pass(second)
    expect((await stage.entry('ticket')).token?.value).toBe('ticket-1')
  })

  test('is not asked with what this node saw of that before it was held up', async () => {
    const one = await stage.opened(weixin, ticket)
    const two = await stage.opened(weixin)
    await stage.until(Promise.all([one.keeper.get('ticket'), two.keeper.get('weixin')]))
    await stage.pass(minute)
    one.wire.afterRead = async (name) => {
      if (name !== 'weixin') return
      one.wire.afterRead = () => Promise.resolve()
      await stage.clock.time.wait(30 * second)
    }
    void one.keeper.refresh('ticket').catch(() => undefined)
    await stage.pass(second)
    await stage.until(two.keeper.refresh('weixin', { stale: 'weixin-1' }))
    await stage.pass(40 * second)
    expect(stage.upstream.asked.at(-1)).toMatchObject({ name: 'ticket', inputs: { weixin: 'weixin-2' } })
  })

  test('is not refreshed because that was', async () => {
    const { keeper } = await stage.opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(minute)
    await stage.until(keeper.refresh('weixin'))
    await stage.pass(minute)
    expect(stage.upstream.count('ticket')).toBe(1)
  })

  test('whose input is refused has that refreshed once, and is asked again with the new one', async () => {
    const { keeper } = await stage.opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(5 * minute)
    stage.upstream.does('ticket', (asked) =>
      asked.inputs.weixin === 'weixin-1'
        ? {
            outcome: 'rejected',
            class: 'transient',
            failure: { code: 'input_refused', message: 'invalid credential' },
            refusedInput: 'weixin',
          }
        : stage.upstream.issued('ticket'),
    )
    await stage.until(Promise.allSettled([keeper.refresh('ticket')]))
    await stage.pass(20 * second)
    expect(stage.upstream.count('weixin')).toBe(2)
    await stage.until(Promise.allSettled([keeper.refresh('ticket')]))
    await stage.pass(20 * second)
    expect(stage.upstream.asked.at(-1)).toMatchObject({ name: 'ticket', inputs: { weixin: 'weixin-2' } })
    expect(await stage.token(keeper, 'ticket')).toBe('ticket-2')
    expect(stage.upstream.count('weixin')).toBe(2)
  })

  test('waits for it no longer than the node runs', async () => {
    stage.upstream.does('weixin', hang)
    const { keeper } = await stage.open(sampleSource({ policy: { timeoutMs: minute } }), ticket)
    await stage.pass(second)
    await stage.until(keeper.stop())
    // What sleeps is the deadline of the request that hangs; the wait of the ticket is over.
    expect(stage.clock.sleeping).toBe(1)
    await stage.pass(minute)
  })

  test('is never asked with a token that somebody has reported', async () => {
    const { keeper } = await stage.opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => busy)
    await stage.until(Promise.allSettled([keeper.refresh('weixin', { stale: 'weixin-1' })]))
    expect(await stage.code(keeper.refresh('ticket'))).toBe('token_unavailable')
    expect(stage.upstream.count('ticket')).toBe(1)
  })

  test('three that stand in the store in a circle are told at once, and hold up neither the others nor the end', async () => {
    const names = ['a', 'b', 'c']
    const { keeper } = await stage.opened(weixin)
    for (const name of names) await stage.until(keeper.put(name, { provider: 'sample', account: name }))
    await stage.pass(second)
    for (const [index, name] of names.entries()) {
      const definition = { provider: 'sample', needs: [names[(index + 1) % 3]!], account: `${name}2` }
      await stage.alter(name, (entry) => ({ ...entry, definition }))
    }
    await stage.pass(second)
    const started = stage.clock.now()
    const readings = names.map((name) => keeper.get(name, { waitMs: 30 * second }).catch((thrown: unknown) => thrown))
    for (const refused of await stage.until(Promise.all(readings))) {
      expect(refused).toMatchObject({
        code: 'token_unavailable',
        message: expect.stringMatching(/wait for each other: \w → \w → \w → \w/) as string,
      })
    }
    expect(stage.clock.now() - started).toBeLessThan(second)
    const { events } = stage.clock.time
    await stage.pass(2 * minute)
    expect(stage.clock.time.events - events).toBeLessThan(1_000)
    expect(await stage.token(keeper)).toBe('weixin-1')
    const mended = { provider: 'sample', account: 'a2' }
    await stage.until(keeper.put('a', mended))
    await stage.pass(minute)
    expect((await stage.entry('b')).token?.askedWith).toEqual({ c: (await stage.entry('c')).version })
    for (const name of names) {
      const definition = { provider: 'sample', needs: [name], account: `${name}3` }
      await stage.alter(name, (entry) => ({ ...entry, definition }))
    }
    await stage.pass(30 * second)
    const stoppedAt = stage.clock.now()
    await stage.until(keeper.stop())
    expect(stage.clock.now() - stoppedAt).toBeLessThan(second)
  })
})
