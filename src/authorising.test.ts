/** A person authorises an account through whole nodes, at the simulated OAuth 2.0 server, over a real database. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openNode, type Node } from './app.ts'
import type { JsonObject } from './base/json.ts'
import { realEnv } from './base/real-env.ts'
import type { Config } from './config/config.ts'
import { createBus } from './events/bus.ts'
import { parseSource } from './providers/catalogue.ts'
import { createSimulator, type Simulator } from './simulator/simulator.ts'

const { clock, random } = realEnv()
const origin = 'http://localhost:8888'
const upstream = 'http://up.test'

let folder: string
let nodes: Node[]
let simulator: Simulator
/** Everything that left any node, as text. */
let told: string[]
const faults: unknown[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-authorising-'))
  nodes = []
  told = []
  faults.length = 0
  simulator = createSimulator({
    clock,
    random,
    accounts: [{ kind: 'oauth2', id: 'client', secret: 'client-secret', scopes: ['read'] }],
    knobs: { rotation: 'always' },
  })
})
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.stop()))
  rmSync(folder, { recursive: true, force: true })
  expect(faults).toEqual([])
})

const definition: JsonObject = {
  provider: 'oauth2',
  token_url: `${upstream}/oauth2/token`,
  authorization_url: `${upstream}/oauth2/authorize`,
  client_id: 'client',
  client_secret: 'client-secret',
  grant: 'authorization_code',
  scope: 'read',
  rotation: 'always',
  min_interval: 0,
}

async function node(more: JsonObject = {}): Promise<Node> {
  const parsed = parseSource('account', { ...definition, ...more }, 'file')
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  const config: Config = {
    path: join(folder, 'zhongkong.yaml'),
    server: { listen: '127.0.0.1:0', tls: null, trustedNetwork: false, workers: 1 },
    encryptionKey: null,
    spill: null,
    store: `sqlite:${join(folder, 'tokens.db')}`,
    sources: [parsed.source],
    clients: [],
    compat: { tokenboy: { allow: [] }, wechatTokenServer: null },
    sinks: [{ kind: 'file', sources: ['*'], path: join(folder, 'sink', '{name}.json'), format: 'json', mode: 0o600 }],
  }
  const bus = createBus((thrown) => faults.push(thrown))
  bus.on((event) => told.push(JSON.stringify(event)))
  const made = await openNode({
    config,
    bus,
    env: { clock, random, fetch: (request) => simulator.fetch(request) },
    version: '0',
    onFault: (thrown) => faults.push(thrown),
    onNotice: () => undefined,
  })
  nodes.push(made)
  return made
}

type Asked = { readonly status: number; readonly headers: Headers; readonly text: string; readonly json: JsonObject }

async function ask(at: Node, path: string, init: RequestInit = {}): Promise<Asked> {
  const request = new Request(`${origin}${path}`, init)
  const answer = await at.handler(request, { address: '127.0.0.1', isLoopback: true })
  const text = await answer.text()
  told.push(`${[...answer.headers].join('\n')}\n${text}`)
  const isJson = answer.headers.get('content-type')?.includes('json') === true
  return { status: answer.status, headers: answer.headers, text, json: isJson ? (JSON.parse(text) as JsonObject) : {} }
}

/** What a browser does with a link that it was given; `stops` are the nodes that it meets on its way. */
async function follow(link: URL, stops: { readonly begin: Node; readonly finish: Node }): Promise<Asked> {
  const begun = await ask(stops.begin, `${link.pathname}${link.search}`)
  expect(begun.status).toBe(302)
  const cookie = /^[^;]+/.exec(begun.headers.get('set-cookie') ?? '')?.[0] ?? ''
  const consent = await simulator.fetch(new Request(begun.headers.get('location') ?? ''))
  const back = new URL(consent.headers.get('location') ?? '')
  expect(back.origin).toBe(origin)
  return await ask(stops.finish, `${back.pathname}${back.search}`, { headers: { cookie } })
}

async function linkFrom(at: Node): Promise<URL> {
  const { json, status } = await ask(at, '/v1/sources/account/authorize', { method: 'POST' })
  expect(status).toBe(200)
  return new URL(json.url as string)
}

const stateAt = async (at: Node): Promise<JsonObject> => (await ask(at, '/v1/sources/account')).json

test('from an empty store to a token that is kept fresh, and nobody is told the refresh tokens', async () => {
  const one = await node()
  expect(await stateAt(one)).toMatchObject({ state: 'needs-authorization', authorize: '/authorize/account' })
  expect((await ask(one, '/v1/tokens/account')).status).toBe(503)
  expect(simulator.counters('client').token.calls).toBe(0)
  const done = await follow(await linkFrom(one), { begin: one, finish: one })
  expect([done.status, done.text]).toEqual([200, expect.stringContaining('Connected')])
  expect(await stateAt(one)).toMatchObject({ state: 'fresh', authorized_at: expect.any(Number) as number })
  for (let refresh = 0; refresh < 3; refresh += 1) {
    const { json } = await ask(one, '/v1/tokens/account/refresh', { method: 'POST' })
    expect(json).toMatchObject({ refreshed: true })
    expect(simulator.accepts(json.token as string)).toBe(true)
    expect(json.fields).toEqual({ access_token: json.token, token_type: 'Bearer', expires_in: 7_200, scope: 'read' })
  }
  expect(simulator.refreshes('client')).toMatchObject({ granted: 1, rotated: 3, refused: 0 })
  for (const path of ['/v1/tokens/account', '/token?name=account', '/v1/sources', '/metrics', '/']) {
    expect((await ask(one, path)).status).toBe(200)
  }
  const sink = join(folder, 'sink', 'account.json')
  const { json } = await ask(one, '/v1/tokens/account')
  await until(() => Promise.resolve(existsSync(sink) && readFileSync(sink, 'utf8').includes(json.token as string)))
  told.push(readFileSync(sink, 'utf8'))
  for (const file of readdirSync(folder, { withFileTypes: true })) {
    if (file.isFile()) told.push(readFileSync(join(folder, file.name), 'latin1'))
  }
  const { tokens } = simulator.refreshes('client')
  expect(tokens).toHaveLength(4)
  for (const token of tokens) expect(told.some((text) => text.includes(token))).toBe(false)
})

test('a journey goes over several nodes, also one that started since; a link is good once on all of them', async () => {
  const [one, two] = [await node(), await node()]
  const link = await linkFrom(one)
  const begun = await ask(two, `${link.pathname}${link.search}`)
  expect(begun.status).toBe(302)
  const three = await node()
  expect((await follow(link, { begin: two, finish: three })).status).toBe(200)
  for (const at of nodes) {
    expect((await ask(at, `${link.pathname}${link.search}`)).status).toBe(403)
    expect(await stateAt(at)).toMatchObject({ state: 'fresh' })
  }
})

test('a link lives through refreshes, and what the person withdrew is mended by another one', async () => {
  const one = await node()
  await follow(await linkFrom(one), { begin: one, finish: one })
  const { authorized_at: since } = await stateAt(one)
  const link = await linkFrom(one)
  await ask(one, '/v1/tokens/account/refresh', { method: 'POST' })
  expect((await stateAt(one)).authorized_at).toBe(since)
  simulator.withdraw('client')
  // The token that everybody holds is believed to live, and a person is called for all the same.
  await until(async () => {
    // The one before is tried, too.
    expect((await ask(one, '/v1/tokens/account/refresh', { method: 'POST' })).status).toBe(503)
    return (await stateAt(one)).state === 'needs-authorization'
  })
  expect(await stateAt(one)).toMatchObject({
    authorize: '/authorize/account',
    expires_in: expect.any(Number) as number,
  })
  expect((await ask(one, '/v1/tokens/account')).status).toBe(200)
  expect((await follow(link, { begin: one, finish: one })).status).toBe(200)
  expect((await stateAt(one)).state).toBe('fresh')
  const { json } = await ask(one, '/v1/tokens/account')
  expect(simulator.accepts(json.token as string)).toBe(true)
})

test('a code that the platform refuses is told to the person, and nothing is kept', async () => {
  const one = await node()
  simulator.addFault({
    account: 'client',
    kinds: ['token'],
    effect: { type: 'errcode', code: 'invalid_grant' },
    times: 1,
  })
  const done = await follow(await linkFrom(one), { begin: one, finish: one })
  expect([done.status, done.text]).toEqual([502, expect.stringContaining('Begin anew')])
  expect(await stateAt(one)).toMatchObject({ state: 'needs-authorization' })
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await holds()); waited += 50) {
    if (waited > 8_000) throw new Error('it did not come about')
    await clock.sleep(50)
  }
}
