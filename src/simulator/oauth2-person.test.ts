import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage } from '../../test/simulator/stage.ts'
import type { PartialKnobs } from './simulator.ts'

const verifier = 'v'.repeat(43)
const challenge = createHash('sha256').update(verifier).digest('base64url')
const back = 'http://shop.test/done?keep=1'

function open(knobs: PartialKnobs = {}): Stage {
  const accounts = [
    { kind: 'oauth2' as const, id: 'client', secret: 's', scopes: ['read', 'write'], redirect_uris: [back] },
    { kind: 'oauth2' as const, id: 'public' },
  ]
  return stage({ accounts, knobs })
}

const asked = { response_type: 'code', client_id: 'client', redirect_uri: back, state: 'st', scope: 'read' }
const proof = { code_challenge: challenge, code_challenge_method: 'S256' }

async function sentBack(at: Stage, query: Record<string, string>): Promise<Record<string, string>> {
  const response = await at.send(`/oauth2/authorize?${new URLSearchParams(query)}`)
  expect(response.status).toBe(302)
  const url = new URL(response.headers.get('location') ?? '')
  expect(url.searchParams.get('state')).toBe('st')
  return Object.fromEntries(url.searchParams)
}

type Told = { readonly status: number; readonly body: Body }

async function post(at: Stage, form: Record<string, string>): Promise<Told> {
  const body = new URLSearchParams({ client_id: 'client', client_secret: 's', ...form })
  const response = await at.send('/oauth2/token', { method: 'POST', body })
  return { status: response.status, body: (await response.json()) as Body }
}

const exchange = async (at: Stage, code: string, more: Record<string, string> = {}): Promise<Told> =>
  await post(at, { grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier, ...more })

const refresh = async (at: Stage, token: unknown): Promise<Told> =>
  await post(at, { grant_type: 'refresh_token', refresh_token: String(token) })

describe('GET /oauth2/authorize', () => {
  it('302 with a code that is good once, for this address and verifier, and for a minute', async () => {
    const at = open()
    const { code = '', keep } = await sentBack(at, { ...asked, ...proof })
    expect(keep).toBe('1')
    expect((await exchange(at, code, { redirect_uri: 'http://shop.test/other' })).status).toBe(400)
    expect((await exchange(at, code, { code_verifier: 'w'.repeat(43) })).status).toBe(400)
    const { status, body } = await exchange(at, code)
    expect([status, body]).toMatchObject([
      200,
      { token_type: 'Bearer', scope: 'read', refresh_token: expect.any(String) as string },
    ])
    expect(at.simulator.accepts(String(body.access_token))).toBe(true)
    const late = (await sentBack(at, { ...asked, ...proof })).code ?? ''
    await at.clock.advance(60_000)
    expect((await exchange(at, late)).status).toBe(400)
  })

  it('a code that comes twice ends what it was good for', async () => {
    const at = open()
    const { code = '' } = await sentBack(at, { ...asked, ...proof })
    const { body } = await exchange(at, code)
    expect((await exchange(at, code)).body).toMatchObject({ error: 'invalid_grant' })
    expect(at.simulator.accepts(String(body.access_token))).toBe(false)
    expect((await refresh(at, body.refresh_token)).body).toMatchObject({ error: 'invalid_grant' })
  })

  it.each<[string, Record<string, string>, string]>([
    ['another response_type', { response_type: 'token' }, 'unsupported_response_type'],
    ['a plain challenge', { code_challenge: verifier }, 'invalid_request'],
    ['a scope that it may not have', { scope: 'read admin' }, 'invalid_scope'],
    ['nothing for a public client to prove itself by', { client_id: 'public' }, 'invalid_request'],
  ])('302 with an error for %s', async (_, more, error) => {
    expect(await sentBack(open(), { ...asked, ...more })).toMatchObject({ error })
  })

  it('302 access_denied when people decline', async () => {
    expect(await sentBack(open({ consent: 'denied' }), asked)).toMatchObject({ error: 'access_denied' })
  })

  it('400 for who is not known, or wants people sent elsewhere', async () => {
    const at = open()
    for (const more of [{ client_id: 'x' }, { redirect_uri: 'http://evil.test/' }, { redirect_uri: 'javascript:1' }]) {
      const response = await at.send(`/oauth2/authorize?${new URLSearchParams({ ...asked, ...more })}`)
      expect(response.status).toBe(400)
    }
    expect((await at.send('/oauth2/authorize', { method: 'POST' })).status).toBe(405)
  })
})

describe('a refresh token', () => {
  it('that always rotates is good once, and again within its grace, for the one that took its place', async () => {
    const at = open({ rotation: 'always', refreshGraceSeconds: 10 })
    const first = at.simulator.grant('client')
    const second = (await refresh(at, first)).body.refresh_token
    expect(second).not.toBe(first)
    await at.clock.advance(10_000)
    expect((await refresh(at, first)).body.refresh_token).toBe(second)
    await at.clock.advance(1)
    expect((await refresh(at, first)).body).toMatchObject({ error: 'invalid_grant' })
    expect((await refresh(at, second)).status).toBe(200)
    expect(at.simulator.refreshes('client')).toMatchObject({
      granted: 1,
      rotated: 2,
      repeated: 1,
      refused: 1,
      ended: 0,
    })
  })

  it('that never rotates is not told again', async () => {
    const at = open({ rotation: 'never' })
    const first = at.simulator.grant('client')
    for (let use = 0; use < 3; use += 1) {
      const { status, body } = await refresh(at, first)
      expect([status, body.refresh_token]).toEqual([200, undefined])
    }
  })

  it('that may rotate does both', async () => {
    const at = open({ rotation: 'may' })
    let current: unknown = at.simulator.grant('client')
    for (let use = 0; use < 20; use += 1) current = (await refresh(at, current)).body.refresh_token ?? current
    const { rotated, repeated } = at.simulator.refreshes('client')
    expect([rotated > 3, repeated > 3, rotated + repeated]).toEqual([true, true, 20])
  })

  it('that comes too late may end its whole family, and no other', async () => {
    const at = open({ rotation: 'always', reuseEndsFamily: true })
    const [first, other] = [at.simulator.grant('client'), at.simulator.grant('client')]
    const { body } = await refresh(at, first)
    await at.clock.advance(1)
    await refresh(at, first)
    expect((await refresh(at, body.refresh_token)).body).toMatchObject({ error: 'invalid_grant' })
    expect(at.simulator.accepts(String(body.access_token))).toBe(false)
    expect((await refresh(at, other)).status).toBe(200)
    expect(at.simulator.refreshes('client').ended).toBe(1)
  })

  it('is dead when the person withdraws, and when nobody ever granted it', async () => {
    const at = open()
    const first = at.simulator.grant('client')
    expect(at.simulator.withdraw('client')).toBe(1)
    expect((await refresh(at, first)).status).toBe(400)
    expect((await refresh(at, 'made-up')).status).toBe(400)
    expect(at.simulator.withdraw('client')).toBe(0)
  })

  it('is used up by an answer that is lost', async () => {
    const at = open({ rotation: 'always' })
    const first = at.simulator.grant('client')
    at.simulator.addFault({ account: 'client', effect: { type: 'lose-answer' }, times: 1 })
    await expect(refresh(at, first)).rejects.toThrow()
    await at.clock.advance(1)
    expect((await refresh(at, first)).status).toBe(400)
  })

  it('is granted, looked at and withdrawn by the control API', async () => {
    const at = open()
    const { refresh_token } = await at.post('/_simulator/grant', { account: 'client' })
    expect(await at.get('/_simulator/refreshes/client')).toMatchObject({ granted: 1, tokens: [refresh_token] })
    expect(await at.post('/_simulator/withdraw', { account: 'client' })).toEqual({ withdrawn: 1 })
    expect(await at.post('/_simulator/grant', { account: 'nobody' })).toMatchObject({ error: { code: 'not_found' } })
  })
})
