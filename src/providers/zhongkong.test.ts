/** What another zhongkong may answer, and everything that is not one. */
import { describe, expect, it } from 'vitest'
import { askScripted, gist, json, type Script } from '../../test/providers/scripted.ts'

const definition = {
  provider: 'zhongkong',
  url: 'http://zk.test/main/',
  key: 'canary-key-01234567',
  name: 'team/weixin',
}
const good = {
  name: 'team/weixin',
  token: 'T1',
  expires_in: 100,
  expires_at: 1_772_424_100,
  issued_at: 1_772_424_000,
  version: 3,
  fields: { access_token: 'T1', expires_in: 7200 },
}
const problem =
  (status: number, code: string, detail = 'words', more: object = {}): Script =>
  () =>
    json({ type: 'about:blank', title: 'x', status, code, detail, ...more }, { status })

describe('what is asked', () => {
  it('is one read, with the key in the header and the name in the path', async () => {
    const { attempt, requests } = await askScripted(definition, () => json(good))
    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET http://zk.test/main/v1/tokens/team%2Fweixin',
    ])
    expect(requests[0]?.headers.get('authorization')).toBe('Bearer canary-key-01234567')
    expect(attempt).toEqual({
      outcome: 'issued',
      issued: {
        value: 'T1',
        lifetimeMs: 100_000,
        fields: { access_token: 'T1', expires_in: 7200, zhongkong: { version: 3, issued_at: 1_772_424_000 } },
      },
    })
  })

  it('needs no key where the other side needs none', async () => {
    const { requests } = await askScripted({ provider: 'zhongkong', url: 'http://zk.test', name: 'x' }, () =>
      json(good),
    )
    expect(requests[0]?.headers.has('authorization')).toBe(false)
  })
})

const outcomes: readonly (readonly [string, Script, string])[] = [
  ['a token', () => json(good), 'issued 100000'],
  ['a token in its last second', () => json({ ...good, expires_in: 0 }), 'rejected transient upstream_behind'],
  ['no lifetime', () => json({ ...good, expires_in: undefined }), 'unknown token_unusable'],
  ['a negative lifetime', () => json({ ...good, expires_in: -1 }), 'unknown token_unusable'],
  ['no token', () => json({ ...good, token: undefined }), 'unknown token_unusable'],
  ['a line break in the token', () => json({ ...good, token: 'a\r\nb' }), 'unknown token_unusable'],
  ['a page', () => new Response('<html>login</html>'), 'unknown upstream_not_json'],
  ['a redirect', () => Response.redirect('http://elsewhere.test', 302), 'rejected configuration unexpected_redirect'],
  [
    '304 that nobody asked for',
    () => new Response(null, { status: 304 }),
    'rejected configuration unexpected_redirect',
  ],
  ['401', problem(401, 'unauthorized'), 'rejected configuration upstream_rejected'],
  ['403', problem(403, 'forbidden'), 'rejected permission upstream_rejected'],
  ['404', problem(404, 'not_found'), 'rejected configuration upstream_rejected'],
  ['404 of another program', () => new Response('no', { status: 404 }), 'rejected configuration upstream_status'],
  ['400', problem(400, 'bad_request'), 'rejected configuration upstream_rejected'],
  ['508', problem(508, 'loop_detected'), 'rejected configuration upstream_rejected'],
  ['503', problem(503, 'token_unavailable'), 'rejected transient upstream_rejected'],
  ['a code of a later version', problem(503, 'in_love'), 'rejected transient upstream_rejected'],
  [
    '429',
    () => new Response('', { status: 429, headers: { 'retry-after': '7' } }),
    'rejected quota upstream_busy 7000',
  ],
  ['502 of a proxy', () => new Response('bad gateway', { status: 502 }), 'unknown upstream_status'],
  ['500 with JSON of another program', () => json({ error: 'x' }, { status: 500 }), 'unknown upstream_status'],
]

describe('what is answered', () => {
  it.each(outcomes)('%s', async (_what, script, expected) => {
    const asked = await askScripted(definition, script)
    expect(gist(asked)).toBe(expected)
    if (asked.attempt.outcome !== 'issued') expect(JSON.stringify(asked.attempt)).not.toContain('canary')
  })

  it('with words that repeat the key is scrubbed', async () => {
    const { attempt } = await askScripted(definition, problem(400, 'bad_request', 'what is canary-key-01234567?'))
    expect(JSON.stringify(attempt)).not.toContain('canary-key')
    expect(attempt).toMatchObject({ failure: { upstream: { errcode: 'bad_request' } } })
  })
})
