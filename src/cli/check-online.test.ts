import { describe, expect, test } from 'vitest'
import { load } from '../../test/config/harness.ts'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Config } from '../config/config.ts'
import { newEntry, type Entry } from '../model/entry.ts'
import { issue, parseSource } from '../providers/catalogue.ts'
import { createSimulator, type Simulator } from '../simulator/simulator.ts'
import type { EntryStore } from '../stores/store.ts'
import { checkOnline, type OnlineFindings, type OnlineOutside } from './check-online.ts'
import { isTrouble, onlineLines } from './check-report.ts'
import type { Io } from './command.ts'
import { widthOf } from './terminal.ts'

const yaml = `
sources:
  js: { provider: wechat-ticket, of: classic }
  classic: { provider: wechat, appid: wx1, secret: "\${S}", mode: classic }
  stable: { provider: wechat, appid: wx1, secret: "\${S}" }
  corp: { provider: wecom, corpid: ww1, secret: "\${S}" }
`
const secret = 'hunter2hunter2'

type Stage = { readonly simulator: Simulator; readonly config: Config; readonly env: Env; readonly clock: VirtualClock }

async function stage(text = yaml, skewMs = 0): Promise<Stage> {
  const clock = new VirtualClock()
  const random = { next: () => 0.5, bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) }
  const simulator = createSimulator({
    clock,
    random,
    accounts: [
      { kind: 'wechat', id: 'wx1', secret },
      { kind: 'wecom', corpid: 'ww1', secret },
    ],
  })
  const env: Env = {
    clock,
    random,
    fetch: async (request) => {
      const response = await simulator.fetch(request)
      const headers = new Headers(response.headers)
      headers.set('date', new Date(clock.now() + skewMs).toUTCString())
      return new Response(response.body, { status: response.status, headers })
    },
  }
  const { config, issues } = await load(text, { environment: { S: secret }, parseSource })
  expect(issues).toEqual([])
  return { simulator, config: config!, env, clock }
}

/** A store that holds these entries; what is written is kept. */
function storeOf(entries: Record<string, Entry>, clock: VirtualClock): EntryStore & { readonly written: string[] } {
  const written: string[] = []
  return {
    kind: 'fake',
    written,
    read: async (name: string) => ({ entry: entries[name] ?? null, revision: 0 }),
    write: async (name: string) => {
      written.push(name)
      return 1
    },
    now: async () => clock.now(),
    close: async () => undefined,
  } as unknown as EntryStore & { readonly written: string[] }
}

async function checked({ config, env, clock }: Stage, store?: EntryStore): Promise<OnlineFindings> {
  const openStore = async (): Promise<EntryStore> => store ?? storeOf({}, clock)
  return await clock.until(checkOnline(config, { env, issue, openStore }, new AbortController().signal))
}

const outcomes = ({ sources }: OnlineFindings): Record<string, string> =>
  Object.fromEntries(sources.map(({ name, outcome }) => [name, outcome]))

const holding = (identity: string, now: number): Entry => ({
  ...newEntry(now),
  token: {
    value: 'token-in-use',
    version: 3,
    issuedAt: now,
    expiresAt: now + 3_600_000,
    lifetimeMs: 7_200_000,
    identity,
    fields: {},
    askedWith: {},
    isGuessed: false,
    isUnconfirmed: false,
  },
})

const asks = (simulator: Simulator): number => simulator.journal().filter(({ kind }) => !kind.includes('ticket')).length

describe('asking the upstreams', () => {
  test('every source is asked once, those that others need first, and the store is written', async () => {
    const place = await stage()
    const store = storeOf({}, place.clock)
    const findings = await checked(place, store)
    expect(outcomes(findings)).toEqual({ js: 'ok', classic: 'ok', stable: 'ok', corp: 'ok' })
    expect(findings.store).toEqual({ outcome: 'ok', notices: [] })
    expect(store.written).toEqual(['~check'])
    expect(place.simulator.journal()).toHaveLength(4)
    expect(isTrouble(findings)).toBe(false)
  })
  test('the neighbours are asked like the others, also while their tokens are in use: asking retires none', async () => {
    const place = await stage(`
sources:
  ding: { provider: dingtalk, appkey: ding1, secret: "\${S}" }
  ding_old: { provider: dingtalk, appkey: ding1, secret: "\${S}", stack: old }
  ding_js: { provider: dingtalk-ticket, of: ding }
  feishu: { provider: feishu, app_id: cli_1, secret: "\${S}" }
  lark: { provider: feishu, app_id: cli_1, secret: "\${S}", region: lark, type: app }
  feishu_js: { provider: feishu-ticket, of: feishu }
`)
    place.simulator.putAccount({ kind: 'dingtalk', id: 'ding1', secret })
    place.simulator.putAccount({ kind: 'feishu', id: 'cli_1', secret })
    const findings = await checked(place)
    expect(new Set(Object.values(outcomes(findings)))).toEqual(new Set(['ok']))
    const token = place.simulator.latest('ding1')!
    await checked(place)
    expect(place.simulator.accepts(token)).toBe(true)
    place.simulator.putAccount({ kind: 'dingtalk', id: 'ding1', secret: 'another' })
    const [ding, old, js] = (await checked(place)).sources
    expect([ding, old]).toMatchObject([
      { outcome: 'failed', failure: { upstream: { errcode: 'invalidClientIdOrSecret' } } },
      { outcome: 'failed', failure: { upstream: { errcode: 40096 } } },
    ])
    expect(js?.outcome).toBe('not-asked')
  })
  test('what is asked with a pushed ticket is not asked, and what needs it is asked with the token it has', async () => {
    const place = await stage(`
sources:
  suite: { provider: wecom-suite, suite_id: ww_s, suite_secret: "\${S}" }
  suite/ww9: { provider: wecom-corp, of: suite, corpid: ww9 }
  js: { provider: wecom-ticket, of: suite/ww9 }
`)
    expect(outcomes(await checked(place))).toEqual({ suite: 'not-asked', 'suite/ww9': 'not-asked', js: 'not-asked' })
    expect(place.simulator.journal()).toEqual([])
    const corp = place.config.sources.find(({ name }) => name === 'suite/ww9')!
    const held = { 'suite/ww9': holding(corp.identity, place.clock.now()) }
    const findings = await checked(place, storeOf(held, place.clock))
    // The token in this store is none of the simulator's, which says so: it was asked.
    expect(outcomes(findings)).toMatchObject({ suite: 'not-asked', js: 'failed' })
  })
  test('a refresh token is not used up', async () => {
    const place = await stage(`
sources:
  shop: { provider: oauth2, token_url: "http://up/oauth2/token", client_id: c, client_secret: "\${S}", grant: refresh_token, refresh_token: "\${S}" }
`)
    const findings = await checked(place)
    expect(outcomes(findings)).toEqual({ shop: 'not-asked' })
    expect(place.simulator.journal()).toEqual([])
    expect(isTrouble(findings)).toBe(false)
  })
  test('a classic token in use is not retired, and the ticket is asked with it', async () => {
    const place = await stage()
    const source = place.config.sources.find(({ name }) => name === 'classic')!
    const findings = await checked(
      place,
      storeOf({ classic: holding(source.identity, place.clock.now()) }, place.clock),
    )
    expect(outcomes(findings)).toMatchObject({ classic: 'not-asked', stable: 'ok' })
    expect(findings.sources.find(({ name }) => name === 'js')?.outcome).not.toBe('not-asked')
    expect(asks(place.simulator)).toBe(2)
    expect(JSON.stringify(findings)).not.toContain('token-in-use')
  })
  test('a dead token, or one of another account, is not in use', async () => {
    const place = await stage()
    const now = place.clock.now()
    const dead = storeOf({ classic: holding('another', now) }, place.clock)
    expect(outcomes(await checked(place, dead))).toMatchObject({ classic: 'ok' })
  })
  test('with a store that ends with the process, nobody knows what is in use: a classic token is not asked for', async () => {
    const findings = await checked(await stage(`store: memory\n${yaml}`))
    expect(outcomes(findings)).toEqual({ js: 'not-asked', classic: 'not-asked', stable: 'ok', corp: 'ok' })
    expect(findings.sources).toContainEqual({
      name: 'classic',
      outcome: 'not-asked',
      why: expect.objectContaining({ en: expect.stringContaining('memory') }),
    })
    expect(findings.store).toEqual({ outcome: 'nothing-to-check', notices: [] })
  })
  test('a store that cannot be opened is told, and nothing is retired', async () => {
    const place = await stage()
    const openStore = async (): Promise<EntryStore> =>
      await Promise.reject(new ZhongkongError('store_full', 'the disk is full'))
    const findings = await place.clock.until(
      checkOnline(place.config, { env: place.env, issue, openStore }, new AbortController().signal),
    )
    expect(findings.store).toMatchObject({ outcome: 'failed', message: 'the disk is full' })
    // What to do is said in the reader's language even where the store itself gave no hint.
    expect(onlineLines(findings, { language: 'zh', columns: 80 } as Io)[1]).toMatch(/→ 存储无法写入/)
    expect(outcomes(findings)).toMatchObject({ classic: 'not-asked', corp: 'ok' })
    expect(isTrouble(findings)).toBe(true)
  })
  test('a refusal is told with its code and what to do, without the secret', async () => {
    const place = await stage(yaml.replaceAll('ww1, secret: "${S}"', 'ww1, secret: "${S}x"'))
    const findings = await checked(place)
    expect(outcomes(findings)).toMatchObject({ corp: 'failed', stable: 'ok' })
    expect(JSON.stringify(findings)).not.toContain(secret)
    expect(isTrouble(findings)).toBe(true)
  })
  test('an address that is not in the allow-list is named', async () => {
    const place = await stage()
    place.simulator.setKnobs({ allowList: ['203.0.113.9'] })
    const findings = await checked(place)
    const stable = findings.sources.find(({ name }) => name === 'stable')
    const hint = stable?.outcome === 'failed' ? stable.failure.hint : undefined
    expect(hint?.en).toMatch(/Add [\d.:a-f]+ to the IP allow-list/)
  })
  test('a check that is stopped asks nobody any more', async () => {
    const place = await stage()
    const openStore = async (): Promise<EntryStore> => storeOf({}, place.clock)
    const findings = await place.clock.until(
      checkOnline(place.config, { env: place.env, issue, openStore }, AbortSignal.abort()),
    )
    expect(new Set(Object.values(outcomes(findings)))).toEqual(new Set(['not-asked']))
    expect(place.simulator.journal()).toEqual([])
  })
})

describe('clocks', () => {
  test.each([
    [0, false],
    [-45_000, false],
    [3_600_000, true],
  ])('%i ms apart', async (skewMs, isWrong) => {
    const findings = await checked(await stage(yaml, skewMs))
    expect(Math.abs((findings.skewMs ?? NaN) - skewMs)).toBeLessThanOrEqual(1_000)
    expect(isTrouble(findings)).toBe(isWrong)
  })
})

describe('the report', () => {
  test('has what the store says of its server, and that is no trouble', async () => {
    const place = await stage()
    const openStore: OnlineOutside['openStore'] = async (_, onNotice) => {
      onNotice({ en: 'loses writes', zh: '会丢失写入' })
      onNotice({ en: 'does not tell', zh: '没有说明', isCalm: true })
      return storeOf({}, place.clock)
    }
    const asking = checkOnline(place.config, { env: place.env, issue, openStore }, new AbortController().signal)
    const findings = await place.clock.until(asking)
    expect(isTrouble(findings)).toBe(false)
    expect(onlineLines(findings, { language: 'zh', columns: 80 } as Io).join('\n')).toMatch(
      /正常，可以读写\n +! 会丢失写入\n +· 没有说明\n/,
    )
  })
  test.each(['en', 'zh'] as const)(
    'no line is wider than the terminal, and no token is in it (%s)',
    async (language) => {
      const place = await stage(yaml.replaceAll('ww1, secret: "${S}"', 'ww1, secret: "${S}x"'), -90_000)
      const findings = await checked(place)
      const lines = onlineLines(findings, { language, columns: 80 } as Io)
      for (const line of lines) expect(widthOf(line), line).toBeLessThanOrEqual(80)
      expect(lines.join('\n')).toContain('1m')
      expect(lines.length).toBeGreaterThanOrEqual(6)
      for (const { answer } of place.simulator.journal().map((entry) => ({ answer: JSON.stringify(entry) }))) {
        for (const [token] of answer.matchAll(/[\w-]{64,}/g)) expect(lines.join('\n')).not.toContain(token)
      }
    },
  )
})
