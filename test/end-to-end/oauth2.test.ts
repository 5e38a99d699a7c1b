/**
 * A stock OAuth 2.0 client library, unmodified, gets tokens from a running server and asks about them: it finds the
 * addresses by the metadata, proves itself each way it knows, and reads our errors as its own.
 */
import { createHash } from 'node:crypto'
import * as oauth from 'openid-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStage, type Served, type Stage, type Upstream } from './stage.ts'

const appid = 'wx000000000000oau2'
const secret = 'the-real-appsecret-of-the-account'
const key = 'an-api-key-of-forty-three-letters-and-digits'
const name = 'branches/north:1'

let stage: Stage
let upstream: Upstream
let node: Served
let path: string

beforeAll(async () => {
  stage = await openStage()
  upstream = await stage.upstream({ accounts: [{ kind: 'wechat', id: appid, secret }] })
  path = await stage.configure({
    store: 'sqlite:./oauth2.db',
    sources: { [name]: { provider: 'wechat', appid, secret, base_url: upstream.url } },
    clients: { shop: { key: `sha256:${createHash('sha256').update(key).digest('hex')}`, read: ['branches/*'] } },
  })
  node = await stage.serve(path)
})

afterAll(async () => {
  await stage.close()
})

async function discovered(proof: oauth.ClientAuth, id = name): Promise<oauth.Configuration> {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- it is called so to be noticed; this is loopback
  const options: oauth.DiscoveryRequestOptions = { algorithm: 'oauth2', execute: [oauth.allowInsecureRequests] }
  return await oauth.discovery(new URL(node.url), id, undefined, proof, options)
}

test.each([
  ['in a Basic header', oauth.ClientSecretBasic(key)],
  ['in the body', oauth.ClientSecretPost(key)],
])('openid-client gets a token that the platform accepts, its secret %s', async (_, proof) => {
  const config = await discovered(proof)
  const told = await oauth.clientCredentialsGrant(config, { scope: 'whatever' })
  expect(told.access_token).toBe(upstream.simulator.latest(appid, 'stable'))
  expect(upstream.simulator.accepts(told.access_token)).toBe(true)
  expect(told.token_type).toBe('bearer')
  expect(told.scope).toBe(name)
  expect(told.expiresIn()).toBeGreaterThan(7_000)
  expect(told.expiresIn()).toBeLessThanOrEqual(7_200)
})

test('openid-client hears whether a token is one of ours', async () => {
  const config = await discovered(oauth.ClientSecretBasic(key))
  const { access_token: token } = await oauth.clientCredentialsGrant(config)
  const told = await oauth.tokenIntrospection(config, token)
  expect(told).toMatchObject({ active: true, client_id: name, token_type: 'Bearer' })
  expect(told.exp! - Date.now() / 1_000).toBeGreaterThan(7_000)
  expect(await oauth.tokenIntrospection(config, 'of-somebody-else')).toEqual({ active: false })
})

test('a node that has served nothing yet knows the tokens of its store', async () => {
  const { access_token: token } = await oauth.clientCredentialsGrant(await discovered(oauth.ClientSecretPost(key)))
  await node.stop('SIGTERM')
  node = await stage.serve(path)
  const config = await discovered(oauth.ClientSecretPost(key))
  expect(await oauth.tokenIntrospection(config, token)).toMatchObject({ active: true, client_id: name })
  expect(upstream.simulator.counters(appid).stable_token.calls).toBe(1)
})

test('openid-client reads our refusals', async () => {
  const refused = async (proof: oauth.ClientAuth, id?: string): Promise<unknown> =>
    await oauth.clientCredentialsGrant(await discovered(proof, id)).catch((thrown: unknown) => thrown)
  const byHeader = await refused(oauth.ClientSecretBasic('wrong'))
  expect(byHeader).toBeInstanceOf(oauth.WWWAuthenticateChallengeError)
  expect(byHeader).toMatchObject({ status: 401 })
  expect(await refused(oauth.ClientSecretPost(key), 'nothing')).toMatchObject({ status: 401 })
  const config = await discovered(oauth.ClientSecretPost(key))
  const other = await oauth.genericGrantRequest(config, 'password', {}).catch((thrown: unknown) => thrown)
  expect(other).toBeInstanceOf(oauth.ResponseBodyError)
  expect(other).toMatchObject({ status: 400, error: 'unsupported_grant_type' })
})
