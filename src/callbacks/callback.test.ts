import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  aesKey,
  callbackOf,
  get,
  plain,
  plainQuery,
  post,
  sealedDingtalk,
  sealedFeishu,
  sealedXml,
  target,
  textMessage,
} from '../../test/callbacks/platform.ts'
import { sourceOf } from '../../test/http/fake-keeper.ts'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import type { Env } from '../base/env.ts'
import { Secret } from '../base/secret.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import type { Message } from '../model/message.ts'
import type { Callback, Source } from '../model/source.ts'
import { answerMsMax, createCallbacks, type Callbacks, type Hear, type Reply } from './callback.ts'
import { unseal } from './seal.ts'

type Told = { readonly url: string; readonly headers: Headers; readonly method: string; readonly body: string }
type Receiver = (request: Request) => Promise<Response> | Response

let clock: VirtualClock
let told: Told[]
let receivers: Record<string, Receiver>
let heard: Message[]
let hear: Hear
let events: ZhongkongEvent[]
let counts: string[]
let callbacks: Callbacks

beforeEach(() => {
  clock = new VirtualClock()
  told = []
  receivers = {}
  heard = []
  hear = async (_source, message) => (heard.push(message), false)
  events = []
  counts = []
  let dice = 0
  const env: Env = {
    clock,
    random: { next: () => 0.5, bytes: (length) => Uint8Array.from({ length }, () => (dice += 1) % 251) },
    fetch: async (request) => {
      const { url, headers, method } = request
      told.push({ url, headers, method, body: await request.clone().text() })
      const receiver = receivers[new URL(url).host]
      if (receiver === undefined) throw new TypeError('fetch failed')
      return await receiver(request)
    },
  }
  callbacks = createCallbacks({
    env,
    hear: (source, message) => hear(source, message),
    emit: (event) => events.push(event),
    count: (source, verdict) => counts.push(`${source ?? '-'} ${verdict}`),
  })
})

afterEach(async () => {
  await clock.until(callbacks.settle())
  expect(clock.sleeping).toBe(0)
})

const at = () => ({ timestamp: String(Math.floor(clock.now() / 1_000)) })
const sourceWith = (callback: Callback): Source => ({ ...sourceOf({ name: 'oa' }), callback })
const wechat = (...forward: Callback['forward']) => sourceWith(callbackOf('wechat', { forward }))
const text = (reply: Reply | null) => (reply === null ? null : Buffer.from(reply.body).toString())
const take = async (source: Source | undefined, request: Parameters<Callbacks['take']>[1]) =>
  text(await clock.until(callbacks.take(source, request)))
const silent: Receiver = () => new Promise<Response>(() => undefined)
const messages = () => callbacks.journal.messages('oa')

describe('a message that is for this server', () => {
  it('is kept once and acknowledged, also when it is sent again', async () => {
    hear = async (_source, message) => heard.push(message) > 0
    const source = wechat(target('http://php/'))
    const request = sealedXml(textMessage('ticket'), at())
    expect(await take(source, request)).toBe('success')
    expect(await take(source, request)).toBe('success')
    expect(await take(source, sealedXml(textMessage('ticket'), at()))).toBe('success')
    expect([heard.length, told.length]).toEqual([1, 0])
    expect(counts).toEqual(['oa taken', 'oa repeated', 'oa repeated'])
  })

  it('is not acknowledged when it could not be kept, and kept when it is sent again', async () => {
    hear = () => Promise.reject(new Error('the store is full'))
    const request = sealedXml(textMessage('ticket'), at())
    await expect(take(wechat(), request)).rejects.toThrow('the store is full')
    hear = async () => true
    expect(await take(wechat(), request)).toBe('success')
    expect(counts).toEqual(['oa failed', 'oa taken'])
  })

  it('is not acknowledged when keeping it takes too long', async () => {
    hear = () => new Promise(() => undefined)
    const request = sealedXml(textMessage('ticket'), at())
    const startedAt = clock.monotonic()
    await expect(take(wechat(), request)).rejects.toThrow(/4500 ms/)
    expect(clock.monotonic() - startedAt).toBeLessThan(5_000)
    hear = async () => true
    expect(await take(wechat(), request)).toBe('success')
  })

  it('is kept once when it is sent again meanwhile', async () => {
    let keep: (() => void) | undefined
    hear = (_source, message) => new Promise((resolve) => (heard.push(message), (keep = () => resolve(true))))
    const request = sealedXml(textMessage('ticket'), at())
    const both = [callbacks.take(wechat(), request), callbacks.take(wechat(), request)]
    await clock.pass(1_000)
    keep?.()
    expect((await clock.until(Promise.all(both))).map(text)).toEqual(['success', 'success'])
    expect(heard.length).toBe(1)
  })
})

describe('a message for others', () => {
  it('is forwarded as it came, and the answer passed back as it came', async () => {
    const answer = Buffer.from([0x3c, 0xb0, 0xa1, 0x3e])
    receivers.php = () => new Response(answer, { headers: { 'content-type': 'text/xml; charset=gbk' } })
    const request = {
      ...sealedXml(textMessage('hello'), at()),
      header: (name: string) => (name === 'cookie' ? 'x' : name === 'content-type' ? 'text/xml' : null),
    }
    const reply = await clock.until(callbacks.take(wechat(target('http://php/wx.php?a=b')), request))
    expect(reply).toEqual({ type: 'text/xml; charset=gbk', body: answer })
    expect(told).toHaveLength(1)
    const [{ url, method, body, headers }] = told as [Told]
    expect([url, method, body]).toEqual([
      `http://php/wx.php?a=b&${request.search.slice(1)}`,
      'POST',
      request.body.toString(),
    ])
    expect([headers.get('content-type'), headers.get('cookie')]).toEqual(['text/xml', null])
    expect(messages()).toMatchObject([
      { verdict: 'forwarded', type: 'text', forwards: [{ to: 'http://php/wx.php', outcome: 'answered', status: 200 }] },
    ])
  })

  it('goes with the headers that Feishu signs', async () => {
    receivers.java = () => new Response('{"code":0}')
    const source = sourceWith(
      callbackOf('feishu', { ...plain, aesKey: new Secret('feishu-encrypt-key'), forward: [target('http://java/')] }),
    )
    const event = { header: { token: 'AAAAA', event_type: 'x' } }
    const request = sealedFeishu(event, { timestamp: Math.floor(clock.now() / 1_000) })
    expect(await take(source, request)).toBe('{"code":0}')
    expect(told[0]!.headers.get('x-lark-signature')).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is answered by the first that wants it, and told to all the others', async () => {
    receivers.first = () => new Response('from the first')
    receivers.second = () => new Response('from the second')
    const source = wechat(
      target('http://no/', { types: ['image'] }),
      target('http://no/', { events: ['subscribe'] }),
      target('http://no/', { accounts: ['wx2'] }),
      target('http://first/', { types: ['text', 'event'], accounts: ['wx1'] }),
      target('http://second/'),
    )
    expect(await take(source, sealedXml(textMessage('hello'), at()))).toBe('from the first')
    expect(told.map(({ url }) => new URL(url).host)).toEqual(['first', 'second'])
  })

  it('is acknowledged when nobody wants it', async () => {
    expect(await take(wechat(target('http://no/', { types: ['image'] })), sealedXml(textMessage('x'), at()))).toBe(
      'success',
    )
    expect(counts).toEqual(['oa ignored'])
    expect(events).toEqual([])
  })

  it('is not waited for beyond the first answer, and the others still hear it', async () => {
    let late: ((response: Response) => void) | undefined
    receivers.first = () => new Response('quick')
    receivers.second = () => new Promise((resolve) => (late = resolve))
    const startedAt = clock.monotonic()
    const source = wechat(target('http://first/'), target('http://second/'))
    expect(await take(source, sealedXml(textMessage('x'), at()))).toBe('quick')
    expect(clock.monotonic() - startedAt).toBeLessThan(100)
    expect(messages()[0]!.forwards).toEqual([])
    const settled = callbacks.settle()
    late?.(new Response('ok'))
    await clock.until(settled)
    expect(messages()[0]!.forwards.map(({ outcome }) => outcome)).toEqual(['answered', 'answered'])
  })

  const unanswered: readonly (readonly [string, Receiver, object])[] = [
    ['does not answer', silent, { outcome: 'late', status: null }],
    ['cannot be reached', () => Promise.reject(new TypeError('fetch failed')), { outcome: 'failed', status: null }],
    ['fails', () => new Response('oops', { status: 502 }), { outcome: 'refused', status: 502 }],
    [
      'points elsewhere',
      () => new Response(null, { status: 302, headers: { location: 'http://metadata/' } }),
      { outcome: 'refused', status: 302 },
    ],
    ['answers without an end', () => new Response(endless()), { outcome: 'too-large', status: 200 }],
    ['answers and then stops', () => new Response(stuck()), { outcome: 'late', status: null }],
    ['answers and then breaks', () => new Response(broken()), { outcome: 'failed', status: null }],
  ]

  it.each(unanswered)(
    'is acknowledged in time when its receiver %s, and not told to it again',
    async (_, receiver, forward) => {
      receivers.php = receiver
      const source = wechat(target('http://php/wx?token=secret'))
      const startedAt = clock.monotonic()
      const request = sealedXml(textMessage('hello'), at())
      expect(await take(source, request)).toBe('success')
      expect(clock.monotonic() - startedAt).toBeLessThan(5_000)
      expect(await take(source, request)).toBe('success')
      expect(told.length).toBe(1)
      expect(messages().map(({ verdict }) => verdict)).toEqual(['repeated', 'unanswered'])
      expect(messages()[1]!.forwards).toEqual([expect.objectContaining({ to: 'http://php/wx', ...forward })])
      expect(events).toEqual([expect.objectContaining({ type: 'forward-failed', name: 'oa', to: 'http://php/wx' })])
    },
  )

  it('is acknowledged in the words of its platform', async () => {
    const source = sourceWith(callbackOf('dingtalk'))
    const told = await take(source, sealedDingtalk('{"EventType":"x"}', { timestamp: String(clock.now()) }))
    const { encrypt } = JSON.parse(told!) as { encrypt: string }
    expect(unseal(encrypt, aesKey)?.text).toBe('success')
  })

  it('is passed on once by a server that forwards to itself', async () => {
    const request = sealedXml(textMessage('round'), at())
    const source = wechat(target('http://self/'))
    receivers.self = async () => {
      const reply = await callbacks.take(source, request)
      return new Response(Buffer.from(reply?.body ?? ''))
    }
    expect(await take(source, request)).toBe('success')
    expect(told.length).toBe(1)
  })
})

describe('too much at once', () => {
  it('is refused for now, and taken when it is sent again', async () => {
    receivers.php = silent
    const source = wechat(target('http://php/'))
    const many = Array.from({ length: 128 }, (_, id) =>
      callbacks.take(source, sealedXml(textMessage('x', String(id)), at())),
    )
    await clock.pass(100)
    const request = sealedXml(textMessage('one more'), at())
    await expect(take(source, request)).rejects.toMatchObject({ code: 'overloaded' })
    // Another source has room.
    receivers.java = () => new Response('fine')
    const other = { ...wechat(target('http://java/')), name: 'other' }
    expect(await take(other, request)).toBe('fine')
    await clock.until(Promise.all(many))
    receivers.php = () => new Response('now')
    expect(await take(source, request)).toBe('now')
  })
})

describe('what is not believed', () => {
  it('is refused, counted, and told once in a while', async () => {
    const source = wechat()
    const wrong = () => sealedXml(textMessage('x'), { ...at(), token: 'BBBBB' })
    for (let times = 0; times < 5; times += 1) expect(await take(source, wrong())).toBeNull()
    expect(await take(source, sealedXml(textMessage('x'), { ...at(), receiveId: 'wx2' }))).toBeNull()
    expect(callbacks.journal.refusals('oa')).toMatchObject([
      { reason: 'signature', count: 5 },
      { reason: 'foreign', count: 1 },
    ])
    expect(events).toMatchObject([
      { type: 'callback-refused', reason: 'signature' },
      { type: 'callback-refused', reason: 'foreign' },
    ])
    await clock.pass(60_001)
    await take(source, wrong())
    expect(events).toHaveLength(3)
    expect([heard, messages()]).toEqual([[], []])
  })

  it('is what nobody configured; nothing is kept of it, not even its name', async () => {
    for (const source of [undefined, sourceOf({ name: 'plain' })]) {
      expect(await take(source, sealedXml(textMessage('x'), at()))).toBeNull()
    }
    expect(counts).toEqual(['- refused', '- refused'])
    expect([events, callbacks.journal.refusals('plain')]).toEqual([[], []])
  })

  it('is a plain signature on another body than its own', async () => {
    const source = sourceWith(callbackOf('wechat', plain))
    const query = plainQuery(at())
    expect(await take(source, post(query, textMessage('mine')))).toBe('success')
    expect(await take(source, post(query, textMessage('forged')))).toBeNull()
    expect(await take(source, post(query, textMessage('mine')))).toBe('success')
    expect(heard.map(({ fields }) => fields.Content)).toEqual(['mine'])
  })

  it('is the signature of a URL check on a body', async () => {
    const source = sourceWith(callbackOf('wechat', plain))
    const query = plainQuery(at())
    expect(await take(source, get({ ...query, echostr: 'e' }))).toBe('e')
    expect(await take(source, get({ ...query, echostr: 'e' }))).toBe('e')
    expect(await take(source, get({ ...query, echostr: 'f' }))).toBeNull()
    expect(await take(source, post(query, textMessage('forged')))).toBeNull()
    expect(heard).toEqual([])
    expect(callbacks.journal.refusals('oa')).toMatchObject([{ reason: 'replayed', count: 2 }])
  })

  it('is a message that is sent again after its time, though its signature is right', async () => {
    const request = sealedXml(textMessage('x'), at())
    expect(await take(wechat(), request)).toBe('success')
    await clock.pass(301_000)
    expect(await take(wechat(), request)).toBeNull()
    const ageless = sourceWith(callbackOf('wechat', { maxAgeSeconds: 0 }))
    expect(await take(ageless, request)).toBe('success')
    expect(heard).toHaveLength(1)
  })
})

describe('the journal', () => {
  it('keeps the last messages of each source, newest first, without content, its words cut', async () => {
    const event = (name: string) =>
      sealedXml(`<xml><MsgType>event</MsgType><Event>${name}</Event><Content>private</Content></xml>`, at())
    for (let id = 0; id < 60; id += 1) await take(wechat(), event(`e${id}`))
    await take({ ...wechat(), name: 'other' }, event('x'.repeat(500)))
    expect(messages()).toHaveLength(50)
    expect(messages()[0]).toMatchObject({ event: 'e59', account: 'wx1', verdict: 'ignored', at: clock.now() })
    expect(callbacks.journal.messages('other')[0]!.event).toBe('x'.repeat(64))
    expect(JSON.stringify(messages())).not.toContain('private')
  })

  it('keeps the last two hundred sources', async () => {
    for (let id = 0; id < 201; id += 1) {
      await take({ ...wechat(), name: `s${id}` }, sealedXml(textMessage('x'), { ...at(), token: 'B' }))
    }
    expect(callbacks.journal.refusals('s0')).toEqual([])
    expect(callbacks.journal.refusals('s200')).toHaveLength(1)
  })

  it('says how long an answer may take', () => {
    expect(answerMsMax).toBeLessThan(5_000)
  })
})

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(16_384)) })
}

function stuck(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(8)) })
}

function broken(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.error(new Error('reset')) })
}
