/** Sources that are asked with the token of another one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { busy, Stage } from '../../test/keeper/stage.ts'
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

  test('is never asked with a token that somebody has reported', async () => {
    const { keeper } = await stage.opened(weixin, ticket)
    await stage.until(keeper.get('ticket'))
    await stage.pass(minute)
    stage.upstream.does('weixin', () => busy)
    await stage.until(Promise.allSettled([keeper.refresh('weixin', { stale: 'weixin-1' })]))
    expect(await stage.code(keeper.refresh('ticket'))).toBe('token_unavailable')
    expect(stage.upstream.count('ticket')).toBe(1)
  })

  test('two that came to need each other wait for each other for a bounded time', async () => {
    const { keeper } = await stage.opened()
    await stage.until(keeper.put('a', { provider: 'sample' }))
    await stage.until(keeper.put('b', { provider: 'sample' }))
    await stage.until(
      Promise.all([
        keeper.put('a', { provider: 'sample', needs: ['b'], account: 'x' }),
        keeper.put('b', { provider: 'sample', needs: ['a'], account: 'y' }),
      ]),
    )
    expect(await stage.code(keeper.get('a'))).toBe('token_unavailable')
    await stage.until(keeper.put('a', { provider: 'sample', account: 'z' }))
    await stage.pass(minute)
    expect((await stage.entry('b')).token?.askedWith).toEqual({ a: (await stage.entry('a')).version })
  })
})
