/** Two nodes that are siblings: what one does, the other makes seen. Over real files, with the simulated upstream. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSimulator } from './simulator/simulator.ts'
import { openNode, type Node } from './app.ts'
import type { SiblingNotice } from './siblings.ts'
import { realEnv } from './base/real-env.ts'
import type { Config } from './config/config.ts'
import { parseSource } from './providers/catalogue.ts'

const { clock, random } = realEnv()
const faults: unknown[] = []
let folder: string
let nodes: Node[]
let listeners: { readonly of: string; readonly hear: (notice: SiblingNotice) => void }[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-siblings-'))
  nodes = []
  listeners = []
  faults.length = 0
})
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.stop()))
  rmSync(folder, { recursive: true, force: true })
  expect(faults).toEqual([])
})

const account = (id: string) => ({ kind: 'wechat' as const, id, secret: 'account-secret', knobs: {} })
const simulator = createSimulator({ clock, random, accounts: [account('wx1'), account('wx2')] })
const definition = (appid: string) => ({
  provider: 'wechat',
  appid,
  secret: 'account-secret',
  mode: 'classic',
  min_interval: 0,
  base_url: 'http://up.test',
})

const parsed = parseSource('weixin', definition('wx1'), 'file')
if (!parsed.ok) throw new Error('the definition is wrong')
const weixin = parsed.source

/** Opens a sibling whose sink writes into a folder of its own name, so that it shows who wrote. */
async function sibling(name: string, writesSinks: boolean): Promise<Node> {
  const config: Config = {
    path: join(folder, 'zhongkong.yaml'),
    server: { listen: '127.0.0.1:0', tls: null, trustedNetwork: false, workers: 2 },
    encryptionKey: null,
    store: `sqlite:${join(folder, 'tokens.db')}`,
    spill: null,
    sources: [weixin],
    clients: [],
    compat: { tokenboy: null, wechatTokenServer: null },
    sinks: [{ kind: 'file', sources: ['*'], path: join(folder, name, '{name}.json'), format: 'json', mode: 0o600 }],
  }
  const node = await openNode({
    config,
    env: { clock, random, fetch: (request) => simulator.fetch(request) },
    version: '0',
    siblings: {
      writesSinks,
      tell: (notice) => {
        for (const { of, hear } of listeners) if (of !== name) hear(notice)
      },
      hear: (hear) => {
        const listener = { of: name, hear }
        listeners.push(listener)
        return () => (listeners = listeners.filter((other) => other !== listener))
      },
      addMetrics: (text) => Promise.resolve(`all of it, ${String(text.length > 0)}`),
    },
    onFault: (thrown) => faults.push(thrown),
    onNotice: () => undefined,
  })
  nodes.push(node)
  return node
}

const fileOf = (writer: string, name: string): string => join(folder, writer, `${name}.json`)

/** The version in a file; 0 without one. */
function versionIn(path: string): number {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { version: number }).version : 0
}

async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 5_000) throw new Error(`it did not come about that ${String(holds)}`)
    await clock.sleep(5)
  }
}

test('the files of sinks have one writer, who writes what its sibling fetched', async () => {
  const [writer, other] = [await sibling('writer', true), await sibling('other', false)]
  await writer.keeper.get('weixin')
  for (const version of [2, 3]) {
    // Within one second the platform gives the same token again.
    await clock.sleep(1_050)
    expect((await other.keeper.refresh('weixin')).snapshot.version).toBe(version)
    await until(() => versionIn(fileOf('writer', 'weixin')) === version)
  }
  expect(existsSync(join(folder, 'other'))).toBe(false)
})

test('a writer that comes later catches up with sources that were added while it was away', async () => {
  const other = await sibling('other', false)
  await other.keeper.put('added', definition('wx2'))
  await other.keeper.get('added')
  await sibling('writer', true)
  await until(() => versionIn(fileOf('writer', 'added')) === 1)
})

test('a source that a sibling removes takes its file with it', async () => {
  const [, other] = [await sibling('writer', true), await sibling('other', false)]
  await other.keeper.put('added', definition('wx2'))
  await other.keeper.get('added')
  await until(() => existsSync(fileOf('writer', 'added')))
  await other.keeper.remove('added')
  await until(() => !existsSync(fileOf('writer', 'added')))
})

test('metrics are those of all siblings', async () => {
  const node = await sibling('writer', true)
  const request = new Request('http://127.0.0.1/metrics', { headers: { host: '127.0.0.1' } })
  const answer = await node.handler(request, { address: '127.0.0.1', isLoopback: true })
  expect(await answer.text()).toBe('all of it, true')
  expect(await node.ownMetrics()).toMatch(/zhongkong_store_up 1/)
})
