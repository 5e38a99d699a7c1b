/** A person's way through `/authorize/{name}`: who may begin, what binds the answer to them, and what is never told. */
import { beforeEach, describe, expect, test } from 'vitest'
import { ZhongkongError } from '../../src/base/errors.ts'
import type { Authorising } from '../../src/http/server.ts'
import { client, openHouse, remote, type House, type Question, type Told, type Visitor } from './visitor.ts'

const adminKey = 'admin-key-0123456789'
const readerKey = 'reader-key-0123456789'
const clients = [client('boss', adminKey, { admin: true }), client('shop', readerKey, { read: ['*'] })]
const publicUrl = 'https://tokens.test'
const code = 'code-that-nobody-may-see'

type Journey = Parameters<Authorising['link']>[1]
let journeys: { readonly name: string; readonly journey: Journey }[]
let proofs: { readonly name: string; readonly code: string; readonly journey: Journey }[]
let failure: Error | null
let isClicked: boolean

const authorising: Authorising = {
  isFor: ({ name }) => name !== 'secrets-only',
  isEnteredByClick: (name) => Promise.resolve(name === 'shop/two' && isClicked),
  codeParameter: (name) =>
    name === 'secrets-only'
      ? Promise.reject(new ZhongkongError('bad_request', 'nobody does that'))
      : Promise.resolve('code'),
  link: (name, journey) => {
    if (name === 'nothing') return Promise.reject(new ZhongkongError('not_found', 'no such source'))
    journeys.push({ name, journey })
    return Promise.resolve(`https://platform.test/consent?state=${journey.state}`)
  },
  complete: (name, proof) => {
    if (failure !== null) return Promise.reject(failure)
    proofs.push({ name, ...proof })
    return Promise.resolve(name)
  },
  recover: () => Promise.reject(new ZhongkongError('bad_request', 'nobody does that')),
}

beforeEach(() => {
  journeys = []
  proofs = []
  failure = null
  isClicked = false
})

const sources = [{ name: 'account' }, { name: 'shop/two' }, { name: 'secrets-only' }]

function open(more: Partial<House> = {}): Visitor {
  return openHouse({ sources, clients, authorising, publicUrl, ...more })
}

/** The path of a link that an admin made. */
async function invited(at: Visitor, name = 'account', body?: string): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const question = { method: 'POST', key: adminKey, headers, ...(body === undefined ? {} : { body }) }
  const told = await at.ask(`/v1/sources/${encodeURIComponent(name)}/authorize`, question)
  expect(told.status).toBe(200)
  const url = new URL(told.json.url as string)
  return `${url.pathname}${url.search}`
}

/** The cookie of an answer, as the browser sends it back. */
function cookieOf(told: Told): string {
  return /^[^;]+/.exec(told.headers.get('set-cookie') ?? '')?.[0] ?? ''
}

type Begun = { readonly state: string; readonly cookie: string; readonly told: Told }

async function begun(at: Visitor, path: string, question: Question = { peer: remote }): Promise<Begun> {
  const told = await at.ask(path, question)
  expect(told.status).toBe(302)
  return { told, cookie: cookieOf(told), state: journeys.at(-1)?.journey.state ?? '' }
}

async function back(at: Visitor, { state, cookie }: Begun, query: Record<string, string> = { code }): Promise<Told> {
  const search = new URLSearchParams({ state, ...query })
  return await at.ask(`/authorize/account/done?${search}`, { peer: remote, headers: { cookie } })
}

describe('a link that an admin made', () => {
  test('302 for somebody without a key, and 200 when they come back with a code', async () => {
    const at = open()
    const journey = await begun(at, await invited(at))
    expect(journey.told.headers.get('location')).toBe(`https://platform.test/consent?state=${journey.state}`)
    expect(journeys[0]).toMatchObject({
      name: 'account',
      journey: { redirectUri: 'https://tokens.test/authorize/account/done', device: 'desktop' },
    })
    expect(journeys[0]?.journey.verifier).toMatch(/^[\w-]{43}$/)
    const done = await back(at, journey)
    expect(done.status).toBe(200)
    expect(proofs).toEqual([{ name: 'account', code, journey: journeys[0]?.journey }])
    expect(done.text).not.toContain(code)
    // The browser forgets the journey.
    expect(done.headers.get('set-cookie')).toMatch(/^__Host-zhongkong-[0-9a-f]{12}=; Path=\/; Max-Age=0;/)
  })

  test('403 once the source was authorised, by this journey or another one that was begun before', async () => {
    const at = open()
    const link = await invited(at)
    const [one, two] = [await begun(at, link), await begun(at, link)]
    expect((await back(at, one)).status).toBe(200)
    at.keeper.held.get('account')!.authorizedAt = at.keeper.now
    expect((await at.ask(link, { peer: remote })).status).toBe(403)
    expect((await back(at, two)).status).toBe(403)
    expect(proofs).toHaveLength(1)
  })

  test('403 after an hour, for another source, changed by a letter, or made with another key', async () => {
    const at = open()
    const link = await invited(at)
    const [, start = ''] = link.split('?start=')
    const other = start.startsWith('A') ? 'B' : 'A'
    const wrong = [
      `/authorize/shop%2Ftwo?start=${start}`,
      `/authorize/account?start=${other}${start.slice(1)}`,
      '/authorize/account?start=',
      `/authorize/account?start=${'A'.repeat(5_000)}`,
    ]
    for (const path of wrong) expect((await at.ask(path, { peer: remote })).status, path).toBe(403)
    const elsewhere = open()
    // The dice of this house have fallen otherwise.
    elsewhere.env.random.bytes(7)
    at.advance(3_600_000)
    expect((await at.ask(link, { peer: remote })).status).toBe(403)
    expect(journeys).toEqual([])
  })

  test('200 with no more than the admin asked for, and only for an admin', async () => {
    const at = open()
    const link = await invited(at, 'account', '{"device":"mobile"}')
    await begun(at, link)
    expect(journeys[0]?.journey.device).toBe('mobile')
    const path = '/v1/sources/account/authorize'
    expect((await at.ask(path, { method: 'POST', key: readerKey, peer: remote })).status).toBe(403)
    expect((await at.ask(path, { method: 'POST', peer: remote })).status).toBe(401)
    const headers = { 'content-type': 'application/json' }
    const odd = { method: 'POST', key: adminKey, headers, body: '{"device":"fridge"}' }
    expect((await at.ask(path, odd)).status).toBe(400)
    expect((await at.ask('/v1/sources/secrets-only/authorize', { method: 'POST', key: adminKey })).status).toBe(400)
    expect((await at.ask('/v1/sources/nothing/authorize', { method: 'POST', key: adminKey })).status).toBe(404)
  })

  test('tells nothing of what it holds', async () => {
    const at = open()
    const { cookie, state, told } = await begun(at, await invited(at))
    const { verifier } = journeys[0]!.journey
    for (const text of [cookie, told.headers.get('location') ?? '']) expect(text).not.toContain(verifier)
    expect(Buffer.from(cookie.split('=')[1] ?? '', 'base64url').toString('latin1')).not.toContain(state)
    expect(told.headers.get('set-cookie')).toMatch(/; Path=\/; Max-Age=900; HttpOnly; SameSite=Lax; Secure$/)
    expect(told.headers.get('referrer-policy')).toBe('no-referrer')
  })
})

describe('who has no link', () => {
  test('302 with the key of an admin, and by a phone to the page for phones', async () => {
    const at = open()
    const phone = { 'user-agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0' }
    await begun(at, '/authorize/shop%2Ftwo', { key: adminKey, peer: remote, headers: phone })
    expect(journeys[0]).toMatchObject({ name: 'shop/two', journey: { device: 'mobile' } })
    expect(journeys[0]?.journey.redirectUri).toBe('https://tokens.test/authorize/shop%2Ftwo/done')
  })

  test('401 without a key, 403 with one that is not an admin’s, whether there is such a source or not', async () => {
    const at = open()
    for (const name of ['account', 'nothing']) {
      expect((await at.ask(`/authorize/${name}`, { peer: remote })).status).toBe(401)
      expect((await at.ask(`/authorize/${name}`, { peer: remote, key: readerKey })).status).toBe(403)
    }
    expect((await at.ask('/authorize/nothing', { key: adminKey })).status).toBe(404)
    expect(journeys).toEqual([])
  })

  test('302 on this machine where no keys are configured, and 403 for the page of another site there', async () => {
    const at = openHouse({ sources, authorising })
    await begun(at, '/authorize/account', {})
    expect(journeys[0]?.journey.redirectUri).toBe('http://localhost:8888/authorize/account/done')
    const page = { headers: { 'sec-fetch-site': 'cross-site' } }
    expect((await at.ask('/authorize/account', page)).status).toBe(403)
  })
})

describe('the address of the server', () => {
  test.each([
    ['evil.test', {}],
    ['localhost:8888', { 'x-forwarded-host': 'evil.test' }],
    ['10.0.0.5:8888', {}],
    ['localhost.evil.test', {}],
  ])('400 when only a Host header says it: %s', async (host, more) => {
    const at = open({ publicUrl: undefined as never })
    const question = { key: adminKey, headers: { host, ...more } }
    const told = await at.ask('/authorize/account', question)
    expect(told.status).toBe(400)
    expect(told.text).toContain('server.public_url')
    const made = await at.ask('/v1/sources/account/authorize', { method: 'POST', ...question })
    expect(made.status).toBe(400)
    expect(journeys).toEqual([])
  })

  test('200 with what was configured, whatever the Host header says', async () => {
    const at = open({ publicUrl: 'https://x.test/tokens' })
    const question = { method: 'POST', key: adminKey, headers: { host: 'evil.test' } }
    const { json } = await at.ask('/v1/sources/account/authorize', question)
    expect(json.url).toMatch(/^https:\/\/x\.test\/tokens\/authorize\/account\?start=[\w-]+$/)
    expect(json.expires_in).toBe(3_600)
  })
})

describe('an answer of the platform', () => {
  test('403 in another browser, with another state, or too late', async () => {
    const at = open()
    const journey = await begun(at, await invited(at))
    const wrong: Begun[] = [
      { ...journey, cookie: '' },
      { ...journey, state: `${journey.state}x` },
      { ...journey, state: '' },
      { ...journey, cookie: journey.cookie.replace(/=.*/, '=AAAA') },
      { ...journey, cookie: (await begun(at, await invited(at))).cookie },
    ]
    for (const one of wrong) {
      const told = await back(at, one)
      expect(told.status).toBe(403)
      expect(told.text).not.toContain(code)
    }
    const twice = `/authorize/account/done?state=${journey.state}&state=${journey.state}&code=${code}`
    expect((await at.ask(twice, { headers: { cookie: journey.cookie } })).status).toBe(403)
    const elsewhere = `/authorize/shop%2Ftwo/done?state=${journey.state}&code=${code}`
    expect((await at.ask(elsewhere, { headers: { cookie: journey.cookie } })).status).toBe(403)
    at.advance(900_000)
    expect((await back(at, journey)).status).toBe(403)
    expect(proofs).toEqual([])
  })

  test('502 when the person declined; what else was said along is not repeated', async () => {
    const at = open()
    const journey = await begun(at, await invited(at))
    const query = { error: 'access_denied', error_description: 'call 555 to <b>verify</b>' }
    const told = await back(at, journey, query)
    expect(told.status).toBe(502)
    expect(told.text).toContain('access_denied')
    expect(told.text).not.toContain('555')
    expect((await back(at, journey, { error: '<script>' })).text).not.toContain('script>')
    expect((await back(at, journey, {})).status).toBe(400)
    // The same journey still ends well when the person thinks again.
    expect((await back(at, journey)).status).toBe(200)
  })

  test('502 when the exchange is refused, in the visitor’s language, with the way to begin anew', async () => {
    const at = open()
    const link = await invited(at)
    const journey = await begun(at, link)
    const hint = { en: 'The code is too old.', zh: '授权码已过期。' }
    failure = new ZhongkongError('authorization_refused', `refused ?code=${code}`, {
      upstream: { errcode: 'invalid_grant', errmsg: '<i>expired</i>' },
      hint,
    })
    const search = new URLSearchParams({ state: journey.state, code })
    const headers = { cookie: journey.cookie, 'accept-language': 'zh-CN,zh;q=0.9' }
    const told = await at.ask(`/authorize/account/done?${search}`, { headers })
    expect(told.status).toBe(502)
    expect(told.text).toContain('<html lang="zh-CN">')
    for (const part of [hint.zh, 'invalid_grant &#60;i&#62;expired', `href="../account?${link.split('?')[1]}"`])
      expect(told.text).toContain(part)
    expect(told.text).not.toContain(code)
  })

  test('500 when something broke inside, for the log and not for the person', async () => {
    const at = open()
    const journey = await begun(at, await invited(at))
    failure = new TypeError(`cannot read ${code}`)
    const told = await back(at, journey)
    expect(told.status).toBe(500)
    expect(told.text).not.toContain(code)
    expect(at.faults).toHaveLength(1)
  })
})

test('200 with a page to click on, where the platform looks at whose page led to it', async () => {
  isClicked = true
  const at = open()
  const told = await at.ask(await invited(at, 'shop/two'), { peer: remote })
  expect(told.status).toBe(200)
  expect(told.text).toContain(`href="https://platform.test/consent?state=${journeys[0]?.journey.state}"`)
  expect(told.headers.get('referrer-policy')).toMatch(/, origin$/)
  const { state = '' } = journeys[0]?.journey ?? {}
  const search = new URLSearchParams({ state, code })
  const headers = { cookie: cookieOf(told) }
  expect((await at.ask(`/authorize/shop%2Ftwo/done?${search}`, { peer: remote, headers })).status).toBe(200)
})

test('a page loads, runs, sends and is framed by nothing; its one style is named by its digest', async () => {
  const at = open()
  const told = await at.ask('/authorize/account', { peer: remote })
  const policy = told.headers.get('content-security-policy') ?? ''
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; .*frame-ancestors 'none'$/)
  const style = /<style>([^]*)<\/style>/.exec(told.text)?.[1] ?? ''
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
  expect(policy).toContain(Buffer.from(digest).toString('base64'))
  expect(told.text).not.toMatch(/<script|style="|onload|src=/)
})

test('a source that must be authorised says where', async () => {
  const at = open()
  const trouble = {
    class: 'needs-authorization',
    failure: { code: 'x', message: 'x' },
    since: 0,
    at: 0,
    count: 1,
  } as const
  for (const name of ['shop/two', 'secrets-only']) at.keeper.held.get(name)!.trouble = { ...trouble, generation: 'g' }
  at.keeper.held.get('shop/two')!.authorizedAt = 1_700_000_000_500
  const states = (await at.ask('/v1/sources', { key: adminKey })).json.sources as Record<string, unknown>[]
  const told = states.map(({ name, authorize, authorized_at: since }) => [name, authorize, since])
  expect(told).toEqual([
    ['account', undefined, undefined],
    ['secrets-only', undefined, undefined],
    ['shop/two', '/authorize/shop%2Ftwo', 1_700_000_000],
  ])
})
