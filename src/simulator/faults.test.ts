import { describe, expect, it } from 'vitest'
import type { EffectSettings, Simulator } from '../../src/simulator/simulator.ts'
import { stage, type Body, type Stage } from '../../test/simulator/stage.ts'

const path = '/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1'

function struckBy(effect: EffectSettings): Stage {
  const at = stage({
    accounts: [
      { kind: 'wechat', id: 'wx1', secret: 's1' },
      { kind: 'wechat', id: 'wx2', secret: 's2' },
    ],
  })
  at.simulator.addFault({ account: 'wx1', effect })
  return at
}

function issued(simulator: Simulator): number {
  return simulator.counters('wx1').token.issued
}

/** Code of a broken connection's cause. */
async function brokenBy(promise: Promise<unknown>): Promise<unknown> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(TypeError)
  return ((error as TypeError).cause as { code?: unknown }).code
}

describe('whether a value was issued is part of a fault', () => {
  it.each<[EffectSettings, number]>([
    [{ type: 'errcode', code: -1 }, 0],
    [{ type: 'status', status: 502 }, 0],
    [{ type: 'status', status: 504, issues: true }, 1],
    [{ type: 'html' }, 1],
    [{ type: 'html', issues: false }, 0],
    [{ type: 'redirect' }, 0],
    [{ type: 'truncate' }, 1],
    [{ type: 'token', as: 'empty' }, 1],
    [{ type: 'errcode-with-token', code: 45009 }, 1],
  ])('%j issues %i', async (effect, count) => {
    const at = struckBy(effect)
    await at.send(path)
    expect(issued(at.simulator)).toBe(count)
    expect(at.simulator.latest('wx1') === null).toBe(count === 0)
  })

  it('a refused connection never reaches the upstream, not even its counters', async () => {
    const at = struckBy({ type: 'refuse' })
    expect(await brokenBy(at.send(path))).toBe('ECONNREFUSED')
    expect(at.simulator.counters('wx1').token.calls).toBe(0)
    expect(at.simulator.faults()[0]?.struck).toBe(1)
  })

  it('a reset comes before the issue, a lost answer after it; the caller cannot tell', async () => {
    const reset = struckBy({ type: 'reset' })
    expect(await brokenBy(reset.send(path))).toBe('ECONNRESET')
    expect(reset.simulator.counters('wx1').token).toMatchObject({ calls: 1, issued: 0, faulted: 1 })
    const lost = struckBy({ type: 'lose-answer' })
    expect(await brokenBy(lost.send(path))).toBe('ECONNRESET')
    expect(lost.simulator.counters('wx1').token).toMatchObject({ calls: 1, issued: 1, faulted: 0 })
  })
})

describe('answers that are spoilt', () => {
  async function answer(effect: EffectSettings): Promise<Response> {
    return struckBy(effect).send(path)
  }

  it('an errcode comes in the words and layout of the platform', async () => {
    const own = (await (await answer({ type: 'errcode', code: -1 })).json()) as Body
    expect(own.errmsg).toMatch(/^system error rid: /)
    const given = (await (await answer({ type: 'errcode', code: 48001, text: 'no' })).json()) as Body
    expect(given).toMatchObject({ errcode: 48001 })
    expect(given.errmsg).toMatch(/^no rid: /)
  })

  it('a status comes with its Retry-After', async () => {
    const response = await answer({ type: 'status', status: 429, retryAfter: '7', body: 'slow down' })
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toEqual([
      429,
      '7',
      'slow down',
    ])
  })

  it('html is a page with status 200', async () => {
    const response = await answer({ type: 'html' })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(await response.text()).toContain('<html>')
  })

  it('a redirect points somewhere', async () => {
    const response = await answer({ type: 'redirect', status: 307, location: 'https://example.org/' })
    expect([response.status, response.headers.get('location')]).toEqual([307, 'https://example.org/'])
  })

  it('truncated JSON ends as if it were whole', async () => {
    expect(await (await answer({ type: 'truncate', keep: 10 })).text()).toBe('{"access_t')
  })

  it('a cut body breaks off', async () => {
    const response = await answer({ type: 'cut', keep: 10 })
    expect(await brokenBy(response.text())).toBe('ECONNRESET')
  })

  it('a BOM stands before the body', async () => {
    const bytes = new Uint8Array(await (await answer({ type: 'bom' })).arrayBuffer())
    expect([...bytes.slice(0, 4)]).toEqual([0xef, 0xbb, 0xbf, 0x7b])
  })

  it('a wrong content type', async () => {
    const response = await answer({ type: 'content-type', value: 'image/png' })
    expect(response.headers.get('content-type')).toBe('image/png')
  })

  it.each<[EffectSettings, string]>([
    [{ type: 'lifetime', as: 'text' }, '"expires_in":"7200"}'],
    [{ type: 'lifetime', as: 'zero' }, '"expires_in":0}'],
    [{ type: 'lifetime', as: 'negative' }, '"expires_in":-1}'],
    [{ type: 'lifetime', as: 'absurd' }, '"expires_in":99999999999999}'],
    [{ type: 'lifetime', as: 'overflow' }, '"expires_in":1e400}'],
    [{ type: 'lifetime', as: 'nan' }, '"expires_in":NaN}'],
    [{ type: 'lifetime', as: 'null' }, '"expires_in":null}'],
    [{ type: 'lifetime', raw: '$&[]' }, '"expires_in":$&[]}'],
  ])('%j', async (effect, end) => {
    expect((await (await answer(effect)).text()).endsWith(end)).toBe(true)
  })

  it('a missing lifetime', async () => {
    const body = (await (await answer({ type: 'lifetime', as: 'missing' })).json()) as Body
    expect(Object.keys(body)).toEqual(['access_token'])
  })

  it.each<[Extract<EffectSettings, { type: 'token' }>['as'], RegExp]>([
    ['empty', /"access_token":""/],
    ['null', /"access_token":null/],
    ['number', /"access_token":42/],
    ['crlf', /"access_token":"70_[\w-]+\\r\\nx-injected: 1"/],
    ['non-ascii', /"access_token":"70_[\w-]+令牌"/],
    ['long', /"access_token":"70_[\w-]{4997}"/],
    ['missing', /^\{"expires_in":7200\}$/],
  ])('a token that is %s', async (as, shape) => {
    expect(await (await answer({ type: 'token', as })).text()).toMatch(shape)
  })

  it('a dead token is one the upstream never takes', async () => {
    const at = struckBy({ type: 'token', as: 'dead' })
    const { access_token } = await at.get(path)
    expect(at.simulator.accepts(String(access_token))).toBe(false)
  })

  it('an errcode beside a token', async () => {
    const body = (await (await answer({ type: 'errcode-with-token', code: 45009 })).json()) as Body
    expect(Object.keys(body)).toEqual(['access_token', 'expires_in', 'errcode', 'errmsg'])
  })

  it('the key twice, the good value last', async () => {
    const at = struckBy({ type: 'duplicate-keys' })
    const text = await (await at.send(path)).text()
    expect(text.match(/"access_token":/g)).toHaveLength(2)
    expect((JSON.parse(text) as Body).access_token).toBe(at.simulator.latest('wx1'))
  })

  it('a huge body is streamed: reading a little costs a little', async () => {
    const response = await answer({ type: 'huge', bytes: 1e12 })
    const reader = response.body!.getReader()
    expect((await reader.read()).value?.byteLength).toBe(65_536)
    await reader.cancel()
  })

  it('a huge body is valid JSON in the end', async () => {
    const text = await (await answer({ type: 'huge', bytes: 100_000 })).text()
    expect(text.length).toBeGreaterThan(100_000)
    expect(JSON.parse(text)).toHaveProperty('access_token')
  })

  it('several faults spoil one answer together', async () => {
    const at = struckBy({ type: 'bom' })
    at.simulator.addFault({ effect: { type: 'lifetime', as: 'text' } })
    const text = await (await at.send(path)).text()
    expect(JSON.parse(text)).toMatchObject({ expires_in: '7200' })
  })
})

describe('time', () => {
  it('a slow upstream issues late, also when the caller has given up', async () => {
    const at = struckBy({ type: 'slow', ms: 130_000 })
    const caller = new AbortController()
    const gone = at.send(path, { signal: caller.signal })
    const seen = gone.catch((reason: unknown) => reason)
    await at.clock.advance(8_000)
    caller.abort(new DOMException('enough', 'TimeoutError'))
    expect(await seen).toMatchObject({ name: 'TimeoutError' })
    expect(issued(at.simulator)).toBe(0)
    await at.clock.advance(121_999)
    expect(issued(at.simulator)).toBe(0)
    await at.clock.advance(1)
    expect(issued(at.simulator)).toBe(1)
  })

  it('a slow answer is issued at once and arrives late', async () => {
    const at = struckBy({ type: 'slow', ms: 5_000, when: 'after' })
    const answer = at.get(path)
    await at.clock.advance(0)
    expect(issued(at.simulator)).toBe(1)
    await at.clock.advance(5_000)
    expect(await answer).toMatchObject({ expires_in: 7200 })
  })

  it.each([
    [false, 0],
    [true, 1],
  ])('a hanging call (issues: %s) ends with the caller’s signal and leaves no sleeper', async (issues, count) => {
    const at = struckBy({ type: 'hang', issues })
    const caller = new AbortController()
    const seen = at.send(path, { signal: caller.signal }).catch((reason: unknown) => reason)
    await at.clock.advance(3_600_000)
    caller.abort()
    expect(await seen).toMatchObject({ name: 'AbortError' })
    expect(issued(at.simulator)).toBe(count)
    expect(at.clock.sleepers()).toBe(0)
  })

  it('a caller that had given up before sends nothing', async () => {
    const at = struckBy({ type: 'bom' })
    await expect(at.send(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    expect(at.simulator.counters('wx1').token.calls).toBe(0)
  })

  it('a dripping body comes in pieces, and stops when nobody reads', async () => {
    const at = struckBy({ type: 'drip', bytes: 4, everyMs: 1_000 })
    const reader = (await at.send(path)).body!.getReader()
    const piece = reader.read()
    await at.clock.advance(1_000)
    expect(new TextDecoder().decode((await piece).value)).toBe('{"ac')
    const waiting = reader.read()
    await at.clock.advance(0)
    await reader.cancel()
    await waiting
    expect(at.clock.sleepers()).toBe(0)
  })

  it('the delay knob holds up every answer of its kind', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }], knobs: { delayMs: { token: 40 } } })
    let isDone = false
    const answer = at.get(path).finally(() => {
      isDone = true
    })
    await at.clock.advance(39)
    expect(isDone).toBe(false)
    await at.clock.advance(1)
    expect(await answer).toHaveProperty('access_token')
    expect(await at.get('/cgi-bin/user/get')).toMatchObject({ errcode: 41001 })
  })
})

describe('what happens behind the caller’s back', () => {
  it('a token may die before its time, and the platform says 40001', async () => {
    const at = struckBy({ type: 'revoke-early', afterMs: 60_000 })
    const { access_token, expires_in } = await at.get(path)
    expect(expires_in).toBe(7200)
    await at.clock.advance(59_999)
    expect(at.simulator.accepts(String(access_token))).toBe(true)
    await at.clock.advance(1)
    expect(await at.get(`/cgi-bin/user/get?access_token=${String(access_token)}`)).toMatchObject({ errcode: 40001 })
  })

  it('a foreign refresher retires the token, then it lives five minutes more', async () => {
    const at = struckBy({ type: 'foreign-refresher', afterMs: 60_000 })
    const token = String((await at.get(path)).access_token)
    await at.clock.advance(60_000)
    expect(at.simulator.latest('wx1')).not.toBe(token)
    await at.clock.advance(299_999)
    expect(at.simulator.accepts(token)).toBe(true)
    await at.clock.advance(1)
    expect(at.simulator.accepts(token)).toBe(false)
    expect(at.simulator.counters('wx1')).toMatchObject({ foreign: 1, token: { issued: 1 } })
    expect(at.simulator.journal().map(({ outcome }) => outcome)).toEqual(['issued', 'foreign'])
  })

  it('the five minutes count from the foreign issue, however late anybody looks', async () => {
    const at = struckBy({ type: 'foreign-refresher', afterMs: 60_000 })
    const token = String((await at.get(path)).access_token)
    await at.clock.advance(400_000)
    expect(at.simulator.accepts(token)).toBe(false)
  })
})

describe('whom a fault strikes', () => {
  it('one account, or all', async () => {
    const at = struckBy({ type: 'errcode', code: -1 })
    const other = path.replace('wx1', 'wx2').replace('s1', 's2')
    expect(await at.get(other)).toHaveProperty('access_token')
    at.simulator.addFault({ effect: { type: 'errcode', code: 50007 } })
    expect(await at.get(other)).toMatchObject({ errcode: 50007 })
    expect(await at.get('/cgi-bin/token')).toMatchObject({ errcode: 50007 })
  })

  it('some kinds of call', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }] })
    at.simulator.addFault({ kinds: ['ticket', 'api'], effect: { type: 'errcode', code: -1 } })
    const { access_token } = await at.get(path)
    expect(access_token).toBeTypeOf('string')
    const query = `access_token=${String(access_token)}&type=jsapi`
    expect(await at.get(`/cgi-bin/user/get?${query}`)).toMatchObject({ errcode: -1 })
    expect(await at.get(`/cgi-bin/ticket/getticket?${query}`)).toMatchObject({ errcode: -1 })
  })

  it('so many times, then it is gone', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }] })
    at.simulator.addFault({ effect: { type: 'errcode', code: -1 }, times: 2 })
    const answers = [await at.get(path), await at.get(path), await at.get(path)]
    expect(answers.map(({ errcode }) => errcode)).toEqual([-1, -1, undefined])
    expect(at.simulator.faults()).toEqual([])
  })

  it('a fault that twists issues waits for one: ordinary calls do not use it up', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }] })
    at.simulator.addFault({ effect: { type: 'token', as: 'empty' }, times: 1 })
    await at.get('/cgi-bin/user/get')
    expect(await at.get(path)).toMatchObject({ access_token: '' })
  })

  it('about as often as its chance says', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }] })
    at.simulator.addFault({ effect: { type: 'errcode', code: -1 }, chance: 0.25 })
    for (let count = 0; count < 1_000; count += 1) await at.get(path)
    expect(at.simulator.counters('wx1').token.refused).toBeGreaterThan(200)
    expect(at.simulator.counters('wx1').token.refused).toBeLessThan(300)
  })

  it('until it is removed', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }] })
    const id = at.simulator.addFault({ effect: { type: 'errcode', code: -1 } })
    expect(await at.get(path)).toMatchObject({ errcode: -1 })
    expect([at.simulator.removeFault(id), at.simulator.removeFault(id)]).toEqual([true, false])
    expect(await at.get(path)).toHaveProperty('access_token')
  })
})
