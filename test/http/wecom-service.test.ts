/** WeCom's calls for service providers at the root: who may have which token, and refusals in WeCom's words. */
import { describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import { client, openHouse, remote, type Question, type Told, type Visitor } from './visitor.ts'

const post = (body: unknown): Question => ({
  method: 'POST',
  body: typeof body === 'string' ? body : JSON.stringify(body),
  peer: remote,
})

function house(): Visitor {
  return openHouse({
    sources: [
      { name: 'suite', kind: 'wecom-suite', account: 'ww_s', secret: 'suite-secret-1' },
      { name: 'other', kind: 'wecom-suite', account: 'ww_o', secret: 'suite-secret-2' },
      {
        name: 'suite/ww9',
        kind: 'wecom-corp',
        needs: ['suite'],
        definition: { of: 'suite', corpid: 'ww9' },
        origin: 'store',
      },
      { name: 'acme', kind: 'wecom-corp', needs: ['suite'], definition: { of: 'suite', corpid: 'ww8' } },
      { name: 'provider', kind: 'wecom-provider', account: 'ww_p', secret: 'provider-secret' },
      { name: 'corp', kind: 'wecom', account: 'ww_p', secret: 'corp-secret-1' },
    ],
    clients: [client('reader', 'reader-key', { read: ['suite', 'provider'] }), client('none', 'none-key')],
  })
}

const suiteToken = (at: Visitor, body: unknown): Promise<Told> => at.ask('/cgi-bin/service/get_suite_token', post(body))
const providerToken = (at: Visitor, body: unknown): Promise<Told> =>
  at.ask('/cgi-bin/service/get_provider_token', post(body))
const corpToken = (at: Visitor, token: string, body: unknown): Promise<Told> =>
  at.ask(`/cgi-bin/service/get_corp_token?suite_access_token=${token}`, post(body))

describe('get_suite_token', () => {
  test('200 with the token, for the secret and for an API key that may read', async () => {
    for (const suite_secret of ['suite-secret-1', 'reader-key']) {
      const told = await suiteToken(house(), { suite_id: 'ww_s', suite_secret, suite_ticket: 'any' })
      const text = '{"errcode":0,"errmsg":"ok","suite_access_token":"suite-token-1","expires_in":7200}'
      expect([told.status, told.text]).toEqual([200, text])
    }
  })

  test.each([
    ['no JSON', 47001],
    [{}, 41021],
    [{ suite_id: 'ww_s' }, 41024],
    [{ suite_id: 'ww_9', suite_secret: 'suite-secret-1' }, 40083],
    [{ suite_id: 'ww_p', suite_secret: 'corp-secret-1' }, 40083],
    [{ suite_id: 'ww_s', suite_secret: 'suite-secret-2' }, 40080],
    [{ suite_id: 'ww_s', suite_secret: 'none-key' }, 40080],
    [{ suite_id: 'ww_o', suite_secret: 'reader-key' }, 40080],
  ])('%j is refused with %i', async (body, errcode) => {
    const told = await suiteToken(house(), body)
    expect([told.status, told.json.errcode]).toEqual([200, errcode])
    expect(told.headers.get('error-code')).toBe(String(errcode))
  })

  test('tells WeCom’s own refusal where there is nothing to serve', async () => {
    const at = house()
    const upstream = { errcode: 40085, errmsg: 'invalid suite_ticket' }
    at.keeper.failure = new ZhongkongError('token_unavailable', 'refused', { upstream })
    const told = await suiteToken(at, { suite_id: 'ww_s', suite_secret: 'suite-secret-1' })
    expect(told.json.errcode).toBe(40085)
  })
})

describe('get_corp_token', () => {
  test('200 for a token of its suite, current or lately replaced, by whatever name its source has', async () => {
    const at = house()
    const tokens = [at.keeper.rotate('suite').token, at.keeper.rotate('suite').token]
    for (const token of tokens) {
      const told = await corpToken(at, token, { auth_corpid: 'ww9', permanent_code: 'any' })
      expect(told.text).toBe('{"access_token":"suite/ww9-token-1","expires_in":7200}')
    }
    expect((await corpToken(at, tokens[0]!, { auth_corpid: 'ww8' })).json.access_token).toBe('acme-token-1')
  })

  test('refuses what is no token of a suite, and corps that are none of this suite', async () => {
    const at = house()
    const code = async (token: string, body: unknown): Promise<number> =>
      Number((await corpToken(at, token, body)).json.errcode)
    const mine = at.keeper.rotate('suite').token
    const others = at.keeper.rotate('other').token
    const corps = at.keeper.rotate('suite/ww9').token
    expect(await code('', { auth_corpid: 'ww9' })).toBe(41022)
    expect(await code('unknown', { auth_corpid: 'ww9' })).toBe(40082)
    expect(await code(corps, { auth_corpid: 'ww9' })).toBe(40082)
    expect(await code(mine, {})).toBe(41002)
    expect(await code(mine, 'no JSON')).toBe(47001)
    expect(await code(mine, { auth_corpid: 'ww7' })).toBe(48003)
    expect(await code(mine, { auth_corpid: '../provider' })).toBe(48003)
    expect(await code(others, { auth_corpid: 'ww9' })).toBe(48003)
  })
})

describe('get_provider_token', () => {
  test('200 with the token, for the secret and for an API key that may read', async () => {
    for (const provider_secret of ['provider-secret', 'reader-key']) {
      const told = await providerToken(house(), { corpid: 'ww_p', provider_secret })
      expect(told.text).toBe('{"provider_access_token":"provider-token-1","expires_in":7200}')
    }
  })

  test.each([
    ['no JSON', 47001],
    [{}, 41002],
    [{ corpid: 'ww_p' }, 41004],
    [{ corpid: 'ww_s', provider_secret: 'suite-secret-1' }, 40013],
    [{ corpid: 'ww_p', provider_secret: 'corp-secret-1' }, 40001],
    [{ corpid: 'ww_p', provider_secret: 'none-key' }, 40001],
  ])('%j is refused with %i', async (body, errcode) => {
    expect((await providerToken(house(), body)).json.errcode).toBe(errcode)
  })
})
