import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage, type StageOptions } from '../../test/simulator/stage.ts'

function oauth2(options: StageOptions = {}): Stage {
  return stage({ accounts: [{ kind: 'oauth2', id: 'a:b', secret: 'p+w d', scopes: ['read', 'write'] }], ...options })
}

/** As section 2.3.1 of RFC 6749 wants it: each part form-encoded, so that a space is a plus sign. */
const encoded = (text: string): string => new URLSearchParams({ x: text }).toString().slice(2)
const basic = (id: string, secret: string): string =>
  `Basic ${Buffer.from(`${encoded(id)}:${encoded(secret)}`).toString('base64')}`

function ask(at: Stage, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
  return at.send('/oauth2/token', { method: 'POST', body: new URLSearchParams(form), headers })
}

const inBody = { client_id: 'a:b', client_secret: 'p+w d' }
const grant = { grant_type: 'client_credentials' }

describe('POST /oauth2/token', () => {
  it.each([
    ['the body', { ...grant, ...inBody }, {}],
    ['a Basic header with both parts form-encoded', grant, { authorization: basic('a:b', 'p+w d') }],
  ])('200 for a client that authenticates by %s', async (_name, form, headers) => {
    const response = await ask(oauth2(), form, headers)
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('no-store')
    const answer = (await response.json()) as Body
    expect(answer).toMatchObject({ token_type: 'Bearer', expires_in: 7200 })
    expect(Object.keys(answer)).toEqual(['access_token', 'token_type', 'expires_in'])
  })

  it('401 with a challenge for a wrong secret in a header, 400 for one in the body', async () => {
    const at = oauth2()
    const byHeader = await ask(at, grant, { authorization: basic('a:b', 'bad') })
    expect(byHeader.status).toBe(401)
    expect(byHeader.headers.get('www-authenticate')).toMatch(/^Basic /)
    const byBody = await ask(at, { ...grant, ...inBody, client_secret: 'bad' })
    expect(byBody.status).toBe(400)
    expect(await byBody.json()).toMatchObject({ error: 'invalid_client' })
  })

  it.each([
    ['invalid_request', { ...inBody }, {}],
    ['unsupported_grant_type', { ...inBody, grant_type: 'password' }, {}],
    ['invalid_scope', { ...inBody, ...grant, scope: 'read admin' }, {}],
    ['invalid_request', { ...inBody, ...grant }, { authorization: basic('a:b', 'p+w d') }],
    ['invalid_client', { ...grant }, {}],
  ])('400 %s', async (error, form, headers) => {
    const response = await ask(oauth2(), form, headers)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error })
  })

  it('400 for JSON, and for a parameter given twice; 405 for GET', async () => {
    const at = oauth2()
    const json = await at.send('/oauth2/token', { method: 'POST', body: JSON.stringify({ ...grant, ...inBody }) })
    expect([json.status, await json.json()]).toMatchObject([400, { error: 'invalid_request' }])
    const twice = new URLSearchParams([...Object.entries({ ...grant, ...inBody }), ['scope', 'a'], ['scope', 'b']])
    expect((await at.send('/oauth2/token', { method: 'POST', body: twice })).status).toBe(400)
    expect((await at.send('/oauth2/token')).status).toBe(405)
  })

  it('401 for a malformed Basic header', async () => {
    for (const header of ['Basic !!', `Basic ${Buffer.from('nocolon').toString('base64')}`, 'Bearer x']) {
      expect((await ask(oauth2(), grant, { authorization: header })).status).toBe(401)
    }
  })

  it('lets all tokens live side by side, each its own life', async () => {
    const at = oauth2()
    const tokens: string[] = []
    for (let count = 0; count < 5; count += 1) {
      tokens.push(String(((await (await ask(at, { ...grant, ...inBody })).json()) as Body).access_token))
      await at.clock.advance(1_000)
    }
    expect(tokens.map((token) => at.simulator.accepts(token))).toEqual([true, true, true, true, true])
    await at.clock.advance(7_200_000 - 5_000)
    expect(tokens.map((token) => at.simulator.accepts(token))).toEqual([false, true, true, true, true])
  })
})

describe('/oauth2/resource', () => {
  it('200 with a living bearer token; 401 invalid_token otherwise; a bare challenge without one', async () => {
    const at = oauth2()
    const { access_token } = (await (await ask(at, { ...grant, ...inBody })).json()) as Body
    const use = (token: string): Promise<Response> =>
      at.send('/oauth2/resource/x', { headers: { authorization: `bearer ${token}` } })
    expect((await use(String(access_token))).status).toBe(200)
    at.simulator.revoke({ token: String(access_token) })
    const refused = await use(String(access_token))
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toContain('error="invalid_token"')
    const bare = await at.send('/oauth2/resource')
    expect(bare.status).toBe(401)
    expect(bare.headers.get('www-authenticate')).not.toContain('error')
  })
})
