/** Signed assertions against the simulated OAuth 2.0 server, which verifies them by node:crypto and the public key alone. */
import { describe, expect, it } from 'vitest'
import { deadline, type Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Attempt } from '../../src/model/failure.ts'
import { issue } from '../../src/providers/catalogue.ts'
import type { Simulator } from '../../src/simulator/simulator.ts'
import { ecPair, edPair, otherRsaPair, pkcs8, publicPem, rsaPair } from '../providers/keys.ts'
import { source } from '../providers/scripted.ts'
import { seededRandom, stage, type ManualClock } from '../simulator/stage.ts'

const origin = 'http://127.0.0.1:9'
const pairs = { rsa: rsaPair(), p256: ecPair(), p384: ecPair('P-384'), p521: ecPair('P-521'), ed: edPair() }
type PairName = keyof typeof pairs

type Bench = {
  readonly simulator: Simulator
  readonly clock: ManualClock
  readonly sent: Request[]
  readonly ask: (more?: JsonObject) => Promise<Attempt>
}

function bench(name: PairName, definition: JsonObject): Bench {
  const { simulator, clock } = stage({
    accounts: [
      { kind: 'oauth2', id: 'client', public_key: publicPem(pairs[name]) },
      { kind: 'oauth2', id: 'public' },
    ],
  })
  const sent: Request[] = []
  const env: Env = {
    clock,
    random: seededRandom(1),
    fetch: (request, options) => {
      sent.push(request.clone())
      return simulator.fetch(request, options)
    },
  }
  const ask = async (more: JsonObject = {}): Promise<Attempt> => {
    const time = deadline(clock, 8_000)
    const key: JsonObject = more.auth === 'none' ? {} : { private_key: pkcs8(pairs[name]) }
    const whole: JsonObject = { provider: 'oauth2', client_id: 'client', ...key, ...definition, ...more }
    const asked = source(whole.issuer !== undefined ? whole : { token_url: `${origin}/oauth2/token`, ...whole })
    try {
      return await issue(asked, { env, signal: time.signal, force: false, inputs: new Map() })
    } finally {
      time.done()
    }
  }
  return { simulator, clock, sent, ask }
}

function told(attempt: Attempt): string {
  if (attempt.outcome === 'issued') return 'issued'
  return attempt.outcome === 'rejected' ? `rejected ${attempt.class}` : attempt.outcome
}

const byProof = { auth: 'private_key_jwt' }
const byGrant = { grant: 'jwt_bearer' }

describe.each([
  ['private_key_jwt', byProof],
  ['jwt_bearer', byGrant],
] as const)('%s', (_, definition) => {
  it.each<[string, PairName]>([
    ['RS256', 'rsa'],
    ['RS384', 'rsa'],
    ['RS512', 'rsa'],
    ['PS256', 'rsa'],
    ['PS384', 'rsa'],
    ['PS512', 'rsa'],
    ['ES256', 'p256'],
    ['ES384', 'p384'],
    ['ES512', 'p521'],
    ['EdDSA', 'ed'],
  ])('signs with %s what the server verifies', async (algorithm, name) => {
    const { ask, simulator } = bench(name, { ...definition, algorithm })
    const attempt = await ask()
    expect(told(attempt)).toBe('issued')
    expect(attempt.outcome === 'issued' && simulator.accepts(attempt.issued.value)).toBe(true)
  })

  it('makes each assertion anew, as the server takes each once', async () => {
    const { ask } = bench('rsa', definition)
    expect([told(await ask()), told(await ask())]).toEqual(['issued', 'issued'])
  })

  it('finds its server by the issuer', async () => {
    const { ask, simulator, sent } = bench('rsa', { ...definition, issuer: origin })
    expect(told(await ask())).toBe('issued')
    expect(sent.map(({ url }) => url)).toEqual([`${origin}/.well-known/openid-configuration`, `${origin}/oauth2/token`])
    expect(simulator.counters('client').token.issued).toBe(1)
  })

  it('may name the issuer as audience', async () => {
    expect(told(await bench('rsa', definition).ask({ assertion: { audience: origin } }))).toBe('issued')
  })

  it.each<[string, JsonObject]>([
    ['another key', { private_key: pkcs8(otherRsaPair()) }],
    ['another audience', { assertion: { audience: 'https://other.test' } }],
    ['another name', { client_id: 'nobody' }],
  ])('with %s is refused, and says so', async (_name, more) => {
    const attempt = await bench('rsa', definition).ask(more)
    expect(told(attempt)).toBe('rejected configuration')
    expect(JSON.stringify(attempt)).not.toMatch(/eyJ|PRIVATE/)
  })

  it('is refused when the clock is ahead, and the hint names it or the client', async () => {
    const at = bench('rsa', definition)
    const env: Env = {
      clock: { ...at.clock, now: () => at.clock.now() + 60_000 },
      random: seededRandom(1),
      fetch: (request) => at.simulator.fetch(request),
    }
    const token_url = `${origin}/oauth2/token`
    const whole = { provider: 'oauth2', token_url, client_id: 'client', private_key: pkcs8(pairs.rsa), ...definition }
    const call = { env, signal: new AbortController().signal, force: false, inputs: new Map() }
    expect(told(await issue(source(whole), call))).toBe('rejected configuration')
  })
})

it('an assertion says who, to whom, from when and till when', async () => {
  const { ask, sent, clock } = bench('rsa', byGrant)
  await ask({ key_id: 'k1', assertion: { issuer: 'client', subject: 'ann', lifetime: '2m', claims: { team: 7 } } })
  const form = new URLSearchParams(await sent[0]?.text())
  const [header = '', claims = ''] = (form.get('assertion') ?? '').split('.')
  const decoded = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())
  const now = Math.floor(clock.now() / 1_000)
  expect(decoded(header)).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' })
  expect(decoded(claims)).toEqual({
    iss: 'client',
    sub: 'ann',
    aud: `${origin}/oauth2/token`,
    iat: now,
    exp: now + 120,
    jti: expect.stringMatching(/^[\w-]{22}$/),
    team: 7,
  })
})

it('a public client proves itself by nothing', async () => {
  const { ask, sent } = bench('rsa', {})
  expect(told(await ask({ client_id: 'public', auth: 'none' }))).toBe('issued')
  expect(sent[0]?.headers.has('authorization')).toBe(false)
})
