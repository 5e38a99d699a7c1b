/**
 * Pages sign themselves: the example page against a running server, as a browser would run it, and the signature against
 * the ticket that only the platform and the server know. SDKs that sign by themselves come to the same.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { repository } from '../repository.ts'
import { ask } from './ask.ts'
import { openStage, type Served, type Stage, type Upstream } from './stage.ts'

const appid = 'wx0000000000jssdk'
const corpid = 'ww0000000000jssdk'
const secret = 'the-real-secret-of-the-account'

let stage: Stage
let upstream: Upstream
let node: Served
let example: ChildProcess
let page: URL

beforeAll(async () => {
  stage = await openStage()
  upstream = await stage.upstream({
    accounts: [
      { kind: 'wechat', id: appid, secret },
      { kind: 'wecom', id: corpid, corpid, secret },
    ],
  })
  const port = await startExample()
  page = new URL(`http://localhost:${port}/?order=1&name=%E4%B8%AD#/route`)
  const base_url = upstream.url
  const domains = [`localhost:${port}`]
  const path = await stage.configure({
    store: 'memory:',
    sources: {
      weixin: { provider: 'wechat', appid, secret, base_url },
      weixin_jsticket: { provider: 'wechat-ticket', of: 'weixin', domains },
      corp: { provider: 'wecom', corpid, secret, base_url, agentid: 1000002 },
      corp_agent: { provider: 'wecom-ticket', of: 'corp', type: 'agent_config', domains },
    },
  })
  node = await stage.serve(path)
})

afterAll(async () => {
  example.kill('SIGKILL')
  await stage.close()
})

/** The example's own server, on a free port; it is told where zhongkong is by the page's address in these tests. */
async function startExample(): Promise<number> {
  const script = join(repository, 'examples', 'jssdk.mjs')
  const env = { PATH: process.env.PATH ?? '', PORT: '0', ZHONGKONG_URL: 'http://ZHONGKONG' }
  example = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of example.stdout!) {
    const port = /localhost:(\d+)/.exec(String(line))?.[1]
    if (port !== undefined) return Number(port)
  }
  throw new Error('the example ended before it said its address')
}

type Stamped = { readonly nonceStr: string; readonly timestamp: number }

const signatureOf = (ticket: string | null, json: Stamped, url: string): string =>
  createHash('sha1')
    .update(`jsapi_ticket=${ticket}&noncestr=${json.nonceStr}&timestamp=${json.timestamp}&url=${url}`)
    .digest('hex')

/** Runs the page's script with what it uses of a browser, which does not show it an answer that is not meant for it. */
async function runPage(at: URL): Promise<{ readonly state: string; readonly answer: string | null }> {
  const { text } = await ask(page.origin)
  const script = /<script type="module">([^]*)<\/script>/.exec(text)?.[1] ?? ''
  expect(script).toContain('http://ZHONGKONG')
  const browser = `
    const elements = { '#state': {}, '#answer': {} }
    globalThis.document = { querySelector: (id) => elements[id] }
    globalThis.location = new URL(${JSON.stringify(at.href)})
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'a browser' } })
    const overTheNetwork = globalThis.fetch
    globalThis.fetch = async (url) => {
      const answer = await overTheNetwork(url, { headers: { origin: location.origin } })
      if (answer.headers.get('access-control-allow-origin') !== location.origin) throw new TypeError('Failed to fetch')
      return answer
    }
    process.on('exit', () => console.log(JSON.stringify([elements['#state'].textContent, elements['#answer'].textContent])))
  `
  const file = join(stage.folder, 'page.mjs')
  await writeFile(file, browser + script.replace('http://ZHONGKONG', node.url))
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 15_000 })
  const [state, answer] = JSON.parse(stdout) as [string, string | null]
  return { state, answer }
}

test('the example page shows a signature that WeChat would accept for its address', async () => {
  const { state, answer } = await runPage(page)
  const url = page.href.replace(/#.*/, '')
  expect(state).toBe(`signed for ${url}`)
  const signed = JSON.parse(answer ?? '') as { appId: string; nonceStr: string; timestamp: number; signature: string }
  expect(signed.appId).toBe(appid)
  expect(signed.signature).toBe(signatureOf(upstream.simulator.latest(appid, 'ticket:jsapi'), signed, url))
})

test('a page of another domain is not shown anything', async () => {
  const { state, answer } = await runPage(new URL('http://localhost:1/'))
  expect([state, answer]).toEqual(['Failed to fetch', null])
})

test('WeCom’s agentConfig is signed with the ticket of the app', async () => {
  const url = 'http://127.0.0.1:5/'
  const refused = await ask(`${node.url}/v1/jssdk/corp?type=agent_config&url=${encodeURIComponent(url)}`)
  expect(refused.status).toBe(403)
  const { json } = await ask(`${node.url}/v1/jssdk/corp_agent?url=${encodeURIComponent(page.href)}`)
  expect(json).toMatchObject({ corpid, agentid: '1000002' })
  const ticket = upstream.simulator.latest(corpid, 'ticket:agent_config')
  expect(json.signature).toBe(signatureOf(ticket, json as Stamped, page.href.replace(/#.*/, '')))
})
