/** The refresh_token and authorization_code grants: what is sent, what is taken out of answers, what may be written. */
import { describe, expect, it } from 'vitest'
import { json, source, type Script } from '../../test/providers/scripted.ts'
import { manualClock, seededRandom } from '../../test/simulator/stage.ts'
import type { Env } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import { authorizationOf, issue, linkOf, parseSource, redeem, type Call, type Journey } from './catalogue.ts'

const definition = {
  provider: 'oauth2',
  token_url: 'https://as.test/token',
  authorization_url: 'https://as.test/authorize?tenant=7',
  client_id: 'shop',
  client_secret: 'canary-secret',
  grant: 'authorization_code',
  scope: ['read', 'offline_access'],
}
/** The definition without some of its keys. */
function without(...keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(definition).filter(([key]) => !keys.includes(key)))
}

/** The example of RFC 7636, appendix B. */
const journey: Journey = {
  redirectUri: 'https://here.test/authorize/x/done',
  state: 'canary-state',
  verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  device: 'desktop',
}
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

function bench(script: Script) {
  const sent: { readonly url: string; readonly form: URLSearchParams }[] = []
  const env: Env = {
    clock: manualClock(),
    random: seededRandom(1),
    fetch: async (request) => {
      sent.push({ url: request.url, form: new URLSearchParams(await request.clone().text()) })
      return await script(request)
    },
  }
  const call: Call = { env, signal: new AbortController().signal, force: false, inputs: new Map() }
  return { sent, call }
}

const good = { access_token: 'T', expires_in: 60, token_type: 'Bearer', refresh_token: 'canary-next' }

function grantIn(attempt: Attempt): unknown {
  return attempt.outcome === 'issued' ? attempt.issued.grant : attempt
}

describe('a refresh', () => {
  const asked = async (answer: JsonObject, more: JsonObject = {}) => {
    const { sent, call } = bench(() => json(answer))
    const attempt = await issue(source({ ...definition, ...more }), { ...call, grant: 'canary-grant' })
    return { attempt, form: Object.fromEntries(sent[0]?.form ?? []) }
  }

  it('sends the grant of the entry; the scope only where it was not said to a person', async () => {
    const grant = { grant_type: 'refresh_token', refresh_token: 'canary-grant' }
    expect((await asked(good)).form).toEqual(grant)
    const written = { grant: 'refresh_token', refresh_token: 'canary-seed' }
    expect((await asked(good, written)).form).toEqual({ ...grant, scope: 'read offline_access' })
    expect((await asked(good, { auth: 'body', params: { audience_hint: 7 } })).form).toEqual({
      ...grant,
      client_id: 'shop',
      client_secret: 'canary-secret',
      audience_hint: '7',
    })
  })

  it('takes the next refresh token out of the answer, whatever callers see of the rest', async () => {
    const { attempt } = await asked({ ...good, refresh_token_expires_in: 3_600, open_id: 'me' })
    expect(attempt).toEqual({
      outcome: 'issued',
      issued: {
        value: 'T',
        lifetimeMs: 60_000,
        fields: {
          access_token: 'T',
          expires_in: 60,
          token_type: 'Bearer',
          refresh_token_expires_in: 3_600,
          open_id: 'me',
        },
        grant: { value: 'canary-next', lifetimeMs: 3_600_000 },
      },
    })
  })

  it.each<[string, JsonObject, unknown]>([
    ['that does not end', { refresh_expires_in: 0 }, { value: 'canary-next', lifetimeMs: null }],
    ['of Keycloak', { refresh_expires_in: 1_800 }, { value: 'canary-next', lifetimeMs: 1_800_000 }],
    ['that is not told', { refresh_token: null }, undefined],
    ['that is empty', { refresh_token: '' }, undefined],
    ['that is a number', { refresh_token: 42 }, expect.objectContaining({ outcome: 'unknown' })],
    ['with a line break', { refresh_token: 'a\r\nb' }, expect.objectContaining({ outcome: 'unknown' })],
    ['without end', { refresh_token: 'x'.repeat(9_000) }, expect.objectContaining({ outcome: 'unknown' })],
  ])('knows a refresh token %s', async (_, answer, expected) => {
    const { attempt } = await asked({ ...good, ...answer })
    expect(grantIn(attempt)).toEqual(expected)
    if (attempt.outcome === 'issued') expect(attempt.issued.fields).not.toHaveProperty('refresh_token')
  })

  it('that is refused needs a person, and the refusal repeats no grant', async () => {
    const answer = { error: 'invalid_grant', error_description: 'no such refresh_token: canary-grant of canary-secret' }
    const { call } = bench(() => json(answer, { status: 400 }))
    const attempt = await issue(source(definition), { ...call, grant: 'canary-grant' })
    expect(attempt).toMatchObject({ outcome: 'rejected', class: 'needs-authorization' })
    expect(JSON.stringify(attempt)).not.toContain('canary')
    expect(JSON.stringify(attempt)).toContain('zhongkong authorize')
  })
})

describe('a link', () => {
  it('says who asks, for what, and how the answer is known', async () => {
    const { call, sent } = bench(() => json({}))
    const more = { audience: 'api', authorization_params: { access_type: 'offline' } }
    const link = await linkOf(source({ ...definition, ...more }), call, journey)
    const url = new URL((link as { url: string }).url)
    expect(`${url.origin}${url.pathname}`).toBe('https://as.test/authorize')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tenant: '7',
      access_type: 'offline',
      response_type: 'code',
      client_id: 'shop',
      redirect_uri: journey.redirectUri,
      scope: 'read offline_access',
      audience: 'api',
      state: journey.state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
    })
    expect(url.href).not.toContain(journey.verifier)
    expect(sent).toEqual([])
  })

  it('goes where the issuer says, and nowhere when it does not say', async () => {
    const issuer = 'https://as.test'
    const found = { issuer, token_endpoint: `${issuer}/token` }
    const rest = without('token_url', 'authorization_url')
    const asked = async (metadata: JsonObject) =>
      await linkOf(source({ ...rest, issuer }), bench(() => json(metadata)).call, journey)
    expect(await asked({ ...found, authorization_endpoint: `${issuer}/go` })).toMatchObject({
      url: expect.stringContaining(`${issuer}/go?response_type=code`) as string,
    })
    for (const authorization_endpoint of [undefined, 'http://as.test/go', 'javascript:alert(1)', 7]) {
      const told = authorization_endpoint === undefined ? found : { ...found, authorization_endpoint }
      expect(await asked(told)).toMatchObject({ refused: { failure: { code: 'discovery_failed' } } })
    }
  })

  it('may do without PKCE, and is not there where secrets are enough', async () => {
    const { call } = bench(() => json({}))
    const link = await linkOf(source({ ...definition, pkce: 'none' }), call, journey)
    expect((link as { url: string }).url).not.toContain('code_challenge')
    const rest = without('authorization_url', 'scope')
    expect(authorizationOf(source({ ...rest, grant: 'client_credentials' }))).toBeUndefined()
    expect(authorizationOf(source({ ...rest, grant: 'refresh_token', refresh_token: 'r' }))).toBeUndefined()
    expect(authorizationOf(source(definition))?.codeParameter).toBe('code')
  })
})

describe('the exchange of a code', () => {
  const exchanged = async (answer: JsonObject, more: JsonObject = {}, status = 200) => {
    const { sent, call } = bench(() => json(answer, { status }))
    const { attempt } = await redeem(source({ ...definition, ...more }), call, { code: 'canary-code', journey })
    return { attempt, form: Object.fromEntries(sent[0]?.form ?? []) }
  }

  it('sends code, address and verifier, and brings token and grant', async () => {
    const { attempt, form } = await exchanged(good)
    expect(form).toEqual({
      grant_type: 'authorization_code',
      code: 'canary-code',
      redirect_uri: journey.redirectUri,
      code_verifier: journey.verifier,
    })
    expect(grantIn(attempt)).toEqual({ value: 'canary-next', lifetimeMs: null })
    expect((await exchanged(good, { pkce: 'none' })).form).not.toHaveProperty('code_verifier')
  })

  it('fails with the way to a refresh token where the server gives none, unless it gives one only once', async () => {
    const bare = { access_token: 'T', expires_in: 60 }
    const { attempt } = await exchanged(bare)
    expect(attempt).toMatchObject({ outcome: 'rejected', failure: { code: 'refresh_token_missing' } })
    expect(JSON.stringify(attempt)).toContain('offline_access')
    expect((await exchanged(bare, { rotation: 'never' })).attempt).toMatchObject({ outcome: 'issued' })
  })

  it('that is refused is begun anew, and the refusal repeats neither code nor verifier', async () => {
    const description = `canary-code used before, verifier ${journey.verifier}`
    const { attempt } = await exchanged({ error: 'invalid_grant', error_description: description }, {}, 400)
    expect(attempt).toMatchObject({ outcome: 'rejected', failure: { upstream: { errcode: 'invalid_grant' } } })
    for (const secret of ['canary', journey.verifier]) expect(JSON.stringify(attempt)).not.toContain(secret)
  })
})

describe('the settings', () => {
  const issuesOf = (more: JsonObject, left: readonly string[] = []): string[] => {
    const parsed = parseSource('x', { ...without(...left), ...more }, 'file')
    return parsed.ok ? [] : parsed.issues.map(({ path }) => path.join('.'))
  }

  it.each<[string, JsonObject, string[], string[]]>([
    ['a code needs a place to send people', {}, ['authorization_url'], ['authorization_url']],
    ['a refresh token of the configuration must be there', { grant: 'refresh_token' }, [], ['refresh_token']],
    ['rotation is a word', { rotation: 'sometimes' }, [], ['rotation']],
    ['a grace has an end', { grace: '2d' }, [], ['grace']],
    ['state is ours', { authorization_params: { state: 'x' } }, [], ['authorization_params.state']],
    ['a refresh token is no parameter', { params: { refresh_token: 'x' } }, [], ['params.refresh_token']],
    ['an address is one', { authorization_url: 'as.test' }, [], ['authorization_url']],
    [
      'nothing of this is said where nobody is asked',
      { grant: 'client_credentials', rotation: 'may', refresh_token: 'r' },
      [],
      ['refresh_token', 'rotation', 'authorization_url'],
    ],
    ['all of it together is good', { refresh_token: 'r', rotation: 'always', grace: '10s', pkce: 'S256' }, [], []],
  ])('%s', (_, more, left, expected) => {
    expect(issuesOf(more, left)).toEqual(expected)
  })

  it('say what a refresh does, and name one account by whichever way its first refresh token came', () => {
    const byCode = source({ ...definition, rotation: 'always', grace: '10s', refresh_token: 'r' })
    expect(byCode.semantics.grant).toMatchObject({ rotates: 'always', graceMs: 10_000 })
    expect(byCode.semantics.grant?.missing.hint?.zh).toContain('/authorize/')
    expect(byCode.seed?.value.reveal()).toBe('r')
    const rest = without('authorization_url')
    const bySeed = source({ ...rest, grant: 'refresh_token', refresh_token: 'other' })
    expect(bySeed.identity).toBe(byCode.identity)
    expect(bySeed.semantics.grant).toMatchObject({ rotates: 'may', graceMs: 0 })
    expect(source({ ...rest, grant: 'client_credentials' }).semantics).not.toHaveProperty('grant')
    expect(source({ ...rest, grant: 'client_credentials' }).identity).not.toBe(byCode.identity)
  })
})
