/** Signatures of pages and cards: who may ask for them, for which pages, and what each platform's call takes. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import { client, openHouse, remote, type House, type Question, type Told, type Visitor } from './visitor.ts'

const key = 'shop-key'
const page = 'https://shop.example.com/pay?order=1'
const origin = 'https://shop.example.com'

const sources: NonNullable<House['sources']> = [
  { name: 'weixin', account: 'wx1' },
  {
    name: 'weixin_jsticket',
    kind: 'wechat-ticket',
    needs: ['weixin'],
    definition: { of: 'weixin', type: 'jsapi' },
    signing: { scheme: 'wechat', domains: ['shop.example.com', '*.pages.cn', 'localhost:8890'] },
  },
  {
    name: 'weixin_card',
    kind: 'wechat-ticket',
    needs: ['weixin'],
    definition: { of: 'weixin', type: 'wx_card' },
    signing: { scheme: 'wechat-card', domains: ['shop.example.com'] },
  },
  { name: 'corp', kind: 'wecom', account: 'ww1' },
  { name: 'corp_jsticket', needs: ['corp'], definition: { of: 'corp' }, signing: { scheme: 'wecom' } },
  {
    name: 'corp_agent',
    needs: ['corp'],
    definition: { of: 'corp', type: 'agent_config' },
    signing: { scheme: 'wecom-agent', agentId: '1000002' },
  },
  { name: 'suite', kind: 'wecom-suite', account: 'tj1' },
  { name: 'suite/ww9', kind: 'wecom-corp', needs: ['suite'], belongsTo: 'ww9' },
  { name: 'ww9_ticket', needs: ['suite/ww9'], signing: { scheme: 'wecom' } },
  { name: 'ding', kind: 'dingtalk', account: 'appkey1' },
  {
    name: 'ding_ticket',
    needs: ['ding'],
    signing: { scheme: 'dingtalk', account: 'ding1', agentId: '77', domains: ['shop.example.com'] },
  },
  { name: 'ding_bare', needs: ['ding'], signing: { scheme: 'dingtalk' } },
  { name: 'feishu_store', kind: 'feishu-store', account: 'cli_1' },
  { name: 'feishu_tenant', kind: 'feishu-tenant', needs: ['feishu_store'] },
  { name: 'feishu_ticket', needs: ['feishu_tenant'], signing: { scheme: 'feishu' } },
  { name: 'generic', kind: 'http' },
  { name: 'generic_ticket', needs: ['generic'], signing: { scheme: 'wechat' } },
]

function house(more: House = {}): Visitor {
  const visitor = openHouse({
    sources,
    clients: [client('shop', key, { read: ['weixin*', 'corp*', 'ww9*', 'ding*', 'feishu*', 'generic*'] })],
    ...more,
  })
  for (const { name } of sources) visitor.keeper.rotate(name)
  return visitor
}

const at = (name: string, url: string, more = ''): string =>
  `/v1/jssdk/${encodeURIComponent(name)}?url=${encodeURIComponent(url)}${more}`

const asked = async (path: string, question: Question = {}): Promise<Told> =>
  await house().ask(path, { peer: remote, ...question })

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex')

/** The signature that the platform will compute, from the ticket that only the server holds. */
const signatureOf = (ticket: string, { json }: Told, timestamp: number, url = page): string =>
  sha1(`jsapi_ticket=${ticket}&noncestr=${json.nonceStr}&timestamp=${timestamp}&url=${url}`)

const now = 1_800_000_000

describe('what each platform’s call takes', () => {
  test.each(['weixin_jsticket', 'weixin'])('WeChat’s wx.config, by the name %s', async (name) => {
    const told = await asked(at(name, `${page}#/route`), { key })
    expect(told.status).toBe(200)
    expect(told.json).toEqual({
      appId: 'wx1',
      timestamp: now,
      nonceStr: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
      signature: signatureOf('weixin_jsticket-token-1', told, now),
    })
  })

  test('WeCom’s wx.config and wx.agentConfig, each with its own ticket', async () => {
    const corp = await asked(at('corp', page), { key })
    expect(corp.json).toMatchObject({ appId: 'ww1', signature: signatureOf('corp_jsticket-token-1', corp, now) })
    const agent = await asked(at('corp', page, '&type=agent_config'), { key })
    expect(agent.json).toEqual({
      appId: 'ww1',
      corpid: 'ww1',
      agentid: '1000002',
      timestamp: now,
      nonceStr: agent.json.nonceStr,
      signature: signatureOf('corp_agent-token-1', agent, now),
    })
    expect((await asked(at('corp_agent', page), { key })).json.agentid).toBe('1000002')
  })

  test('a corp that installed a suite is named by its own id, not by the suite’s', async () => {
    expect((await asked(at('ww9_ticket', page), { key })).json.appId).toBe('ww9')
  })

  test('DingTalk’s dd.config, with the query decoded; what is not known is left to the page', async () => {
    const url = 'https://shop.example.com/?q=%E4%B8%AD+1'
    const told = await asked(at('ding_ticket', url))
    const decoded = 'https://shop.example.com/?q=中 1'
    expect(told.json).toEqual({
      corpId: 'ding1',
      agentId: '77',
      timeStamp: now,
      nonceStr: told.json.nonceStr,
      signature: signatureOf('ding_ticket-token-1', told, now, decoded),
    })
    const bare = await asked(at('ding_bare', page), { key })
    expect(Object.keys(bare.json as object)).toEqual(['timeStamp', 'nonceStr', 'signature'])
  })

  test('Feishu’s h5sdk.config, in milliseconds, with the id of the store app above', async () => {
    const told = await asked(at('feishu_ticket', page), { key })
    expect(told.json).toMatchObject({ appId: 'cli_1', timestamp: now * 1_000 })
    expect(told.json.signature).toBe(signatureOf('feishu_ticket-token-1', told, now * 1_000))
  })

  test('an account that nobody knows is left out', async () => {
    expect((await asked(at('generic', page), { key })).json).not.toHaveProperty('appId')
  })

  test('each answer has a nonce of its own, and none has the ticket', async () => {
    const { ask } = house()
    const [one, other] = [await ask(at('weixin', page), { key }), await ask(at('weixin', page), { key })]
    expect(one.json.nonceStr).not.toBe(other.json.nonceStr)
    expect(one.text + other.text).not.toContain('token-1')
  })
})

describe('cards', () => {
  test('wx.addCard: a cardExt, with what is the card’s own', async () => {
    const path = '/v1/jssdk/weixin_card?card_id=c1&code=1234&openid=o1'
    const { json } = await asked(path, { key })
    const ext = JSON.parse(String(json.cardExt)) as Record<string, string>
    expect([json.cardId, Object.keys(ext)]).toEqual(['c1', ['code', 'openid', 'timestamp', 'nonce_str', 'signature']])
    const values = ['weixin_card-token-1', 'c1', '1234', 'o1', String(now), ext.nonce_str!]
    expect(ext.signature).toBe(sha1(values.toSorted((a, b) => (a < b ? -1 : 1)).join('')))
    expect(ext.timestamp).toBe(String(now))
  })

  test('wx.chooseCard: a cardSign over the account and what is chosen from', async () => {
    const { json } = await asked('/v1/jssdk/weixin?type=wx_card&for=chooseCard&shop_id=7&card_type=GROUPON', { key })
    const values = ['weixin_card-token-1', 'wx1', '7', 'GROUPON', String(now), json.nonceStr as string]
    expect(json).toEqual({
      shopId: '7',
      cardType: 'GROUPON',
      cardId: '',
      timestamp: now,
      nonceStr: json.nonceStr,
      signType: 'SHA1',
      cardSign: sha1(values.toSorted((a, b) => (a < b ? -1 : 1)).join('')),
    })
  })

  test('400 without a card; 401 without a key, though the domain is listed: a signature gives a card away', async () => {
    expect((await asked('/v1/jssdk/weixin_card', { key })).status).toBe(400)
    expect((await asked('/v1/jssdk/weixin_card?card_id=c1')).status).toBe(401)
    expect((await asked('/v1/jssdk/weixin_card?card_id=c1', { headers: { origin } })).status).toBe(401)
  })
})

describe('without a key', () => {
  test('200 for pages of the domains, readable by pages of these domains and by no other', async () => {
    for (const [from, url] of [
      [origin, page],
      ['https://m.pages.cn', page],
      ['http://localhost:8890', 'http://localhost:8890/x'],
    ] as const) {
      const told = await asked(at('weixin', url), { headers: { origin: from } })
      expect(told.status, from).toBe(200)
      expect(told.headers.get('access-control-allow-origin')).toBe(from)
      expect(told.headers.get('vary')).toBe('Authorization, Origin')
      expect(told.headers.has('access-control-allow-credentials')).toBe(false)
    }
  })

  test('200 for a server or a page of the same origin, which send no Origin, and no CORS header', async () => {
    const told = await asked(at('weixin', page))
    expect(told.status).toBe(200)
    expect(told.headers.has('access-control-allow-origin')).toBe(false)
    expect(told.headers.get('vary')).toBe('Authorization, Origin')
  })

  test.each([
    'https://evil.cn',
    'null',
    'https://shop.example.com.evil.cn',
    'https://evilpages.cn',
    'https://pages.cn',
    'https://shop.example.com:8443',
    'https://shop.example.com/',
    'https://SHOP.example.com',
    'https://user@shop.example.com',
    'ftp://shop.example.com',
    'chrome-extension://shop.example.com',
    'http://localhost:8888',
  ])('403 without CORS for a page of %s', async (from) => {
    const told = await asked(at('weixin', page), { headers: { origin: from } })
    expect([told.status, told.json.code]).toEqual([403, 'forbidden'])
    expect(told.headers.has('access-control-allow-origin')).toBe(false)
    expect(told.json.hint).toContain('domains')
  })

  test.each([
    'https://evil.cn/',
    'https://shop.example.com.evil.cn/',
    'https://shop.example.com:8443/',
    'https://pages.cn/',
    'https://shop%2eexample.com.evil.cn/',
    'https://ｓhop.example.com.evil.cn/',
  ])('403 for a page at %s, told to the page that asks', async (url) => {
    const told = await asked(at('weixin', url), { headers: { origin } })
    expect([told.status, told.json.code]).toEqual([403, 'forbidden'])
    expect(told.headers.get('access-control-allow-origin')).toBe(origin)
  })

  test.each(['', 'javascript:alert(1)', 'https://shop.example.com@evil.cn/', 'https://shop.example.com/\r\nx'])(
    '400 for the address %j',
    async (url) => {
      const told = await asked(at('weixin', url), { headers: { origin } })
      expect([told.status, told.json.code]).toEqual([400, 'bad_request'])
      expect(told.text).not.toContain('alert')
    },
  )

  test('401 where no domains are listed, and the same for a source that is not there', async () => {
    const bodies = [
      at('corp', page),
      at('nothing', page),
      at('weixin', page, '&type=wx_card'),
      at('weixin/x', page),
    ].map(async (path) => await asked(path))
    const told = await Promise.all(bodies)
    expect(new Set(told.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect(told[0]!.status).toBe(401)
    expect((await asked(at('corp', page), { headers: { origin } })).headers.has('access-control-allow-origin')).toBe(
      false,
    )
  })

  test('while no clients are configured: this machine may ask for any page, and pages of other sites may not', async () => {
    const { ask } = house({ clients: [] })
    expect((await ask(at('corp', page))).status).toBe(200)
    expect((await ask(at('corp', page), { peer: remote })).status).toBe(401)
    expect((await ask(at('corp', page), { headers: { origin: 'https://evil.cn' } })).status).toBe(403)
    expect((await ask(at('weixin', page), { headers: { origin: 'https://evil.cn' } })).status).toBe(403)
    expect((await ask(at('weixin', page), { headers: { origin }, peer: remote })).status).toBe(200)
  })
})

describe('with a key', () => {
  test('200 for any page where no domains are listed; the list counts where there is one', async () => {
    expect((await asked(at('corp', 'https://anything.cn/'), { key })).status).toBe(200)
    expect((await asked(at('weixin', 'https://anything.cn/'), { key })).status).toBe(403)
  })

  test('401 for a wrong one, though the page would need none', async () => {
    expect((await asked(at('weixin', page), { key: 'wrong' })).status).toBe(401)
  })

  test('404 for a source that it may not read, that is not there, or that has no such ticket', async () => {
    const { ask } = house({ clients: [client('shop', key, { read: ['weixin', 'nothing'] })] })
    const told = await Promise.all(
      [at('corp', page), at('nothing', page), at('weixin', page, '&type=agent_config'), at('weixin_card', page)].map(
        async (path) => await ask(path, { key, peer: remote }),
      ),
    )
    expect(told.map(({ status }) => status)).toEqual([404, 404, 404, 404])
    expect(new Set(told.map(({ text }) => text)).size).toBe(1)
  })

  test('400 for a parameter given twice, and for a secret in the address', async () => {
    expect((await asked(at('corp', page, '&url=https://evil.cn/'), { key })).status).toBe(400)
    expect((await asked(at('corp', page, `&key=${key}`), { key })).status).toBe(400)
  })
})

describe('keeping', () => {
  test('browsers keep what a page asked for, for five minutes or as long as the ticket lives; nobody keeps the rest', async () => {
    const visitor = house()
    const keeping = async (question: Question): Promise<string | null> =>
      (await visitor.ask(at('weixin', page), { peer: remote, ...question })).headers.get('cache-control')
    expect(await keeping({ headers: { origin } })).toBe('private, max-age=300')
    expect(await keeping({ key })).toBe('no-store, private')
    expect(await keeping({ headers: { origin: 'https://evil.cn' } })).toBe('no-store, private')
    visitor.keeper.rotate('weixin_jsticket', 42_500)
    expect(await keeping({ headers: { origin } })).toBe('private, max-age=42')
    visitor.keeper.rotate('weixin_jsticket', 500)
    expect(await keeping({ headers: { origin } })).toBe('no-store, private')
  })

  test('503 with the platform’s words, told to the page, when there is no ticket', async () => {
    const { ask, keeper } = house()
    keeper.failure = new ZhongkongError('token_unavailable', 'refused', { retryAfterSeconds: 9 })
    const told = await ask(at('weixin', page), { headers: { origin }, peer: remote })
    expect([told.status, told.headers.get('retry-after')]).toEqual([503, '9'])
    expect(told.headers.get('access-control-allow-origin')).toBe(origin)
    expect(told.headers.get('cache-control')).toBe('no-store, private')
  })

  test('500 and a word in the log when something breaks in us', async () => {
    const { ask, keeper, faults } = house()
    keeper.failure = new TypeError('broken')
    expect((await ask(at('weixin', page), { peer: remote })).status).toBe(500)
    expect(faults).toHaveLength(1)
  })
})

describe('OPTIONS', () => {
  const preflight = async (name: string, from: string): Promise<Told> =>
    await asked(`/v1/jssdk/${name}`, { method: 'OPTIONS', headers: { origin: from } })

  test('204 for a page of the domains; a key is not among the headers that it may send', async () => {
    const told = await preflight('weixin', origin)
    expect(told.status).toBe(204)
    expect(told.headers.get('access-control-allow-origin')).toBe(origin)
    expect(told.headers.get('access-control-allow-methods')).toBe('GET')
    expect(told.headers.get('access-control-allow-headers')).not.toMatch(/authorization/i)
  })

  test('403 for any other page, and for any other source alike', async () => {
    const told = [
      await preflight('weixin', 'https://evil.cn'),
      await preflight('corp', origin),
      await preflight('x', origin),
    ]
    expect(told.map(({ status }) => status)).toEqual([403, 403, 403])
    expect(new Set(told.map(({ text }) => text)).size).toBe(1)
    for (const { headers } of told) expect(headers.has('access-control-allow-origin')).toBe(false)
  })
})
