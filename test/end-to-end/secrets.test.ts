/**
 * Canaries: secrets and tokens planted in a running server, and everything that comes out of it searched for them. Only
 * the bodies of authorised token answers may hold a token, and nothing may hold a secret.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EffectSettings } from '../../src/simulator/simulator.ts'
import { ask, type Question } from './ask.ts'
import { findLeaks, type Canary, type Outlet } from './canaries.ts'
import { eventually, moment, openStage, type Served, type Stage, type Upstream } from './stage.ts'

/** Letters that every form writes differently. */
const canary = (name: string): string => `${name}/Zk+7=%q"${createHash('sha256').update(name).digest('base64')}`
const plain = (name: string): string => `${name}${createHash('sha256').update(name).digest('hex')}`

const appsecret = plain('appsecret')
const corpsecret = canary('corpsecret')
const clientSecret = canary('clientsecret')
const headerSecret = plain('headersecret')
const requestSecret = canary('requestsecret')
const callbackToken = plain('callbacktoken')
const key = plain('apikey')
const adminKey = plain('adminkey')

const secrets: readonly Canary[] = Object.entries({
  appsecret,
  corpsecret,
  clientSecret,
  headerSecret,
  requestSecret,
  callbackToken,
  key,
  adminKey,
}).map(([name, value]) => ({ name, value }))

/** What an upstream may do to make a server say too much; each has a source of its own. */
const indiscretions: Readonly<Record<string, EffectSettings>> = {
  echoed: { type: 'errcode', code: 40125, text: `invalid appsecret ${appsecret} of ${encodeURIComponent(appsecret)}` },
  quoted: { type: 'errcode', code: 'bad', text: `{"secret":"${appsecret}","said":["${appsecret}"]}` },
  crashed: { type: 'status', status: 500, body: `Error at /cgi-bin/token?secret=${appsecret}`, issues: true },
  refused: { type: 'status', status: 403, body: appsecret },
  redirected: { type: 'redirect', location: `https://example.com/?secret=${appsecret}` },
  page: { type: 'html' },
  halved: { type: 'truncate' },
  cut: { type: 'cut' },
  lost: { type: 'lose-answer' },
  reset: { type: 'reset' },
  hung: { type: 'hang', issues: true },
  huge: { type: 'huge', bytes: 2_000_000 },
  contradictory: { type: 'errcode-with-token', code: 40001 },
  broken: { type: 'token', as: 'crlf' },
  foreign: { type: 'token', as: 'non-ascii' },
}

let stage: Stage
let upstream: Upstream
let node: Served
let path: string
const issued = new Map<string, Canary>()
const outlets: Outlet[] = []

/** Every value that the upstream holds now; a lost or spoilt one is as secret as a good one. */
function gatherTokens(): void {
  for (const { id, channels } of upstream.simulator.state().accounts) {
    for (const { name, token } of channels) issued.set(token, { name: `${name} of ${id}`, value: token })
  }
}

/** Asks, and puts everything that was answered among the outlets. */
async function poke(route: string, question: Question = {}): Promise<void> {
  const answer = await ask(`${node.url}${route}`, question)
  const head = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join('\n')
  outlets.push({ name: `${question.method ?? 'GET'} ${route} → ${answer.status}`, bytes: `${head}\n\n${answer.text}` })
}

beforeAll(async () => {
  stage = await openStage()
  const accounts = ['good', ...Object.keys(indiscretions)].map((name) => ({
    kind: 'wechat' as const,
    id: `wx-${name}`,
    secret: appsecret,
  }))
  upstream = await stage.upstream({
    accounts: [
      ...accounts,
      { kind: 'wecom', id: 'ww1', corpid: 'ww1', secret: corpsecret },
      { kind: 'oauth2', id: 'client', secret: clientSecret },
      { kind: 'generic', id: 'api', demands: [{ in: 'header', name: 'x-app-secret', value: headerSecret }] },
      { kind: 'generic', id: 'mirror' },
      { kind: 'oauth2', id: 'mirrored', secret: clientSecret },
    ],
  })
  const basic = Buffer.from(`mirrored:${encodeURIComponent(clientSecret)}`).toString('base64')
  const echo = (account: string, text: string): string =>
    upstream.simulator.addFault({ account, effect: { type: 'errcode', code: 'bad_request', text } })
  echo('mirror', `you sent x-app-secret: ${headerSecret}, authorization: Basic ${appsecret}`)
  echo('mirrored', `you sent authorization: Basic ${basic}, which is mirrored:${clientSecret}`)
  for (const [name, effect] of Object.entries(indiscretions)) {
    upstream.simulator.addFault({ account: `wx-${name}`, kinds: ['token'], effect })
  }
  path = await configure()
  node = await stage.serve(path, { environment: { ...environment, ZHONGKONG_LOG: 'debug' } })
})

afterAll(async () => {
  await stage.close()
})

const environment = {
  APPSECRET: appsecret,
  CORPSECRET: corpsecret,
  CLIENT_SECRET: clientSecret,
  HEADER_SECRET: headerSecret,
  REQUEST_SECRET: requestSecret,
  CALLBACK_TOKEN: callbackToken,
}

async function configure(): Promise<string> {
  const base_url = upstream.url
  const account = (name: string): object => ({
    provider: 'wechat',
    mode: 'classic',
    appid: `wx-${name}`,
    secret: '${APPSECRET}',
    base_url,
    timeout: '2s',
  })
  const bad = Object.keys(indiscretions).map((name) => [name, account(name)])
  const hash = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
  return await stage.configure({
    store: 'sqlite:data/tokens.db',
    sources: {
      ...Object.fromEntries(bad),
      good: { ...account('good'), callback: { token: '${CALLBACK_TOKEN}' } },
      ticket: { provider: 'wechat-ticket', of: 'good', type: 'jsapi' },
      corp: { provider: 'wecom', corpid: 'ww1', secret: '${CORPSECRET}', base_url },
      reader: {
        provider: 'oauth2',
        token_url: `${base_url}/oauth2/token`,
        client_id: 'client',
        client_secret: '${CLIENT_SECRET}',
      },
      api: { provider: 'http', url: `${base_url}/generic/api`, headers: { 'x-app-secret': '${HEADER_SECRET}' } },
      // Upstreams that answer with what they were asked.
      mirror: {
        provider: 'http',
        url: `${base_url}/generic/mirror`,
        headers: { 'x-app-secret': '${HEADER_SECRET}', authorization: 'Basic ${APPSECRET}' },
      },
      mirrored: {
        provider: 'oauth2',
        token_url: `${base_url}/oauth2/token`,
        client_id: 'mirrored',
        client_secret: '${CLIENT_SECRET}',
      },
      misdirected: {
        provider: 'http',
        url: 'http://127.0.0.1:9/token',
        query: { secret: '${APPSECRET}', access_token: '{{results.good.access_token}}' },
      },
    },
    clients: {
      shop: { key: hash(key), read: ['good', 'ticket', ...Object.keys(indiscretions)], refresh: ['good'] },
      ops: { key: hash(adminKey), admin: true },
    },
    compat: { tokenboy: true, wechat_token_server: { secret: '${REQUEST_SECRET}' } },
  })
}

test('the search finds a value in every form in which it could come out', () => {
  const value = appsecret
  const forms = {
    'as it is': `x${value.slice(5, 17)}x`,
    hex: Buffer.from(`-${value}`).toString('hex').toUpperCase(),
    base64: Buffer.from(`{"secret":"${value}"}`).toString('base64'),
    base64url: Buffer.from(`ab${value}`).toString('base64url'),
    'URL-encoded': `?secret=${encodeURIComponent(corpsecret)}`,
    'escaped in JSON': JSON.stringify({ secret: corpsecret }),
  }
  for (const [form, bytes] of Object.entries(forms)) {
    const found = findLeaks([...secrets], [{ name: 'planted', bytes }]).map((leak) => leak.form)
    expect(found).toContain(form)
  }
  expect(findLeaks(secrets, [{ name: 'clean', bytes: 'nothing of that kind' }])).toEqual([])
})

test('authorised reads hold their token, so the search looks for the right values', async () => {
  for (const name of ['good', 'ticket', 'corp', 'reader', 'api']) {
    const { status, text, json } = await ask(`${node.url}/v1/tokens/${name}`, { key: adminKey })
    expect({ name, status }).toEqual({ name, status: 200 })
    const value = String(json.token)
    issued.set(value, { name, value })
    expect(findLeaks([{ name, value }], [{ name: 'the answer', bytes: text }])).not.toEqual([])
    expect(findLeaks(secrets, [{ name: 'the answer', bytes: text }])).toEqual([])
  }
})

test('no answer to a failing upstream holds a secret or a token', async () => {
  const names = [...Object.keys(indiscretions), 'mirror', 'mirrored', 'misdirected']
  const sent = encodeURIComponent(requestSecret)
  const pokes = names.flatMap((name) => [
    poke(`/v1/tokens/${name}`, { key: adminKey }),
    poke(`/v1/tokens/${name}/refresh`, { key: adminKey, body: {} }),
    poke(`/cgi-bin/token?grant_type=client_credential&appid=wx-${name}&secret=${appsecret}`),
    poke(`/token?name=${name}`),
    poke(`/wechat/token?type=${name}&secret=${sent}`),
    poke(`/wechat/token/forcerefresh?type=${name}&secret=${sent}`),
  ])
  const answered = Promise.all(pokes).then(() => true)
  // Each attempt may bring a new one that is lost.
  while (!(await Promise.race([answered, moment(100).then(() => false)]))) gatherTokens()
  gatherTokens()
  // Most of them must have had something to say.
  const spoke = outlets.filter(({ bytes }) => /token_unavailable|errcode|not found|errmsg/.test(String(bytes)))
  expect(spoke.length).toBeGreaterThan(names.length * 4)
  expect(findLeaks([...secrets, ...issued.values()], outlets)).toEqual([])
}, 60_000)

test('no answer to a wrong, curious or malformed request holds a secret or a token', async () => {
  const living = upstream.simulator.latest('wx-good') ?? ''
  expect(living).not.toBe('')
  const wire = 'grant_type=client_credential&appid='
  const raw = (body: string): Question => ({ key, body, headers: { 'content-type': 'application/json' } })
  const questions: readonly (readonly [string, Question?])[] = [
    ['/'],
    ['/healthz'],
    ['/readyz'],
    ['/metrics', { key: adminKey }],
    ['/openapi.json'],
    ['/v1/sources', { key: adminKey }],
    ['/v1/sources?limit=5', { key }],
    ['/v1/sources/good', { key: adminKey }],
    ['/v1/sources/echoed', { key: adminKey }],
    ['/v1/sources/nobody', { key: adminKey }],
    [
      '/v1/sources/added',
      { key: adminKey, method: 'PUT', body: { provider: 'wechat', appid: 'wx1', secret: [appsecret] } },
    ],
    ['/v1/sources/added', { key: adminKey, method: 'PUT', body: { provider: 'wechat', sceret: appsecret } }],
    ['/v1/sources/good', { key: adminKey, method: 'PUT', body: { provider: 'wechat', appid: 'x', secret: appsecret } }],
    ['/v1/sources/added', { key, method: 'PUT', body: { provider: 'wechat', appid: 'x', secret: appsecret } }],
    ['/v1/tokens/good'],
    ['/v1/tokens/good', { key: `${key}x` }],
    ['/v1/tokens/corp', { key }],
    ['/v1/tokens/good', { headers: { authorization: `Basic ${Buffer.from(`shop:${key}`).toString('base64')}` } }],
    ['/v1/tokens/good', { headers: { authorization: `Bearer ${key} ${adminKey}` } }],
    [`/v1/tokens/good?key=${key}`],
    [`/v1/tokens/good?min_ttl=${key}`, { key }],
    [`/v1/tokens/${key}`, { key }],
    [`/v1/tokens/${encodeURIComponent(corpsecret)}`, { key: adminKey }],
    [`/v1/tokens/good/refresh`, raw(`{"stale":"${living}"`)],
    [`/v1/tokens/good/refresh`, raw(`{"stale":["${living}"]}`)],
    [`/v1/tokens/good/refresh`, raw(`"${living}"`)],
    [`/v1/tokens/good/refresh`, { key, body: `stale=${living}`, headers: { 'content-type': 'text/plain' } }],
    [`/v1/tokens/ticket/refresh`, { key, body: { stale: living } }],
    [`/v1/tokens/good/refresh`, raw(JSON.stringify({ stale: living.repeat(2_000) }))],
    [`/nothing/${appsecret}?token=${living}`],
    // With a token in its place these are calls: what the platform answers is the platform's, what we answer is ours.
    [`/nothing/..%2f${appsecret}?access_token=${living}`],
    [`/cgi-bin/stable_token/?access_token=${living}&secret=${appsecret}`],
    [`/cgi-bin/user/get?access_token=${living}`],
    [`/proxy/good/cgi-bin/user/get?access_token=${living}`, { key }],
    [`/cgi-bin/token?${wire}wx-good&secret=wrong`],
    [`/cgi-bin/token?${wire}wx-nobody&secret=${appsecret}`],
    [`/cgi-bin/token?${wire}wx-good`],
    [`/cgi-bin/token?grant_type=${appsecret}&appid=wx-good&secret=${appsecret}`],
    [`/cgi-bin/token?${wire}${appsecret}&secret=${appsecret}`],
    ['/cgi-bin/stable_token', { body: `{"secret":"${appsecret}"` }],
    ['/cgi-bin/stable_token', { body: { grant_type: 'client_credential', appid: 'wx-nobody', secret: appsecret } }],
    [`/cgi-bin/stable_token?secret=${appsecret}`],
    [`/cgi-bin/gettoken?corpid=ww1&corpsecret=wrong`],
    [`/cgi-bin/gettoken?corpid=ww2&corpsecret=${encodeURIComponent(corpsecret)}`],
    [`/cgi-bin/ticket/getticket?access_token=${living}&type=nothing`],
    [`/cgi-bin/ticket/getticket?access_token=${living}x&type=jsapi`],
    [`/cgi-bin/ticket/getticket?access_token=${living}&type=wx_card`],
    [`/cgi-bin/get_jsapi_ticket?access_token=${living}`],
    [`/cgi-bin/user/get?access_token=${living}`],
    ['/callback/good?signature=x&timestamp=1&nonce=n&echostr=e'],
    [`/callback/good?signature=${callbackToken}&timestamp=1&nonce=n&echostr=e`],
    [`/callback/${appsecret}?signature=x&timestamp=1&nonce=n&echostr=e`],
    ['/wechat/token?type=good&secret=wrong'],
    [`/wechat/token?type=nothing&secret=${encodeURIComponent(requestSecret)}`],
    [`/wechat/token?type=${appsecret}&secret=${encodeURIComponent(requestSecret)}`],
    [`/token?name=${appsecret}`],
    [`/token?name=good`, { key: 'wrong' }],
    [`/token?name=good`, { method: 'POST', body: appsecret }],
  ]
  const before = outlets.length
  for (const [route, question] of questions) await poke(route, question)
  expect(outlets.length - before).toBe(questions.length)
  const failed = outlets.filter(({ name }) => name.endsWith(' → 500')).map(({ name }) => name)
  expect(failed).toEqual([])
  expect(findLeaks([...secrets, ...issued.values()], outlets.slice(before))).toEqual([])
}, 60_000)

test('no command prints a secret, whatever is wrong', async () => {
  const asShop = { ...environment, ZHONGKONG_URL: node.url, ZHONGKONG_KEY: key }
  const literal = await stage.configure(
    {
      sources: { a: { provider: 'wechat', appid: 'wx1', secret: appsecret, sceret: appsecret, mode: corpsecret } },
      clients: { shop: { key } },
      compat: { wechat_token_server: { secret: requestSecret, more: requestSecret } },
    },
    'literal.yaml',
  )
  const runs: readonly (readonly [readonly string[], Readonly<Record<string, string>>])[] = [
    [['check', '-c', path], environment],
    [['check', '-c', path], {}],
    [['check', '-c', literal], {}],
    [['serve', '-c', literal, '--listen', '127.0.0.1:0'], {}],
    [['status'], asShop],
    [['status', '--json'], { ...asShop, ZHONGKONG_KEY: adminKey }],
    [['status'], { ...asShop, ZHONGKONG_KEY: `${key}x` }],
    [['get', 'corp'], asShop],
    [['get', 'echoed'], asShop],
    [['refresh', 'corp'], asShop],
    [['refresh', 'ticket', '--stale', upstream.simulator.latest('wx-good') ?? ''], asShop],
    [['get', 'good'], { ...asShop, ZHONGKONG_URL: `http://user:${appsecret}@127.0.0.1:9` }],
    [['get', 'good'], { ...asShop, ZHONGKONG_DEBUG: '1', ZHONGKONG_URL: 'http://127.0.0.1:9' }],
  ]
  const printed = await Promise.all(
    runs.map(async ([args, variables]) => {
      const { code, stdout, stderr } = await stage.run(args, variables)
      return { name: `${args.join(' ').replace(/--stale \S+/, '--stale …')} (${code})`, bytes: `${stdout}\n${stderr}` }
    }),
  )
  expect(printed.filter(({ bytes }) => bytes.trim() === '')).toEqual([])
  expect(findLeaks([...secrets, ...issued.values()], printed)).toEqual([])
}, 60_000)

test('neither the log nor any file beside the configuration holds a secret or a token', async () => {
  const { code } = await node.stop('SIGTERM')
  expect(code).toBe(0)
  await eventually('the log is there', 2_000, async () => (node.stderr().includes('"event":"failing"') ? true : null))
  const folder = join(stage.folder, 'data')
  const files = await readdir(folder)
  const written = await Promise.all(files.map(async (name) => ({ name, bytes: await readFile(join(folder, name)) })))
  expect(files).toContain('tokens.db')
  expect(written.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(10_000)
  const log = [
    { name: 'stdout', bytes: node.stdout() },
    { name: 'stderr', bytes: node.stderr() },
  ]
  gatherTokens()
  expect(findLeaks([...secrets, ...issued.values()], [...log, ...written])).toEqual([])
})

test('the files of a server that was killed hold none either, the write-ahead log included', async () => {
  const again = await stage.serve(path, { environment })
  await ask(`${again.url}/v1/tokens/reader/refresh`, { key: adminKey, body: {} })
  await again.stop('SIGKILL')
  const folder = join(stage.folder, 'data')
  const files = await readdir(folder)
  expect(files.some((name) => name.endsWith('-wal'))).toBe(true)
  const written = await Promise.all(files.map(async (name) => ({ name, bytes: await readFile(join(folder, name)) })))
  gatherTokens()
  expect(findLeaks([...secrets, ...issued.values()], written)).toEqual([])
})
