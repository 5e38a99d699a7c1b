/**
 * A third-party platform of WeChat, from an empty store to an SDK that somebody else wrote: real processes, real sockets,
 * real encrypted pushes, and a person's browser, played by its requests.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { ask } from './ask.ts'
import { openPlatform } from './sdk-clients.ts'
import { eventually, openStage, type Served, type Stage, type Upstream } from './stage.ts'

const appid = 'wx00000000000000c0'
const account = 'wx00000000000000a1'
const secret = 'the-real-appsecret-of-the-platform'
const aesKey = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'
const key = 'an-api-key-of-forty-three-letters-and-digits'
const admin = 'another-key-of-forty-three-letters-and-digits'

let stage: Stage
let upstream: Upstream
let node: Served

beforeAll(async () => {
  stage = await openStage()
  const port = await freePort()
  const env = realEnv()
  upstream = await stage.upstream({
    accounts: [
      {
        kind: 'wechat-component',
        id: appid,
        secret,
        offers: [account],
        callback: { url: `http://127.0.0.1:${port}/callback/platform`, token: 'callback-token', key: aesKey },
      },
    ],
    send: (request) => env.fetch(request),
  })
  const path = await stage.configure({
    server: { listen: `127.0.0.1:${port}` },
    store: 'sqlite:./tokens.db',
    sources: {
      platform: {
        provider: 'wechat-component',
        appid,
        secret,
        base_url: upstream.url,
        page_url: upstream.url,
        callback: { token: 'callback-token', encoding_aes_key: aesKey },
      },
    },
    clients: {
      shop: { key: `sha256:${sha256(key)}`, read: ['*'] },
      operator: { key: `sha256:${sha256(admin)}`, admin: true },
    },
  })
  node = await stage.serve(path, { isListeningAsWritten: true })
})

afterAll(async () => {
  await stage.close()
})

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The platform has to know the address before the server is there. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

type Told = { readonly token: string; readonly expires_in: number; readonly version: number }

async function tokenOf(name: string): Promise<Told | null> {
  const { status, json } = await ask(`${node.url}/v1/tokens/${encodeURIComponent(name)}`, { key })
  return status === 200 ? (json as Told) : null
}

/** What an administrator does: the link, our page, a click, WeChat's page, and the way back. Answers the last page. */
async function authorise(): Promise<{ readonly status: number; readonly text: string }> {
  const invited = await ask(`${node.url}/v1/sources/platform/authorize`, { key: admin, body: { device: 'desktop' } })
  const { url } = invited.json as { url: string }
  const ours = await fetch(url, { redirect: 'manual' })
  const cookie = (ours.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  const theirs = linkIn(await ours.text(), 'componentloginpage')
  const offers = await (await fetch(theirs)).text()
  const chosen = await fetch(new URL(linkIn(offers, account), theirs), { redirect: 'manual' })
  const back = await fetch(chosen.headers.get('location') ?? '', { headers: { cookie } })
  return { status: back.status, text: await back.text() }
}

function linkIn(page: string, part: string): string {
  const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, href = '']) => href.replace(/&(?:#38|amp);/g, '&'))
  return links.find((href) => href.includes(part)) ?? `no link with ${part} in ${page}`
}

test('a ticket is pushed, an account authorises by the page, and its tokens are served to callers and to an SDK', async () => {
  expect(await tokenOf('platform')).toBeNull()
  expect(await upstream.simulator.pushDue()).toEqual({ taken: 1, lost: 0 })
  const platform = await eventually('the platform has a token', 10_000, () => tokenOf('platform'))
  expect(upstream.simulator.accepts(platform.token)).toBe(true)

  const page = await authorise()
  expect(page.status).toBe(200)
  expect(page.text).toContain(`platform/${account}`)
  // WeChat tells it by a push as well, with the same code, which is good once.
  expect(await upstream.simulator.pushDue()).toMatchObject({ lost: 0 })
  const told = await eventually('the account has a token', 10_000, () => tokenOf(`platform/${account}`))
  expect(upstream.simulator.accepts(told.token)).toBe(true)
  expect(told.version).toBe(1)
  // A ticket is made when it is first read, and nobody has configured it.
  const ticket = await tokenOf(`platform/${account}/jsapi`)
  expect(upstream.simulator.accepts(ticket?.token ?? '')).toBe(true)

  // An SDK holds tickets and refresh tokens of its own. What it sends of them is not looked at.
  const sdk = await openPlatform(node.url, { appid, secret: key, ticket: 'whatever-it-has-kept' })
  expect(await sdk.getComponentAccessToken().getToken()).toBe(platform.token)
  const refreshed = await sdk.refreshAuthorizerToken(account, 'its-own-refresh-token')
  expect(refreshed).toMatchObject({
    authorizer_access_token: told.token,
    authorizer_refresh_token: 'its-own-refresh-token',
  })
  expect(refreshed.expires_in).toBeGreaterThan(4_000)
  const strange = await openPlatform(node.url, { appid, secret: 'no-key-at-all', ticket: 'x' })
  await expect(strange.getComponentAccessToken().getToken()).rejects.toThrow(/40125/)
}, 60_000)
