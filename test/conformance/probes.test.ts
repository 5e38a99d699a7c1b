/** Every provider that can ask whether a token lives, against the simulated platform: a clear yes, a clear no, or neither. */
import { describe, expect, it } from 'vitest'
import { deadline, type Env } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Said } from '../../src/model/suspicion.ts'
import { issue, parseSource, probe, providers } from '../../src/providers/catalogue.ts'
import type { EffectSettings } from '../../src/simulator/simulator.ts'
import { seededRandom, stage } from '../simulator/stage.ts'

const definitions: Readonly<Record<string, JsonObject>> = {
  wechat: { provider: 'wechat', appid: 'wx1', secret: 'canary-wx', base_url: 'http://up.test/wechat' },
  'wechat, classic': {
    provider: 'wechat',
    appid: 'wx1',
    secret: 'canary-wx',
    mode: 'classic',
    base_url: 'http://up.test/wechat',
  },
  wecom: { provider: 'wecom', corpid: 'ww1', secret: 'canary-ww', base_url: 'http://up.test/wecom' },
}

async function bench(name: string) {
  const { simulator, clock } = stage({
    accounts: [
      { kind: 'wechat', id: 'wx1', secret: 'canary-wx' },
      { kind: 'wecom', id: 'ww1', corpid: 'ww1', secret: 'canary-ww' },
    ],
  })
  const parsed = parseSource('x', definitions[name] ?? {}, 'file')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  const env: Env = { clock, random: seededRandom(1), fetch: (request) => simulator.fetch(request) }
  const time = deadline(clock, 3_000)
  const call = { env, signal: time.signal, force: false, inputs: new Map() }
  const attempt = await issue(parsed.source, call)
  if (attempt.outcome !== 'issued') throw new Error(JSON.stringify(attempt))
  const ask = (token: string): Promise<Said | undefined> => probe(parsed.source, call, token)
  return { simulator, clock, token: attempt.issued.value, ask }
}

it('a provider says that its tokens can be asked about exactly if it can ask', () => {
  const able = providers.filter((provider) => provider.probe !== undefined).map(({ kind }) => kind)
  expect(able).toEqual(['wechat', 'wecom'])
  for (const [name, definition] of Object.entries(definitions)) {
    const parsed = parseSource('x', definition, 'file')
    expect([name, parsed.ok && parsed.source.semantics.probe]).toEqual([name, true])
  }
  const suite = parseSource('x', { provider: 'wecom-provider', corpid: 'ww1', provider_secret: 's' }, 'file')
  expect(suite.ok && suite.source.semantics.probe).toBeUndefined()
})

describe.each(Object.keys(definitions))('%s', (name) => {
  it('tells a living token from a dead one, and issues nothing', async () => {
    const { simulator, token, ask } = await bench(name)
    expect(await ask(token)).toBe('alive')
    expect(await ask(token)).toBe('alive')
    simulator.revoke({ token })
    expect(await ask(token)).toBe('dead')
    expect(await ask('never issued')).toBe('dead')
    const { token: classic, stable_token: stable } = simulator.counters()
    expect(classic.calls + stable.calls).toBe(1)
  })

  const riddles: readonly EffectSettings[] = [
    { type: 'errcode', code: -1 },
    { type: 'errcode', code: 45009 },
    { type: 'errcode', code: 48001 },
    { type: 'errcode', code: 40164 },
    { type: 'html' },
    { type: 'status', status: 502 },
    { type: 'status', status: 200, body: '{}' },
    { type: 'status', status: 200, body: '{"errcode":0}' },
    { type: 'status', status: 401, body: '{"ip_list":[]}' },
    { type: 'redirect' },
    { type: 'refuse' },
    { type: 'reset' },
    { type: 'lose-answer' },
  ]

  it.each(riddles.map((effect) => [JSON.stringify(effect), effect] as const))(
    'takes %s for neither',
    async (_, effect) => {
      const { simulator, token, ask } = await bench(name)
      simulator.addFault({ effect, kinds: ['api'] })
      expect(await ask(token)).toBe('unclear')
    },
  )

  it('takes silence for neither', async () => {
    const { simulator, clock, token, ask } = await bench(name)
    simulator.addFault({ effect: { type: 'hang' }, kinds: ['api'] })
    const asked = ask(token)
    await clock.advance(3_000)
    expect(await asked).toBe('unclear')
  })
})
