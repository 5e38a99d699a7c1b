/** Pushes over real sockets: the simulator as people start it, and a node that listens, in real time. */
import { afterEach, expect, test } from 'vitest'
import { openNode } from '../../src/app.ts'
import { realEnv } from '../../src/base/real-env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { listen } from '../../src/http/listen.ts'
import type { Source } from '../../src/model/source.ts'
import { parseSource } from '../../src/providers/catalogue.ts'
import { startSimulator } from '../../src/simulator.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const key = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'
const sealed = { token: 'canary-token', encoding_aes_key: key }

test('tickets and organisations of all three platforms arrive, and become tokens', async () => {
  const upstream = await startSimulator({ accounts: [] })
  closing.push(() => upstream.close())
  const definitions: Readonly<Record<string, JsonObject>> = {
    suite: {
      provider: 'wecom-suite',
      suite_id: 'ww_s',
      suite_secret: 'canary-1',
      base_url: `${upstream.url}/wecom`,
      callback: sealed,
    },
    ding: {
      provider: 'dingtalk-suite',
      suite_key: 'suite1',
      suite_secret: 'canary-2',
      base_url: `${upstream.url}/dingtalk`,
      callback: sealed,
    },
    store: {
      provider: 'feishu-store',
      app_id: 'cli_s',
      secret: 'canary-3',
      base_url: `${upstream.url}/feishu`,
      callback: { token: 'canary-token', encrypt_key: key },
    },
  }
  const sources = Object.entries(definitions).map(([name, definition]): Source => {
    const parsed = parseSource(name, definition, 'file', (other) => definitions[other])
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
    return parsed.source
  })
  const env = realEnv()
  closing.push(() => env.close())
  const faults: unknown[] = []
  const node = await openNode({
    config: {
      path: '/zhongkong.yaml',
      server: { listen: '127.0.0.1:0', tls: null, trustedNetwork: false, workers: 1 },
      encryptionKey: null,
      store: 'memory:',
      spill: null,
      sources,
      clients: [],
      compat: { tokenboy: null, wechatTokenServer: null },
      sinks: [],
    },
    env,
    version: '0',
    onFault: (thrown) => faults.push(thrown),
    onNotice: () => undefined,
  })
  closing.push(() => node.stop())
  const { url, close } = await listen({ handler: node.handler, listen: '127.0.0.1:0', env })
  closing.push(close)

  const callback = (name: string) => ({ url: `${url}/callback/${name}`, token: 'canary-token', key })
  const { simulator } = upstream
  simulator.putAccount({ kind: 'wecom-suite', id: 'ww_s', secret: 'canary-1', callback: callback('suite') })
  simulator.putAccount({ kind: 'dingtalk-suite', id: 'suite1', secret: 'canary-2', callback: callback('ding') })
  simulator.putAccount({ kind: 'feishu-store', id: 'cli_s', secret: 'canary-3', callback: callback('store') })
  for (const app of ['ww_s', 'suite1', 'cli_s']) {
    simulator.makeTicket(app)
    simulator.install(app, 'org1')
  }
  const tokenOf = async (name: string): Promise<unknown> => {
    const response = await fetch(`${url}/v1/tokens/${encodeURIComponent(name)}`)
    return response.status === 200 ? ((await response.json()) as { token: string }).token : response.status
  }
  for (const name of ['suite/org1', 'ding/org1', 'store/org1']) {
    // WeCom's code is exchanged with the suite's token, for which the ticket had only just come.
    await expect
      .poll(async () => simulator.accepts(String(await tokenOf(name))), { timeout: 15_000, interval: 200 })
      .toBe(true)
  }
  expect(faults).toEqual([])
}, 40_000)
