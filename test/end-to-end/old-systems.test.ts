/**
 * The example configurations of the two older token servers, taken over by the real `zhongkong import` and served: their
 * clients see what they always saw, without the faults.
 */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './ask.ts'
import { eventually, openStage, type Served, type Stage, type Upstream } from './stage.ts'

/** As the fixtures have it. */
const appid = 'wx0123456789abcdef'
const appsecret = '0123456789abcdef0123456789abcdef'
const requestSecret = 'a-secret-of-the-callers'

const notFound = '{"error": "not found"}'

type Imported = { readonly yaml: string; readonly environment: string; readonly told: string }

let stage: Stage
let upstream: Upstream
let imported: Imported

/** The old file with the platform's host replaced by the simulator's, through `zhongkong import`. */
async function takeOver(fixture: string): Promise<void> {
  stage = await openStage()
  upstream = await stage.upstream({ accounts: [{ kind: 'wechat', id: appid, secret: appsecret }] })
  const old = await readFile(join(import.meta.dirname, '..', 'fixtures', fixture), 'utf8')
  await writeFile(join(stage.folder, 'config.py'), old.replaceAll('https://api.weixin.qq.com', upstream.url))
  const { code, stdout, stderr } = await stage.run(['import', 'config.py'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  imported = {
    yaml: await readFile(join(stage.folder, 'zhongkong.yaml'), 'utf8'),
    environment: await readFile(join(stage.folder, '.env'), 'utf8'),
    told: stdout,
  }
}

/** A node that knows nothing yet, before an upstream that was never asked; `prepare` may break that upstream first. */
async function serveAnew(prepare: (upstream: Upstream) => void = () => undefined): Promise<Served> {
  await node?.stop('SIGKILL')
  upstream.simulator.reset()
  asksBefore = upstream.asked.length
  prepare(upstream)
  node = await stage.serve(join(stage.folder, 'zhongkong.yaml'), { store: 'memory:' })
  return node
}

let node: Served | null = null
let asksBefore = 0

/** Python's JSON: the token, and whole seconds. */
const tokenboyToken = /^\{"access_token": "([\w-]{100,})", "expires_in": (\d+)\}$/
const tokenboyTicket = /^\{"errcode": 0, "errmsg": "ok", "ticket": "([\w-]{60,})", "expires_in": (\d+)\}$/

/** The access tokens that tickets were asked with, in order. */
const ticketsAskedWith = (): (string | null)[] =>
  upstream.asked
    .slice(asksBefore)
    .filter(({ pathname }) => pathname === '/cgi-bin/ticket/getticket')
    .map(({ searchParams }) => searchParams.get('access_token'))

/** Asks until the answer has that form; the token in it. */
async function tokenWhen(url: string, form: RegExp, withinMs = 15_000): Promise<string> {
  return await eventually(`${url} gives a token`, withinMs, async () => {
    const { text } = await ask(url)
    return form.exec(text)?.[1] ?? null
  })
}

describe('TokenBoy’s example', () => {
  beforeAll(() => takeOver('tokenboy-config.py'))
  afterAll(() => stage.close())

  test('import keeps the port, closes the address, and puts the secret where only its owner reads it', async () => {
    const { yaml, environment, told } = imported
    expect(yaml).toMatch(/^ {2}listen: 127\.0\.0\.1:8888$/m)
    expect(yaml).not.toContain(appsecret)
    expect(told).not.toContain(appsecret)
    expect(environment).toContain(appsecret)
    expect((await stat(join(stage.folder, '.env'))).mode & 0o777).toBe(0o600)
    const check = await stage.run(['check'])
    expect({ code: check.code, stderr: check.stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('200 with the upstream’s whole answer and the seconds left, in the bytes of the original', async () => {
    const node = await serveAnew()
    const token = await tokenWhen(`${node.url}/token?name=weixin`, tokenboyToken)
    const ticket = await tokenWhen(`${node.url}/token?name=weixin_jsticket`, tokenboyTicket)
    expect(token).toBe(upstream.simulator.latest(appid, 'classic'))
    expect(ticket).toBe(upstream.simulator.latest(appid, 'ticket:jsapi'))
    expect(upstream.simulator.accepts(ticket)).toBe(true)
    expect(ticketsAskedWith()).toEqual([token])

    const answer = await ask(`${node.url}/token?name=weixin`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=UTF-8')
    const left = Number(tokenboyToken.exec(answer.text)?.[2])
    expect(left).toBeGreaterThan(4_000)
    expect(left).toBeLessThan(7_200)
  })

  test('200 with {"error": "not found"} for what is not there, 405 for what it never took', async () => {
    const node = await serveAnew()
    await tokenWhen(`${node.url}/token?name=weixin`, tokenboyToken)
    for (const query of ['', '?name=', '?name=UnKnown', '?name=Weixin', '?name=__proto__', '?name=weixin&name=x']) {
      const { status, text } = await ask(`${node.url}/token${query}`)
      expect({ query, status, text }).toEqual({ query, status: 200, text: notFound })
    }
    for (const query of ['?name=%20weixin%20', '?name=x&name=weixin']) {
      const { text } = await ask(`${node.url}/token${query}`)
      expect(text).toMatch(tokenboyToken)
    }
    expect((await ask(`${node.url}/token?name=weixin`, { method: 'POST' })).status).toBe(405)
    expect((await ask(`${node.url}/token/`)).status).toBe(404)
  })

  test('when the first fetches fail at boot, both tokens come by themselves, the ticket with the current token', async () => {
    const { simulator } = upstream
    const node = await serveAnew(() => {
      // Issued and lost on the way: the token that comes after them is the one that counts.
      simulator.addFault({ kinds: ['token'], effect: { type: 'lose-answer' }, times: 2 })
      simulator.addFault({ kinds: ['ticket'], effect: { type: 'errcode', code: 40001 }, times: 1 })
    })
    const ticket = await tokenWhen(`${node.url}/token?name=weixin_jsticket`, tokenboyTicket, 18_000)
    const token = await tokenWhen(`${node.url}/token?name=weixin`, tokenboyToken)
    expect(token).toBe(simulator.latest(appid, 'classic'))
    expect(simulator.accepts(token)).toBe(true)
    expect(simulator.accepts(ticket)).toBe(true)
    expect(ticketsAskedWith().at(-1)).toBe(token)
    expect(simulator.faults()).toEqual([])
  }, 30_000)

  test('an upstream’s error is never given out as a token, and nothing is fetched for the ticket without one', async () => {
    const node = await serveAnew(({ simulator }) =>
      simulator.addFault({ kinds: ['token'], effect: { type: 'errcode', code: 40013 } }),
    )
    for (const name of ['weixin', 'weixin_jsticket']) {
      const { status, text } = await ask(`${node.url}/token?name=${name}`)
      expect({ name, status, text }).toEqual({ name, status: 200, text: notFound })
    }
    expect(ticketsAskedWith()).toEqual([])
  })
})

describe('wechat-token-server’s example', () => {
  beforeAll(() => takeOver('wechat-token-server-config.py'))
  afterAll(() => stage.close())

  const asked = (node: Served, route: string, type: string, secret = requestSecret): string =>
    `${node.url}/wechat/${route}?type=${type}&secret=${secret}`
  const form = (type: string): RegExp => new RegExp(`^\\{"${type}": "([\\w-]{60,})", "expires_in": (\\d+)\\}$`)

  test('200 with the token under its type, the seconds left, and no other key', async () => {
    const { yaml, told } = imported
    expect(yaml).toMatch(/^ {2}listen: 127\.0\.0\.1:12123$/m)
    expect(yaml + told).not.toContain(requestSecret)
    const node = await serveAnew()
    const token = await tokenWhen(asked(node, 'token', 'access_token'), form('access_token'))
    const ticket = await tokenWhen(asked(node, 'token', 'ticket'), form('ticket'))
    expect(token).toBe(upstream.simulator.latest(appid, 'classic'))
    expect(upstream.simulator.accepts(ticket)).toBe(true)
    expect(ticketsAskedWith()).toEqual([token])
    const { headers } = await ask(asked(node, 'token', 'access_token'))
    expect(headers.get('content-type')).toBe('text/html; charset=UTF-8')
  })

  test('200 with the original’s words for wrong secrets and types', async () => {
    const node = await serveAnew()
    await tokenWhen(asked(node, 'token', 'access_token'), form('access_token'))
    const invalid = '{"error": "invalid request"}'
    const base = `${node.url}/wechat/token`
    const cases: readonly (readonly [string, string])[] = [
      [asked(node, 'token', 'access_token', 'wrong'), invalid],
      [asked(node, 'token', 'access_token', 'UnKnown'), invalid],
      [asked(node, 'token', 'nothing', 'wrong'), invalid],
      [`${base}?type=access_token`, invalid],
      [`${base}?secret=${requestSecret}`, invalid],
      [base, invalid],
      [asked(node, 'token', 'nothing'), notFound],
      [asked(node, 'token', 'toString'), notFound],
      [asked(node, 'token/forcerefresh', 'access_token', 'wrong'), '{}'],
      [`${base}/forcerefresh?type=access_token`, '{}'],
      [`${base}/forcerefresh?secret=${requestSecret}`, '{}'],
      [asked(node, 'token/forcerefresh', 'nothing'), notFound],
    ]
    for (const [url, text] of cases) {
      const answer = await ask(url)
      expect({ url, status: answer.status, text: answer.text }).toEqual({ url, status: 200, text })
    }
    expect(upstream.simulator.counters(appid).token.calls).toBe(1)
    expect((await ask(asked(node, 'token', 'access_token'), { method: 'POST' })).status).toBe(405)
  })

  test('forcerefresh gives the new token, to any number of callers at once for one issue', async () => {
    const node = await serveAnew()
    const old = await tokenWhen(asked(node, 'token', 'access_token'), form('access_token'))
    await tokenWhen(asked(node, 'token', 'ticket'), form('ticket'))
    upstream.simulator.setKnobs({ delayMs: { token: 100 } })
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask(asked(node, 'token/forcerefresh', 'access_token'))),
    )
    const tokens = new Set(answers.map(({ text }) => form('access_token').exec(text)?.[1]))
    expect([...tokens]).toEqual([upstream.simulator.latest(appid, 'classic')])
    expect(tokens).not.toContain(old)
    expect(upstream.simulator.counters(appid).token.issued).toBe(2)

    const { text } = await ask(asked(node, 'token/forcerefresh', 'ticket'))
    expect(upstream.simulator.accepts(form('ticket').exec(text)?.[1] ?? '')).toBe(true)
    expect(ticketsAskedWith().at(-1)).toBe([...tokens][0])
  })

  test('the words of an upstream that refuses a forced refresh, and the living token goes on being served', async () => {
    const node = await serveAnew()
    const token = await tokenWhen(asked(node, 'token', 'access_token'), form('access_token'))
    upstream.simulator.addFault({
      kinds: ['token'],
      effect: { type: 'errcode', code: 45011, text: 'api minute-quota' },
    })
    const { status, text } = await ask(asked(node, 'token/forcerefresh', 'access_token'))
    expect(status).toBe(200)
    expect(text).toMatch(/^\{"errmsg": ".*api minute-quota.*"\}$/)
    expect(await tokenWhen(asked(node, 'token', 'access_token'), form('access_token'))).toBe(token)
  })

  test('when the first fetches fail at boot, both tokens come by themselves, the ticket with the current token', async () => {
    const { simulator } = upstream
    const node = await serveAnew(() => {
      simulator.addFault({ kinds: ['token'], effect: { type: 'status', status: 502 }, times: 2 })
      simulator.addFault({ kinds: ['ticket'], effect: { type: 'errcode', code: -1 }, times: 1 })
    })
    const ticket = await tokenWhen(asked(node, 'token', 'ticket'), form('ticket'), 18_000)
    const token = await tokenWhen(asked(node, 'token', 'access_token'), form('access_token'))
    expect(token).toBe(simulator.latest(appid, 'classic'))
    expect(simulator.accepts(ticket)).toBe(true)
    expect(ticketsAskedWith().at(-1)).toBe(token)
    expect(simulator.faults()).toEqual([])
  }, 30_000)
})
