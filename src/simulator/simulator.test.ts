import { describe, expect, it } from 'vitest'
import { ZhongkongError } from '../base/errors.ts'
import { stage, type Body } from '../../test/simulator/stage.ts'

const accounts = [
  { kind: 'wechat', id: 'wx1', secret: 's1' },
  { kind: 'wecom', corpid: 'ww1', secret: 's2' },
] as const
const path = '/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1'

/** A day's odd mixture; answers every byte that came back. */
async function dayOf(seed: number): Promise<string> {
  const at = stage({ accounts, seed })
  at.simulator.addFault({ account: 'wx1', effect: { type: 'lose-answer' }, chance: 0.3 })
  at.simulator.addFault({ effect: { type: 'html' }, chance: 0.1 })
  const seen: string[] = []
  for (let count = 0; count < 100; count += 1) {
    for (const one of [path, '/cgi-bin/gettoken?corpid=ww1&corpsecret=s2', '/cgi-bin/token?appid=bad']) {
      seen.push(await at.send(one).then((response) => response.text(), String))
    }
    await at.clock.advance(600_000)
  }
  return `${seen.join('\n')}${JSON.stringify(at.simulator.journal())}`
}

describe('the simulator', () => {
  it('gives the same bytes for the same seed, and others for another', async () => {
    expect(await dayOf(7)).toBe(await dayOf(7))
    expect(await dayOf(7)).not.toBe(await dayOf(8))
  })

  it('makes values unlike all others even where chance gives always the same', async () => {
    const at = stage({ accounts })
    const { createSimulator } = await import('./simulator.ts')
    const random = { next: () => 0.5, bytes: (length: number) => new Uint8Array(length) }
    const simulator = createSimulator({ clock: at.clock, random, accounts: [...accounts] })
    const values = new Set<unknown>()
    for (let count = 0; count < 50; count += 1) {
      const answer = await simulator.fetch(new Request(`http://simulator${path}`))
      values.add(((await answer.json()) as Body).access_token)
    }
    expect(values.size).toBe(50)
  })

  it('knows exactly one issue, and one repetition, from its counters', async () => {
    const at = stage({ accounts })
    const stable = { grant_type: 'client_credential', appid: 'wx1', secret: 's1' }
    await at.post('/cgi-bin/stable_token', stable)
    await at.post('/cgi-bin/stable_token', stable)
    await at.post('/cgi-bin/stable_token', { ...stable, secret: 'bad' })
    expect(at.simulator.counters('wx1').stable_token).toEqual({
      calls: 3,
      issued: 1,
      repeated: 1,
      refused: 1,
      faulted: 0,
    })
    expect(at.simulator.counters().stable_token.calls).toBe(3)
    expect(at.simulator.counters('nobody').token.calls).toBe(0)
  })

  it('asking whether a token is accepted changes nothing', async () => {
    const at = stage({ accounts })
    const { access_token } = await at.get(path)
    const before = JSON.stringify([at.simulator.counters(), at.simulator.journal(), at.simulator.state()])
    expect(at.simulator.accepts(String(access_token))).toBe(true)
    expect(at.simulator.accepts('unknown')).toBe(false)
    expect(JSON.stringify([at.simulator.counters(), at.simulator.journal(), at.simulator.state()])).toBe(before)
  })

  it('keeps a journal of issuing calls with its last entries only, and without tokens or secrets', async () => {
    const at = stage({ accounts, journalMax: 3 })
    const tokens: unknown[] = []
    for (let count = 0; count < 20; count += 1) {
      tokens.push((await at.get(path)).access_token)
      expect(at.simulator.journal().length).toBeLessThanOrEqual(3)
    }
    await at.get(`/cgi-bin/user/get?access_token=${String(tokens[0])}`)
    await at.get('/cgi-bin/token?appid=wx1&secret=guess')
    const journal = at.simulator.journal()
    expect(journal).toHaveLength(3)
    expect(journal.at(-1)).toMatchObject({ account: 'wx1', kind: 'token', outcome: 'refused', code: 40125, faults: [] })
    const text = JSON.stringify(journal)
    for (const secret of [...tokens, 's1', 'guess']) expect(text).not.toContain(`"${String(secret)}"`)
  })

  it('shows no secrets in its state', async () => {
    const at = stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 'very-secret' }] })
    await at.get(path)
    expect(JSON.stringify(at.simulator.state())).not.toContain('very-secret')
  })

  it('replacing an account keeps its tokens, removing it kills them', async () => {
    const at = stage({ accounts })
    const token = String((await at.get(path)).access_token)
    at.simulator.putAccount({ kind: 'wechat', id: 'wx1', secret: 'new' })
    expect(at.simulator.accepts(token)).toBe(true)
    expect(await at.get(path)).toMatchObject({ errcode: 40125 })
    expect(at.simulator.removeAccount('wx1')).toBe(true)
    expect(at.simulator.accepts(token)).toBe(false)
    expect(await at.get(path)).toMatchObject({ errcode: 40013 })
  })

  it('a corp is gone with its last app, and moves with an app that changes corps', async () => {
    const at = stage({ accounts })
    at.simulator.putAccount({ kind: 'wecom', id: 'ww1', corpid: 'ww2', secret: 's2' })
    expect(await at.get('/cgi-bin/gettoken?corpid=ww1&corpsecret=s2')).toMatchObject({ errcode: 40013 })
    expect(await at.get('/cgi-bin/gettoken?corpid=ww2&corpsecret=s2')).toMatchObject({ errcode: 0 })
    at.simulator.removeAccount('ww1')
    expect(await at.get('/cgi-bin/gettoken?corpid=ww2&corpsecret=s2')).toMatchObject({ errcode: 40013 })
  })

  it('knobs hold for all, or for one account over those for all', async () => {
    const at = stage({ accounts, knobs: { ttlSeconds: 100 } })
    at.simulator.setKnobs({ ttlSeconds: 50, overlapSeconds: undefined }, 'wx1')
    at.simulator.setKnobs({ ttlSeconds: 70 })
    at.simulator.setKnobs({ classicPerDay: 1 }, 'wx1')
    expect(await at.get(path)).toMatchObject({ expires_in: 50 })
    expect(await at.get('/cgi-bin/gettoken?corpid=ww1&corpsecret=s2')).toMatchObject({ expires_in: 70 })
  })

  it('revokes all values of an account, of one channel, or one value', async () => {
    const at = stage({ accounts })
    const first = String((await at.get(path)).access_token)
    await at.get(path)
    expect(at.simulator.revoke({ token: first })).toBe(1)
    expect(at.simulator.revoke({ token: first })).toBe(0)
    expect(at.simulator.revoke({ account: 'wx1', channel: 'stable' })).toBe(0)
    expect(at.simulator.revoke({ account: 'wx1' })).toBe(1)
  })

  it('resets to the first accounts and knobs, without tokens, faults and counters', async () => {
    const at = stage({ accounts, knobs: { ttlSeconds: 100 } })
    const token = String((await at.get(path)).access_token)
    at.simulator.setKnobs({ ttlSeconds: 1 })
    at.simulator.removeAccount('ww1')
    at.simulator.addFault({ effect: { type: 'html' } })
    at.simulator.reset()
    expect(at.simulator.accepts(token)).toBe(false)
    expect(at.simulator.counters().token.calls).toBe(0)
    expect(at.simulator.faults()).toEqual([])
    expect(await at.get(path)).toMatchObject({ expires_in: 100 })
    expect(at.simulator.state().accounts.map(({ id }) => id)).toEqual(['wx1', 'ww1'])
  })

  it('says where settings are wrong', () => {
    const { simulator } = stage({ accounts })
    expect(() => simulator.setKnobs({ ttlSeconds: -1 })).toThrow(/ttlSeconds/)
    expect(() => simulator.setKnobs({ ttl: 1 } as never)).toThrow(/ttl/)
    expect(() => simulator.addFault({ effect: { type: 'nonsense' } } as never)).toThrow(ZhongkongError)
    expect(() => simulator.setKnobs({}, 'nobody')).toThrow(/nobody/)
    expect(() => simulator.rotateByForeigner('wx1', 'none')).toThrow(/classic, stable/)
  })

  it('404 for a path nothing is simulated at, 413 for a body without end', async () => {
    const at = stage({ accounts })
    expect((await at.send('/nowhere')).status).toBe(404)
    const long = await at.send('/cgi-bin/stable_token', { method: 'POST', body: 'x'.repeat(1_100_000) })
    expect(long.status).toBe(413)
  })

  it('has demo accounts when none are given', async () => {
    const at = stage()
    expect(await at.get('/generic/demo')).toHaveProperty('access_token')
  })
})
