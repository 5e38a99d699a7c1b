/** Platforms that speak OAuth 2.0, each with an accent. */
import { decodeJwt, issuerOf, jwtFault } from '../jwt.ts'
import type { Asked, Checking, Platform, Refused } from './platform.ts'

type Accent = Pick<Platform, 'path' | 'good' | 'lifeSeconds' | 'shown' | 'badToken'> & Partial<Platform>

function oauthLike(accent: Accent): Platform {
  return {
    method: 'POST',
    reads: 'form',
    who: ({ param }) => param('client_id'),
    nobody: invalidClient('client authentication failed'),
    check: ({ asked, account }) => wrongGrant(asked) ?? wrongSecret(asked.param('client_secret'), account.secret),
    refuse: ({ code, text, status = 400 }) => ({ status, body: { error: code, error_description: text } }),
    tokenAt: ['access_token'],
    lifetimeAt: ['expires_in'],
    prefix: '',
    length: 128,
    reissue: 'independent',
    ...accent,
  }
}

const bearer = { header: 'authorization', prefix: 'Bearer ' } as const

function invalidClient(text: string, status = 401): Refused {
  return { code: 'invalid_client', text, status }
}

function wrongGrant({ param }: Asked, wanted = 'client_credentials'): Refused | null {
  if (param('grant_type') === wanted) return null
  return { code: 'unsupported_grant_type', text: `grant_type must be ${wanted}` }
}

function wrongSecret(given: string, right: string | undefined): Refused | null {
  return given !== '' && given === right ? null : invalidClient('client authentication failed')
}

function basicOf({ headers }: Asked): { readonly id: string; readonly secret: string } {
  const encoded = /^basic +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? ''
  const [id = '', ...rest] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
  return { id, secret: rest.join(':') }
}

const baidu = oauthLike({
  path: /^\/oauth\/2\.0\/token$/,
  nobody: invalidClient('unknown client id'),
  check: ({ asked, account }) =>
    wrongGrant(asked) ??
    (asked.param('client_secret') === account.secret ? null : invalidClient('Client authentication failed')),
  good: ({ value, seconds }) => ({
    access_token: value,
    expires_in: seconds,
    refresh_token: '25.simulated',
    scope: 'public brain_all_scope',
    session_key: 'simulated',
    session_secret: 'simulated',
  }),
  prefix: '24.',
  lifeSeconds: 2_592_000,
  shown: { query: 'access_token' },
  badToken: { status: 200, body: { error_code: 110, error_msg: 'Access token invalid or no longer valid' }, code: 110 },
})

const huawei = oauthLike({
  path: /^\/oauth2\/v3\/token$/,
  nobody: { code: 1101, text: 'invalid client_id', status: 400 },
  check: ({ asked, account }) => {
    if (asked.param('grant_type') !== 'client_credentials') return { code: 1101, text: 'invalid grant_type' }
    return asked.param('client_secret') === account.secret ? null : { code: 12304, text: 'invalid client_secret' }
  },
  refuse: ({ code, text, status = 400 }) => ({
    status,
    body:
      code === 12304
        ? { sub_error: 12304, error_description: text, error: 1101 }
        : { error: code, error_description: text },
  }),
  good: ({ value, seconds }) => ({ access_token: value, expires_in: seconds, token_type: 'Bearer' }),
  lifeSeconds: 3_600,
  shown: bearer,
  badToken: { status: 401, body: { code: '80200003', msg: 'OAuth Token is expired' }, code: 80200003 },
})

const tiktok = oauthLike({
  path: /^\/v2\/oauth\/token\/$/,
  who: ({ param }) => param('client_key'),
  refuse: ({ code, text, status = 400 }) => ({
    status,
    body: { error: code, error_description: text, log_id: '20260101000000' },
  }),
  good: ({ value, seconds }) => ({ access_token: value, expires_in: seconds, token_type: 'Bearer' }),
  prefix: 'clt.',
  lifeSeconds: 7_200,
  shown: bearer,
  badToken: {
    status: 401,
    body: { error: { code: 'access_token_invalid', message: 'The access token is invalid' } },
    code: 'access_token_invalid',
  },
})

const googleAudience = 'https://oauth2.googleapis.com/token'

/** The account is the address of the service account, with its public key. */
const google = oauthLike({
  path: /^\/token$/,
  who: ({ param }) => issuerOf(param('assertion')),
  nobody: { code: 'invalid_grant', text: 'Invalid grant: account not found' },
  check: checkGoogle,
  good: ({ value, seconds }) => ({ access_token: value, expires_in: seconds, token_type: 'Bearer' }),
  prefix: 'ya29.',
  length: 220,
  lifeSeconds: 3_599,
  shown: bearer,
  badToken: { status: 401, body: { error: { code: 401, status: 'UNAUTHENTICATED' } }, code: 'UNAUTHENTICATED' },
})

function checkGoogle({ asked, account, now, seen }: Checking): Refused | null {
  const wrong = wrongGrant(asked, 'urn:ietf:params:oauth:grant-type:jwt-bearer')
  if (wrong !== null) return wrong
  const jwt = decodeJwt(asked.param('assertion'))
  if (jwt === null || account.public_key === undefined) return { code: 'invalid_grant', text: 'Bad Request' }
  const texts = {
    signature: 'Invalid JWT Signature.',
    audience: 'Invalid JWT: Failed audience check.',
    time: 'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.',
  }
  const fault = jwtFault(jwt, {
    publicKey: account.public_key,
    algorithms: ['RS256'],
    audiences: [googleAudience],
    now,
    lifeSecondsMax: 3_600,
    slackSeconds: 300,
  })
  if (fault !== null) return { code: 'invalid_grant', text: texts[fault] }
  if (!seen.take(jwt, now)) return { code: 'invalid_grant', text: 'Bad Request' }
  const { scope } = jwt.claims
  return typeof scope === 'string' && scope !== ''
    ? null
    : { code: 'invalid_scope', text: 'Invalid OAuth scope or ID token audience provided.' }
}

/** `second` is the tenant. */
const entra = oauthLike({
  path: /^\/([^/]+)\/oauth2\/v2\.0\/token$/,
  nobody: { code: 700016, text: 'Application was not found in the directory.' },
  check: checkEntra,
  refuse: ({ code, text, status }) => ({
    status: status ?? (code === 7000215 || code === 700027 ? 401 : 400),
    body: {
      error: entraWords[String(code)] ?? (typeof code === 'string' ? code : 'invalid_request'),
      error_description: `AADSTS${code}: ${text} Trace ID: 00000000 Correlation ID: 00000000`,
      error_codes: [code],
      trace_id: '00000000',
      correlation_id: '00000000',
    },
  }),
  good: ({ value, seconds }) => ({
    token_type: 'Bearer',
    expires_in: seconds,
    ext_expires_in: seconds,
    access_token: value,
  }),
  prefix: 'eyJ0eXAi.',
  length: 1_200,
  lifeSeconds: 3_599,
  shown: bearer,
  badToken: {
    status: 401,
    body: {
      error: { code: 'InvalidAuthenticationToken', message: 'Lifetime validation failed, the token is expired.' },
    },
    code: 'InvalidAuthenticationToken',
  },
})

const entraWords: Readonly<Record<string, string>> = {
  '7000215': 'invalid_client',
  '7000222': 'invalid_client',
  '700027': 'invalid_client',
  '700016': 'unauthorized_client',
  '70011': 'invalid_scope',
}

function checkEntra({ asked, account, now, seen }: Checking): Refused | null {
  const [tenant] = asked.caught
  if (tenant !== account.second) return { code: 90002, text: `Tenant '${tenant}' not found.` }
  if (asked.param('grant_type') !== 'client_credentials') return { code: 9002313, text: 'Invalid request.' }
  if (!asked.param('scope').endsWith('/.default'))
    return { code: 70011, text: 'The provided value for scope is not valid.' }
  const text = asked.param('client_assertion')
  if (text === '') {
    return asked.param('client_secret') === account.secret
      ? null
      : { code: 7000215, text: 'Invalid client secret provided.' }
  }
  const jwt = decodeJwt(text)
  const refused = {
    code: 700027,
    text: 'The certificate with identifier used to sign the client assertion is not registered.',
  }
  if (jwt === null || account.public_key === undefined) return refused
  const { iss, sub } = jwt.claims
  if (iss !== account.id || sub !== account.id || typeof jwt.header['x5t#S256'] !== 'string') return refused
  const audiences = [`https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`]
  const wanted = { publicKey: account.public_key, algorithms: ['PS256'], audiences, now, lifeSecondsMax: 600 }
  return jwtFault(jwt, { ...wanted, slackSeconds: 300 }) === null && seen.take(jwt, now) ? null : refused
}

const salesforce = oauthLike({
  path: /^\/services\/oauth2\/token$/,
  nobody: { code: 'invalid_client_id', text: 'client identifier invalid' },
  good: ({ value, until }) => ({
    access_token: value,
    instance_url: 'https://example.my.salesforce.com',
    id: 'https://login.salesforce.com/id/00D/005',
    token_type: 'Bearer',
    issued_at: String(Date.parse(until)),
    signature: 'simulated',
    scope: 'api',
  }),
  prefix: '00D!',
  lifeSeconds: 7_200,
  shown: bearer,
  badToken: {
    status: 401,
    body: { message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' },
    code: 'INVALID_SESSION_ID',
  },
})

/** `second` is the account id. */
const zoom = oauthLike({
  path: /^\/oauth\/token$/,
  who: (asked) => basicOf(asked).id,
  nobody: invalidClient('Invalid client_id or client_secret'),
  check: ({ asked, account }) => {
    const wrong = wrongSecret(basicOf(asked).secret, account.secret) ?? wrongGrant(asked, 'account_credentials')
    if (wrong !== null) return wrong
    return asked.param('account_id') === account.second ? null : { code: 'invalid_request', text: 'Bad Request' }
  },
  refuse: ({ code, text, status = 400 }) => ({ status, body: { reason: text, error: code } }),
  good: ({ value, seconds }) => ({
    access_token: value,
    token_type: 'bearer',
    expires_in: seconds,
    scope: 'user:read:admin',
    api_url: 'https://api.zoom.us',
  }),
  length: 600,
  lifeSeconds: 3_599,
  shown: bearer,
  badToken: { status: 401, body: { code: 124, message: 'Invalid access token.' }, code: 124 },
})

const paypal = oauthLike({
  path: /^\/v1\/oauth2\/token$/,
  who: (asked) => basicOf(asked).id,
  check: ({ asked, account }) => wrongSecret(basicOf(asked).secret, account.secret) ?? wrongGrant(asked),
  good: ({ value, seconds }) => ({
    scope: 'https://uri.paypal.com/services/invoicing',
    access_token: value,
    token_type: 'Bearer',
    app_id: 'APP-80W284485P519543T',
    expires_in: seconds,
    nonce: '2026-01-01T00:00:00Z',
  }),
  prefix: 'A21AA',
  lifeSeconds: 32_400,
  shown: bearer,
  badToken: {
    status: 401,
    body: { error: 'invalid_token', error_description: 'Token signature verification failed' },
    code: 'invalid_token',
  },
})

export const oauthLikePlatforms = {
  baidu,
  'huawei-push': huawei,
  tiktok,
  'google-service-account': google,
  entra,
  salesforce,
  zoom,
  paypal,
} as const
