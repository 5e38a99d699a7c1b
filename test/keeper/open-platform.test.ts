/**
 * WeChat's Open Platform from an empty store: tickets that are pushed, accounts that authorise and withdraw, and what is
 * served of them; real nodes with their surfaces at the simulated platform, under a virtual clock.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAuthorising, type Authorising } from '../../src/authorising.ts'
import type { Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Keeper } from '../../src/keeper/keeper.ts'
import { openKeeper } from '../../src/keeper/open-keeper.ts'
import { issue, parseSource } from '../../src/providers/catalogue.ts'
import type { Journey } from '../../src/providers/provider.ts'
import { openStore } from '../../src/stores/open-store.ts'
import type { EntryStore } from '../../src/stores/store.ts'
import type { SourceAnswer } from '../../src/wire/v1.ts'
import { nowSeconds, sealedXml } from '../callbacks/platform.ts'
import { seededRandom } from '../simulator/stage.ts'
import { key, Towns, type Town } from './towns.ts'

const minute = 60_000
const hour = 60 * minute
const aesKey = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'

const account = {
  kind: 'wechat-component',
  id: 'wxc',
  secret: 'canary-wxc',
  offers: ['wx5', 'wx6'],
  callback: { url: 'http://hub.test/callback/platform', token: 'canary-token', key: aesKey },
} as const

const platform: JsonObject = {
  provider: 'wechat-component',
  appid: 'wxc',
  secret: 'canary-wxc',
  base_url: 'http://up.test/wechat',
  page_url: 'http://up.test/wechat',
  callback: { token: 'canary-token', encoding_aes_key: aesKey },
}

let towns: Towns
let hub: Town

beforeEach(async () => {
  towns = new Towns([account])
  hub = await towns.open('hub.test', { platform })
})

afterEach(async () => {
  await towns.close()
  expect(towns.faults).toEqual([])
})

/** Lets time pass while the platform pushes what is due. */
async function pass(ms: number, step = 10 * minute): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    await towns.until(towns.simulator.pushDue())
    await towns.pass(Math.min(left, step))
  }
}

/** The platform pushes what happened, and whoever hears of it does what follows. */
async function push(): Promise<void> {
  await towns.until(towns.simulator.pushDue())
  await towns.pass(2_000)
}

function tokenOf(name: string): Promise<{ status: number; json: JsonObject }> {
  return hub.ask(`/v1/tokens/${encodeURIComponent(name)}`)
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

async function livingToken(name: string): Promise<string> {
  const { status, json } = await tokenOf(name)
  expect({ status, detail: json.detail }).toEqual({ status: 200, detail: undefined })
  expect(towns.simulator.accepts(textOf(json.token)), name).toBe(true)
  return textOf(json.token)
}

async function stateOf(name: string): Promise<string> {
  return ((await hub.ask(`/v1/sources/${encodeURIComponent(name)}`)).json as SourceAnswer).state
}

const journey = (device: Journey['device'] = 'desktop'): Journey => ({
  redirectUri: 'http://hub.test/authorize/back',
  state: 'st&te',
  verifier: 'v'.repeat(43),
  device,
})

function authorising(): Authorising {
  return createAuthorising({
    keeper: hub.node.keeper,
    env: {
      clock: towns.clock,
      random: { next: () => 0.5, bytes: (n) => new Uint8Array(n) },
      fetch: (request) => towns.simulator.fetch(request),
    },
  })
}

/** A person goes to the platform's page, chooses an account there, and comes back with a code. */
async function visitPage(url: string, appid: string): Promise<URL> {
  const page = await (await towns.simulator.fetch(new Request(url))).text()
  const link = [...page.matchAll(/href="([^"]+)"/g)].map(([, href = '']) => href.replaceAll('&#38;', '&'))
  const chosen = link.find((href) => href.endsWith(`choose=${appid}`)) ?? ''
  const back = await towns.simulator.fetch(new Request(`http://up.test${chosen}`))
  return new URL(back.headers.get('location') ?? '')
}

/** What callers of the root see. */
async function wire(path: string, body: JsonObject): Promise<JsonObject> {
  return (await hub.ask(path, { method: 'POST', body: JSON.stringify(body) })).json
}

describe('from an empty store', () => {
  test('a ticket, a page, a day, a withdrawal and another authorisation', async () => {
    expect(await stateOf('platform')).toBe('needs-authorization')
    expect((await tokenOf('platform')).json.hint).toContain('/callback/NAME')
    expect(towns.simulator.counters('wxc').token.calls).toBe(0)
    await push()
    const first = await livingToken('platform')

    const link = await towns.until(authorising().link('platform', journey()))
    const back = await visitPage(link, 'wx5')
    expect([back.searchParams.get('state'), back.searchParams.get('expires_in')]).toEqual(['st&te', '3600'])
    const code = back.searchParams.get('auth_code') ?? ''
    expect(await towns.until(authorising().complete('platform', { code, journey: journey() }))).toBe('platform/wx5')
    await livingToken('platform/wx5')
    // The push brings the same code once more, to no harm.
    await push()
    expect(await stateOf('platform/wx5')).toBe('fresh')

    for (let passed = 0; passed < 24; passed += 1) {
      await pass(hour)
      for (const name of ['platform', 'platform/wx5', 'platform/wx5/jsapi', 'platform/wx5/wx_card'])
        await livingToken(name)
    }
    expect(await livingToken('platform')).not.toBe(first)
    const { token } = towns.simulator.counters('wxc')
    // Two lines of tokens, each renewed after two thirds of two hours; one refusal, of the code that came twice.
    expect(token.issued).toBeGreaterThanOrEqual(36)
    expect(token.issued).toBeLessThanOrEqual(44)
    expect(token.refused).toBeLessThanOrEqual(1)

    towns.simulator.withdrawAuthorisation('wxc', 'wx5')
    await push()
    expect((await tokenOf('platform/wx5')).status).toBe(503)
    expect(await stateOf('platform/wx5')).toBe('needs-authorization')
    const before = towns.simulator.counters('wxc').token.calls
    await pass(6 * hour)
    // The platform's own token only.
    expect(towns.simulator.counters('wxc').token.calls - before).toBeLessThanOrEqual(6)

    towns.simulator.authorise('wxc', 'wx5')
    await push()
    await livingToken('platform/wx5')
    await pass(2 * hour)
    await livingToken('platform/wx5')
    await livingToken('platform/wx5/jsapi')
  }, 60_000)

  test('a mobile link has the form that phones want, and a pre_auth_code of its own', async () => {
    await push()
    const [one, two] = [
      new URL(await towns.until(authorising().link('platform', journey('mobile')))),
      new URL(await towns.until(authorising().link('platform', journey('mobile')))),
    ]
    expect(one.pathname).toBe('/wechat/wxaopen/safe/bindcomponent')
    expect(one.hash).toBe('#wechat_redirect')
    expect(Object.fromEntries(one.searchParams)).toMatchObject({
      action: 'bindcomponent',
      no_scan: '1',
      component_appid: 'wxc',
      auth_type: '3',
      redirect_uri: 'http://hub.test/authorize/back?state=st%26te',
    })
    expect(one.searchParams.get('pre_auth_code')).not.toBe(two.searchParams.get('pre_auth_code'))
  })

  test('a link is had though the platform has just ended the token it is asked with', async () => {
    await push()
    await livingToken('platform')
    await towns.pass(minute)
    towns.simulator.revoke({ account: 'wxc' })
    expect(await towns.until(authorising().link('platform', journey()))).toContain('componentloginpage')
    await livingToken('platform')
  })

  test('a token-less push of what was authorised makes its source; changes keep what an admin wrote there', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx6')
    await push()
    const before = await livingToken('platform/wx6')
    const definition = { provider: 'wechat-authorizer', of: 'platform', appid: 'wx6', min_interval: '1s' }
    await hub.ask('/v1/sources/platform%2Fwx6', { method: 'PUT', body: JSON.stringify(definition) })
    towns.simulator.authorise('wxc', 'wx6')
    expect(towns.simulator.accepts(before)).toBe(false)
    await push()
    await livingToken('platform/wx6')
    expect((await hub.node.keeper.source('platform/wx6'))?.policy.minIntervalMs).toBe(1_000)
  })

  test('with a refresh token that rotates, and answers that get lost within its grace', async () => {
    towns.simulator.setKnobs({ authorizerRotates: true, authorizerGraceSeconds: 60 }, 'wxc')
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    for (let round = 0; round < 10; round += 1) {
      towns.simulator.addFault({ account: 'wxc', kinds: ['token'], effect: { type: 'lose-answer' }, times: 2 })
      await pass(90 * minute)
      await livingToken('platform/wx5')
      expect(await stateOf('platform/wx5')).toBe('fresh')
    }
  }, 60_000)
})

describe('what was lost', () => {
  test('a code that could not be exchanged in time: the account is authorised all the same', async () => {
    await push()
    await livingToken('platform')
    towns.simulator.addFault({ account: 'wxc', kinds: ['token'], effect: { type: 'lose-answer' }, times: 1 })
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    await livingToken('platform/wx5')
    // The same after a withdrawal, when the refresh token of before is dead.
    towns.simulator.withdrawAuthorisation('wxc', 'wx5')
    await push()
    expect(await stateOf('platform/wx5')).toBe('needs-authorization')
    towns.simulator.addFault({ account: 'wxc', kinds: ['token'], effect: { type: 'lose-answer' }, times: 1 })
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    await livingToken('platform/wx5')
    await pass(2 * hour)
    await livingToken('platform/wx5')
    expect(await stateOf('platform/wx5')).toBe('fresh')
  }, 30_000)

  test('a refresh token that WeChat no longer takes is asked for again, within the same attempt', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    await livingToken('platform/wx5')
    towns.simulator.setKnobs({ authorizerGraceSeconds: 0 }, 'wxc')
    await towns.pass(1_000)
    towns.simulator.rotateRefreshToken('wxc', 'wx5')
    await pass(3 * hour)
    await livingToken('platform/wx5')
    const failing = towns.simulator.journal().filter(({ code }) => code === 61023)
    expect(failing).toHaveLength(1)
  }, 30_000)

  test('an account whose source was never made is known as soon as somebody defines it', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    const definition = { provider: 'wechat-authorizer', of: 'platform', appid: 'wx5' }
    await hub.ask('/v1/sources/platform%2Fwx5', { method: 'PUT', body: JSON.stringify(definition) })
    await livingToken('platform/wx5')
  })

  test('all accounts come back from the list, part by part, and again without a change', async () => {
    await push()
    await livingToken('platform')
    for (let count = 0; count < 1_100; count += 1) towns.simulator.authorise('wxc', `wx${count}`)
    const parts: JsonObject[] = []
    for (let offset: unknown = 0; typeof offset === 'number';) {
      const { status, json } = await hub.ask('/v1/sources/platform/recover', {
        method: 'POST',
        body: JSON.stringify({ offset }),
      })
      expect(status).toBe(200)
      parts.push(json)
      offset = json.next
    }
    expect(parts.map(({ made, total, next }) => [made, total, next])).toEqual([
      [500, 1_100, 500],
      [500, 1_100, 1_000],
      [100, 1_100, null],
    ])
    await livingToken('platform/wx1099')
    const again = await hub.ask('/v1/sources/platform/recover', { method: 'POST', body: '{}' })
    expect(again.json).toMatchObject({ made: 0, mended: 0, kept: 500, failed: [] })
    towns.simulator.rotateRefreshToken('wxc', 'wx7')
    const mended = await hub.ask('/v1/sources/platform/recover', { method: 'POST', body: '{}' })
    expect(mended.json).toMatchObject({ made: 0, mended: 1, kept: 499 })
  }, 60_000)

  test('there is nothing to recover where a platform has no list, and only admins may ask', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    expect((await hub.ask('/v1/sources/platform%2Fwx5/recover', { method: 'POST', body: '{}' })).status).toBe(400)
    const request = new Request('http://hub.test/v1/sources/platform/recover', {
      method: 'POST',
      body: '{}',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    })
    const peer = { address: '203.0.113.9', isLoopback: false }
    expect((await towns.until(hub.node.handler(request, peer))).status).toBe(403)
  })
})

describe('tickets of accounts', () => {
  test('come into being when somebody who may read them reads them, and by nobody else', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    const names = async (): Promise<string[]> =>
      ((await hub.ask('/v1/sources')).json as { sources: SourceAnswer[] }).sources.map(({ name }) => name)
    const peer = { address: '203.0.113.9', isLoopback: false }
    for (const path of [
      '/callback/platform%2Fwx5%2Fjsapi?signature=x&timestamp=1&nonce=n',
      '/v1/tokens/platform%2Fwx5%2Fjsapi',
    ]) {
      expect((await towns.until(hub.node.handler(new Request(`http://hub.test${path}`), peer))).status).toBeGreaterThan(
        400,
      )
    }
    for (const part of ['constructor', '__proto__', 'other']) {
      expect((await tokenOf(`platform/wx5/${part}`)).status).toBe(404)
    }
    expect((await tokenOf('platform/wx9/jsapi')).status).toBe(404)
    expect((await tokenOf('platform/jsapi')).status).toBe(404)
    expect(await names()).toEqual(['platform', 'platform/wx5'])
    await livingToken('platform/wx5/jsapi')
    expect(await names()).toEqual(['platform', 'platform/wx5', 'platform/wx5/jsapi'])
    const { json } = await hub.ask('/v1/sources/platform%2Fwx5%2Fwx_card')
    expect(json.code).toBe('not_found')
  })

  test('are had by the token of the account, as at WeChat', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    const token = await livingToken('platform/wx5')
    const { json } = await hub.ask(`/cgi-bin/ticket/getticket?access_token=${token}&type=wx_card`)
    expect(json).toMatchObject({ errcode: 0 })
    expect(towns.simulator.accepts(textOf(json.ticket))).toBe(true)
    const other = await hub.ask(`/cgi-bin/ticket/getticket?access_token=${token}&type=agent_config`)
    expect(other.json.errcode).not.toBe(0)
  })
})

describe('an SDK-style caller at the root', () => {
  const component = { component_appid: 'wxc', component_verify_ticket: 'whatever' }

  test('gets the platform’s token by AppSecret or API key, and with it those of accounts', async () => {
    await push()
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    for (const component_appsecret of ['canary-wxc', key]) {
      const told = await wire('/cgi-bin/component/api_component_token', { ...component, component_appsecret })
      expect(told).toEqual({
        component_access_token: await livingToken('platform'),
        expires_in: expect.any(Number) as number,
      })
    }
    const token = await livingToken('platform')
    for (const name of ['component_access_token', 'access_token']) {
      const told = await wire(`/cgi-bin/component/api_authorizer_token?${name}=${token}`, {
        component_appid: 'wxc',
        authorizer_appid: 'wx5',
        authorizer_refresh_token: 'my-own',
      })
      expect(told).toEqual({
        authorizer_access_token: await livingToken('platform/wx5'),
        expires_in: expect.any(Number) as number,
        authorizer_refresh_token: 'my-own',
      })
    }
    // One that was lately replaced is taken, too.
    await hub.ask('/v1/tokens/platform/refresh', { method: 'POST', body: '{}' })
    const told = await wire(`/cgi-bin/component/api_authorizer_token?component_access_token=${token}`, {
      component_appid: 'wxc',
      authorizer_appid: 'wx5',
    })
    expect(told.authorizer_access_token).toBe(await livingToken('platform/wx5'))
  })

  test('is refused in WeChat’s words', async () => {
    const ask = (body: JsonObject): Promise<JsonObject> => wire('/cgi-bin/component/api_component_token', body)
    expect((await ask({ ...component, component_appsecret: 'canary-wxc' })).errcode).toBe(61005)
    await push()
    expect((await ask({ ...component, component_appsecret: 'wrong' })).errcode).toBe(40125)
    expect((await ask({ ...component, component_appid: 'wx9', component_appsecret: 'canary-wxc' })).errcode).toBe(40013)
    expect((await ask(component)).errcode).toBe(41004)
    const token = await livingToken('platform')
    const of = (query: string, body: JsonObject): Promise<JsonObject> =>
      wire(`/cgi-bin/component/api_authorizer_token${query}`, body)
    const body = { component_appid: 'wxc', authorizer_appid: 'wx5' }
    expect((await of('', body)).errcode).toBe(41001)
    expect((await of('?component_access_token=guess', body)).errcode).toBe(40001)
    expect((await of(`?component_access_token=${key}`, body)).errcode).toBe(40001)
    expect((await of(`?component_access_token=${token}`, body)).errcode).toBe(61003)
    expect((await of(`?component_access_token=${token}`, { ...body, component_appid: 'wx9' })).errcode).toBe(40013)
    for (const authorizer_appid of ['', '../platform', 'wx5/jsapi', 'platform']) {
      expect((await of(`?component_access_token=${token}`, { ...body, authorizer_appid })).errcode).toBe(61003)
    }
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    await livingToken('platform/wx5')
    towns.simulator.withdrawAuthorisation('wxc', 'wx5')
    await push()
    expect((await of(`?component_access_token=${token}`, body)).errcode).toBe(61003)
  })
})

describe('a hostile push', () => {
  const seconds = (): number => Math.floor(towns.clock.now() / 1_000)
  const ticket = (more: Readonly<Record<string, string>> = {}): string => {
    const fields = { AppId: 'wxc', CreateTime: String(seconds()), InfoType: 'component_verify_ticket', ...more }
    const elements = Object.entries({ ComponentVerifyTicket: 'ticket@@@forged', ...fields })
    return `<xml>${elements.map(([name, value]) => `<${name}>${value}</${name}>`).join('')}</xml>`
  }
  async function send(text: string, sending: Parameters<typeof sealedXml>[1] = {}): Promise<number> {
    const { search, body } = sealedXml(text, {
      token: 'canary-token',
      key: aesKey,
      receiveId: 'wxc',
      timestamp: String(seconds()),
      ...sending,
    })
    const request = new Request(`http://hub.test/callback/platform${search}`, {
      method: 'POST',
      body: Buffer.from(body),
    })
    const answer = await towns.until(hub.node.handler(request, { address: '203.0.113.9', isLoopback: false }))
    return answer.status
  }
  const grants = async (): Promise<string> => await stateOf('platform')

  test('that is signed with another token, meant for another platform or late brings no ticket', async () => {
    expect(await send(ticket(), { token: 'guess' })).toBe(403)
    expect(await send(ticket(), { receiveId: 'wx-other' })).toBe(403)
    expect(await send(ticket(), { timestamp: String(nowSeconds) })).toBe(403)
    expect(await send(ticket(), { key: 'A'.repeat(43) })).toBe(403)
    expect(await grants()).toBe('needs-authorization')
  })

  test('that is well sealed but tells of another platform, or lacks its time, is not believed', async () => {
    expect(await send(ticket({ AppId: 'wx-other' }), { nonce: 'a' })).toBe(200)
    expect(await send(ticket({ CreateTime: 'soon' }), { nonce: 'b' })).toBe(200)
    expect(await send(ticket({ ComponentVerifyTicket: '' }), { nonce: 'c' })).toBe(200)
    await towns.pass(2_000)
    expect(await grants()).toBe('needs-authorization')
    expect(towns.simulator.counters('wxc').token.calls).toBe(0)
  })

  test('of an older ticket does not replace a newer one, nor does a bad one end a platform that works', async () => {
    await push()
    const token = await livingToken('platform')
    expect(await send(ticket({ CreateTime: String(seconds() - 200) }))).toBe(200)
    await hub.ask('/v1/tokens/platform/refresh', { method: 'POST', body: '{}' })
    expect(await livingToken('platform')).not.toBe(token)
    // A newer one that WeChat does not take: the one before is tried.
    expect(await send(ticket({ CreateTime: String(seconds() + 5) }), { nonce: 'o' })).toBe(200)
    await hub.ask('/v1/tokens/platform/refresh', { method: 'POST', body: '{}' })
    await towns.pass(10_000)
    await livingToken('platform')
    const { status } = await hub.ask('/v1/tokens/platform/refresh', { method: 'POST', body: '{}' })
    expect([status, await grants()]).toEqual([200, 'fresh'])
  })

  test('of a withdrawal ends nothing that was authorised since, nor what is not there', async () => {
    await push()
    await towns.pass(minute)
    towns.simulator.authorise('wxc', 'wx5')
    await push()
    const withdrawal = (more: Readonly<Record<string, string>>): string =>
      ticket({ InfoType: 'unauthorized', AuthorizerAppid: 'wx5', ...more })
    expect(await send(withdrawal({ CreateTime: String(seconds() - 30) }), { nonce: 'd' })).toBe(200)
    await livingToken('platform/wx5')
    for (const [index, AuthorizerAppid] of ['wx9', '../platform', 'wx5/jsapi', ''].entries()) {
      expect(await send(withdrawal({ AuthorizerAppid }), { nonce: `e${index}` })).toBe(200)
    }
    await livingToken('platform')
    await livingToken('platform/wx5')
    expect(await send(withdrawal({}), { nonce: 'f' })).toBe(200)
    expect(await stateOf('platform/wx5')).toBe('needs-authorization')
  })

  test('of an authorisation that WeChat knows nothing of makes no token, and need not be sent again', async () => {
    await push()
    await livingToken('platform')
    expect(await send(ticket({ InfoType: 'authorized', AuthorizerAppid: 'wx5', AuthorizationCode: 'forged' }))).toBe(
      200,
    )
    expect((await tokenOf('platform/wx5')).status).toBe(503)
    expect(await stateOf('platform/wx5')).toBe('needs-authorization')
  })
})

describe('a platform that was added while running', () => {
  const definition = {
    provider: 'wechat-component',
    appid: 'wxc',
    secret: 'canary-wxc',
    base_url: 'http://up.test/wechat',
  }
  const child = { provider: 'wechat-authorizer', of: 'platform', appid: 'wx5' }

  /** How often a lost refresh token was asked for. */
  let lookUps = 0

  /** One node more on a store that it shares with those before. */
  async function join(store: EntryStore, node: string): Promise<Keeper> {
    const fetch: Env['fetch'] = (request) => {
      if (request.url.includes('/api_get_authorizer_info')) lookUps += 1
      return towns.simulator.fetch(request)
    }
    const env: Env = { clock: towns.clock, random: seededRandom(1), fetch }
    const onFault = (thrown: unknown): void => void towns.faults.push(thrown)
    return await towns.until(
      openKeeper({ env, store, node, sources: [], parseSource, issue, emit: () => undefined, onFault }),
    )
  }

  test('is found by its accounts on a node that nobody has asked for it, and a change of it reaches them', async () => {
    const env: Env = { clock: towns.clock, random: seededRandom(2), fetch: () => Promise.reject(new Error('none')) }
    const store = await openStore({ url: 'memory:', encryptionKey: null, env })
    const first = await join(store, 'n1')
    await towns.until(first.put('platform', definition))
    await towns.until(first.deliver('platform', { value: towns.simulator.makeTicket('wxc'), at: towns.clock.now() }))
    towns.simulator.authorise('wxc', 'wx5')
    await towns.until(first.put('platform/wx5', child))
    const { snapshot } = await towns.until(first.get('platform/wx5/jsapi'))
    await towns.until(first.stop())

    const second = await join(store, 'n2')
    // The child comes first, and its ticket before that: what they lean on is looked up.
    expect((await towns.until(second.get('platform/wx5/jsapi'))).snapshot.token).toBe(snapshot.token)
    expect((await towns.until(second.source('platform/wx5')))?.settings).toMatchObject({
      base_url: 'http://up.test/wechat',
    })
    const third = await join(store, 'n3')
    expect((await towns.until(third.states({ limit: 10 }))).states.map(({ state }) => state)).toEqual([
      'fresh',
      'fresh',
      'fresh',
    ])
    await towns.until(second.put('platform', { ...definition, proxy: 'http://p.test:1' }))
    for (const keeper of [second, third]) {
      await towns.pass(1_000)
      await towns.until(keeper.source('platform'))
      expect((await towns.until(keeper.source('platform/wx5/jsapi')))?.policy.proxy).toBe('http://p.test:1')
    }
    // Nobody reads them here, and they are kept fresh all the same.
    await towns.pass(3 * hour)
    const state = await towns.until(third.state('platform/wx5'))
    expect(state?.state).toBe('fresh')
    // From here on the platform is due after its accounts, and comes after them.
    await towns.until(third.refresh('platform'))
    for (const keeper of [second, third]) await towns.until(keeper.stop())
    const versions = async (keeper: Keeper): Promise<number[]> =>
      (await towns.until(keeper.states({ limit: 10 }))).states.map(({ snapshot: held }) => held?.version ?? 0)
    const before = await versions(third)
    lookUps = 0
    const fourth = await join(store, 'n4')
    await towns.pass(3 * hour)
    // Nobody took them for accounts at another address, whose refresh tokens would have to be asked for.
    expect(lookUps).toBe(0)
    const ticket = await towns.until(fourth.source('platform/wx5/jsapi'))
    expect(ticket?.settings).toMatchObject({ base_url: 'http://up.test/wechat' })
    expect((await versions(fourth)).every((version, at) => version > (before[at] ?? 0))).toBe(true)
    await towns.until(fourth.stop())
    await store.close()
  }, 30_000)
})
