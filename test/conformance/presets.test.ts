/**
 * Every preset against its simulated upstream, which shares no code with it and checks signatures and assertions with the
 * account's own secret or public key: what is sent is understood, what comes back is told rightly, and the semantics are
 * those of the upstream.
 */
import { describe, expect, it } from 'vitest'
import { deadline, type Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Attempt } from '../../src/model/failure.ts'
import type { Source } from '../../src/model/source.ts'
import { issue, parseSource } from '../../src/providers/catalogue.ts'
import { presets } from '../../src/providers/presets/presets.ts'
import type { AccountSettings, EffectSettings, Simulator } from '../../src/simulator/simulator.ts'
import { selfSigned } from '../http/self-signed.ts'
import { otherRsaPair, pkcs8, publicPem, rsaPair } from '../providers/keys.ts'
import { seededRandom, stage, type ManualClock } from '../simulator/stage.ts'

type Case = {
  /** The account at the upstream, beside kind, platform and knobs. */
  readonly account: Pick<Extract<AccountSettings, { kind: 'platform' }>, 'id' | 'secret' | 'second' | 'public_key'>
  readonly definition: JsonObject
  /** Keys with a wrong secret, and what is said of it. */
  readonly wrong: readonly (readonly [JsonObject, string | number])[]
  readonly lifeSeconds: number
  /** Where the upstream tells no lifetime, and what is believed then. */
  readonly toldNot?: number
}

const secret = 'canary-secret'
const privateKey = pkcs8(rsaPair())
const public_key = publicPem(rsaPair())
const wrongKey = pkcs8(otherRsaPair())
const google = (key: string, email = 'robot@p.iam.gserviceaccount.com'): string =>
  JSON.stringify({ type: 'service_account', client_email: email, private_key: key, private_key_id: 'k1' })

const cases: Readonly<Record<string, Case>> = {
  douyin: {
    account: { id: 'aw1', secret },
    definition: { client_key: 'aw1', client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 10013],
      [{ client_key: 'aw9' }, 10003],
    ],
    lifeSeconds: 7_200,
  },
  'douyin-stable': {
    account: { id: 'aw1', secret },
    definition: { client_key: 'aw1', client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 10013],
      [{ client_key: 'aw9' }, 10003],
    ],
    lifeSeconds: 7_200,
  },
  baidu: {
    account: { id: 'ak1', secret },
    definition: { client_id: 'ak1', client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 'invalid_client'],
      [{ client_id: 'ak9' }, 'invalid_client'],
    ],
    lifeSeconds: 2_592_000,
  },
  'qq-bot': {
    account: { id: '102000001', secret },
    definition: { app_id: 102_000_001, client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 100016],
      [{ app_id: '9' }, 100007],
    ],
    lifeSeconds: 7_200,
  },
  'qq-mini': {
    account: { id: '1100000001', secret },
    definition: { appid: '1100000001', secret },
    wrong: [
      [{ secret: 'canary-no' }, 40001],
      [{ appid: '9' }, 40013],
    ],
    lifeSeconds: 7_200,
  },
  kuaishou: {
    account: { id: 'ks1', secret },
    definition: { app_id: 'ks1', app_secret: secret },
    wrong: [[{ app_secret: 'canary-no' }, 100200101]],
    lifeSeconds: 172_800,
  },
  'huawei-push': {
    account: { id: '100001', secret },
    definition: { client_id: 100_001, client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 12304],
      [{ client_id: '9' }, 1101],
    ],
    lifeSeconds: 3_600,
  },
  'vivo-push': {
    account: { id: '10004', secret, second: '25509283-3767-4b9e' },
    definition: { app_id: 10_004, app_key: '25509283-3767-4b9e', app_secret: secret },
    wrong: [
      [{ app_secret: 'canary-no' }, 10206],
      [{ app_key: 'k9' }, 10202],
      [{ app_id: '9' }, 10205],
    ],
    lifeSeconds: 86_400,
  },
  'oppo-push': {
    account: { id: 'oppo-key', secret },
    definition: { app_key: 'oppo-key', master_secret: secret },
    wrong: [
      [{ master_secret: 'canary-no' }, 16],
      [{ app_key: 'k9' }, 14],
    ],
    lifeSeconds: 86_400,
  },
  tiktok: {
    account: { id: 'tk1', secret },
    definition: { client_key: 'tk1', client_secret: secret },
    wrong: [[{ client_secret: 'canary-no' }, 'invalid_client']],
    lifeSeconds: 7_200,
  },
  'google-service-account': {
    account: { id: 'robot@p.iam.gserviceaccount.com', public_key },
    definition: { credentials: google(privateKey), scope: 'https://www.googleapis.com/auth/cloud-platform' },
    wrong: [
      [{ credentials: google(wrongKey) }, 'invalid_grant'],
      [{ credentials: google(privateKey, 'nobody@p') }, 'invalid_grant'],
    ],
    lifeSeconds: 3_599,
  },
  'github-app': {
    account: { id: '987', second: '123456', public_key },
    definition: { app_id: 123_456, installation_id: 987, private_key: privateKey },
    wrong: [
      [{ private_key: wrongKey }, 'HTTP 401'],
      [{ installation_id: 1 }, 'HTTP 404'],
      [{ app_id: 9 }, 'HTTP 404'],
    ],
    lifeSeconds: 3_600,
  },
  entra: {
    account: { id: 'app1', secret, second: 'contoso.example', public_key },
    definition: {
      tenant: 'contoso.example',
      client_id: 'app1',
      client_secret: secret,
      scope: 'https://graph.microsoft.com/.default',
    },
    wrong: [
      [{ client_secret: 'canary-no' }, 7000215],
      [{ client_id: 'app9' }, 700016],
      [{ tenant: 'other.example' }, 90002],
      [{ scope: 'https://graph.microsoft.com/User.Read' }, 70011],
    ],
    lifeSeconds: 3_599,
  },
  salesforce: {
    account: { id: 'consumer', secret },
    definition: { client_id: 'consumer', client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 'invalid_client'],
      [{ client_id: 'nobody' }, 'invalid_client_id'],
    ],
    lifeSeconds: 7_200,
    toldNot: 7_200_000,
  },
  zoom: {
    account: { id: 'zoom1', secret, second: 'acc1' },
    definition: { account_id: 'acc1', client_id: 'zoom1', client_secret: secret },
    wrong: [
      [{ client_secret: 'canary-no' }, 'invalid_client'],
      [{ account_id: 'acc9' }, 'invalid_request'],
    ],
    lifeSeconds: 3_599,
  },
  paypal: {
    account: { id: 'pp1', secret },
    definition: { client_id: 'pp1', client_secret: secret },
    wrong: [[{ client_secret: 'canary-no' }, 'invalid_client']],
    lifeSeconds: 32_400,
  },
}

const kinds = Object.keys(cases)

it('every preset has a case', () => {
  expect(kinds.toSorted()).toEqual(presets.map(({ kind }) => kind).toSorted())
})

type Bench = {
  readonly simulator: Simulator
  readonly clock: ManualClock
  readonly source: Source
  readonly ask: (source?: Source) => Promise<Attempt>
}

function caseOf(kind: string): Case {
  const found = cases[kind]
  if (found === undefined) throw new Error(kind)
  return found
}

function sourceOf(kind: string, more: JsonObject = {}): Source {
  const base = `http://up.test/platform/${kind}`
  const address = kind === 'google-service-account' ? { token_url: `${base}/token` } : { base_url: base }
  const parsed = parseSource('x', { provider: kind, ...address, ...caseOf(kind).definition, ...more }, 'file')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.source
}

function bench(kind: string): Bench {
  const account = { kind: 'platform', platform: kind, ...caseOf(kind).account } as AccountSettings
  const { simulator, clock } = stage({ accounts: [account] })
  const env: Env = { clock, random: seededRandom(1), fetch: (request, options) => simulator.fetch(request, options) }
  const source = sourceOf(kind)
  const ask: Bench['ask'] = async (asked = source) => {
    const time = deadline(clock, 8_000)
    try {
      return await issue(asked, { env, signal: time.signal, force: false, inputs: new Map() })
    } finally {
      time.done()
    }
  }
  return { simulator, clock, source, ask }
}

function valueOf(attempt: Attempt): string {
  if (attempt.outcome !== 'issued') throw new Error(JSON.stringify(attempt))
  return attempt.issued.value
}

function told(attempt: Attempt): string {
  if (attempt.outcome === 'issued') return `issued ${String(attempt.issued.lifetimeMs)}`
  const { code } = attempt.failure
  return attempt.outcome === 'rejected' ? `rejected ${attempt.class} ${code}` : `${attempt.outcome} ${code}`
}

/** A call of the platform's other API with this token, put in as the semantics say. */
async function use({ simulator, source }: Bench, kind: string, token: string): Promise<Response> {
  const { inject } = source.semantics
  const url = new URL(`http://up.test/platform/${kind}/any/call`)
  if ('query' in inject) url.searchParams.set(inject.query, token)
  const headers: Record<string, string> = 'query' in inject ? {} : { [inject.header]: `${inject.prefix}${token}` }
  return await simulator.fetch(new Request(url, { headers }))
}

describe.each(kinds)('%s', (kind) => {
  const { lifeSeconds, toldNot } = caseOf(kind)
  const lifeMs = lifeSeconds * 1_000

  it('gets a token that the upstream takes where the semantics put it, for as long as it says', async () => {
    const at = bench(kind)
    const attempt = await at.ask()
    expect(told(attempt)).toBe(`issued ${toldNot === undefined ? lifeMs : 'null'}`)
    if (toldNot !== undefined) expect(at.source.semantics.fallbackTtlMs).toBe(toldNot)
    expect((await use(at, kind, valueOf(attempt))).status).toBe(200)
    await at.clock.advance(lifeMs - 1_000)
    expect(await (await use(at, kind, valueOf(attempt))).json()).toEqual({ ok: true })
    await at.clock.advance(2_000)
    expect(await (await use(at, kind, valueOf(attempt))).json()).not.toEqual({ ok: true })
  })

  it('holds the fields that it promises', async () => {
    const { ask } = bench(kind)
    const attempt = await ask()
    const fields = attempt.outcome === 'issued' ? Object.keys(attempt.issued.fields) : []
    const promised = presets.find((preset) => preset.kind === kind)?.fields ?? []
    expect(fields.filter((field) => !promised.includes(field))).toEqual([])
  })

  it('says of asking again what the upstream does', async () => {
    const { ask, simulator, clock, source } = bench(kind)
    const { reissue, graceMs } = source.semantics
    const first = valueOf(await ask())
    await clock.advance(60_000)
    const second = valueOf(await ask())
    expect(first === second).toBe(reissue === 'same-until-window' || reissue === 'same-until-expiry')
    await clock.advance(graceMs - 1_000)
    expect(simulator.accepts(first)).toBe(true)
    await clock.advance(2_000)
    expect(simulator.accepts(first)).toBe(reissue !== 'retires-previous')
    expect(simulator.accepts(second)).toBe(true)
  })

  it('costs the upstream one issue, counted for its account', async () => {
    const { ask, simulator } = bench(kind)
    await ask()
    expect(simulator.counters(caseOf(kind).account.id).token).toMatchObject({ calls: 1, issued: 1, refused: 0 })
  })

  it.each(caseOf(kind).wrong)('with %j is refused until the configuration changes (%s)', async (more, code) => {
    const { ask } = bench(kind)
    const attempt = await ask(sourceOf(kind, more))
    expect(told(attempt)).toBe('rejected configuration upstream_rejected')
    expect(attempt).toMatchObject({ failure: { upstream: { errcode: code } } })
    const hint = attempt.outcome === 'rejected' ? attempt.failure.hint : undefined
    expect(hint?.en).toMatch(/^[A-Z].*\.$/)
    expect(hint?.zh).toMatch(/[\u4e00-\u9fff].*。$/)
    expect(JSON.stringify(attempt)).not.toMatch(/canary|PRIVATE KEY|eyJ/)
  })

  const odd: readonly (readonly [EffectSettings, RegExp])[] = [
    [{ type: 'refuse' }, /^not-sent/],
    [{ type: 'reset' }, /^unknown/],
    [{ type: 'lose-answer' }, /^unknown/],
    [{ type: 'status', status: 500, issues: true }, /^unknown/],
    [{ type: 'status', status: 429, retryAfter: '30' }, /^rejected quota/],
    [{ type: 'html' }, /^unknown/],
    [{ type: 'redirect' }, /^rejected configuration/],
    [{ type: 'truncate' }, /^unknown/],
    [{ type: 'huge' }, /^unknown/],
    [{ type: 'bom' }, /^issued/],
    [{ type: 'token', as: 'empty' }, /^unknown/],
    [{ type: 'token', as: 'missing' }, /^unknown/],
    [{ type: 'token', as: 'crlf' }, /^unknown/],
  ]

  it.each(odd)('judges $type rightly', async (effect, expected) => {
    const { ask, simulator } = bench(kind)
    simulator.addFault({ effect })
    const attempt = await ask()
    expect(told(attempt)).toMatch(expected)
    if (attempt.outcome !== 'issued') expect(JSON.stringify(attempt)).not.toMatch(/canary|PRIVATE KEY/)
  })

  it('is the same account after its secret was changed, and another one under another name', () => {
    const { wrong } = caseOf(kind)
    const identity = sourceOf(kind).identity
    const proofs = ['client_secret', 'secret', 'app_secret', 'master_secret', 'private_key']
    for (const [more] of wrong) {
      const [key = ''] = Object.keys(more)
      if (key === 'credentials' || key === 'app_key') continue
      expect(sourceOf(kind, more).identity === identity).toBe(proofs.includes(key))
    }
    expect(identity).not.toMatch(/canary|PRIVATE/)
  })
})

describe('what only one platform does', () => {
  it('Douyin keeps two tokens alive: a third kills the first before its grace is over', async () => {
    const { ask, simulator } = bench('douyin')
    const [first, second, third] = [valueOf(await ask()), valueOf(await ask()), valueOf(await ask())]
    expect([first, second, third].map((value) => simulator.accepts(value))).toEqual([false, true, true])
  })

  it('a QQ bot gets a new token in the last minute, and the old one lives on beside it', async () => {
    const { ask, simulator, clock } = bench('qq-bot')
    const first = valueOf(await ask())
    await clock.advance(7_139_000)
    expect(valueOf(await ask())).toBe(first)
    await clock.advance(2_000)
    const second = valueOf(await ask())
    expect([second === first, simulator.accepts(first), simulator.accepts(second)]).toEqual([false, true, true])
  })

  it.each(['vivo-push', 'oppo-push'])(
    '%s signs with the time of asking, so a clock that is off is told',
    async (kind) => {
      const { simulator, clock, source } = bench(kind)
      const behind = { ...clock, now: () => clock.now() - 700_000 }
      const env: Env = { clock: behind, random: seededRandom(1), fetch: (request) => simulator.fetch(request) }
      const attempt = await issue(source, {
        env,
        signal: new AbortController().signal,
        force: false,
        inputs: new Map(),
      })
      expect(told(attempt)).toBe('rejected permission upstream_rejected')
      expect(JSON.stringify(attempt)).toContain('clock')
    },
  )

  it('Google tells a clock that is off from a key that is gone', async () => {
    const { simulator, clock, source, ask } = bench('google-service-account')
    const ahead = { ...clock, now: () => clock.now() + 700_000 }
    const env: Env = { clock: ahead, random: seededRandom(1), fetch: (request) => simulator.fetch(request) }
    const attempt = await issue(source, { env, signal: new AbortController().signal, force: false, inputs: new Map() })
    expect(JSON.stringify(attempt)).toContain('set the clock')
    const gone = await ask(sourceOf('google-service-account', { credentials: google(wrongKey) }))
    expect(JSON.stringify(gone)).toContain('does not know this key')
  })

  it('GitHub believes an assertion although its clock is half a minute behind ours', async () => {
    const { simulator, clock, source } = bench('github-app')
    const ahead = { ...clock, now: () => clock.now() + 30_000 }
    const env: Env = { clock: ahead, random: seededRandom(1), fetch: (request) => simulator.fetch(request) }
    const attempt = await issue(source, { env, signal: new AbortController().signal, force: false, inputs: new Map() })
    expect(attempt.outcome).toBe('issued')
  })

  it('Microsoft takes a certificate in the place of a secret', async () => {
    const { ask } = bench('entra')
    const { cert: certificate } = selfSigned(rsaPair())
    const base_url = 'http://up.test/platform/entra'
    const app = { tenant: 'contoso.example', client_id: 'app1', scope: 'https://graph.microsoft.com/.default' }
    const definition = { provider: 'entra', base_url, ...app, private_key: privateKey, certificate }
    const parsed = parseSource('x', definition, 'file')
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
    expect(told(await ask(parsed.source))).toBe('issued 3599000')
    const other = parseSource('x', { ...definition, private_key: wrongKey }, 'file')
    expect(other.ok ? [] : other.issues.map(({ path, message }) => [path, message.en])).toEqual([
      [['certificate'], 'The certificate is that of another key.'],
    ])
  })

  it('Salesforce says where the org is, and that is served with the token', async () => {
    const attempt = await bench('salesforce').ask()
    expect(attempt).toMatchObject({ issued: { fields: { instance_url: 'https://example.my.salesforce.com' } } })
  })
})
