import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { knobsSchema } from './knobs.ts'
import { effectSchema } from './effect.ts'
import { stage, type Body, type Stage } from '../../test/simulator/stage.ts'

const path = '/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1'

function one(): Stage {
  return stage({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's1' }] })
}

async function order(at: Stage, line: string, body?: unknown): Promise<{ status: number; body: Body }> {
  const [method = '', place = ''] = line.split(' ')
  const init = {
    method,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  }
  const response = await at.send(`/_simulator/${place}`, init)
  return { status: response.status, body: (await response.json()) as Body }
}

describe('the control API', () => {
  it('200: adds, lists, replaces and removes accounts, and shows no secrets', async () => {
    const at = one()
    expect((await order(at, 'POST accounts', { kind: 'wechat', id: 'wx2', secret: 'hidden' })).status).toBe(200)
    expect((await order(at, 'PUT accounts/wx3', { kind: 'oauth2', secret: 'hidden' })).status).toBe(200)
    const list = await order(at, 'GET accounts')
    expect(list.body).toMatchObject([{ id: 'wx1' }, { id: 'wx2' }, { id: 'wx3', kind: 'oauth2' }])
    expect(JSON.stringify(list.body)).not.toContain('hidden')
    expect((await order(at, 'DELETE accounts/wx3')).status).toBe(200)
    expect((await order(at, 'DELETE accounts/wx3')).status).toBe(404)
  })

  it('200: sets knobs for all and for one', async () => {
    const at = one()
    expect((await order(at, 'PATCH knobs', { ttlSeconds: 60 })).body).toMatchObject({ ttlSeconds: 60 })
    expect((await order(at, 'PATCH knobs/wx1', { ttlSeconds: 30 })).status).toBe(200)
    expect(await at.get(path)).toMatchObject({ expires_in: 30 })
    expect((await order(at, 'GET knobs')).body).toMatchObject({ ttlSeconds: 60 })
  })

  it('200: switches faults on and off', async () => {
    const at = one()
    const { id } = (await order(at, 'POST faults', { account: 'wx1', effect: { type: 'errcode', code: -1 } })).body
    expect(await at.get(path)).toMatchObject({ errcode: -1 })
    expect((await order(at, 'GET faults')).body).toMatchObject([{ id, struck: 1 }])
    expect((await order(at, `DELETE faults/${String(id)}`)).status).toBe(200)
    await order(at, 'POST faults', { effect: { type: 'html' } })
    await order(at, 'DELETE faults')
    expect(await at.get(path)).toHaveProperty('access_token')
  })

  it('200: counters, journal, revoke, rotate, accepts, reset', async () => {
    const at = one()
    const { access_token: token } = await at.get(path)
    expect((await order(at, 'GET counters/wx1')).body).toMatchObject({ token: { issued: 1 } })
    expect((await order(at, 'GET counters')).body).toMatchObject({ token: { issued: 1 } })
    expect((await order(at, 'GET journal?account=wx1')).body).toHaveLength(1)
    expect((await order(at, 'GET journal?account=wx2')).body).toHaveLength(0)
    expect((await order(at, 'POST accepts', { token })).body).toEqual({ accepted: true })
    const rotated = (await order(at, 'POST rotate', { account: 'wx1', channel: 'classic' })).body.token
    expect(rotated).toBe(at.simulator.latest('wx1'))
    expect((await order(at, 'POST revoke', { account: 'wx1' })).body).toEqual({ revoked: 2 })
    expect((await order(at, 'POST accepts', { token })).body).toEqual({ accepted: false })
    expect((await order(at, 'GET state')).body).toMatchObject({ accounts: [{ channels: [{ token: rotated }] }] })
    await order(at, 'DELETE counters')
    expect((await order(at, 'GET counters')).body).toMatchObject({ foreign: 0, token: { issued: 0 } })
    await order(at, 'POST reset')
    expect((await order(at, 'GET state')).body).toMatchObject({ accounts: [{ channels: [] }] })
  })

  it('400 with the place of the mistake', async () => {
    const at = one()
    for (const [line, body, words] of [
      ['POST faults', { effect: { type: 'slow' } }, /effect\.ms/],
      ['POST faults', { effect: { type: 'nonsense' } }, /effect/],
      ['PATCH knobs', { ttlSecond: 1 }, /ttlSecond/],
      ['POST accounts', { kind: 'wechat', id: 'a b', secret: 's' }, /visible ASCII/],
      ['POST accounts', 'no json', /not JSON/],
      ['POST accounts', 'null', /object/],
      ['PUT accounts/x', 'null', /kind/],
      ['POST rotate', {}, /account/],
      ['POST revoke', {}, /./],
    ] as const) {
      const answer = await order(at, line, body)
      expect(answer, line).toMatchObject({ status: 400, body: { error: { code: 'bad_request' } } })
      expect((answer.body.error as Body).message, line).toMatch(words)
    }
  })

  it('404 for what is not there, 405 with the methods that are', async () => {
    const at = one()
    expect((await order(at, 'GET nowhere')).status).toBe(404)
    expect((await order(at, 'GET __proto__')).status).toBe(404)
    expect((await order(at, 'POST rotate', { account: 'nobody' })).status).toBe(404)
    const refused = await order(at, 'POST state')
    expect(refused).toMatchObject({ status: 405, body: { error: { message: 'here one may GET' } } })
    expect((await order(at, 'DELETE faults/%zz')).status).toBe(400)
  })

  it('413 for a body without end', async () => {
    expect((await order(one(), 'POST accounts', 'x'.repeat(1_100_000))).status).toBe(413)
  })

  it('docs/simulator.md names every route, knob and effect', async () => {
    const page = readFileSync(new URL('../../docs/simulator.md', import.meta.url), 'utf8')
    const { routes } = (await order(one(), 'GET ')).body as { routes: string[] }
    for (const route of routes) expect(page).toContain(`\`${route}\``)
    for (const knob of Object.keys(knobsSchema.shape)) expect(page).toContain(`\`${knob}\``)
    const types = effectSchema.options.map((option) => option.shape.type.value)
    expect(types.length).toBeGreaterThan(15)
    for (const type of types) expect(page).toContain(`\`${type}\``)
  })
})
