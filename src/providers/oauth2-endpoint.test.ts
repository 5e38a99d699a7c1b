import { describe, expect, it } from 'vitest'
import { json, source } from '../../test/providers/scripted.ts'
import { manualClock, seededRandom, type ManualClock } from '../../test/simulator/stage.ts'
import type { Env } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import { issue, parseSource } from './catalogue.ts'

const issuer = 'https://as.test/realm'
const definition = { provider: 'oauth2', issuer, client_id: 'a', client_secret: 'canary-secret' }
const openid = 'https://as.test/realm/.well-known/openid-configuration'
const rfc8414 = 'https://as.test/.well-known/oauth-authorization-server/realm'
const good = { issuer, token_endpoint: 'https://tokens.test/token' }

type Script = Readonly<Record<string, () => Response | Promise<Response>>>
type Bench = { readonly asked: string[]; readonly clock: ManualClock; readonly ask: () => Promise<Attempt> }

function bench(script: Script, more: JsonObject = {}): Bench {
  const clock = manualClock()
  const asked: string[] = []
  const answers: Script = { 'https://tokens.test/token': () => json({ access_token: 'T', expires_in: 60 }), ...script }
  const env: Env = {
    clock,
    random: seededRandom(1),
    fetch: async ({ url }) => {
      asked.push(url)
      return (await answers[url]?.()) ?? new Response('nothing', { status: 404 })
    },
  }
  const from = source({ ...definition, ...more })
  const ask = (): Promise<Attempt> =>
    issue(from, { env, signal: new AbortController().signal, force: false, inputs: new Map() })
  return { asked, clock, ask }
}

function gist(attempt: Attempt): string {
  if (attempt.outcome === 'issued') return 'issued'
  const { code } = attempt.failure
  return attempt.outcome === 'rejected' ? `rejected ${attempt.class} ${code}` : `${attempt.outcome} ${code}`
}

describe('an issuer', () => {
  it('is asked at its OpenID address first, and then the token endpoint that it names', async () => {
    const { ask, asked } = bench({ [openid]: () => json(good) })
    expect([gist(await ask()), asked]).toEqual(['issued', [openid, 'https://tokens.test/token']])
  })

  it('is asked at the address of RFC 8414 when there is nothing at the other', async () => {
    const { ask, asked } = bench({ [rfc8414]: () => json(good) })
    expect([gist(await ask()), asked]).toEqual(['issued', [openid, rfc8414, 'https://tokens.test/token']])
  })

  it('is asked once an hour', async () => {
    const { ask, asked, clock } = bench({ [openid]: () => json(good) })
    await ask()
    await clock.advance(3_599_000)
    await ask()
    expect(asked.filter((url) => url === openid)).toHaveLength(1)
    await clock.advance(2_000)
    await ask()
    expect(asked.filter((url) => url === openid)).toHaveLength(2)
  })

  it('that is away later has not moved its endpoint', async () => {
    let isThere = true
    const { ask, clock } = bench({ [openid]: () => (isThere ? json(good) : new Response('', { status: 503 })) })
    await ask()
    isThere = false
    await clock.advance(7_200_000)
    expect(gist(await ask())).toBe('issued')
  })

  it.each<[string, () => Response | Promise<Response>, string]>([
    ['has no metadata', () => new Response('', { status: 404 }), 'not-sent discovery_failed'],
    ['breaks down', () => new Response('', { status: 500 }), 'not-sent discovery_failed'],
    ['asks for fewer calls', () => new Response('', { status: 429 }), 'not-sent discovery_failed'],
    ['answers with a page', () => new Response('<html>', { status: 200 }), 'not-sent discovery_failed'],
    ['sends elsewhere', () => Response.redirect('https://evil.test/'), 'not-sent discovery_failed'],
    ['answers without end', () => json(`{"a":"${'x'.repeat(70_000)}"}`), 'not-sent discovery_failed'],
    ['cannot be reached', () => Promise.reject(new TypeError('fetch failed')), 'not-sent discovery_failed'],
    ['is another one', () => json({ ...good, issuer: 'https://evil.test' }), 'rejected configuration discovery_failed'],
    [
      'is another one by a slash',
      () => json({ ...good, issuer: `${issuer}/` }),
      'rejected configuration discovery_failed',
    ],
    [
      'says nothing of itself',
      () => json({ token_endpoint: good.token_endpoint }),
      'rejected configuration discovery_failed',
    ],
    ['names no endpoint', () => json({ issuer }), 'rejected configuration discovery_failed'],
    [
      'names an endpoint that is none',
      () => json({ issuer, token_endpoint: 'javascript:1' }),
      'rejected configuration discovery_failed',
    ],
    [
      'names an endpoint with a password',
      () => json({ issuer, token_endpoint: 'https://u:p@x.test/' }),
      'rejected configuration discovery_failed',
    ],
    [
      'names an endpoint without TLS',
      () => json({ issuer, token_endpoint: 'http://tokens.test/token' }),
      'rejected configuration discovery_failed',
    ],
    [
      'names the endpoint of this machine',
      () => json({ issuer, token_endpoint: 'http://127.0.0.1/' }),
      'rejected configuration discovery_failed',
    ],
  ])('that %s gets no secret', async (_, answer, expected) => {
    const { ask, asked } = bench({ [openid]: answer, [rfc8414]: answer })
    expect(gist(await ask())).toBe(expected)
    expect(asked.every((url) => url.includes('.well-known'))).toBe(true)
  })

  it('on this machine may do without TLS, and its endpoint, too', async () => {
    const local = 'http://127.0.0.1:9000'
    const metadata = { issuer: local, token_endpoint: `${local}/oauth2/token` }
    const script = {
      [`${local}/.well-known/openid-configuration`]: () => json(metadata),
      [`${local}/oauth2/token`]: () => json({ access_token: 'T' }),
    }
    expect(gist(await bench(script, { issuer: local }).ask())).toBe('issued')
  })

  it.each([
    ['http://as.test', /https/],
    ['https://as.test?x=1', /query/],
    ['as.test', /https/],
  ])('%s is refused', (written, expected) => {
    const parsed = parseSource('x', { ...definition, issuer: written }, 'file')
    expect(parsed.ok ? '' : parsed.issues[0]?.message.en).toMatch(expected)
  })

  it('does not stand beside a token_url', () => {
    const parsed = parseSource('x', { ...definition, token_url: 'https://as.test/token' }, 'file')
    expect(parsed.ok ? [] : parsed.issues.map(({ path }) => path)).toEqual([['issuer']])
  })
})
