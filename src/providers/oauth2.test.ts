import { describe, expect, it } from 'vitest'
import { askScripted, gist, json, source, type Asked } from '../../test/providers/scripted.ts'
import type { JsonObject } from '../base/json.ts'

const definition = {
  provider: 'oauth2',
  token_url: 'https://as.test/token?tenant=1',
  client_id: 'a b',
  client_secret: 'p:ä+/=',
}
const good = { access_token: 'T1', token_type: 'bearer', expires_in: '3599' }
const ask = (more: JsonObject, body: unknown = good, init: ResponseInit = {}): Promise<Asked> =>
  askScripted({ ...definition, ...more }, () => json(body, init))

describe('the request', () => {
  it('proves itself in the header, with id and secret form-encoded first', async () => {
    const { requests, bodies } = await ask({ scope: ['b', 'a'] })
    const basic = Buffer.from('a+b:p%3A%C3%A4%2B%2F%3D').toString('base64')
    expect(requests[0]?.headers.get('authorization')).toBe(`Basic ${basic}`)
    expect(requests[0]?.url).toBe('https://as.test/token?tenant=1')
    expect(bodies).toEqual(['grant_type=client_credentials&scope=b+a'])
  })

  it('or in the body, and then not in the header', async () => {
    const { requests, bodies } = await ask({ auth: 'body', audience: 'x', resource: ['r1', 'r2'], params: { p: 1 } })
    expect(requests[0]?.headers.has('authorization')).toBe(false)
    expect(Object.fromEntries(new URLSearchParams(bodies[0]))).toMatchObject({
      client_id: 'a b',
      client_secret: 'p:ä+/=',
      audience: 'x',
      p: '1',
    })
    expect(new URLSearchParams(bodies[0]).getAll('resource')).toEqual(['r1', 'r2'])
  })
})

describe('the answer', () => {
  it.each<[string, unknown, number, string]>([
    ['a token', good, 200, 'issued 3599000'],
    ['a token without a lifetime', { access_token: 'T1' }, 200, 'issued null'],
    ['a refusal with HTTP 400', { error: 'invalid_client' }, 400, 'rejected configuration upstream_rejected'],
    ['a refusal with HTTP 200', { error: 'invalid_client' }, 200, 'rejected configuration upstream_rejected'],
    ['an unknown word with HTTP 400', { error: 'odd' }, 400, 'rejected configuration upstream_rejected'],
    ['an unknown word with HTTP 403', { error: 'odd' }, 403, 'rejected permission upstream_rejected'],
    ['an unknown word with HTTP 200', { error: 'odd' }, 200, 'rejected transient upstream_rejected'],
    ['a numeric code', { error: 1101, sub_error: 12_304 }, 400, 'rejected configuration upstream_rejected'],
    ['an overload told as JSON', { error: 'temporarily_unavailable' }, 503, 'rejected transient upstream_rejected'],
    ['a breakdown told as JSON', { error: 'server_error' }, 500, 'unknown upstream_status'],
    ['a token with HTTP 500', good, 500, 'unknown upstream_status'],
    ['a refusal without a word', {}, 401, 'rejected configuration upstream_status'],
  ])('%s', async (_, body, status, expected) => {
    expect(gist(await ask({}, body, { status }))).toBe(expected)
  })

  it('that repeats the secret, plain or encoded, does not get it told', async () => {
    const basic = Buffer.from('a+b:p%3A%C3%A4%2B%2F%3D').toString('base64')
    const { attempt } = await ask(
      { params: { pin: 'canary' } },
      { error: 'x', error_description: `p:ä+/= ${basic} canary` },
    )
    expect(JSON.stringify(attempt)).not.toMatch(/p:ä|YSti|canary/)
  })
})

it('a token belongs to what it was asked for: another scope is another identity, another secret is not', () => {
  const identity = (more: JsonObject): string => source({ ...definition, ...more }).identity
  expect(identity({ scope: 'a b' })).toBe(identity({ scope: ['a b'] }))
  expect(identity({ scope: 'a' })).not.toBe(identity({ scope: 'b' }))
  expect(identity({ client_secret: 'other' })).toBe(identity({}))
})
