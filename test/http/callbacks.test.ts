/** What platforms and operators see of callbacks over HTTP. */
import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/base/secret.ts'
import { sortedSha1 } from '../../src/callbacks/signature.ts'
import { aesKey, nowSeconds, receiveId, sealedXml, target, textMessage, token } from '../callbacks/platform.ts'
import { client, openHouse, remote, type Visitor } from './visitor.ts'

describe('GET /callback/{name}', () => {
  // Two official examples, and the token they are signed with.
  const vectors = [
    {
      token: 'AAAAA',
      timestamp: '1714036504',
      nonce: '1514711492',
      signature: 'f464b24fc39322e44b38aa78f5edd27bd1441696',
    },
    { token: 'test', timestamp: '1410685589', nonce: 'test', signature: 'f21891de399b4e33a1a93c9a7b8a8fffb5a443ff' },
    {
      token: 'AAAAA',
      timestamp: '1714037059',
      nonce: '486452656',
      signature: '899cf89e464efb63f54ddac96b0a0a235f53aa78',
    },
  ]
  const house = (token: string, maxAgeSeconds = 300) =>
    openHouse({
      sources: [{ name: 'oa', callback: { token: new Secret(token), maxAgeSeconds } }, { name: 'plain' }],
      clients: [client('shop', 'shop-key')],
    })

  test.each(vectors)('200 with echostr as it came, for the official signature at $timestamp', async (vector) => {
    const { ask, keeper } = house(vector.token)
    keeper.now = Number(vector.timestamp) * 1_000 + 299_000
    const { timestamp, nonce, signature } = vector
    const query = `signature=${signature}&timestamp=${timestamp}&nonce=${nonce}&echostr=4375120948345356249%3Cb%3E%2B`
    const told = await ask(`/callback/oa?${query}`, { peer: remote })
    expect([told.status, told.text]).toEqual([200, '4375120948345356249<b>+'])
    expect(told.headers.get('content-type')).toBe('text/plain; charset=utf-8')
  })

  test('403, the same for all, for whatever is wrong', async () => {
    const { ask, keeper } = house('AAAAA')
    const now = String(Math.floor(keeper.now / 1_000))
    const signed = (timestamp: string, token = 'AAAAA') =>
      `signature=${sortedSha1([token, timestamp, 'n'])}&timestamp=${timestamp}&nonce=n`
    expect((await ask(`/callback/oa?${signed(now)}&echostr=e`)).status).toBe(200)
    const late = String(Number(now) - 301)
    const wrong = [
      `/callback/oa?${signed(now)}`,
      `/callback/oa?${signed(now, 'BBBBB')}&echostr=e`,
      `/callback/oa?${signed(late)}&echostr=e`,
      `/callback/oa?${signed('not-a-time')}&echostr=e`,
      `/callback/oa?${signed(now)}&echostr=e&echostr=f`,
      `/callback/oa?timestamp=${now}&nonce=n&echostr=e`,
      `/callback/oa?signature=&timestamp=${now}&nonce=n&echostr=e`,
      `/callback/plain?${signed(now)}&echostr=e`,
      `/callback/nothing?${signed(now)}&echostr=e`,
      `/callback/nothing?signature=${sortedSha1(['', now, 'n'])}&timestamp=${now}&nonce=n&echostr=e`,
    ]
    const answers = new Set<string>()
    for (const path of wrong) {
      const told = await ask(path)
      expect([path, told.status]).toEqual([path, 403])
      answers.add(told.text)
    }
    expect(answers.size).toBe(1)
  })

  test('200 for an old timestamp when no freshness is asked for', async () => {
    const { ask } = house('test', 0)
    const { timestamp, nonce, signature } = vectors[1]!
    const told = await ask(`/callback/oa?signature=${signature}&timestamp=${timestamp}&nonce=${nonce}&echostr=e`)
    expect(told.status).toBe(200)
  })
})

describe('POST /callback/{name}', () => {
  const house = (forward: readonly string[] = []): Visitor => {
    const callback = {
      token: new Secret(token),
      aesKey: new Secret(aesKey),
      receiveIds: [receiveId],
      forward: forward.map((to) => target(to)),
    }
    const visitor = openHouse({
      sources: [{ name: 'oa', callback }, { name: 'plain' }],
      clients: [client('admin', 'admin-key', { admin: true })],
    })
    visitor.keeper.now = nowSeconds * 1_000
    return visitor
  }
  const send = async ({ ask }: Visitor, request = sealedXml(textMessage('private words')), name = 'oa') =>
    await ask(`/callback/${name}${request.search}`, { method: 'POST', body: request.body.toString(), peer: remote })

  test('200 with what the platform expects, for a message that nobody wants', async () => {
    const told = await send(house())
    expect([told.status, told.text]).toEqual([200, 'success'])
  })

  test('200 with the answer of the receiver, byte for byte, also an empty one', async () => {
    for (const answer of [Buffer.from('<xml>\u4f60</xml>'), Buffer.alloc(0)]) {
      const visitor = house(['http://php/'])
      visitor.answer = () => new Response(answer, { headers: { 'content-type': 'text/xml' } })
      const told = await send(visitor)
      expect([told.status, told.text, told.headers.get('content-type')]).toEqual([200, answer.toString(), 'text/xml'])
    }
  })

  test('403, the same for all, and for sources that are not there', async () => {
    const visitor = house()
    const texts = new Set<string>()
    for (const request of [
      sealedXml(textMessage('x'), { token: 'BBBBB' }),
      sealedXml(textMessage('x'), { receiveId: 'wx2' }),
      sealedXml(textMessage('x'), { timestamp: '1' }),
      sealedXml('no message'),
      { ...sealedXml(textMessage('x')), search: '' },
    ]) {
      for (const name of ['oa', 'plain', 'absent']) {
        const told = await send(visitor, request, name)
        expect([name, told.status]).toEqual([name, 403])
        texts.add(told.text)
      }
    }
    expect(texts.size).toBe(1)
  })

  test('413 for a body that is too large, whoever it is for', async () => {
    const visitor = house()
    const request = { ...sealedXml(textMessage('x')), body: Buffer.alloc(64 * 1_024 + 1, 'x') }
    expect((await send(visitor, request)).status).toBe(413)
    expect((await send(visitor, request, 'absent')).status).toBe(413)
  })

  test('503 while too much is being forwarded', async () => {
    const visitor = house(['http://php/'])
    visitor.answer = () => new Promise(() => undefined)
    const many = Array.from({ length: 128 }, (_, id) => send(visitor, sealedXml(textMessage('x', String(id)))))
    void Promise.all(many).catch(() => undefined)
    let status = 200
    for (let tries = 0; tries < 100 && status === 200; tries += 1) {
      await new Promise((resolve) => setImmediate(resolve))
      status = await Promise.race([
        send(visitor, sealedXml(textMessage('x', `more ${tries}`))).then((told) => told.status),
        new Promise<number>((resolve) => setImmediate(() => setImmediate(() => resolve(200)))),
      ])
    }
    expect(status).toBe(503)
  })

  test('200 with the last messages for an admin, and never a word of their content', async () => {
    const visitor = house(['http://php/wx?key=hidden'])
    visitor.answer = () => new Response('private answer')
    await send(visitor)
    await send(visitor, sealedXml(textMessage('x'), { token: 'BBBBB' }))
    const told = await visitor.ask('/v1/callbacks/oa', { key: 'admin-key' })
    expect(told.json).toEqual({
      name: 'oa',
      messages: [
        {
          at: nowSeconds,
          verdict: 'forwarded',
          type: 'text',
          event: null,
          account: receiveId,
          took_ms: 0,
          forwards: [{ to: 'http://php/wx', outcome: 'answered', status: 200, took_ms: 0 }],
        },
      ],
      refusals: [{ reason: 'signature', count: 1, last_at: nowSeconds }],
    })
    expect((await visitor.ask('/v1/callbacks/plain', { key: 'admin-key' })).json.messages).toEqual([])
    expect((await visitor.ask('/v1/callbacks/absent', { key: 'admin-key' })).status).toBe(404)
    const metrics = await visitor.ask('/metrics', { key: 'admin-key' })
    expect(metrics.text).toContain('zhongkong_callbacks_total{source="oa",verdict="forwarded"} 1')
    expect(metrics.text).toContain('zhongkong_callbacks_total{source="oa",verdict="refused"} 1')
  })
})
