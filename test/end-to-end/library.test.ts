/** The library, as its documentation says, and the examples, as they lie in the repository. */
import { execFile } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test as plainTest } from 'vitest'
import { openKeeper, ZhongkongError, type EmbeddedKeeper, type ZhongkongEvent } from '../../src/index.ts'
import { classic, oauth } from './accounts.ts'
import { eventually, moment, openStage, type Stage } from './stage.ts'

const repository = join(import.meta.dirname, '..', '..')

const test = plainTest.extend<{ stage: Stage; open: (sources: object) => Promise<EmbeddedKeeper> }>({
  // The empty pattern is how vitest is told that this needs nothing else.
  stage: async ({}, use) => {
    const stage = await openStage()
    await use(stage)
    await stage.close()
  },
  open: async ({ stage }, use) => {
    const opened: EmbeddedKeeper[] = []
    await use(async (sources) => {
      const keeper = await openKeeper({
        store: `sqlite:${join(stage.folder, 'tokens.db')}`,
        sources: sources as Record<string, Record<string, unknown>>,
        onFault: (thrown) => expect.fail(String(thrown)),
      })
      opened.push(keeper)
      return keeper
    })
    await Promise.all(opened.map((keeper) => keeper.close()))
  },
})

test('get, refresh, on and close do what the first example says', async ({ stage, open }) => {
  const upstream = await stage.upstream({
    accounts: [{ kind: 'wecom', id: 'ww1', corpid: 'ww1', secret: 'corp-app-secret' }],
  })
  const corp = { provider: 'wecom', corpid: 'ww1', secret: 'corp-app-secret', base_url: upstream.url, min_interval: 0 }
  const keeper = await open({ corp, corp_jsticket: { provider: 'wecom-ticket', of: 'corp', type: 'jsapi' } })
  const heard: ZhongkongEvent[] = []
  const stop = keeper.on('rotated', (event) => heard.push(event))

  const reading = await keeper.get('corp')
  expect(reading).toMatchObject({ token: upstream.simulator.latest('ww1'), version: 1, fields: { errcode: 0 } })
  expect(reading.expiresIn).toBeGreaterThan(7_100)
  expect(reading.expiresAt.getTime() - Date.now()).toBeGreaterThan(7_100_000)
  expect(reading.expiresAt.getTime() - Date.now()).toBeLessThanOrEqual((reading.expiresIn + 1) * 1_000)
  expect((await keeper.get('corp_jsticket')).token).toBe(upstream.simulator.latest('ww1', 'ticket:jsapi'))

  await moment(1_100)
  upstream.simulator.revoke({ token: reading.token })
  const told = await Promise.all(Array.from({ length: 50 }, () => keeper.refresh('corp', { stale: reading.token })))
  expect(new Set(told.map(({ token }) => token))).toEqual(new Set([upstream.simulator.latest('ww1')]))
  expect(told.map(({ version }) => version)).toEqual(told.map(() => 2))
  expect(upstream.simulator.counters('ww1').token.issued).toBe(2)
  const late = await keeper.refresh('corp', { stale: reading.token })
  expect(late).toMatchObject({ refreshed: false, version: 2 })

  await eventually('the rotations are heard', 2_000, async () =>
    heard.some((event) => 'name' in event && 'version' in event && event.name === 'corp' && event.version === 2)
      ? true
      : null,
  )
  expect(JSON.stringify(heard)).not.toContain(reading.token)
  stop()
})

test('an error says what it is and what the upstream said, and a wrong source names its place', async ({
  stage,
  open,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const refused = { ...classic(upstream, 'wx-lib'), secret: 'not-that-one' }
  const keeper = await open({ refused })
  await expect(keeper.get('refused')).rejects.toMatchObject({
    code: 'token_unavailable',
    upstream: { errcode: 40125 },
    hint: { zh: expect.stringMatching(/[一-鿿]/) },
  })
  await expect(keeper.get('nobody')).rejects.toMatchObject({ code: 'not_found' })
  await expect(keeper.get('nobody')).rejects.toBeInstanceOf(ZhongkongError)
  await expect(open({ wrong: { provider: 'wechat', appid: 'wx1' } })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(/sources\.wrong\.?.*secret/),
  })
})

test('a second keeper on the file, later or meanwhile, serves the same tokens without asking', async ({
  stage,
  open,
}) => {
  const upstream = await stage.upstream({ accounts: [] })
  const sources = { weixin: classic(upstream, 'wx-file'), reader: oauth(upstream, 'reader') }
  const first = await open(sources)
  const before = [await first.get('weixin'), await first.get('reader')]
  const calls = upstream.asked.length
  const meanwhile = await open(sources)
  expect((await meanwhile.get('weixin')).token).toBe(before[0]?.token)
  await meanwhile.close()
  await first.close()
  await first.close()
  await expect(first.get('weixin')).rejects.toMatchObject({
    code: 'closed',
  })
  const later = await open(sources)
  expect((await later.get('reader')).token).toBe(before[1]?.token)
  expect(upstream.asked.length).toBe(calls)
  for (const file of await readdir(stage.folder)) {
    const { mode } = await stat(join(stage.folder, file))
    if (file.includes('key')) expect({ file, mode: mode & 0o777 }).toEqual({ file, mode: 0o600 })
  }
})

/** Runs an example to its end; what it printed. */
async function runExample(name: string, ...rest: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join('examples', name), ...rest], {
    cwd: repository,
    env: { PATH: process.env.PATH ?? '', ...(exampleUrl === null ? {} : { ZHONGKONG_URL: exampleUrl }) },
    timeout: 15_000,
  })
  expect(stderr).toBe('')
  return stdout
}

let exampleUrl: string | null = null

test('examples/embedded.mjs runs, importing the package by its name', async () => {
  const told = await runExample('embedded.mjs')
  expect(told).toMatch(/^corp: \S{6}…, version 1, good for 71\d\d s$/m)
  expect(told).toMatch(/^corp_jsticket: good for 71\d\d s$/m)
  expect(told).toMatch(/^corp: \S{6}…, version 2, in the place of the one that was refused$/m)
  expect(told).toMatch(/^corp: replaced already, so it was not asked for again$/m)
  expect(told).toMatch(/^expected: not_found$/m)
})

test('examples/http-client.mjs runs against a server', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await stage.configure({ store: 'memory:', sources: { weixin: classic(upstream, 'wx-example') } })
  const server = await stage.serve(path)
  exampleUrl = server.url
  const told = await runExample('http-client.mjs', 'weixin')
  expect(told).toMatch(/^weixin: \S{6}…, version 1, good for \d+ s$/m)
  expect(told).toMatch(/^(refreshed, version 2|not refreshed \(\w+\))$/m)
})

test('examples/client.mjs runs against a server, importing the client by its name', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await stage.configure({ store: 'memory:', sources: { weixin: classic(upstream, 'wx-example') } })
  exampleUrl = (await stage.serve(path)).url
  const told = await runExample('client.mjs', 'weixin')
  expect(told).toMatch(/^weixin: \S{6}…, version 1, good for \d+ s$/m)
  expect(told).toMatch(/^from memory: true$/m)
  expect(told).toMatch(/^(refreshed, version 2|not refreshed \(\w+\))$/m)
  expect(told).toMatch(/^expected: not_found$/m)
})
