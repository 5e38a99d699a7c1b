import { describe, expect, it } from 'vitest'
import type { AccountSettings } from '../../src/simulator/simulator.ts'
import { noon, stage, type Body, type Stage } from '../../test/simulator/stage.ts'

type GenericSettings = Omit<Extract<AccountSettings, { kind: 'generic' }>, 'kind' | 'id'>

function generic(settings: GenericSettings = {}): Stage {
  return stage({
    accounts: [
      { kind: 'generic', id: 'g', ...settings },
      { kind: 'wechat', id: 'wx1', secret: 's1' },
    ],
    knobs: { ttlSeconds: 100 },
  })
}

describe('/generic/{id}', () => {
  it('answers access_token and expires_in unless told otherwise, by GET and by POST', async () => {
    const at = generic()
    expect(Object.keys(await at.get('/generic/g'))).toEqual(['access_token', 'expires_in'])
    expect(await at.post('/generic/g')).toMatchObject({ expires_in: 100 })
  })

  it('404 for an account that is not there', async () => {
    expect((await generic().send('/generic/none')).status).toBe(404)
  })

  it('puts token, expiry and constant fields where it is told', async () => {
    const at = generic({
      tokenField: 'data.token',
      expiry: { field: 'data.expire_in', as: 'seconds-text' },
      success: { code: 0, data: { region: 'cn' } },
    })
    const answer = await at.get('/generic/g')
    expect(answer).toEqual({ code: 0, data: { region: 'cn', token: at.simulator.latest('g'), expire_in: '100' } })
  })

  it.each([
    ['seconds', 100],
    ['seconds-text', '100'],
    ['milliseconds', 100_000],
    ['epoch-seconds', noon / 1_000 + 100],
    ['epoch-milliseconds', noon + 100_000],
    ['iso', '2026-03-02T04:01:40.000Z'],
  ] as const)('tells the expiry as %s', async (as, value) => {
    const answer = await generic({ expiry: { field: 'until', as } }).get('/generic/g')
    expect(answer.until).toBe(value)
  })

  it('can tell no expiry at all', async () => {
    expect(Object.keys(await generic({ expiry: null }).get('/generic/g'))).toEqual(['access_token'])
  })

  it('demands a living token of another account, as a ticket does', async () => {
    const at = generic({ demands: [{ in: 'query', name: 'access_token', tokenOf: 'wx1' }] })
    expect(await at.get('/generic/g')).toMatchObject({ errcode: 40001 })
    expect(await at.get('/generic/g?access_token=bad')).toMatchObject({ errcode: 40001 })
    const { access_token } = await at.get('/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1')
    expect(await at.get(`/generic/g?access_token=${String(access_token)}`)).toHaveProperty('access_token')
    at.simulator.putAccount({ kind: 'generic', id: 'other' })
    const { access_token: foreign } = await at.get('/generic/other')
    expect(await at.get(`/generic/g?access_token=${String(foreign)}`)).toMatchObject({ errcode: 40001 })
    at.simulator.revoke({ account: 'wx1' })
    expect(await at.get(`/generic/g?access_token=${String(access_token)}`)).toMatchObject({ errcode: 40001 })
  })

  it('demands exact values in header and body, JSON or form, and refuses in the form it is told', async () => {
    const at = generic({
      demands: [
        { in: 'header', name: 'x-key', value: 'k' },
        { in: 'body', name: 'app.secret', value: 's' },
      ],
      failure: { status: 403, codeField: 'error.code', textField: 'error.message' },
    })
    const refused = await at.send('/generic/g')
    expect(refused.status).toBe(403)
    expect(await refused.json()).toEqual({ error: { code: 40001, message: 'header parameter x-key is missing' } })
    const headers = { 'x-key': 'k' }
    const json = { method: 'POST', headers, body: JSON.stringify({ app: { secret: 's' } }) }
    expect((await at.send('/generic/g', json)).status).toBe(200)
    const form = { method: 'POST', headers, body: new URLSearchParams({ 'app.secret': 's' }) }
    expect((await at.send('/generic/g', form)).status).toBe(200)
    const wrong = { method: 'POST', headers, body: JSON.stringify({ app: { secret: 'guessed-value' } }) }
    expect(await (await at.send('/generic/g', wrong)).text()).not.toContain('guessed-value')
  })

  it('follows the reissue it is told: extends gives the same token a longer life', async () => {
    const at = generic()
    at.simulator.setKnobs({ reissue: 'extends' }, 'g')
    const first = await at.get('/generic/g')
    await at.clock.advance(60_000)
    expect(await at.get('/generic/g')).toEqual(first)
    await at.clock.advance(60_000)
    expect(at.simulator.accepts(String(first.access_token))).toBe(true)
  })

  it('has a resource that takes the token as bearer or in the query', async () => {
    const at = generic()
    const token = String((await at.get('/generic/g')).access_token)
    const asBearer = await at.send('/generic/g/resource', { headers: { authorization: `Bearer ${token}` } })
    expect((await asBearer.json()) as Body).toEqual({ ok: true })
    expect(await at.get(`/generic/g/resource?access_token=${token}`)).toEqual({ ok: true })
    expect(await at.get('/generic/g/resource?access_token=bad')).toMatchObject({ errcode: 40001 })
  })
})
