/** Real servers on a real SQLite file: stopped, restarted, cut off in the middle, and two at once. */
import { join } from 'node:path'
import { expect, test as plainTest } from 'vitest'
import { classic, issuesOf, oauth, read, type Definition } from './accounts.ts'
import { ask } from './ask.ts'
import { integrityOf, whole } from './database-file.ts'
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

const configure = (stage: Stage, sources: Readonly<Record<string, Definition>>): Promise<string> =>
  stage.configure({ store: 'sqlite:tokens.db', sources })

test.concurrent(
  'killed with a request in the air, the next start serves what is stored and heals with one issue',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    // The dead process's lease ends with the time that its request may take, and a little.
    const weixin = { ...classic(upstream, 'wx-cut', { ttlSeconds: 600, delayMs: { token: 300 } }), timeout: '3s' }
    const path = await configure(stage, { weixin })
    const first = await stage.serve(path)
    const before = await read(first, 'weixin')
    await moment(1_100)
    const asked = upstream.asked.length
    void ask(`${first.url}/v1/tokens/weixin/refresh`, { body: {} }).catch(() => undefined)
    await eventually('the request is in the air', 5_000, async () => (upstream.asked.length > asked ? true : null))
    await first.stop('SIGKILL')
    await eventually('the upstream issues all the same', 5_000, async () =>
      issuesOf(upstream, 'wx-cut') === 2 ? true : null,
    )

    const second = await stage.serve(path)
    expect(await read(second, 'weixin')).toEqual(before)
    const healed = await eventually('a newer version comes', 25_000, async () => {
      const reading = await read(second, 'weixin')
      return reading.version > before.version ? reading : null
    })
    expect(healed.version).toBe(before.version + 1)
    expect(upstream.simulator.accepts(healed.token)).toBe(true)
    expect(issuesOf(upstream, 'wx-cut')).toBe(3)
  },
  60_000,
)

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test.concurrent(
    `a restart after ${signal} with living tokens costs no issue`,
    async ({ stage }) => {
      const upstream = await stage.upstream({ accounts: [] })
      const path = await configure(stage, {
        weixin: classic(upstream, 'wx-calm'),
        ticket: { provider: 'wechat-ticket', of: 'weixin', type: 'jsapi' },
        oauth: oauth(upstream, 'reader'),
      })
      const names = ['weixin', 'ticket', 'oauth']
      const first = await stage.serve(path)
      const before = await Promise.all(names.map((name) => read(first, name)))
      await first.stop(signal)
      const calls = upstream.asked.length
      const second = await stage.serve(path)
      expect(await Promise.all(names.map((name) => read(second, name)))).toEqual(before)
      await moment(1_000)
      expect(upstream.asked.length).toBe(calls)
    },
    60_000,
  )
}

test.concurrent(
  'SIGTERM ends with 0 within ten seconds though the upstream hangs, and who waits is answered',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    const hanging = { ...classic(upstream, 'wx-hang'), timeout: '30s' }
    upstream.simulator.addFault({ account: 'wx-hang', effect: { type: 'hang' } })
    const path = await configure(stage, { weixin: hanging, calm: classic(upstream, 'wx-calm') })
    const server = await stage.serve(path)
    await read(server, 'calm')
    await eventually('a request hangs', 5_000, async () => {
      const isAsked = upstream.asked.some(({ searchParams }) => searchParams.get('appid') === 'wx-hang')
      return isAsked ? true : null
    })
    const waiting = ask(`${server.url}/v1/tokens/weixin`)
    await moment(100)
    const ended = await server.stop('SIGTERM')
    expect(ended).toMatchObject({ code: 0, signal: null })
    expect(ended.tookMs).toBeLessThan(10_000)
    const answer = await waiting
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await integrityOf(join(stage.folder, 'tokens.db'))).toEqual(whole)
  },
  60_000,
)

test.concurrent(
  'two servers on one file: 200 reports of one dead token, spread over both, cost one issue',
  async ({ stage }) => {
    const upstream = await stage.upstream({ accounts: [] })
    // Longer than the gap between two attempts, so that nothing but the lease holds the other server back.
    const path = await configure(stage, { weixin: classic(upstream, 'wx-shared', { delayMs: { token: 1_500 } }) })
    // Both make the file, its tables and its key at the same moment.
    const servers = await Promise.all([stage.serve(path), stage.serve(path)])
    const [here, there] = [await read(servers[0], 'weixin'), await read(servers[1], 'weixin')]
    expect(there).toEqual(here)
    expect(issuesOf(upstream, 'wx-shared')).toBe(1)
    await moment(1_100)
    upstream.simulator.revoke({ account: 'wx-shared' })

    const report = { body: { stale: here.token } }
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, each) =>
        ask(`${(each % 2 === 0 ? servers[0] : servers[1]).url}/v1/tokens/weixin/refresh`, report),
      ),
    )
    const answeredAt = performance.now()
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ json }) => Number(json.version)))).toEqual(new Set([2]))
    expect(issuesOf(upstream, 'wx-shared')).toBe(2)
    for (const server of servers) {
      await eventually('both serve the new version', 1_000, async () =>
        (await read(server, 'weixin')).version === 2 ? true : null,
      )
    }
    expect(performance.now() - answeredAt).toBeLessThan(1_000)
    expect(issuesOf(upstream, 'wx-shared')).toBe(2)
  },
  60_000,
)
