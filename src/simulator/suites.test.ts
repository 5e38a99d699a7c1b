/** Third-party apps as their platforms play them: what is pushed when, what is good once, and how each refuses. */
import { describe, expect, it } from 'vitest'
import { aesKey, callbackOf, encryptKey, post } from '../../test/callbacks/platform.ts'
import { manualClock, noon, seededRandom, type ManualClock } from '../../test/simulator/stage.ts'
import { receive } from '../callbacks/receive.ts'
import { Secret } from '../base/secret.ts'
import type { Message } from '../model/message.ts'
import type { CallbackScheme } from '../model/source.ts'
import { createSimulator, type AccountSettings, type Simulator } from './simulator.ts'

const callback = (key: string) => ({ url: 'http://me.test/callback?x=1', token: 'AAAAA', key })
const apps: readonly (readonly [CallbackScheme, AccountSettings & { readonly id: string }])[] = [
  ['wecom', { kind: 'wecom-suite', id: 'ww_s', secret: 's', callback: callback(aesKey) }],
  ['dingtalk', { kind: 'dingtalk-suite', id: 'suite1', secret: 's', callback: callback(aesKey) }],
  ['feishu', { kind: 'feishu-store', id: 'cli_s', secret: 's', callback: callback(encryptKey) }],
]

type Bench = {
  readonly simulator: Simulator
  readonly clock: ManualClock
  readonly received: Request[]
  /** What the receiver answers. */
  answer: () => Response
  readonly ask: (path: string, body?: unknown) => Promise<Record<string, unknown>>
}

function bench(accounts: readonly AccountSettings[] = apps.map(([, account]) => account)): Bench {
  const clock = manualClock(noon)
  const received: Request[] = []
  const send = (request: Request): Promise<Response> => {
    received.push(request)
    return Promise.resolve(made.answer())
  }
  const simulator = createSimulator({ clock, random: seededRandom(1), accounts, send })
  const made: Bench = {
    simulator,
    clock,
    received,
    answer: () => new Response('success'),
    ask: async (path, body) => {
      const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
      const response = await simulator.fetch(new Request(`http://up.test${path}`, init))
      return (await response.json()) as Record<string, unknown>
    },
  }
  return made
}

async function opened(scheme: CallbackScheme, receiveId: string, request: Request): Promise<Message> {
  const key = new Secret(scheme === 'feishu' ? encryptKey : aesKey)
  const target = callbackOf(scheme, { receiveIds: [receiveId], aesKey: key })
  const url = new URL(request.url)
  expect(url.searchParams.get('x')).toBe('1')
  url.searchParams.delete('x')
  const header = (name: string): string | null => request.headers.get(name)
  const received = receive(target, post(url.search, await request.text(), { header }), noon)
  if (!('message' in received)) throw new Error(JSON.stringify(received))
  return received.message
}

describe.each(apps)('pushes by %s', (scheme, account) => {
  it('are what a receiver believes, of the ticket and of an organisation', async () => {
    const { simulator, received } = bench([account])
    await simulator.pushDue()
    simulator.install(account.id, 'org1')
    await simulator.pushDue()
    simulator.uninstall(account.id, 'org1')
    await simulator.pushDue()
    const messages = await Promise.all(
      [...new Set(received)].map((request) => opened(scheme, account.id, request.clone())),
    )
    const events = [...new Set(messages.map(({ event }) => event))]
    expect(events).toEqual(
      {
        wechat: [],
        wecom: ['suite_ticket', 'create_auth', 'cancel_auth'],
        dingtalk: ['suite_ticket', 'tmp_auth_code', 'suite_relieve'],
        feishu: ['app_ticket', 'app_open', 'app_uninstalled'],
      }[scheme],
    )
    expect(messages.every(({ createdAt }) => createdAt === noon)).toBe(true)
  })

  it('come at the pace of the platform', async () => {
    const { simulator, received, clock } = bench([{ ...account, knobs: { pushSeconds: 60 } }])
    const isDingtalk = scheme === 'dingtalk'
    for (let seconds = 0; seconds <= 300; seconds += 10) {
      await simulator.pushDue()
      await clock.advance(10_000)
    }
    // DingTalk takes no plain `success` and sends each three times.
    expect(received).toHaveLength(isDingtalk ? 18 : 6)
  })

  it('are sent three times in all, and then lost', async () => {
    const at = bench([account])
    at.answer = () => new Response('no', { status: 503 })
    expect(await at.simulator.pushDue()).toEqual({ taken: 0, lost: 1 })
    expect(at.received).toHaveLength(3)
    expect(await at.simulator.pushDue()).toEqual({ taken: 0, lost: 0 })
  })

  it('are not made for an app that names no address, though its tickets are good', async () => {
    const { kind, id, secret } = account as { kind: 'wecom-suite'; id: string; secret: string }
    const { simulator, received } = bench([{ kind, id, secret }])
    simulator.makeTicket(id)
    expect(await simulator.pushDue()).toEqual({ taken: 0, lost: 0 })
    expect(received).toEqual([])
  })
})

describe('a receiver that never answers', () => {
  it('is given five seconds each time', async () => {
    const [[, wecom]] = apps as [(typeof apps)[0]]
    const clock = manualClock(noon)
    let calls = 0
    const send = (): Promise<Response> => {
      calls += 1
      return new Promise(() => undefined)
    }
    const simulator = createSimulator({ clock, random: seededRandom(1), accounts: [wecom], send })
    const pushed = simulator.pushDue()
    await clock.advance(5_100)
    expect(calls).toBe(2)
    await clock.advance(10_000)
    expect(await pushed).toEqual({ taken: 0, lost: 1 })
    expect(calls).toBe(3)
  })
})

describe('WeCom', () => {
  const suite = '/wecom/cgi-bin/service/get_suite_token'
  const code = (answer: Record<string, unknown>): unknown => answer.errcode

  it('refuses a suite in its own order', async () => {
    const { ask, simulator } = bench()
    expect(code(await ask(suite, {}))).toBe(41021)
    expect(code(await ask(suite, { suite_id: 'no' }))).toBe(40083)
    expect(code(await ask(suite, { suite_id: 'ww_s', suite_secret: 'no' }))).toBe(40080)
    expect(code(await ask(suite, { suite_id: 'ww_s', suite_secret: 's', suite_ticket: 'no' }))).toBe(40085)
    const ticket = simulator.makeTicket('ww_s')
    expect(await ask(suite, { suite_id: 'ww_s', suite_secret: 's', suite_ticket: ticket })).toMatchObject({
      errcode: 0,
    })
  })

  it('takes a ticket for half an hour, and the one before it as well', async () => {
    const { ask, simulator, clock } = bench()
    const first = simulator.makeTicket('ww_s')
    await clock.advance(600_000)
    const second = simulator.makeTicket('ww_s')
    const taken = async (ticket: string): Promise<unknown> =>
      code(await ask(suite, { suite_id: 'ww_s', suite_secret: 's', suite_ticket: ticket }))
    expect([await taken(first), await taken(second)]).toEqual([0, 0])
    await clock.advance(1_200_000)
    expect([await taken(first), await taken(second)]).toEqual([40085, 0])
  })

  it('takes a code once, for twenty minutes, and the newest permanent code only', async () => {
    const { ask, simulator, clock } = bench()
    const ticket = simulator.makeTicket('ww_s')
    const { suite_access_token } = await ask(suite, { suite_id: 'ww_s', suite_secret: 's', suite_ticket: ticket })
    const call = (path: string, body: unknown): Promise<Record<string, unknown>> =>
      ask(`/wecom/cgi-bin/service/${path}?suite_access_token=${String(suite_access_token)}`, body)
    const auth_code = simulator.install('ww_s', 'ww9')
    const first = await call('get_permanent_code', { auth_code })
    expect(first).toMatchObject({ auth_corp_info: { corpid: 'ww9' }, expires_in: 7_200 })
    expect(code(await call('get_permanent_code', { auth_code }))).toBe(40078)
    const permanent_code = first.permanent_code
    expect(await call('get_corp_token', { auth_corpid: 'ww9', permanent_code })).toMatchObject({
      access_token: first.access_token,
    })
    const late = simulator.install('ww_s', 'ww8')
    await clock.advance(1_200_000)
    expect(code(await call('get_permanent_code', { auth_code: late }))).toBe(40078)
    expect(simulator.resetCode('ww_s', 'ww9')).toBe(true)
    expect(code(await call('get_corp_token', { auth_corpid: 'ww9', permanent_code }))).toBe(40084)
    expect(simulator.uninstall('ww_s', 'ww9')).toBe(true)
    expect(code(await call('get_corp_token', { auth_corpid: 'ww9', permanent_code }))).toBe(48004)
    expect(simulator.accepts(String(first.access_token))).toBe(false)
    expect([simulator.uninstall('ww_s', 'ww9'), simulator.resetCode('ww_s', 'ww9')]).toEqual([false, false])
  })

  it('sends who opens the page of a suite back with a code', async () => {
    const { ask, simulator } = bench()
    const ticket = simulator.makeTicket('ww_s')
    const { suite_access_token } = await ask(suite, { suite_id: 'ww_s', suite_secret: 's', suite_ticket: ticket })
    const path = `/wecom/cgi-bin/service/get_pre_auth_code?suite_access_token=${String(suite_access_token)}`
    const { pre_auth_code } = await ask(path)
    const query = {
      suite_id: 'ww_s',
      pre_auth_code: String(pre_auth_code),
      redirect_uri: 'http://me.test/b?a=1',
      state: 'x&y',
    }
    const page = `http://up.test/wecom/3rdapp/install?${new URLSearchParams({ ...query, corp: 'ww7' }).toString()}`
    const response = await simulator.fetch(new Request(page))
    const back = new URL(response.headers.get('location') ?? '')
    expect([response.status, back.origin, back.searchParams.get('a'), back.searchParams.get('state')]).toEqual([
      302,
      'http://me.test',
      '1',
      'x&y',
    ])
    const exchange = `/wecom/cgi-bin/service/get_permanent_code?suite_access_token=${String(suite_access_token)}`
    const redeemed = await ask(exchange, { auth_code: back.searchParams.get('auth_code') })
    expect(redeemed).toMatchObject({ auth_corp_info: { corpid: 'ww7' } })
  })
})

describe('DingTalk and Feishu', () => {
  it('take the newest ticket only', async () => {
    const { ask, simulator } = bench()
    const ding = async (ticket: string): Promise<unknown> =>
      (
        await ask('/dingtalk/v1.0/oauth2/suiteAccessToken', {
          suiteKey: 'suite1',
          suiteSecret: 's',
          suiteTicket: ticket,
        })
      ).code
    const feishu = async (ticket: string): Promise<unknown> =>
      (
        await ask('/feishu/open-apis/auth/v3/app_access_token', {
          app_id: 'cli_s',
          app_secret: 's',
          app_ticket: ticket,
        })
      ).code
    const [first, other] = [simulator.makeTicket('suite1'), simulator.makeTicket('cli_s')]
    expect([await ding(first), await feishu(other)]).toEqual([undefined, 0])
    simulator.makeTicket('suite1')
    simulator.makeTicket('cli_s')
    expect([await ding(first), await feishu(other)]).toEqual(['invalidSuiteTicket', 10012])
  })
})

describe('the control API', () => {
  it('does to third-party apps what the methods do', async () => {
    const { ask, simulator } = bench()
    expect(await ask('/_simulator/install', { account: 'ww_s', organisation: 'ww9' })).toMatchObject({
      code: expect.stringMatching(/^auth_/) as string,
    })
    expect(await ask('/_simulator/reset-code', { account: 'ww_s', organisation: 'ww9' })).toEqual({ ok: true })
    expect(await ask('/_simulator/change-auth', { account: 'ww_s', organisation: 'ww9' })).toEqual({ ok: true })
    expect(await ask('/_simulator/uninstall', { account: 'ww_s', organisation: 'ww9' })).toEqual({ ok: true })
    expect(await ask('/_simulator/uninstall', { account: 'ww_s', organisation: 'ww9' })).toMatchObject({
      error: { code: 'not_found' },
    })
    expect(await ask('/_simulator/ticket', { account: 'ww_s' })).toEqual({ ticket: expect.any(String) })
    expect(await ask('/_simulator/ticket', { account: 'nobody' })).toMatchObject({ error: { code: 'not_found' } })
    expect(await ask('/_simulator/push', {})).toMatchObject({ lost: 1 })
    expect(simulator.state().accounts).toHaveLength(3)
  })
})
