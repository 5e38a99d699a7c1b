/** Keys of presets as people write them: what is wrong with them is told with its place and a fix. */
import { describe, expect, it } from 'vitest'
import { selfSigned } from '../../../test/http/self-signed.ts'
import { ecPair, otherRsaPair, pkcs8, publicPem, rsaPair } from '../../../test/providers/keys.ts'
import { askScripted, gist, json } from '../../../test/providers/scripted.ts'
import type { JsonObject } from '../../base/json.ts'
import { parseSource } from '../catalogue.ts'

const rsa = pkcs8(rsaPair())
const { cert } = selfSigned(rsaPair())
const account = (more: JsonObject = {}): string =>
  JSON.stringify({ type: 'service_account', client_email: 'r@p', private_key: rsa, ...more })
const google = { provider: 'google-service-account', scope: 'a' }
const github = { provider: 'github-app', app_id: 1, installation_id: 2, private_key: rsa }
const entra = { provider: 'entra', tenant: 't', client_id: 'c', scope: 'r/.default' }

describe('a mistake', () => {
  it.each<[string, JsonObject, string, RegExp]>([
    ['no credentials', google, 'credentials', /missing/],
    ['half of the credentials', { ...google, client_email: 'r@p' }, 'private_key', /missing/],
    ['credentials twice', { ...google, credentials: account(), key_id: 'k' }, 'key_id', /says this already/],
    ['credentials that are a password', { ...google, credentials: 'canary' }, 'credentials', /no JSON key/],
    [
      'credentials of a user',
      { ...google, credentials: account({ type: 'authorized_user' }) },
      'credentials',
      /not the key/,
    ],
    [
      'credentials cut off',
      { ...google, credentials: account({ private_key: rsa.slice(0, 99) }) },
      'credentials',
      /cannot be read/,
    ],
    [
      'a key that Google does not take',
      { ...google, client_email: 'r@p', private_key: pkcs8(ecPair()) },
      'private_key',
      /RSA/,
    ],
    ['no scope', { provider: 'google-service-account', credentials: account() }, 'scope', /missing/],
    ['a public key', { ...github, private_key: publicPem(rsaPair()) }, 'private_key', /public key/],
    ['a key that GitHub does not take', { ...github, private_key: pkcs8(ecPair()) }, 'private_key', /RSA/],
    ['an installation that is no number', { ...github, installation_id: '../1' }, 'installation_id', /./],
    ['neither secret nor certificate', entra, 'client_secret', /missing/],
    ['a key without its certificate', { ...entra, private_key: rsa }, 'certificate', /missing/],
    ['a certificate without its key', { ...entra, certificate: cert }, 'private_key', /missing/],
    [
      'a certificate of another key',
      { ...entra, private_key: pkcs8(otherRsaPair()), certificate: cert },
      'certificate',
      /another key/,
    ],
    [
      'a secret and a certificate',
      { ...entra, client_secret: 's', private_key: rsa, certificate: cert },
      'private_key',
      /either/,
    ],
    ['a tenant that is a path', { ...entra, client_secret: 's', tenant: 'a/b' }, 'tenant', /./],
    [
      'an org without an address',
      { provider: 'salesforce', client_id: 'a', client_secret: 's' },
      'base_url',
      /missing/,
    ],
    [
      'a mistyped key',
      { provider: 'zoom', acount_id: 'a', client_id: 'b', client_secret: 's' },
      'account_id',
      /missing/,
    ],
  ])('%s is told with its place', (_, definition, path, message) => {
    const parsed = parseSource('x', definition, 'file')
    const [first] = parsed.ok ? [] : parsed.issues
    expect(first?.path.join('.')).toBe(path)
    expect(first?.message.en).toMatch(message)
    expect(first?.message.zh).toMatch(/[\u4e00-\u9fff].*。$/s)
    expect(JSON.stringify(parsed.ok ? '' : parsed.issues)).not.toMatch(/canary|PRIVATE KEY-----\\n/)
  })
})

describe('what is put into a request', () => {
  it('is never a template, whatever people write', async () => {
    const definition = { provider: 'douyin', client_key: 'aw1', client_secret: '{{nowMs}} {{values.client_key}}' }
    const { bodies } = await askScripted(definition, () => json({ data: { access_token: 'T', expires_in: 7200 } }))
    expect(JSON.parse(bodies[0] ?? '')).toMatchObject({ client_secret: '{{nowMs}} {{values.client_key}}' })
  })

  it('goes to the address that is written, braces and all', async () => {
    const base_url = 'http://127.0.0.1:1/{{values.client_secret}}'
    const definition = { provider: 'douyin', client_key: 'aw1', client_secret: 'canary', base_url }
    const { requests } = await askScripted(definition, () => json({}))
    expect(requests[0]?.url).not.toContain('canary')
  })
})

describe('an answer', () => {
  const douyin = { provider: 'douyin', client_key: 'aw1', client_secret: 's' }
  const huawei = { provider: 'huawei-push', client_id: '1', client_secret: 's' }
  const entraApp = { ...entra, client_secret: 's' }

  it.each<[string, JsonObject, unknown, number, string]>([
    [
      'of Douyin that asks for fewer calls',
      douyin,
      { data: { error_code: 10020 } },
      200,
      'rejected quota upstream_rejected 300000',
    ],
    [
      'of Douyin with its refusal as a text',
      douyin,
      { data: { error_code: '10013' } },
      200,
      'rejected configuration upstream_rejected',
    ],
    [
      'of Douyin with a code nobody knows',
      douyin,
      { data: { error_code: 1 } },
      200,
      'rejected transient upstream_rejected',
    ],
    ['of Douyin with nothing in it', douyin, {}, 200, 'unknown token_unusable'],
    [
      'of Huawei with its flow control',
      huawei,
      { error: 503, sub_error: 1 },
      403,
      'rejected permission upstream_rejected',
    ],
    ['of Huawei with an escaped token', huawei, '{"access_token":"a\\/b==","expires_in":3600}', 200, 'issued 3600000'],
    [
      'of Microsoft that sees a loop',
      entraApp,
      { error: 'invalid_grant', error_codes: [50196] },
      400,
      'rejected quota upstream_rejected 300000',
    ],
    [
      'of Microsoft with a code nobody knows',
      entraApp,
      { error: 'invalid_client', error_codes: [1] },
      401,
      'rejected configuration upstream_rejected',
    ],
    ['of GitHub without words', github, {}, 404, 'rejected configuration upstream_rejected'],
    ['of GitHub that contradicts itself', github, { token: 'T' }, 404, 'unknown upstream_status'],
    ['of GitHub that broke down', github, {}, 502, 'unknown upstream_status'],
    [
      'of GitHub with an end in the past',
      github,
      { token: 'T', expires_at: '2020-01-01T00:00:00Z' },
      201,
      'issued null',
    ],
    [
      'of a QQ bot with a lifetime as text',
      { provider: 'qq-bot', app_id: 1, client_secret: 's' },
      { access_token: 'T', expires_in: '7200' },
      200,
      'issued 7200000',
    ],
  ])('%s is told rightly', async (_, definition, body, status, expected) => {
    expect(gist(await askScripted(definition, () => json(body, { status })))).toBe(expected)
  })
})
