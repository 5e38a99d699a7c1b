/** Everybody at once, and an upstream that is gone: one server, real sockets. */
import { expect, test as plainTest } from 'vitest'
import { classic, issuesOf, read } from './accounts.ts'
import { ask } from './ask.ts'
import { eventually, moment, openStage, type Stage } from './stage.ts'

/** Each test has a stage of its own, and they mostly wait, so they run side by side. */
const test = plainTest.extend<{ stage: Stage }>({
  // The empty pattern is how vitest is told that this needs nothing else.
  stage: async ({}, use) => {
    const stage = await openStage()
    await use(stage)
    await stage.close()
  },
})

const store = 'memory:'

test.concurrent(
  '200 reports of one dead token cost one issue, and all get the token that it gave',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const weixin = classic(upstream, 'wx-storm', { delayMs: { token: 200 } })
    const server = await stage.serve(await stage.configure({ store, sources: { weixin } }))
    const dead = await read(server, 'weixin')
    await moment(1_100)
    upstream.simulator.revoke({ account: 'wx-storm' })

    const report = { body: { stale: dead.token } }
    const told = await Promise.all(
      Array.from({ length: 200 }, () => ask(`${server.url}/v1/tokens/weixin/refresh`, report)),
    )
    expect(issuesOf(upstream, 'wx-storm')).toBe(2)
    expect(new Set(told.map(({ status, json }) => `${status} ${json.version} ${json.token}`))).toEqual(
      new Set([`200 2 ${upstream.simulator.latest('wx-storm')}`]),
    )
    // Who comes late with the old token costs nothing either, however often.
    const late = await Promise.all(
      Array.from({ length: 50 }, () => ask(`${server.url}/v1/tokens/weixin/refresh`, report)),
    )
    expect(new Set(late.map(({ json }) => `${json.refreshed} ${json.reason}`))).toEqual(new Set(['false not_current']))
    expect(issuesOf(upstream, 'wx-storm')).toBe(2)
  },
  60_000,
)

test.concurrent(
  '300 first reads while the first token is still being fetched cost one issue',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const weixin = classic(upstream, 'wx-boot', { delayMs: { token: 800 } })
    const server = await stage.serve(await stage.configure({ store, sources: { weixin } }))
    const reads = await Promise.all(Array.from({ length: 300 }, () => ask(`${server.url}/v1/tokens/weixin`)))
    expect(new Set(reads.map(({ status, json }) => `${status} ${json.token}`))).toEqual(
      new Set([`200 ${upstream.simulator.latest('wx-boot')}`]),
    )
    expect(upstream.asked.length).toBe(1)
  },
  60_000,
)

test.concurrent(
  'while the upstream is gone a living token is served, an ended one is not, and its return is noticed',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const sources = {
      long: classic(upstream, 'wx-long', { ttlSeconds: 7_200 }),
      short: classic(upstream, 'wx-short', { ttlSeconds: 6 }),
    }
    const server = await stage.serve(await stage.configure({ store, sources }))
    await read(server, 'long')
    await read(server, 'short')
    await upstream.goDown()
    const [long, short] = [await read(server, 'long'), await read(server, 'short')]

    // A refresh that fails takes nothing away from those who read.
    const failed = await ask(`${server.url}/v1/tokens/long/refresh`, { body: {} })
    expect(failed.status).toBe(503)
    const refused = await eventually('the short one ends', 15_000, async () => {
      const answer = await ask(`${server.url}/v1/tokens/short`)
      if (answer.status !== 200) return answer
      expect(answer.json.token).toBe(short.token)
      expect(upstream.simulator.accepts(short.token)).toBe(true)
      return null
    })
    expect(refused.status).toBe(503)
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    expect(refused.json).toMatchObject({
      status: 503,
      code: 'token_unavailable',
      detail: expect.stringMatching(/ECONN/),
    })
    expect(refused.json.hint).toMatch(/\w+ \w+/)
    expect(await read(server, 'long')).toEqual(long)

    await upstream.comeBack()
    const backAt = performance.now()
    const healed = await eventually('the short one is served again', 20_000, async () => {
      const answer = await ask(`${server.url}/v1/tokens/short`)
      return answer.status === 200 ? answer : null
    })
    expect(performance.now() - backAt).toBeLessThan(16_000)
    expect(healed.json.version).toBe(short.version + 1)
    expect(upstream.simulator.accepts(String(healed.json.token))).toBe(true)
  },
  60_000,
)

test.concurrent(
  '503 tells the upstream’s own words, and what an operator can do about them',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const weixin = classic(upstream, 'wx-refused', { allowList: ['203.0.113.1'] })
    const server = await stage.serve(await stage.configure({ store, sources: { weixin } }))
    const answer = await ask(`${server.url}/v1/tokens/weixin`, { headers: { 'accept-language': 'zh-CN' } })
    expect(answer).toMatchObject({
      status: 503,
      json: {
        code: 'token_unavailable',
        upstream: { errcode: 40164, errmsg: expect.stringMatching(/not in whitelist/) },
      },
    })
    expect(answer.json.hint).toMatch(/[一-鿿].*127\.0\.0\.1|127\.0\.0\.1.*[一-鿿]/)
  },
  60_000,
)
