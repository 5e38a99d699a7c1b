/**
 * Every provider against the simulated upstream, which shares no code with them: what they send is understood, what comes
 * back is told rightly, their semantics are those of the upstream, and `unknown` is never said too little.
 */
import { describe, expect, it } from 'vitest'
import { deadline, type Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Attempt } from '../../src/model/failure.ts'
import type { Source } from '../../src/model/source.ts'
import { issue, parseSource, redeem, type Input } from '../../src/providers/catalogue.ts'
import type { AccountSettings, EffectSettings, Simulator } from '../../src/simulator/simulator.ts'
import { seededRandom, stage, type ManualClock } from '../simulator/stage.ts'

const accounts: readonly AccountSettings[] = [
  { kind: 'wechat', id: 'wx1', secret: 'canary-wx' },
  // What it says of replaced tokens is what callers are told, which is less than they live.
  { kind: 'wechat-component', id: 'wxc', secret: 'canary-wxc', knobs: { overlapSeconds: 0 } },
  { kind: 'wecom', id: 'ww1', corpid: 'ww1', secret: 'canary-ww' },
  { kind: 'dingtalk', id: 'ding1', secret: 'canary-dt' },
  { kind: 'feishu', id: 'cli_1', secret: 'canary-fs' },
  { kind: 'wecom-provider', id: 'ww_p', secret: 'canary-wp' },
  { kind: 'wecom-suite', id: 'ww_s', secret: 'canary-ws' },
  { kind: 'dingtalk-suite', id: 'suite_d', secret: 'canary-ds' },
  { kind: 'feishu-store', id: 'cli_s', secret: 'canary-st' },
  { kind: 'oauth2', id: 'client', secret: 'canary-oa' },
  {
    kind: 'generic',
    id: 'any',
    demands: [
      { in: 'query', name: 'who', value: 'me&you' },
      { in: 'header', name: 'authorization', tokenOf: 'wx1' },
      { in: 'body', name: 'app.key', value: 'canary-any' },
    ],
    tokenField: 'data.token',
    expiry: { field: 'data.until', as: 'iso' },
    failure: { codeField: 'code', textField: 'text' },
  },
]

const definitions: Readonly<Record<string, JsonObject>> = {
  stable: { provider: 'wechat', appid: 'wx1', secret: 'canary-wx', base_url: 'http://up.test/wechat' },
  classic: {
    provider: 'wechat',
    appid: 'wx1',
    secret: 'canary-wx',
    base_url: 'http://up.test/wechat',
    mode: 'classic',
  },
  jsapi: { provider: 'wechat-ticket', of: 'stable' },
  card: { provider: 'wechat-ticket', of: 'classic', type: 'wx_card' },
  platform: { provider: 'wechat-component', appid: 'wxc', secret: 'canary-wxc', base_url: 'http://up.test/wechat' },
  'platform/wx5': { provider: 'wechat-authorizer', of: 'platform', appid: 'wx5' },
  'platform/wx5/jsapi': { provider: 'wechat-ticket', of: 'platform/wx5' },
  'platform/wx5/wx_card': { provider: 'wechat-ticket', of: 'platform/wx5', type: 'wx_card' },
  corp: { provider: 'wecom', corpid: 'ww1', secret: 'canary-ww', base_url: 'http://up.test/wecom' },
  'corp-jsapi': { provider: 'wecom-ticket', of: 'corp' },
  'corp-agent': { provider: 'wecom-ticket', of: 'corp', type: 'agent_config' },
  ding: { provider: 'dingtalk', appkey: 'ding1', secret: 'canary-dt', base_url: 'http://up.test/dingtalk' },
  'ding-old': {
    provider: 'dingtalk',
    appkey: 'ding1',
    secret: 'canary-dt',
    stack: 'old',
    base_url: 'http://up.test/dingtalk',
  },
  'ding-jsapi': { provider: 'dingtalk-ticket', of: 'ding' },
  'ding-old-jsapi': { provider: 'dingtalk-ticket', of: 'ding-old' },
  feishu: { provider: 'feishu', app_id: 'cli_1', secret: 'canary-fs', base_url: 'http://up.test/feishu' },
  'feishu-app': {
    provider: 'feishu',
    app_id: 'cli_1',
    secret: 'canary-fs',
    type: 'app',
    base_url: 'http://up.test/feishu',
  },
  'feishu-jsapi': { provider: 'feishu-ticket', of: 'feishu' },
  'wecom-provider': {
    provider: 'wecom-provider',
    corpid: 'ww_p',
    provider_secret: 'canary-wp',
    base_url: 'http://up.test/wecom',
  },
  'wecom-suite': {
    provider: 'wecom-suite',
    suite_id: 'ww_s',
    suite_secret: 'canary-ws',
    base_url: 'http://up.test/wecom',
  },
  'wecom-corp': { provider: 'wecom-corp', of: 'wecom-suite', corpid: 'ww9' },
  'wecom-corp-jsapi': { provider: 'wecom-ticket', of: 'wecom-corp' },
  'wecom-downstream': { provider: 'wecom-corpgroup', of: 'corp', corpid: 'ww8', agentid: 1_000_002 },
  'ding-suite': {
    provider: 'dingtalk-suite',
    suite_key: 'suite_d',
    suite_secret: 'canary-ds',
    base_url: 'http://up.test/dingtalk',
  },
  'ding-suite-old': {
    provider: 'dingtalk-suite',
    suite_key: 'suite_d',
    suite_secret: 'canary-ds',
    stack: 'old',
    base_url: 'http://up.test/dingtalk',
  },
  'ding-corp': { provider: 'dingtalk-corp', of: 'ding-suite', corpid: 'ding9' },
  'ding-corp-old': { provider: 'dingtalk-corp', of: 'ding-suite-old', corpid: 'ding9' },
  'ding-corp-jsapi': { provider: 'dingtalk-ticket', of: 'ding-corp' },
  'feishu-store': { provider: 'feishu-store', app_id: 'cli_s', secret: 'canary-st', base_url: 'http://up.test/feishu' },
  'feishu-tenant': { provider: 'feishu-tenant', of: 'feishu-store', tenant_key: 'tenant9' },
  'feishu-tenant-jsapi': { provider: 'feishu-ticket', of: 'feishu-tenant' },
  'oauth-basic': {
    provider: 'oauth2',
    token_url: 'http://up.test/oauth2/token',
    client_id: 'client',
    client_secret: 'canary-oa',
  },
  'oauth-body': {
    provider: 'oauth2',
    token_url: 'http://up.test/oauth2/token',
    client_id: 'client',
    client_secret: 'canary-oa',
    auth: 'body',
  },
  any: {
    provider: 'http',
    url: 'http://up.test/generic/any',
    query: { who: 'me&you' },
    headers: { authorization: 'Bearer {{results.stable.access_token}}' },
    body: { app: { key: '{{values.key}}' } },
    values: { key: 'canary-any' },
    token: '/data/token',
    expires_at: '/data/until',
    error: '/code',
    error_message: '/text',
  },
  'tokenboy-weixin': {
    provider: 'http',
    url: 'http://up.test/wechat/cgi-bin/token',
    query: { grant_type: 'client_credential', appid: 'wx1', secret: 'canary-wx' },
  },
  'tokenboy-jsticket': {
    provider: 'http',
    url: 'http://up.test/wechat/cgi-bin/ticket/getticket',
    query: { access_token: '{{results.tokenboy-weixin.access_token}}', type: 'jsapi' },
    token: '/ticket',
  },
}
const names = Object.keys(definitions)
/** Whose platform pushes a ticket for which app. */
const apps: Readonly<Record<string, string>> = {
  platform: 'wxc',
  'wecom-suite': 'ww_s',
  'ding-suite': 'suite_d',
  'ding-suite-old': 'suite_d',
  'feishu-store': 'cli_s',
}

type Bench = {
  readonly simulator: Simulator
  readonly clock: ManualClock
  readonly source: (name: string) => Source
  readonly ask: (name: string, options?: { force?: boolean; inputs?: ReadonlyMap<string, Input> }) => Promise<Attempt>
  /** Asks for everything that `name` needs first, and has the platform grant what it is asked with. */
  readonly inputs: (name: string) => Promise<ReadonlyMap<string, Input>>
}

function bench(): Bench {
  const { simulator, clock } = stage({ accounts })
  simulator.authorise('wxc', 'wx5')
  const source = (name: string): Source => {
    const parsed = parseSource(name, definitions[name] ?? {}, 'file', (other) => definitions[other])
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
    return parsed.source
  }
  const env: Env = { clock, random: seededRandom(1), fetch: (request, options) => simulator.fetch(request, options) }
  const inputs: Bench['inputs'] = async (name) => {
    const found = new Map<string, Input>()
    for (const need of source(name).needs) {
      const attempt = await ask(need)
      if (attempt.outcome !== 'issued') throw new Error(`${need}: ${JSON.stringify(attempt)}`)
      const grant = grants.get(need)
      const account = source(need).credential?.account
      const { value: token, fields } = attempt.issued
      const more = { ...(account === undefined ? {} : { account }), ...(grant === undefined ? {} : { grant }) }
      found.set(need, { token, version: 1, fields, ...more })
    }
    await grantOf(name, found)
    return found
  }
  const call = { env, signal: new AbortController().signal, force: false, inputs: new Map<string, Input>() }
  /**
   * What each source was granted: a ticket that was pushed, a permanent code that a corp's installation brought,
   * a refresh token as the platform's list tells it.
   */
  const grants = new Map<string, string>()
  const grantOf = async (name: string, given: ReadonlyMap<string, Input>): Promise<void> => {
    const app = apps[name]
    if (app !== undefined && !grants.has(name)) {
      const ticket = simulator.makeTicket(app)
      // One app may have a source for each stack, and a new ticket ends the one before.
      for (const other of Object.keys(apps)) if (apps[other] === app) grants.set(other, ticket)
      if (name !== 'platform') {
        for (const organisation of ['ww9', 'ding9', 'tenant9']) simulator.install(app, organisation)
      }
    }
    if (name === 'wecom-corp' && !grants.has(name)) {
      const suite = valueOf(await ask('wecom-suite'))
      const held = { token: suite, fields: {}, isReported: false }
      const proof = { code: simulator.install('ww_s', 'ww9'), journey: null }
      const { attempt, child } = await redeem(source('wecom-suite'), { ...call, held }, proof)
      if (attempt.outcome !== 'issued') throw new Error(JSON.stringify(attempt))
      expect(child).toEqual({ account: 'ww9', definition: { provider: 'wecom-corp', corpid: 'ww9' } })
      expect(Object.keys(attempt.issued.fields)).toEqual(['access_token', 'expires_in'])
      grants.set(name, attempt.issued.grant?.value ?? '')
    }
    if (name === 'platform/wx5' && !grants.has(name)) {
      const query = `component_access_token=${given.get('platform')?.token ?? ''}`
      const request = new Request(`http://up.test/wechat/cgi-bin/component/api_get_authorizer_list?${query}`, {
        method: 'POST',
        body: JSON.stringify({ component_appid: 'wxc', offset: 0, count: 1 }),
      })
      const { list } = (await (await simulator.fetch(request)).json()) as { list: { refresh_token: string }[] }
      grants.set(name, list[0]?.refresh_token ?? '')
    }
  }
  const ask: Bench['ask'] = async (name, options = {}) => {
    const given = options.inputs ?? (await inputs(name))
    const grant = grants.get(name) ?? null
    const time = deadline(clock, 8_000)
    try {
      return await issue(source(name), {
        env,
        signal: time.signal,
        force: options.force ?? false,
        inputs: given,
        grant,
      })
    } finally {
      time.done()
    }
  }
  return { simulator, clock, source, ask, inputs }
}

const valueOf = (attempt: Attempt): string => {
  if (attempt.outcome !== 'issued') throw new Error(JSON.stringify(attempt))
  return attempt.issued.value
}
const lifetimeOf = (attempt: Attempt): number | null => (attempt.outcome === 'issued' ? attempt.issued.lifetimeMs : -1)

describe.each(names)('%s', (name) => {
  it('gets a token that the upstream takes, for as long as it says', async () => {
    const { ask, simulator, clock } = bench()
    const attempt = await ask(name)
    expect(lifetimeOf(attempt)).toBe(7_200_000)
    expect(simulator.accepts(valueOf(attempt))).toBe(true)
    await clock.advance(7_199_000)
    expect(simulator.accepts(valueOf(attempt))).toBe(true)
  })

  it('says of asking again what the upstream does', async () => {
    const { ask, simulator, clock, source, inputs } = bench()
    const { reissue, graceMs } = source(name).semantics
    const given = await inputs(name)
    const first = valueOf(await ask(name, { inputs: given }))
    await clock.advance(60_000)
    const second = valueOf(await ask(name, { inputs: given }))
    expect(first === second).toBe(['same-until-window', 'same-until-expiry', 'extends'].includes(reissue))
    await clock.advance(graceMs + 1_000)
    expect(simulator.accepts(first)).toBe(reissue !== 'retires-previous')
    expect(simulator.accepts(second)).toBe(true)
  })

  it('costs the upstream one issue', async () => {
    const { ask, simulator, inputs } = bench()
    const given = await inputs(name)
    simulator.clearCounters()
    await ask(name, { inputs: given })
    expect(simulator.journal()).toHaveLength(1)
  })

  const odd: readonly (readonly [EffectSettings, RegExp])[] = [
    [{ type: 'refuse' }, /^not-sent/],
    [{ type: 'reset' }, /^unknown/],
    [{ type: 'lose-answer' }, /^unknown/],
    [{ type: 'status', status: 500, issues: true }, /^unknown/],
    [{ type: 'status', status: 429, retryAfter: '30' }, /^rejected quota 30000/],
    [{ type: 'html' }, /^unknown/],
    [{ type: 'redirect' }, /^rejected configuration/],
    [{ type: 'truncate' }, /^unknown/],
    [{ type: 'cut' }, /^unknown/],
    [{ type: 'huge' }, /^unknown/],
    [{ type: 'bom' }, /^issued 7200000/],
    [{ type: 'content-type' }, /^issued 7200000/],
    [{ type: 'duplicate-keys' }, /^issued 7200000/],
    [{ type: 'token', as: 'empty' }, /^unknown/],
    [{ type: 'token', as: 'missing' }, /^unknown/],
    [{ type: 'token', as: 'null' }, /^unknown/],
    [{ type: 'token', as: 'number' }, /^unknown/],
    [{ type: 'token', as: 'crlf' }, /^unknown/],
    [{ type: 'token', as: 'non-ascii' }, /^unknown/],
    [{ type: 'token', as: 'long' }, /^unknown/],
    [{ type: 'lifetime', as: 'missing' }, /^issued null/],
    [{ type: 'lifetime', as: 'zero' }, /^issued null/],
    [{ type: 'lifetime', as: 'negative' }, /^issued null/],
    [{ type: 'lifetime', as: 'overflow' }, /^issued null/],
    [{ type: 'lifetime', as: 'nan' }, /^(issued null|unknown)/],
  ]

  it.each(odd)('judges $type rightly', async (effect, expected) => {
    const { ask, simulator, inputs } = bench()
    const given = await inputs(name)
    simulator.addFault({ effect })
    const attempt = await ask(name, { inputs: given })
    expect(told(attempt)).toMatch(expected)
    if (attempt.outcome !== 'issued') expect(JSON.stringify(attempt)).not.toContain('canary')
  })

  it.each([{ type: 'hang', issues: true } as const, { type: 'drip' } as const, { type: 'slow', ms: 60_000 } as const])(
    'gives up on $type in time, and knows that it knows nothing',
    async (effect) => {
      const { ask, simulator, clock, inputs } = bench()
      const given = await inputs(name)
      simulator.addFault({ effect })
      const attempt = ask(name, { inputs: given })
      await clock.advance(8_000)
      expect(told(await attempt)).toBe('unknown upstream_timeout')
    },
  )
})

function told(attempt: Attempt): string {
  switch (attempt.outcome) {
    case 'issued':
      return `issued ${String(attempt.issued.lifetimeMs)}`
    case 'rejected':
      return `rejected ${attempt.class} ${attempt.waitMs ?? attempt.failure.code}`
    case 'not-sent':
    case 'unknown':
      return `${attempt.outcome} ${attempt.failure.code}`
  }
}

describe('a refused token of another source', () => {
  it.each([
    ['jsapi', 'stable', 'wx1'],
    ['card', 'classic', 'wx1'],
    ['platform/wx5', 'platform', 'wxc'],
    ['corp-jsapi', 'corp', 'ww1'],
    ['corp-agent', 'corp', 'ww1'],
    ['ding-jsapi', 'ding', 'ding1'],
    ['ding-old-jsapi', 'ding-old', 'ding1'],
    ['feishu-jsapi', 'feishu', 'cli_1'],
    ['wecom-corp', 'wecom-suite', 'ww_s'],
    ['wecom-downstream', 'corp', 'ww1'],
    ['feishu-tenant', 'feishu-store', 'cli_s'],
    ['tokenboy-jsticket', 'tokenboy-weixin', 'wx1'],
  ])('is named by %s', async (name, input, account) => {
    const { ask, simulator, inputs } = bench()
    const given = await inputs(name)
    simulator.revoke({ account })
    expect(await ask(name, { inputs: given })).toMatchObject({ outcome: 'rejected', refusedInput: input })
  })
})

describe('WeChat', () => {
  it('gives the same stable token until its last five minutes, then a new one beside it', async () => {
    const { ask, simulator, clock } = bench()
    const first = valueOf(await ask('stable'))
    await clock.advance(6_899_000)
    expect([valueOf(await ask('stable')), lifetimeOf(await ask('stable'))]).toEqual([first, 301_000])
    await clock.advance(2_000)
    const second = valueOf(await ask('stable'))
    expect([second === first, simulator.accepts(first), simulator.accepts(second)]).toEqual([false, true, true])
  })

  it('forces a new stable token when it is asked to', async () => {
    const { ask, simulator } = bench()
    const first = valueOf(await ask('stable'))
    const second = valueOf(await ask('stable', { force: true }))
    expect([first === second, simulator.accepts(second), simulator.counters('wx1')]).toMatchObject([false, true, {}])
  })

  it('says in so many words that the quota of the day is used up', async () => {
    const { ask, simulator } = bench()
    simulator.setKnobs({ classicPerDay: 1 }, 'wx1')
    await ask('classic')
    expect(told(await ask('classic'))).toBe(`rejected quota ${12 * 3_600_000 + 60_000}`)
  })

  it.each(['wrong-secret', 'wrong-appid'])('refuses %s for good', async (wrong) => {
    const { simulator, clock } = stage({ accounts })
    const definition = {
      ...definitions.stable,
      ...(wrong === 'wrong-secret' ? { secret: 'canary-no' } : { appid: 'wx9' }),
    }
    const parsed = parseSource('x', definition, 'file')
    if (!parsed.ok) throw new Error('not parsed')
    const env: Env = { clock, random: seededRandom(1), fetch: (request) => simulator.fetch(request) }
    const call = { env, signal: new AbortController().signal, force: false, inputs: new Map() }
    expect(told(await issue(parsed.source, call))).toBe('rejected configuration upstream_rejected')
  })
})

describe('DingTalk', () => {
  it.each(['ding', 'ding-old'])('renews the life of the same token whenever %s asks', async (name) => {
    const { ask, simulator, clock } = bench()
    const first = valueOf(await ask(name))
    await clock.advance(7_000_000)
    const again = await ask(name)
    expect([valueOf(again), lifetimeOf(again)]).toEqual([first, 7_200_000])
    await clock.advance(7_199_000)
    expect(simulator.accepts(first)).toBe(true)
  })

  it('gives one token and one ticket by both stacks', async () => {
    const { ask } = bench()
    expect(valueOf(await ask('ding'))).toBe(valueOf(await ask('ding-old')))
    expect(valueOf(await ask('ding-jsapi'))).toBe(valueOf(await ask('ding-old-jsapi')))
  })

  it.each(['ding', 'ding-old', 'ding-jsapi', 'ding-old-jsapi'])('bans, and %s stays away', async (name) => {
    const { ask, simulator, inputs } = bench()
    const given = await inputs(name)
    simulator.addFault({ effect: { type: 'errcode', code: 1111 } })
    expect(told(await ask(name, { inputs: given }))).toBe('rejected quota 300000')
  })

  it.each(['ding-jsapi', 'ding-old-jsapi'])('names to %s the address that it does not take', async (name) => {
    const { ask, simulator, inputs } = bench()
    const given = await inputs(name)
    simulator.setKnobs({ allowList: ['10.0.0.1'] }, 'ding1')
    const attempt = await ask(name, { inputs: given })
    expect(told(attempt)).toBe('rejected permission upstream_rejected')
    expect(attempt.outcome === 'rejected' && attempt.failure.hint?.en).toContain('127.0.0.1')
  })

  it.each(['ding', 'ding-old'])(
    'refuses a wrong secret of %s for good, though the status says nothing',
    async (name) => {
      const { ask, simulator } = bench()
      simulator.putAccount({ kind: 'dingtalk', id: 'ding1', secret: 'another' })
      expect(told(await ask(name))).toBe('rejected configuration upstream_rejected')
    },
  )
})

describe('Feishu', () => {
  it('gives the same token while half an hour is left, then a new one, and both live out their lives', async () => {
    const { ask, simulator, clock } = bench()
    const first = valueOf(await ask('feishu'))
    await clock.advance(5_400_000)
    expect([valueOf(await ask('feishu')), lifetimeOf(await ask('feishu'))]).toEqual([first, 1_800_000])
    await clock.advance(1_000)
    const second = valueOf(await ask('feishu'))
    await clock.advance(1_798_000)
    expect([second === first, simulator.accepts(first), simulator.accepts(second)]).toEqual([false, true, true])
    await clock.advance(1_000)
    expect([simulator.accepts(first), simulator.accepts(second)]).toEqual([false, true])
  })

  it('says by a header of its own when it may be asked again', async () => {
    const { ask, simulator } = bench()
    simulator.addFault({ effect: { type: 'errcode', code: 99991400 } })
    expect(told(await ask('feishu'))).toBe('rejected quota 30000')
  })

  it('refuses a wrong secret for good, with HTTP 200', async () => {
    const { ask, simulator } = bench()
    simulator.putAccount({ kind: 'feishu', id: 'cli_1', secret: 'another' })
    expect(told(await ask('feishu'))).toBe('rejected configuration upstream_rejected')
  })
})
