/** What the providers of the WeChat family send, and what they say of themselves. */
import { describe, expect, it } from 'vitest'
import { askScripted, input, json, source } from '../../test/providers/scripted.ts'
import type { JsonObject } from '../base/json.ts'
import { rivals } from '../model/source.ts'

const wechat = { provider: 'wechat', appid: 'wx1', secret: 's+/&=' }
const wecom = { provider: 'wecom', corpid: 'ww1', secret: 's+/&=' }

async function sent(definition: JsonObject, force = false): Promise<{ line: string; body: string }> {
  const inputs = { above: input('A+/&=') }
  const { requests, bodies } = await askScripted(definition, () => json({}), { force, inputs })
  return { line: requests.map(({ method, url }) => `${method} ${url}`).join(' '), body: bodies.join(' ') }
}

describe('the request of', () => {
  it.each([false, true])('a stable token is a POST of JSON; forced: %s', async (force) => {
    const { line, body } = await sent(wechat, force)
    expect(line).toBe('POST https://api.weixin.qq.com/cgi-bin/stable_token')
    const asked = { grant_type: 'client_credential', appid: 'wx1', secret: 's+/&=', force_refresh: force }
    expect(JSON.parse(body)).toEqual(asked)
  })

  it.each<[string, JsonObject, string]>([
    [
      'a classic token',
      { ...wechat, mode: 'classic' },
      'GET https://api.weixin.qq.com/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s%2B%2F%26%3D',
    ],
    [
      'a token behind a proxy with a path',
      { ...wechat, mode: 'classic', base_url: 'http://10.0.0.1:8080/wx/' },
      'GET http://10.0.0.1:8080/wx/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s%2B%2F%26%3D',
    ],
    [
      'a jsapi ticket',
      { provider: 'wechat-ticket', of: 'above' },
      'GET https://api.weixin.qq.com/cgi-bin/ticket/getticket?access_token=A%2B%2F%26%3D&type=jsapi',
    ],
    [
      'a card ticket',
      { provider: 'wechat-ticket', of: 'above', type: 'wx_card' },
      'GET https://api.weixin.qq.com/cgi-bin/ticket/getticket?access_token=A%2B%2F%26%3D&type=wx_card',
    ],
    [
      'a WeCom token',
      { ...wecom, agentid: 1000002 },
      'GET https://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=ww1&corpsecret=s%2B%2F%26%3D',
    ],
    [
      'a WeCom corp ticket',
      { provider: 'wecom-ticket', of: 'above' },
      'GET https://qyapi.weixin.qq.com/cgi-bin/get_jsapi_ticket?access_token=A%2B%2F%26%3D',
    ],
    [
      'a WeCom app ticket',
      { provider: 'wecom-ticket', of: 'above', type: 'agent_config' },
      'GET https://qyapi.weixin.qq.com/cgi-bin/ticket/get?access_token=A%2B%2F%26%3D&type=agent_config',
    ],
  ])('%s', async (_, definition, line) => {
    expect((await sent(definition)).line).toBe(line)
  })
})

describe('semantics', () => {
  it('of a classic token: every issue retires the one before in five minutes, 2000 a day, one at a time', () => {
    expect(source({ ...wechat, mode: 'classic' }).semantics).toMatchObject({
      reissue: 'retires-previous',
      graceMs: 300_000,
      limits: { perDay: 2_000 },
      invalidTokenCodes: [40001, 40014, 42001],
    })
  })

  it('of a stable token: the same until its last five minutes, forced 20 times a day, 30 seconds apart', () => {
    expect(source(wechat).semantics).toMatchObject({
      reissue: 'same-until-window',
      windowMs: 300_000,
      graceMs: 300_000,
      limits: { perMinute: 10_000, perDay: 500_000, force: { perDay: 20, gapMs: 30_000 } },
    })
  })

  it('of WeCom: the same until its end', () => {
    expect(source(wecom).semantics).toMatchObject({
      reissue: 'same-until-expiry',
      invalidTokenCodes: [40014, 42001, 40001],
    })
  })
})

describe('an identity', () => {
  it('changes with account, channel and host, and not with the secret', () => {
    const identity = (more: JsonObject): string => source({ ...wechat, ...more }).identity
    expect(identity({})).toBe('wechat:api.weixin.qq.com/wx1/stable')
    const others = [{ appid: 'wx2' }, { mode: 'classic' }, { base_url: 'https://sh.api.weixin.qq.com' }]
    for (const other of others) expect(identity(other)).not.toBe(identity({}))
    expect(identity({ secret: 'rotated' })).toBe(identity({}))
  })

  it('of two apps of one corp differs', () => {
    expect(source({ ...wecom, agentid: 1 }).identity).not.toBe(source({ ...wecom, agentid: '2' }).identity)
  })
})

describe('the line of classic tokens of an account', () => {
  const token = 'https://api.weixin.qq.com/cgi-bin/token'
  const classic = { ...wechat, mode: 'classic' }
  const asked = { grant_type: 'client_credential', appid: 'wx1', secret: 's' }
  const isRival = (other: JsonObject, own: JsonObject = classic): boolean =>
    rivals([source(own), source(other)]).length === 1

  it.each<[string, JsonObject]>([
    ['in the address', { url: `${token}?grant_type=client_credential&appid=wx1&secret=s` }],
    ['as parameters', { url: token, query: asked }],
    [
      'with values',
      { url: `${token}?appid={{values.id}}`, query: { secret: '{{values.key}}' }, values: { id: 'wx1', key: 's' } },
    ],
    ['at another host of WeChat', { url: token.replace('api', 'sz.api'), query: asked }],
    ['at the fallback host', { url: token.replace('api', 'api2'), query: asked }],
  ])('is that of an http source which writes the call out %s', (_how, written) => {
    expect(isRival({ provider: 'http', ...written })).toBe(true)
  })

  it('is that of an http source behind the same proxy', () => {
    const base = 'http://10.0.0.1:8080/wx'
    const written = { provider: 'http', url: `${base}/cgi-bin/token`, query: asked }
    expect(isRival(written, { ...classic, base_url: base })).toBe(true)
    expect(isRival(written)).toBe(false)
  })

  it.each<[string, JsonObject]>([
    ['of another account', { url: token, query: { ...asked, appid: 'wx2' } }],
    ['of an account that nobody knows', { url: token, query: { appid: '{{weixin}}' } }],
    ['without an account', { url: token }],
    ['of stable tokens', { url: 'https://api.weixin.qq.com/cgi-bin/stable_token', body: asked }],
    ['that asks for something else', { url: `${token}/more`, query: asked, reissue: 'retires-previous' }],
  ])('is not that of an http source %s', (_what, written) => {
    expect(isRival({ provider: 'http', ...written })).toBe(false)
  })

  it('is another one than that of its stable tokens', () => {
    expect(isRival(wechat)).toBe(false)
  })
})
