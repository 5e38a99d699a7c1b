/** Codes and refresh tokens against the simulated OAuth 2.0 server, which shares no code with the provider. */
import { describe, expect, it } from 'vitest'
import { deadline, type Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Attempt, Issued } from '../../src/model/failure.ts'
import { issue, linkOf, redeem, type Call, type Journey } from '../../src/providers/catalogue.ts'
import type { EffectSettings, PartialKnobs, Simulator } from '../../src/simulator/simulator.ts'
import { source } from '../providers/scripted.ts'
import { seededRandom, stage, type ManualClock } from '../simulator/stage.ts'

const origin = 'http://127.0.0.1:9'
const journey: Journey = {
  redirectUri: 'http://here.test/authorize/x/done',
  state: 'canary-state',
  verifier: 'canary-verifier-'.padEnd(43, 'v'),
  device: 'mobile',
}

type Bench = {
  readonly simulator: Simulator
  readonly clock: ManualClock
  /** A person's way from the link to the exchange. */
  readonly authorise: (more?: Partial<Journey>) => Promise<Attempt>
  readonly refresh: (grant: string) => Promise<Attempt>
}

const confidential = { client_id: 'client', client_secret: 'canary-secret' }

function bench(knobs: PartialKnobs = {}, client: JsonObject = confidential): Bench {
  const { simulator, clock } = stage({
    accounts: [
      { kind: 'oauth2', id: 'client', secret: 'canary-secret', scopes: ['read'] },
      { kind: 'oauth2', id: 'public' },
    ],
    knobs,
  })
  const env: Env = { clock, random: seededRandom(1), fetch: (request) => simulator.fetch(request) }
  const definition = {
    provider: 'oauth2',
    issuer: origin,
    grant: 'authorization_code',
    scope: 'read',
    ...client,
  }
  const asked = source(definition)
  const within = async <T>(ask: (call: Call) => Promise<T>): Promise<T> => {
    const time = deadline(clock, 8_000)
    try {
      return await ask({ env, signal: time.signal, force: false, inputs: new Map() })
    } finally {
      time.done()
    }
  }
  return {
    simulator,
    clock,
    authorise: (changed = {}) =>
      within(async (call) => {
        const link = await linkOf(asked, call, journey)
        if (link === undefined || 'refused' in link) throw new Error(JSON.stringify(link))
        const consent = await simulator.fetch(new Request(link.url))
        const back = new URL(consent.headers.get('location') ?? '')
        expect(back.searchParams.get('state')).toBe(journey.state)
        const code = back.searchParams.get('code') ?? ''
        return (await redeem(asked, call, { code, journey: { ...journey, ...changed } })).attempt
      }),
    refresh: (grant) => within((call) => issue(asked, { ...call, grant })),
  }
}

function issuedBy(attempt: Attempt): Issued {
  if (attempt.outcome !== 'issued') throw new Error(JSON.stringify(attempt))
  return attempt.issued
}

function told(attempt: Attempt): string {
  if (attempt.outcome === 'issued') return `issued ${String(attempt.issued.lifetimeMs)}`
  const { code } = attempt.failure
  return attempt.outcome === 'rejected' ? `rejected ${attempt.class} ${code}` : `${attempt.outcome} ${code}`
}

describe.each<[string, JsonObject]>([
  ['with a secret', confidential],
  ['that is public', { client_id: 'public', auth: 'none' }],
])('a client %s', (_, client) => {
  it('exchanges a code for a token and a grant that the server takes', async () => {
    const { authorise, refresh, simulator } = bench({}, client)
    const first = issuedBy(await authorise())
    expect(simulator.accepts(first.value)).toBe(true)
    expect(first.fields).toEqual({ access_token: first.value, token_type: 'Bearer', expires_in: 7_200, scope: 'read' })
    const second = issuedBy(await refresh(first.grant?.value ?? ''))
    expect(simulator.accepts(second.value)).toBe(true)
    expect(second.fields).not.toHaveProperty('refresh_token')
    expect(second.grant?.value).not.toBe(first.grant?.value)
  })
})

it.each<[string, Partial<Journey>]>([
  ['another verifier', { verifier: 'w'.repeat(43) }],
  ['another address', { redirectUri: 'http://here.test/else' }],
])('a code is worth nothing with %s', async (_, changed) => {
  const attempt = await bench().authorise(changed)
  expect(told(attempt)).toBe('rejected configuration upstream_rejected')
  expect(JSON.stringify(attempt)).not.toContain('canary')
})

it.each(['never', 'may', 'always'] as const)('a refresh token that rotates %s is followed', async (rotation) => {
  const { refresh, simulator } = bench({ rotation })
  let grant = simulator.grant('client')
  for (let use = 0; use < 10; use += 1) grant = issuedBy(await refresh(grant)).grant?.value ?? grant
  expect(simulator.refreshes('client').refused).toBe(0)
})

it('a grant that is used up, withdrawn or ended with its family needs a person', async () => {
  const { refresh, simulator, clock } = bench({ reuseEndsFamily: true, refreshGraceSeconds: 5 })
  const used = simulator.grant('client')
  const next = issuedBy(await refresh(used)).grant?.value ?? ''
  await clock.advance(5_000)
  expect(issuedBy(await refresh(used)).grant?.value).toBe(next)
  await clock.advance(1)
  for (const grant of [used, next]) {
    const attempt = await refresh(grant)
    expect(told(attempt)).toBe('rejected needs-authorization upstream_rejected')
    expect(JSON.stringify(attempt)).not.toContain(grant)
  }
})

const odd: readonly (readonly [EffectSettings, RegExp])[] = [
  [{ type: 'refuse' }, /^not-sent/],
  [{ type: 'lose-answer' }, /^unknown/],
  [{ type: 'status', status: 502, issues: true }, /^unknown/],
  [{ type: 'html' }, /^unknown/],
  [{ type: 'truncate' }, /^unknown/],
  [{ type: 'cut' }, /^unknown/],
  [{ type: 'token', as: 'crlf' }, /^unknown/],
  [{ type: 'lifetime', as: 'missing' }, /^issued null/],
  [{ type: 'errcode', code: 'temporarily_unavailable' }, /^rejected transient/],
  [{ type: 'errcode', code: 'invalid_client' }, /^rejected configuration/],
]

it.each(odd)('$type is judged alike for a refresh and for a code', async (effect, expected) => {
  const { refresh, authorise, simulator } = bench()
  const grant = simulator.grant('client')
  simulator.addFault({ kinds: ['token'], effect })
  for (const attempt of [await refresh(grant), await authorise()]) {
    expect(told(attempt)).toMatch(expected)
    if (attempt.outcome !== 'issued') expect(JSON.stringify(attempt)).not.toContain('canary')
  }
})
