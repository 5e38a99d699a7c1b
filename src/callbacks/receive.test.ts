import { describe, expect, it } from 'vitest'
import {
  aesKey,
  callbackOf,
  encryptKey,
  get,
  now,
  nowSeconds,
  plain,
  plainQuery,
  post,
  sealed,
  sealedDingtalk,
  sealedFeishu,
  sealedXml,
  textMessage,
  token,
} from '../../test/callbacks/platform.ts'
import { vectors } from '../../test/callbacks/vectors.ts'
import { Secret } from '../base/secret.ts'
import { receive, schemes, type Received } from './receive.ts'
import { seal, unseal } from './seal.ts'
import { isSigned, sortedSha1 } from './signature.ts'

const wechat = callbackOf('wechat')
const plainWechat = callbackOf('wechat', plain)
const wecom = callbackOf('wecom')
const dingtalk = callbackOf('dingtalk')
const feishu = callbackOf('feishu', { aesKey: new Secret(encryptKey) })

function messageOf(received: Received) {
  if (!('message' in received)) throw new Error(JSON.stringify(received))
  return received.message
}

const refused = (reason: string) => ({ refused: reason })

describe('the official examples', () => {
  const messages = vectors.aes.filter(
    ({ decrypted, msg_signature }) => msg_signature && decrypted.msg.includes('FromUserName'),
  )

  it.each(messages)('$name is received', (vector) => {
    const { timestamp = '', nonce = '', msg_signature = '', encrypt } = vector
    const body = vector.decrypted.msg.startsWith('{')
      ? JSON.stringify({ ToUserName: 'gh', Encrypt: encrypt })
      : `<xml><AppId><![CDATA[wx]]></AppId>\n<Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`
    for (const scheme of ['wechat', 'wecom'] as const) {
      const callback = callbackOf(scheme, {
        token: new Secret(vector.token),
        aesKey: new Secret(vector.encodingAesKey),
        receiveIds: ['other', vector.receiveId],
      })
      const received = receive(callback, post({ timestamp, nonce, msg_signature }, body), Number(timestamp) * 1_000)
      const { type, event, createdAt, raw, fields } = messageOf(received)
      expect(raw).toBe(vector.decrypted.msg)
      expect([type, event]).toEqual(raw.includes('debug_demo') ? ['event', 'debug_demo'] : ['text', null])
      expect(createdAt).toBe(Number(/CreateTime\D+(\d+)/.exec(raw)?.[1]) * 1_000)
      if (raw.includes('MsgId')) expect(fields.MsgId).toBe(/<MsgId>(\d+)/.exec(raw)?.[1])
    }
  })

  it.each(vectors.aes.filter(({ name }) => name.includes('echostr')))(
    '$name is answered as WeCom checks it',
    (vector) => {
      const { timestamp = '', nonce = '', msg_signature = '', encrypt: echostr } = vector
      const keys = { token: new Secret(vector.token), aesKey: new Secret(vector.encodingAesKey) }
      const callback = callbackOf('wecom', { ...keys, receiveIds: [vector.receiveId] })
      const at = Number(timestamp) * 1_000
      const answer = { check: { type: 'text/plain; charset=utf-8', body: vector.decrypted.msg } }
      expect(receive(callback, get({ msg_signature, timestamp, nonce, echostr }), at)).toMatchObject(answer)
      // With plus signs that nobody escaped.
      const search = `?msg_signature=${msg_signature}&timestamp=${timestamp}&nonce=${nonce}&echostr=${echostr}`
      expect(receive(callback, post(search, '', { method: 'GET' }), at)).toMatchObject(answer)
      expect(receive({ ...callback, receiveIds: ['ww2'] }, post(search, '', { method: 'GET' }), at)).toEqual(
        refused('foreign'),
      )
    },
  )

  it.each(vectors.sortedSha1.slice(2))('$name is answered as WeChat checks it', ({ values, signature }) => {
    const [signing = '', timestamp = '', nonce = ''] = values
    const callback = callbackOf('wechat', { token: new Secret(signing) })
    const query = { signature, timestamp, nonce, echostr: '4375120948345356249<b>+' }
    expect(receive(callback, get(query), Number(timestamp) * 1_000)).toMatchObject({ check: { body: query.echostr } })
    expect(receive({ ...callback, token: new Secret('B') }, get(query), Number(timestamp) * 1_000)).toEqual(
      refused('signature'),
    )
  })
})

describe('an encrypted source', () => {
  const text = textMessage('hello')

  it('takes what is signed and sealed for it', () => {
    expect(messageOf(receive(wechat, sealedXml(text), now))).toMatchObject({
      type: 'text',
      event: null,
      account: 'wx1',
      createdAt: now,
      raw: text,
      fields: { Content: 'hello', MsgId: '4561255354251345929' },
    })
  })

  it('does not take a plain body, though its plain signature is right', () => {
    expect(receive(wechat, post(plainQuery(), text), now)).toEqual(refused('plain'))
    expect(receive(wechat, post({ ...plainQuery(), encrypt_type: 'raw' }, text), now)).toEqual(refused('plain'))
    // Not even beside a ciphertext: a plain signature says nothing of that either.
    const { search, body } = sealedXml(text)
    const query = new URLSearchParams(search)
    query.delete('msg_signature')
    expect(receive(wechat, post(`?${query.toString()}`, body.toString()), now)).toEqual(refused('plain'))
    query.set('msg_signature', query.get('signature') ?? '')
    expect(receive(wechat, post(`?${query.toString()}`, body.toString()), now)).toEqual(refused('signature'))
  })

  it('believes the sealed one of two contents, and passes over what people wrote', () => {
    const { encrypt, query } = sealed(text)
    const both = `<xml><Content><![CDATA[<Encrypt>x</Encrypt>]]></Content><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>`
    expect(messageOf(receive(wechat, post(query, both), now)).raw).toBe(text)
    const json = JSON.stringify({ Content: 'other', Encrypt: encrypt })
    expect(messageOf(receive(wechat, post(query, json), now)).raw).toBe(text)
  })

  const { encrypt, query } = sealed(text)
  const xml = (inner: string) => `<xml>${inner}</xml>`
  const good = xml(`<Encrypt>${encrypt}</Encrypt>`)

  it.each<[string, Record<string, string> | string, string, string]>([
    ['no query', '', good, 'malformed'],
    ['no nonce', { ...query, nonce: '' }, good, 'malformed'],
    ['no signature', { ...query, msg_signature: '' }, good, 'malformed'],
    ['a signature that is none', { ...query, msg_signature: 'x'.repeat(40) }, good, 'malformed'],
    ['a timestamp that is none', { ...query, timestamp: '1e9' }, good, 'malformed'],
    ['a nonce that is endless', { ...query, nonce: 'n'.repeat(300) }, good, 'malformed'],
    ['a parameter twice', `?${new URLSearchParams(query).toString()}&nonce=n`, good, 'malformed'],
    ['another signature', { ...query, msg_signature: '0'.repeat(40) }, good, 'signature'],
    ['another nonce', { ...query, nonce: 'm' }, good, 'signature'],
    ['another timestamp', { ...query, timestamp: String(nowSeconds + 1) }, good, 'signature'],
    ['another ciphertext', query, xml(`<Encrypt>${encrypt.slice(4)}</Encrypt>`), 'signature'],
    ['two ciphertexts', query, xml(`<Encrypt>${encrypt}</Encrypt><Encrypt>${encrypt}</Encrypt>`), 'malformed'],
    ['no ciphertext', query, xml('<Content>x</Content>'), 'malformed'],
    ['no end of it', query, `<xml><Encrypt>${encrypt}`, 'malformed'],
    ['a list', query, '[1]', 'malformed'],
    ['JSON with another ciphertext', query, '{"Encrypt":["x"]}', 'malformed'],
    ['nothing', query, '', 'malformed'],
    ['bytes that are no text', query, '\u{fffd}', 'malformed'],
  ])('refuses %s', (_, search, body, reason) => {
    expect(receive(wechat, post(search, good), now)).toEqual(search === query ? expect.anything() : refused(reason))
    expect(receive(wechat, post(search, body), now)).toEqual(refused(reason))
  })

  it.each([
    [
      'what another key sealed',
      sealedXml(text, { key: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG' }),
      'undecipherable',
    ],
    ['what is sealed for another account', sealedXml(text, { receiveId: 'wx2' }), 'foreign'],
    ['what is sealed for nobody', sealedXml(text, { receiveId: '' }), 'foreign'],
    ['what another token signed', sealedXml(text, { token: 'BBBBB' }), 'signature'],
    ['what is neither XML nor JSON', sealedXml('hello'), 'unreadable'],
    ['a document type', sealedXml('<!DOCTYPE xml [<!ENTITY a "b">]><xml><C>&a;</C></xml>'), 'unreadable'],
    ['what is too old', sealedXml(text, { timestamp: String(nowSeconds - 301) }), 'late'],
    ['what is from the future', sealedXml(text, { timestamp: String(nowSeconds + 301) }), 'late'],
    ['what DingTalk would stamp', sealedXml(text, { timestamp: String(now) }), 'late'],
  ])('refuses %s', (_, request, reason) => {
    expect(receive(wechat, request, now)).toEqual(refused(reason))
  })

  it('looks at the age only where one is asked for', () => {
    const old = sealedXml(text, { timestamp: '1' })
    expect(receive(wechat, sealedXml(text, { timestamp: String(nowSeconds - 300) }), now)).toHaveProperty('message')
    expect(receive(callbackOf('wechat', { maxAgeSeconds: 0 }), old, now)).toHaveProperty('message')
  })

  it('decrypts nothing before the signature is right', () => {
    const spied = callbackOf('wechat')
    let revealed = 0
    const aes = Object.assign(new Secret(aesKey), { reveal: () => ((revealed += 1), aesKey) })
    const callback = { ...spied, aesKey: aes }
    expect(receive(callback, sealedXml(text, { token: 'BBBBB' }), now)).toEqual(refused('signature'))
    expect(receive(callback, sealedXml(text, { timestamp: '1' }), now)).toEqual(refused('late'))
    expect(revealed).toBe(0)
    expect(receive(callback, sealedXml(text), now)).toHaveProperty('message')
    expect(revealed).toBe(1)
  })
})

describe('a plain source', () => {
  const text = textMessage('<Encrypt>x</Encrypt>')

  it('takes XML and JSON by the plain signature, whatever people wrote', () => {
    expect(messageOf(receive(plainWechat, post(plainQuery(), text), now)).fields.Content).toBe('<Encrypt>x</Encrypt>')
    const event = { MsgType: 'event', Event: ' user_enter_tempsession ', CreateTime: nowSeconds, __proto__: { a: 1 } }
    expect(messageOf(receive(plainWechat, post(plainQuery(), JSON.stringify(event)), now))).toMatchObject({
      type: 'event',
      event: 'user_enter_tempsession',
      createdAt: now,
    })
  })

  it('refuses what is encrypted, badly signed or too old', () => {
    expect(receive(plainWechat, sealedXml(text), now)).toEqual(refused('encrypted'))
    expect(receive(plainWechat, post(plainQuery({ token: 'B' }), text), now)).toEqual(refused('signature'))
    expect(receive(plainWechat, post(plainQuery({ timestamp: '1' }), text), now)).toEqual(refused('late'))
    expect(receive(plainWechat, post(plainQuery(), 'hello'), now)).toEqual(refused('unreadable'))
    const body = Buffer.from([0x7b, 0xff, 0x7d])
    expect(receive(plainWechat, { ...post(plainQuery(), ''), body }, now)).toEqual(refused('malformed'))
  })
})

describe('what a message is about', () => {
  const about = (content: string, search = '') => {
    const request = sealedXml(`<xml>${content}</xml>`)
    const { event, account } = messageOf(receive(wechat, { ...request, search: request.search + search }, now))
    return [event, account]
  }

  it('is the authorizer, where one is named', () => {
    const ticket = '<AppId>wxC</AppId><InfoType> component_verify_ticket</InfoType>'
    expect(about(ticket)).toEqual(['component_verify_ticket', 'wxC'])
    expect(about(`${ticket}<AuthorizerAppid>wxA</AuthorizerAppid>`)[1]).toBe('wxA')
    expect(about('<SuiteId>s</SuiteId><AuthCorpId>ww</AuthCorpId>')[1]).toBe('ww')
  })

  it('is what the URL says, or the receiver, where the message itself says nothing', () => {
    expect(about('<Event>CLICK</Event>', '&appid=wxA')).toEqual(['CLICK', 'wxA'])
    expect(about('<Event>CLICK</Event>')).toEqual(['CLICK', 'wx1'])
  })
})

describe('WeCom', () => {
  it('takes nothing plain', () => {
    expect(receive(wecom, post(plainQuery(), textMessage('x')), now)).toEqual(refused('malformed'))
    expect(receive(wecom, get({ ...plainQuery(), echostr: 'x' }), now)).toEqual(refused('malformed'))
    expect(receive(wecom, sealedXml(textMessage('x')), now)).toHaveProperty('message')
  })
})

describe('DingTalk', () => {
  const event = JSON.stringify({ EventType: 'suite_ticket', SuiteKey: 's', TimeStamp: String(now), SuiteTicket: 't' })

  it('takes either name of each parameter, in milliseconds', () => {
    const request = sealedDingtalk(event)
    const about = { event: 'suite_ticket', account: 's', createdAt: now, type: null }
    expect(messageOf(receive(dingtalk, request, now))).toMatchObject(about)
    const search = request.search.replace('timestamp', 'timeStamp').replace('signature', 'msg_signature')
    expect(messageOf(receive(dingtalk, { ...request, search }, now))).toMatchObject(about)
    expect(receive(dingtalk, sealedDingtalk(event, { timestamp: String(now - 301_000) }), now)).toEqual(refused('late'))
    expect(receive(dingtalk, { ...request, method: 'GET' }, now)).toEqual(refused('malformed'))
  })

  it('checks the URL by an event, and is answered with an encrypted word', () => {
    expect(receive(dingtalk, sealedDingtalk('{"EventType":"check_url"}'), now)).toMatchObject({ check: null })
    const random = (bytes: number) => new Uint8Array(bytes).fill(7)
    const { type, body } = schemes.dingtalk.acknowledge(dingtalk, { now, random })
    const { msg_signature, timeStamp, nonce, encrypt } = JSON.parse(body as string) as Record<string, string>
    expect(type).toBe('application/json')
    expect(timeStamp).toBe(String(now))
    expect(unseal(encrypt!, aesKey)).toEqual({ text: 'success', receiveId: 'wx1' })
    expect(isSigned(msg_signature!, [token, timeStamp!, nonce!, encrypt!])).toBe(true)
  })

  it('is answered like the public example, byte for byte', () => {
    const {
      decrypted,
      encodingAesKey: key,
      receiveId,
      encrypt,
      timestamp,
      nonce,
      msg_signature,
    } = vectors.aes.find(({ name }) => name === 'dingtalk_o2oa')!
    expect(seal('success', { key, receiveId, random: Buffer.from(decrypted.random16) })).toBe(encrypt)
    expect(sortedSha1(['o2oa', timestamp!, nonce!, encrypt])).toBe(msg_signature)
  })
})

describe('Feishu', () => {
  const header = { event_id: 'e1', token, event_type: 'im.message', app_id: 'cli_1', create_time: String(now) }
  const event = { schema: '2.0', header, event: {} }
  const older = {
    ts: '1800000000.123',
    uuid: 'u',
    token,
    type: 'event_callback',
    event: { type: 'app_ticket', app_id: 'cli_1', app_ticket: 't' },
  }
  const challenge = { type: 'url_verification', challenge: 'c', token }
  const plainFeishu = callbackOf('feishu', plain)
  const json = (value: unknown) => post('', JSON.stringify(value))

  it('takes both generations of events, signed in the headers', () => {
    const about = { account: 'cli_1' }
    expect(messageOf(receive(feishu, sealedFeishu(event), now))).toMatchObject({
      ...about,
      event: 'im.message',
      createdAt: now,
    })
    expect(messageOf(receive(feishu, sealedFeishu(older), now))).toMatchObject({
      ...about,
      event: 'app_ticket',
      createdAt: now + 123,
    })
  })

  it('is refused without a signature, with another, too old, or with another token', () => {
    expect(receive(feishu, sealedFeishu(event, { isSigned: false }), now)).toEqual(refused('signature'))
    expect(receive(feishu, sealedFeishu(event, { key: 'other' }), now)).toEqual(refused('signature'))
    expect(receive(feishu, sealedFeishu(event, { key: 'other', isSigned: false }), now)).toEqual(
      refused('undecipherable'),
    )
    expect(receive(feishu, sealedFeishu(event, { timestamp: nowSeconds - 301 }), now)).toEqual(refused('late'))
    expect(receive(feishu, sealedFeishu({ ...event, header: { ...header, token: 'B' } }), now)).toEqual(
      refused('signature'),
    )
    const request = sealedFeishu(event)
    const body = Buffer.concat([request.body, Buffer.from(' ')])
    expect(receive(feishu, { ...request, body }, now)).toEqual(refused('signature'))
    expect(receive(feishu, json(event), now)).toEqual(refused('plain'))
  })

  it('checks the URL, signed or not, with the right token', () => {
    const answer = { check: { type: 'application/json', body: '{"challenge":"c"}' } }
    expect(receive(feishu, sealedFeishu(challenge), now)).toMatchObject(answer)
    expect(receive(feishu, sealedFeishu(challenge, { isSigned: false }), now)).toMatchObject(answer)
    expect(receive(plainFeishu, json(challenge), now)).toMatchObject(answer)
    for (const wrong of [
      { ...challenge, token: 'B' },
      { ...challenge, token: undefined },
    ]) {
      expect(receive(feishu, sealedFeishu(wrong, { isSigned: false }), now)).toEqual(refused('signature'))
      expect(receive(plainFeishu, json(wrong), now)).toEqual(refused('signature'))
    }
    expect(receive(plainFeishu, json({ ...challenge, challenge: {} }), now)).toEqual(refused('malformed'))
  })

  it('is believed by its token alone where there is no key', () => {
    expect(messageOf(receive(plainFeishu, json(event), now))).toMatchObject({ event: 'im.message' })
    expect(receive(plainFeishu, json({ ...event, header: { ...header, token: 'B' } }), now)).toEqual(
      refused('signature'),
    )
    expect(receive(plainFeishu, json({ ...event, header: 'x', token: 'B' }), now)).toEqual(refused('signature'))
    // A byte order mark is a space to JavaScript.
    expect(receive(plainFeishu, json({ ...event, header: { token: `\ufeff${token}` } }), now)).toEqual(
      refused('signature'),
    )
    expect(receive(plainFeishu, sealedFeishu(event), now)).toEqual(refused('encrypted'))
  })
})
